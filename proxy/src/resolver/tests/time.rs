//! Budgets, bounds and the cache.

use std::sync::Mutex;

use hickory_resolver::proto::op::ResponseCode;
use tokio::sync::Notify;

use super::*;

#[tokio::test]
async fn silence_ends_with_the_budget_and_gives_its_slot_back() {
    let names = Names::start(|asked| match asked.name.as_str() {
        "dead.test." => Reply::Silence,
        _ => Reply::Records(vec![address(&asked.name, 0, "192.0.2.1")]),
    })
    .await;
    let limits = Limits { timeout: Duration::from_millis(300), in_flight: 1, ..LIMITS };
    let resolver = limited(&names, limits);
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(resolve(&resolver, "dead.test").await.unwrap_err(), ResolveError::Timeout);
        assert!(start.elapsed() < LIMITS.timeout, "{:?}", start.elapsed());
    }
    // The budget is too short for a busy machine to be held to it, so a free slot is what counts.
    assert_ne!(resolve(&resolver, "alive.test").await.err(), Some(ResolveError::Limit));
}

#[tokio::test]
async fn lookups_that_time_out_or_are_dropped_leave_no_task_behind() {
    let names = Names::start(|_| Reply::Silence).await;
    let resolver = limited(&names, Limits { timeout: Duration::from_millis(20), ..LIMITS });
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut after_one = 0;
    for number in 0..30 {
        let text = format!("n{number}.test");
        if number % 2 == 0 {
            assert_eq!(resolve(&resolver, &text).await.unwrap_err(), ResolveError::Timeout);
        } else {
            assert!(timeout(Duration::from_millis(5), resolve(&resolver, &text)).await.is_err());
        }
        if number == 1 {
            after_one = alive();
        }
    }
    let gone = async {
        while alive() > after_one {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(LIMITS.timeout, gone).await.is_ok(), "{} tasks are left, {after_one} after one lookup", alive());
}

#[tokio::test]
async fn a_lookup_beyond_the_limit_fails_at_once_and_leaves_no_packet() {
    let gate = Arc::new(Notify::new());
    let held = gate.clone();
    let names = Names::start(move |asked| match asked.name.as_str() {
        "slow.test." => Reply::Later(held.clone(), Box::new(nothing())),
        _ => Reply::Records(vec![address(&asked.name, 60, "192.0.2.1")]),
    })
    .await;
    let resolver = Arc::new(limited(&names, Limits { in_flight: 1, ..LIMITS }));
    let slow = tokio::spawn({
        let resolver = resolver.clone();
        async move { resolve(&resolver, "slow.test").await }
    });
    while names.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(resolve(&resolver, "more.test").await.unwrap_err(), ResolveError::Limit);
    assert!(names.asked().iter().all(|asked| asked.name == "slow.test."));
    assert_eq!(resolve(&resolver, "192.0.2.9").await.unwrap().answers, ips(&["192.0.2.9"]), "needs no slot");

    // A lookup that is dropped frees its slot, too.
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    assert_eq!(resolve(&resolver, "more.test").await.unwrap().answers, ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn without_a_slot_nothing_is_looked_up() {
    let names = dual(&["192.0.2.1"], &[]).await;
    let resolver = limited(&names, Limits { in_flight: 0, ..LIMITS });
    assert_eq!(resolve(&resolver, "a.test").await.unwrap_err(), ResolveError::Limit);
    assert_eq!(names.asked(), []);
}

#[tokio::test]
async fn a_family_that_is_late_is_not_used_whichever_it_is() {
    for (quick, late, expected) in
        [(RecordType::A, RecordType::AAAA, "192.0.2.1"), (RecordType::AAAA, RecordType::A, "2001:db8::1")]
    {
        let names = Names::start(move |asked| match asked.kind {
            kind if kind == late => Reply::Silence,
            RecordType::A => Reply::Records(vec![address(&asked.name, 60, "192.0.2.1")]),
            _ => Reply::Records(vec![address(&asked.name, 60, "2001:db8::1")]),
        })
        .await;
        let resolver = limited(&names, Limits { resolution_delay: Duration::from_millis(50), ..LIMITS });
        let start = Instant::now();
        let resolved = resolve(&resolver, "late.test").await.unwrap();
        assert_eq!(resolved.answers, ips(&[expected]), "only {quick}");
        assert!(start.elapsed() >= Duration::from_millis(50), "the other family was not waited for");
        assert!(start.elapsed() < LIMITS.timeout);
    }
}

#[tokio::test]
async fn a_late_family_is_waited_for_as_long_as_there_is_no_address() {
    let gate = Arc::new(Notify::new());
    let held = gate.clone();
    let names = Names::start(move |asked| match asked.kind {
        RecordType::A => {
            let records = vec![address(&asked.name, 60, "192.0.2.1")];
            Reply::Later(held.clone(), Box::new(Reply::Records(records)))
        }
        _ => nothing(),
    })
    .await;
    let resolver = Arc::new(limited(&names, Limits { resolution_delay: Duration::ZERO, ..LIMITS }));
    let waiting = tokio::spawn({
        let resolver = resolver.clone();
        async move { resolve(&resolver, "slow.test").await }
    });
    while names.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap().answers, ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn an_answer_is_asked_for_once_while_its_ttl_lasts() {
    let names = dual(&["192.0.2.1"], &["2001:db8::1"]).await;
    let resolver = resolver(&names);
    let first = resolve(&resolver, "kept.test").await.unwrap();
    for spelling in ["kept.test", "KEPT.test."] {
        assert_eq!(resolve(&resolver, spelling).await.unwrap(), first);
    }
    assert_eq!(names.asked().len(), 2);
}

#[tokio::test]
async fn an_answer_without_cache_entries_or_with_a_ttl_of_zero_is_asked_for_again() {
    let names = Names::start(|asked| {
        let ttl = if asked.name == "zero.test." { 0 } else { 60 };
        match asked.kind {
            RecordType::A => Reply::Records(vec![address(&asked.name, ttl, "192.0.2.1")]),
            _ => nothing(),
        }
    })
    .await;
    let without = limited(&names, Limits { cache_entries: 0, ..LIMITS });
    let with = resolver(&names);
    for resolver_and_name in [(&without, "sixty.test"), (&with, "zero.test")] {
        let before = names.count(RecordType::A);
        for _ in 0..2 {
            resolve(resolver_and_name.0, resolver_and_name.1).await.unwrap();
        }
        assert_eq!(names.count(RecordType::A), before + 2, "{}", resolver_and_name.1);
    }
}

#[tokio::test]
async fn an_alias_that_may_not_be_kept_keeps_its_address_from_being_kept() {
    let names = Names::start(|asked| match asked.kind {
        RecordType::A => Reply::Records(vec![alias("a.test", 0, "b.test"), address("b.test", 3600, "192.0.2.1")]),
        _ => nothing(),
    })
    .await;
    let resolver = resolver(&names);
    for _ in 0..2 {
        assert_eq!(resolve(&resolver, "a.test").await.unwrap().min_ttl, 0);
    }
    assert_eq!(names.count(RecordType::A), 2);
}

#[tokio::test]
async fn absence_is_kept_only_where_a_soa_says_how_long() {
    for (minimum, packets) in [(Some(60), 1), (Some(0), 2), (Some(0x8000_0000), 2), (None, 2)] {
        let names = Names::start(move |_| Reply::Empty(ResponseCode::NXDomain, minimum)).await;
        let resolver = resolver(&names);
        for _ in 0..2 {
            assert_eq!(resolve(&resolver, "gone.test").await.unwrap_err(), ResolveError::Nxdomain);
        }
        assert_eq!(names.count(RecordType::A), packets, "SOA minimum {minimum:?}");
    }
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let answers = Arc::new(Mutex::new(vec![ResponseCode::ServFail, ResponseCode::ServFail]));
    let names = Names::start(move |asked| match answers.lock().unwrap().pop() {
        Some(code) => Reply::Empty(code, None),
        None if asked.kind == RecordType::A => Reply::Records(vec![address(&asked.name, 60, "192.0.2.1")]),
        None => nothing(),
    })
    .await;
    let resolver = resolver(&names);
    assert!(matches!(resolve(&resolver, "a.test").await, Err(ResolveError::Failed(_))));
    assert_eq!(resolve(&resolver, "a.test").await.unwrap().answers, ips(&["192.0.2.1"]));
}

#[tokio::test]
async fn the_cache_holds_no_more_names_than_its_bound_found_or_absent() {
    let names = Names::start(|asked| match asked.kind {
        _ if asked.name.starts_with("gone") => Reply::Empty(ResponseCode::NXDomain, Some(300)),
        RecordType::A => Reply::Records(vec![address(&asked.name, 60, "192.0.2.1")]),
        _ => nothing(),
    })
    .await;
    let resolver = limited(&names, Limits { cache_entries: 4, ..LIMITS });
    for number in 0..12 {
        let text = if number % 2 == 0 { format!("gone{number}.test") } else { format!("n{number}.test") };
        let _ = resolve(&resolver, &text).await;
        assert!(resolver.cache.len() <= 4);
    }
}

#[tokio::test]
async fn how_long_an_answer_is_kept_is_capped() {
    let names = dual(&[], &[]).await;
    let resolver = resolver(&names);
    let found = |ttl| Found { addresses: ips(&["192.0.2.1"]), cname: vec![], ttl, secure: false };
    let kept = |early, late| resolver.unite(early, late).unwrap().1;
    assert_eq!(kept(Ok(found(60)), Err(Miss::Absent(None))), Duration::from_secs(60));
    assert_eq!(kept(Ok(found(i32::MAX as u32)), Err(Miss::Absent(None))), LIMITS.max_ttl);
    assert_eq!(kept(Ok(found(60)), Err(Miss::Timeout)), PARTIAL_TTL_MAX);
    assert_eq!(kept(Err(Miss::Failed("why")), Ok(found(5))), Duration::from_secs(5));
}

#[tokio::test]
async fn the_same_question_from_many_clients_is_one_packet() {
    let gate = Arc::new(Notify::new());
    let held = gate.clone();
    let names = Names::start(move |asked| match asked.kind {
        RecordType::A => {
            let records = vec![address(&asked.name, 60, "192.0.2.1")];
            Reply::Later(held.clone(), Box::new(Reply::Records(records)))
        }
        _ => nothing(),
    })
    .await;
    let resolver = Arc::new(resolver(&names));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let resolver = resolver.clone();
        clients.spawn(async move { resolve(&resolver, "busy.test").await.unwrap().answers });
    }
    while names.count(RecordType::A) < 1 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    assert_eq!(clients.join_all().await, vec![ips(&["192.0.2.1"]); 20]);
    assert_eq!(names.count(RecordType::A), 1);
}
