//! What must hold for every input: no panic, no dependence on how bytes were split, one reading of what is written back.

use proptest::prelude::*;

use super::corpus_tests::{HTTP, Outcome, limits, read_all, rows, unescape};
use super::request::{self, Parser, RequestHead};
use super::{Decoder, Framing, HeadError, Limits, ResponseHead, Step, response};

type Answer = Result<Option<(String, usize)>, HeadError>;

fn show(found: Result<Option<(RequestHead, usize)>, HeadError>) -> Answer {
    found.map(|found| found.map(|(head, consumed)| (canonical(&head), consumed)))
}

/// Feed a head in pieces; the first answer other than "more" counts.
fn in_pieces(raw: &[u8], cuts: &[usize], limits: &Limits) -> Answer {
    let mut parser = Parser::default();
    for &cut in cuts {
        match parser.parse(&raw[..cut.min(raw.len())], limits) {
            Ok(None) => {}
            answer => return show(answer),
        }
    }
    show(parser.parse(raw, limits))
}

/// A head as one could write it again.
fn canonical(head: &RequestHead) -> String {
    let target = match &head.target {
        super::Target::Connect(authority) => authority.to_string(),
        super::Target::Absolute { authority, path_and_query } if &**path_and_query == "*" => {
            format!("http://{authority}")
        }
        super::Target::Absolute { authority, path_and_query } => format!("http://{authority}{path_and_query}"),
    };
    let mut text = format!("{} {target} {}\r\n", head.method(), head.version);
    for field in head.fields.iter() {
        let value: String = field.value().iter().map(|&b| char::from(b)).collect();
        text.push_str(&format!("{}: {value}\r\n", field.lower()));
    }
    text.push_str("\r\n");
    text
}

/// Latin-1, so that obs-text survives.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn nearly_http() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("GET http://a.test/ HTTP/1.1\r\n".to_owned()),
        Just("POST http://a.test:80/x?y HTTP/1.1\r\n".to_owned()),
        Just("CONNECT a.test:443 HTTP/1.0\r\n".to_owned()),
        Just("Host: a.test\r\n".to_owned()),
        Just("Content-Length: 5\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("Connection: close, x\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\n".to_owned()),
        Just("\0".to_owned()),
        "[ -~]{0,12}(\r\n)?",
        "[A-Za-z-]{1,9}: [ -~\u{80}-\u{ff}]{0,20}\r\n",
    ];
    proptest::collection::vec(piece, 0..9).prop_map(|pieces| bytes(&pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_bytes_are_answered_without_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&raw, &limits());
    }

    #[test]
    fn splitting_a_head_anywhere_changes_nothing(
        raw in nearly_http(),
        cuts in proptest::collection::vec(0usize..200, 0..8),
        head in 20usize..200,
        target in 5usize..40,
    ) {
        let limits = Limits { head, target, fields: 4, ..limits() };
        let mut cuts = cuts;
        cuts.sort_unstable();
        prop_assert_eq!(in_pieces(&raw, &cuts, &limits), show(request::parse(&raw, &limits)));
    }

    #[test]
    fn what_is_written_back_reads_the_same(raw in nearly_http()) {
        if let Ok(Some((head, _))) = request::parse(&raw, &limits()) {
            let text = canonical(&head);
            let (again, consumed) = request::parse(&bytes(&text), &limits()).unwrap().unwrap();
            prop_assert_eq!(canonical(&again), text.clone());
            prop_assert_eq!(consumed, bytes(&text).len());
            prop_assert_eq!(again.target, head.target);
            prop_assert_eq!(again.framing, head.framing);
            prop_assert_eq!(again.keep_alive, head.keep_alive);
        }
    }

    #[test]
    fn splitting_an_answer_anywhere_changes_nothing(
        raw in "(HTTP/1\\.[01] ?[0-9]{1,4}( [a-z\r\u{0}]{0,3})?\r?\n)?([A-Za-z-]{1,6}: ?[a-z,]{0,5}\r?\n){0,4}(\r\n)?",
        cut in 0usize..80,
        head in 20usize..80,
    ) {
        let limits = Limits { head, fields: 3, ..limits() };
        let raw = raw.as_bytes();
        let show = |found: Result<Option<(ResponseHead, usize)>, _>| found.map(|found| found.map(|f| format!("{f:?}")));
        let mut parser = response::Parser::default();
        let first = show(parser.parse(&raw[..cut.min(raw.len())], &limits));
        let pieces = if first == Ok(None) { show(parser.parse(raw, &limits)) } else { first };
        prop_assert_eq!(pieces, show(response::parse(raw, &limits)));
    }

    #[test]
    fn a_chunked_body_reads_the_same_however_it_is_split(
        body in "([0-9a-f]{1,2}(;a(=\"x\")?)?\r\n[a-z]{0,20}\r\n){0,4}(0\r\n(T: x\r\n)?\r\n)?[a-z\r\n]{0,4}",
        cuts in proptest::collection::vec(1usize..12, 1..40),
    ) {
        let whole = decode(body.as_bytes(), std::iter::repeat(body.len().max(1)));
        let pieces = decode(body.as_bytes(), cuts.into_iter().cycle());
        prop_assert_eq!(whole, pieces);
    }
}

/// Decode with arrivals of these sizes: the body, how it ended, and what is left over.
fn decode(raw: &[u8], arrivals: impl Iterator<Item = usize>) -> (Vec<u8>, &'static str, usize) {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (mut taken, mut there) = (0, 0);
    let mut out = Vec::new();
    for arrival in arrivals {
        there = (there + arrival).min(raw.len());
        loop {
            match decoder.step(&raw[taken..there], &limits()) {
                Ok(Step::Skip(n)) => taken += n,
                Ok(Step::Data(n)) => {
                    out.extend_from_slice(&raw[taken..taken + n]);
                    taken += n;
                }
                Ok(Step::More) if there == raw.len() => return (out, "more", raw.len() - taken),
                Ok(Step::More) => break,
                Ok(Step::End) => return (out, "end", raw.len() - taken),
                Err(error) => return (out, error.text(), 0),
            }
        }
    }
    unreachable!("arrivals never end")
}

#[test]
fn every_request_of_the_corpus_reads_the_same_byte_by_byte() {
    for row in rows(HTTP).filter(|row| row[1] == "req") {
        let raw = unescape(row[3]);
        let cuts: Vec<usize> = (0..raw.len().min(4000)).collect();
        assert_eq!(in_pieces(&raw, &cuts, &limits()), show(request::parse(&raw, &limits())), "{}", row[0]);
    }
}

#[test]
fn one_byte_at_a_time_costs_no_more_than_all_at_once() {
    // 30 KB in single bytes: with a scan from the start each time this is half a billion steps.
    let raw = [b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nX: ", &[b'x'; 30_000][..], b"\r\n\r\n"].concat();
    let cuts: Vec<usize> = (0..raw.len()).collect();
    assert!(in_pieces(&raw, &cuts, &limits()).unwrap().is_some());
    assert!(matches!(read_all(&raw, &limits()), Outcome::Requests(..)));
}
