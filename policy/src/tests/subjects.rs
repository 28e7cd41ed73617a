//! Labels, data classes and tags.

use super::world::{file, files, policy, problems};
use crate::compile;
use crate::host::Host;
use crate::identity::Identity;

fn workloads(entries: &str) -> Vec<crate::SourceFile> {
    let mut files = files("", "");
    files[1] = file(
        "workloads.yaml",
        &format!("apiVersion: gatepass/v1\nkind: Workloads\nmetadata: {{id: w}}\nworkloads:\n{entries}"),
    );
    files
}

#[test]
fn the_most_specific_entry_speaks_for_an_identity() {
    let files = workloads(
        "  - {id: \"spiffe://t.test/**\", labels: {from: rest}}\n  - {id: \"spiffe://t.test/{a}/{b}\", labels: {from: \"two-{a}-{b}\"}}\n  \
         - {id: \"spiffe://t.test/x/{b}\", labels: {from: \"one-{b}\"}, data_classes: [pii]}\n  \
         - {id: \"spiffe://t.test/x/y\", labels: {from: exact}}\n",
    );
    let set = compile(&files, super::world::at(super::world::NOW)).unwrap().set;
    for (id, label, class) in [
        ("spiffe://t.test/x/y", "exact", "unclassified"),
        ("spiffe://t.test/x/z", "one-z", "pii"),
        ("spiffe://t.test/u/z", "two-u-z", "unclassified"),
        ("spiffe://t.test/u/z/w", "rest", "unclassified"),
        // What is captured is never read for captures again.
        ("spiffe://t.test/{b}/z", "two-{b}-z", "unclassified"),
    ] {
        let subject = set.subject(&Identity::named(id), None).unwrap();
        assert_eq!(subject.labels.get("from").map(|label| &**label), Some(label), "{id}");
        assert_eq!(&*subject.registered, [class.into()], "{id}");
    }
    let stranger = set.subject(&Identity::anonymous(), None).unwrap();
    assert!(stranger.labels.is_empty() && stranger.declared.is_none());
    assert_eq!(&*stranger.registered, ["unclassified".into()]);
}

#[test]
fn two_entries_of_which_neither_is_more_specific_are_an_error() {
    let found = problems(&workloads(
        "  - {id: \"spiffe://t.test/{a}/x\"}\n  - {id: \"spiffe://t.test/y/{b}\"}\n  - {id: \"token:a\"}\n  - {id: \"token:a\"}\n",
    ));
    assert_eq!(
        found,
        [
            "workloads.yaml:6:10 `spiffe://t.test/y/{b}` and `spiffe://t.test/{a}/x` can be the same identity",
            "workloads.yaml:8:10 `token:a` is registered twice",
        ]
    );
}

#[test]
fn captures_must_exist_and_classes_must_be_known() {
    let found = problems(&workloads(
        "  - {id: \"spiffe://t.test/{a}\", labels: {l: \"{b}\"}}\n  - {id: \"token:a\", data_classes: [secret], may_declare: [public]}\n",
    ));
    assert_eq!(
        found,
        [
            "workloads.yaml:5:41 label `l`: `b` is not a capture of `spiffe://t.test/{a}`",
            "workloads.yaml:6:36 `secret` is not a data class of this bundle",
            "workloads.yaml:6:59 `public` may be declared but is not among its data classes",
        ]
    );
}

#[test]
fn a_client_can_only_narrow_what_is_registered() {
    let set = policy("", "");
    let shop = Identity::named(super::world::WEB);
    let declared = set.subject(&shop, Some(b" public ,public")).unwrap().declared.unwrap();
    assert_eq!(&*declared, ["public".into()]);
    for value in
        [&b""[..], b"internal", b"pii", b"public,", b"public,pii", b"Public", b"public;internal", b"\xff", b"a\0b"]
    {
        assert!(set.subject(&shop, Some(value)).is_err(), "{value:?}");
    }
    assert!(set.subject(&shop, Some(&b"public,".repeat(1000))).is_err());
    assert!(set.subject(&Identity::anonymous(), Some(b"unclassified")).is_err());
    assert_eq!(
        set.subject(&shop, Some(b"pii")).unwrap_err().to_string(),
        "`pii` is not a data class that this workload may declare"
    );
}

#[test]
fn tags_of_all_patterns_that_match_are_joined() {
    let set = policy("", "");
    let tags = |host: &str| set.tags(&Host::parse(host.as_bytes()).unwrap()).join(" ");
    assert_eq!(tags("api.test"), "signed");
    assert_eq!(tags("a.api.test"), "near signed");
    assert_eq!(tags("a.b.api.test"), "signed");
    assert_eq!(tags("other.test") + &tags("192.0.2.1"), "");
}
