//! The device flow (RFC 8628): a code that is typed into a browser anywhere.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Provider, failure, id_token, visible};
use crate::admin::oidc::fetch;

/// Seconds between two questions where the provider does not say (section 3.2), and the most that is waited for.
const INTERVAL: u64 = 5;
const INTERVAL_MAX: u64 = 60;
/// Seconds that `slow_down` adds (section 3.5).
const SLOWER: u64 = 5;
/// The longest that a code is waited for, whatever the provider says.
const LONGEST: u64 = 30 * 60;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub async fn log_in(provider: &Provider) -> Result<String, String> {
    let form = [("client_id", provider.client_id.as_str()), ("scope", "openid email")];
    let place = provider.endpoint("device_authorization_endpoint")?;
    let (status, begun) = fetch::post(place, &form, &provider.trust).await?;
    if status != 200 {
        return Err(failure(&begun));
    }
    let text = |key: &str| begun.get(key).and_then(Value::as_str);
    let number = |key: &str| begun.get(key).and_then(Value::as_u64);
    let (Some(device), Some(user), Some(page)) = (text("device_code"), text("user_code"), text("verification_uri"))
    else {
        return Err("the identity provider's answer has no code, or no page for it".to_owned());
    };
    eprintln!("open {}\nand type the code {}", visible(page), visible(user));
    if let Some(whole) = text("verification_uri_complete") {
        eprintln!("or open {}", visible(whole));
    }
    let end = Instant::now() + Duration::from_secs(number("expires_in").unwrap_or(LONGEST).min(LONGEST));
    let mut interval = number("interval").unwrap_or(INTERVAL).clamp(1, INTERVAL_MAX);
    let form = [("grant_type", GRANT), ("device_code", device), ("client_id", provider.client_id.as_str())];
    let place = provider.endpoint("token_endpoint")?;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(interval)).await;
        let (status, answer) = fetch::post(place, &form, &provider.trust).await?;
        match (status, answer.get("error").and_then(Value::as_str)) {
            (200, _) => return id_token(&answer),
            (_, Some("authorization_pending")) => {}
            (_, Some("slow_down")) => interval = interval.saturating_add(SLOWER).min(INTERVAL_MAX),
            (_, _) => return Err(failure(&answer)),
        }
    }
    Err("nobody typed the code in time".to_owned())
}
