//! What an identity was established from, and what becomes of its tunnels when that is gone.

use gatepass_policy::identity::Identity;
use jiff::Timestamp;

use super::{END, World, allow, at, bundle, end};
use crate::evidence::words::Ending;
use crate::identity::{Registry, Token};
use crate::live::{Listed, Sources};

const LATER: &str = "2030-01-10T00:00:00Z";

fn world() -> World {
    let mut world = World::new(bundle(&allow("a", "a.test", END), ""));
    world.identity.tokens = vec![Token { name: "ci".into(), sha256: [0; 32], expires: at(LATER) }];
    world.identity.networks = vec![("192.0.2.0/24".parse().unwrap(), "lab".into())];
    world
}

fn open(world: &World, identity: Identity) -> Listed<'_> {
    let snapshot = world.policy.current();
    let mut facts = world.facts(&snapshot, "a.test");
    facts.subject = snapshot.set.registered(&identity);
    facts.identity = identity;
    world.list(world.grounds(&snapshot, facts).unwrap())
}

/// A pass by what another registry knows.
fn pass_by(world: &World, change: impl Fn(&mut Registry)) -> usize {
    let mut other = world.identity.clone();
    change(&mut other);
    world.live.redecide(Sources { identity: &other, ..world.sources() }).cut
}

#[test]
fn a_token_that_is_removed_and_a_network_that_is_renamed_cut_their_tunnels_and_no_other() {
    let world = world();
    let (token, network) = (open(&world, Identity::token("ci")), open(&world, Identity::network("lab")));
    assert_eq!(pass_by(&world, |_| {}), 0);
    assert_eq!(pass_by(&world, |registry| registry.tokens.clear()), 1);
    assert_eq!((end(&token), end(&network)), (Some((Ending::PolicyChanged, "identity".to_owned())), None));
    assert_eq!(pass_by(&world, |registry| registry.networks[0].1 = "other".into()), 1);
    assert_eq!(end(&network), Some((Ending::PolicyChanged, "identity".to_owned())));
}

#[test]
fn a_token_that_has_ended_when_its_tunnel_is_listed_cuts_it_there_and_then() {
    let world = world();
    let snapshot = world.policy.current();
    let mut facts = world.facts(&snapshot, "a.test");
    facts.identity = Identity::token("ci");
    facts.subject = snapshot.set.registered(&facts.identity);
    let grounds = world.grounds(&snapshot, facts).unwrap();
    world.set(LATER);
    assert_eq!(end(&world.list(grounds)), Some((Ending::Expired, "identity".to_owned())));
}

#[test]
fn the_first_end_of_a_credential_is_known_to_the_keeper_and_is_that_of_what_is_open() {
    let world = world();
    let first = || world.live.first_end.load(std::sync::atomic::Ordering::Acquire);
    assert_eq!(first(), i64::MAX);
    let token = open(&world, Identity::token("ci"));
    let _network = open(&world, Identity::network("lab"));
    assert_eq!(first(), at(LATER).as_microsecond());
    assert_eq!(world.pass().cut, 0);
    assert_eq!(first(), at(LATER).as_microsecond());
    drop(token);
    world.pass();
    assert_eq!(first(), i64::MAX);
    assert!(Timestamp::from_microsecond(first()).is_err(), "no time to wait for");
}
