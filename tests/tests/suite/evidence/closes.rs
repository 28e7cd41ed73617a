//! Closes that a kill took: the next start writes them, and says no more than is known.

use gatepass_tests::{Bundle, Origin, Setup, eventually};

#[test]
fn an_admission_whose_close_a_kill_took_is_closed_at_the_next_start() {
    let setup = Setup::new();
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let mut gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let mut client = gateway.client();
    let id = client.connect(&format!("allowed.test:{}", origin.port())).id();
    assert!(client.try_echo(b"ping"));
    gateway.signal("KILL");
    gateway.wait();
    let again = gateway.start_again();
    let close = eventually("its close", || {
        let mut records = again.exported().into_iter();
        records.find(|record| record["kind"] == "close" && record["id"] == id.as_str())
    });
    assert_eq!(close["ending"], "error");
    assert!(close.get("bytes_sent").is_none(), "what nobody knows is not told: {close}");
    drop(again);
    let third = gateway.start_again();
    let closes = third.exported().into_iter().filter(|record| record["kind"] == "close").count();
    assert_eq!(closes, 1, "once");
}
