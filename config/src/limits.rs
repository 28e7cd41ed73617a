//! Every bound of the program in one table: key, default, range, and why that number.

mod amount;
pub use amount::Amount;

use std::time::Duration;

use crate::node::{Entry, Node};
use crate::reading::Reading;

/// One bound.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The key under `limits`, and the field of `Limits`.
    pub key: &'static str,
    /// What holds where the file says nothing.
    pub default: Amount,
    /// The least that is accepted.
    pub min: Amount,
    /// The most that is accepted.
    pub max: Amount,
    /// What is bounded.
    pub what: &'static str,
    /// Why the default is that number.
    pub why: &'static str,
}

type Time = Duration;
type Size = usize;
type Count = usize;
type Files = Option<usize>;

/// The struct, the table and the way from one to the other, from one list.
macro_rules! limits {
    ($($key:ident: $kind:ident = $default:expr, $min:expr => $max:expr, $what:literal, $why:literal;)*) => {
        /// Every bound of the program, within its range.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $what] #[doc = ""] #[doc = $why] pub $key: $kind,)*
        }

        /// The bounds in the order in which a connection meets them.
        pub const TABLE: &[Row] = &[$(Row {
            key: stringify!($key),
            default: Amount::$kind($default),
            min: Amount::$kind($min),
            max: Amount::$kind($max),
            what: $what,
            why: $why,
        }),*];

        impl Default for Limits {
            fn default() -> Limits {
                Limits { $($key: $default),* }
            }
        }

        impl Limits {
            /// What holds for `key`.
            pub fn amount(&self, key: &str) -> Option<Amount> {
                match key {
                    $(stringify!($key) => Some(Amount::$kind(self.$key)),)*
                    _ => None,
                }
            }

            fn set(&mut self, key: &str, amount: Amount) {
                match (key, amount) {
                    $((stringify!($key), Amount::$kind(value)) => self.$key = value,)*
                    _ => {}
                }
            }
        }
    };
}

const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn s(number: u64) -> Duration {
    Duration::from_secs(number)
}

const fn m(number: u64) -> Duration {
    s(number * 60)
}

const fn h(number: u64) -> Duration {
    m(number * 60)
}

const fn kib(number: usize) -> usize {
    number * 1024
}

const fn mib(number: usize) -> usize {
    kib(number * 1024)
}

limits! {
    max_connections: Files = None, Some(1) => Some(1_000_000),
        "client connections at once, over all listeners",
        "unless given, what the limit on open files leaves: two for each connection, a sixteenth kept for the rest";
    accept_backoff: Time = ms(100), ms(1) => s(5),
        "pause after accepting failed for want of files or memory",
        "long enough for a closing connection to give a file back, too short to be noticed";
    tls_handshake_timeout: Time = s(10), ms(100) => m(2),
        "a client's whole TLS handshake with an https listener",
        "three round trips over the worst link in use, with one retransmission";
    certificate_file_bytes: Size = mib(16), kib(16) => mib(256),
        "one PEM file: certificates, keys, trust anchors, revocation lists",
        "a revocation list of 300,000 entries";
    client_chain_max: Count = 6, 1 => 16,
        "certificates that a client may present, its own included",
        "path building tries their permutations; real chains have two to four";
    head_timeout: Time = s(10), ms(100) => m(2),
        "from the first byte of a request head to its last",
        "a head is one packet; slower is a client that holds connections open on purpose";
    head_max_bytes: Size = kib(32), kib(8) => mib(1),
        "request or response head, from the first byte to the empty line",
        "RFC 9112 section 3 wants 8000 octets for the first line alone; Kerberos tokens need up to 16 KiB more";
    request_target_max_bytes: Size = kib(8), kib(2) => kib(64),
        "the target in a request line",
        "RFC 9112 section 3 recommends at least 8000 octets";
    head_max_fields: Count = 128, 16 => 1_000,
        "field lines in one head or trailer section",
        "twice what the busiest browsers send";
    chunk_line_max_bytes: Size = 256, 32 => kib(8),
        "the line before a chunk: its size and extensions",
        "a size takes 16 digits, and nobody sends long extensions (RFC 9112 section 7.1.1 asks for a bound)";
    trailers_max_bytes: Size = kib(8), 256 => mib(1),
        "the trailers of a body, all together",
        "checksums and signatures; as long as one line of a head";
    data_class_max_bytes: Size = kib(1), 64 => kib(16),
        "a declared data class header",
        "thirty classes with long names";
    keep_alive_timeout: Time = s(60), ms(100) => h(1),
        "silence of a client between two requests",
        "clients keep idle connections for about a minute; a waiting connection costs a file";
    client_hello_timeout: Time = s(5), ms(100) => m(1),
        "from 200 to the whole ClientHello, or the first byte of something else",
        "a client sends it at once; a protocol in which the server speaks first waits this long";
    client_hello_max_bytes: Size = 64_000, kib(4) => kib(256),
        "a ClientHello, reassembled from its records",
        "post-quantum key shares reach 2 KiB and pre-shared keys 10 KiB; rustls takes at most 64 KiB";
    dns_cache_entries: Count = 10_000, 0 => 1_000_000,
        "answers kept in the DNS cache",
        "at about 500 bytes an answer, 5 MB";
    dns_ttl_max: Time = h(1), s(0) => h(24 * 7),
        "how long an answer is kept, whatever its TTL says",
        "a withdrawn address is forgotten within the hour";
    dns_negative_ttl_max: Time = m(1), s(0) => h(3),
        "how long the answer that there is none is kept",
        "RFC 2308 section 5 allows hours; a name just created is asked for at once";
    dns_answers_max: Count = 64, 1 => 1_000,
        "addresses in one answer; more are a failure, never cut",
        "the largest round-robin sets in use have 32";
    dns_lookups: Count = 1_024, 1 => 65_536,
        "DNS lookups under way at once",
        "each may hold a socket; at 2 s for a dead server, 512 new names a second";
    dns_resolution_delay: Time = ms(50), ms(0) => s(2),
        "wait for the other address family after the first has answered",
        "RFC 8305 section 3: 50 ms; what comes later is not used";
    dial_timeout: Time = s(10), ms(100) => m(2),
        "connecting to a destination, all its addresses together",
        "three SYN retransmissions (1, 3 and 7 s) fit";
    dial_attempt_timeout: Time = s(8), ms(100) => m(2),
        "connecting to one address",
        "three SYN retransmissions, and some time left for another address";
    dial_attempts_max: Count = 8, 1 => 64,
        "addresses that are tried, families interleaved",
        "at 250 ms each, all are under way after 2 s";
    dial_attempt_delay: Time = ms(250), ms(10) => s(2),
        "from one connection attempt to the next address",
        "RFC 8305 section 8: 250 ms recommended, 10 ms to 2 s allowed";
    probe_timeout: Time = s(3), ms(100) => s(30),
        "a probe of a server's certificate: until there is room for it, the connection and the handshake",
        "one SYN retransmission and three round trips over the worst link in use; the client waits all the while";
    probes_max: Count = 256, 1 => 65_536,
        "probes of servers' certificates at once",
        "each holds a socket; at 3 s for a server that hangs, some 80 such connections a second before others wait";
    probe_cache_entries: Count = 4_096, 0 => 1_000_000,
        "servers whose proof is remembered, and probes that several connections share",
        "at about 1 KiB each, 4 MB; more servers than most gateways reach in five minutes";
    probe_cache_age: Time = m(5), s(0) => h(24),
        "how long a server's proof is remembered, at most until its certificate ends; 0s probes for every connection",
        "spares servers a handshake for each connection; DNS answers, which change sooner, make it another server";
    tunnel_idle_timeout: Time = h(1), s(1) => h(24 * 7),
        "a tunnel without a byte in either direction",
        "below the 2 h after which NATs may forget a connection (RFC 5382 section 5), above the pauses of real clients";
    tunnel_max_duration: Time = h(24), s(1) => h(24 * 365),
        "a tunnel or a forwarded exchange, however busy",
        "a day: what a decision said yesterday is asked again";
    response_head_timeout: Time = m(2), ms(100) => h(1),
        "from the end of a forwarded request to the head of its answer",
        "slow searches and builds answer within it; NGINX and HAProxy give up sooner";
    body_idle_timeout: Time = m(1), ms(100) => h(1),
        "silence within a forwarded request or response body",
        "a stream that is alive sends something each minute (server-sent events every 15 s)";
    forward_buffer: Size = kib(16), kib(4) => mib(1),
        "bytes of a forwarded body held for a slow receiver, in each direction",
        "what one read from a fast peer brings; a connection has two";
    interim_answers_max: Count = 4, 1 => 100,
        "interim answers (1xx) before the real one",
        "100 Continue, 103 Early Hints, and each once more";
    pool_idle_per_host: Count = 32, 0 => 10_000,
        "idle upstream connections kept for one endpoint",
        "a busy host reuses more than it lets idle";
    pool_idle_total: Count = 1_024, 0 => 100_000,
        "idle upstream connections kept for all endpoints",
        "each costs a file, which a client may need more";
    pool_idle_timeout: Time = s(60), ms(100) => h(1),
        "how long an idle upstream connection is kept",
        "below the 75 s of NGINX, so that the server seldom closes first";
    evidence_queue: Count = 65_536, 64 => 1_048_576,
        "records waiting, those that live connections will still write included; full refuses new connections",
        "two for each connection that a gateway carries, and as many again; about 2 KiB each while they wait";
    evidence_commit_timeout: Time = s(5), ms(10) => m(1),
        "from a permitting decision to its record's standing in the spool; later refuses the connection",
        "a disk that pauses for longer than clients wait is one that fails";
    evidence_sync_interval: Time = ms(200), ms(1) => s(10),
        "from a record's writing to its being on the disk, with `durability: interval`",
        "what the loss of a machine may take with it; five syncs a second are nothing to any disk";
    evidence_unsynced_bytes: Size = mib(64), mib(1) => mib(1024),
        "records written and not yet on the disk; full, writing waits for the disk",
        "two seconds of 60,000 records at 500 bytes each: a disk that pauses longer is in trouble";
    evidence_segment_bytes: Size = mib(16), kib(64) => mib(1024),
        "one segment of the spool; at most an eighth of the spool",
        "30,000 records: read in a tenth of a second, and a spool of 1 GiB gives room back in steps of a sixty-fourth";
    evidence_segment_age: Time = m(10), s(1) => h(24),
        "how long a segment stays open for more",
        "a quiet gateway's records are sealed, archived and exported within minutes too";
    evidence_checkpoint_interval: Time = s(1), ms(100) => h(1),
        "from a record to the signed checkpoint that covers it",
        "what somebody who takes the machine could still alter; a signature takes 20 us";
    evidence_checkpoint_records: Count = 512, 1 => 65_536,
        "records between two signed checkpoints",
        "as many as one batch carries: a checkpoint is one record in 512";
    evidence_batch_records: Count = 512, 1 => 8_192,
        "records in one batch for a sink",
        "the default of OpenTelemetry's own batches, which every collector takes";
    evidence_batch_bytes: Size = mib(1), kib(16) => mib(4),
        "bytes of one batch for a sink",
        "a quarter of what a gRPC receiver takes unless told otherwise";
    evidence_batches_in_flight: Count = 4, 1 => 64,
        "batches under way to a collector at once",
        "at 20 ms for an answer, 100,000 records a second";
    evidence_first_seen: Count = 1_000_000, 0 => 100_000_000,
        "pairs of identity and domain remembered to tell a first visit",
        "10,000 workloads with a hundred domains each; at about 50 bytes a pair, 50 MB";
    evidence_retry_first: Time = ms(50), ms(1) => s(10),
        "the first pause after a failed write or export",
        "a collector that restarts is found again at once";
    evidence_retry_longest: Time = s(30), ms(10) => m(10),
        "the longest pause between attempts",
        "attempts never end, and every gateway of a fleet makes them";
    otlp_timeout: Time = s(10), ms(100) => m(2),
        "one export",
        "the default of the OpenTelemetry specification";
    grant_longest: Time = h(1), s(1) => h(24),
        "the longest life of a break-glass grant; the bundle may say less",
        "what an incident needs before somebody writes an exception or a rule";
    exception_longest: Time = h(168), s(1) => h(8784),
        "the longest life of an exception that is approved here; the bundle may say less",
        "a week: what is needed for longer belongs into the policy";
    override_requests_per_minute: Count = 30, 1 => 10_000,
        "requests for grants and exceptions of one person, or one workload, in a minute",
        "more than anybody types, and few enough to be read by whoever approves";
    state_timeout: Time = s(2), ms(50) => s(30),
        "one question to a member of etcd",
        "ten times what a commit takes across an ocean, and short enough to ask another member in time";
    state_patience: Time = s(6), ms(100) => m(2),
        "a commit, or a reading of the whole store: by etcd, over all members and attempts, or by the disk",
        "an election of a leader takes from one to three seconds with the defaults of etcd";
    state_heartbeat: Time = s(1), ms(50) => s(30),
        "from one look at whether the watched member of etcd is alive to the next, and how long it may take to answer",
        "a member that is cut off is noticed within two seconds; a question a second is nothing to etcd";
    state_changes: Count = 1_024, 16 => 65_536,
        "changes of the store that wait for their reader; one that is further behind reads everything again",
        "operators make a few in an hour; a drill with hundreds of grants fits";
    state_keys: Count = 100_000, 100 => 10_000_000,
        "keys in the store",
        "a grant a minute for two months; all are read into memory at a start, at about 1 KiB each";
    recent_decisions: Count = 4_096, 0 => 1_048_576,
        "decisions kept in memory for `why`",
        "minutes of a busy gateway at about 2 KiB each, 8 MB";
    admin_connections: Count = 256, 1 => 10_000,
        "connections to the admin listener at once",
        "scrapers and operators, not traffic: a hundred at once in an incident fit";
    admin_connection_timeout: Time = m(5), s(1) => h(24),
        "a connection to the admin listener, however busy",
        "a scraper comes back; nobody holds a place for ever";
    admin_decisions: Count = 1_000, 1 => 100_000,
        "items of a list in one answer of the admin API",
        "about 2 MB of JSON";
    reload_debounce: Time = ms(200), ms(1) => s(10),
        "quiet time after a change of the bundle before it is read",
        "editors and the kubelet change several files within milliseconds";
    bundle_files: Count = 10_000, 1 => 100_000,
        "files in a bundle",
        "a fragment for each team of the largest organisations, ten times over";
    bundle_file_bytes: Size = mib(64), kib(1) => mib(256),
        "one file of a bundle",
        "100,000 rules of 600 bytes, the most the engine was measured with";
    bundle_bytes: Size = mib(256), kib(1) => mib(1024),
        "all files of a bundle together",
        "four files of the longest kind; the whole is held in memory while it is compiled";
    bundle_depth: Count = 8, 1 => 32,
        "directories below each other in a bundle",
        "organisation, division, team, and as much again";
    bundle_nesting: Count = 32, 8 => 64,
        "YAML lists and mappings inside each other in a bundle",
        "the language needs six";
    bundle_diagnostics: Count = 1_000, 1 => 100_000,
        "errors of a bundle that are told one by one, and as many warnings",
        "more than anybody reads, and a bound for a file that is no policy";
    bundle_global_rules: Count = 1_000, 1 => 100_000,
        "rules of a bundle without a host or network",
        "each is evaluated in every decision, at about 12 ns";
    bundle_workload_patterns: Count = 1_000, 1 => 100_000,
        "identity patterns in the workload registry",
        "they are tried one by one, and compared in pairs when a bundle is loaded";
    nearest_considered: Count = 256, 1 => 100_000,
        "rules that the search for the nearest looks at",
        "it runs on every denial";
    traced_rules: Count = 1_000, 1 => 1_000_000,
        "rules in one trace",
        "what one person can look through";
    cut_linger: Time = ms(0), ms(0) => h(24),
        "how long a tunnel goes on that a change of policy or the end of a rule no longer allows",
        "at once: what is not allowed is not carried";
    limit_accounts: Count = 65_536, 1 => 10_000_000,
        "pairs of a rule with `limits` and an identity that are counted at once; with one more a new pair is refused",
        "a hundred such rules with 600 identities each; at about 400 bytes a pair, 26 MB";
    observe_longest: Time = h(24 * 90), m(1) => h(24 * 365),
        "how far away the end of `observe` may lie when the configuration is read",
        "a roll-out takes weeks; a gateway that only observes protects nobody";
    drain_timeout: Time = s(10), ms(0) => h(24),
        "from SIGTERM until live tunnels are cut",
        "leaves two thirds of the 30 s that Kubernetes gives for closing records to be delivered";
}

/// How many connections `file_limit` open files carry: a client and an upstream socket each, a sixteenth (at least 64)
/// kept for listeners, DNS, exports, pooled connections and files.
pub fn connections_within(file_limit: usize) -> usize {
    let kept = (file_limit / 16).max(64);
    (file_limit.saturating_sub(kept) / 2).max(1)
}

pub(crate) fn convert(node: Option<&Node>, reading: &mut Reading<'_>) -> Option<Limits> {
    let mut limits = Limits::default();
    let Some(node) = node else { return Some(limits) };
    let entries = reading.entries(node)?;
    let keys: Vec<&str> = TABLE.iter().map(|row| row.key).collect();
    for entry in entries {
        match TABLE.iter().find(|row| row.key == entry.name) {
            None => {
                let all = "its keys are those of `gatepass serve --print-limits`";
                reading.unknown_key(node, entry, &keys, Some(all));
            }
            Some(row) => {
                if let Some(amount) = amount(row, entry, reading) {
                    limits.set(row.key, amount);
                }
            }
        }
    }
    Some(limits)
}

fn amount(row: &Row, entry: &Entry, reading: &mut Reading<'_>) -> Option<Amount> {
    let amount = match row.default {
        Amount::Time(_) => Amount::Time(reading.duration(&entry.node)?),
        // What does not fit an address is beyond every range.
        Amount::Size(_) => Amount::Size(usize::try_from(reading.size(&entry.node)?).unwrap_or(usize::MAX)),
        Amount::Count(_) => Amount::Count(reading.count(&entry.node)?),
        Amount::Files(_) => Amount::Files(Some(reading.count(&entry.node)?)),
    };
    if amount < row.min || amount > row.max {
        let message = format!("`{}` is {amount}; it goes from {} to {}", row.key, row.min, row.max);
        reading.found.error_with_help(&entry.node.place, message, format!("{}; by default {}", row.what, row.default));
        return None;
    }
    Some(amount)
}

#[cfg(test)]
mod tests;
