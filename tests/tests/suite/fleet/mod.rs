//! Three gateways that share one store: what an operator says to one holds on all, whoever of the store dies meanwhile.

mod minds;

mod outages;

mod races;

use std::time::{Duration, Instant};

use gatepass_tests::etcd::Cluster;
use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use serde_json::{Value, json};

use crate::overrides::locked;

/// Gateways that share a store, and where they lead.
struct Fleet {
    cluster: Cluster,
    origin: Origin,
    gateways: Vec<Gateway>,
}

impl Fleet {
    fn new() -> Fleet {
        Fleet::of(locked)
    }

    fn of(bundle: impl Fn(u16) -> Bundle) -> Fleet {
        let (cluster, origin) = (Cluster::start(), Origin::echo());
        let bundle = bundle(origin.port());
        let start = |_| {
            let setup = Setup::new().operators().section(&cluster.state_section());
            setup.resolver.answer("site.test", &["127.0.0.1"]);
            setup.start(&bundle)
        };
        let gateways = (0..3).map(start).collect();
        Fleet { cluster, origin, gateways }
    }

    fn attempt(&self, at: usize) -> u16 {
        self.gateways[at].client().connect(&format!("site.test:{}", self.origin.port())).status
    }

    /// How long until every gateway answers so.
    fn until(&self, status: u16) -> Duration {
        let began = Instant::now();
        for at in 0..self.gateways.len() {
            eventually(&format!("gateway {at} answers {status}"), || (self.attempt(at) == status).then_some(()));
        }
        began.elapsed()
    }

    /// A tunnel on each, and the ids of their decisions.
    fn tunnels(&self) -> Vec<(Client, String)> {
        let open = |gateway: &Gateway| {
            let mut client = gateway.client();
            let reply = client.connect(&format!("site.test:{}", self.origin.port()));
            assert_eq!(reply.status, 200, "{} {}", reply.head, reply.body);
            assert!(client.try_echo(b"ping"));
            (client, reply.id())
        };
        self.gateways.iter().map(open).collect()
    }

    fn asked(&self, seconds: u64) -> Value {
        json!({
            "identities": ["anonymous"],
            "destinations": [format!("site.test:{}", self.origin.port())],
            "data_classes": ["unclassified"],
            "reason": "a drill of the whole fleet",
            "drill": true,
            "ttl": seconds,
        })
    }

    /// Asked for on the first, approved on the second; the id.
    fn granted(&self, seconds: u64) -> String {
        let id = self.requested(seconds);
        self.approved(&id);
        id
    }

    fn requested(&self, seconds: u64) -> String {
        let (alice, first) = (self.gateways[0].operator("alice"), &self.gateways[0]);
        let (status, grant) = alice.post(first, "/v1/grants", &self.asked(seconds));
        assert_eq!((status, &grant["status"], &grant["scope"]), (201, &"pending".into(), &"fleet".into()), "{grant}");
        grant["id"].as_str().unwrap().to_owned()
    }

    fn approved(&self, id: &str) {
        let (bob, second) = (self.gateways[1].operator("bob"), &self.gateways[1]);
        let path = format!("/v1/grants/{id}/approve");
        // The second hears of it from the store, which takes a moment.
        eventually("it is approved", || {
            let (status, grant) = bob.post(second, &path, &json!({}));
            assert!([200, 404].contains(&status), "{status} {grant}");
            (status == 200).then_some(())
        });
    }

    /// The closing records of tunnels that a grant's end cut.
    fn cut(&self, tunnels: &[(Client, String)], id: &str) {
        for (gateway, (_, decision)) in self.gateways.iter().zip(tunnels) {
            let close = gateway.close(decision);
            let wanted: (Value, Value) = ("grant_ended".into(), format!("grant/{id}").into());
            assert_eq!((&close["ending"], &close["cut_by"]), (&wanted.0, &wanted.1), "{close}");
        }
    }
}

#[test]
fn a_drill_from_denied_to_reviewed() {
    let fleet = Fleet::new();
    assert_eq!((fleet.attempt(0), fleet.attempt(1), fleet.attempt(2)), (403, 403, 403));
    let id = fleet.requested(4);
    assert_eq!(fleet.attempt(2), 403, "what waits opens nothing");
    fleet.approved(&id);
    let approved = Instant::now();
    let took = fleet.until(200);
    assert!(took < Duration::from_secs(1), "effective after {took:?}");
    let tunnels = fleet.tunnels();
    fleet.cut(&tunnels, &id);
    let lived = approved.elapsed();
    assert!(lived > Duration::from_millis(3500) && lived < Duration::from_secs(5), "all are cut after {lived:?}");
    assert!(fleet.until(403) < Duration::from_secs(1));

    let (status, _) = fleet.gateways[2].operator("carol").post(
        &fleet.gateways[2],
        &format!("/v1/grants/{id}/review"),
        &json!({"note": "as rehearsed"}),
    );
    assert_eq!(status, 200);
    let bytes = eventually("every gateway has told what it carried", || {
        let (_, grant) = fleet.gateways[2].operator("vera").get(&fleet.gateways[2], &format!("/v1/grants/{id}"));
        let uses = grant["uses"].as_array().unwrap();
        let sent: u64 = uses.iter().filter_map(|one| one["uses"][0]["bytes_sent"].as_u64()).sum();
        (uses.len() == 3 && sent >= 12).then_some(sent)
    });
    assert_eq!(bytes, 12, "four bytes through each");
    for gateway in &fleet.gateways {
        gateway.evidence(&["verify"]);
    }
}

#[test]
fn what_one_hears_all_do_modes_and_revocations_as_well() {
    let fleet = Fleet::new();
    let id = fleet.granted(60);
    fleet.until(200);
    let tunnels = fleet.tunnels();
    let began = Instant::now();
    let (status, _) = fleet.gateways[2].operator("carol").delete(&fleet.gateways[2], &format!("/v1/grants/{id}"));
    assert_eq!(status, 200);
    fleet.cut(&tunnels, &id);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let told: Vec<Value> = fleet.gateways[0].records();
    let ended = told.iter().filter(|record| record["kind"] == "grant" && record["action"] == "ended").count();
    assert!(ended <= 1, "an end is told once");
}

#[test]
fn a_hundred_requests_at_once_on_three_gateways_are_one_grant() {
    let fleet = Fleet::new();
    let asked = fleet.asked(60);
    let operators: Vec<_> = fleet.gateways.iter().map(|gateway| gateway.operator("alice")).collect();
    let ids: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
        let ask = |at: usize| {
            let (operator, gateway, asked) = (&operators[at % 3], &fleet.gateways[at % 3], &asked);
            scope.spawn(move || operator.post(gateway, "/v1/grants", asked))
        };
        let askers: Vec<_> = (0..60).map(ask).collect();
        let answers = askers.into_iter().map(|asker| asker.join().unwrap());
        answers.filter_map(|(_, grant)| grant["id"].as_str().map(str::to_owned)).collect()
    });
    assert_eq!(ids.len(), 1, "{ids:?}");
}
