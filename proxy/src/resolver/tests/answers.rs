//! What is believed of an answer, and what comes of it.

use hickory_resolver::proto::op::ResponseCode;

use super::names::Over;
use super::*;

#[tokio::test]
async fn an_ip_literal_is_its_own_answer_without_a_packet() {
    let names = dual(&["192.0.2.1"], &[]).await;
    let resolver = resolver(&names);
    for (text, ip) in [("192.0.2.7", "192.0.2.7"), ("[2001:db8::7]", "2001:db8::7"), ("[::ffff:10.0.0.1]", "10.0.0.1")]
    {
        let resolved = resolve(&resolver, text).await.unwrap();
        let own = Resolved { answers: ips(&[ip]), cname: vec![], min_ttl: 0, secure: false };
        assert_eq!(resolved, own, "{text}");
    }
    let mapped = Host::Ip("::ffff:10.0.0.1".parse().unwrap());
    assert_eq!(resolver.resolve(&mapped).await.unwrap().answers, ips(&["10.0.0.1"]));
    assert_eq!(names.asked(), []);
}

#[tokio::test]
async fn names_that_are_never_in_dns_are_answered_without_a_packet() {
    let names = dual(&["192.0.2.1"], &[]).await;
    let resolver = resolver(&names);
    for text in ["localhost", "app.localhost"] {
        assert_eq!(resolve(&resolver, text).await.unwrap().answers, ips(&["::1", "127.0.0.1"]), "{text}");
    }
    for text in ["x.invalid", "invalid", "abc.onion"] {
        assert_eq!(resolve(&resolver, text).await, Err(ResolveError::Nxdomain), "{text}");
    }
    assert_eq!(names.asked(), []);
}

#[tokio::test]
async fn both_families_are_asked_and_take_turns_in_the_answer() {
    let names = dual(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], &["2001:db8::1"]).await;
    let resolved = resolve(&resolver(&names), "dual.test").await.unwrap();
    assert_eq!(resolved.answers, ips(&["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]));
    assert_eq!((resolved.min_ttl, resolved.secure, resolved.cname), (60, false, vec![]));
    assert_eq!((names.count(RecordType::A), names.count(RecordType::AAAA)), (1, 1));
}

#[tokio::test]
async fn a_mapped_address_is_the_ipv4_address_and_stands_once() {
    let names = dual(&["10.0.0.1", "10.0.0.1"], &["::ffff:10.0.0.1", "::ffff:10.0.0.2"]).await;
    let mut answers = resolve(&resolver(&names), "mapped.test").await.unwrap().answers;
    answers.sort();
    assert_eq!(answers, ips(&["10.0.0.1", "10.0.0.2"]));
}

#[tokio::test]
async fn a_family_without_addresses_leaves_the_other() {
    assert_eq!(
        resolve(&resolver(&dual(&["192.0.2.1"], &[]).await), "v4.test").await.unwrap().answers,
        ips(&["192.0.2.1"])
    );
    assert_eq!(
        resolve(&resolver(&dual(&[], &["2001:db8::1"]).await), "v6.test").await.unwrap().answers,
        ips(&["2001:db8::1"])
    );
}

#[tokio::test]
async fn a_family_that_fails_leaves_the_other() {
    let names = Names::start(|asked| match asked.kind {
        RecordType::A => Reply::Records(vec![address(&asked.name, 60, "192.0.2.1")]),
        _ => Reply::Empty(ResponseCode::ServFail, None),
    })
    .await;
    assert_eq!(resolve(&resolver(&names), "half.test").await.unwrap().answers, ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn a_family_that_is_absent_does_not_hide_that_the_other_failed() {
    let names = Names::start(|asked| match asked.kind {
        RecordType::A => Reply::Empty(ResponseCode::ServFail, None),
        _ => nothing(),
    })
    .await;
    let error = resolve(&resolver(&names), "half.test").await.unwrap_err();
    assert_eq!(error, ResolveError::Failed("the name server failed (SERVFAIL)"));
}

#[tokio::test]
async fn every_error_code_but_nxdomain_is_a_failure_with_its_reason() {
    for (code, expected) in [
        (ResponseCode::NXDomain, ResolveError::Nxdomain),
        (ResponseCode::NoError, ResolveError::Nxdomain),
        (ResponseCode::ServFail, ResolveError::Failed("the name server failed (SERVFAIL)")),
        (ResponseCode::Refused, ResolveError::Failed("the name server refused the question (REFUSED)")),
        (ResponseCode::FormErr, ResolveError::Failed("the name server answered with an error")),
        (ResponseCode::NotImp, ResolveError::Failed("the name server answered with an error")),
        (ResponseCode::Unknown(3841), ResolveError::Failed("the name server answered with an error")),
    ] {
        let names = Names::start(move |_| Reply::Empty(code, None)).await;
        assert_eq!(resolve(&resolver(&names), "x.test").await.unwrap_err(), expected, "{code}");
    }
}

#[tokio::test]
async fn addresses_under_an_error_code_are_not_used() {
    let names = Names::start(|_| {
        Reply::Raw(|question| {
            let mut message = names::answer_to(question);
            message.metadata.response_code = ResponseCode::ServFail;
            message.add_answer(address("x.test", 60, "192.0.2.1"));
            vec![message.to_vec().unwrap()]
        })
    })
    .await;
    let error = resolve(&resolver(&names), "x.test").await.unwrap_err();
    assert_eq!(error, ResolveError::Failed("the name server failed (SERVFAIL)"));
}

#[tokio::test]
async fn a_chain_that_the_server_does_not_finish_is_followed() {
    let names = Names::start(|asked| match (asked.name.as_str(), asked.kind) {
        ("a.test.", _) => Reply::Records(vec![alias("a.test", 30, "B.Test"), alias("b.test", 20, "c.test")]),
        ("c.test.", RecordType::A) => Reply::Records(vec![address("c.test", 40, "192.0.2.1")]),
        _ => nothing(),
    })
    .await;
    let resolved = resolve(&resolver(&names), "a.test").await.unwrap();
    assert_eq!(resolved.answers, ips(&["192.0.2.1"]));
    assert_eq!((resolved.cname, resolved.min_ttl), (vec!["b.test".into(), "c.test".into()], 20));
}

#[tokio::test]
async fn a_chain_that_ends_in_nothing_is_absent() {
    let names = Names::start(|asked| match asked.name.as_str() {
        "a.test." => Reply::Records(vec![alias("a.test", 30, "gone.test")]),
        _ => Reply::Empty(ResponseCode::NXDomain, Some(60)),
    })
    .await;
    assert_eq!(resolve(&resolver(&names), "a.test").await.unwrap_err(), ResolveError::Nxdomain);
}

#[tokio::test]
async fn a_chain_without_end_is_given_up() {
    let names = Names::start(|asked| {
        let number: u32 = asked.name.trim_start_matches('n').trim_end_matches(".test.").parse().unwrap();
        Reply::Records(vec![alias(&asked.name, 30, &format!("n{}.test", number + 1))])
    })
    .await;
    let error = resolve(&resolver(&names), "n0.test").await.unwrap_err();
    assert_eq!(error, ResolveError::Failed("the name has too many aliases"));
    assert_eq!((names.count(RecordType::A), names.count(RecordType::AAAA)), (17, 17));
}

#[tokio::test]
async fn a_name_with_two_aliases_is_not_used() {
    let names = Names::start(|asked| {
        Reply::Records(vec![
            alias(&asked.name, 30, "one.test"),
            alias(&asked.name, 30, "two.test"),
            address("one.test", 30, "192.0.2.1"),
        ])
    })
    .await;
    let error = resolve(&resolver(&names), "a.test").await.unwrap_err();
    assert_eq!(error, ResolveError::Failed("the name has several aliases"));
}

#[tokio::test]
async fn addresses_beside_the_chain_and_in_other_sections_are_not_used() {
    let names = Names::start(|asked| match asked.kind {
        RecordType::A => Reply::Raw(|question| {
            let mut message = names::answer_to(question);
            message.add_answers([
                alias("a.test", 60, "b.test"),
                address("b.test", 60, "192.0.2.1"),
                address("other.test", 60, "192.0.2.66"),
            ]);
            message.add_additionals([address("b.test", 60, "192.0.2.67")]);
            message.add_authority(address("b.test", 60, "192.0.2.68"));
            vec![message.to_vec().unwrap()]
        }),
        _ => nothing(),
    })
    .await;
    assert_eq!(resolve(&resolver(&names), "a.test").await.unwrap().answers, ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn more_addresses_than_the_limit_fail_rather_than_being_cut() {
    let names = dual(&["192.0.2.1", "192.0.2.2"], &["2001:db8::1"]).await;
    let at = |max_answers| limited(&names, Limits { max_answers, cache_entries: 0, ..LIMITS });
    assert_eq!(resolve(&at(3), "many.test").await.unwrap().answers.len(), 3);
    for limit in [2, 1, 0] {
        let error = resolve(&at(limit), "many.test").await.unwrap_err();
        assert_eq!(error, ResolveError::Failed("the name has more addresses than the limit"), "{limit}");
    }
}

#[tokio::test]
async fn over_tcp_too_the_response_must_be_to_the_question() {
    let names = Names::start(|asked| match asked.over {
        Over::Udp => Reply::Truncated,
        _ => Reply::Raw(|question| {
            let mut message = names::answer_to(question);
            message.queries[0].name = names::name("other.test");
            message.add_answer(address("other.test", 60, "192.0.2.66"));
            vec![message.to_vec().unwrap()]
        }),
    })
    .await;
    let error = resolve(&resolver(&names), "a.test").await.unwrap_err();
    assert_eq!(error, ResolveError::Failed("the name server answered another question"));
}

#[tokio::test]
async fn a_question_sent_back_is_not_an_answer() {
    let names = Names::start(|_| {
        Reply::Raw(|question| {
            let mut message = question.clone();
            message.add_answer(address("a.test", 60, "192.0.2.66"));
            vec![message.to_vec().unwrap()]
        })
    })
    .await;
    let error = resolve(&resolver(&names), "a.test").await.unwrap_err();
    assert_eq!(error, ResolveError::Failed("the name server's answer cannot be read"));
}

#[tokio::test]
async fn a_packet_that_is_no_dns_message_is_no_answer() {
    let names = Names::start(|_| {
        Reply::Raw(|question| {
            let mut bytes = question.id.to_be_bytes().to_vec();
            bytes.extend([0x81, 0x80, 0, 1, 0xff]);
            vec![bytes]
        })
    })
    .await;
    let error = resolve(&resolver(&names), "a.test").await.unwrap_err();
    assert_eq!(error, ResolveError::Failed("the name server's answer cannot be read"));
}
