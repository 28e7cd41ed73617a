//! `gatepass evidence query`: one question, one table.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use gatepass_policy::PolicySet;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::from::{About, During, From, duration, moment};
use super::say::{failed, say};
use crate::cli::Exit;
use crate::cli::style::Paint;
use crate::evidence::line;
use crate::evidence::questions::source::Gaps;
use crate::evidence::questions::table::{Look, Table};
use crate::evidence::questions::{
    self, By, Denied, Exceptions, Expiring, FirstSeen, Grants, Measures, Scope, Story, Top, Unused,
};
use crate::evidence::{Colour, questions::row::Row, questions::source::Record};

#[derive(Debug, Subcommand)]
pub enum Question {
    /// Who reached for which registered domain for the first time, and when.
    FirstSeen {
        #[command(flatten)]
        asked: Asked,
    },
    /// What was refused: to whom, where to, why, how often, and what came nearest.
    Denied {
        #[command(flatten)]
        asked: Asked,
    },
    /// Decisions and bytes by identity, host, rule or listener.
    Top {
        /// What is counted.
        #[arg(long, value_enum, default_value_t = By::Identity)]
        by: By,
        #[command(flatten)]
        asked: Asked,
    },
    /// Bytes of each identity to each destination.
    Bytes {
        #[command(flatten)]
        asked: Asked,
    },
    /// Rules of a bundle by which nothing was admitted.
    UnusedRules {
        /// The bundle: a directory of YAML files, or an archive.
        bundle: PathBuf,
        #[command(flatten)]
        asked: Asked,
    },
    /// Rules that were used and end soon.
    Expiring {
        /// How soon.
        #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration)]
        within: jiff::SignedDuration,
        /// Reckoned from this moment instead of now.
        #[arg(long, value_name = "TIME", value_parser = moment)]
        at: Option<Timestamp>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Break-glass grants: who asked, who approved, for whom and where to, and how much was carried.
    Grants {
        #[command(flatten)]
        asked: Asked,
    },
    /// Exceptions: who asked, who decided, and how long that took.
    Exceptions {
        #[command(flatten)]
        asked: Asked,
    },
    /// Everything about one decision.
    Decision {
        /// Its id.
        id: String,
        #[command(flatten)]
        from: From,
        /// The records as JSON.
        #[arg(long)]
        json: bool,
    },
    /// What can be measured: denied attempts, times to decide and to update, wildcards, egress points.
    Measures {
        /// The bundle whose wildcards are measured.
        #[arg(long, value_name = "DIR")]
        bundle: Option<PathBuf>,
        #[command(flatten)]
        asked: Asked,
    },
}

/// What most questions are told.
#[derive(Debug, Args)]
pub struct Asked {
    #[command(flatten)]
    from: From,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    during: During,
    /// At most so many rows.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Asked {
    fn scope(&self) -> Scope {
        Scope { filter: self.about.filter(), span: self.during.span() }
    }

    fn each(&self, mut see: impl FnMut(&Row<'_>)) -> Result<Gaps, Exit> {
        self.from.each(&mut |_: &Record<'_>, row: &Row<'_>| {
            see(row);
            ControlFlow::Continue(())
        })
    }

    fn one(&self, gaps: &Gaps, table: Table) -> Result<(), Exit> {
        let table = table.limited(self.limit);
        if self.json {
            let mut json = table.json();
            if let Value::Object(map) = &mut json {
                map.insert("complete".into(), gaps.is_empty().into());
            }
            return say(&format!("{json}\n"));
        }
        print_table(&table)
    }
}

pub fn run(question: &Question) -> Exit {
    match answer(question) {
        // An answer from a part of the records must not pass for one from all of them.
        Ok(gaps) if !gaps.is_empty() => Exit::Failed,
        Ok(_) => Exit::Yes,
        Err(exit) => exit,
    }
}

/// `$asked`'s table: the question sees every record, then answers.
macro_rules! table {
    ($asked:expr, $question:expr) => {{
        let mut question = $question;
        let gaps = $asked.each(|row| question.see(row))?;
        $asked.one(&gaps, question.answer())?;
        Ok(gaps)
    }};
}

fn answer(question: &Question) -> Result<Gaps, Exit> {
    match question {
        Question::FirstSeen { asked } => table!(asked, FirstSeen::new(asked.scope())),
        Question::Denied { asked } => table!(asked, Denied::new(asked.scope())),
        Question::Top { by, asked } => table!(asked, Top::new(asked.scope(), *by)),
        Question::Bytes { asked } => table!(asked, questions::Bytes::new(asked.scope())),
        Question::UnusedRules { bundle, asked } => {
            let set = bundle_in_use(bundle)?;
            table!(asked, Unused::new(asked.scope(), &set))
        }
        Question::Expiring { within, at, asked } => {
            let now = at.unwrap_or_else(Timestamp::now);
            let until = now.checked_add(*within).unwrap_or(Timestamp::MAX);
            table!(asked, Expiring::new(asked.scope(), now, until))
        }
        Question::Grants { asked } => table!(asked, Grants::new(asked.scope())),
        Question::Exceptions { asked } => table!(asked, Exceptions::new(asked.scope())),
        Question::Decision { id, from, json } => decision(id, from, *json),
        Question::Measures { bundle, asked } => measures(bundle.as_ref(), asked),
    }
}

fn bundle_in_use(directory: &std::path::Path) -> Result<PolicySet, Exit> {
    crate::cli::compile_bundle(directory, Timestamp::now())
}

fn measures(bundle: Option<&PathBuf>, asked: &Asked) -> Result<Gaps, Exit> {
    let set = bundle.map(|bundle| bundle_in_use(bundle)).transpose()?;
    let mut question = Measures::new(asked.scope(), set.as_ref());
    let gaps = asked.each(|row| question.see(row))?;
    let parts = question.answer().into_iter().map(|(name, table)| (name, table.limited(asked.limit)));
    if asked.json {
        let mut json: Map<String, Value> = parts.map(|(name, table)| (name.to_owned(), table.json())).collect();
        json.insert("complete".into(), gaps.is_empty().into());
        say(&format!("{}\n", Value::Object(json)))?;
        return Ok(gaps);
    }
    for (name, table) in parts {
        say(&format!("{}\n", Paint::stdout().strong(name.replace('_', " "))))?;
        print_table(&table)?;
        say("\n")?;
    }
    Ok(gaps)
}

fn decision(id: &str, from: &From, json: bool) -> Result<Gaps, Exit> {
    let mut story = Story::new(id);
    let gaps = from.each(&mut |record: &Record<'_>, row: &Row<'_>| {
        story.see(record, row);
        ControlFlow::Continue(())
    })?;
    if !story.is_known() {
        failed(&format!("no decision `{id}` is among these records"));
        return Err(if gaps.is_empty() { Exit::No } else { Exit::Failed });
    }
    let proof = format!("gatepass evidence prove {}", story.id());
    let Story { decision, close, policy, .. } = story;
    if json {
        let mut all = Map::new();
        let parts = [("decision", decision), ("close", close), ("policy", policy), ("proof", Some(json!(proof)))];
        all.extend(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))));
        say(&format!("{}\n", Value::Object(all)))?;
        return Ok(gaps);
    }
    let colour = if Paint::stdout() == Paint::Ansi { Colour::On } else { Colour::Off };
    let label = decision.as_ref().map(line::who_and_where);
    let mut text = Vec::new();
    for json in [&policy, &decision, &close].into_iter().flatten() {
        line::write(json, label.as_deref(), colour, &mut text);
    }
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Some(decision) = &decision {
        text.push('\n');
        details("", decision, &mut text);
    }
    if close.is_none() && decision.as_ref().is_some_and(|decision| decision["outcome"] == "admitted") {
        text.push_str("\nits end is not recorded: the connection is open, or its record was erased or removed\n");
    }
    say(&format!("{text}\nproof: {proof}\n"))?;
    Ok(gaps)
}

/// Every field of a record, a line each.
fn details(prefix: &str, json: &Value, into: &mut String) {
    let Value::Object(fields) = json else { return };
    for (key, value) in fields {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(_) => details(&path, value, into),
            Value::String(text) => {
                into.push_str(&format!("{path:<24} {}\n", crate::evidence::text::clean(text, usize::MAX)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                into.push_str(&format!("{path:<24} {value}\n"));
            }
        }
    }
}

fn print_table(table: &Table) -> Result<(), Exit> {
    let look = if std::io::IsTerminal::is_terminal(&std::io::stdout()) { Look::Terminal } else { Look::Plain };
    say(&table.text(look))?;
    if table.more > 0 {
        eprintln!("note: {} more rows; --limit shows them", table.more);
    }
    for note in &table.notes {
        eprintln!("note: {note}");
    }
    Ok(())
}
