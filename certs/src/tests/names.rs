//! Which names of a verified certificate are somebody, and who.

use rcgen::CustomExtension;

use super::{ID, World, dns, uri, valid};
use crate::mint::{Leaf, Name};
use crate::subject::{Malformed, NoSubject, SpiffeId};

/// A subject alternative name extension made of these octets.
fn raw_names(names: &[(u8, &[u8])]) -> CustomExtension {
    let mut content = Vec::new();
    for (tag, value) in names {
        content.extend([0x80 | tag, u8::try_from(value.len()).unwrap()]);
        content.extend_from_slice(value);
    }
    let mut extension = vec![0x30, u8::try_from(content.len()).unwrap()];
    extension.extend(content);
    CustomExtension::from_oid_content(&[2, 5, 29, 17], extension)
}

#[test]
fn a_spiffe_id_is_taken_apart() {
    let id = SpiffeId::parse(ID).unwrap();
    assert_eq!((id.trust_domain(), id.path(), id.as_str()), ("td.test", "/ns/a/sa/b", ID));
    for good in ["spiffe://a/b", "spiffe://1.2.3.4/x", "spiffe://a_b-c.d/A.b-C_d/...", "spiffe://td/.hidden"] {
        assert_eq!(SpiffeId::parse(good).unwrap().as_str(), good);
    }
}

#[test]
fn a_spiffe_id_has_one_spelling() {
    let long_path = format!("spiffe://td/{}", "a".repeat(2049 - "spiffe://td/".len()));
    let long_domain = format!("spiffe://{}/a", "a".repeat(256));
    let refused = [
        ("", Malformed::Scheme),
        ("https://td.test/a", Malformed::Scheme),
        ("SPIFFE://td/a", Malformed::Scheme),
        ("Spiffe://td/a", Malformed::Scheme),
        ("spiffe:/td/a", Malformed::Scheme),
        ("spiffe:td/a", Malformed::Scheme),
        (" spiffe://td/a", Malformed::Scheme),
        ("spiffe:///a", Malformed::TrustDomain),
        ("spiffe://", Malformed::TrustDomain),
        ("spiffe://TD/a", Malformed::TrustDomain),
        ("spiffe://td:443/a", Malformed::TrustDomain),
        ("spiffe://user@td/a", Malformed::TrustDomain),
        ("spiffe://[::1]/a", Malformed::TrustDomain),
        ("spiffe://t%64/a", Malformed::TrustDomain),
        ("spiffe://td?q/a", Malformed::TrustDomain),
        ("spiffe://td#f", Malformed::TrustDomain),
        ("spiffe://b\u{fc}cher/a", Malformed::TrustDomain),
        (&long_domain, Malformed::TrustDomain),
        ("spiffe://td", Malformed::NoPath),
        ("spiffe://td/", Malformed::Segment),
        ("spiffe://td//a", Malformed::Segment),
        ("spiffe://td/a/", Malformed::Segment),
        ("spiffe://td/a//b", Malformed::Segment),
        ("spiffe://td/.", Malformed::Segment),
        ("spiffe://td/../a", Malformed::Segment),
        ("spiffe://td/a/..", Malformed::Segment),
        ("spiffe://td/%61", Malformed::Character),
        ("spiffe://td/a?q=1", Malformed::Character),
        ("spiffe://td/a#f", Malformed::Character),
        ("spiffe://td/a b", Malformed::Character),
        ("spiffe://td/a\0b", Malformed::Character),
        ("spiffe://td/a\n", Malformed::Character),
        ("spiffe://td/\u{e9}", Malformed::Character),
        ("spiffe://td/a\\b", Malformed::Character),
        (&long_path, Malformed::TooLong),
    ];
    for (text, why) in refused {
        assert_eq!(SpiffeId::parse(text), Err(why), "{text:?}");
    }
    assert!(SpiffeId::parse(&long_path[..2048]).is_ok());
    assert!(SpiffeId::parse(&long_domain.replacen('a', "", 1)).is_ok());
}

async fn not_spiffe(text: &str, why: Malformed) {
    match World::new().identifies_names(vec![uri(text)]).await {
        Err(NoSubject::NotSpiffe(_, malformed)) => assert_eq!(malformed, why, "{text:?}"),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[tokio::test]
pub async fn a_uri_of_another_scheme_is_no_identity() {
    not_spiffe("https://td.test/a", Malformed::Scheme).await;
}

#[tokio::test]
pub async fn a_trust_domain_alone_is_no_workload() {
    not_spiffe("spiffe://td", Malformed::NoPath).await;
}

#[tokio::test]
pub async fn no_path_is_normalised() {
    for text in ["spiffe://td/../a", "spiffe://td//a", "spiffe://td/a/"] {
        not_spiffe(text, Malformed::Segment).await;
    }
}

#[tokio::test]
pub async fn percent_encoding_is_no_spelling_of_a_path() {
    not_spiffe("spiffe://td/%61", Malformed::Character).await;
}

#[tokio::test]
pub async fn a_nul_does_not_end_an_id() {
    not_spiffe("spiffe://td/a\0b", Malformed::Character).await;
}

#[tokio::test]
pub async fn an_id_of_2049_bytes_is_refused_and_shown_short() {
    let long = format!("spiffe://td/{}", "a".repeat(2049 - "spiffe://td/".len()));
    match World::new().identifies_names(vec![uri(&long)]).await {
        Err(NoSubject::NotSpiffe(shown, Malformed::TooLong)) => assert_eq!(shown.len(), 83),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_no_name() {
    let world = World::new();
    for names in [&[(6, &b"spiffe://td/\xff"[..])][..], &[(6, ID.as_bytes()), (2, b"a\xff.test")]] {
        let mut params = Leaf::client(Vec::new(), valid()).params().unwrap();
        params.custom_extensions.push(raw_names(names));
        assert_eq!(world.identifies_params(&params).await, Err(NoSubject::Unparsable));
    }
}

#[tokio::test]
async fn the_uri_is_found_wherever_it_stands() {
    let world = World::new();
    let others = || vec![dns("a.test"), Name::Ip("192.0.2.1".parse().unwrap()), Name::Email("who@a.test".to_owned())];
    for at in 0..=others().len() {
        let mut names = others();
        names.insert(at, uri(ID));
        let subject = world.identifies_names(names).await.unwrap().unwrap();
        assert_eq!(subject.spiffe_id.unwrap().as_str(), ID);
        assert_eq!(subject.dns, ["a.test"]);
    }
}

#[tokio::test]
async fn two_uris_are_one_too_many() {
    let world = World::new();
    for second in [ID, "spiffe://td.test/other", "https://a.test/"] {
        for names in [vec![uri(ID), uri(second)], vec![uri(second), dns("a.test"), uri(ID)]] {
            assert_eq!(world.identifies_names(names).await, Err(NoSubject::SeveralUris(2)));
        }
    }
}

#[tokio::test]
pub async fn an_id_in_a_name_of_another_kind_is_no_id() {
    let world = World::new();
    let in_dns = world.identifies_names(vec![dns(ID)]).await;
    assert_eq!(in_dns, Err(NoSubject::NotAHost(ID.to_owned())));
    let in_mail = world.identifies_names(vec![Name::Email(ID.to_owned())]).await;
    assert_eq!(in_mail, Err(NoSubject::Nameless));
    let in_cn = Leaf { common_name: Some(ID.to_owned()), ..Leaf::client(Vec::new(), valid()) };
    assert_eq!(world.identifies_params(&in_cn.params().unwrap()).await, Err(NoSubject::Nameless));
    // Beside a DNS name it does not turn that into an ID.
    let beside = Leaf { names: vec![dns("a.test")], ..in_cn };
    let subject = world.identifies_params(&beside.params().unwrap()).await.unwrap().unwrap();
    assert_eq!((subject.spiffe_id, subject.dns), (None, vec!["a.test".to_owned()]));
}

#[tokio::test]
pub async fn a_cn_alone_names_nobody() {
    let leaf = Leaf { common_name: Some("admin".to_owned()), ..Leaf::client(Vec::new(), valid()) };
    let seen = World::new().identifies_params(&leaf.params().unwrap()).await;
    assert_eq!(seen, Err(NoSubject::Nameless));
}

#[tokio::test]
pub async fn a_wildcard_names_no_single_host() {
    let world = World::new();
    for names in [vec![dns("*.test")], vec![uri(ID), dns("*.test")], vec![dns("a.test"), dns("a*.test")]] {
        assert!(matches!(world.identifies_names(names).await, Err(NoSubject::NotAHost(_))));
    }
}

#[tokio::test]
async fn a_dns_name_has_one_spelling() {
    let world = World::new();
    let subject = world.identifies_names(vec![dns("B.Test"), dns("a_1.test"), dns("b.tEST")]).await.unwrap().unwrap();
    assert_eq!(subject.dns, ["b.test", "a_1.test"]);
    for name in ["a.test.", ".a.test", "a..test", "-a.test", "a-.test", "192.0.2.1", "a b.test", "a\0.test"] {
        let seen = world.identifies_names(vec![dns(name)]).await;
        assert!(matches!(seen, Err(NoSubject::NotAHost(_))), "{name:?}: {seen:?}");
    }
}

#[tokio::test]
async fn what_a_certificate_says_is_escaped_before_it_is_shown() {
    let seen = World::new().identifies_names(vec![uri("spiffe://td/\x1b[31m\r\nx")]).await.unwrap_err();
    let text = seen.to_string();
    assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text:?}");
}
