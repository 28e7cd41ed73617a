//! Every row of the corpus that a parser can answer, each pinned to one outcome.

use super::body::{self, Decoder, Step};
use super::{Framing, Limits, Target, request, response};

pub(super) const HTTP: &str = include_str!("../../../tests/corpus/http.tsv");
const HOSTS: &str = include_str!("../../../tests/corpus/hosts.tsv");

pub(super) fn limits() -> Limits {
    Limits {
        head: 32 * 1024,
        target: 8 * 1024,
        fields: 128,
        chunk_line: 256,
        trailers: 8 * 1024,
        pseudonym: "egress-proxy-id".into(),
    }
}

/// The escapes of the corpus: `\r \n \t \\ \xNN \R{n:unit}`.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c != '\\' {
            out.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        match rest.as_bytes()[1] {
            b'x' => {
                out.push(u8::from_str_radix(&rest[2..4], 16).unwrap());
                rest = &rest[4..];
            }
            b'R' => {
                let (count, after) = rest[3..].split_once(':').unwrap();
                let (unit, after) = after.split_once('}').unwrap();
                out.extend(unescape(unit).repeat(count.parse().unwrap()));
                rest = after;
            }
            escape => {
                out.push(match escape {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'\\' => b'\\',
                    other => panic!("escape {other}"),
                });
                rest = &rest[2..];
            }
        }
    }
    out
}

/// The rows of a corpus as columns, comments and the heading left out.
pub(super) fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| line.split('\t').collect())
}

/// What becomes of all the bytes that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Refused with this status by the head parser or the framer.
    Status(u16),
    /// Closed without an answer.
    Close,
    /// The head of the last request, or its body, is not complete.
    Incomplete,
    /// Requests read to the end, one method and authority each; then the bytes that are left after a CONNECT.
    Requests(Vec<String>, usize),
}

pub(super) fn read_all(raw: &[u8], limits: &Limits) -> Outcome {
    let mut rest = raw;
    let mut requests = Vec::new();
    while !rest.is_empty() {
        let (head, consumed) = match request::parse(rest, limits) {
            Err(error) => return error.status().map_or(Outcome::Close, Outcome::Status),
            Ok(None) => return Outcome::Incomplete,
            Ok(Some(found)) => found,
        };
        rest = &rest[consumed..];
        requests.push(format!("{} {}", head.method(), head.target.authority()));
        if let Target::Connect(_) = head.target {
            return Outcome::Requests(requests, rest.len());
        }
        if let Err(error) = body::sound_so_far(head.framing, rest, limits) {
            return Outcome::Status(error.status());
        }
        let mut decoder = Decoder::new(head.framing);
        loop {
            match decoder.step(rest, limits).unwrap() {
                Step::Skip(n) | Step::Data(n) => rest = &rest[n..],
                Step::More => return Outcome::Incomplete,
                Step::End => break,
            }
        }
    }
    Outcome::Requests(requests, 0)
}

fn get(authority: &str) -> Outcome {
    Outcome::Requests(vec![format!("GET {authority}")], 0)
}

/// The one row whose expected outcome does not follow from its bytes.
const CORPUS_ERROR: &str = "R125";

/// Rows that are well-formed: what the parser hands on. Policy, dialling and stripping have their say elsewhere.
fn well_formed(id: &str) -> Option<Outcome> {
    let one = |text: &str| Some(Outcome::Requests(vec![text.to_owned()], 0));
    match id {
        "R002" | "R003" | "R010" | "R060" | "R072" | "R073" | "R074" | "R104" | "R105" => one("POST allowed.test:80"),
        // Its bytes are a proper CRLF and a second field: the row says REJECT, but no rule of HTTP is broken.
        CORPUS_ERROR => one("POST allowed.test:80"),
        // The trailer was not announced and is dropped.
        "R198" => one("POST allowed.test:80"),
        "R004" | "R005" | "R006" | "R263" | "R264" => one("CONNECT allowed.test:443"),
        "R009" => {
            let request = "GET allowed.test:80".to_owned();
            Some(Outcome::Requests(vec![request.clone(), request], 0))
        }
        // Refused by policy; whatever comes after a CONNECT is never read as a request.
        "R254" => Some(Outcome::Requests(vec!["CONNECT denied.test:443".into()], 65)),
        "R256" => Some(Outcome::Requests(vec!["CONNECT allowed.test:443".into()], 3)),
        "R265" => one("CONNECT proxy.test:8443"),
        "R266" => one("CONNECT 127.0.0.1:9901"),
        "R295" => one("OPTIONS allowed.test:80"),
        // Methods are for policy to judge.
        "R296" => one("PURGE allowed.test:80"),
        "R298" => one("QUERY allowed.test:80"),
        // R272: nominated credentials are stripped, as RFC 9110 section 7.6.1 has it.
        "R001" | "R007" | "R008" | "R034" | "R088" | "R207" | "R216" | "R268" | "R272" | "R274" | "R275" | "R276"
        | "R278" | "R279" | "R280" | "R286" | "R287" | "R291" => Some(get("allowed.test:80")),
        "R201" => Some(Outcome::Incomplete),
        _ => None,
    }
}

/// Rows that are refused with something else than 400.
fn refused_with(id: &str) -> Outcome {
    match id {
        "R238" | "R239" | "R243" | "R245" => Outcome::Close,
        "R293" => Outcome::Status(405),
        "R199" | "R236" | "R237" => Outcome::Status(431),
        "R223" => Outcome::Status(505),
        "R281" => Outcome::Status(508),
        _ => Outcome::Status(400),
    }
}

#[test]
fn every_request_of_the_corpus_has_its_pinned_outcome() {
    let mut seen = 0;
    for row in rows(HTTP).filter(|row| row[1] == "req") {
        let (id, expected) = (row[0], row[4]);
        let outcome = read_all(&unescape(row[3]), &limits());
        let refused = matches!(outcome, Outcome::Status(_) | Outcome::Close);
        match well_formed(id) {
            Some(pinned) => {
                assert_eq!(outcome, pinned, "{id}: {expected}: {}", row[5]);
                let permits = ["ALLOW", "DENY403", "POLICY", "HOLD", "INCOMPLETE"];
                let permitted = permits.iter().any(|word| expected.starts_with(word));
                assert!(permitted || id == CORPUS_ERROR, "{id}: {expected}");
            }
            None => {
                assert_eq!(outcome, refused_with(id), "{id}: {expected}: {}", row[5]);
                assert!(refused && ["REJECT", "CLOSE"].iter().any(|word| expected.contains(word)), "{id}: {expected}");
                if let Some((_, code)) = expected.split_once("REJECT(") {
                    let code = code.split(')').next().unwrap().parse().unwrap();
                    // R199 has no code in the corpus; R223 and others have.
                    assert_eq!(outcome, Outcome::Status(code), "{id}");
                }
            }
        }
        seen += 1;
    }
    assert!(seen > 150, "{seen} rows");
}

/// How the upstream's answer to `GET http://allowed.test/` is read.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Refused,
    /// The head is good, the body is not.
    BodyRefused,
    /// The head is good, and the connection ended inside the body.
    Truncated,
    /// Good, and so many bytes are left over: the connection is closed.
    Whole(u16, usize),
    /// A switch that nobody asked for: `forward` refuses it.
    Switch,
}

fn read_answer(raw: &[u8]) -> Answer {
    let (head, consumed) = match response::parse(raw, &limits()) {
        Err(_) => return Answer::Refused,
        Ok(found) => found.expect("complete"),
    };
    if head.status == 101 {
        return Answer::Switch;
    }
    let mut rest = &raw[consumed..];
    let mut decoder = Decoder::new(head.framing("GET"));
    loop {
        match decoder.step(rest, &limits()) {
            Err(_) => return Answer::BodyRefused,
            Ok(Step::Skip(n) | Step::Data(n)) => rest = &rest[n..],
            Ok(Step::More) => return Answer::Truncated,
            Ok(Step::End) => return Answer::Whole(head.status, rest.len()),
        }
    }
}

#[test]
fn every_answer_of_the_corpus_has_its_pinned_outcome() {
    let mut seen = 0;
    for row in rows(HTTP).filter(|row| row[1] == "resp") {
        let pinned = match row[0] {
            "R305" | "R306" | "R308" | "R309" | "R316" | "R317" | "R318" | "R322" | "R323" => Answer::Refused,
            "R314" => Answer::Switch,
            "R315" => Answer::Whole(200, 0),
            "R311" => Answer::Whole(204, 5),
            "R324" => Answer::BodyRefused,
            "R326" => Answer::Truncated,
            "R327" => Answer::Whole(200, 44),
            other => panic!("{other} is not pinned"),
        };
        assert_eq!(read_answer(&unescape(row[3])), pinned, "{}: {}: {}", row[0], row[4], row[5]);
        seen += 1;
    }
    assert_eq!(seen, 15);
}

/// The verdict on a row of hosts.tsv: the authority that policy will see, or the status.
fn ask(request: &[u8]) -> Result<String, u16> {
    match request::parse(request, &limits()) {
        Ok(found) => Ok(found.expect("complete").0.target.authority().to_string()),
        Err(error) => Err(error.status().expect("an answer")),
    }
}

#[test]
fn every_url_of_the_corpus_has_its_pinned_outcome() {
    let mut seen = 0;
    for row in rows(HOSTS).filter(|row| matches!(row[1], "absolute" | "scheme")) {
        // No Host, in HTTP/1.0, so that the URL alone decides.
        let request = [b"GET ", &unescape(row[3])[..], b" HTTP/1.0\r\n\r\n"].concat();
        let pinned = match row[0] {
            "H340" | "H342" | "H344" => Ok("allowed.test:80"),
            "H384" => Ok("127.0.0.1:80"),
            "H385" => Ok("[::1]:80"),
            "H386" => Ok("169.254.169.254:80"),
            "H387" => Ok("denied.test:80"),
            "H388" | "H389" => Ok("evil.test:80"),
            _ => Err(400),
        };
        assert_eq!(ask(&request).as_deref(), pinned.as_ref().copied(), "{}: {} {}", row[0], row[3], row[4]);
        assert_eq!(pinned.is_err(), row[4] == "BLOCK400", "{}", row[0]);
        seen += 1;
    }
    assert_eq!(seen, 47);
}

#[test]
fn every_host_field_of_the_corpus_has_its_pinned_outcome() {
    let mut seen = 0;
    for row in rows(HOSTS).filter(|row| row[1] == "host-header") {
        let target = row[2].split_once("target=").unwrap().1.trim_end_matches(')');
        let line = if target.starts_with("CONNECT") { target.to_owned() } else { format!("GET {target}") };
        let request = [line.as_bytes(), b" HTTP/1.1\r\nHost: ", &unescape(row[3])[..], b"\r\n\r\n"].concat();
        let pinned = match row[0] {
            "H406" | "H413" => Ok("allowed.test:80"),
            "H415" | "H416" => Ok("allowed.test:443"),
            // H410 and H411: refused rather than rewritten.
            "H410" | "H411" | "H412" | "H419" | "H420" => Err(400),
            other => panic!("{other} is not pinned"),
        };
        assert_eq!(ask(&request).as_deref(), pinned.as_ref().copied(), "{}: {}", row[0], row[5]);
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn framing_is_what_the_fields_say() {
    let head = |fields: &str| {
        let text = format!("POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
        request::parse(text.as_bytes(), &limits()).unwrap().unwrap().0.framing
    };
    assert_eq!(head(""), Framing::None);
    assert_eq!(head("Content-Length: 0\r\n"), Framing::Length(0));
    assert_eq!(head("content-length:\t7 \r\n"), Framing::Length(7));
    assert_eq!(head("TRANSFER-ENCODING: Chunked\r\n"), Framing::Chunked);
}

#[test]
fn refusals_outside_the_corpus_have_their_status() {
    let status = |raw: &str| request::parse(raw.as_bytes(), &limits()).unwrap_err().status();
    let get = |fields: &str| status(&format!("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
    assert_eq!(status("GET http://a.test/ HTTP/1.1\r\n\r\n"), Some(400), "no Host");
    assert_eq!(get("Proxy-Authorization: a\r\nProxy-Authorization: a\r\n"), Some(400));
    assert_eq!(get("Gatepass-Data-Class: a\r\nGatepass-Data-Class: a\r\n"), Some(400));
    assert_eq!(get("Expect: 200-ok\r\n"), Some(417));
    assert_eq!(status("TRACE http://a.test/ HTTP/1.1\r\n"), Some(405));
    assert_eq!(status(&format!("GET http://a.test/{} HTTP/1.1\r\n", "x".repeat(9000))), Some(414));
    assert_eq!(status("GET https://a.test/ HTTP/1.1\r\n"), Some(400));
    let options = "OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\n\r\n";
    assert_eq!(status(options), Some(400));
    assert_eq!(get("Connection: a b\r\n"), Some(400));
}

#[test]
fn what_the_client_is_told_fits_a_reason_phrase() {
    for row in rows(HTTP).filter(|row| row[1] == "req") {
        if let Err(error) = request::parse(&unescape(row[3]), &limits()) {
            assert!(error.text().is_ascii() && error.text().len() < 100, "{error}");
        }
    }
}
