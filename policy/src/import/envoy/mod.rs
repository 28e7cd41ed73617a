//! Envoy's RBAC filters: policies of permissions and principals, wherever in a configuration they stand.
//!
//! One filter that allows becomes rules, one that denies becomes guardrails. Several that allow would have to agree, and a
//! filter that only logs decides nothing. Where a filter only denies, everything else goes in Envoy, and nothing here.

mod find;

mod permissions;

mod principals;

mod texts;

use super::draft::Draft;
use super::formula::{Formula, Unknown};
use super::told::{Spot, Told, plain};
use super::{Imported, Options, Ports, rules, tree, write};
use crate::diagnostic::Diagnostic;
use crate::source::{Node, SourceFile};
use find::{Action, Filter};

/// Import every RBAC filter of a configuration, YAML or JSON.
///
/// # Errors
///
/// Where the file is neither, or holds no RBAC filter.
pub fn envoy(file: &SourceFile, options: &Options) -> Result<Imported, Vec<Diagnostic>> {
    tree::read(file, |root| {
        let mut told = Vec::new();
        let filters = find::filters(root, file, &mut told);
        if filters.is_empty() {
            let help = "give a configuration with `envoy.filters.http.rbac`, or the filter's `rules` alone";
            return Err(tree::refused(file, Some(root), "there is no RBAC filter in this file", help));
        }
        let mut import = Import { file, options, told, draft: Draft::new("envoy"), ports_told: false };
        import.filters(&filters);
        let files = write::files(&import.draft, options);
        Ok(Imported::of(files, import.draft.rules(), import.told))
    })?
}

struct Import<'a> {
    file: &'a SourceFile,
    options: &'a Options,
    told: Vec<Told>,
    draft: Draft,
    ports_told: bool,
}

/// What a part of a policy asks, and what of it is not understood or not carried over whole.
pub(super) struct Asked {
    pub(super) formula: Formula,
    pub(super) told: Vec<(Spot, String, &'static str)>,
}

impl Import<'_> {
    fn filters(&mut self, filters: &[Filter<'_, '_>]) {
        let allowing: Vec<&Filter<'_, '_>> = filters.iter().filter(|filter| filter.action == Action::Allow).collect();
        for filter in filters {
            match filter.action {
                Action::Deny => self.policies(filter),
                Action::Allow if allowing.len() == 1 => self.policies(filter),
                Action::Allow => {
                    let why = "the file has several filters that allow, and what all of them let through is no union of rules";
                    let help = "import each filter from a file of its own, if they stand on different ways";
                    self.tell(filter.node, |spot| spot.dropped(why, help));
                }
                Action::Log => {
                    self.tell(filter.node, |spot| spot.note("`LOG` decides nothing", "every decision is recorded here"))
                }
                Action::Unknown => {
                    self.tell(filter.node, |spot| {
                        spot.dropped("the action is none of `ALLOW`, `DENY`, `LOG`", "write one of them")
                    });
                }
            }
        }
        if let (true, Some(filter)) = (allowing.is_empty(), filters.first()) {
            let why =
                "no filter allows, so Envoy lets through whatever is not denied; here nothing goes without a rule";
            self.tell(filter.node, |spot| spot.dropped(why, "allow what is needed, by hand or from observed traffic"));
        }
    }

    fn policies(&mut self, filter: &Filter<'_, '_>) {
        for (key, policy) in tree::fields(filter.policies) {
            let name = plain(&key.text);
            let spot = Spot::of(self.file, key.place);
            self.policy(&name, policy, filter.action, &spot);
        }
    }

    fn policy(&mut self, name: &str, policy: &Node<'_>, action: Action, spot: &Spot) {
        let mut asks = Vec::new();
        let mut whole = true;
        for (key, choices) in [("permissions", "permission"), ("principals", "principal")] {
            let mut parts = Vec::new();
            for item in tree::items(tree::field(policy, key)) {
                let asked = match choices {
                    "permission" => permissions::asked(item, self.file),
                    _ => principals::asked(item, self.file),
                };
                for (spot, why, help) in asked.told {
                    whole = false;
                    self.told.push(match action {
                        Action::Deny => spot.dropped(format!("{why}: it counts as true here, so more is denied"), help),
                        Action::Allow | Action::Log | Action::Unknown => spot.dropped(why, help),
                    });
                }
                parts.push(asked.formula);
            }
            asks.push(Formula::Any(parts));
        }
        for key in ["condition", "checked_condition", "cel_config"] {
            if let Some(node) = tree::field(policy, key) {
                whole = false;
                let why = format!("the `{key}` of `{name}` is written in Envoy's attributes");
                self.tell(node, |spot| spot.dropped(why, "write it as `when`, in the attributes of this language"));
                asks.push(Formula::Unknown);
            }
        }
        let asked = Formula::All(asks);
        match action {
            Action::Allow => self.allow(name, &asked, whole, spot),
            Action::Deny => self.deny(name, &asked, spot),
            Action::Log | Action::Unknown => {}
        }
    }

    fn allow(&mut self, name: &str, asked: &Formula, whole: bool, spot: &Spot) {
        let settled = asked.settled(Unknown::IsFalse);
        if settled == Formula::Never {
            let why = format!("nothing of `{name}` is left");
            return self.told.push(if whole {
                spot.note(why, "delete it")
            } else {
                spot.dropped(why, "write the rule by hand")
            });
        }
        let Some(conjunctions) = settled.conjunctions() else { return self.told.push(too_many(name, spot)) };
        for conjunction in conjunctions {
            let allowed = match rules::allow(conjunction, &self.options.ports) {
                Err((why, help)) => {
                    self.told.push(spot.dropped(format!("`{name}`: {why}"), help));
                    continue;
                }
                Ok(None) => continue,
                Ok(Some(allowed)) => allowed,
            };
            for (why, help) in allowed.narrowed {
                self.told.push(spot.narrowed(format!("`{name}`: {why}"), help));
            }
            if allowed.ports_guessed && matches!(self.options.ports, Ports::Usual) && !self.ports_told {
                self.ports_told = true;
                let why = format!("`{name}` says no port: this rule and those like it take 80 and 443");
                self.told.push(spot.narrowed(why, "say which with `--port`"));
            }
            let purpose = format!("carried over from Envoy: policy `{name}` ({spot})");
            let owner = self.options.owner.clone();
            if let Some(fragment) = self.draft.fragment("envoy", owner.as_deref()) {
                fragment.allow(name, purpose, spot, allowed.body);
            }
        }
    }

    fn deny(&mut self, name: &str, asked: &Formula, spot: &Spot) {
        let settled = asked.settled(Unknown::IsTrue);
        let bodies = match settled.conjunctions() {
            None => Err(too_many(name, spot)),
            Some(conjunctions) => conjunctions
                .into_iter()
                .map(|conjunction| {
                    rules::deny(conjunction).map_err(|(why, help)| spot.dropped(format!("`{name}`: {why}"), help))
                })
                .collect::<Result<Vec<_>, _>>(),
        };
        let purpose = format!("carried over from Envoy: policy `{name}` ({spot})");
        match bodies {
            Ok(bodies) => {
                bodies.into_iter().flatten().for_each(|body| self.draft.guard(name, purpose.clone(), spot, body))
            }
            Err(told) => {
                // What cannot be said of a deny is said of everything.
                self.told.push(told);
                let why = format!("`{name}` denies, so a guardrail that denies everything stands in its place");
                self.told.push(spot.narrowed(why, "write the guardrail by hand before the bundle is used"));
                if let Ok(Some(body)) = rules::deny(vec![]) {
                    self.draft.guard(name, purpose, spot, body);
                }
            }
        }
    }

    fn tell(&mut self, node: &Node<'_>, say: impl FnOnce(&Spot) -> Told) {
        self.told.push(say(&tree::spot(self.file, node)));
    }
}

fn too_many(name: &str, spot: &Spot) -> Told {
    let why = format!("`{name}` is a choice of more conditions than anybody would read");
    spot.dropped(why, "divide the policy and import again")
}
