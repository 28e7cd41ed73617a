//! What is allowed is decided without touching the heap, however many rules there are.

use super::world::{allow, asks, deny, policy, resolved, with_sni};
use crate::decision::Verdict;

const CONDITION: &str = "when: tls.sni == destination.host && destination.port == 443";

#[test]
fn an_allow_allocates_nothing_however_many_rules_there_are() {
    let guardrails = deny("agree", "when: tls.present && tls.sni != destination.host")
        + &deny("tls", "when: destination.port == 443 && request.protocol != \"http\" && !tls.present")
        + &deny("pii", "data_classes: {any_of: [pii]}\nwhen: '!destination.tags.exists(t, t == \"signed\")'");
    // The empty overrides are made once in a process, on the first decision without others.
    drop(policy("", "").decide(&asks(&policy("", ""), "nowhere.test:443")));
    for count in [10, 1_000, 10_000] {
        let hosts = |number: usize| match number % 10 {
            5 => format!("hosts: [\"*.h{number}.test\"], ports: [443]"),
            6 => format!("hosts: [\"**.h{number}.test\"], ports: [443]"),
            _ => format!("hosts: [\"a.h{number}.test\", \"b.h{number}.test\"], ports: [443, 8443]"),
        };
        let more = |number: usize| match number % 10 {
            7 => "identities: [{labels: {env: prod}}]",
            8 => CONDITION,
            _ => "",
        };
        let rule = |number: usize| allow(&format!("r{number}"), &hosts(number), more(number));
        let set = policy(&(0..count).map(rule).collect::<String>(), &guardrails);
        // The first decision of a process makes what stands for no overrides.
        drop(set.decide(&asks(&set, "first.test:443")));
        for number in count - 10..count {
            let host = format!("a.h{number}.test");
            let request = asks(&set, &format!("{host}:443"));
            let known = resolved(&request, &["93.184.216.34", "2606:2800:21f::1"]);
            let tls = with_sni(&known, Some(&host));
            for facts in [&request, &known] {
                let told = allocation_counter::measure(|| assert!(matches!(set.decide(facts), Verdict::Pending(_))));
                assert_eq!(told.count_total, 0, "{number} of {count}: {told:?}");
            }
            let told = allocation_counter::measure(|| assert!(matches!(set.decide(&tls), Verdict::Allow(_))));
            assert_eq!(told.count_total, 0, "{number} of {count}: {told:?}");
        }
        // The counter counts: a denial is told with the rules that came nearest.
        let nobody = asks(&set, "nowhere.test:443");
        assert!(allocation_counter::measure(|| drop(set.trace(&nobody))).count_total > 0);
    }
}
