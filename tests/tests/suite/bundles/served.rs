//! A gateway whose policy comes from a server: what it takes, what it refuses, and what it says of both.

use gatepass_tests::depot::Shelf;
use gatepass_tests::{Bundle, Setup, eventually};

use super::{LATER, World, end, policies, ready, refused};

#[test]
fn a_signed_archive_decides_and_its_number_stands_in_every_record() {
    let setup = Setup::new().operators();
    let world = World::new(&setup);
    world.depot.give(&world.office.signed(&world.allowing("old.test"), 41), "one");
    let section = world.section(&setup, "");
    let gateway = setup.section(&section).start(&Bundle::new());
    let (_open, reply) = world.attempt(&gateway, "old.test");
    assert_eq!(reply.status, 200, "{}", reply.body);
    let policy = gateway.decision(&reply.id())["policy"].clone();
    assert_eq!((policy["bundle"].as_str(), policy["serial"].as_u64()), (Some("corp"), Some(41)));
    assert_eq!(policies(&gateway, "activated", 1)[0]["policy"], policy);
    let (status, told) = gateway.operator("vera").get(&gateway, "/v1/policy");
    assert_eq!((status, &told["serial"], &told["digest"]), (200, &policy["serial"], &policy["digest"]));
    assert_eq!((told["not_after"].as_str(), told["confirmed"].is_string()), (Some(LATER), true));

    // What has not changed is asked for by its tag and not sent again.
    eventually("it is asked for by its tag", || {
        let asked = world.depot.heads().iter().filter(|head| head.contains("if-none-match: \"one\"")).count();
        (asked >= 2).then_some(())
    });
    assert_eq!(policies(&gateway, "activated", 1).len(), 1);

    // A newer release takes its place, with the same files or others.
    world.depot.give(&world.office.signed(&world.allowing("old.test"), 42), "two");
    assert_eq!(policies(&gateway, "activated", 2)[1]["policy"]["serial"], 42);
    world.depot.give(&world.office.signed(&world.allowing("new.test"), 43), "three");
    policies(&gateway, "activated", 3);
    assert_eq!((world.status(&gateway, "old.test"), world.status(&gateway, "new.test")), (403, 200));
}

#[test]
fn what_is_tampered_with_unsigned_or_old_changes_nothing_and_is_told() {
    let setup = Setup::new();
    let world = World::new(&setup);
    let good = world.office.signed(&world.allowing("old.test"), 10);
    world.depot.give(&good, "good");
    let section = world.section(&setup, "");
    let gateway = setup.section(&section).start(&Bundle::new());
    let mut tampered = good.clone();
    let place = tampered.windows(8).position(|window| window == b"old.test").unwrap();
    tampered[place..place + 3].copy_from_slice(b"new");
    let new = world.allowing("new.test");
    let release = |serial, keys: &[&str]| world.office.release(&new, serial, LATER, keys);
    let ended = {
        world.office.write("policy", &new);
        let times = ["--created", "2020-01-01T00:00:00Z", "--not-after", "2021-01-01T00:00:00Z"];
        world.office.done(&[&["build", "policy", "-o", "ended.gpb", "--serial", "11"], &times[..]].concat());
        world.office.done(&["sign", "ended.gpb", "--key", "alice"]);
        std::fs::read(world.office.path("ended.gpb")).unwrap()
    };
    let raw = |text: &str| Shelf::Raw(text.as_bytes().to_vec());
    let archive = |bytes: Vec<u8>| Shelf::Archive(bytes, "\"bad\"".to_owned());
    let mut garbage = good.clone();
    garbage.extend_from_slice(&[0; 512]);
    let bad = [
        (archive(tampered), "is not the file that the manifest lists"),
        (archive(release(11, &[])), "1 is needed, and it has 0 valid signatures"),
        (archive(release(11, &["bob"])), "1 by keys that are not known here"),
        (archive(release(9, &["alice"])), "its serial is 9, and 10 of `corp` was in force here"),
        (archive(release(10, &["alice"])), "its serial is 10, and so was that of other files"),
        (archive(ended), "it ended at 2021-01-01T00:00:00Z"),
        (archive(good[..good.len() - 700].to_vec()), "corp.gpb`: it is"),
        (archive(garbage), "is not written as"),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "no bundle archive"),
        (raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"), "content encoding"),
        (
            raw("HTTP/1.1 302 Found\r\nLocation: https://x.test/\r\nContent-Length: 0\r\n\r\n"),
            "redirects are not followed",
        ),
        (raw("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), "it answered 500"),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx"), "its answer is longer than"),
    ];
    for (number, (shelf, told)) in bad.into_iter().enumerate() {
        world.depot.put(shelf);
        gateway.signal("HUP");
        let records = policies(&gateway, "rejected", number + 1);
        let error = records[number]["error"].as_str().unwrap();
        assert!(error.contains(told), "{told}: {error}");
        assert_eq!(records[number]["policy"]["serial"], 10);
        let degraded = ready(&gateway)["degraded"].to_string();
        assert!(
            degraded.contains("is refused, and the last good one is in force") && degraded.contains(told),
            "{degraded}"
        );
        assert_eq!((world.status(&gateway, "old.test"), world.status(&gateway, "new.test")), (200, 403), "{told}");
    }
    world.depot.give(&release(11, &["alice"]), "next");
    gateway.signal("HUP");
    policies(&gateway, "activated", 2);
    assert_eq!(world.status(&gateway, "new.test"), 200);
    assert_eq!(ready(&gateway)["ready"], true);
}

#[test]
fn a_gateway_without_a_first_policy_opens_nothing() {
    let setup = Setup::new();
    let world = World::new(&setup);
    let section = world.section(&setup, "");
    let setup = setup.section(&section);
    let said = refused(&setup.configure());
    assert!(said.contains(&world.depot.url()) && said.contains("nothing was started"), "{said}");
    world.depot.give(&world.office.release(&world.allowing("old.test"), 1, LATER, &["bob"]), "x");
    assert!(refused(&setup.configure()).contains("1 by keys that are not known here"));
    // Whoever is not vouched for is not believed, whatever he gives.
    world.depot.give(&world.office.signed(&world.allowing("old.test"), 1), "y");
    let other = Setup::new();
    setup.scratch.write("depot-ca.pem", other.ca.pem());
    assert!(refused(&setup.configure()).contains("certificate"));
    let gateway = {
        setup.scratch.write("depot-ca.pem", setup.ca.pem());
        setup.start(&Bundle::new())
    };
    assert_eq!(world.status(&gateway, "old.test"), 200);
}

#[test]
fn an_archive_in_a_file_is_read_again_when_another_takes_its_place() {
    let setup = Setup::new();
    let world = World::new(&setup);
    setup.scratch.write("alice.pub", world.office.text("alice.pub"));
    setup.scratch.write("bob.pub", world.office.text("bob.pub"));
    let both = ["alice", "bob"];
    setup.scratch.write("corp.gpb", world.office.release(&world.allowing("old.test"), 1, LATER, &both));
    let section = "policy: {bundle: corp.gpb, verify_keys: [alice.pub, bob.pub], threshold: 2}";
    let gateway = setup.section(section).start(&Bundle::new());
    assert_eq!(world.status(&gateway, "old.test"), 200);
    let replace = |bytes: Vec<u8>| {
        let new = gateway.setup.scratch.write("corp.new", bytes);
        std::fs::rename(new, gateway.path().join("corp.gpb")).unwrap();
    };
    replace(world.office.signed(&world.allowing("new.test"), 2));
    let told = policies(&gateway, "rejected", 1)[0]["error"].as_str().unwrap().to_owned();
    assert!(told.contains("2 are needed, and it has 1 valid signatures"), "{told}");
    assert_eq!(world.status(&gateway, "new.test"), 403);
    replace(world.office.release(&world.allowing("new.test"), 2, LATER, &both));
    policies(&gateway, "activated", 2);
    assert_eq!((world.status(&gateway, "old.test"), world.status(&gateway, "new.test")), (403, 200));
    end(gateway);
}
