//! Gatepass, as its users start it: a configuration file, a bundle of 1,000 rules, records on.

use std::ffi::OsStr;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::{Running, Starting, Surroundings};
use crate::scratch::Scratch;
use crate::{Failure, names};

/// What the bundle asks of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guardrail {
    /// Nothing: any bytes may flow, and no ClientHello is waited for.
    None,
    /// TLS with the name that was asked for.
    Agreement,
}

/// Start `program` and wait until it is ready.
pub async fn start(program: &Path, guardrail: Guardrail, around: &Surroundings) -> Result<Running, Failure> {
    let files = Scratch::new(&around.scratch, "gatepass")?;
    files.write("policy/bundle.yaml", BUNDLE)?;
    files.write("policy/load.yaml", &fragment(around.ports, expiry()?))?;
    match guardrail {
        Guardrail::None => {}
        Guardrail::Agreement => drop(files.write("policy/guardrails.yaml", &guardrails(expiry()?))?),
    }
    let config = files.write("gatepass.yaml", &configuration(around.dns))?;
    let (log, records) = (files.path().join("log"), files.path().join("records"));

    let arguments = [OsStr::new("serve"), OsStr::new("--config"), config.as_os_str()];
    let mut starting = Starting::begin(program, &arguments, around, &log, &records)?;
    let address = starting.wait("gatepass", async |said: &str| listening(said)).await?;
    Ok(Running { address, pid: starting.pid, records, child: starting.child, _files: files })
}

/// The first listener's address, once it says that it is ready.
fn listening(said: &str) -> Option<SocketAddr> {
    // The last line may not be whole yet.
    let (whole, _) = said.rsplit_once('\n')?;
    let mut lines = whole.lines();
    let address = lines.find(|line| line.trim_start().starts_with("listening"))?.split_whitespace().last()?;
    lines.any(|line| line.contains("ready")).then(|| address.parse().ok())?
}

fn configuration(dns: SocketAddr) -> String {
    format!(
        r#"listeners:
  - {{name: load, bind: "127.0.0.1:0", protocol: http}}
floor: {{development_loopback: true}}
policy: {{bundle: ./policy, reload: signal}}
dns: {{servers: ["{dns}"], timeout: 2s}}
evidence: {{stdout: json}}
limits: {{drain_timeout: 1s}}
"#
    )
}

const BUNDLE: &str = "\
apiVersion: gatepass/v1
kind: Bundle
metadata: {id: load, owner: load@example.com}
data_classes:
  - {id: unclassified, description: not labelled by anyone}
lifetimes: {default: 30d}
fragments:
  - id: destinations
    owner: load@example.com
    scope: {identities: any, destinations: any, data_classes: any, egress_points: [direct]}
";

/// One rule for each name.
fn fragment(ports: [u16; 4], expires: Timestamp) -> String {
    let mut text = "\
apiVersion: gatepass/v1
kind: Fragment
metadata: {id: destinations, owner: load@example.com}
rules:
"
    .to_owned();
    for number in 0..usize::from(names::COUNT) {
        let host = names::name(number);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "  - id: rule-{number:04}
    action: allow
    purpose: load
    anyone: true
    destinations: {{hosts: [\"{host}\"], cidrs: [\"127.0.0.0/8\"], ports: {ports:?}}}
    data_classes: {{at_most: [unclassified]}}
    expires: \"{expires:.0}\"
"
        );
    }
    text
}

fn guardrails(review_by: Timestamp) -> String {
    format!(
        r#"apiVersion: gatepass/v1
kind: Guardrails
metadata: {{id: guard, owner: load@example.com}}
rules:
  - id: names-agree
    action: deny
    purpose: what was asked for is what is spoken to
    lifted_by: []
    review_by: "{review_by:.0}"
    when: tls.present && tls.sni != destination.host
  - id: only-tls
    action: deny
    purpose: nothing but TLS
    lifted_by: []
    review_by: "{review_by:.0}"
    when: request.protocol != "http" && !tls.present
"#
    )
}

/// Long after the run, well within the bundle's lifetimes.
fn expiry() -> Result<Timestamp, Failure> {
    Timestamp::now().checked_add(SignedDuration::from_hours(7 * 24)).map_err(Failure::at("the clock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_known_when_it_is_ready() {
        let said = "gatepass 0.1\nlistening on load http 127.0.0.1:41234\n";
        assert_eq!(listening(said), None, "not ready");
        let ready = format!("{said}ready: 1,000 rules\n");
        assert_eq!(listening(&ready), Some("127.0.0.1:41234".parse().unwrap()));
        assert_eq!(listening("ready\n"), None);
        assert_eq!(listening("listening on load http 127.0.0.1:412"), None);
    }

    #[test]
    fn there_is_a_rule_for_each_name() {
        let text = fragment([1, 2, 3, 4], Timestamp::UNIX_EPOCH);
        assert_eq!(text.matches("- id: rule-").count(), 1_000);
        assert!(text.contains("hosts: [\"svc-0999.bench.test\"], cidrs: [\"127.0.0.0/8\"], ports: [1, 2, 3, 4]}\n"));
        assert!(text.contains("expires: \"1970-01-01T00:00:00Z\"\n"));
    }
}
