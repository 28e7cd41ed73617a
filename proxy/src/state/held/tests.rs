//! What of the store is in force: the latest word of it, what can be believed, and nothing for longer than it may be.

use serde_json::{Value, json};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + second).unwrap()
}

fn held() -> Held {
    let mut held = Held::new(
        Trust::Good,
        Longest { grant: SignedDuration::from_hours(1), exception: SignedDuration::from_hours(24) },
    );
    held.replace(&View { kept: Vec::new(), revision: 1 }, at(0));
    held
}

fn done(name: &str) -> Value {
    json!({"at": at(0).to_string(), "by": {"name": name, "person": name, "method": "certificate"}})
}

fn terms() -> Value {
    json!({"identities": ["token:a"], "destinations": {"hosts": ["site.test"], "ports": [443]}, "data_classes": ["public"]})
}

/// A grant that alice asked for, bob approved, and that began at 0 for a quarter of an hour.
fn grant() -> Value {
    json!({
        "id": "g", "terms": terms(), "reason": "why not", "scope": "fleet", "seconds": 900, "requested": done("alice"),
        "needs_approval": true, "approved": done("bob"), "begins": at(0).to_string(), "ends": at(900).to_string(),
        "claim": "c",
    })
}

fn exception() -> Value {
    json!({
        "id": "e", "terms": terms(), "effect": {"permits": "web"}, "reason": "why not", "seconds": 900,
        "requested": done("alice"), "approved": done("bob"), "begins": at(0).to_string(), "ends": at(900).to_string(),
    })
}

fn mode(name: &str, second: i64, seconds: Option<i64>) -> Value {
    let mut set = done("alice");
    set["at"] = at(second).to_string().into();
    json!({"mode": name, "set": set, "seconds": seconds})
}

fn with(mut of: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        of[key] = value.clone();
    }
    of
}

fn kept(key: &str, value: &Value, revision: u64) -> Kept {
    Kept { key: key.to_owned(), value: value.to_string().into_bytes(), revision }
}

fn put(key: &str, value: &Value) -> Vec<Write> {
    vec![Write::Put { key: key.to_owned(), value: value.to_string().into_bytes(), ttl: None }]
}

fn paths(held: &Held, second: i64) -> Vec<String> {
    held.over(at(second)).overrides.iter().map(|one| one.info().path.to_string()).collect()
}

#[test]
fn what_another_gateway_took_back_does_not_come_back_with_the_answer_to_an_own_write() {
    let (mut held, active) = (held(), grant());
    let revoked = with(grant(), json!({"revoked": done("carol")}));
    held.hear_some(5, &[kept("grants/g", &active, 5)], &[], at(0));
    held.hear_some(6, &[kept("grants/g", &revoked, 6)], &[], at(0));
    // The answer to the commit of revision 5 comes last.
    held.hear_own(&put("grants/g", &active), 5, at(0));
    assert!(paths(&held, 1).is_empty());
    held.hear_some(8, &[kept("mode", &mode("lockdown", 1, None), 8)], &[], at(1));
    held.hear_own(&put("mode", &mode("normal", 0, None)), 7, at(1));
    assert_eq!(held.mode(at(2)), "lockdown");
}

#[test]
fn an_own_write_is_not_undone_by_what_the_watch_tells_of_before() {
    let (mut held, active) = (held(), grant());
    let revoked = with(grant(), json!({"revoked": done("carol")}));
    held.hear_own(&put("grants/g", &revoked), 6, at(0));
    held.hear_some(5, &[kept("grants/g", &active, 5)], &[], at(0));
    assert!(paths(&held, 1).is_empty());
    held.replace(&View { kept: vec![kept("grants/g", &active, 5)], revision: 5 }, at(0));
    assert!(paths(&held, 1).is_empty());
    // What this gateway removed stays so, and what it made is not removed by an earlier end of its key.
    held.hear_own(&[Write::Delete { key: "grants/g".to_owned() }], 7, at(0));
    held.hear_some(6, &[kept("grants/g", &active, 6)], &[], at(0));
    assert!(held.grants.is_empty());
    held.hear_own(&put("grants/g", &active), 9, at(0));
    held.hear_some(8, &[], &["grants/g".to_owned()], at(0));
    assert_eq!(paths(&held, 1), ["grant/g"]);
    // A store that was restored from a backup has the only word.
    held.replace(&View { kept: Vec::new(), revision: 3 }, at(0));
    assert!(paths(&held, 1).is_empty());
}

#[test]
fn what_cannot_be_read_any_more_is_not_in_force_any_more() {
    let mut held = held();
    held.hear_some(5, &[kept("grants/g", &grant(), 5), kept("exceptions/e", &exception(), 5)], &[], at(0));
    assert_eq!(paths(&held, 1), ["grant/g", "exception/e"]);
    // A later version of the program took them back, with a word that this one does not know.
    let more = json!({"revoked": done("carol"), "closed": done("carol"), "news": 1});
    let later = [kept("grants/g", &with(grant(), more.clone()), 6), kept("exceptions/e", &with(exception(), more), 6)];
    held.hear_some(6, &later, &[], at(1));
    assert!(paths(&held, 1).is_empty());
    assert_eq!(held.unreadable.len(), 2);
}

#[test]
fn what_operations_here_would_not_have_made_is_not_believed() {
    let later = at(901).to_string();
    for (bad, why) in [
        (json!({"id": "other"}), "id of another"),
        (json!({"scope": "local"}), "holds elsewhere"),
        (json!({"approved": null}), "without an approval"),
        (json!({"approved": done("ALICE")}), "who asked for it"),
        (json!({"needs_approval": false}), "second factor"),
        (json!({"seconds": -1}), "no length"),
        (json!({"ends": later}), "later than its length"),
        (json!({"begins": null}), "not both"),
    ] {
        let mut held = held();
        held.hear_some(5, &[kept("grants/g", &with(grant(), bad.clone()), 5)], &[], at(0));
        assert!(paths(&held, 1).is_empty(), "{bad}");
        let told = held.unreadable.get("grants/g").unwrap_or_else(|| panic!("{bad} is told"));
        assert!(told.contains(why), "{bad}: {told}");
    }
    for bad in [json!({"id": "other"}), json!({"approved": null}), json!({"approved": done("alice")})] {
        let mut held = held();
        held.hear_some(5, &[kept("exceptions/e", &with(exception(), bad.clone()), 5)], &[], at(0));
        assert!(paths(&held, 1).is_empty(), "{bad}");
        assert_eq!(held.unreadable.len(), 1);
    }
}

#[test]
fn nothing_of_the_store_lives_longer_than_this_gateway_takes() {
    let mut held = held();
    let long = with(grant(), json!({"seconds": i64::MAX, "ends": "9999-12-30T00:00:00Z"}));
    held.hear_some(5, &[kept("grants/g", &long, 5)], &[], at(0));
    assert_eq!(held.over(at(1)).overrides[0].info().expires, Some(at(3600)));
    assert_eq!(held.grant_status(&held.grants["g"].value, at(3600)), Status::Ended);
    // Heard of anew it has no new hour.
    held.hear_some(6, &[], &["grants/g".to_owned()], at(10));
    held.tidy();
    held.hear_some(7, &[kept("grants/g", &long, 7)], &[], at(1800));
    assert_eq!(held.over(at(1801)).overrides[0].info().expires, Some(at(3600)));
}

#[test]
fn a_mode_of_this_gateway_alone_holds_until_the_store_has_another_word() {
    let local = |name: &str, second: i64, seen: u64| {
        let entry = with(mode(name, second, None), json!({"local": true, "seen": seen}));
        Some(Heard::new(serde_json::from_value(entry).unwrap(), at(second)))
    };
    // Set by a gateway whose clock is ahead, before this one was contained: no later word.
    let mut held = held();
    held.hear_some(5, &[kept("mode", &mode("normal", 7200, None), 5)], &[], at(0));
    held.local_mode = local("lockdown", 60, 5);
    assert_eq!(held.mode(at(61)), "lockdown");
    held.hear_some(6, &[kept("mode", &mode("restricted", 120, None), 6)], &[], at(120));
    assert_eq!(held.mode(at(121)), "restricted");
    // In doubt it stays contained.
    held.local_mode = local("lockdown", 180, 6);
    held.hear_some(7, &[kept("mode", &mode("normal", 170, None), 7)], &[], at(190));
    assert_eq!(held.mode(at(191)), "lockdown");
    // And it does not stay open against a word that was not known, whatever the clocks say.
    held.local_mode = local("normal", 7200, 7);
    assert_eq!(held.mode(at(200)), "normal");
    held.hear_some(8, &[kept("mode", &mode("lockdown", 300, None), 8)], &[], at(300));
    assert_eq!(held.mode(at(301)), "lockdown");
}

#[test]
fn a_mode_lasts_its_time_where_the_clock_is_ahead() {
    let mut held = held();
    held.hear_some(5, &[kept("mode", &mode("lockdown", 0, Some(300)), 5)], &[], at(3600));
    assert_eq!(held.mode(at(3600)), "lockdown");
}

#[test]
fn behind_the_highest_time_all_is_over_that_began_before_the_first_image() {
    let longest = Longest { grant: SignedDuration::from_hours(1), exception: SignedDuration::from_hours(24) };
    let mut held = Held::new(Trust::Behind, longest);
    held.replace(&View { kept: vec![kept("grants/g", &grant(), 5)], revision: 5 }, at(0));
    assert!(paths(&held, 1).is_empty());
    // The copy was not all: what is in the store now may have begun any time.
    held.settled = false;
    let other = with(grant(), json!({"id": "h"}));
    held.replace(&View { kept: vec![kept("grants/h", &other, 6)], revision: 6 }, at(1));
    assert!(paths(&held, 2).is_empty());
    held.hear_some(7, &[kept("grants/i", &with(grant(), json!({"id": "i"})), 7)], &[], at(2));
    assert_eq!(paths(&held, 3), ["grant/i"]);
}

#[test]
fn what_the_store_says_does_not_touch_what_is_kept_here() {
    let mut held = held();
    let own: Grant = serde_json::from_value(with(grant(), json!({"scope": "local"}))).unwrap();
    held.put_grant("g", own, 3, at(0));
    held.take_uses("uses/g/r", json!({"gateway": "a", "replica": "r", "uses": []}).to_string().as_bytes()).unwrap();
    held.hear_some(5, &[], &["grants/g".to_owned()], at(0));
    held.hear_some(6, &[kept("grants/g", &with(grant(), json!({"revoked": done("x")})), 6)], &[], at(0));
    held.replace(&View { kept: Vec::new(), revision: 9 }, at(0));
    assert_eq!(paths(&held, 1), ["grant/g"]);
    assert_eq!(held.uses.len(), 1);
}

#[test]
fn an_end_that_was_reckoned_is_not_a_later_one_after_a_restart() {
    // This gateway's clock is ten minutes behind.
    let mut held = held();
    held.hear_some(5, &[kept("grants/g", &grant(), 5)], &[], at(-600));
    assert_eq!(held.over(at(-599)).overrides[0].info().expires, Some(at(300)));
    let noted = held.take_earlier();
    assert_eq!(noted, [("grant/g".to_owned(), at(300))]);
    let mut again = self::held();
    noted.iter().for_each(|(path, end)| again.remember_end(path, *end));
    again.replace(&View { kept: vec![kept("grants/g", &grant(), 5)], revision: 5 }, at(0));
    assert_eq!(again.over(at(1)).overrides[0].info().expires, Some(at(300)));
    // One that ends as it is written needs no remembering.
    held.hear_some(6, &[kept("grants/h", &with(grant(), json!({"id": "h"})), 6)], &[], at(0));
    assert!(held.take_earlier().is_empty());
}

#[test]
fn what_gateways_decide_by_is_told_as_it_is_kept_and_never_where_it_is_none() {
    let mut held = held();
    let kept = |key: &str, value: &str, revision| Kept { key: key.to_owned(), value: value.into(), revision };
    let digest = format!("sha256:{}", "a".repeat(64));
    let sound = format!(r#"{{"gateway":"gw","bundle":"corp","digest":"{digest}","activated":"2030-01-01T00:00:00Z"}}"#);
    held.hear_some(2, &[kept("policies/one", &sound, 2), kept("policies/two", &sound, 2)], &[], at(0));
    assert_eq!(held.policies.keys().collect::<Vec<_>>(), ["one", "two"]);
    // Its gateway is gone.
    held.hear_some(3, &[], &["policies/two".to_owned()], at(1));
    assert_eq!(held.policies.keys().collect::<Vec<_>>(), ["one"]);
    for bad in [&sound.replace("gw", r"\u0007"), &sound.replace("sha256:", "md5:"), "{"] {
        held.hear_some(4, &[kept("policies/one", bad, 4)], &[], at(2));
        assert!(held.policies.is_empty() && held.unreadable.contains_key("policies/one"), "{bad}");
    }
}
