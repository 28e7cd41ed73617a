//! A newest segment that ends as no gateway left it: what was whole before stays, what follows is kept aside, and the log
//! says that there was something.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gatepass::evidence::spool::directory::{self, SegmentFile};
use gatepass::evidence::spool::segment::Reader;
use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Gateway, Origin, Setup, eventually};
use serde_json::{Value, json};

/// No checkpoint is signed that would tell what was cut.
const UNSIGNED: &str = "limits: {evidence_checkpoint_interval: 1h}";

/// What a killed gateway left: one segment, with an admission in it that was never closed.
struct Left {
    gateway: Gateway,
    records: Vec<Value>,
    segment: Vec<u8>,
    /// Where each frame begins, and where the last one ends.
    frames: Vec<usize>,
}

fn newest(spool: &Path) -> SegmentFile {
    directory::segments(spool).unwrap().pop().unwrap()
}

/// The name of the segment before it.
fn newest_but_one(spool: &Path) -> String {
    let segments = directory::segments(spool).unwrap();
    segments[segments.len() - 2].path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn frames(segment: &[u8]) -> Vec<usize> {
    let mut reader = Reader::open(segment).unwrap();
    let mut at = vec![reader.at()];
    while reader.next().unwrap().is_some() {
        at.push(reader.at());
    }
    at.into_iter().map(|at| usize::try_from(at).unwrap()).collect()
}

fn left() -> Left {
    let setup = Setup::new().section(UNSIGNED);
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::echo();
    let mut gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let denied = || gateway.client().connect("denied.test:443").id();
    denied();
    let mut open = gateway.client();
    assert_eq!(open.connect(&format!("allowed.test:{}", origin.port())).status, 200);
    denied();
    let last = denied();
    let records = eventually("the last denial is in the spool", || {
        let records = gateway.exported();
        records.iter().any(|record| record["id"] == *last).then_some(records)
    });
    gateway.signal("KILL");
    gateway.wait();
    let segment = std::fs::read(newest(&gateway.spool()).path).unwrap();
    let frames = frames(&segment);
    assert_eq!(frames.len(), records.len() + 1, "everything is in one segment");
    Left { gateway, records, segment, frames }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn kept_aside(spool: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(spool.join("damaged")).into_iter().flatten();
    let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

impl Left {
    fn end(&self) -> usize {
        self.segment.len()
    }

    /// Where the last frame but `back` begins.
    fn frame(&self, back: usize) -> usize {
        self.frames[self.frames.len() - 2 - back]
    }

    /// A gateway that finds the spool with this for its newest segment.
    fn found_with(&self, segment: &[u8]) -> Gateway {
        let setup = Setup::new().section(UNSIGNED);
        let spool = setup.scratch.path().join("gatepass-data/evidence");
        copy(&self.gateway.spool(), &spool);
        std::fs::write(newest(&spool).path, segment).unwrap();
        setup.start(&Bundle::new())
    }

    /// The segment is this now, of which the first `kept` records are whole and `torn` is no record: what comes of it.
    fn goes_on(&self, case: &str, segment: &[u8], kept: usize, torn: &[u8]) -> Gateway {
        let gateway = self.found_with(segment);
        let new = gateway.client().connect("denied.test:443").id();
        let records = eventually("the new record is in the spool", || {
            let records = gateway.exported();
            records.iter().any(|record| record["id"] == *new).then_some(records)
        });
        assert_eq!(records[..kept], self.records[..kept], "{case}: nothing before is lost");
        let numbers: Vec<u64> = records.iter().map(|record| record["sequence"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{case}: numbering goes on");
        let gaps: Vec<&Value> = records.iter().filter(|record| record["kind"] == "gap").collect();
        if torn.is_empty() {
            assert!(gaps.is_empty() && kept_aside(&gateway.spool()).is_empty(), "{case}: {gaps:?}");
        } else {
            assert_eq!(kept_aside(&gateway.spool()), [torn], "{case}: what followed is kept");
            assert_eq!(gaps, [&records[kept]], "{case}");
            assert_eq!(gaps[0]["gap"], json!({"cause": "torn", "bytes": torn.len()}), "{case}");
        }
        let of = |kind: &str| records.iter().filter(|r| r["kind"] == kind).cloned().collect::<Vec<_>>();
        let admitted = of("decision").into_iter().find(|record| record["outcome"] == "admitted");
        let closes = of("close");
        assert_eq!(closes.len(), usize::from(admitted.is_some()), "{case}: {closes:?}");
        if let (Some(admitted), Some(close)) = (admitted, closes.first()) {
            assert_eq!((&close["id"], &close["ending"]), (&admitted["id"], &json!("error")), "{case}");
            assert!(close.get("bytes_sent").is_none() && close.get("bytes_received").is_none(), "{case}: {close}");
        }
        gateway.evidence(&["verify"]);
        gateway
    }
}

#[test]
fn a_tail_that_was_cut_anywhere_is_kept_aside_and_told() {
    let left = left();
    let (last, count) = (left.frame(0), left.records.len());
    let length = left.end() - last;
    left.goes_on("whole", &left.segment, count, &[]);
    left.goes_on("between two frames", &left.segment[..last], count - 1, &[]);
    for more in [1, 4, 7, 8, 9, length / 2, length - 1] {
        let torn = &left.segment[last..last + more];
        left.goes_on(&format!("{more} bytes of the last frame"), &left.segment[..last + more], count - 1, torn);
    }
    let before = left.frame(1);
    left.goes_on(
        "in the last frame but one",
        &left.segment[..before + 3],
        count - 2,
        &left.segment[before..before + 3],
    );
    let first = left.frames[0];
    left.goes_on("in the first frame", &left.segment[..first + 5], 0, &left.segment[first..first + 5]);
    left.goes_on("before the first frame", &left.segment[..first], 0, &[]);
}

#[test]
fn what_follows_that_is_no_frame_is_kept_aside_and_told() {
    let left = left();
    let (last, count) = (left.frame(0), left.records.len());
    let mut flipped = left.segment[last..].to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let half = &left.segment[last..left.end() - 1];
    for (case, garbage) in [
        ("a zero", &[0][..]),
        ("a frame's head of zeros", &[0; 8]),
        ("a page of zeros", &[0; 4096]),
        ("an impossible length", &[0xff; 64]),
        ("text", b"this is no frame, whatever it is"),
        ("a frame without its end", half),
        ("a frame with one bit changed", &flipped),
    ] {
        left.goes_on(case, &[&left.segment, garbage].concat(), count, garbage);
    }
    for (case, back) in [("the last record", 0), ("the last record but one", 1)] {
        let at = left.frame(back);
        let mut segment = left.segment.clone();
        segment[at + 20] ^= 0x10;
        left.goes_on(&format!("one bit changed in {case}"), &segment, count - 1 - back, &segment[at..]);
    }
}

/// The system calls of this kind that a gateway makes from its start until it is ready, by `strace`.
fn calls_of_a_start(gateway: &Gateway, calls: &str) -> Vec<String> {
    let trace = gateway.path().join("trace");
    let mut command = Command::new("strace");
    // With `-D` the child is the gateway, and its tracer ends with it.
    command.args(["-D", "-f", "-y", "-e", &format!("trace={calls}"), "-o"]).arg(&trace).arg(binary());
    command.args(["serve", "--config"]).arg(gateway.setup.configure()).stdin(Stdio::null()).stdout(Stdio::null());
    let started = command.stderr(Stdio::piped()).spawn();
    let mut child = started.unwrap_or_else(|error| panic!("strace (a Debian package) cannot be run: {error}"));
    let told = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(told.into_iter().any(|line| line.contains("ready")), "the gateway did not start");
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::read_to_string(trace).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn what_a_killed_gateway_wrote_is_on_the_disk_before_the_next_segment_is_begun() {
    let left = left();
    let calls = calls_of_a_start(&left.gateway, "fsync,fdatasync,/rename");
    let old = newest_but_one(&left.gateway.spool());
    let synced = calls.iter().position(|call| call.contains("sync(") && call.contains(&format!("{old}>")));
    let begun = calls.iter().position(|call| call.contains("rename") && call.contains("/segments/"));
    assert!(synced.is_some() && synced < begun, "{calls:#?}");
}

#[test]
fn a_tail_that_is_torn_again_at_the_same_place_does_not_take_the_place_of_the_first() {
    let left = left();
    let first = left.frames[0];
    let torn = left.segment[first..first + 5].to_vec();
    let mut gateway = left.goes_on("in the first frame", &left.segment[..first + 5], 0, &torn);
    gateway.signal("KILL");
    gateway.wait();
    // The record of the first gap is torn in its turn: its segment begins with the same record as the torn one did.
    let newest = newest(&gateway.spool());
    assert_eq!(newest.first, 1);
    let segment = std::fs::read(&newest.path).unwrap();
    let begin = frames(&segment)[0];
    std::fs::write(&newest.path, &segment[..begin + 9]).unwrap();
    let again = gateway.start_again();
    let mut aside = kept_aside(&again.spool());
    aside.sort_by_key(Vec::len);
    assert_eq!(aside, [&torn[..], &segment[begin..begin + 9]]);
    again.evidence(&["verify"]);
}
