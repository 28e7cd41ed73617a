//! Entries of operators: what they mean, and what each mistake is told.

use super::*;
use crate::scratch::Scratch;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "00000000000000000000000000000000000000000000000000000000000000fb";
const END: &str = "expires: \"2027-06-01T00:00:00Z\"";
const ALL: Means = Means { certificates: Asked::Yes, oidc: Asked::Yes };
const NONE: Means = Means { certificates: Asked::No, oidc: Asked::No };

fn read_this(text: &str, means: Means) -> Result<(Vec<Operator>, Vec<Problem>), Problems> {
    let scratch = Scratch::new();
    scratch.file("alice.totp", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n");
    read(&scratch.file("operators.yaml", text), "2027-01-01T00:00:00Z".parse().unwrap(), means)
}

fn told(text: &str, means: Means) -> Vec<String> {
    let problems = read_this(text, means).unwrap_err();
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
    problems.iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn an_old_entry_is_a_viewer_who_is_called_as_the_person() {
    let (operators, warnings) = read_this(&format!("- {{name: Ops, sha256: \"{A}\", {END}}}"), NONE).unwrap();
    assert!(warnings.is_empty());
    let ops = &operators[0];
    assert_eq!((ops.name.as_str(), ops.person.as_str(), ops.roles.as_slice()), ("Ops", "ops", &[Role::Viewer][..]));
    assert_eq!(ops.sha256, Some(Hash([0xaa; 32])));
    assert!(ops.may(Role::Viewer) && !ops.may(Role::Approver) && !ops.may(Role::Breaker));
}

#[test]
fn a_whole_entry_has_every_credential_and_shows_no_secret() {
    let text = format!(
        "- name: alice\n  person: Alice@Example.com\n  roles: [approver, breaker]\n  {END}\n  sha256: \"{A}\"\n  \
         certificates: [{{sha256: \"{B}\"}}, {{spiffe_id: \"spiffe://corp.example/ops/alice\"}}, {{dns: Alice.Ops.Example}}]\n  \
         oidc: {{subject: \"00u1\", email: Alice@Example.com}}\n  totp: {{secret: \"JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP\"}}\n\
         - {{name: alice-old, person: alice@example.com, {END}, certificates: [{{dns: old.example}}], totp: {{file: alice.totp}}}}\n"
    );
    let (operators, _) = read_this(&text, ALL).unwrap();
    let (alice, old) = (&operators[0], &operators[1]);
    assert_eq!(alice.person, old.person, "one person, however it is spelled");
    assert_eq!(alice.certificates[2], Certificate::Dns("alice.ops.example".into()));
    assert_eq!(alice.oidc.as_ref().unwrap().email.as_deref(), Some("alice@example.com"));
    assert_eq!(alice.totp, old.totp);
    assert_eq!(alice.totp.as_ref().unwrap().expose()[..5], *b"Hello");
    assert!(alice.may(Role::Viewer) && alice.may(Role::Approver) && alice.may(Role::Breaker));
    let debug = format!("{alice:?}");
    assert!(!debug.contains("170, 170") && !debug.contains("JBSW") && !debug.contains("72, 101"), "{debug}");
}

#[test]
fn every_mistake_is_told_and_no_secret_is_repeated() {
    let token = format!("sha256: \"{A}\", {END}");
    for (entry, wanted) in [
        ("", "the file is empty; write `[]` for no operators"),
        ("- {name: a, EXPIRES}", "`[0]` has neither `sha256` nor `certificates` nor `oidc`"),
        ("- {name: a, sha256: hunter2, EXPIRES}", "`[0].sha256` is not a SHA-256 hash: 64 hexadecimal digits"),
        ("- {name: a, TOKEN, token: hunter2}", "`token` is not a key of `[0]`"),
        ("- {name: a, TOKEN, roles: [root]}", "`root` is not a value of `[0].roles[0]`"),
        ("- {name: a, TOKEN, roles: []}", "`[0].roles` is an empty list"),
        ("- {name: a, TOKEN, roles: [viewer, viewer]}", "the same value is given twice"),
        (
            "- {name: a, TOKEN, person: \"a b\"}",
            "`a b` is not a person: 1 to 128 letters, digits, `-`, `_`, `.`, `+` and `@`",
        ),
        ("- {name: a, TOKEN, totp: {secret: hunter2}}", "`[0].totp.secret` is no secret in base32 of 16 to 128 bytes"),
        ("- {name: a, TOKEN, totp: {secret: MFRGG}}", "`[0].totp.secret` is no secret in base32 of 16 to 128 bytes"),
        ("- {name: a, TOKEN, totp: {secret: [hunter2]}}", "`[0].totp.secret` is not text"),
        ("- {name: a, TOKEN, totp: {file: alice.totp, secret: hunter2}}", "`[0].totp` needs either `file` or `secret`"),
        ("- {name: a, TOKEN, totp: {}}", "`[0].totp` needs either `file` or `secret`"),
        ("- {name: a, EXPIRES, certificates: [{}]}", "`[0].certificates[0]` names no certificate, or several"),
        (
            "- {name: a, EXPIRES, certificates: [{dns: a.example, spiffe_id: \"spiffe://a/b\"}]}",
            "`[0].certificates[0]` names no certificate, or several",
        ),
        ("- {name: a, EXPIRES, certificates: [{dns: 10.0.0.1}]}", "`10.0.0.1` is not a host name"),
        ("- {name: a, EXPIRES, oidc: {}}", "`[0].oidc` has neither `subject` nor `email`"),
        ("- {name: a, EXPIRES, oidc: {email: alice}}", "`alice` is not a mail address"),
        ("- {name: a, TOKEN}\n- {name: a, EXPIRES, oidc: {subject: x}}", "two operators are called `a`"),
        (
            "- {name: a, TOKEN}\n- {name: b, TOKEN}",
            "`b` has the hash of another operator: nobody could tell them apart",
        ),
        (
            "- {name: a, EXPIRES, certificates: [{dns: a.example}]}\n- {name: b, EXPIRES, certificates: [{dns: A.example}]}",
            "`b` has a certificate of another operator: nobody could tell them apart",
        ),
        (
            "- {name: a, EXPIRES, oidc: {subject: x}}\n- {name: b, EXPIRES, oidc: {subject: x}}",
            "`b` has the `oidc` of another operator: nobody could tell them apart",
        ),
    ] {
        let text = entry.replace("TOKEN", &token).replace("EXPIRES", END);
        assert_eq!(told(&text, ALL), [wanted], "{text}");
    }
}

#[test]
fn a_credential_that_nothing_asks_for_is_a_mistake() {
    let text = format!("- {{name: a, {END}, certificates: [{{dns: a.example}}], oidc: {{subject: x}}}}");
    assert_eq!(
        told(&text, NONE),
        ["`certificates` is given, but nothing asks for it", "`oidc` is given, but nothing asks for it"]
    );
}

#[test]
fn a_file_that_is_not_there_is_nobody_s_leave() {
    let scratch = Scratch::new();
    let now = "2027-01-01T00:00:00Z".parse().unwrap();
    assert!(read(&scratch.path().join("gone.yaml"), now, ALL).is_err());
    let text = format!("- {{name: a, sha256: \"{A}\", {END}, totp: {{file: gone.totp}}}}");
    assert!(read(&scratch.file("operators.yaml", &text), now, ALL).is_err());
}

#[test]
fn an_operator_is_not_called_as_another_person_is() {
    let both = |first: &str, second: &str| {
        format!("- {{{first}, {END}, sha256: \"{A}\"}}\n- {{{second}, {END}, sha256: \"{B}\"}}\n")
    };
    for (first, second) in [
        ("name: bob-cert, person: bob", "name: bob, person: mallory"),
        ("name: bob, person: mallory", "name: bob-cert, person: Bob"),
        ("name: bob", "name: Bob, person: mallory"),
    ] {
        assert_eq!(told(&both(first, second), NONE).len(), 1, "{first}; {second}");
    }
    assert!(read_this(&both("name: bob, person: bob@x", "name: bob-old, person: bob@x"), NONE).is_ok());
    assert!(read_this(&both("name: bob", "name: bob-old, person: bob"), NONE).is_ok());
}
