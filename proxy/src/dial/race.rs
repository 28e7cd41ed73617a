//! Happy eyeballs without the sockets: staggered attempts of which the first success wins (RFC 8305 section 5).

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Try `candidates` in order: the next one starts `delay` after the last, or at once when one has failed. The first
/// success wins and the attempts still under way are dropped. Without a success: every error, in order of failure.
///
/// Everything runs inside the returned future; there is no task to leak, and dropping it ends every attempt.
pub(crate) async fn race<C, T, E, F>(
    candidates: impl IntoIterator<Item = C>,
    delay: Duration,
    mut attempt: impl FnMut(C) -> F,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = candidates.into_iter().peekable();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let mut errors = Vec::new();
    let mut stagger = pin!(sleep_until(Instant::now()));
    let mut start_next = true;
    poll_fn(|task| {
        loop {
            if start_next && let Some(candidate) = waiting.next() {
                start_next = false;
                running.push(Box::pin(attempt(candidate)));
                stagger.as_mut().reset(Instant::now() + delay);
            }
            let mut winner = None;
            running.retain_mut(|one| match one.as_mut().poll(task) {
                Poll::Pending => true,
                Poll::Ready(Ok(value)) => {
                    winner.get_or_insert(value);
                    false
                }
                Poll::Ready(Err(error)) => {
                    errors.push(error);
                    start_next = true;
                    false
                }
            });
            if let Some(value) = winner {
                return Poll::Ready(Ok(value));
            }
            if waiting.peek().is_none() {
                return if running.is_empty() { Poll::Ready(Err(std::mem::take(&mut errors))) } else { Poll::Pending };
            }
            if !start_next && stagger.as_mut().poll(task).is_pending() {
                return Poll::Pending;
            }
            start_next = true;
        }
    })
    .await
}

/// Alternate the two kinds of `items`, beginning with the kind of the first and keeping the order within each
/// (RFC 8305 section 4, with a "First Address Family Count" of 1).
pub(crate) fn interleave<T: Copy>(items: &[T], kind: impl Fn(&T) -> bool) -> Vec<T> {
    let Some(leading) = items.first().map(&kind) else { return Vec::new() };
    let mut lead = items.iter().filter(|item| kind(item) == leading);
    let mut other = items.iter().filter(|item| kind(item) != leading);
    let mut mixed = Vec::with_capacity(items.len());
    loop {
        let before = mixed.len();
        mixed.extend(lead.next());
        mixed.extend(other.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}
