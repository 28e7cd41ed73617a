//! Which server is asked: split horizon, failover, and settings that make no resolver.

use hickory_resolver::proto::op::ResponseCode;
use rustls::RootCertStore;

use super::*;

fn forward(domain: &str, names: &Names) -> Forwarder {
    Forwarder { domain: domain.into(), servers: vec![Server::Plain(names.address)] }
}

/// What each server was asked for, in lower case, without repetition.
fn seen(names: &Names) -> Vec<String> {
    let mut seen: Vec<String> = names.asked().into_iter().map(|asked| asked.name).collect();
    seen.sort();
    seen.dedup();
    seen
}

#[tokio::test]
async fn a_name_goes_to_the_servers_of_its_longest_domain_and_to_no_other() {
    let (world, corp, lab) =
        (dual(&["1.0.0.1"], &[]).await, dual(&["10.0.0.1"], &[]).await, dual(&["10.9.9.9"], &[]).await);
    let forwarders = vec![forward("corp.test", &corp), forward("lab.corp.test", &lab)];
    let resolver = Resolver::new(&Settings { forwarders, ..settings(&[&world]) }).unwrap();
    for (text, answer) in [
        ("public.test", "1.0.0.1"),
        ("notcorp.test", "1.0.0.1"),
        ("corp.test.example", "1.0.0.1"),
        ("corp.test", "10.0.0.1"),
        ("db.corp.test", "10.0.0.1"),
        ("notlab.corp.test", "10.0.0.1"),
        ("lab.corp.test", "10.9.9.9"),
        ("x.y.LAB.corp.test.", "10.9.9.9"),
    ] {
        assert_eq!(resolve(&resolver, text).await.unwrap().answers, ips(&[answer]), "{text}");
    }
    assert_eq!(seen(&world), ["corp.test.example.", "notcorp.test.", "public.test."]);
    assert_eq!(seen(&corp), ["corp.test.", "db.corp.test.", "notlab.corp.test."]);
    assert_eq!(seen(&lab), ["lab.corp.test.", "x.y.lab.corp.test."]);
}

#[tokio::test]
async fn a_domain_whose_server_fails_is_not_asked_for_elsewhere() {
    let world = dual(&["1.0.0.1"], &[]).await;
    let corp = Names::start(|_| Reply::Empty(ResponseCode::Refused, None)).await;
    let forwarders = vec![forward("corp.test", &corp)];
    let resolver = Resolver::new(&Settings { forwarders, ..settings(&[&world]) }).unwrap();
    let error = resolve(&resolver, "db.corp.test").await.unwrap_err();
    assert_eq!(error, ResolveError::Failed("the name server refused the question (REFUSED)"));
    assert_eq!(world.asked(), []);
}

#[tokio::test]
async fn an_alias_into_another_domain_is_asked_for_there() {
    let world = Names::start(|asked| Reply::Records(vec![alias(&asked.name, 60, "db.corp.test")])).await;
    let corp = dual(&["10.0.0.1"], &[]).await;
    let forwarders = vec![forward("corp.test", &corp)];
    let resolver = Resolver::new(&Settings { forwarders, ..settings(&[&world]) }).unwrap();
    let resolved = resolve(&resolver, "public.test").await.unwrap();
    assert_eq!((resolved.answers, resolved.cname), (ips(&["10.0.0.1"]), vec!["db.corp.test".to_string()]));
    assert_eq!((seen(&world), seen(&corp)), (vec!["public.test.".into()], vec!["db.corp.test.".into()]));
}

#[tokio::test]
async fn a_server_that_fails_does_not_hide_one_that_works() {
    for broken in [ResponseCode::ServFail, ResponseCode::Refused] {
        let (bad, good) = (Names::start(move |_| Reply::Empty(broken, None)).await, dual(&["192.0.2.1"], &[]).await);
        let resolver = Resolver::new(&settings(&[&bad, &good])).unwrap();
        assert_eq!(resolve(&resolver, "a.test").await.unwrap().answers, ips(&["192.0.2.1"]), "{broken}");
        let before = bad.asked().len();
        assert_eq!(resolve(&resolver, "b.test").await.unwrap().answers, ips(&["192.0.2.1"]), "{broken}");
        assert_eq!(bad.asked().len(), before, "the server that works is asked first from then on");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_does_not_hide_one_that_works() {
    let (bad, good) = (Names::start(|_| Reply::Silence).await, dual(&["192.0.2.1"], &[]).await);
    let resolver = Resolver::new(&settings(&[&bad, &good])).unwrap();
    assert_eq!(resolve(&resolver, "a.test").await.unwrap().answers, ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn a_negative_answer_is_an_answer_and_no_other_server_is_asked() {
    let first = Names::start(|_| Reply::Empty(ResponseCode::NXDomain, Some(60))).await;
    let second = dual(&["192.0.2.1"], &[]).await;
    let resolver = Resolver::new(&settings(&[&first, &second])).unwrap();
    assert_eq!(resolve(&resolver, "a.test").await.unwrap_err(), ResolveError::Nxdomain);
    assert_eq!(second.asked(), []);
}

#[tokio::test]
async fn a_server_is_reached_over_ipv6_too() {
    let names = Names::start_on("::1", |asked| match asked.kind {
        RecordType::AAAA => Reply::Records(vec![address(&asked.name, 60, "2001:db8::1")]),
        _ => nothing(),
    })
    .await;
    assert_eq!(resolve(&resolver(&names), "a.test").await.unwrap().answers, ips(&["2001:db8::1"]));
}

#[tokio::test]
async fn settings_that_are_incomplete_make_no_resolver_and_say_what_is_missing() {
    let names = dual(&[], &[]).await;
    let whole = settings(&[&names]);
    let roots = Some(Arc::new(RootCertStore::empty()));
    let tls = |name: &str, addresses: &[&str]| Server::Tls { name: name.into(), addresses: ips(addresses), port: 853 };
    let forward = |domain: &str, servers: &[Server]| Forwarder { domain: domain.into(), servers: servers.to_vec() };
    let plain = whole.servers.clone();
    for (broken, says) in [
        (Settings { servers: vec![], ..whole.clone() }, "no name server is given"),
        (Settings { forwarders: vec![forward("corp.test", &[])], ..whole.clone() }, "`corp.test` has no server"),
        (Settings { forwarders: vec![forward("Corp.test", &plain)], ..whole.clone() }, "domain `Corp.test`"),
        (Settings { forwarders: vec![forward("10.0.0.1", &plain)], ..whole.clone() }, "domain `10.0.0.1`"),
        (Settings { forwarders: vec![forward("", &plain)], ..whole.clone() }, "domain ``"),
        (
            Settings { forwarders: vec![forward("a.test", &plain), forward("a.test", &plain)], ..whole.clone() },
            "stands twice",
        ),
        (Settings { servers: vec![tls("dns.test", &["192.0.2.1"])], ..whole.clone() }, "no trusted roots"),
        (
            Settings { servers: vec![tls("dns.test", &["192.0.2.1"])], roots, ..whole.clone() },
            "no trusted roots to check the name server `dns.test`",
        ),
        (Settings { servers: vec![tls("not a name", &["192.0.2.1"])], ..whole.clone() }, "`not a name` is not a name"),
    ] {
        let error = Resolver::new(&broken).unwrap_err().to_string();
        assert!(error.contains(says), "`{error}` says nothing of `{says}`");
    }
}

#[tokio::test]
async fn system_servers_are_those_of_resolv_conf_or_an_error_that_says_so() {
    let names = dual(&[], &[]).await;
    let system = Settings { servers: vec![Server::System], ..settings(&[&names]) };
    match Resolver::new(&system) {
        Ok(_) => {}
        Err(error) => assert!(matches!(error, SettingsError::System(_)), "{error}"),
    }
}
