//! Large transfers, and what is held when they are over.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::*;

pub(super) const LARGE: usize = 64 << 20;

/// Blocks of a length that no buffer or pipe divides, each different from its neighbours.
fn block(seed: u8, number: usize) -> Vec<u8> {
    let mut block: Vec<u8> = (0..65_521u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect();
    block[..8].copy_from_slice(&(number as u64).to_be_bytes());
    block
}

pub(super) async fn send_large(mut to: impl AsyncWrite + Unpin, seed: u8) {
    let mut left = LARGE;
    let mut bytes = block(seed, 0);
    for number in 0.. {
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let part = &bytes[..bytes.len().min(left)];
        to.write_all(part).await.unwrap();
        left -= part.len();
        if left == 0 {
            break;
        }
    }
    to.shutdown().await.unwrap();
}

pub(super) async fn receive_large(mut from: impl AsyncRead + Unpin, seed: u8) {
    let mut left = LARGE;
    let mut expected = block(seed, 0);
    let mut bytes = expected.clone();
    for number in 0.. {
        expected[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let size = bytes.len().min(left);
        from.read_exact(&mut bytes[..size]).await.unwrap();
        assert!(bytes[..size] == expected[..size], "block {number}");
        left -= size;
        if left == 0 {
            break;
        }
    }
    assert_eq!(from.read(&mut bytes).await.unwrap(), 0);
}

async fn carry_large_both_ways(pools: PoolLimits) -> World {
    let mut world = World::with(LONG, pools, pending()).await;
    let (from_client, to_client) = world.client.split();
    let (from_origin, to_origin) = world.origin.split();
    tokio::join!(
        send_large(to_client, 1),
        receive_large(from_origin, 1),
        send_large(to_origin, 2),
        receive_large(from_client, 2),
    );
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_transfers_both_ways_at_once_are_spliced_whole() {
    let world = carry_large_both_ways(POOLS).await;
    let finished = world.carried.await.unwrap();
    assert_eq!((finished.sent, finished.received), (LARGE as u64, LARGE as u64));
    assert_eq!(world.pools.pipes_in_use(), 0);
    #[cfg(target_os = "linux")]
    assert!(world.pools.spare().1 > 0, "pipes were used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_transfers_both_ways_at_once_are_copied_whole_where_there_is_no_pipe() {
    let world = carry_large_both_ways(COPY_ONLY).await;
    let finished = world.carried.await.unwrap();
    assert_eq!((finished.sent, finished.received), (LARGE as u64, LARGE as u64));
    assert_eq!(world.pools.spare().1, 0);
}

#[tokio::test]
async fn a_tunnel_that_waits_holds_neither_buffer_nor_pipe() {
    let mut world = World::new().await;
    let bytes = vec![9; 4 << 20];
    let (sent, received) = tokio::join!(world.client.write_all(&bytes), receive(&mut world.origin, bytes.len()));
    sent.unwrap();
    assert_eq!(received, bytes);
    let settled = async {
        while world.pools.pipes_in_use() > 0 || world.pools.spare().0 == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), settled).await.unwrap();
    assert!(!world.carried.is_finished());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_pipe_with_bytes_of_one_tunnel_is_never_given_to_another() {
    let (mut far, near) = pair().await;
    let pools = Pools::new(POOLS);
    let mut pipe = pools.pipe().unwrap();
    far.write_all(b"of another").await.unwrap();
    near.readable().await.unwrap();
    assert_eq!(pipe.fill(&near).unwrap(), 10);
    pools.return_pipe(pipe);
    assert_eq!((pools.spare().1, pools.pipes_in_use()), (0, 0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_more_pipes_are_open_than_allowed() {
    let pools = Pools::new(PoolLimits { pipes: 2, ..POOLS });
    let pipes = [pools.pipe().unwrap(), pools.pipe().unwrap()];
    assert!(pools.pipe().is_none());
    pipes.into_iter().for_each(|pipe| pools.return_pipe(pipe));
    assert!(pools.pipe().is_some());
}
