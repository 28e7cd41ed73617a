//! A real OpenTelemetry collector: Rotel, which prints every log record that it takes.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Scratch, eventually};

/// The version that `tests/tools/python.txt` names.
const PACKAGE: &str = "rotel==0.0.1a15";

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otlp {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

/// Where a collector is going to listen, whether it runs or not.
#[derive(Debug)]
pub struct Place {
    grpc: SocketAddr,
    http: SocketAddr,
}

impl Place {
    /// Ports that were free a moment ago: Rotel takes no port of the system's choice.
    pub fn find() -> Place {
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [grpc, http] = sockets.map(|socket| socket.local_addr().unwrap());
        Place { grpc, http }
    }

    /// The `evidence` section that sends there.
    pub fn evidence(&self, otlp: Otlp) -> String {
        let word = match otlp {
            Otlp::Grpc => "grpc",
            Otlp::Http => "http",
        };
        format!("evidence: {{stdout: json, otlp: {{endpoint: \"{}\", protocol: {word}}}}}", self.endpoint(otlp))
    }

    /// The URL to send to.
    pub fn endpoint(&self, otlp: Otlp) -> String {
        let address = match otlp {
            Otlp::Grpc => self.grpc,
            Otlp::Http => self.http,
        };
        format!("http://{address}")
    }
}

/// A running collector. It ends with the test.
pub struct Collector {
    child: Child,
    scratch: Scratch,
}

impl Collector {
    /// Start one there, and wait until it listens.
    pub fn start(place: &Place) -> Collector {
        Collector::with(place, &["--debug-log", "logs", "--debug-log-verbosity", "detailed"])
    }

    /// As [`Collector::start`], but it prints metrics and traces.
    pub fn of_telemetry(place: &Place) -> Collector {
        Collector::with(
            place,
            &["--debug-log", "metrics", "--debug-log", "traces", "--debug-log-verbosity", "detailed"],
        )
    }

    /// Everything printed so far.
    pub fn told(&self) -> String {
        text(&self.scratch.path().join("out"))
    }

    /// As [`Collector::start`], but it prints nothing: for measurements.
    pub fn quiet(place: &Place) -> Collector {
        Collector::with(place, &[])
    }

    fn with(place: &Place, more: &[&str]) -> Collector {
        let scratch = Scratch::new();
        let out = File::create(scratch.path().join("out")).unwrap();
        let mut child = Command::new(agent())
            .arg("start")
            .args(["--otlp-grpc-endpoint", &place.grpc.to_string(), "--otlp-http-endpoint", &place.http.to_string()])
            .args(["--exporter", "blackhole"])
            .args(more)
            .arg("--pid-file")
            .arg(scratch.path().join("pid"))
            .arg("--log-file")
            .arg(scratch.path().join("log"))
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap();
        let told = scratch.path().join("out");
        eventually("the collector listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the collector ended with {status}:\n{}", text(&told));
            }
            (TcpStream::connect(place.grpc).is_ok() && TcpStream::connect(place.http).is_ok()).then_some(())
        });
        Collector { child, scratch }
    }

    /// Kill it, as a machine does that fails; everything that it had printed until then.
    pub fn kill(&mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.records()
    }

    /// Every log record taken so far, as the collector prints it.
    pub fn records(&self) -> Vec<String> {
        let told = text(&self.scratch.path().join("out"));
        told.split("LogRecord #").skip(1).map(str::to_owned).collect()
    }

    /// The record of this event about this decision, once it is there.
    pub fn record(&self, event: &str, id: &str) -> String {
        let (event, id) = (format!("EventName: {event}\n"), format!("gatepass.decision.id: Str({id})"));
        eventually(&format!("the collector has {event}"), || {
            self.records().into_iter().find(|record| record.contains(&event) && record.contains(&id))
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The collector's program, in the virtual environment of the tests.
fn agent() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/suite-…
    let beside = test.ancestors().nth(3).unwrap().join("test-tools/venv");
    let venv = std::env::var_os("GATEPASS_TEST_VENV").map_or(beside, PathBuf::from);
    let versions = std::fs::read_dir(venv.join("lib")).into_iter().flatten().flatten();
    let found =
        versions.map(|python| python.path().join("site-packages/rotel/rotel-agent")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        let venv = venv.display();
        panic!(
            "Rotel is missing: run `./tests/run`, which installs it, or `python3 -m venv {venv} && {venv}/bin/pip install --only-binary=:all: {PACKAGE}`"
        )
    })
}
