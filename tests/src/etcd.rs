//! A real etcd cluster: three members on loopback, mutual TLS on every port, and ways to break it.

mod relay;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gatepass_certs::mint::{Ca, Leaf, Name, Usage};
use serde_json::Value;

use self::relay::Relays;
use crate::gateway::hour;
use crate::programs::installed;
use crate::{PATIENCE, Scratch};

/// Members of a cluster: the least of which one can be missing.
const MEMBERS: usize = 3;

/// Clusters that are tried: ports that were free a moment ago may be taken.
const TRIES: usize = 5;

/// A running cluster. It ends with the test.
pub struct Cluster {
    // First, since the first is dropped first: what runs has its files to the end.
    members: Vec<Member>,
    relays: Relays,
    scratch: Scratch,
    ca: Ca,
}

struct Member {
    client: u16,
    /// Where it listens for the others, and where they reach it.
    peer: u16,
    relay: u16,
    child: Option<Child>,
    stopped: bool,
}

/// The files that a client of etcd is given.
#[derive(Clone, Debug)]
pub struct Files {
    /// Who vouches for the cluster.
    pub ca: PathBuf,
    /// What the client proves itself with.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Files {
    /// The `tls` key of a configuration.
    pub fn section(&self) -> String {
        let Files { ca, certificate, key } = self;
        format!(
            "tls: {{ca: \"{}\", certificate: \"{}\", key: \"{}\"}}",
            ca.display(),
            certificate.display(),
            key.display()
        )
    }
}

impl Cluster {
    /// Start one, and wait until it has a leader and every member answers.
    pub fn start() -> Cluster {
        let scratch = Scratch::new();
        let ca = Ca::root("etcd authority", hour()).unwrap();
        scratch.write("ca.pem", ca.pem());
        let (members, relays) = places();
        let mut cluster = Cluster { members, relays, scratch, ca };
        cluster.mint("member", &[Usage::Server, Usage::Client]);
        cluster.mint("gateway", &[Usage::Client]);
        cluster.mint("root", &[Usage::Client]);
        for _ in 0..TRIES {
            (0..MEMBERS).for_each(|member| cluster.launch(member, "new"));
            if cluster.settled() {
                return cluster;
            }
            cluster.members.clear();
            (cluster.members, cluster.relays) = places();
            let _ = std::fs::remove_dir_all(cluster.scratch.path().join("data"));
        }
        panic!("etcd does not start: {}", cluster.log(0));
    }

    /// The URLs of all members.
    pub fn endpoints(&self) -> Vec<String> {
        (0..MEMBERS).map(|member| self.endpoint(member)).collect()
    }

    /// The URL of one member.
    pub fn endpoint(&self, member: usize) -> String {
        format!("https://127.0.0.1:{}", self.members[member].client)
    }

    /// The files of the client whose common name is `gateway`.
    pub fn files(&self) -> Files {
        self.files_of("gateway")
    }

    /// The key `tls: {…}` of a configuration, for the client `gateway`.
    pub fn tls_section(&self) -> String {
        self.files().section()
    }

    /// The section `state` of a gateway's configuration.
    pub fn state_section(&self) -> String {
        let endpoints: Vec<String> = self.endpoints().iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
        format!("state: {{store: {{etcd: {{endpoints: [{}], {}}}}}}}", endpoints.join(", "), self.tls_section())
    }

    /// A certificate of the cluster's authority for a client with this common name.
    pub fn client(&self, name: &str) -> Files {
        self.mint(name, &[Usage::Client]);
        self.files_of(name)
    }

    /// Which member leads; waits for one.
    pub fn leader(&self) -> usize {
        let end = Instant::now() + PATIENCE;
        loop {
            for member in (0..MEMBERS).filter(|member| self.runs(*member)) {
                let status = self.status(member);
                if let Some((own, leader)) = status
                    && own == leader
                {
                    return member;
                }
            }
            assert!(Instant::now() < end, "the cluster has no leader");
        }
    }

    /// Kill a member, as a crash of its machine would.
    pub fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.members[member].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.members[member].stopped = false;
    }

    /// Start a member that was killed, with what is on its disk, and wait until it answers: a majority must run.
    pub fn restart(&mut self, member: usize) {
        self.launch(member, "existing");
        self.await_answer(member);
    }

    fn await_answer(&self, member: usize) {
        let end = Instant::now() + PATIENCE;
        while self.status(member).is_none() {
            assert!(Instant::now() < end, "member {member} does not come back: {}", self.log(member));
        }
    }

    /// Start every member that was killed, and wait until each answers.
    pub fn restart_all(&mut self) {
        let missing: Vec<usize> = (0..MEMBERS).filter(|member| self.members[*member].child.is_none()).collect();
        missing.iter().for_each(|member| self.launch(*member, "existing"));
        missing.iter().for_each(|member| self.await_answer(*member));
    }

    /// Stop a member where it stands: its connections stay open, and nothing comes out of them.
    pub fn pause(&mut self, member: usize) {
        self.signal(member, "-STOP");
        self.members[member].stopped = true;
    }

    /// Let a member that was paused go on.
    pub fn resume(&mut self, member: usize) {
        self.signal(member, "-CONT");
        self.members[member].stopped = false;
    }

    /// Cut a member off from the others, both ways; clients still reach it.
    pub fn partition(&mut self, member: usize) {
        self.relays.cut(member);
    }

    /// Let the member that was cut off come back.
    pub fn heal(&mut self) {
        self.relays.heal();
    }

    /// Run `etcdctl` as the client `root`.
    pub fn etcdctl(&self, arguments: &[&str]) -> Output {
        self.etcdctl_at(&self.endpoints().join(","), arguments)
    }

    /// Run `etcdctl` as the client `root`, and return what it printed.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.etcdctl(arguments);
        assert!(output.status.success(), "etcdctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn etcdctl_at(&self, endpoints: &str, arguments: &[&str]) -> Output {
        let Files { ca, certificate, key } = self.files_of("root");
        let mut command = Command::new(installed("etcdctl"));
        command.env_clear().env("ETCDCTL_API", "3").arg("--endpoints").arg(endpoints);
        command.arg("--cacert").arg(ca).arg("--cert").arg(certificate).arg("--key").arg(key);
        command.args(["--dial-timeout", "1s", "--command-timeout", "2s"]);
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// The identifiers of a member and of its leader; nothing where it does not answer, or has no leader.
    fn status(&self, member: usize) -> Option<(Value, Value)> {
        let output = self.etcdctl_at(&self.endpoint(member), &["endpoint", "status", "--write-out", "json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        let status = &answer[0]["Status"];
        let (own, leader) = (status["header"]["member_id"].clone(), status["leader"].clone());
        (output.status.success() && own.is_u64() && leader.is_u64()).then_some((own, leader))
    }

    fn files_of(&self, name: &str) -> Files {
        let at = |name: String| self.scratch.path().join(name);
        Files { ca: at("ca.pem".to_owned()), certificate: at(format!("{name}.pem")), key: at(format!("{name}.key")) }
    }

    fn mint(&self, name: &str, usages: &[Usage]) {
        let names = vec![Name::Ip(Ipv4Addr::LOCALHOST.into()), Name::Dns("localhost".to_owned())];
        let leaf = Leaf { common_name: Some(name.to_owned()), usages: usages.to_vec(), ..Leaf::client(names, hour()) };
        let issued = self.ca.issue(&leaf).unwrap();
        self.scratch.write(&format!("{name}.pem"), issued.chain_pem());
        self.scratch.write(&format!("{name}.key"), issued.key_pem());
    }

    fn launch(&mut self, member: usize, state: &str) {
        let url = |port: u16| format!("https://127.0.0.1:{port}");
        let everybody: Vec<String> = self
            .members
            .iter()
            .enumerate()
            .map(|(number, member)| format!("m{number}={}", url(member.relay)))
            .collect();
        let Files { ca, certificate, key } = self.files_of("member");
        let Member { client, peer, relay, .. } = &self.members[member];
        let (client, peer, relay) = (url(*client), url(*peer), url(*relay));
        let log = File::create(self.scratch.path().join(format!("m{member}.log"))).unwrap();
        let mut command = Command::new(installed("etcd"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg("--data-dir").arg(self.scratch.path().join(format!("data/m{member}")));
        command.args(["--name", &format!("m{member}"), "--initial-cluster", &everybody.join(",")]);
        command.args(["--initial-cluster-state", state, "--initial-cluster-token", "gatepass-test"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &relay]);
        for (flag, file) in [("trusted-ca-file", &ca), ("cert-file", &certificate), ("key-file", &key)] {
            command.arg(format!("--{flag}")).arg(file).arg(format!("--peer-{flag}")).arg(file);
        }
        command.args(["--client-cert-auth", "--peer-client-cert-auth", "--logger", "zap", "--log-level", "warn"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        self.relays.is(member, Some(child.id()));
        self.members[member].child = Some(child);
    }

    /// Whether a cluster that was launched comes to work; no, where a member ends.
    fn settled(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.members.iter_mut().any(|member| !member.lives()) {
                return false;
            }
            if (0..MEMBERS).all(|member| self.status(member).is_some_and(|(_, leader)| leader != 0)) {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        false
    }

    fn runs(&self, member: usize) -> bool {
        self.members[member].child.is_some() && !self.members[member].stopped
    }

    fn signal(&self, member: usize, signal: &str) {
        let id = self.members[member].child.as_ref().expect("the member runs").id().to_string();
        assert!(Command::new(installed("kill")).args([signal, &id]).status().unwrap().success());
    }

    fn log(&self, member: usize) -> String {
        std::fs::read_to_string(self.scratch.path().join(format!("m{member}.log"))).unwrap_or_default()
    }
}

impl Member {
    fn lives(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // SIGKILL reaches a stopped process as well.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ports that were free a moment ago: etcd takes none of the system's choice, since its members have to know them.
fn places() -> (Vec<Member>, Relays) {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
    let sockets: Vec<[TcpListener; 3]> = (0..MEMBERS).map(|_| [bind(), bind(), bind()]).collect();
    let mut members = Vec::new();
    let mut relays = Vec::new();
    for [client, peer, relay] in sockets {
        let (client, peer) = (port(&client), port(&peer));
        members.push(Member { client, peer, relay: port(&relay), child: None, stopped: false });
        relays.push((relay, peer));
    }
    (members, Relays::start(relays))
}
