//! The real binary, running: started from files, read from its output, stopped at the end of the test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use gatepass_certs::mint::{Ca, Leaf, Name, Validity};
use serde_json::Value;

use crate::{Bundle, Client, Resolver, Scratch, eventually};

/// Where the binary under test lies: beside the test binaries, or where `GATEPASS_BINARY` says.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("GATEPASS_BINARY") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("gatepass");
    assert!(path.is_file(), "`{}` is missing: run `cargo build --workspace` first", path.display());
    path
}

/// What a gateway is started from.
pub struct Setup {
    /// Files of this gateway.
    pub scratch: Scratch,
    /// The DNS server that it asks.
    pub resolver: Resolver,
    /// An authority for everything that a test mints.
    pub ca: Ca,
    listeners: Vec<String>,
    sections: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// A plain listener named `plain`, an empty bundle, a scripted resolver, the development floor.
    pub fn new() -> Setup {
        Setup {
            scratch: Scratch::new(),
            resolver: Resolver::start(),
            ca: Ca::root("test authority", hour()).unwrap(),
            listeners: vec!["{name: plain, bind: \"127.0.0.1:0\", protocol: http}".to_owned()],
            sections: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Write the bundle's files; those of an earlier bundle are removed.
    pub fn bundle(&self, bundle: &Bundle) {
        let directory = self.scratch.path().join("policy");
        let _ = std::fs::remove_dir_all(&directory);
        for (name, text) in bundle.files() {
            self.scratch.write(&format!("policy/{name}"), text);
        }
    }

    /// Another listener, as in the configuration.
    #[must_use]
    pub fn listener(mut self, text: &str) -> Setup {
        self.listeners.push(text.to_owned());
        self
    }

    /// Another section of the configuration.
    #[must_use]
    pub fn section(mut self, text: &str) -> Setup {
        self.sections.push(text.to_owned());
        self
    }

    /// Another variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A TLS listener named `mesh` that asks for client certificates of `ca`: `required` or `optional`.
    #[must_use]
    pub fn mesh(self, presence: &str) -> Setup {
        let gateway = self.ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
        self.scratch.write("gateway.pem", gateway.chain_pem());
        self.scratch.write("gateway.key", gateway.key_pem());
        self.scratch.write("clients-ca.pem", self.ca.pem());
        self.listener(&format!(
            "{{name: mesh, bind: \"127.0.0.1:0\", protocol: https, tls: {{certificate: gateway.pem, key: gateway.key, client_ca: clients-ca.pem, client_certificate: {presence}}}}}"
        ))
    }

    /// Static tokens: entries as [`crate::identities::token`] writes them.
    #[must_use]
    pub fn tokens(self, entries: &[String]) -> Setup {
        self.scratch.write("tokens.yaml", entries.iter().map(|entry| format!("- {entry}\n")).collect::<String>());
        self.section("identity: {tokens: tokens.yaml}")
    }

    /// Write the configuration file.
    pub fn configure(&self) -> PathBuf {
        let has = |key: &str| self.sections.iter().any(|section| section.starts_with(key));
        let mut text =
            format!("listeners:\n{}", self.listeners.iter().map(|l| format!("  - {l}\n")).collect::<String>());
        for section in &self.sections {
            text += &format!("{section}\n");
        }
        let defaults = [
            ("floor:", "floor: {development_loopback: true}\n".to_owned()),
            ("policy:", "policy: {bundle: ./policy, reload: watch}\n".to_owned()),
            ("dns:", format!("dns: {{servers: [\"{}\"], timeout: 2s}}\n", self.resolver.address())),
            ("evidence:", "evidence: {stdout: json}\n".to_owned()),
            ("admin:", "admin: {bind: \"127.0.0.1:0\"}\n".to_owned()),
        ];
        for (key, line) in defaults {
            if !has(key) {
                text += &line;
            }
        }
        self.scratch.write("gatepass.yaml", text)
    }

    /// Start it with this bundle, and wait until it listens.
    pub fn start(self, bundle: &Bundle) -> Gateway {
        self.bundle(bundle);
        Gateway::start(Arc::new(self))
    }
}

impl Default for Setup {
    fn default() -> Setup {
        Setup::new()
    }
}

/// From shortly ago until in an hour.
pub fn hour() -> Validity {
    Validity::from(jiff::Timestamp::now(), jiff::SignedDuration::from_hours(1)).unwrap()
}

/// A running gateway.
pub struct Gateway {
    child: Child,
    /// What it was started from.
    pub setup: Arc<Setup>,
    records: Arc<Mutex<Vec<Value>>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    fn start(setup: Arc<Setup>) -> Gateway {
        let config = setup.configure();
        let mut child = Command::new(binary())
            .args(["serve", "--config"])
            .arg(&config)
            .envs(setup.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let records: Arc<Mutex<Vec<Value>>> = Arc::default();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = Arc::clone(&records);
        collect(child.stdout.take().unwrap(), move |line| {
            let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            keep.lock().unwrap().push(value);
        });
        let keep = Arc::clone(&log);
        collect(child.stderr.take().unwrap(), move |line| keep.lock().unwrap().push(line));
        let mut gateway = Gateway { child, setup, records, log };
        eventually("the gateway is ready", || {
            if let Some(status) = gateway.child.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{}", gateway.log());
            }
            gateway.log().contains("ready").then_some(())
        });
        gateway
    }

    /// Everything on standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Where the listener of this name listens.
    pub fn address(&self, name: &str) -> SocketAddr {
        let log = self.log.lock().unwrap();
        let line = log.iter().find(|line| line.starts_with("listening") && line.contains(&format!(" {name} ")));
        let line = line.unwrap_or_else(|| panic!("no listener `{name}` in {log:?}"));
        line.split_whitespace().last().unwrap().parse().unwrap()
    }

    /// The plain listener.
    pub fn plain(&self) -> SocketAddr {
        self.address("plain")
    }

    /// Its URL, as for `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.plain())
    }

    /// A client of the plain listener.
    pub fn client(&self) -> Client {
        Client::plain(self.plain())
    }

    /// A client of the TLS listener; the error is the handshake's.
    pub fn mesh(&self, config: &Arc<rustls::ClientConfig>) -> std::io::Result<Client> {
        Client::tls(self.address("mesh"), config)
    }

    /// Every record so far.
    pub fn records(&self) -> Vec<Value> {
        self.records.lock().unwrap().clone()
    }

    /// Decision records so far.
    pub fn decisions(&self) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["kind"] == "decision").collect()
    }

    /// Decision records, once there are so many.
    pub fn decided(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} decisions are recorded"), || {
            let decisions = self.decisions();
            (decisions.len() >= count).then_some(decisions)
        })
    }

    /// The decision of this id, once it is there.
    pub fn decision(&self, id: &str) -> Value {
        eventually(&format!("the decision {id} is recorded"), || {
            self.decisions().into_iter().find(|record| record["id"] == id)
        })
    }

    /// The close of this id, once it is there.
    pub fn close(&self, id: &str) -> Value {
        eventually(&format!("the close of {id} is recorded"), || {
            self.records().into_iter().find(|record| record["kind"] == "close" && record["id"] == id)
        })
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Send it a signal: `TERM`, `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Wait until it ends, and return its exit code.
    pub fn wait(&mut self) -> i32 {
        let child = &mut self.child;
        let status = eventually("the gateway ends", || child.try_wait().unwrap());
        status.code().unwrap_or(-1)
    }

    /// The same gateway once more, on the files of this one, which has ended.
    pub fn start_again(&self) -> Gateway {
        Gateway::start(Arc::clone(&self.setup))
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.setup.scratch.path()
    }

    /// The directory of its spool, unless the configuration says otherwise.
    pub fn spool(&self) -> PathBuf {
        self.path().join("gatepass-data/evidence")
    }

    /// What `gatepass evidence` says about its spool, which it may be writing to.
    pub fn evidence(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(binary());
        let output = command.arg("evidence").args(arguments).current_dir(self.path()).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "evidence {arguments:?}: {}\n{out}{err}", output.status);
        out
    }

    /// Every record in its spool.
    pub fn exported(&self) -> Vec<Value> {
        self.evidence(&["export"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}\n--- its records", self.log());
            self.records().iter().for_each(|record| eprintln!("{record}"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl Read + Send + 'static, mut keep: impl FnMut(String) + Send + 'static) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            keep(line);
        }
    });
}
