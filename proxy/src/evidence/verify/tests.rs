//! Every single alteration of a record is found, and the record is named.

use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::evidence::encode::tests::{bytes_of, item};
use crate::evidence::log::{Store, Tree, leaf_hash};
use crate::evidence::otlp::decode;
use crate::evidence::queue::Item;
use crate::evidence::record::{CheckpointRecord, Signed};
use crate::evidence::spool::segment::{self, Header};
use crate::evidence::text::Text;

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// A spool as a gateway leaves it: a full tile and an unfinished one, several segments, a checkpoint now and then.
struct Spool {
    directory: PathBuf,
    records: Vec<Vec<u8>>,
    /// The number of records in each segment.
    segments: Vec<usize>,
}

const CHECKPOINT_EVERY: usize = 61;

impl Spool {
    fn make(count: usize, each: usize) -> Spool {
        let directory = std::env::temp_dir().join(format!("gatepass-verify-{}", Uuid::now_v7()));
        let store = Store::open(&directory, "gw").unwrap();
        let (mut tree, mut records) = (Tree::new(), Vec::new());
        let mut runner = TestRunner::new_with_rng(
            proptest::test_runner::Config::default(),
            TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]),
        );
        for number in 1..=count {
            let sequence = number as u64;
            let bytes = if number % CHECKPOINT_EVERY == 0 || number == count {
                let checkpoint = store.sign(tree.size(), tree.root());
                bytes_of(&mut Item::Checkpoint(Box::new(record(&checkpoint))), sequence)
            } else {
                let mut item = item().new_tree(&mut runner).unwrap().current();
                while matches!(item, Item::Checkpoint(_)) {
                    item = self::item().new_tree(&mut runner).unwrap().current();
                }
                bytes_of(&mut item, sequence)
            };
            tree.append(leaf_hash(&[&bytes]));
            records.push(bytes);
        }
        store.write_tiles(&mut tree).unwrap();
        store.write_partial(&tree).unwrap();
        store.publish(&store.sign(tree.size(), tree.root())).unwrap();
        std::fs::create_dir_all(directory.join("segments")).unwrap();
        let segments = records.chunks(each).map(<[_]>::len).collect();
        let spool = Spool { directory, records, segments };
        (0..spool.segments.len()).for_each(|number| spool.write(number, &spool.frames(number)));
        spool
    }

    fn first(&self, segment: usize) -> usize {
        self.segments[..segment].iter().sum()
    }

    fn frames(&self, segment: usize) -> Vec<Vec<u8>> {
        let first = self.first(segment);
        self.records[first..first + self.segments[segment]].iter().map(|record| framed(record)).collect()
    }

    fn path(&self, segment: usize) -> PathBuf {
        self.directory.join("segments").join(segment::file_name(self.first(segment) as u64 + 1))
    }

    fn write(&self, number: usize, frames: &[Vec<u8>]) {
        let head = Header {
            first: self.first(number) as u64 + 1,
            gateway: "gw".into(),
            log: "log".into(),
            run: "run".into(),
            created: "now".into(),
            version: "0".into(),
            host: None,
        };
        std::fs::write(self.path(number), [head.encode(), frames.concat()].concat()).unwrap();
    }

    fn verify(&self, path: &Path) -> Report {
        verify(&self.wanted(path), &mut |_| ()).unwrap()
    }

    fn wanted(&self, path: &Path) -> Wanted {
        let log = Some(self.directory.clone());
        Wanted { path: path.to_owned(), log, key: None, trusted: None, gateways: Vec::new() }
    }

    fn json(&self) -> Vec<Value> {
        self.records.iter().map(|record| decode::record(record, "gw").unwrap()).collect()
    }

    fn export(&self, lines: &[Value]) -> PathBuf {
        let path = self.directory.join("export.jsonl");
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        path
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn framed(record: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    segment::write_frame(&[record], &mut frame);
    frame
}

fn record(checkpoint: &crate::evidence::log::Checkpoint) -> CheckpointRecord {
    CheckpointRecord {
        schema: 1,
        kind: "checkpoint",
        id: Uuid::from_u128(checkpoint.size().into()),
        sequence: 0,
        time: "2026-11-22T10:00:00Z".parse().unwrap(),
        gateway: Text::name("gw"),
        floor: None,
        checkpoint: Signed {
            size: checkpoint.size(),
            root: checkpoint.root().to_base64().into(),
            note: checkpoint.note().into(),
        },
    }
}

fn broken(report: &Report) -> Option<u64> {
    report.broken.as_ref().map(|broken| broken.sequence)
}

#[test]
fn what_a_gateway_wrote_is_whole_as_a_spool_and_as_an_export() {
    let spool = Spool::make(300, 90);
    let report = spool.verify(&spool.directory);
    assert_eq!((&report.broken, &report.unproved), (&None, &None));
    assert_eq!((report.records, report.files, report.first, report.last), (300, 4, Some(1), Some(300)));
    assert_eq!((report.checkpoints, report.signed), (5, 300), "the published checkpoint signs the last record too");
    let export = spool.verify(&spool.export(&spool.json()));
    assert_eq!((&export.broken, export.records, export.signed), (&None, 300, 300));
}

/// One of a thousand alterations of one record in a spool; the number of the record that has to be named.
fn alter(spool: &Spool, dice: &mut Dice) -> (usize, u64) {
    let segment = dice.below(spool.segments.len());
    let mut frames = spool.frames(segment);
    let place = dice.below(frames.len());
    let sequence = (spool.first(segment) + place) as u64 + 1;
    let named = match dice.below(6) {
        0 => {
            let (byte, bit) = (dice.below(frames[place].len()), dice.below(8));
            frames[place][byte] ^= 1 << bit;
            sequence
        }
        1 | 2 => {
            // The same by somebody who knows of checksums.
            let mut record = spool.records[spool.first(segment) + place].clone();
            let (byte, bit) = (dice.below(record.len()), dice.below(8));
            record[byte] ^= 1 << bit;
            frames[place] = framed(&record);
            sequence
        }
        3 => {
            frames.remove(place);
            sequence
        }
        4 if place + 1 < frames.len() => {
            frames.swap(place, place + 1);
            sequence
        }
        _ => {
            frames.insert(place, frames[place].clone());
            sequence + 1
        }
    };
    spool.write(segment, &frames);
    (segment, named)
}

fn every_alteration_is_found(seed: u64) {
    let spool = Spool::make(300, 90);
    let mut dice = Dice(seed);
    for round in 0..500 {
        let (segment, named) = alter(&spool, &mut dice);
        let report = spool.verify(&spool.directory);
        assert_eq!(broken(&report), Some(named), "round {round}: {report:?}");
        spool.write(segment, &spool.frames(segment));
    }
    assert_eq!(broken(&spool.verify(&spool.directory)), None);
}

#[test]
fn five_hundred_single_alterations_are_found_and_the_first_bad_record_is_named() {
    every_alteration_is_found(1);
}

#[test]
fn five_hundred_others_are_as_well() {
    every_alteration_is_found(2);
}

/// Change something of a record's JSON; the gateway's name is no part of a record.
fn change(json: &mut Value, dice: &mut Dice) -> bool {
    match json {
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().filter(|key| *key != "gateway").cloned().collect();
            !keys.is_empty() && change(&mut map[&keys[dice.below(keys.len())]], dice)
        }
        Value::Array(list) => {
            !list.is_empty() && {
                let place = dice.below(list.len());
                change(&mut list[place], dice)
            }
        }
        Value::String(text) => {
            // A time or a digit stays one.
            match text.find(|c: char| ('1'..'9').contains(&c)) {
                Some(at) => {
                    let digit = text.as_bytes()[at] + 1;
                    text.replace_range(at..=at, std::str::from_utf8(&[digit]).unwrap());
                }
                None => text.push('x'),
            }
            true
        }
        Value::Number(number) => {
            *json = (number.as_u64().unwrap_or(0) + 1).into();
            true
        }
        Value::Bool(truth) => {
            *truth = !*truth;
            true
        }
        Value::Null => {
            *json = true.into();
            true
        }
    }
}

/// One alteration of one line; the number of the record that has to be named. The first and the last line stay: an export
/// may begin and end anywhere.
fn alter_line(lines: &mut Vec<Value>, dice: &mut Dice) -> u64 {
    let place = 1 + dice.below(lines.len() - 2);
    let sequence = place as u64 + 1;
    match dice.below(4) {
        0 => {
            lines.remove(place);
            sequence
        }
        1 => {
            lines.swap(place, place + 1);
            sequence
        }
        2 => {
            lines.insert(place, lines[place].clone());
            sequence + 1
        }
        _ => {
            while !change(&mut lines[place], dice) {}
            sequence
        }
    }
}

#[test]
fn five_hundred_single_alterations_of_an_export_are_found_and_the_first_bad_record_is_named() {
    let spool = Spool::make(100, 100);
    let whole = spool.json();
    let mut dice = Dice(3);
    for round in 0..500 {
        let mut lines = whole.clone();
        let named = alter_line(&mut lines, &mut dice);
        let report = spool.verify(&spool.export(&lines));
        assert_eq!(broken(&report), Some(named), "round {round}: {report:?}");
    }
}

/// What a collector writes into a line.
fn stored(records: &[Vec<u8>]) -> Value {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use prost::Message as _;
    let log_records = records.iter().map(|bytes| LogRecord::decode(bytes.as_slice()).unwrap()).collect();
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    serde_json::to_value(ExportLogsServiceRequest { resource_logs }).unwrap()
}

#[test]
fn five_hundred_single_alterations_of_what_a_collector_stored_are_found_and_the_first_bad_record_is_named() {
    let spool = Spool::make(100, 100);
    let whole: Vec<Value> = spool.records.chunks(1).map(stored).collect();
    let mut dice = Dice(4);
    for round in 0..500 {
        let mut lines = whole.clone();
        let place = 1 + dice.below(lines.len() - 2);
        let named = place as u64 + 1;
        if dice.below(4) == 0 {
            lines.remove(place);
        } else {
            let before = lines[place].clone();
            while lines[place] == before {
                change(&mut lines[place]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0], &mut dice);
            }
        }
        let report = spool.verify(&spool.export(&lines));
        assert_eq!(broken(&report), Some(named), "round {round}: {report:?}");
    }
}

#[test]
fn without_tiles_the_signed_roots_alone_find_an_alteration() {
    let spool = Spool::make(200, 200);
    let mut lines = spool.json();
    let key = Some(Files::of(&spool.directory).key().unwrap().unwrap());
    let verify = |lines: &[Value]| {
        let wanted = Wanted { log: None, key: key.clone(), ..spool.wanted(&spool.export(lines)) };
        verify(&wanted, &mut |_| ()).unwrap()
    };
    assert_eq!((broken(&verify(&lines)), verify(&lines).signed, verify(&lines).unsigned), (None, 199, 0));
    assert_eq!((verify(&lines[..199]).signed, verify(&lines[..199]).unsigned), (182, 16), "after the checkpoint's own");
    let later = verify(&lines[50..]);
    assert!(later.broken.is_none() && later.unproved.unwrap().contains("begin with 51"));
    let id = lines[99]["id"].as_str().unwrap().replace('0', "1");
    lines[99]["id"] = id.into();
    let report = verify(&lines);
    let what = report.broken.as_ref().unwrap();
    assert_eq!(what.sequence, 122, "the next checkpoint");
    assert!(what.what.contains("since record 61 was altered"), "{what:?}");
}

#[test]
fn what_retention_removed_or_erasure_took_leaves_the_rest_provable() {
    let spool = Spool::make(600, 150);
    std::fs::remove_file(spool.path(0)).unwrap();
    let mut frames = spool.frames(2);
    frames[7].clear();
    segment::write_erased(&leaf_hash(&[&spool.records[307]]).0, &mut frames[7]);
    spool.write(2, &frames);
    let report = spool.verify(&spool.directory);
    assert_eq!((&report.broken, &report.unproved), (&None, &None));
    assert_eq!((report.before, report.erased, report.records, report.first), (150, 1, 450, Some(151)));
    let erased = proof::Proof::make(&spool.directory, &proof::Which::Sequence(308), None).unwrap_err();
    assert!(erased.to_string().contains("record 308 was erased"), "{erased}");
    let beside = proof::Proof::make(&spool.directory, &proof::Which::Sequence(309), None).unwrap();
    assert!(beside.check(&Files::of(&spool.directory).key().unwrap().unwrap(), None).is_ok(), "its neighbour can be");
    frames[7].clear();
    segment::write_erased(&[1; 32], &mut frames[7]);
    spool.write(2, &frames);
    assert_eq!(broken(&spool.verify(&spool.directory)), Some(308), "another hash");
    spool.write(2, &spool.frames(2));
    std::fs::remove_file(spool.path(1)).unwrap();
    std::fs::remove_file(spool.path(3)).unwrap();
    assert_eq!(broken(&spool.verify(&spool.directory)), Some(451), "what is signed must be there");
}

#[test]
fn a_segment_from_the_middle_is_missed_and_one_that_was_written_anew_is_not() {
    let spool = Spool::make(300, 100);
    let kept = std::fs::read(spool.path(1)).unwrap();
    std::fs::remove_file(spool.path(1)).unwrap();
    let report = spool.verify(&spool.directory);
    assert_eq!(broken(&report), Some(101));
    assert!(report.broken.unwrap().what.contains("records 101 to 200 are missing"));
    std::fs::write(spool.path(1), kept).unwrap();
    // A disk that did not take the end of a segment: its records stand in both.
    let frames = [spool.frames(0), spool.frames(1)[..20].to_vec()].concat();
    spool.write(0, &frames);
    let report = spool.verify(&spool.directory);
    assert_eq!((broken(&report), report.repeated, report.records), (None, 20, 300));
    std::fs::remove_dir_all(spool.directory.join("tile")).unwrap();
    let report = spool.verify(&spool.directory);
    assert_eq!((broken(&report), report.repeated, &report.unproved), (None, 20, &None), "without tiles too");
    let mut again = spool.frames(1);
    again[7] = framed(&spool.records[0]);
    spool.write(1, &again);
    let report = spool.verify(&spool.directory);
    assert_eq!((broken(&report), report.broken.unwrap().what.as_str()), (Some(108), "it stands again, and differs"));
}

#[test]
fn the_last_record_is_missed_in_a_spool_and_a_part_of_it_may_end_before() {
    let spool = Spool::make(300, 100);
    let older = {
        let mut tree = Tree::new();
        spool.records[..290].iter().for_each(|record| tree.append(leaf_hash(&[record])));
        Store::open(&spool.directory, "gw").unwrap().sign(290, tree.root())
    };
    let store = Store::open(&spool.directory, "gw").unwrap();
    spool.write(2, &spool.frames(2)[..99]);
    let report = spool.verify(&spool.directory);
    assert_eq!(broken(&report), Some(300), "the published checkpoint signs it");
    store.publish(&older).unwrap();
    let report = spool.verify(&spool.directory);
    assert_eq!(broken(&report), Some(300), "and a tile knows of it: {report:?}");
    assert!(report.broken.unwrap().what.contains("a tile holds its hash"));
    std::fs::remove_dir_all(spool.directory.join("tile")).unwrap();
    let report = spool.verify(&spool.directory);
    assert_eq!((broken(&report), report.signed, report.unsigned), (None, 290, 9), "what nobody signed nobody misses");
    let kept = spool.directory.join("kept");
    std::fs::create_dir(&kept).unwrap();
    (0..2)
        .for_each(|number| drop(std::fs::copy(spool.path(number), kept.join(spool.path(number).file_name().unwrap()))));
    let report = spool.verify(&kept);
    assert_eq!((broken(&report), report.records, report.after), (None, 200, 90));
}

#[test]
fn a_checkpoint_that_somebody_kept_is_held_against_a_history_that_was_rewritten_and_signed_anew() {
    let spool = Spool::make(300, 100);
    let store = Store::open(&spool.directory, "gw").unwrap();
    let root = |count: usize| {
        let mut tree = Tree::new();
        spool.records[..count].iter().for_each(|record| tree.append(leaf_hash(&[record])));
        tree.root()
    };
    let verify = |size: u64, root| {
        let trusted = Some(store.sign(size, root));
        verify(&Wanted { trusted, ..spool.wanted(&spool.directory) }, &mut |_| ()).unwrap()
    };
    assert_eq!((broken(&verify(250, root(250))), verify(250, root(250)).unproved), (None, None));
    let report = verify(250, root(249));
    assert_eq!(broken(&report), Some(250));
    assert!(report.broken.unwrap().what.contains("that the trusted checkpoint signs: one since record 244"));
    assert_eq!(broken(&verify(301, root(300))), Some(301), "what it signs must be there");
    std::fs::remove_file(spool.path(0)).unwrap();
    assert_eq!(broken(&verify(70, root(70))), None, "tiles tell what retention removed");
    assert_eq!(broken(&verify(70, root(71))), Some(101));
}

#[test]
fn a_line_that_says_more_than_its_record_is_found() {
    let spool = Spool::make(120, 120);
    let mut lines = spool.json();
    lines[40]["approved_by"] = "somebody".into();
    let report = spool.verify(&spool.export(&lines));
    assert_eq!(broken(&report), Some(41));
    assert!(report.broken.unwrap().what.contains("no part of the record"));
}

#[test]
fn records_of_several_gateways_in_one_file_are_told_apart() {
    let (spool, other) = (Spool::make(70, 70), Spool::make(80, 80));
    let mut lines = spool.json();
    for line in other.json() {
        lines.push(line);
        lines.last_mut().unwrap()["gateway"] = "other".into();
    }
    let path = spool.export(&lines);
    let failure = verify(&spool.wanted(&path), &mut |_| ()).unwrap_err();
    assert!(failure.to_string().contains("of `gw` and, in line 71, of `other`"), "{failure}");
    let wanted = Wanted { gateways: vec!["gw".into()], ..spool.wanted(&path) };
    let report = verify(&wanted, &mut |_| ()).unwrap();
    assert_eq!((broken(&report), report.records, report.others), (None, 70, 80));
}

#[test]
fn another_key_another_checkpoint_and_no_key_prove_nothing() {
    let (spool, other) = (Spool::make(70, 70), Spool::make(10, 10));
    let key = Files::of(&other.directory).key().unwrap();
    let wanted = Wanted { log: None, key, ..spool.wanted(&spool.directory) };
    assert!(matches!(verify(&wanted, &mut |_| ()), Err(Failure::Log(Error::Note { .. }))));
    let none = Wanted { log: None, ..spool.wanted(&spool.export(&spool.json())) };
    assert!(matches!(verify(&none, &mut |_| ()), Err(Failure::NoKey)));
    std::fs::remove_file(spool.directory.join("checkpoint")).unwrap();
    let signed = spool.verify(&spool.directory).signed;
    assert_eq!(signed, 69, "without the published one, those among the records count");
    assert!(matches!(
        verify(&Wanted { log: None, ..spool.wanted(&other.directory.join("tile")) }, &mut |_| ()),
        Err(Failure::NoKey)
    ));
}

#[test]
fn every_record_can_be_proved_with_the_public_key_and_nothing_altered_is() {
    use super::proof::{Proof, Unproved, Which};
    let spool = Spool::make(300, 90);
    let key = Files::of(&spool.directory).key().unwrap().unwrap();
    let store = Store::open(&spool.directory, "gw").unwrap();
    let mut young = Tree::new();
    spool.records[..70].iter().for_each(|record| young.append(leaf_hash(&[record])));
    let old = store.sign(70, young.root());
    for sequence in [1, 2, 89, 90, 91, 256, 257, 299, 300] {
        let proof = Proof::make(&spool.directory, &Which::Sequence(sequence), Some(&old)).unwrap();
        let text = proof.to_text("for people\nto read");
        assert_eq!(Proof::parse(&text).unwrap(), proof);
        let proved = proof.check(&key, Some(&old)).unwrap();
        assert_eq!((proved.sequence, proved.checkpoint.size(), proved.since), (sequence, 300, Some(70)));
        assert_eq!(proved.record, spool.records[sequence as usize - 1]);
        let other = store.sign(70, leaf_hash(&[b"another history"]));
        assert_eq!(proof.check(&key, Some(&other)).unwrap_err(), Unproved::NotExtended);
        assert_eq!(proof.check(&key, Some(&store.sign(71, young.root()))).unwrap_err(), Unproved::OtherSince);
        let mut dice = Dice(sequence);
        for _ in 0..200 {
            // Any character of any line that is not for people.
            let begin = text.find("record ").unwrap();
            let at = begin + dice.below(text.len() - begin);
            if !text.is_char_boundary(at) || !text.is_char_boundary(at + 1) {
                continue;
            }
            let mut forged = text.clone();
            forged.replace_range(at..=at, if &text[at..=at] == "A" { "B" } else { "A" });
            let checked = Proof::parse(&forged).and_then(|proof| proof.check(&key, Some(&old)));
            assert!(checked.is_err(), "{}", &forged[begin..]);
        }
    }
    let uid = decode::record(&spool.records[0], "").unwrap()["id"].as_str().unwrap().to_owned();
    let unknown = Proof::make(&spool.directory, &Which::Uid("no such".into()), None).unwrap_err();
    assert_eq!(unknown.to_string(), "no record `no such` is in the spool");
    let close = if spool.json()[0]["kind"] == "close" { "/close" } else { "" };
    let by_uid = Proof::make(&spool.directory, &Which::Uid(uid + close), None).unwrap();
    assert_eq!(by_uid.check(&key, None).unwrap().sequence, 1);
}

#[test]
fn what_a_collector_stored_is_checked_in_whatever_order_and_however_often_it_stored_it() {
    let spool = Spool::make(200, 200);
    let batch = stored;
    let (early, late) = spool.records.split_at(120);
    let mut lines = vec![batch(late), batch(early), batch(&late[..30])];
    let report = spool.verify(&spool.export(&lines));
    assert_eq!((broken(&report), report.records, report.repeated, report.signed), (None, 200, 30, 200));
    let text =
        serde_json::to_string(&lines[1]).unwrap().replacen("gatepass.decision.effect", "gatepass.decision.effort", 1);
    lines[1] = serde_json::from_str(&text).unwrap();
    let report = spool.verify(&spool.export(&lines));
    let found = report.broken.unwrap();
    let first = spool.json().iter().position(|json| json.get("effect").is_some()).unwrap();
    let uid = decode::record(&spool.records[first], "gw").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!((found.sequence, found.at), (first as u64 + 1, 2), "{found:?}");
    assert!(found.uid.is_some_and(|found| found.starts_with(&uid)));
    let missing = [batch(&early[..100]), batch(late)];
    assert_eq!(broken(&spool.verify(&spool.export(&missing))), Some(101));
}

mod forged;

mod moving;
