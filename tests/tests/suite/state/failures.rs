//! Members that die, stop and come back: what is committed stays, and nobody believes an old state to be the present.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn with_the_leader_killed_a_commit_succeeds_within_six_seconds_and_no_event_is_lost() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    let (writer, reader) = (store_from(&cluster, leader), store_from(&cluster, leader));
    let mut changes = reader.watch();
    let mut known = Known::default();
    known.learn(next(&mut changes).await);
    for number in 0..10 {
        insist(&writer, always(vec![put(&format!("{number:02}"), "before")])).await;
    }
    cluster.kill(leader);
    let begun = Instant::now();
    for number in 10..20 {
        insist(&writer, always(vec![put(&format!("{number:02}"), "after")])).await;
        assert!(begun.elapsed() < Duration::from_secs(6), "{number}: {:?}", begun.elapsed());
    }
    known.until(&mut changes, "19").await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let all: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    assert_eq!(known.kept.keys().cloned().collect::<Vec<_>>(), all);
    // Where the watch was resumed in time, each event came by itself, and once.
    if known.losses.is_empty() {
        assert_eq!((known.told, known.wholes), (all, 1));
    } else {
        assert_eq!((known.losses.len(), known.wholes), (1, 2), "{:?}", known.losses);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_resumed_at_another_member_tells_each_event_once_and_no_loss() {
    let mut cluster = Cluster::start();
    let follower = (cluster.leader() + 1) % 3;
    let (writer, reader) = (store_from(&cluster, (follower + 1) % 3), store_from(&cluster, follower));
    let mut changes = reader.watch();
    let mut known = Known::default();
    known.learn(next(&mut changes).await);
    for number in 0..40 {
        insist(&writer, always(vec![put(&format!("{number:02}"), "x")])).await;
        if number == 20 {
            known.until(&mut changes, "05").await;
            cluster.kill(follower);
        }
    }
    known.until(&mut changes, "39").await;
    let all: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    assert_eq!(known.told, all);
    assert_eq!((known.wholes, known.losses), (1, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_of_a_member_that_stands_still_is_told_and_the_others_go_on() {
    let mut cluster = Cluster::start();
    let follower = (cluster.leader() + 1) % 3;
    let (alone, others) = (store_at(&cluster, follower), store_from(&cluster, follower));
    let mut changes = alone.watch();
    assert!(matches!(next(&mut changes).await, Change::Whole(_)));
    let mut others_changes = others.watch();
    let mut known = Known::default();
    known.learn(next(&mut others_changes).await);
    cluster.pause(follower);
    let begun = Instant::now();
    let Change::Lost { why } = next(&mut changes).await else { panic!("nothing else can be told") };
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(why.contains("no sign of life from etcd"), "{why}");
    insist(&others, always(vec![put("meanwhile", "x")])).await;
    known.until(&mut others_changes, "meanwhile").await;
    assert_eq!((known.wholes, known.losses.len()), (1, 0), "it went on at another member: {:?}", known.losses);
    cluster.resume(follower);
    let Change::Whole(whole) = next(&mut changes).await else { panic!("the whole comes after a loss") };
    assert_eq!(whole.kept.len(), 1);
    insist(&others, always(vec![put("after", "x")])).await;
    assert!(matches!(next(&mut changes).await, Change::Some { puts, .. } if puts[0].key == "after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_is_left_for_its_successor_and_nobody_is_told_a_past() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    let (alone, others) = (store_at(&cluster, leader), store_from(&cluster, leader));
    let (mut changes, mut others_changes) = (alone.watch(), others.watch());
    let mut known = Known::default();
    known.learn(next(&mut others_changes).await);
    assert!(matches!(next(&mut changes).await, Change::Whole(_)));
    cluster.partition(leader);
    let begun = Instant::now();
    insist(&others, always(vec![put("meanwhile", "x")])).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(matches!(next(&mut changes).await, Change::Lost { .. }), "it tells nothing that it cannot know");
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    let Unavailable(why) = alone.commit(once("grant", "x")).await.unwrap_err();
    assert!(why.contains("nothing was written"), "{why}");
    assert!(alone.view().await.is_err(), "a member that is cut off knows a past only");
    known.until(&mut others_changes, "meanwhile").await;
    cluster.heal();
    let Change::Whole(whole) = next(&mut changes).await else { panic!("the whole comes after a loss") };
    assert_eq!(whole.kept.iter().map(|kept| kept.key.as_str()).collect::<Vec<_>>(), ["meanwhile"]);
    insist(&alone, always(vec![put("after", "x")])).await;
    known.until(&mut others_changes, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_whose_past_was_compacted_is_told_so_and_then_the_whole() {
    let mut cluster = Cluster::start();
    let follower = (cluster.leader() + 1) % 3;
    let writer = store_from(&cluster, (follower + 1) % 3);
    let mut endpoints = cluster.endpoints();
    endpoints.rotate_left(follower);
    // Four seconds at least until it turns to another member, so that the past is gone by then.
    let reader = store_within(&endpoints, &cluster.tls_section(), "state_heartbeat: 4s");
    let mut changes = reader.watch();
    assert!(matches!(next(&mut changes).await, Change::Whole(_)));
    cluster.pause(follower);
    for number in 0..5 {
        insist(&writer, always(vec![put("key", &number.to_string())])).await;
    }
    let reached = writer.view().await.unwrap().revision;
    cluster.ctl(&["compact", &reached.to_string()]);
    let Change::Lost { why } = next(&mut changes).await else { panic!("four events are gone") };
    assert!(why.contains(&format!("etcd has forgotten the changes up to revision {reached}")), "{why}");
    let Change::Whole(whole) = next(&mut changes).await else { panic!("the whole comes after a loss") };
    assert_eq!((whole.kept[0].value.as_slice(), whole.revision), (&b"4"[..], reached));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_member_down_a_commit_and_a_view_end_in_time_and_watchers_are_told() {
    let mut cluster = Cluster::start();
    let store = store_from(&cluster, 0);
    let mut changes = store.watch();
    assert!(matches!(next(&mut changes).await, Change::Whole(_)));
    insist(&store, always(vec![put("kept", "x")])).await;
    assert!(matches!(next(&mut changes).await, Change::Some { .. }));
    (0..3).for_each(|member| cluster.kill(member));
    let begun = Instant::now();
    let Unavailable(why) = store.commit(once("grant", "x")).await.unwrap_err();
    assert!(why.contains("no member of etcd can be reached"), "{why}");
    assert!(store.view().await.is_err());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(matches!(next(&mut changes).await, Change::Lost { .. }));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    cluster.restart_all();
    assert!(matches!(next(&mut changes).await, Change::Whole(whole) if whole.kept.len() == 1));
    assert!(matches!(store.commit(once("grant", "x")).await, Ok(Committed::Yes { .. })), "nothing was written before");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_a_commit_ends_in_time_and_nothing_was_written() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    let left = store_at(&cluster, (leader + 1) % 3);
    assert!(left.view().await.is_ok());
    cluster.kill(leader);
    cluster.pause((leader + 2) % 3);
    let begun = Instant::now();
    let Unavailable(why) = left.commit(once("grant", "x")).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(why.contains("nothing was written"), "{why}");
    cluster.resume((leader + 2) % 3);
    let end = Instant::now() + PATIENCE;
    while left.view().await.is_err() {
        assert!(Instant::now() < end, "two of three are a majority");
    }
    assert!(matches!(left.commit(once("grant", "x")).await, Ok(Committed::Yes { .. })));
}

/// What came of a commit of a key that nobody else writes.
enum Said {
    Kept,
    NotKept,
    Unknown,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_commit_is_true_whatever_happens_to_the_leader_meanwhile() {
    let mut cluster = Cluster::start();
    let leader = cluster.leader();
    let (over, goes_on) = tokio::sync::watch::channel(());
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            // Two of them know the leader only, and meet its death in the middle of a write.
            let store = if writer < 2 { store_at(&cluster, leader) } else { store_from(&cluster, writer % 3) };
            let goes_on = goes_on.clone();
            tokio::spawn(async move {
                let mut said = Vec::new();
                for number in 0.. {
                    let key = format!("{writer}/{number}");
                    said.push(match store.commit(once(&key, "x")).await {
                        Ok(Committed::Yes { .. }) => (key, Said::Kept),
                        Ok(Committed::No) => panic!("`{key}` is written twice"),
                        Err(Unavailable(why)) if why.starts_with("nothing was") => (key, Said::NotKept),
                        Err(_) => (key, Said::Unknown),
                    });
                    if goes_on.has_changed().is_err() {
                        break;
                    }
                }
                said
            })
        })
        .collect();
    let observer = store_from(&cluster, (leader + 1) % 3);
    let mut changes = observer.watch();
    let mut known = Known::default();
    known.until(&mut changes, "0/20").await;
    cluster.kill(leader);
    insist(&observer, always(vec![put("elected", "x")])).await;
    known.until(&mut changes, "elected").await;
    drop(over);
    let (mut kept, mut unknown) = (0, 0);
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    let view = observer.view().await.unwrap();
    for (key, said) in all {
        let there = view.kept.iter().any(|kept| kept.key == key);
        match said {
            Said::Kept => {
                assert!(there, "`{key}` was acknowledged, and is not there");
                kept += 1;
            }
            Said::NotKept => assert!(!there, "`{key}` was said not to be written, and is there"),
            Said::Unknown => unknown += 1,
        }
    }
    assert!(kept > 20 && unknown <= 6, "{kept} kept, {unknown} unknown: one in flight for each writer at most");
}
