//! `gatepass suggest`: a fragment that allows what was observed, for review.

use std::path::PathBuf;

use clap::Args;
use gatepass_policy::PolicySet;
use jiff::{SignedDuration, Timestamp};

use super::Exit;
use super::evidence::from::{During, duration, each_recorded};
use super::evidence::say::say;
use crate::evidence::questions::filter::Pattern;
use crate::suggest::{Admitted, Asked, Private, Suggest, Suggestion, Wildcards, left_out, write};

/// Longest id of a fragment.
const ID_MAX: usize = 63;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Spools, archives, segments, or exports as JSON lines or Parquet; `-` is JSON lines on standard input.
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    evidence: Vec<PathBuf>,
    /// Only for these identities; `*` stands for any text.
    #[arg(long = "for", value_name = "PATTERN")]
    identity: Option<Pattern>,
    #[command(flatten)]
    during: During,
    /// Also what rules and exceptions allowed, instead of only what no rule did.
    #[arg(long)]
    include_admitted: bool,
    /// Name private addresses that were asked for, each by itself; a rule opens none that it does not name.
    #[arg(long)]
    private: bool,
    /// The bundle that is to take the fragment: what it allows already is left out, and what it denies.
    #[arg(long, value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    /// The id of the fragment. Where the bundle lists it, nothing outside of its scope is suggested.
    #[arg(long, value_name = "ID", default_value = "suggested", value_parser = id)]
    fragment: String,
    /// Who answers for it; otherwise a placeholder that `gatepass check` refuses.
    #[arg(long, value_name = "WHO")]
    owner: Option<String>,
    /// How long the rules live, never longer than the bundle lets them.
    #[arg(long, value_name = "LENGTH", default_value = "30d", value_parser = life)]
    expires_in: SignedDuration,
    /// `*.PARENT` in place of so many names, or more, that differ in their first label.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5", value_parser = clap::value_parser!(u16).range(2..))]
    wildcards: Option<u16>,
    /// Count ends from this moment, and ask the bundle at it, instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

pub fn run(arguments: &Arguments) -> Exit {
    match suggest(arguments) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn suggest(arguments: &Arguments) -> Result<Exit, Exit> {
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let set = arguments.bundle.as_deref().map(|bundle| super::compile_bundle(bundle, now)).transpose()?;
    let asked = Asked {
        identity: arguments.identity.clone(),
        span: arguments.during.span(),
        admitted: if arguments.include_admitted { Admitted::All } else { Admitted::WithoutRule },
        private: if arguments.private { Private::Named } else { Private::LeftOut },
        now,
        life: arguments.expires_in,
        fragment: arguments.fragment.clone(),
        owner: arguments.owner.clone(),
        wildcards: arguments.wildcards.map_or(Wildcards::Never, |count| Wildcards::From(count.into())),
    };
    let mut suggest = Suggest::new(asked.clone(), set.as_ref());
    let gaps = each_recorded(&arguments.evidence, &mut |record| suggest.see(record))?;
    let suggestion = suggest.end();
    if suggestion.rules.is_empty() {
        let mut why = String::new();
        left_out(&suggestion.left_out, &mut why);
        eprint!("{}", why.replace("# ", ""));
        eprintln!("there is nothing to suggest");
        return Ok(if gaps.is_empty() { Exit::No } else { Exit::Failed });
    }
    say(&write(&asked, &suggestion))?;
    told(&suggestion, set.as_ref(), &asked);
    Ok(if gaps.is_empty() { Exit::Yes } else { Exit::Failed })
}

fn told(suggestion: &Suggestion, set: Option<&PolicySet>, asked: &Asked) {
    eprintln!("note: {} rules, for review", suggestion.rules.len());
    if asked.owner.is_none() {
        eprintln!("note: `gatepass check` refuses the file until its `owner` is filled in");
    }
    if let (Some(set), Some(false)) = (set, suggestion.listed) {
        let (name, fragment) = (set.bundle(), &asked.fragment);
        eprintln!("note: the bundle `{name}` does not list the fragment `{fragment}`: the file ends with what to add");
    }
}

fn id(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match plain && text.len() <= ID_MAX && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => Ok(text.to_owned()),
        false => Err("an id has up to 63 letters, digits, `-`, `_`, `.`; a letter or digit first".to_owned()),
    }
}

fn life(text: &str) -> Result<SignedDuration, String> {
    let life = duration(text)?;
    if life.is_positive() { Ok(life) } else { Err("a rule that has ended already allows nothing".to_owned()) }
}
