//! Programs that people use, run as they run them: by their own settings, with the proxy from the environment.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that a program may take: a virtual machine that starts on a crowded processor, and then some.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program does for a user.
#[derive(Clone, Debug)]
pub struct Errand<'a> {
    /// What it is to fetch.
    pub url: &'a str,
    /// The proxy's URL, with credentials where they are part of the scenario.
    pub proxy: &'a str,
    /// The authority that vouches for the origin, in PEM.
    pub ca: &'a Path,
    /// The user's home, empty at first.
    pub home: &'a Path,
}

/// What its user saw.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The exit code, or -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Shown {
    /// Everything on the terminal.
    pub fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// A program by its name on the path.
///
/// # Panics
/// Where it is missing: a scenario that cannot be played has failed.
pub fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is missing: run `./tests/run`, which installs it"))
}

/// A program, or part of one, below `target/test-tools`.
///
/// # Panics
/// Where it is missing.
pub fn tool(path: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools").join(path);
    assert!(place.exists(), "`target/test-tools/{path}` is missing: run `./tests/run`, which installs it");
    place
}

/// A client program of our own, a few lines each: `tests/clients/NAME`.
pub fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Run `program` on an errand, in the environment that an administrator would give to all programs of a machine: the
/// proxy and the authority, each under every name that some program reads. Nothing else is inherited.
pub fn prepare(program: &Path, errand: &Errand<'_>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(errand.home).env("HOME", errand.home).env("LANG", "C.UTF-8");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
        command.env(name, errand.proxy);
    }
    let authority =
        ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"];
    for name in authority {
        command.env(name, errand.ca);
    }
    // Node reads the proxy only when told to; the others are kept from the settings of this machine.
    command.env("NODE_USE_ENV_PROXY", "1");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
    command.env("PIP_CONFIG_FILE", "/dev/null").env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_NO_CACHE_DIR", "1");
    command
}

/// A line of shell that uses these `programs`, with the URL as `$0`.
///
/// # Panics
/// Where one of them is missing.
pub fn shell(programs: &[&str], line: &str, errand: &Errand<'_>) -> Command {
    for program in programs {
        installed(program);
    }
    let mut command = prepare(&installed("sh"), errand);
    command.args(["-c", line, errand.url]);
    command
}

/// Run it to its end.
///
/// # Panics
/// Where it does not end in time: a client that hangs is a finding.
pub fn run(mut command: Command) -> Shown {
    let described = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{described}: {error}"));
    let out = collect(child.stdout.take().unwrap());
    let err = collect(child.stderr.take().unwrap());
    let code = wait(&mut child);
    if code.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let shown = Shown { code: code.unwrap_or(-1), out: out.join().unwrap(), err: err.join().unwrap() };
    assert!(code.is_some(), "{described} did not end in {PATIENCE:?}: {shown:#?}");
    shown
}

fn wait(child: &mut Child) -> Option<i32> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code().unwrap_or(-1));
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    None
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
