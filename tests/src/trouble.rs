//! Trouble for a running process: system calls that fail or take their time, by `strace`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Faults of a process, for as long as this lives.
pub struct Trouble {
    strace: Child,
}

impl Trouble {
    /// Inject into the process of this id, as `strace` writes it: `pwrite64:error=ENOSPC`.
    pub fn with(process: u32, faults: &[&str]) -> Trouble {
        let calls: Vec<&str> = faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={}", calls.join(","))]);
        for fault in faults {
            command.args(["-e", &format!("inject={fault}")]);
        }
        command.args(["-p", &process.to_string()]).stdin(Stdio::null()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut strace = started.unwrap_or_else(|error| panic!("strace (a Debian package) cannot be run: {error}"));
        let mut told = BufReader::new(strace.stderr.take().unwrap()).lines().map_while(Result::ok);
        let attached = told.find(|line| line.contains("attached") || line.contains("ptrace"));
        assert!(attached.as_ref().is_some_and(|line| line.contains("attached")), "strace: {attached:?}");
        // Whatever else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || told.for_each(drop));
        Trouble { strace }
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        // A terminated strace lets go of the process; a killed one may leave it stopped.
        let _ = Command::new("kill").args(["-TERM", &self.strace.id().to_string()]).status();
        let _ = self.strace.wait();
    }
}
