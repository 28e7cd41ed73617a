//! Plain HTTP requests, one after the other on each of some connections.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use super::{AFTER_FAILURE, Outcome, Tally, Timing, run, within_patience};
use crate::Failure;
use crate::load::{Client, exchange};

/// `connections` at once, each to a name of its own.
pub async fn measure(client: &Arc<Client>, connections: usize, timing: Timing, proxy: Option<u32>) -> Outcome {
    let tally = Arc::new(Tally::default());
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(keep_asking(client.clone(), tally.clone()));
    }
    run(workers, &tally, timing, proxy).await
}

/// Whoever closes a connection that should be kept has failed, and is asked again on a new one.
async fn keep_asking(client: Arc<Client>, tally: Arc<Tally>) {
    loop {
        let failure = match ask(&client, &tally).await {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        tally.ended(Instant::now(), Err(failure));
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

async fn ask(client: &Client, tally: &Tally) -> Result<std::convert::Infallible, Failure> {
    let name = client.next_name()?;
    let (mut stream, request) = within_patience(client.http(name)).await?;
    let mut answer = Vec::with_capacity(4 * 1024);
    loop {
        let begun = Instant::now();
        within_patience(exchange(&mut stream, &request, &mut answer)).await?;
        tally.ended(begun, Ok(()));
    }
}
