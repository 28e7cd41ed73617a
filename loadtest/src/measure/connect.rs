//! Tunnels that live for one byte: as many as fit, or at a steady rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Outcome, Tally, Timing, repeat, run, within_patience};
use crate::Failure;
use crate::load::Client;
use crate::origin::Service;

/// What a client sends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// One byte that is no TLS.
    Byte,
    /// A ClientHello with the name that was asked for.
    Hello,
}

/// Operations under way at a steady rate; more have failed.
const UNDER_WAY: usize = 2_048;

/// One tunnel: open it, send, read one byte back, close it.
pub async fn once(client: &Client, opening: Opening) -> Result<(), Failure> {
    let name = client.next_name()?;
    let mut stream = client.tunnel(name, Service::Echo).await?;
    let message = match opening {
        Opening::Byte => b"e".as_slice(),
        Opening::Hello => &name.hello,
    };
    stream.write_all(message).await.map_err(Failure::at("write"))?;
    let byte = stream.read_u8().await.map_err(Failure::at("read"))?;
    if message.first() == Some(&byte) { Ok(()) } else { Err(Failure(format!("the echo was {byte}"))) }
}

/// `clients` at a time, each one tunnel after the other.
pub async fn flat_out(
    client: &Arc<Client>,
    clients: usize,
    opening: Opening,
    timing: Timing,
    proxy: Option<u32>,
) -> Outcome {
    let tally = Arc::new(Tally::default());
    let mut workers = JoinSet::new();
    for _ in 0..clients {
        workers.spawn(repeat(client.clone(), tally.clone(), async move |client: &Client| once(client, opening).await));
    }
    run(workers, &tally, timing, proxy).await
}

/// `rate` a second, whatever is still under way. The clock of each starts when it is sent, so a slow proxy cannot slow
/// down what measures it.
pub async fn at_rate(client: &Arc<Client>, rate: u32, timing: Timing, proxy: Option<u32>) -> Outcome {
    let tally = Arc::new(Tally::default());
    let mut workers = JoinSet::new();
    workers.spawn(send_steadily(client.clone(), tally.clone(), rate));
    run(workers, &tally, timing, proxy).await
}

async fn send_steadily(client: Arc<Client>, tally: Arc<Tally>, rate: u32) {
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let begun = Instant::now();
    let mut sent = 0;
    // Ends with the measurement, and these with it.
    let mut under_way = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tick.tick().await;
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while sent < due {
            sent += 1;
            let begun = Instant::now();
            match room.clone().try_acquire_owned() {
                Err(_) => tally.ended(begun, Err(Failure(format!("{UNDER_WAY} are under way already")))),
                Ok(place) => {
                    let (client, tally) = (client.clone(), tally.clone());
                    under_way.spawn(async move {
                        let result = within_patience(once(&client, Opening::Byte)).await;
                        tally.ended(begun, result);
                        drop(place);
                    });
                }
            }
        }
        while under_way.try_join_next().is_some() {}
    }
}
