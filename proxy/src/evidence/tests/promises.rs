//! Reservations, admissions and the queue keep their promises.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::evidence::words::{Ending, PolicyResult};

fn close(ending: Ending) -> Close {
    Close { now: facts().now, sent: 10, received: 20, ending, cut_by: None }
}

#[tokio::test]
async fn a_decision_and_its_close_bear_one_id_and_consecutive_numbers() {
    let (evidence, _pipe, lines) = start(PipeState::Flows, 16);
    let reservation = evidence.reserve().unwrap();
    let id = reservation.id();
    let admission = reservation.admit(Arc::new(allowed()), Durability::Interval).await.unwrap();
    assert_eq!(admission.id(), id);
    admission.close(close(Ending::UpstreamClosed));
    let records = flushed(&evidence, &lines).await;
    assert_eq!(records.len(), 2);
    for (record, sequence) in records.iter().zip(1..) {
        assert_eq!((&record["id"], &record["sequence"]), (&id.to_string().into(), &Value::from(sequence)));
        assert_eq!(record["gateway"], "gw-1");
        assert_eq!(record["floor"], "development", "on every record of such a gateway");
    }
    assert_eq!((&records[1]["ending"], &records[1]["bytes_received"]), (&"upstream_closed".into(), &20.into()));
    assert_eq!(id.get_version_num(), 7);
}

#[tokio::test]
async fn an_admission_that_nobody_closed_writes_its_close_with_the_bytes_it_saw() {
    let (evidence, _pipe, lines) = start(PipeState::Flows, 16);
    let admission = evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval).await.unwrap();
    let counters = admission.counters();
    let task = tokio::spawn(async move {
        let _admission = admission;
        counters.sent.store(7, Ordering::Relaxed);
        counters.received.store(9, Ordering::Relaxed);
        panic!("a bug somewhere in the tunnel");
    });
    assert!(task.await.unwrap_err().is_panic());
    let records = flushed(&evidence, &lines).await;
    assert_eq!(records[1]["kind"], "close");
    assert_eq!(records[1]["ending"], "error");
    assert_eq!((&records[1]["bytes_sent"], &records[1]["bytes_received"]), (&7.into(), &9.into()));
}

#[tokio::test]
async fn a_reservation_given_up_frees_its_room_and_is_counted() {
    let (evidence, _pipe, lines) = start(PipeState::Flows, 2);
    drop(evidence.reserve().unwrap());
    let second = evidence.reserve().unwrap();
    assert!(evidence.shared.metrics.render().contains("gatepass_evidence_abandoned_total 1"));
    second.refuse(denied());
    let records = flushed(&evidence, &lines).await;
    assert_eq!((records.len(), &records[0]["sequence"]), (1, &1.into()), "a reservation takes no number");
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_when_it_empties() {
    let (evidence, pipe, lines) = start(PipeState::Blocks, 4);
    let admission = evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval).await.unwrap();
    let second = evidence.reserve().unwrap();
    assert_eq!(evidence.reserve().err(), Some(Unavailable::Full));
    assert_eq!(evidence.available(), Err(Unavailable::Full));
    second.refuse(denied());
    assert_eq!(evidence.reserve().err(), Some(Unavailable::Full), "a refusal waits as well");
    admission.close(close(Ending::Idle));
    pipe.set(PipeState::Flows);
    let records = flushed(&evidence, &lines).await;
    assert_eq!(records.iter().map(|record| record["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(evidence.shared.metrics.render().contains("gatepass_evidence_unavailable_total 2"));
}

#[tokio::test]
async fn an_open_admission_keeps_room_for_its_close() {
    let (evidence, _pipe, _lines) = start(PipeState::Flows, 2);
    let admission = evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval).await.unwrap();
    assert_eq!(evidence.reserve().err(), Some(Unavailable::Full));
    while evidence.shared.queue.used() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(evidence.flush(Duration::ZERO).await, Flushed::Left(1));
    drop(admission);
}

#[tokio::test]
async fn a_broken_output_refuses_instead_of_losing_and_nothing_is_lost_when_it_heals() {
    let (evidence, pipe, lines) = start(PipeState::Breaks, 64);
    let mut admissions = Vec::new();
    loop {
        match evidence.reserve() {
            Ok(reservation) => match reservation.admit(Arc::new(allowed()), Durability::Interval).await {
                Ok(admission) => admissions.push(admission),
                Err(unavailable) => break assert_eq!(unavailable, Unavailable::Output),
            },
            Err(unavailable) => break assert_eq!(unavailable, Unavailable::Output),
        }
        tokio::task::yield_now().await;
        assert!(admissions.len() < 32, "the writer never noticed");
        while evidence.available() == Ok(()) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(admissions.len(), 1);
    pipe.set(PipeState::Flows);
    drop(admissions);
    let records = flushed(&evidence, &lines).await;
    assert_eq!(records.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_have_no_holes_and_stand_in_order_however_many_write() {
    let (evidence, _pipe, lines) = start(PipeState::Flows, 65_536);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let evidence = evidence.clone();
        tasks.spawn(async move {
            for i in 0..250 {
                let reservation = evidence.reserve().unwrap();
                match i % 3 {
                    0 => drop(reservation),
                    1 => drop(reservation.refuse(denied())),
                    _ => reservation
                        .admit(Arc::new(allowed()), Durability::Interval)
                        .await
                        .unwrap()
                        .close(close(Ending::ClientClosed)),
                }
            }
        });
    }
    tasks.join_all().await;
    let records = flushed(&evidence, &lines).await;
    assert_eq!(records.len(), 8 * (83 + 2 * 83));
    for (record, sequence) in records.iter().zip(1u64..) {
        assert_eq!(record["sequence"], sequence);
    }
}

#[tokio::test]
async fn after_the_flush_nothing_is_promised_and_what_comes_late_is_counted() {
    let (evidence, _pipe, lines) = start(PipeState::Flows, 16);
    let admission = evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval).await.unwrap();
    let reserved = evidence.reserve().unwrap();
    // How many is the writer's business, who may let some go or add a checkpoint meanwhile; what is reserved stays.
    assert!(matches!(evidence.flush(Duration::ZERO).await, Flushed::Left(1..)));
    assert_eq!(evidence.reserve().err(), Some(Unavailable::Stopped));
    assert_eq!(reserved.admit(Arc::new(allowed()), Durability::Interval).await.err(), Some(Unavailable::Stopped));
    admission.close(close(Ending::Drained));
    assert!(evidence.shared.metrics.render().contains("gatepass_evidence_lost_total 1"));
    drop(lines);
}

#[tokio::test]
async fn a_policy_is_recorded_even_when_the_queue_is_full() {
    let (evidence, pipe, lines) = start(PipeState::Blocks, 2);
    let admission = evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval).await.unwrap();
    evidence.policy(facts().now, PolicyResult::Rejected, Some("a.yaml:3:1: no"), policy_ref()).unwrap();
    admission.close(close(Ending::PolicyChanged));
    pipe.set(PipeState::Flows);
    let records = flushed(&evidence, &lines).await;
    let record = records.iter().find(|record| record["kind"] == "policy").unwrap();
    assert_eq!((&record["result"], &record["error"]), (&"rejected".into(), &"a.yaml:3:1: no".into()));
    assert_eq!(record["policy"]["digest"], "sha256:00ff");
}

#[tokio::test]
async fn recent_decisions_are_found_by_id_and_by_who_was_denied() {
    let (evidence, _pipe, _lines) = start(PipeState::Flows, 64);
    let denial = evidence.reserve().unwrap().refuse(denied());
    drop(evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval).await.unwrap());
    let (who, recent) = ("spiffe://corp.example/ns/payments/sa/checkout", evidence.recent());
    assert_eq!(recent.by_id(denial.id).unwrap().reason.code, Reason::NoRule);
    assert_eq!(recent.last_denial(who, None).unwrap().id, denial.id);
    assert_eq!(recent.last_denial(who, Some("api.stripe.com")).unwrap().id, denial.id);
    assert!(recent.last_denial(who, Some("stripe.com")).is_none(), "only this host");
    assert!(recent.last_denial("anonymous", None).is_none(), "nobody else's");
    assert_eq!(recent.newest(10, |_| true).len(), 2);
    for _ in 0..20 {
        evidence.reserve().unwrap().refuse(denied());
    }
    // The writer lets them go, when it comes round.
    let gone = async {
        while recent.by_id(denial.id).is_some() || recent.newest(100, |_| true).len() != 16 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the oldest go, and sixteen stay");
}

#[tokio::test]
async fn what_is_not_an_allow_is_never_admitted_and_an_allow_that_was_not_carried_is_a_failure() {
    let (evidence, _pipe, lines) = start(PipeState::Flows, 16);
    assert_eq!(
        evidence.reserve().unwrap().admit(Arc::new(denied()), Durability::Interval).await.err(),
        Some(Unavailable::NotAllowed)
    );
    let failed = DecisionRecord::failed(&facts(), None, Reason::DialFailed, "", policy_ref());
    assert_eq!(
        evidence.reserve().unwrap().admit(Arc::new(failed), Durability::Interval).await.err(),
        Some(Unavailable::NotAllowed)
    );
    evidence.reserve().unwrap().refuse(allowed());
    let records = flushed(&evidence, &lines).await;
    let outcomes: Vec<&Value> = records.iter().map(|record| &record["outcome"]).collect();
    assert_eq!(outcomes, ["refused", "failed", "failed"]);
}

#[tokio::test]
async fn with_the_last_holder_gone_the_writer_writes_what_there_is_and_ends() {
    let (evidence, pipe, lines) = start(PipeState::Flows, 16);
    drop(pipe);
    let admission = evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval).await.unwrap();
    drop(evidence);
    drop(admission);
    // The channel ends when the writer has dropped its side.
    let bytes: Vec<u8> = lines.iter().flatten().collect();
    // The decision, its close, and the checkpoint that signs both.
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 3);
}

#[tokio::test]
async fn what_anybody_causes_takes_nothing_of_the_reserve_of_operators() {
    let (evidence, pipe, lines) = start(PipeState::Blocks, 2);
    let admission = evidence.reserve().unwrap().admit(Arc::new(allowed()), Durability::Interval).await.unwrap();
    let act = |kind, room| Act {
        now: facts().now,
        kind,
        action: "requested",
        subject: None,
        sentence: "asked".to_owned(),
        by: None,
        drill: false,
        details: Details::default(),
        room,
    };
    for kind in [words::ActKind::Admin, words::ActKind::Exception] {
        assert_eq!(evidence.acted(act(kind, RoomOf::Anybody)), Err(Unavailable::Full));
        assert_eq!(evidence.acted(act(kind, RoomOf::Operators)), Ok(()));
    }
    admission.close(close(Ending::Idle));
    pipe.set(PipeState::Flows);
    assert_eq!(flushed(&evidence, &lines).await.len(), 4);
}
