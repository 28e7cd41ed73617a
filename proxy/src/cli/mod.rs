//! The command line: one binary, a file per command, exit codes in one enum.

mod exit;

mod serve;

mod quickstart;

mod demo;

mod check;

mod annotations;

mod test;

mod explain;

mod import;

mod upstream;

mod analysed;

mod reach;

mod diff;

mod review;

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
        Some(Command::Explain(arguments)) => explain::run(&arguments),
        Some(Command::Reach(arguments)) => reach::run(&arguments),
        Some(Command::Diff(arguments)) => diff::run(&arguments),
        Some(Command::Review(arguments)) => review::run(&arguments),
        Some(Command::Import(arguments)) => import::run(&arguments),
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

/// Read a bundle, or say what is wrong and how the command ends.
fn read_bundle(directory: &std::path::Path) -> Result<Vec<SourceFile>, Exit> {
    gatepass_config::bundle::read(directory, &Limits::default()).map_err(|problems| {
        eprintln!("{problems}");
        if directory.is_dir() { Exit::No } else { Exit::Failed }
    })
}

/// Read and compile a bundle, or say what is wrong and how the command ends.
fn compile_bundle(directory: &std::path::Path, now: jiff::Timestamp) -> Result<PolicySet, Exit> {
    let files = read_bundle(directory)?;
    match gatepass_policy::compile(&files, now) {
        Ok(compiled) => Ok(compiled.set),
        Err(diagnostics) => {
            diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
            Err(Exit::No)
        }
    }
}
