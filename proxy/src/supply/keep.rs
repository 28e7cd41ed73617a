//! Asking the server of the policy again and again, without all gateways of a fleet asking at once.

use std::sync::Arc;
use std::time::Duration;

use crate::policy_store::Reload;
use crate::reload;
use crate::shared::Shared;

/// A server that fails is asked less and less often, down to this.
const LONGEST: Duration = Duration::from_secs(600);

/// Doublings of the pause.
const DOUBLED_MAX: u32 = 5;

/// Ask the server of the policy, if it comes from one. Never returns where it does.
pub async fn poll(shared: Arc<Shared>) {
    let Some(every) = shared.policy.poll() else { return };
    let mut failures = 0;
    loop {
        tokio::time::sleep(pause(every, failures, chance())).await;
        failures = match reload::policy(&shared).await {
            Reload::Activated(_) | Reload::Unchanged => 0,
            Reload::Refused(_) | Reload::StillRefused => failures.saturating_add(1),
        };
    }
}

/// `every`, doubled with each failure up to ten minutes, and of that between nine tenths and all. `chance` is 0 to 255.
fn pause(every: Duration, failures: u32, chance: u8) -> Duration {
    let doubled = every.saturating_mul(1 << failures.min(DOUBLED_MAX)).min(LONGEST.max(every));
    doubled - doubled / 10 * u32::from(chance) / 255
}

fn chance() -> u8 {
    let mut byte = [0];
    // Without chance it is only less well spread.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    let [byte] = byte;
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_fails_is_asked_less_often_and_never_all_at_once() {
        let seconds = |failures, chance| pause(Duration::from_secs(60), failures, chance).as_secs();
        assert_eq!([seconds(0, 0), seconds(0, 255)], [60, 54]);
        assert_eq!([seconds(1, 0), seconds(2, 0), seconds(3, 0), seconds(4, 0)], [120, 240, 480, 600]);
        assert_eq!(seconds(u32::MAX, 255), 540);
        assert_eq!(pause(Duration::from_secs(3600), 9, 0), Duration::from_secs(3600));
    }
}
