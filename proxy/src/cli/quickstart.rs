//! The quickstart: a sample bundle that the binary carries, with ends a day away, and three lines to paste.

use gatepass_policy::host::Host;
use gatepass_policy::source::SourceFile;
use jiff::{SignedDuration, Timestamp};

use super::style::Paint;
use crate::shared::Shared;

/// How long the sample's rules live: a first try, not a deployment.
const LIFE: SignedDuration = SignedDuration::from_hours(24);

/// The sample bundle. Its expiries are rendered as `now` + 24 h; nowhere else is an expiry relative.
pub fn bundle(now: Timestamp) -> Vec<SourceFile> {
    let end = now.checked_add(LIFE).unwrap_or(now);
    let end = format!("{end:.0}");
    [
        ("bundle.yaml", include_str!("sample/bundle.yaml")),
        ("guardrails.yaml", include_str!("sample/guardrails.yaml")),
        ("teams/everyone.yaml", include_str!("sample/everyone.yaml")),
    ]
    .into_iter()
    .map(|(name, text)| SourceFile { name: name.to_owned(), text: text.replace("@EXPIRES@", &end).into_bytes() })
    .collect()
}

/// What is printed once the listeners are open.
pub fn greeting(proxy: std::net::SocketAddr, paint: Paint) -> String {
    let binary = std::env::args().next().unwrap_or_else(|| "gatepass".to_owned());
    let title = |text: &str| paint.faint(text);
    format!(
        "{}\n\n  {}\n  curl -sS -o /dev/null -w '%{{http_code}}\\n' -x http://{proxy} https://docs.python.org/3/\n\n  {}\n  curl -sS -x http://{proxy} https://example.org/\n\n  {}\n  {binary} why example.org --proxy http://{proxy}\n",
        paint.strong("Paste these into another terminal:"),
        title("# allowed"),
        title("# denied, before any DNS question"),
        title("# why"),
    )
}

/// Say so where names cannot be resolved: then the tour, which needs no network, is the better first look.
pub async fn look_outside(shared: &Shared, paint: Paint) {
    let Ok(host) = Host::parse(b"docs.python.org") else { return };
    if shared.resolver.resolve(&host).await.is_err() {
        let binary = std::env::args().next().unwrap_or_else(|| "gatepass".to_owned());
        eprintln!(
            "{} names cannot be resolved from here; the tour needs no network: {binary} demo",
            paint.bad("offline?")
        );
    }
}
