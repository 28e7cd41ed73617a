//! The store of a fleet: etcd 3.4 or later.
//!
//! A write is given only to a member that has just answered a linearizable reading, so that one which was cut off from its
//! cluster is found out by a question that may be asked twice. What is unknown then is what happens within milliseconds.

mod connection;

mod failure;

mod messages;

mod transaction;

mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gatepass_config::state::{Etcd as Configured, User};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use self::connection::{Connection, Place, Token};
use self::failure::Failure;
use self::messages::{
    AuthenticateRequest, AuthenticateResponse, KeyValue, LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use super::{Bounds, Change, Committed, Kept, Transaction, Unavailable, View};
use crate::evidence::ship::tls::{Tls, secure};

/// Keys of one page of a view: at 1 KiB each, what a member sends in one message without a stall.
const PAGE: i64 = 1_000;

/// Between two attempts, while a cluster elects.
const PAUSE: Duration = Duration::from_millis(100);

/// The shortest lease. A key that goes later than it could is harmless; a lease that ends before its key is written is not.
const LEASE_MIN: i64 = 60;

/// A cluster. Cheap to clone.
#[derive(Clone)]
pub struct Etcd(Arc<Cluster>);

struct Cluster {
    places: Vec<Place>,
    prefix: String,
    user: Option<User>,
    bounds: Bounds,
    /// Which place is tried next, counted on without end.
    next: AtomicUsize,
    /// What questions are asked on.
    current: Mutex<Option<Arc<Connection>>>,
    /// Of `user`. Held while a new one is asked for, so that one is.
    token: Mutex<Option<Token>>,
}

/// A transaction that is to be committed.
struct Wanted {
    request: TxnRequest,
    /// How long its lease must last, if it needs one.
    lease: Option<Duration>,
    /// Keys that the store has more after it, at most.
    more: usize,
}

/// What a member said that speaks for its cluster.
struct Probed {
    /// What the cluster has come to.
    revision: u64,
    /// Keys of ours.
    keys: usize,
}

impl Etcd {
    /// A cluster; nothing is connected yet. Blocks on the files of its TLS, which are read again at every connection.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn new(configured: &Configured, bounds: Bounds) -> Result<Etcd, String> {
        let tls = configured.tls.as_deref().map(Tls::from);
        let place = |url: &gatepass_config::url::Url| {
            let place = Place { url: url.to_string(), host: url.host.to_string(), port: url.port, tls: tls.clone() };
            match &place.tls {
                None => Ok(place),
                Some(tls) => match secure(tls, &place.host, &[]) {
                    Ok(_) => Ok(place),
                    Err(error) => Err(format!("the state store `{}`: {error}", place.url)),
                },
            }
        };
        Ok(Etcd(Arc::new(Cluster {
            places: configured.endpoints.iter().map(place).collect::<Result<_, _>>()?,
            prefix: configured.prefix.clone(),
            user: configured.user.clone(),
            bounds,
            next: AtomicUsize::new(0),
            current: Mutex::new(None),
            token: Mutex::new(None),
        })))
    }

    pub(super) async fn commit(&self, transaction: Transaction) -> Result<Committed, Unavailable> {
        let end = Instant::now() + self.0.bounds.patience;
        let wanted = Arc::new(Wanted {
            lease: transaction::lease(&transaction),
            more: transaction::more(&transaction),
            request: transaction::request(&self.0.prefix, transaction),
        });
        let commit = |connection: Arc<Connection>| {
            let (cluster, wanted) = (Arc::clone(&self.0), Arc::clone(&wanted));
            async move { cluster.commit(&connection, &wanted, end).await }
        };
        self.0.on_a_member(end, commit).await
    }

    pub(super) async fn view(&self) -> Result<View, Unavailable> {
        let end = Instant::now() + self.0.bounds.patience;
        let view = |connection: Arc<Connection>| {
            let cluster = Arc::clone(&self.0);
            async move { cluster.view(&connection, end).await }
        };
        self.0.on_a_member(end, view).await
    }

    pub(super) fn watch(&self) -> mpsc::Receiver<Change> {
        watch::begin(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Etcd").field(&self.0.places.iter().map(|place| &place.url).collect::<Vec<_>>()).finish()
    }
}

impl Cluster {
    /// Do something on a member that answers: on one after the other, as long as nothing was done, until `end`.
    async fn on_a_member<T, D>(&self, end: Instant, work: impl Fn(Arc<Connection>) -> D) -> Result<T, Unavailable>
    where
        D: Future<Output = Result<T, Failure>>,
    {
        // In a row.
        let mut unreachable = 0;
        let mut last = "nobody was asked".to_owned();
        while Instant::now() < end {
            let connection = match tokio::time::timeout_at(end, self.connection()).await {
                Err(_) => break,
                Ok(Ok(connection)) => connection,
                Ok(Err(why)) => {
                    last = why;
                    unreachable += 1;
                    // With an election under way there would be somebody to connect to.
                    if unreachable >= self.places.len() {
                        return Err(Unavailable(format!("nothing was sent: no member of etcd can be reached: {last}")));
                    }
                    continue;
                }
            };
            unreachable = 0;
            match work(Arc::clone(&connection)).await {
                Ok(done) => return Ok(done),
                Err(Failure::NotTaken(why)) => {
                    last = why;
                    self.leave(&connection).await;
                    tokio::time::sleep_until(end.min(Instant::now() + PAUSE)).await;
                }
                Err(Failure::Token(why) | Failure::Refused(why)) => {
                    return Err(Unavailable(format!("nothing was written: {why}")));
                }
                Err(Failure::Unknown(why)) => {
                    self.leave(&connection).await;
                    return Err(Unavailable(format!("what was sent may have been written, or may yet be: {why}")));
                }
            }
        }
        let patience = self.bounds.patience;
        Err(Unavailable(format!("nothing was written: no member of etcd did its part within {patience:?}: {last}")))
    }

    /// The connection that questions are asked on; a new one, to the next place, where there is none.
    async fn connection(&self) -> Result<Arc<Connection>, String> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        *current = None;
        let connection = Arc::new(self.open(&self.next).await?);
        *current = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// Connect to the place that `next` counts to; where it cannot be reached, `next` counts on.
    async fn open(&self, next: &AtomicUsize) -> Result<Connection, String> {
        let at = next.load(Ordering::Relaxed) % self.places.len().max(1);
        let place = self.places.get(at).ok_or("no member of etcd is configured")?;
        let opened = Connection::open(place, self.bounds.heartbeat).await;
        if opened.is_err() {
            next.fetch_add(1, Ordering::Relaxed);
        }
        opened
    }

    /// Ask another member from now on, unless somebody has turned to one already.
    async fn leave(&self, connection: &Arc<Connection>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            *current = None;
            self.next.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Commit on this member, if it can still speak for its cluster.
    async fn commit(&self, connection: &Connection, wanted: &Wanted, end: Instant) -> Result<Committed, Failure> {
        let probed = self.probe(connection).await.map_err(Failure::harmless)?;
        let keys = self.bounds.keys;
        // A store that has more than its readers take would be none to all of them.
        if wanted.more > 0 && probed.keys.saturating_add(wanted.more) > keys {
            return Err(Failure::Refused(format!("the store would hold more than {keys} keys (`limits.state_keys`)")));
        }
        let mut request = wanted.request.clone();
        let lease = match wanted.lease {
            None => None,
            Some(ttl) => Some(self.grant(connection, ttl).await.map_err(Failure::harmless)?),
        };
        transaction::attach(&mut request, lease);
        let limit = self.bounds.timeout.min(end.saturating_duration_since(Instant::now()));
        // What cannot be answered in time is not asked: its outcome would be unknown.
        if limit < self.bounds.timeout / 4 {
            return Err(Failure::NotTaken("there was no time left for the write".to_owned()));
        }
        let answer: TxnResponse = self.ask(connection, "/etcdserverpb.KV/Txn", request, limit).await?;
        if answer.succeeded {
            return Ok(Committed::Yes { revision: revision(answer.header.map(|header| header.revision)) });
        }
        if let Some(id) = lease {
            // Where this fails, the lease ends by itself.
            let revoking = LeaseRevokeRequest { id };
            let _: Result<LeaseRevokeResponse, _> =
                self.ask(connection, "/etcdserverpb.Lease/LeaseRevoke", revoking, self.bounds.heartbeat).await;
        }
        Ok(Committed::No)
    }

    /// Whether this member can speak for its cluster.
    async fn probe(&self, connection: &Connection) -> Result<Probed, Failure> {
        let question = RangeRequest { limit: 1, keys_only: true, ..self.everything() };
        let answer: RangeResponse =
            self.ask(connection, "/etcdserverpb.KV/Range", question, self.bounds.heartbeat).await?;
        let keys = usize::try_from(answer.count).unwrap_or(0);
        Ok(Probed { revision: revision(answer.header.map(|header| header.revision)), keys })
    }

    async fn grant(&self, connection: &Connection, ttl: Duration) -> Result<i64, Failure> {
        // Rounded up: a key may go later, never earlier.
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX).saturating_add(1).max(LEASE_MIN);
        let question = LeaseGrantRequest { ttl: seconds };
        let answer: LeaseGrantResponse =
            self.ask(connection, "/etcdserverpb.Lease/LeaseGrant", question, self.bounds.timeout).await?;
        match answer.id {
            0 => Err(Failure::Refused(format!("etcd grants no lease of {seconds} s: {}", answer.error))),
            id => Ok(id),
        }
    }

    /// Everything, page by page, as of the revision of the first.
    async fn view(&self, connection: &Connection, end: Instant) -> Result<View, Failure> {
        let mut question = RangeRequest { limit: PAGE, ..self.everything() };
        let mut kept = Vec::new();
        loop {
            let limit = self.bounds.timeout.min(end.saturating_duration_since(Instant::now()));
            let answer: Result<RangeResponse, _> =
                self.ask(connection, "/etcdserverpb.KV/Range", question.clone(), limit).await;
            let answer = answer.map_err(Failure::harmless)?;
            if question.revision == 0 {
                question.revision = answer.header.map_or(0, |header| header.revision);
            }
            let last = answer.kvs.last().map(|last| last.key.clone());
            kept.extend(answer.kvs.into_iter().filter_map(|found| self.ours(found)));
            if kept.len() > self.bounds.keys {
                let why = format!("etcd holds more than {} of our keys (`limits.state_keys`)", self.bounds.keys);
                return Err(Failure::Refused(why));
            }
            match last {
                Some(last) if answer.more => question.key = [last.as_slice(), &[0]].concat(),
                Some(_) | None => return Ok(View { kept, revision: revision(Some(question.revision)) }),
            }
        }
    }

    /// Ask as our user, if there is one, with a token that etcd takes.
    async fn ask<Q, A>(
        &self,
        connection: &Connection,
        path: &'static str,
        question: Q,
        limit: Duration,
    ) -> Result<A, Failure>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let token = self.token(connection, None).await?;
        match connection.ask(path, question.clone(), token.as_ref(), limit).await {
            // Not acted on, so it may be asked again.
            Err(Failure::Token(_)) if token.is_some() => {
                let renewed = self.token(connection, token).await?;
                connection.ask(path, question, renewed.as_ref(), limit).await
            }
            answer => answer,
        }
    }

    /// Our user's token, if there is a user; another one than `refused`.
    async fn token(&self, connection: &Connection, refused: Option<Token>) -> Result<Option<Token>, Failure> {
        let Some(user) = &self.user else { return Ok(None) };
        let mut current = self.token.lock().await;
        if current.is_some() && *current != refused {
            return Ok(current.clone());
        }
        *current = None;
        let password = user.password.clone();
        let password = tokio::task::spawn_blocking(move || password.read()).await;
        let password = match password {
            Ok(Ok(password)) => password,
            Ok(Err(problems)) => return Err(Failure::Refused(format!("the password for etcd: {problems}"))),
            Err(error) => return Err(Failure::NotTaken(format!("the password for etcd was not read: {error}"))),
        };
        let question = AuthenticateRequest { name: user.name.clone(), password: password.expose().to_owned() };
        let path = "/etcdserverpb.Auth/Authenticate";
        let answer: Result<AuthenticateResponse, _> = connection.ask(path, question, None, self.bounds.timeout).await;
        let answer = answer.map_err(Failure::harmless)?;
        let token = Token::try_from(answer.token);
        let mut token = token.map_err(|_| Failure::Refused("etcd gave a token that cannot be sent".to_owned()))?;
        token.set_sensitive(true);
        *current = Some(token.clone());
        Ok(Some(token))
    }

    /// All of our keys.
    fn everything(&self) -> RangeRequest {
        RangeRequest {
            key: self.prefix.as_bytes().to_vec(),
            range_end: transaction::after(&self.prefix),
            ..RangeRequest::default()
        }
    }

    /// A key as ours; none where no program of ours has written it.
    fn ours(&self, found: KeyValue) -> Option<Kept> {
        let key = std::str::from_utf8(&found.key).ok()?.strip_prefix(&self.prefix)?.to_owned();
        Some(Kept { key, value: found.value, revision: revision(Some(found.mod_revision)) })
    }
}

/// etcd's revisions begin at 1.
fn revision(told: Option<i64>) -> u64 {
    told.and_then(|revision| u64::try_from(revision).ok()).unwrap_or(0)
}
