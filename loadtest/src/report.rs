//! What a run found: every figure of every target in every round, shown as medians.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{statistics, table};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// No proxy at all.
    Direct,
    /// Gatepass.
    Gatepass,
    /// Squid.
    Squid,
}

impl Target {
    const ALL: [Target; 3] = [Target::Direct, Target::Gatepass, Target::Squid];

    /// Its name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Target::Direct => "direct",
            Target::Gatepass => "gatepass",
            Target::Squid => "squid",
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Tunnels a second, flat out.
    ConnectRate,
    /// Proxy time for each.
    ConnectCpu,
    /// Microseconds of a tunnel at a steady rate: half take no longer.
    LatencyMedian,
    /// 99 of 100 take no longer.
    LatencyTail,
    /// Tunnels a second that begin with a ClientHello.
    HelloRate,
    /// Proxy time for each.
    HelloCpu,
    /// HTTP requests a second on kept connections.
    HttpRate,
    /// Proxy time for each.
    HttpCpu,
    /// Gigabytes (10^9) a second to the client.
    Download,
    /// Proxy seconds for each gigabyte.
    DownloadCpu,
    /// Gigabytes a second to the origin.
    Upload,
    /// Proxy seconds for each gigabyte.
    UploadCpu,
    /// Kilobytes (10^3) of resident memory for each idle tunnel.
    IdleMemory,
}

impl Figure {
    const ALL: [Figure; 13] = [
        Figure::ConnectRate,
        Figure::ConnectCpu,
        Figure::LatencyMedian,
        Figure::LatencyTail,
        Figure::HelloRate,
        Figure::HelloCpu,
        Figure::HttpRate,
        Figure::HttpCpu,
        Figure::Download,
        Figure::DownloadCpu,
        Figure::Upload,
        Figure::UploadCpu,
        Figure::IdleMemory,
    ];

    /// The name in JSON, the name in the table, and digits after the point.
    fn names(self) -> (&'static str, &'static str, usize) {
        match self {
            Figure::ConnectRate => ("connect_per_second", "CONNECT/s", 0),
            Figure::ConnectCpu => ("connect_cpu_us", "  proxy CPU µs each", 1),
            Figure::LatencyMedian => ("connect_p50_us", "CONNECT at a steady rate, p50 µs", 0),
            Figure::LatencyTail => ("connect_p99_us", "  p99 µs", 0),
            Figure::HelloRate => ("hello_per_second", "CONNECT + ClientHello/s", 0),
            Figure::HelloCpu => ("hello_cpu_us", "  proxy CPU µs each", 1),
            Figure::HttpRate => ("http_per_second", "HTTP keep-alive requests/s", 0),
            Figure::HttpCpu => ("http_cpu_us", "  proxy CPU µs each", 1),
            Figure::Download => ("download_gb_per_second", "download GB/s", 2),
            Figure::DownloadCpu => ("download_cpu_s_per_gb", "  proxy CPU s per GB", 3),
            Figure::Upload => ("upload_gb_per_second", "upload GB/s", 2),
            Figure::UploadCpu => ("upload_cpu_s_per_gb", "  proxy CPU s per GB", 3),
            Figure::IdleMemory => ("idle_tunnel_kb", "RSS per idle tunnel, kB", 1),
        }
    }
}

/// The figures of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was run, and how.
    pub settings: Vec<(&'static str, Value)>,
    /// What a reader must know to judge the figures.
    pub notes: Vec<String>,
    rounds: BTreeMap<(Figure, Target), Vec<f64>>,
}

impl Report {
    /// One figure of one round.
    pub fn add(&mut self, figure: Figure, target: Target, value: f64) {
        self.rounds.entry((figure, target)).or_default().push(value);
    }

    fn median(&self, figure: Figure, target: Target) -> Option<f64> {
        statistics::median(self.rounds.get(&(figure, target))?)
    }

    fn targets(&self) -> Vec<Target> {
        let measured = |target: &Target| self.rounds.keys().any(|(_, other)| other == target);
        Target::ALL.into_iter().filter(measured).collect()
    }

    fn figures(&self) -> impl Iterator<Item = Figure> {
        let measured = |figure: &Figure| self.rounds.keys().any(|(other, _)| other == figure);
        Figure::ALL.into_iter().filter(measured)
    }

    /// For people: medians with their spread, Gatepass over Squid where both ran, then the notes.
    pub fn text(&self) -> String {
        let targets = self.targets();
        let both = targets.contains(&Target::Gatepass) && targets.contains(&Target::Squid);
        let mut head = vec![String::new()];
        head.extend(targets.iter().map(|target| target.name().to_owned()));
        if both {
            head.push("gatepass / squid".to_owned());
        }
        let rows: Vec<Vec<String>> = (self.figures())
            .map(|figure| {
                let mut row = vec![figure.names().1.to_owned()];
                row.extend(targets.iter().map(|target| self.cell(figure, *target)));
                if both {
                    row.push(self.ratio(figure));
                }
                row
            })
            .collect();
        let settings = self.settings.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name}: {text}\n"),
            other => format!("{name}: {other}\n"),
        });
        let notes = self.notes.iter().map(|note| format!("- {note}\n"));
        format!("{}\n{}\n{}", settings.collect::<String>(), table::render(&head, &rows), notes.collect::<String>())
    }

    fn cell(&self, figure: Figure, target: Target) -> String {
        let (_, _, digits) = figure.names();
        let Some(values) = self.rounds.get(&(figure, target)) else { return String::new() };
        let median = statistics::median(values).map(|median| table::number(median, digits));
        let spread = statistics::spread(values).map(|spread| format!(" ±{:>2.0} %", spread * 100.0));
        median.unwrap_or_default() + &spread.unwrap_or_default()
    }

    fn ratio(&self, figure: Figure) -> String {
        match (self.median(figure, Target::Gatepass), self.median(figure, Target::Squid)) {
            (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
            _ => String::new(),
        }
    }

    /// For programs: medians and every round.
    pub fn json(&self) -> Value {
        let settings: serde_json::Map<String, Value> =
            self.settings.iter().map(|(name, value)| ((*name).replace(' ', "_"), value.clone())).collect();
        let figures: serde_json::Map<String, Value> = (self.figures())
            .map(|figure| {
                let targets: serde_json::Map<String, Value> = (self.targets().into_iter())
                    .filter_map(|target| {
                        let rounds = self.rounds.get(&(figure, target))?;
                        let found = json!({"median": statistics::median(rounds), "rounds": rounds});
                        Some((target.name().to_owned(), found))
                    })
                    .collect();
                (figure.names().0.to_owned(), Value::Object(targets))
            })
            .collect();
        json!({"settings": settings, "figures": figures, "notes": self.notes})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report { settings: vec![("idle tunnels", json!(9_000))], ..Report::default() };
        report.notes.push("quiet".to_owned());
        for value in [15_000.0, 16_000.0, 14_000.0] {
            report.add(Figure::ConnectRate, Target::Squid, value);
            report.add(Figure::ConnectRate, Target::Gatepass, value * 1.2);
        }
        report.add(Figure::IdleMemory, Target::Squid, 32.71);
        report
    }

    #[test]
    fn the_table_has_medians_and_what_was_not_measured_is_empty() {
        let wanted = "\
idle tunnels: 9000

|                         |     gatepass |        squid | gatepass / squid |
| ----------------------- | -----------: | -----------: | ---------------: |
| CONNECT/s               | 18,000 ± 7 % | 15,000 ± 7 % |             1.20 |
| RSS per idle tunnel, kB |              |   32.7 ± 0 % |                  |

- quiet
";
        assert_eq!(report().text(), wanted);
    }

    #[test]
    fn json_has_every_round() {
        let json = report().json();
        assert_eq!(json["settings"]["idle_tunnels"], 9_000);
        assert_eq!(json["figures"]["connect_per_second"]["squid"]["median"], 15_000.0);
        assert_eq!(json["figures"]["connect_per_second"]["squid"]["rounds"], json!([15_000.0, 16_000.0, 14_000.0]));
        assert_eq!(json["figures"]["idle_tunnel_kb"].get("gatepass"), None);
    }

    #[test]
    fn every_figure_has_names_of_its_own() {
        let mut keys: Vec<&str> = Figure::ALL.iter().map(|figure| figure.names().0).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), Figure::ALL.len());
    }
}
