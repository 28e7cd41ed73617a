//! Smokescreen: every pair of role and host is decided as it was there, but for what was told.

use gatepass_tests::Scratch;

use super::super::cli::run;
use super::{Ask, Import, NOW, sample, told};

/// What Smokescreen says of a role and a host, by its own order: the role's list, the global deny list, the global allow
/// list, the action.
const TABLE: &[(&str, &str, Says)] = &[
    // A role's own list.
    ("checkout", "api.psp.example", Says::Allow),
    ("checkout", "API.PSP.Example", Says::Allow),
    ("checkout", "api.psp.example.", Says::Allow),
    ("checkout", "www.api.psp.example", Says::Deny),
    ("checkout", "psp.example", Says::Deny),
    ("crawler", "api.psp.example", Says::Reports),
    ("nobody-knows", "api.psp.example", Says::Deny),
    // A glob: any depth, not the apex, and label by label.
    ("mirror", "a.packages.example", Says::Allow),
    ("mirror", "b.a.packages.example", Says::Allow),
    ("mirror", "packages.example", Says::Deny),
    ("mirror", "evilpackages.example", Says::Deny),
    // The own list wins over the global deny list, for that role alone.
    ("checkout", "paste.example", Says::Allow),
    ("mirror", "paste.example", Says::Deny),
    ("crawler", "paste.example", Says::Deny),
    ("sandbox", "paste.example", Says::Deny),
    ("sandbox", "PASTE.example.", Says::Deny),
    ("nobody-knows", "paste.example", Says::Deny),
    ("mirror", "x.eu.leaks.example", Says::Allow),
    ("mirror", "x.leaks.example", Says::Deny),
    ("mirror", "eu.leaks.example", Says::Deny),
    ("checkout", "x.eu.leaks.example", Says::Deny),
    ("crawler", "a.leaks.example", Says::Deny),
    // The global allow list is for every role, and loses to the global deny list.
    ("checkout", "time.example", Says::Allow),
    ("crawler", "time.example", Says::Allow),
    ("sandbox", "a.b.cdn.example", Says::Allow),
    ("nobody-knows", "time.example", Says::Allow),
    ("checkout", "cdn.example", Says::Deny),
    ("checkout", "torn.example", Says::Deny),
    ("sandbox", "torn.example", Says::Deny),
    ("nobody-knows", "torn.example", Says::Deny),
    // Who is not listed has the default rule, who is listed does not.
    ("nobody-knows", "status.example", Says::Allow),
    ("checkout", "status.example", Says::Deny),
    // `report` and `open` let everything else through, which no permission here does.
    ("crawler", "www.news.example", Says::Allow),
    ("crawler", "other.example", Says::Reports),
    ("sandbox", "other.example", Says::Opens),
    // An address; Smokescreen refuses a private one even where it is listed.
    ("mirror", "93.184.215.14", Says::Allow),
    ("checkout", "93.184.215.14", Says::Deny),
    ("mirror", "10.0.0.8", Says::Deny),
    // A host to be decrypted is still one that is allowed.
    ("mailer", "smtp.mail.example", Says::Allow),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Allow,
    Deny,
    /// Allowed and reported: `report`.
    Reports,
    /// Allowed because nothing is enforced: `open`.
    Opens,
}

#[test]
fn every_role_and_host_is_decided_as_by_smokescreen_and_report_and_open_are_the_only_differences() {
    let import = Import::of("smokescreen", &sample("smokescreen.yaml"), &["--port", "443"]);
    assert_eq!(import.told.code, 0, "{}", import.told.err);
    for (role, host, says) in TABLE {
        let decision = import.decide(&Ask::connect(&format!("token:{role}"), &format!("{host}:443")));
        let wanted = match says {
            Says::Allow => "allow",
            Says::Deny | Says::Reports | Says::Opens => "deny",
        };
        assert_eq!(decision.effect.as_str(), wanted, "{role} -> {host}: {says:?}, {:?}", decision.reason);
    }
    let told = run(&import.scratch, &["check", "policy", "--at", NOW]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{}", told.out);
}

#[test]
fn the_rule_that_decides_is_the_one_of_the_list_that_decided() {
    let import = Import::of("smokescreen", &sample("smokescreen.yaml"), &["--port", "443"]);
    for (role, host, says) in [
        ("checkout", "api.psp.example", "+payments/checkout"),
        ("checkout", "paste.example", "+payments/checkout"),
        ("mirror", "paste.example", "guard/deny-paste.example"),
        ("sandbox", "time.example", "+global/global-allow"),
        ("somebody", "status.example", "+other/default"),
        ("sandbox", "torn.example", "guard/deny-torn.example"),
        ("mirror", "93.184.215.14", "+platform/mirror-addresses"),
        ("sandbox", "other.example", "no_rule"),
    ] {
        assert_eq!(import.says(&Ask::connect(&format!("token:{role}"), &format!("{host}:443"))), says, "{role} {host}");
    }
    // A missing role is nobody there, and nobody here: the default is for roles, not for those who have none.
    for host in ["status.example", "time.example"] {
        assert_eq!(import.says(&Ask::connect("anonymous", &format!("{host}:443"))), "no_rule", "{host}");
    }
    let other = import.says(&Ask::connect("token:checkout", "api.psp.example:22"));
    assert_eq!(other, "no_rule", "only the ports that were asked for");
}

#[test]
fn each_line_that_is_less_here_is_told_in_its_place() {
    let file = sample("smokescreen.yaml");
    let json =
        run(&Scratch::new(), &["import", "smokescreen", file.to_str().unwrap(), "--owner", "net@corp.test", "--json"]);
    assert_eq!(json.code, 0);
    let lines: Vec<(String, String)> = told(&json).into_iter().collect();
    let wanted = [
        ("dropped smokescreen.yaml:14", "`report` lets `crawler` reach every host"),
        ("dropped smokescreen.yaml:20", "`open` lets `sandbox` reach every host"),
        ("dropped smokescreen.yaml:28", "Smokescreen itself refuses this address"),
        ("dropped smokescreen.yaml:37", "decryption is not carried over"),
        ("dropped smokescreen.yaml:41", "a client cannot name a further proxy here"),
        ("dropped smokescreen.yaml:45", "the action is none of `open`, `report`, `enforce`"),
        ("narrowed smokescreen.yaml:4", "the ACL allows every port"),
    ];
    assert_eq!(lines.len(), wanted.len(), "{lines:#?}");
    for ((line, why), (wanted_line, wanted_why)) in lines.iter().zip(wanted) {
        assert_eq!(line, wanted_line);
        assert!(why.starts_with(wanted_why), "{line}: {why}");
    }
    let strict =
        run(&Scratch::new(), &["import", "smokescreen", file.to_str().unwrap(), "--owner", "o@corp.test", "--strict"]);
    assert_eq!(strict.code, 1, "something was left out");
    assert!(strict.err.contains("smokescreen.yaml:20: not carried over: `open`"), "{}", strict.err);
    assert!(strict.err.contains("\n    action: open\n    = help: "), "{}", strict.err);
}

#[test]
fn a_whole_list_is_carried_over_strictly_and_without_a_word() {
    let scratch = Scratch::new();
    scratch.write(
        "acl.yaml",
        "version: v1\nservices:\n  - {name: a, project: web, action: enforce, allowed_domains: [a.example]}\n",
    );
    let arguments =
        ["import", "smokescreen", "acl.yaml", "--port", "443", "--strict", "--now", NOW, "--output", "policy"];
    let told = run(&scratch, &arguments);
    assert_eq!(
        (told.code, told.err.as_str()),
        (0, "imported 1 rules in 2 files; 0 not carried over, 0 narrowed, 0 notes\n")
    );
    let team = std::fs::read_to_string(scratch.path().join("policy/teams/web.yaml")).unwrap();
    assert!(team.contains("issued: \"2030-01-01T00:00:00Z\"\n    expires: \"2030-04-01T00:00:00Z\""), "{team}");
    // It is not written over.
    let again = run(&scratch, &arguments);
    assert_eq!(again.code, 3, "{}", again.err);
    assert!(again.err.contains("the directory is not empty"), "{}", again.err);
}

#[test]
fn roles_become_the_identities_of_the_template() {
    let template = ["--port", "443", "--identity", "spiffe://corp.test/ns/{service}/**"];
    let import = Import::of("smokescreen", &sample("smokescreen.yaml"), &template);
    for (who, host, says) in [
        ("spiffe://corp.test/ns/checkout/sa/web", "api.psp.example", "+payments/checkout"),
        ("spiffe://corp.test/ns/checkout/sa/web", "status.example", "no_rule"),
        ("spiffe://corp.test/ns/mirror/sa/web", "paste.example", "guard/deny-paste.example"),
        ("spiffe://corp.test/ns/other/sa/web", "status.example", "+other/default"),
        ("spiffe://corp.test/ns/checkout", "api.psp.example", "no_rule"),
        ("spiffe://evil.test/ns/checkout/sa/web", "api.psp.example", "no_rule"),
        ("token:checkout", "api.psp.example", "no_rule"),
    ] {
        assert_eq!(import.says(&Ask::connect(who, &format!("{host}:443"))), says, "{who} {host}");
    }
    for template in ["token:x", "spiffe://corp.test/svc-{service}", "spiffe://{service}/x", "{service}"] {
        let file = sample("smokescreen.yaml");
        let told = run(&Scratch::new(), &["import", "smokescreen", file.to_str().unwrap(), "--identity", template]);
        assert_eq!(told.code, 2, "{template}");
        assert!(told.err.starts_with("error: `--identity`: "), "{}", told.err);
    }
}

#[test]
fn without_a_default_only_listed_roles_have_anything() {
    let scratch = Scratch::new();
    let acl =
        "version: v1\nservices:\n  - {name: a, project: web, action: enforce}\nglobal_allow_list: [time.example]\n";
    let import = Import::of("smokescreen", &scratch.write("acl.yaml", acl), &[]);
    assert_eq!(import.says(&Ask::connect("token:a", "time.example:443")), "+global/global-allow");
    assert_eq!(import.says(&Ask::connect("token:b", "time.example:443")), "no_rule");
}

#[test]
fn a_role_that_cannot_be_carried_over_does_not_get_the_default_and_lists_that_are_none_give_nothing() {
    let scratch = Scratch::new();
    let acl = |services: &str| {
        format!("version: v1\nservices:\n{services}\ndefault: {{action: enforce, allowed_domains: [d.example]}}\n")
    };
    let listed = acl("  - {name: a, action: nonsense, allowed_domains: [a.example]}");
    let import = Import::of("smokescreen", &scratch.write("a.yaml", listed), &[]);
    assert_eq!(import.says(&Ask::connect("token:a", "a.example:443")), "no_rule");
    assert_eq!(import.says(&Ask::connect("token:a", "d.example:443")), "no_rule");
    assert_eq!(import.says(&Ask::connect("token:b", "d.example:443")), "+unowned/default");
    // One that is no identity here could be anybody: then nobody is unlisted.
    let nameless = acl("  - {name: 'a/b', action: enforce, allowed_domains: [a.example]}");
    let import = Import::of("smokescreen", &scratch.write("b.yaml", nameless), &[]);
    assert!(import.set.is_none() && import.told.code == 1, "{}", import.told.err);
    for glob in [
        "'*'",
        "'*.'",
        "'*bob.example'",
        "bob.ex*mple",
        "'**.x.example'",
        "'*.*.x.example'",
        "UPPER.example",
        "éx.example",
        "a b",
    ] {
        let one = format!("version: v1\nservices: [{{name: a, action: enforce, allowed_domains: [{glob}]}}]\n");
        let import = Import::of("smokescreen", &scratch.write("c.yaml", one), &[]);
        assert!(import.set.is_none() && import.told.code == 1, "{glob}: {}", import.told.err);
        assert!(import.told.err.contains("c.yaml:2: not carried over: this is not a glob"), "{}", import.told.err);
    }
}

#[test]
fn what_is_no_acl_of_version_one_is_refused() {
    let scratch = Scratch::new();
    for (text, why) in [
        ("services: []\n", "`version: v1`"),
        ("version: v2\nservices: []\n", "`version: v1`"),
        ("version: v1\nbroken: []\n", "`services` is missing"),
        ("version: v1\nservices: [\n", "not YAML"),
        ("version: v1\nservices: &a []\n", "anchors"),
        ("", "empty"),
    ] {
        let told = run(&scratch, &["import", "smokescreen", scratch.write("acl.yaml", text).to_str().unwrap()]);
        assert_eq!((told.code, told.out.as_str()), (1, ""), "{text}");
        assert!(told.err.contains(why), "{text}: {}", told.err);
    }
    let told = run(&scratch, &["import", "smokescreen", "nowhere.yaml"]);
    assert_eq!(told.code, 3, "{}", told.err);
}
