//! The command line: one binary, a file per command, exit codes in one enum.

/// As std's macro of this name, but for readers that stop when they have read enough (`| head`): std's panics.
macro_rules! print {
    ($($text:tt)*) => { $crate::cli::overrides::out(format_args!($($text)*)) };
}

/// The same with the end of a line.
macro_rules! println {
    () => { print!("\n") };
    ($($text:tt)*) => { print!("{}\n", format_args!($($text)*)) };
}

mod exit;

mod serve;

mod quickstart;

mod demo;

mod check;

mod annotations;

mod test;

mod bundle;

mod explain;

mod import;

mod upstream;

mod analysed;

mod reach;

mod diff;

mod review;

mod replay;

mod suggest;

mod why;

mod ask;

mod operator;

mod operators;

mod tunnels;

mod overrides;

mod grant;

mod exception;

mod containment;

mod login;

mod answers;

mod evidence;

mod certs;

mod style;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gatepass_config::limits::Limits;
use gatepass_policy::PolicySet;
use gatepass_policy::source::SourceFile;

pub use exit::Exit;

use crate::bundle::Delivered;

/// Egress forward proxy with a policy engine: every connection decided, explained and recorded.
#[derive(Parser)]
#[command(name = "gatepass", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway; without a configuration, the quickstart.
    Serve(serve::Arguments),
    /// The guided tour, offline: a throw-away CA, an origin and a gateway on loopback, a scene per capability.
    Demo(demo::Arguments),
    /// Compile a bundle and report everything that is wrong with it.
    Check(check::Arguments),
    /// Run the tests of a bundle: whether the policy says what they expect, and what of it they exercise.
    Test(test::Arguments),
    /// Signed, numbered archives of a bundle: build, sign, verify.
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Decide offline, and show why.
    Explain(explain::Arguments),
    /// Who can reach a host, or what an identity can reach.
    Reach(reach::Arguments),
    /// Who gains and who loses what from one bundle to another.
    Diff(diff::Arguments),
    /// Rules of no use, rules that allow the same, what ends soon, and how wide each owner's rules are.
    Review(review::Arguments),
    /// Another proxy's access list as a bundle, with word of every line that could not be carried over.
    Import(import::Arguments),
    /// What a bundle would have decided on recorded traffic: who gains, who loses, what it would cut.
    Replay(replay::Arguments),
    /// A fragment that allows what was observed, for review.
    Suggest(suggest::Arguments),
    /// Ask a running gateway why the caller was denied.
    Why(why::Arguments),
    /// What is open now: see it, see what another bundle would cut, cut it.
    #[command(subcommand)]
    Tunnels(tunnels::Command),
    /// Break-glass: access that no rule gives, for a short time, with two people or a one-time code.
    #[command(subcommand)]
    Grant(grant::Command),
    /// Exceptions: asked for by who was denied, approved by somebody else, over by themselves.
    #[command(subcommand)]
    Exception(exception::Command),
    /// The containment mode.
    #[command(subcommand)]
    Mode(containment::Command),
    /// The records: follow them, ask them, take them along.
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Log in as an operator at the identity provider that a gateway names.
    Login(login::Arguments),
    /// Operators of the admin API: enrol, list, remove.
    #[command(subcommand)]
    Operators(operators::Command),
    /// Certificates.
    #[command(subcommand)]
    Certs(certs::Command),
}

/// Parse the arguments, run the command, and say how it ended.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Yes.into() };
        }
    };
    let exit = match arguments.command {
        None => serve::run(&serve::Arguments::default()),
        Some(Command::Serve(arguments)) => serve::run(&arguments),
        Some(Command::Demo(arguments)) => demo::run(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Test(arguments)) => test::run(&arguments),
        Some(Command::Bundle(command)) => bundle::run(&command),
        Some(Command::Explain(arguments)) => explain::run(&arguments),
        Some(Command::Reach(arguments)) => reach::run(&arguments),
        Some(Command::Diff(arguments)) => diff::run(&arguments),
        Some(Command::Review(arguments)) => review::run(&arguments),
        Some(Command::Import(arguments)) => import::run(&arguments),
        Some(Command::Replay(arguments)) => replay::run(&arguments),
        Some(Command::Suggest(arguments)) => suggest::run(&arguments),
        Some(Command::Why(arguments)) => why::run(&arguments),
        Some(Command::Tunnels(command)) => tunnels::run(&command),
        Some(Command::Grant(command)) => grant::run(&command),
        Some(Command::Exception(command)) => exception::run(&command),
        Some(Command::Mode(command)) => containment::run(&command),
        Some(Command::Evidence(command)) => evidence::run(&command),
        Some(Command::Login(arguments)) => login::run(&arguments),
        Some(Command::Operators(command)) => operators::run(&command),
        Some(Command::Certs(command)) => certs::run(command),
    };
    exit.into()
}

/// Read a bundle, a directory or an archive, or say what is wrong and how the command ends. Signatures are not looked at:
/// `gatepass bundle verify` does that.
fn read_bundle(path: &std::path::Path) -> Result<Vec<SourceFile>, Exit> {
    delivered(path).map(|delivered| delivered.files)
}

/// The same, with what an archive says of itself.
fn delivered(path: &std::path::Path) -> Result<Delivered, Exit> {
    crate::bundle::read(path, &Limits::default()).map_err(|problems| {
        eprintln!("{problems}");
        if path.exists() { Exit::No } else { Exit::Failed }
    })
}

/// Read and compile a bundle, or say what is wrong and how the command ends.
fn compile_bundle(path: &std::path::Path, now: jiff::Timestamp) -> Result<PolicySet, Exit> {
    compiled(&read_bundle(path)?, now)
}

/// Compile files, or say what is wrong and how the command ends.
fn compiled(files: &[SourceFile], now: jiff::Timestamp) -> Result<PolicySet, Exit> {
    match gatepass_policy::compile(files, now) {
        Ok(compiled) => Ok(compiled.set),
        Err(diagnostics) => {
            diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
            Err(Exit::No)
        }
    }
}
