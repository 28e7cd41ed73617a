//! `http_access` lines, in their order, as guardrails and allows.

use super::super::cel;
use super::super::draft::Draft;
use super::super::formula::{Atom, Conjunction, Formula, Unknown};
use super::super::told::{Spot, Told, plain};
use super::super::{Options, rules};
use super::acls::Acls;
use super::lines::Word;

pub(super) struct Access<'a> {
    pub(super) options: &'a Options,
    pub(super) acls: &'a Acls,
    pub(super) told: &'a mut Vec<Told>,
    pub(super) draft: &'a mut Draft,
}

/// One line of the list.
pub(super) struct Line {
    verdict: Verdict,
    asks: Vec<Word>,
    spot: Spot,
}

enum Verdict {
    Allow,
    Deny,
    /// It may deny anything; why it is not known.
    Unknown(String),
}

impl Line {
    pub(super) fn allow(asks: &[Word], spot: &Spot) -> Line {
        Line { verdict: Verdict::Allow, asks: asks.to_vec(), spot: spot.clone() }
    }

    pub(super) fn deny(asks: &[Word], spot: &Spot) -> Line {
        Line { verdict: Verdict::Deny, asks: asks.to_vec(), spot: spot.clone() }
    }

    pub(super) fn unknown(spot: &Spot, why: &str) -> Line {
        Line { verdict: Verdict::Unknown(why.to_owned()), asks: Vec::new(), spot: spot.clone() }
    }
}

/// What the lines above leave to those below.
#[derive(Default)]
struct Above {
    /// What must hold besides, to be written into the rules below.
    left: Vec<Formula>,
    /// An allow that was carried over stands above: a deny from here on is none for it.
    allowed: bool,
    /// Nothing is left.
    closed: Option<Closed>,
    /// A deny by name stands above that Squid would also apply to the names of addresses.
    looks_back: bool,
    /// It was said once that ports were chosen for the reader.
    ports_told: bool,
}

enum Closed {
    /// By a deny of everything: Squid does not come further either.
    ByAll,
    /// By what is not understood, in this line.
    ByUnknown(Spot),
}

impl Access<'_> {
    pub(super) fn carry(&mut self, lines: &[Line]) {
        let mut above = Above::default();
        for line in lines {
            match (&line.verdict, &above.closed) {
                (_, Some(Closed::ByAll)) => {
                    self.told.push(
                        line.spot.note("Squid never comes to this line: everything above is denied", "delete it"),
                    );
                }
                (Verdict::Allow, Some(Closed::ByUnknown(spot))) => {
                    let why = format!("{spot} stands above it, is not understood, and may deny it");
                    let help = "if it may go all the same, take that line out of the file and import again";
                    self.told.push(line.spot.dropped(why, help));
                }
                (Verdict::Deny, Some(Closed::ByUnknown(_))) => {}
                (Verdict::Unknown(why), _) => {
                    self.told.push(line.spot.dropped(
                        format!("{why}: no line below it is carried over"),
                        "take the line out if it may go, and import again",
                    ));
                    above.closed = Some(Closed::ByUnknown(line.spot.clone()));
                }
                (Verdict::Allow, None) => self.allow(line, &mut above),
                (Verdict::Deny, None) => self.deny(line, &mut above),
            }
        }
        // Without a line that fits, Squid does the opposite of the last one.
        if let (Some(last), None) = (lines.last(), &above.closed)
            && matches!(last.verdict, Verdict::Deny)
        {
            let why = "the list ends in a deny, so Squid allows whatever no line fits; here it is denied";
            self.told.push(last.spot.dropped(why, "nothing, if the last line was meant to be `http_access deny all`"));
        }
    }

    /// What a line asks, and what of it is not understood.
    fn formula(&self, line: &Line) -> (Formula, Option<String>) {
        let mut unknown = None;
        let mut terms = Vec::new();
        for word in &line.asks {
            let (name, holds) = match word.text.strip_prefix('!') {
                Some(name) => (name, false),
                None => (word.text.as_str(), true),
            };
            let term = match self.acls.get(name) {
                Some(acl) => {
                    unknown = unknown.or_else(|| acl.unknown.clone());
                    acl.formula()
                }
                None => {
                    unknown = unknown.or_else(|| Some(format!("there is no `acl {}`", plain(name))));
                    Formula::Unknown
                }
            };
            terms.push(if holds { term } else { term.not() });
        }
        (Formula::All(terms), unknown)
    }

    fn deny(&mut self, line: &Line, above: &mut Above) {
        let (asked, unknown) = self.formula(line);
        let settled = asked.settled(Unknown::IsTrue);
        if let Some(why) = &unknown {
            let why = format!("{why}: it counts as true here, so the line denies more than it did");
            self.told.push(line.spot.dropped(why, "take it out of the line if it may go, and import again"));
        }
        above.looks_back |= self.looks_back(line);
        match (&settled, unknown) {
            (Formula::Never, _) => return,
            (Formula::Always, None) => {
                above.closed = Some(Closed::ByAll);
                return;
            }
            (Formula::Always, Some(_)) => {
                above.closed = Some(Closed::ByUnknown(line.spot.clone()));
                return;
            }
            (_, _) => {}
        }
        // What merely says which hosts, ports or clients the allows below are for is written into them.
        let rest = settled.clone().not();
        let one = rest.conjunctions().filter(|choices| choices.len() == 1).and_then(|mut choices| choices.pop());
        if one.as_ref().is_some_and(|conjunction| conjunction.iter().any(is_key)) {
            above.left.push(rest);
            return;
        }
        if above.allowed {
            // One condition stays one: only what asks about a request must be divided by protocol.
            let whole = one.is_some() || rest.asks_of_requests();
            above.left.push(if whole { rest } else { Formula::Is(Atom::Text(cel::formula(&rest))) });
            return;
        }
        if let Err((why, help)) = self.guards(line, &settled) {
            self.told.push(line.spot.dropped(format!("{why}, and it denies: no line below it is carried over"), help));
            above.closed = Some(Closed::ByUnknown(line.spot.clone()));
        }
    }

    fn guards(&mut self, line: &Line, settled: &Formula) -> Result<(), rules::Unsayable> {
        let Some(conjunctions) = settled.conjunctions() else { return Err(too_many()) };
        let bodies = conjunctions.into_iter().map(rules::deny).collect::<Result<Vec<_>, _>>()?;
        for body in bodies.into_iter().flatten() {
            self.draft.guard(&name(line), purpose(line), &line.spot, body);
        }
        Ok(())
    }

    fn allow(&mut self, line: &Line, above: &mut Above) {
        let (asked, unknown) = self.formula(line);
        let settled =
            Formula::All(std::iter::once(asked).chain(above.left.iter().cloned()).collect()).settled(Unknown::IsFalse);
        if let Some(why) = unknown {
            let help = "write the rule by hand, for the hosts that are meant";
            let told = match settled {
                Formula::Never => line.spot.dropped(why, help),
                Formula::Always
                | Formula::Unknown
                | Formula::Is(_)
                | Formula::Not(_)
                | Formula::All(_)
                | Formula::Any(_) => line.spot.narrowed(format!("{why}: that part is left out"), help),
            };
            self.told.push(told);
        }
        if settled == Formula::Never {
            return;
        }
        let Some(conjunctions) = settled.conjunctions() else {
            let (why, help) = too_many();
            return self.told.push(line.spot.dropped(why, help));
        };
        for conjunction in conjunctions {
            self.rule(line, conjunction, above);
        }
    }

    fn rule(&mut self, line: &Line, conjunction: Conjunction, above: &mut Above) {
        let allowed = match rules::allow(conjunction, &self.options.ports) {
            Err((why, help)) => return self.told.push(line.spot.dropped(why, help)),
            Ok(None) => return self.told.push(line.spot.note("nothing can fit this line", "delete it")),
            Ok(Some(allowed)) => allowed,
        };
        if above.looks_back && allowed.body.hosts.is_empty() {
            let why = "a deny by name stands above it, which Squid also applies to the names of addresses; here an address has none";
            let help = "say `dstdomain -n` there if names of addresses do not matter, and import again";
            return self.told.push(line.spot.dropped(why, help));
        }
        for (why, help) in allowed.narrowed {
            self.told.push(line.spot.narrowed(why, help));
        }
        if allowed.ports_guessed && matches!(self.options.ports, super::super::Ports::Usual) && !above.ports_told {
            above.ports_told = true;
            let why = "no line says for which ports: this rule and those like it take 80 and 443";
            self.told.push(line.spot.narrowed(why, "say which with `--port`"));
        }
        let owner = self.options.owner.clone();
        if let Some(fragment) = self.draft.fragment("squid", owner.as_deref()) {
            above.allowed = true;
            fragment.allow(&name(line), purpose(line), &line.spot, allowed.body);
        }
    }

    fn looks_back(&self, line: &Line) -> bool {
        let names = line.asks.iter().map(|word| word.text.trim_start_matches('!'));
        names.into_iter().any(|name| self.acls.get(name).is_some_and(|acl| acl.looks_back))
    }
}

/// Whether a literal says whom or what a rule is for.
fn is_key(literal: &super::super::formula::Literal) -> bool {
    let key = match literal.atom {
        Atom::Hosts(_) | Atom::Ports(_) | Atom::Sources(_) | Atom::Who(_) => true,
        Atom::Answers(_) | Atom::Sni(_) | Atom::Http(_) | Atom::Text(_) => false,
    };
    literal.holds && key
}

fn too_many() -> rules::Unsayable {
    ("it is a choice of more conditions than anybody would read".to_owned(), "divide the line and import again")
}

fn name(line: &Line) -> String {
    let file = line.spot.file.rsplit('/').next().unwrap_or_default();
    format!("{file}-{}", line.spot.line)
}

fn purpose(line: &Line) -> String {
    format!("carried over from Squid: {} ({})", line.spot.text, line.spot)
}
