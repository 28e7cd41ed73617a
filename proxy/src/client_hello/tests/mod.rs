//! The corpus, and the wait for a hello.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;

mod forms;

mod pieces;

pub(super) mod real;

const CORPUS: &str = include_str!("../../../../tests/corpus/tls.tsv");
/// `limits.client_hello_size` in its default.
const MAX: usize = 64_000;
const LIMITS: Limits = Limits { max_bytes: MAX, timeout: Duration::from_secs(5) };

/// What the guardrail "the server name is the host of the CONNECT, and there is one" makes of a row, and why.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Allow,
    DenyName(Option<&'static str>),
    DenyInvalid(&'static str),
    DenyNotTls,
    DenyClosed,
    DenyPartial,
    DenySilent,
}

use Verdict::*;

/// Every row of the corpus, pinned. Rows that leave a choice: a record version that changes on the way is allowed,
/// because RFC 8446 section 5.1 has every reader ignore it; 2,000 unknown extensions are allowed, being bounded by
/// their bytes; a name of unknown type, compression beside TLS 1.3 and a record version 0 are refused. ECH with an
/// agreeing outer name and TLS 1.0 are for policy: this guardrail alone lets them pass.
const PINNED: &[(&str, Verdict)] = &[
    ("T001", Allow),
    ("T002", Allow),
    ("T003", Allow),
    ("T004", Allow),
    ("T008", DenyName(Some("allowed.test\\x00.evil.test"))),
    ("T009", DenyName(Some("allowed.test:443"))),
    ("T012", DenyName(None)),
    ("T020", DenyInvalid("the server name is not a host name")),
    ("T021", DenyInvalid("an extension stands twice")),
    ("T022", DenyInvalid("an extension stands twice")),
    ("T024", DenyInvalid("a length in the ClientHello points past its end")),
    ("T026", Allow),
    ("T027", DenyName(Some("cloudflare-ech.com"))),
    ("T028", DenyInvalid("the encrypted ClientHello is not of the outer type")),
    ("T029", DenyName(None)),
    ("T032", Allow),
    ("T033", Allow),
    ("T035", Allow),
    ("T036", Allow),
    ("T038", Allow),
    ("T039", DenyName(Some("evil.test"))),
    ("T040", DenyName(Some("evil.test"))),
    ("T041", DenyName(Some("evil.test"))),
    ("T043", DenyInvalid("a TLS record other than a handshake comes before the end of the ClientHello")),
    ("T044", DenyInvalid("a TLS record other than a handshake comes before the end of the ClientHello")),
    ("T045", Allow),
    ("T046", Allow),
    ("T049", DenyInvalid("the ClientHello is longer than the limit")),
    ("T051", DenyInvalid("the ClientHello is longer than the limit")),
    ("T052", DenyPartial),
    ("T053", DenyClosed),
    ("T054", DenyPartial),
    ("T055", DenySilent),
    ("T057", DenyInvalid("bytes follow the extensions")),
    ("T058", DenyInvalid("compression is offered together with TLS 1.3")),
    ("T059", DenyInvalid("the ClientHello's version is not TLS")),
    ("T060", DenyInvalid("the first handshake message is not a ClientHello")),
    ("T062", DenyInvalid("the record's version is not 3.x")),
    ("T063", Allow),
    ("T064", DenyInvalid("the first handshake message is not a ClientHello")),
    ("T065", DenyName(None)),
    ("T066", Allow),
    ("T067", Allow),
    ("T070", DenyNotTls),
    ("T075", DenyNotTls),
    ("T076", DenyNotTls),
    ("T078", DenyNotTls),
    ("T080", DenyNotTls),
    ("T085", DenyNotTls),
];

struct Row {
    id: &'static str,
    segments: Vec<Vec<u8>>,
    expected: &'static str,
    fin: bool,
}

impl Row {
    fn bytes(&self) -> Vec<u8> {
        self.segments.concat()
    }
}

fn rows() -> Vec<Row> {
    let data = CORPUS.lines().filter(|line| !line.starts_with('#')).skip(1);
    data.map(|line| {
        let mut columns = line.split('\t');
        let mut column = || columns.next().unwrap();
        let (id, _category, hex, length, expected, why) = (column(), column(), column(), column(), column(), column());
        let segments: Vec<_> = hex.split(" | ").map(unhex).collect();
        assert_eq!(segments.concat().len().to_string(), length, "{id}");
        Row { id, segments, expected, fin: why.contains("FIN") }
    })
    .collect()
}

/// Hex digits, `{00*N}` for N times the digits `00` (which may begin in the middle of a byte).
fn unhex(text: &str) -> Vec<u8> {
    let mut parts = text.split("{00*");
    let mut digits = parts.next().unwrap().to_owned();
    for part in parts {
        let (count, rest) = part.split_once('}').unwrap();
        digits += &"00".repeat(count.parse().unwrap());
        digits += rest;
    }
    let nibble = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    digits.as_bytes().chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

fn row(id: &str) -> Vec<u8> {
    rows().into_iter().find(|row| row.id == id).unwrap().bytes()
}

fn hello(bytes: &[u8]) -> Hello {
    match parse(bytes, MAX) {
        Parsed::Hello(hello) => hello,
        other => panic!("{other:?}"),
    }
}

fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Hello(hello) => match hello.sni {
            Some(name) if name == "allowed.test" => Allow,
            name => DenyName(name.map(|name| &*name.leak())),
        },
        Outcome::NotTls => DenyNotTls,
        Outcome::SilentTimeout => DenySilent,
        Outcome::PartialTimeout => DenyPartial,
        Outcome::Closed => DenyClosed,
        Outcome::Invalid(why) => DenyInvalid(why),
    }
}

/// Sends the segments one by one and stays open unless `fin`.
async fn send(mut client: DuplexStream, segments: Vec<Vec<u8>>, fin: bool) {
    for segment in segments {
        // The reader may have decided before the last segment.
        if client.write_all(&segment).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if !fin {
        tokio::time::sleep(LIMITS.timeout * 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_row_of_the_corpus_has_its_one_outcome() {
    let rows = rows();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), PINNED.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    for (row, (_, pinned)) in rows.into_iter().zip(PINNED) {
        let sent = row.bytes();
        let (client, mut gateway) = tokio::io::duplex(1 << 17);
        let mut buffer = BytesMut::new();
        let (outcome, ()) = tokio::join!(async { read(&mut gateway, &mut buffer, &LIMITS).await.unwrap() }, async {
            tokio::select! {
                () = send(client, row.segments, row.fin) => {}
                () = tokio::time::sleep(LIMITS.timeout * 3) => {}
            }
        });
        assert!(sent.starts_with(&buffer), "{}: bytes for the origin are those that were sent", row.id);
        let verdict = verdict(outcome);
        assert_eq!(&verdict, pinned, "{}", row.id);
        let side = if verdict == Allow { "ALLOW" } else { "DENY" };
        assert!(row.expected.contains(side) || row.expected.starts_with("POLICY"), "{}: {verdict:?}", row.id);
    }
}

#[test]
fn what_the_corpus_leaves_to_policy_is_told_as_facts() {
    assert!(hello(&row("T026")).ech && hello(&row("T027")).ech && hello(&row("T029")).ech);
    assert!(!hello(&row("T001")).ech);
    assert_eq!(hello(&row("T066")).versions, ["1.0"]);
    assert_eq!(hello(&row("T001")).versions, ["1.3", "1.2"]);
    assert_eq!(hello(&row("T001")).alpn, ["h2", "http/1.1"]);
    assert_eq!(
        hello(&row("T065")),
        Hello { versions: vec!["1.2".into(), "1.1".into(), "1.0".into()], ..Hello::default() }
    );
}

#[test]
fn what_is_not_tls_is_known_from_its_first_byte() {
    for first in (0..=19).chain(25..=255) {
        assert_eq!(parse(&[first], MAX), Parsed::NotTls, "{first}");
    }
    assert_eq!(parse(b"", MAX), Parsed::Incomplete);
    assert_eq!(parse(&[22], MAX), Parsed::Incomplete);
}

#[test]
fn an_alert_before_the_hello_does_not_make_the_stream_plain() {
    let bytes = [&[21, 3, 1, 0, 2, 1, 0][..], &row("T001")].concat();
    assert!(matches!(parse(&bytes, MAX), Parsed::Invalid(_)));
}

#[test]
fn an_overlong_hello_is_refused_at_its_header() {
    let long = row("T049");
    assert_eq!(parse(&long[..9], MAX), Parsed::Invalid("the ClientHello is longer than the limit"));
    let fits = row("T001");
    assert!(matches!(parse(&fits, fits.len()), Parsed::Hello(_)));
    assert!(matches!(parse(&fits, fits.len() - 1), Parsed::Invalid(_)));
    assert!(matches!(parse(&fits, 0), Parsed::Invalid(_)));
}

#[test]
fn a_second_message_in_the_record_of_the_hello_is_refused() {
    let mut bytes = row("T001");
    let length = u16::from_be_bytes([bytes[3], bytes[4]]) + 4;
    bytes[3..5].copy_from_slice(&length.to_be_bytes());
    bytes.extend([1, 0, 0, 0]);
    assert_eq!(parse(&bytes, MAX), Parsed::Invalid("bytes follow the ClientHello in its record"));
}

#[tokio::test]
async fn bytes_read_before_count_and_stay_in_the_buffer() {
    let mut buffer = BytesMut::from(&row("T001")[..]);
    let outcome = read(&mut tokio::io::empty(), &mut buffer, &LIMITS).await.unwrap();
    assert_eq!(verdict(outcome), Allow);
    assert_eq!(buffer, row("T001"));
}

#[tokio::test]
async fn a_client_that_closes_without_a_byte_has_closed() {
    let outcome = read(&mut tokio::io::empty(), &mut BytesMut::new(), &LIMITS).await.unwrap();
    assert_eq!(outcome, Outcome::Closed);
}
