//! A collector's token changes without a restart of the gateway.

use gatepass_tests::{Bundle, Faulty, Setup, eventually};

fn shown(collector: &Faulty) -> Vec<String> {
    let text = |seen: &gatepass_tests::faulty::Seen| seen.headers["authorization"].to_str().unwrap().to_owned();
    collector.seen().iter().map(text).collect()
}

#[test]
fn a_header_that_stands_in_a_file_is_read_again_and_one_that_is_gone_stays_as_it_was() {
    let collector = Faulty::start();
    let address = collector.address();
    let setup = Setup::new().section(&format!(
        "evidence: {{stdout: json, otlp: {{endpoint: \"http://{address}\", headers: {{authorization: {{file: ./token}}}}}}}}"
    ));
    let token = setup.scratch.write("token", "Bearer old-one\n");
    let gateway = setup.start(&Bundle::new());
    let denied = || {
        let before = collector.seen().len();
        gateway.client().connect("denied.test:443");
        eventually("it arrives", || shown(&collector).get(before..)?.first().cloned())
    };
    assert_eq!(denied(), "Bearer old-one");
    std::fs::write(&token, "Bearer new-one\n").unwrap();
    gateway.signal("HUP");
    eventually("the new token is taken", || gateway.log().contains("shown the new headers").then_some(()));
    assert_eq!(denied(), "Bearer new-one");
    std::fs::remove_file(&token).unwrap();
    gateway.signal("HUP");
    let told = eventually("what is gone is told", || {
        gateway.log().lines().find(|line| line.contains("shown the old headers")).map(str::to_owned)
    });
    assert!(told.contains("token") && !told.contains("new-one"), "{told}");
    assert_eq!(denied(), "Bearer new-one");
}
