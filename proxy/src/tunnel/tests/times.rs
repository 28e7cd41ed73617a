//! Time limits. The clock is paused; it stands still while a far end does blocking work, and jumps to the next timer
//! when there is nothing to do.

use std::io::{Read, Write};

use tokio::task::spawn_blocking;
use tokio::time::{advance, timeout};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_tunnel_without_a_byte_ends_as_idle_and_in_good_order() {
    let started = Instant::now();
    let mut world = World::with(Limits { idle: MINUTE, max_duration: None }, POOLS, pending()).await;
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 0, received: 0, ending: Ending::Idle });
    let took = started.elapsed();
    assert!(took >= MINUTE && took < MINUTE * 2, "{took:?}");
    assert_eq!(world.client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(world.origin.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn bytes_in_either_direction_keep_a_tunnel_alive() {
    let world = World::with(Limits { idle: MINUTE, max_duration: None }, POOLS, pending()).await;
    let blocking = |stream: TcpStream| {
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    };
    let mut ends = [blocking(world.client), blocking(world.origin)];
    for _ in 0..6 {
        ends = spawn_blocking(move || {
            let [mut from, mut to] = ends;
            from.write_all(b"x").unwrap();
            to.read_exact(&mut [0]).unwrap();
            [to, from]
        })
        .await
        .unwrap();
        advance(MINUTE * 4 / 5).await;
        assert!(!world.carried.is_finished());
    }
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 3, received: 3, ending: Ending::Idle });
}

#[tokio::test(start_paused = true)]
async fn half_of_a_tunnel_is_idle_too() {
    let mut world = World::with(Limits { idle: MINUTE, max_duration: None }, POOLS, pending()).await;
    world.client.shutdown().await.unwrap();
    assert_eq!(world.carried.await.unwrap().ending, Ending::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_lives_no_longer_than_it_may() {
    let started = Instant::now();
    let limits = Limits { idle: MINUTE * 10, max_duration: Some(MINUTE) };
    let mut world = World::with(limits, POOLS, pending()).await;
    assert_eq!(world.carried.await.unwrap(), Finished { sent: 0, received: 0, ending: Ending::MaxDuration });
    assert!(started.elapsed() < MINUTE * 2);
    assert_eq!(error_of(&mut world.client).await, io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn limits_beyond_the_clock_are_no_limits() {
    let limits = Limits { idle: Duration::MAX, max_duration: Some(Duration::MAX) };
    let world = World::with(limits, POOLS, pending()).await;
    assert!(timeout(MINUTE * 1000, world.carried).await.is_err());
}

#[tokio::test]
async fn a_reader_that_never_reads_holds_back_the_writer_until_the_tunnel_is_idle() {
    for pools in [POOLS, COPY_ONLY] {
        let mut world =
            World::with(Limits { idle: Duration::from_millis(300), max_duration: None }, pools, pending()).await;
        let block = vec![7; 1 << 16];
        let mut accepted = 0u64;
        while let Ok(count) = world.client.write(&block).await {
            accepted += count as u64;
        }
        let finished = world.carried.await.unwrap();
        assert_eq!(finished.ending, Ending::Idle);
        // What two pairs of sockets and one buffer or pipe can hold.
        assert!(accepted < 64 << 20, "{accepted}");
        assert!(finished.sent < accepted);
        assert_eq!(world.pools.pipes_in_use(), 0);
    }
}
