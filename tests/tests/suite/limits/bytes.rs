//! Bytes of the day: cut at the very byte, kept over a restart and a death, new with the next day.

use std::io::{Read, Write};

use gatepass_tests::{Origin, Setup, eventually};

use super::{World, limited, one, two};
use crate::evidence::clock::stepping;

const KIB: usize = 1024;

/// Send so many bytes through a tunnel, and wait until they have come back.
fn echo(world: &World, bytes: usize) -> String {
    let (mut client, id) = world.open("");
    assert!(client.try_echo(&vec![7; bytes]));
    id
}

#[test]
fn an_upload_is_cut_at_the_last_byte_of_the_budget() {
    let world = World::new(limited("{upload_bytes_per_day: 1MiB}"));
    let (mut client, id) = world.open("");
    client.bytes_of(&vec![7; 4 << 20]);
    let close = world.cut(&id, "team/site");
    assert_eq!(close["bytes_sent"], 1 << 20, "{close}");
    assert!(world.origin.bytes().len() <= 1 << 20);
    let (reply, record) = world.refused("", "team/site", "upload_bytes_per_day");
    let seconds: u64 = reply.field("retry-after").unwrap().parse().unwrap();
    assert!(seconds <= 86_400, "until midnight UTC: {seconds}");
    assert_eq!(record["nearest"][0]["failed"][0]["seen"], 1 << 20, "{record}");
}

#[test]
fn a_download_is_cut_and_the_other_way_is_not_counted() {
    let world =
        World::of(Setup::new(), Origin::speaks_first(&vec![7; 4 << 20]), limited("{download_bytes_per_day: 100KiB}"));
    let (mut client, id) = world.open("");
    assert!(client.rest().len() <= 100 * KIB);
    assert_eq!(world.cut(&id, "team/site")["bytes_received"], 100 * KIB);
    world.refused("", "team/site", "download_bytes_per_day");
}

#[test]
fn bytes_of_several_tunnels_are_one_budget_and_each_identity_has_its_own() {
    let world = World::new(limited("{upload_bytes_per_day: 64KiB}"));
    let (mut first, _) = world.open(&one());
    let (mut second, id) = world.open(&one());
    assert!(first.try_echo(&[7; 40 * KIB]));
    assert!(!second.try_echo(&[7; 40 * KIB]));
    assert_eq!(world.cut(&id, "team/site")["bytes_sent"], 24 * KIB);
    world.refused(&one(), "team/site", "upload_bytes_per_day");
    let (mut other, _) = world.open(&two());
    assert!(other.try_echo(&[7; 40 * KIB]));
    // What is open still listens, and may send no more.
    assert!(!first.try_echo(b"x"));
}

#[test]
fn an_exchange_is_cut_as_a_tunnel_is() {
    let world = World::of(Setup::new(), Origin::http(), limited("{upload_bytes_per_day: 64KiB}"));
    let target = world.target();
    let mut socket = std::net::TcpStream::connect(world.gateway.plain()).unwrap();
    let head = format!("POST http://{target}/ HTTP/1.1\r\nHost: {target}\r\nContent-Length: 1000000\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let _ = socket.write_all(&vec![7; 1_000_000]);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    let id = world.gateway.decided(1)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.cut(&id, "team/site")["bytes_sent"], 64 * KIB);
    assert!(world.origin.requests().is_empty(), "no request was whole");
    let reply = world.gateway.client().fetch(&format!("http://{target}/"), "").unwrap();
    world.told(&reply, "team/site", "upload_bytes_per_day");
}

#[test]
fn an_answer_is_cut_where_the_budget_ends() {
    let long = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1 << 20]].concat();
    let world = World::of(Setup::new(), Origin::canned(&long), limited("{download_bytes_per_day: 64KiB}"));
    let target = world.target();
    let mut client = world.gateway.client();
    client.say(format!("GET http://{target}/ HTTP/1.0\r\nHost: {target}\r\n\r\n"));
    assert!(client.rest().len() < 70 * KIB);
    let id = world.gateway.decided(1)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.cut(&id, "team/site")["bytes_received"], 64 * KIB);
}

#[test]
fn a_restart_keeps_the_bytes_of_the_day_exactly() {
    let mut world = World::new(limited("{upload_bytes_per_day: 100KiB}"));
    let id = echo(&world, 60 * KIB);
    world.gateway.close(&id);
    world.gateway.signal("TERM");
    assert_eq!(world.gateway.wait(), 0);
    world.gateway = world.gateway.start_again();
    let (mut client, id) = world.open("");
    client.bytes_of(&[7; 60 * KIB]);
    assert_eq!(world.cut(&id, "team/site")["bytes_sent"], 40 * KIB);
}

#[test]
fn a_gateway_that_is_killed_gives_no_byte_back() {
    let mut world = World::new(limited("{upload_bytes_per_day: 4MiB}"));
    let (mut client, _) = world.open("");
    assert!(client.try_echo(&vec![7; 1 << 20]));
    world.gateway.signal("KILL");
    world.gateway.wait();
    world.gateway = world.gateway.start_again();
    let (mut client, id) = world.open("");
    client.bytes_of(&vec![7; 4 << 20]);
    let sent = world.cut(&id, "team/site")["bytes_sent"].as_u64().unwrap();
    // At most a sixteenth of the budget is counted too many, and none too few.
    let left = (3 << 20) - (256 << 10)..=3 << 20;
    assert!(left.contains(&sent), "{sent}");
}

#[test]
fn midnight_brings_a_new_budget_and_a_clock_that_goes_back_does_not() {
    let (setup, set) = stepping(Setup::new());
    let mut world = World::of(setup, Origin::echo(), limited("{upload_bytes_per_day: 64KiB}"));
    let spend = |world: &World| {
        let (mut client, id) = world.open("");
        client.bytes_of(&[7; 80 * KIB]);
        world.cut(&id, "team/site");
    };
    spend(&world);
    world.refused("", "team/site", "upload_bytes_per_day");
    let now = jiff::Timestamp::now().as_second();
    let to_midnight = 86_400 - now.rem_euclid(86_400) + 1;
    set(to_midnight);
    eventually("the next day has begun", || (world.ask("").1.status == 200).then_some(()));
    spend(&world);
    set(0);
    world.refused("", "team/site", "upload_bytes_per_day");
    world.gateway.signal("TERM");
    world.gateway.wait();
    world.gateway = world.gateway.start_again();
    world.refused("", "team/site", "upload_bytes_per_day");
}
