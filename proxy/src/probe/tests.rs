//! The memory of proofs is bounded and never stale, and questions are no wider than they have to be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatepass_certs::Alpn;
use gatepass_policy::facts::{Facts, Hello, Tls, Upstream};
use gatepass_policy::host::Authority;

use super::kept::{Kept, Slot};
use super::{Key, alpn, key};
use crate::dial::{Cleared, endpoints};
use crate::evidence::tests::all_facts;

fn question(number: u64) -> Key {
    let host = rustls::pki_types::ServerName::try_from("a.test").unwrap();
    let address = "192.0.2.1:443".parse().unwrap();
    Key { trusted: number, address, server_name: host.clone(), host, alpn: Vec::new() }
}

/// Whether there is an answer, which otherwise is put there for so long.
async fn known(kept: &Kept, number: u64, lasting: Duration) -> bool {
    let now = Instant::now();
    match kept.get(&question(number), now) {
        Slot::Known(_) => true,
        Slot::Open(slot) => {
            slot.get_or_init(|| async { (Arc::new(Upstream::Nothing("x".into())), now) }).await;
            kept.put(&question(number), &slot, now + lasting);
            false
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_answer_is_known_for_as_long_as_it_was_to_be_and_no_longer() {
    let kept = Kept::new(10);
    assert!(!known(&kept, 1, HOUR).await && known(&kept, 1, HOUR).await);
    assert!(!known(&kept, 2, Duration::ZERO).await && !known(&kept, 2, Duration::ZERO).await);
    assert_eq!(kept.len(), 1);
    assert!(matches!(kept.get(&question(1), Instant::now() + HOUR), Slot::Open(_)), "it is over");
}

#[tokio::test]
async fn no_more_is_remembered_than_there_is_room_for() {
    let kept = Kept::new(8);
    for number in 0..100 {
        known(&kept, number, HOUR).await;
        assert!(kept.len() <= 8, "{} after {number}", kept.len());
        assert!(known(&kept, number, HOUR).await, "the last one is");
    }
    let none = Kept::new(0);
    assert!(!known(&none, 1, HOUR).await && !known(&none, 1, HOUR).await);
}

#[tokio::test]
async fn those_who_wait_share_one_place_and_an_abandoned_one_is_given_up() {
    let kept = Kept::new(2);
    let open = |number| match kept.get(&question(number), Instant::now()) {
        Slot::Open(slot) => slot,
        Slot::Known(_) => panic!("nobody has answered"),
    };
    let (one, other) = (open(1), open(1));
    assert!(Arc::ptr_eq(&one, &other));
    let _second = open(2);
    // There is no room, and both are waited for: a third one is on its own.
    assert!(!Arc::ptr_eq(&open(3), &open(3)));
    drop((one, other));
    let third = open(3);
    assert!(Arc::ptr_eq(&third, &open(3)), "nobody waits for the first any more");
    assert_eq!(kept.len(), 2);
}

#[test]
fn a_question_says_what_the_client_says_as_far_as_that_is_known() {
    let hello = |sni: Option<&str>, offered: &[&str]| Hello {
        sni: sni.map(str::to_owned),
        alpn: offered.iter().map(ToString::to_string).collect(),
        ..Hello::default()
    };
    assert_eq!(alpn(&hello(None, &["secret", "http/1.1", "h2", "http/1.1"])), [Alpn::Http11, Alpn::H2]);
    assert_eq!(alpn(&hello(None, &["acme-tls/1"])), []);
    let asked = |authority: &str, tls: Tls| {
        let facts =
            Facts { tls: Some(tls), destination: Authority::parse(authority.as_bytes()).unwrap(), ..all_facts() };
        let endpoint = endpoints(&facts, Cleared::by_decision())[0];
        key(7, endpoint, &facts).map(|key| (key.server_name.to_str().into_owned(), key.host.to_str().into_owned()))
    };
    let pair = |server_name: &str, host: &str| Ok((server_name.to_owned(), host.to_owned()));
    assert_eq!(asked("a.test:443", Tls::Hello(hello(Some("b.test"), &[]))), pair("b.test", "a.test"));
    assert_eq!(asked("a.test:443", Tls::Hello(hello(None, &[]))), pair("a.test", "a.test"));
    assert_eq!(asked("[2001:db8::7]:443", Tls::Hello(hello(None, &[]))), pair("2001:db8::7", "2001:db8::7"));
    let bad = asked("a.test:443", Tls::Hello(hello(Some("not a name"), &[])));
    assert_eq!(bad, Err("the server name in the ClientHello is no host name"));
    assert_eq!(asked("a.test:443", Tls::Absent), Err("the client does not speak TLS"));
}
