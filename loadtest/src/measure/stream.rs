//! Tunnels that carry as much as they can, one way.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{Outcome, Tally, Timing, run, within_patience};
use crate::Failure;
use crate::load::Client;
use crate::origin::{CHUNK, Service};

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the origin to the load.
    Download,
    /// From the load to the origin.
    Upload,
}

/// `tunnels` at once.
pub async fn measure(
    client: &Arc<Client>,
    tunnels: usize,
    direction: Direction,
    timing: Timing,
    proxy: Option<u32>,
) -> Outcome {
    let tally = Arc::new(Tally::default());
    let mut workers = JoinSet::new();
    for _ in 0..tunnels {
        let (client, tally) = (client.clone(), tally.clone());
        workers.spawn(async move {
            let begun = Instant::now();
            let result = carry(&client, &tally, direction).await;
            tally.ended(begun, result);
        });
    }
    run(workers, &tally, timing, proxy).await
}

/// Until the measurement ends it, or it fails.
async fn carry(client: &Client, tally: &Tally, direction: Direction) -> Result<(), Failure> {
    let name = client.next_name()?;
    let service = match direction {
        Direction::Download => Service::Stream,
        Direction::Upload => Service::Sink,
    };
    let mut stream = within_patience(client.tunnel(name, service)).await?;
    let mut chunk = vec![0x33; CHUNK];
    loop {
        let moved = match direction {
            Direction::Download => stream.read(&mut chunk).await,
            Direction::Upload => stream.write(&chunk).await,
        };
        match moved.map_err(Failure::at("tunnel"))? {
            0 => return Err(Failure("the tunnel ended".to_owned())),
            bytes => tally.moved(bytes),
        }
    }
}
