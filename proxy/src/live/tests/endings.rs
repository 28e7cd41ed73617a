//! What cuts a tunnel, and what its closing record then says.

use std::sync::Arc;
use std::time::Duration;

use gatepass_policy::address::Floor;
use gatepass_policy::overrides::{Kind, NORMAL};

use super::{END, SHOP, World, allow, at, bundle, end, over};
use crate::evidence::words::Ending;
use crate::live::Live;

const LATER: &str = "2030-01-10T00:00:00Z";

fn cut(ending: Ending, by: &str) -> Option<(Ending, String)> {
    Some((ending, by.to_owned()))
}

#[test]
fn a_rule_that_is_gone_is_a_change_of_policy_and_one_that_has_ended_is_expired() {
    let world = World::new(bundle(&(allow("a", "a.test", END) + &allow("b", "b.test", "2030-02-20T00:00:00Z")), ""));
    let (a, b) = (world.open("a.test"), world.open("b.test"));
    assert_eq!(world.pass().cut, 0);
    world.set(END);
    assert_eq!(world.pass().cut, 1);
    assert_eq!((end(&a), end(&b)), (cut(Ending::Expired, "web/a"), None));
    world.swap(&bundle(&allow("a", "a.test", "2030-03-20T00:00:00Z"), ""));
    world.pass();
    assert_eq!(end(&b), cut(Ending::PolicyChanged, "web/b"));
    assert_eq!(end(&a), cut(Ending::Expired, "web/a"), "a cut is told once");
}

#[test]
fn a_mode_cuts_what_it_does_not_allow_and_names_itself() {
    let world = World::new(bundle(&(allow("a", "a.test", END) + &allow("v", "vital.test", END)), ""));
    let (a, vital) = (world.open("a.test"), world.open("vital.test"));
    world.lay("restricted", Vec::new());
    world.pass();
    assert_eq!((end(&a), end(&vital)), (cut(Ending::ModeChanged, "mode/restricted"), None));
    world.lay("unheard-of", Vec::new());
    world.pass();
    assert_eq!(end(&vital), cut(Ending::ModeChanged, "mode/unheard-of"));
}

#[test]
fn a_grant_that_ends_or_is_revoked_takes_its_tunnels_along() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    let grants = || vec![over(Kind::Grant, "grant/1", "b.test", LATER), over(Kind::Grant, "grant/2", "c.test", LATER)];
    world.lay(NORMAL, grants());
    let (b, c) = (world.open("b.test"), world.open("c.test"));
    world.lay(NORMAL, grants().into_iter().take(1).collect());
    world.pass();
    assert_eq!((end(&b), end(&c)), (None, cut(Ending::GrantEnded, "grant/2")));
    world.set(LATER);
    world.pass();
    assert_eq!(end(&b), cut(Ending::GrantEnded, "grant/1"));
}

#[test]
fn what_a_grant_opened_in_a_lockdown_ends_with_the_grant() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    world.lay("lockdown", vec![over(Kind::Grant, "grant/1", "a.test", LATER)]);
    let a = world.open("a.test");
    world.set(LATER);
    world.pass();
    assert_eq!(end(&a), cut(Ending::GrantEnded, "grant/1"));
}

#[test]
fn a_tunnel_of_a_grant_that_a_rule_allows_too_stays_with_the_rule_and_the_other_way_round() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    world.lay(NORMAL, vec![over(Kind::Grant, "grant/1", "a.test", LATER)]);
    let a = world.open("a.test");
    assert_eq!(world.live.told()[0]["grant"], "1");
    world.lay(NORMAL, Vec::new());
    assert_eq!(world.pass().cut, 0);
    assert_eq!((&world.live.told()[0]["rule"], world.live.told()[0].get("grant")), (&"web/a".into(), None));
    world.lay(NORMAL, vec![over(Kind::Grant, "grant/2", "a.test", LATER)]);
    world.swap(&bundle("", ""));
    assert_eq!(world.pass().cut, 0);
    assert_eq!((world.live.told()[0]["rule"].as_str(), end(&a)), (Some("grant/2"), None));
}

#[test]
fn an_exception_that_ends_is_expired_also_where_it_only_lifted_a_guardrail() {
    let closed =
        "  - {id: closed, action: deny, purpose: test, lifted_by: [exception], destinations: {hosts: [\"a.test\"]}}\n";
    let world = World::new(bundle(&allow("a", "a.test", END), closed));
    world.lay(
        NORMAL,
        vec![
            over(Kind::Lifts("guard/closed".into()), "exception/1", "a.test", LATER),
            over(Kind::Permits("web".into()), "exception/2", "b.test", LATER),
        ],
    );
    let (a, b) = (world.open("a.test"), world.open("b.test"));
    world.set(LATER);
    world.pass();
    assert_eq!(end(&a), cut(Ending::Expired, "guard/closed"));
    assert_eq!(end(&b), cut(Ending::Expired, "exception/2"));
}

#[test]
fn an_address_that_becomes_the_gateways_own_is_cut_by_the_floor() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    let a = world.open("a.test");
    world.floor.store(Arc::new(Floor { interfaces: vec!["1.1.1.1".parse().unwrap()], ..Floor::default() }));
    world.pass();
    assert_eq!(end(&a), cut(Ending::PolicyChanged, "floor"));
}

#[test]
fn what_the_answer_hangs_on_and_was_never_asked_is_no_allow() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    let snapshot = world.policy.current();
    let mut facts = world.facts(&snapshot, "a.test");
    facts.tls = None;
    let a = world.list(world.grounds(&snapshot, facts).unwrap());
    let hello = "  - {id: hello, action: deny, purpose: test, when: 'tls.sni != destination.host'}\n";
    world.swap(&bundle(&allow("a", "a.test", END), hello));
    world.pass();
    assert_eq!(end(&a), cut(Ending::PolicyChanged, "web/a"));
}

#[test]
fn an_operator_cuts_one_at_once_and_no_policy_saves_it() {
    let mut world = World::new(bundle(&allow("a", "a.test", END), ""));
    world.live = Live::new(Duration::from_secs(3_600));
    let (a, b) = (world.open("a.test"), world.open("a.test"));
    let id = world.live.told()[0]["id"].as_str().unwrap().parse().unwrap();
    assert!(world.live.cut(id, "operator/ann"));
    world.pass();
    assert_eq!((end(&a), end(&b)), (cut(Ending::PolicyChanged, "operator/ann"), None));
    drop(a);
    assert!(!world.live.cut(id, "operator/ann"), "it is gone");
}

#[tokio::test]
async fn only_changes_of_rules_linger() {
    let mut world = World::new(bundle(&allow("a", "a.test", END), ""));
    world.live = Live::new(Duration::from_secs(3_600));
    let a = world.open("a.test");
    world.swap(&bundle("", ""));
    assert_eq!(world.pass().cut, 1);
    assert_eq!(end(&a), None, "it lingers");
    world.lay("lockdown", Vec::new());
    world.pass();
    assert_eq!(end(&a), cut(Ending::ModeChanged, "mode/lockdown"));
}

#[test]
fn the_listing_tells_who_and_where() {
    let world = World::new(bundle(&allow("a", "a.test", END), ""));
    let _a = world.open("a.test");
    let told = world.live.told();
    let text = |key: &str| told[0][key].as_str().unwrap().to_owned();
    assert_eq!(
        (text("identity"), text("destination"), text("rule")),
        (SHOP.into(), "a.test:443".into(), "web/a".into())
    );
    assert_eq!((text("mode"), text("protocol")), ("normal".into(), "connect".into()));
    assert_eq!(text("since"), at(super::NOW).to_string());
}
