//! A preview names exactly what the change then cuts: over random small policies, overrides and tunnels.

use std::collections::BTreeMap;

use gatepass_policy::overrides::{Kind, NORMAL, Override};
use gatepass_policy::source::SourceFile;
use proptest::prelude::*;
use uuid::Uuid;

use super::{World, allow, bundle, compiled, end, over};
use crate::policy_store::Over;

const HOSTS: [&str; 4] = ["a.test", "b.test", "vital.test", "c.b.test"];
const PATTERNS: [&str; 5] = ["a.test", "*.test", "**.test", "vital.test", "**.b.test"];
const ENDS: [&str; 3] = ["2030-01-05T00:00:00Z", "2030-01-20T00:00:00Z", "2030-02-20T00:00:00Z"];
const TIMES: [&str; 3] = ["2030-01-01T00:00:00Z", "2030-01-05T00:00:00Z", "2030-01-21T00:00:00Z"];
const MODES: [&str; 4] = [NORMAL, "restricted", "lockdown", "unheard-of"];

/// Rules that allow, by pattern and end; guardrails, by pattern and whether an exception lifts them.
#[derive(Clone, Debug)]
struct Rules {
    allows: Vec<(usize, usize)>,
    denies: Vec<(usize, bool)>,
    hello: bool,
}

impl Rules {
    fn files(&self) -> Vec<SourceFile> {
        let allows: Vec<String> = self
            .allows
            .iter()
            .enumerate()
            .map(|(n, (host, end))| allow(&format!("r{n}"), PATTERNS[*host], ENDS[*end]))
            .collect();
        let mut denies: Vec<String> = (self.denies.iter().enumerate())
            .map(|(n, (host, lifted))| {
                let lifted = if *lifted { "exception, grant" } else { "" };
                let host = PATTERNS[*host];
                format!("  - {{id: g{n}, action: deny, purpose: test, lifted_by: [{lifted}], destinations: {{hosts: [\"{host}\"]}}}}\n")
            })
            .collect();
        if self.hello {
            denies.push(
                "  - {id: hello, action: deny, purpose: test, when: 'tls.present && tls.sni != destination.host'}\n"
                    .to_owned(),
            );
        }
        bundle(&allows.concat(), &denies.concat())
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let allows = prop::collection::vec((0..PATTERNS.len(), 0..ENDS.len()), 1..5);
    let denies = prop::collection::vec((0..PATTERNS.len(), any::<bool>()), 0..2);
    (allows, denies, prop::bool::weighted(0.2)).prop_map(|(allows, denies, hello)| Rules { allows, denies, hello })
}

/// A mode, and overrides by kind, pattern and end.
#[derive(Clone, Debug)]
struct Laid {
    mode: usize,
    overrides: Vec<(usize, usize, usize)>,
}

impl Laid {
    fn over(&self) -> Over {
        let overrides: Vec<Override> = (self.overrides.iter().enumerate())
            .map(|(n, (kind, host, end))| {
                let (kind, path) = match kind {
                    0 => (Kind::Grant, format!("grant/{n}")),
                    1 => (Kind::Permits("web".into()), format!("exception/{n}")),
                    _ => (Kind::Lifts("guard/g0".into()), format!("exception/{n}")),
                };
                over(kind, &path, HOSTS[*host], ENDS[*end])
            })
            .collect();
        Over { mode: MODES[self.mode].into(), overrides }
    }
}

fn laid() -> impl Strategy<Value = Laid> {
    let mode = prop_oneof![4 => Just(0), 2 => 1..MODES.len()];
    let overrides = prop::collection::vec((0..3usize, 0..HOSTS.len(), 0..ENDS.len()), 0..3);
    (mode, overrides).prop_map(|(mode, overrides)| Laid { mode, overrides })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_preview_names_exactly_what_the_change_then_cuts(
        before in (rules(), laid()), after in (rules(), laid()),
        asked in prop::collection::vec((0..HOSTS.len(), any::<bool>()), 1..12), time in 0..TIMES.len(),
    ) {
        let world = World::new(before.0.files());
        world.policy.lay(before.1.over());
        let snapshot = world.policy.current();
        let mut open = BTreeMap::new();
        for (host, hello) in asked {
            let mut facts = world.facts(&snapshot, HOSTS[host]);
            if !hello {
                facts.tls = None;
            }
            let Some(grounds) = world.grounds(&snapshot, facts) else { continue };
            let id = Uuid::now_v7();
            open.insert(id, world.live.list(id, grounds, Default::default(), world.sources()));
        }
        // What time has cut already is not the change's doing.
        world.set(TIMES[time]);
        world.pass();
        open.retain(|_, listed| end(listed).is_none());

        let files = after.0.files();
        let candidate = snapshot.candidate(compiled(&files).into(), &after.1.over());
        let told = world.live.preview(&candidate, world.clock.now());
        prop_assert_eq!(&told, &world.live.preview(&candidate, world.clock.now()), "a preview changes nothing");
        let told: BTreeMap<Uuid, _> = told.into_iter().map(|one| (one.id, (one.ending, one.cut_by))).collect();

        let under = world.policy.over();
        world.policy.lay(after.1.over());
        world.policy.activate(compiled(&files), 0, world.clock.now());
        prop_assert!(under.overrides.len() < 3);
        world.pass();
        let cut: BTreeMap<Uuid, _> = open.iter().filter_map(|(id, listed)| Some((*id, end(listed)?))).collect();
        prop_assert_eq!(told, cut);
    }
}
