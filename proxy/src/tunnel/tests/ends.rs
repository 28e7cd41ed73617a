//! How a tunnel ends, and what each side sees of it.

use std::io::ErrorKind;

use tokio::sync::oneshot;

use super::*;

#[tokio::test]
async fn a_client_that_ends_first_still_gets_its_answer() {
    let mut world = World::new().await;
    world.client.write_all(b"question").await.unwrap();
    world.client.shutdown().await.unwrap();
    let mut question = Vec::new();
    world.origin.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    world.origin.write_all(b"the answer").await.unwrap();
    drop(world.origin);
    let mut answer = Vec::new();
    world.client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"the answer");
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 8, received: 10, ending: Ending::ClientClosed });
}

#[tokio::test]
async fn an_upstream_that_ends_first_still_hears_the_client() {
    let mut world = World::new().await;
    world.origin.write_all(b"hello").await.unwrap();
    world.origin.shutdown().await.unwrap();
    let mut greeting = Vec::new();
    world.client.read_to_end(&mut greeting).await.unwrap();
    assert_eq!(greeting, b"hello");
    world.client.write_all(b"and more").await.unwrap();
    drop(world.client);
    let mut more = Vec::new();
    world.origin.read_to_end(&mut more).await.unwrap();
    assert_eq!(more, b"and more");
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 8, received: 5, ending: Ending::UpstreamClosed });
}

#[tokio::test]
async fn early_bytes_come_first_and_are_counted() {
    let early = [Bytes::from_static(b"first "), Bytes::from_static(b"zeroth ")];
    let mut world = World::early(LONG, POOLS, pending(), early).await;
    world.client.write_all(b"second").await.unwrap();
    assert_eq!(receive(&mut world.origin, 12).await, b"first second");
    world.origin.write_all(b"one").await.unwrap();
    assert_eq!(receive(&mut world.client, 10).await, b"zeroth one");
    drop((world.client, world.origin));
    let finished = world.carried.await.unwrap();
    assert_eq!((finished.sent, finished.received), (12, 10));
}

#[tokio::test]
async fn a_reset_by_the_client_reaches_the_upstream_as_a_reset() {
    let mut world = World::new().await;
    world.client.write_all(b"half a req").await.unwrap();
    receive(&mut world.origin, 10).await;
    world.client.set_zero_linger().unwrap();
    drop(world.client);
    assert_eq!(error_of(&mut world.origin).await, ErrorKind::ConnectionReset);
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 10, received: 0, ending: Ending::ClientClosed });
}

#[tokio::test]
async fn a_reset_by_the_upstream_reaches_the_client_as_a_reset_after_what_came_before() {
    let mut world = World::new().await;
    world.origin.write_all(b"half an answer").await.unwrap();
    assert_eq!(receive(&mut world.client, 14).await, b"half an answer");
    world.origin.set_zero_linger().unwrap();
    drop(world.origin);
    assert_eq!(error_of(&mut world.client).await, ErrorKind::ConnectionReset);
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 0, received: 14, ending: Ending::UpstreamClosed });
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_download_ends_the_tunnel() {
    let mut world = World::new().await;
    let origin = tokio::spawn(async move {
        let block = vec![7; 1 << 16];
        while world.origin.write_all(&block).await.is_ok() {}
    });
    receive(&mut world.client, 1 << 20).await;
    drop(world.client);
    let finished = world.carried.await.unwrap();
    assert_eq!(finished.ending, Ending::ClientClosed);
    assert!(finished.received >= 1 << 20);
    origin.await.unwrap();
}

#[tokio::test]
async fn a_cut_resets_both_sides_and_tells_what_had_been_carried() {
    let (sender, receiver) = oneshot::channel();
    let mut world = World::with(LONG, POOLS, async { receiver.await.unwrap() }).await;
    world.client.write_all(b"12345").await.unwrap();
    receive(&mut world.origin, 5).await;
    sender.send(Ending::PolicyChanged).unwrap();
    assert_eq!(error_of(&mut world.client).await, ErrorKind::ConnectionReset);
    assert_eq!(error_of(&mut world.origin).await, ErrorKind::ConnectionReset);
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 5, received: 0, ending: Ending::PolicyChanged });
}

#[tokio::test]
async fn a_cut_in_the_middle_of_a_transfer_stops_it_and_shows_that_it_is_not_whole() {
    for pools in [POOLS, COPY_ONLY] {
        let (sender, receiver) = oneshot::channel();
        let mut world = World::with(LONG, pools, async { receiver.await.unwrap() }).await;
        let origin = tokio::spawn(async move {
            let block = vec![7; 1 << 16];
            while world.origin.write_all(&block).await.is_ok() {}
        });
        receive(&mut world.client, 1 << 20).await;
        sender.send(Ending::GrantEnded).unwrap();
        let mut rest = Vec::new();
        assert_eq!(world.client.read_to_end(&mut rest).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let finished = world.carried.await.unwrap();
        assert_eq!(finished.ending, Ending::GrantEnded);
        assert!(finished.received >= (1 << 20) + rest.len() as u64);
        origin.await.unwrap();
    }
}

#[tokio::test]
async fn a_flood_one_way_does_not_hold_up_the_other() {
    let world = World::new().await;
    let (mut from_origin, mut to_origin) = world.origin.into_split();
    let flood = tokio::spawn(async move {
        let block = vec![7; 1 << 16];
        while to_origin.write_all(&block).await.is_ok() {}
    });
    let (mut from_client, mut to_client) = world.client.into_split();
    let drain = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await });
    for _ in 0..20 {
        to_client.write_all(b"ping").await.unwrap();
        assert_eq!(receive(&mut from_origin, 4).await, b"ping");
    }
    world.carried.abort();
    flood.await.unwrap();
    let _ = drain.await.unwrap();
}

#[tokio::test]
async fn a_cut_that_is_already_there_lets_no_byte_through() {
    let early = [Bytes::from_static(b"secret"), Bytes::new()];
    let mut world = World::early(LONG, POOLS, std::future::ready(Ending::Expired), early).await;
    let mut bytes = Vec::new();
    assert_eq!(world.origin.read_to_end(&mut bytes).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(bytes, b"");
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 0, received: 0, ending: Ending::Expired });
}

#[tokio::test]
async fn a_tunnel_that_is_dropped_leaves_its_counts() {
    let mut world = World::new().await;
    world.client.write_all(b"12345").await.unwrap();
    receive(&mut world.origin, 5).await;
    world.carried.abort();
    assert!(world.carried.await.unwrap_err().is_cancelled());
    assert_eq!((world.counters.sent(), world.counters.received()), (5, 0));
    assert_eq!(world.client.read(&mut [0]).await.unwrap(), 0);
}
