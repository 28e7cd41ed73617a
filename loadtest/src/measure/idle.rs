//! Tunnels that do nothing: what each costs the proxy in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::within_patience;
use crate::load::Client;
use crate::origin::Service;
use crate::{Failure, process};

/// Opened and closed first, so that what a proxy allocates once is not counted.
const WARM_UP: u32 = 200;
/// Tunnels that are opened at the same time.
const OPENING: usize = 64;
/// For records to be written and buffers to be given back.
const SETTLE: Duration = Duration::from_millis(1_500);

/// What idle tunnels cost.
#[derive(Clone, Debug)]
pub struct Idle {
    /// Tunnels that were open.
    pub open: u32,
    /// Bytes of the proxy's resident memory that each of them took.
    pub each: f64,
    /// The first failure.
    pub first_failure: Option<Failure>,
}

/// Open `count` tunnels through the proxy `pid`, and hold them.
pub async fn measure(client: &Arc<Client>, count: u32, pid: u32) -> Idle {
    drop(hold(client, WARM_UP.min(count)).await);
    tokio::time::sleep(SETTLE).await;
    let before = process::resident(pid);
    let (held, first_failure) = hold(client, count).await;
    tokio::time::sleep(SETTLE).await;
    let after = process::resident(pid);
    let open = u32::try_from(held.len()).unwrap_or(u32::MAX);
    drop(held);
    tokio::time::sleep(SETTLE).await;
    Idle { open, each: (after as f64 - before as f64) / f64::from(open.max(1)), first_failure }
}

async fn hold(client: &Arc<Client>, count: u32) -> (Vec<TcpStream>, Option<Failure>) {
    let begun = Arc::new(AtomicU32::new(0));
    let mut openers = JoinSet::new();
    for _ in 0..OPENING {
        let (client, begun) = (client.clone(), begun.clone());
        openers.spawn(async move {
            let mut held = Vec::new();
            while begun.fetch_add(1, Ordering::Relaxed) < count {
                match within_patience(open(&client)).await {
                    Ok(stream) => held.push(stream),
                    // The others will fail as this one did.
                    Err(failure) => return (held, Some(failure)),
                }
            }
            (held, None)
        });
    }
    let (mut all, mut first_failure) = (Vec::new(), None);
    for (held, failure) in openers.join_all().await {
        all.extend(held);
        first_failure = first_failure.or(failure);
    }
    (all, first_failure)
}

/// A tunnel that has carried a byte each way.
async fn open(client: &Client) -> Result<TcpStream, Failure> {
    let mut stream = client.tunnel(client.next_name()?, Service::Echo).await?;
    stream.write_all(b"e").await.map_err(Failure::at("write"))?;
    stream.read_u8().await.map_err(Failure::at("read"))?;
    Ok(stream)
}
