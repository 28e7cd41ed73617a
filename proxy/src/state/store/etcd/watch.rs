//! Watching a cluster: one member at a time, another one when it fails, and the truth about what was missed.
//!
//! A member that streams may still have lost its cluster, and then tells nothing without an error. So a linearizable
//! question is asked at every heartbeat, and the stream itself has to answer as well. While another member can go on where
//! the last one stopped, before three heartbeats are over, the watcher notices nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::Instant;
use tonic::Streaming;

use super::connection::{self, Connection};
use super::failure::Failure;
use super::messages::{
    Event, EventType, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse, WatchUnion,
};
use super::{Cluster, PAUSE, revision};
use crate::state::store::{Change, Kept, View};

/// Heartbeats without a sign of life after which a watcher is told.
const BEATS: u32 = 3;

/// Questions that wait to be sent on a stream: a beginning, and one a heartbeat.
const QUESTIONS: usize = 8;

/// Tell what is kept, and what changes, until the receiver is dropped.
pub(super) fn begin(cluster: Arc<Cluster>) -> mpsc::Receiver<Change> {
    let (sender, receiver) = mpsc::channel(cluster.bounds.changes);
    tokio::spawn(async move {
        let watcher = Watcher {
            cluster: &cluster,
            sender: &sender,
            next: AtomicUsize::new(0),
            known: None,
            lost: false,
            pulse: Pulse { heard: Mutex::new(Instant::now()), answers: AtomicU64::new(0) },
        };
        tokio::select! {
            Gone = watcher.run() => {}
            () = sender.closed() => {}
        }
    });
    receiver
}

struct Watcher<'a> {
    cluster: &'a Cluster,
    sender: &'a mpsc::Sender<Change>,
    /// The place that is tried next.
    next: AtomicUsize,
    /// Everything up to this revision was told; none where a whole has to be told first.
    known: Option<u64>,
    /// Whether the watcher was told that the store is lost, and not yet that it is back.
    lost: bool,
    pulse: Pulse,
}

/// Signs of life.
struct Pulse {
    /// When a question was sent that the cluster has answered.
    heard: Mutex<Instant>,
    /// Messages on the stream.
    answers: AtomicU64,
}

/// A watch that has begun.
struct Followed {
    connection: Connection,
    stream: Streaming<WatchResponse>,
    questions: mpsc::Sender<WatchRequest>,
    /// Where it begins with one.
    whole: Option<View>,
}

/// Nobody reads any more.
struct Gone;

/// Why a watch ended.
enum End {
    Gone,
    /// Another member may go on from there.
    Broken(String),
    /// There is no going on without a whole.
    Missed(String),
}

impl Watcher<'_> {
    async fn run(mut self) -> Gone {
        let mut last = "nobody has answered yet".to_owned();
        loop {
            let established = match self.lost {
                true => self.establish().await,
                // Whoever is asked has so long; then the watcher is told, and asking goes on.
                false => match tokio::time::timeout_at(self.due(), self.establish()).await {
                    Ok(established) => established,
                    Err(_) => Err(End::Missed(format!("no sign of life from etcd: {last}"))),
                },
            };
            let end = match established {
                Ok(followed) => self.follow(followed).await,
                Err(end) => end,
            };
            let lost = match end {
                End::Gone => return Gone,
                End::Missed(why) => self.lose(why).await,
                End::Broken(why) => {
                    last = why;
                    Ok(())
                }
            };
            if lost.is_err() {
                return Gone;
            }
            // Who is waited for is not pressed: a fleet asks like this.
            let pause = if self.lost { self.cluster.bounds.heartbeat / 4 } else { PAUSE };
            tokio::time::sleep(pause).await;
        }
    }

    fn due(&self) -> Instant {
        *self.pulse.heard.lock().unwrap_or_else(PoisonError::into_inner) + self.cluster.bounds.heartbeat * BEATS
    }

    /// Say that what was told may be out of date, once.
    async fn lose(&mut self, why: String) -> Result<(), Gone> {
        self.known = None;
        match std::mem::replace(&mut self.lost, true) {
            true => Ok(()),
            false => self.sender.send(Change::Lost { why }).await.map_err(|_| Gone),
        }
    }

    /// Begin a watch at the next place.
    async fn establish(&self) -> Result<Followed, End> {
        let connection = self.cluster.open(&self.next).await.map_err(End::Broken)?;
        let established = self.establish_on(connection).await;
        if established.is_err() {
            self.next.fetch_add(1, Ordering::Relaxed);
        }
        established
    }

    async fn establish_on(&self, connection: Connection) -> Result<Followed, End> {
        let broken = |failure: Failure| End::Broken(failure.why());
        let bounds = self.cluster.bounds;
        // A member that is cut off could begin a watch, and view a past.
        let reached = self.cluster.probe(&connection).await.map_err(broken)?.revision;
        let (whole, seen) = match self.known {
            Some(known) if known > reached => {
                let why = format!("etcd's revision went back from {known} to {reached}: it was restored from a backup");
                return Err(End::Missed(why));
            }
            Some(known) => (None, known),
            None => {
                let view = self.cluster.view(&connection, Instant::now() + bounds.patience).await.map_err(broken)?;
                let seen = view.revision;
                (Some(view), seen)
            }
        };
        let everything = self.cluster.everything();
        let create = WatchCreateRequest {
            key: everything.key,
            range_end: everything.range_end,
            start_revision: i64::try_from(seen.saturating_add(1)).unwrap_or(i64::MAX),
            progress_notify: true,
        };
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let create = WatchRequest { request: Some(WatchUnion::Create(create)) };
        questions.try_send(create).map_err(|error| End::Broken(error.to_string()))?;
        let token = self.cluster.token(&connection, None).await.map_err(broken)?;
        let mut stream = connection.watch(asked, token.as_ref(), bounds.heartbeat).await.map_err(broken)?;
        let created = tokio::time::timeout(bounds.heartbeat, connection::next(&mut stream)).await;
        let created = created.map_err(|_| End::Broken("etcd does not begin the watch".to_owned()))?;
        let created = created.map_err(End::Broken)?;
        if created.canceled || !created.created {
            return Err(ended(&created));
        }
        Ok(Followed { connection, stream, questions, whole })
    }

    /// Follow a watch to its end.
    async fn follow(&mut self, followed: Followed) -> End {
        let Followed { connection, mut stream, questions, whole } = followed;
        self.pulse.answers.fetch_add(1, Ordering::Relaxed);
        if let Some(whole) = whole {
            let revision = whole.revision;
            if self.sender.send(Change::Whole(whole)).await.is_err() {
                return End::Gone;
            }
            self.known = Some(revision);
            self.lost = false;
        }
        let (cluster, pulse, sender) = (self.cluster, &self.pulse, self.sender);
        let end = tokio::select! {
            end = read(cluster, &mut stream, pulse, sender, &mut self.known) => end,
            why = beat(cluster, &connection, &questions, pulse) => End::Broken(why),
        };
        self.next.fetch_add(1, Ordering::Relaxed);
        end
    }
}

/// Tell what the stream tells, to its end.
async fn read(
    cluster: &Cluster,
    stream: &mut Streaming<WatchResponse>,
    pulse: &Pulse,
    sender: &mpsc::Sender<Change>,
    known: &mut Option<u64>,
) -> End {
    loop {
        let answer = match connection::next(stream).await {
            Ok(answer) => answer,
            Err(why) => return End::Broken(why),
        };
        pulse.answers.fetch_add(1, Ordering::Relaxed);
        if answer.canceled || answer.compact_revision != 0 {
            return ended(&answer);
        }
        let Some(told) = told(cluster, answer.events, known.unwrap_or(0)) else { continue };
        let reached = told.revision;
        match sender.try_send(Change::Some { revision: reached, puts: told.puts, deleted: told.deleted }) {
            Ok(()) => *known = Some(reached),
            Err(TrySendError::Full(_)) => {
                let changes = sender.max_capacity();
                return End::Missed(format!("the reader is behind by more than {changes} changes"));
            }
            Err(TrySendError::Closed(_)) => return End::Gone,
        }
    }
}

/// What some events come to.
struct Told {
    revision: u64,
    puts: Vec<Kept>,
    deleted: Vec<String>,
}

/// Nothing where no event is of a key of ours and later than `since`: what was told is not told again, whatever a member
/// says.
fn told(cluster: &Cluster, events: Vec<Event>, since: u64) -> Option<Told> {
    let mut latest: BTreeMap<String, Option<Kept>> = BTreeMap::new();
    let mut reached = since;
    for Event { kind, kv } in events {
        let Some(kept) = kv.and_then(|found| cluster.ours(found)) else { continue };
        if kept.revision <= since {
            continue;
        }
        reached = reached.max(kept.revision);
        let gone = kind == i32::from(EventType::Delete);
        latest.insert(kept.key.clone(), (!gone).then_some(kept));
    }
    if latest.is_empty() {
        return None;
    }
    let mut told = Told { revision: reached, puts: Vec::new(), deleted: Vec::new() };
    for (key, kept) in latest {
        match kept {
            Some(kept) => told.puts.push(kept),
            None => told.deleted.push(key),
        }
    }
    Some(told)
}

/// Why etcd ended a watch.
fn ended(answer: &WatchResponse) -> End {
    match answer.compact_revision {
        0 => End::Broken(format!("etcd ended the watch: {}", answer.cancel_reason)),
        compacted => {
            End::Missed(format!("etcd has forgotten the changes up to revision {}", revision(Some(compacted))))
        }
    }
}

/// Ask at every heartbeat, until there is no answer: why.
async fn beat(
    cluster: &Cluster,
    connection: &Connection,
    questions: &mpsc::Sender<WatchRequest>,
    pulse: &Pulse,
) -> String {
    let mut silent = 0;
    let mut answers = pulse.answers.load(Ordering::Relaxed);
    loop {
        // A question that is not sent is not answered, which is found out below.
        let progress = WatchUnion::Progress(WatchProgressRequest {});
        let _ = questions.try_send(WatchRequest { request: Some(progress) });
        tokio::time::sleep(cluster.bounds.heartbeat).await;
        let asked = Instant::now();
        if let Err(failure) = cluster.probe(connection).await {
            return failure.why();
        }
        *pulse.heard.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        let now = pulse.answers.load(Ordering::Relaxed);
        silent = if now == answers { silent + 1 } else { 0 };
        answers = now;
        if silent >= BEATS {
            return "etcd answers, but not on the stream of the watch".to_owned();
        }
    }
}
