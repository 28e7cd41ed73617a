//! Erasure takes the bytes of records and leaves their leaf hashes, in every segment that does not grow any more.

use std::collections::BTreeMap;

use gatepass::evidence::spool::directory::segments;
use gatepass::evidence::spool::segment::{Frame, Reader, write_frame};
use gatepass_tests::Spool;
use sha2::{Digest as _, Sha256};

use super::{PEOPLE, id, world};
use crate::cli::{Told, run};

fn erase(spool: &Spool, arguments: &[&str]) -> Told {
    run(spool.scratch(), &[&["evidence", "erase"], arguments].concat())
}

/// The leaf hash of every record, whether its bytes are there or not, and the numbers of those that are erased.
fn leaves(spool: &Spool) -> (BTreeMap<u64, [u8; 32]>, Vec<u64>) {
    let (mut leaves, mut erased) = (BTreeMap::new(), Vec::new());
    for segment in segments(&spool.directory()).unwrap() {
        let mut reader = Reader::open(std::fs::File::open(segment.path).unwrap()).unwrap();
        while let Some((sequence, frame)) = reader.next().unwrap() {
            let leaf = match frame {
                Frame::Record(bytes) => Sha256::new().chain_update([0]).chain_update(bytes).finalize().into(),
                Frame::Erased(leaf) => {
                    erased.push(sequence);
                    leaf
                }
            };
            leaves.insert(sequence, leaf);
        }
    }
    (leaves, erased)
}

/// The numbers of an identity's decisions and of their ends, in segments that are sealed.
fn of_identity(spool: &Spool, who: &str) -> Vec<u64> {
    let last = segments(&spool.directory()).unwrap().last().unwrap().first;
    let mine = |record: &serde_json::Value| {
        let id = &record["id"];
        spool.records().iter().any(|other| &other["id"] == id && other["identity"]["id"] == who)
    };
    let numbers = spool.records().iter().filter(|record| mine(record)).filter_map(|record| record["sequence"].as_u64());
    numbers.filter(|number| *number < last).collect()
}

#[test]
fn an_identity_goes_with_the_ends_of_its_connections_and_every_leaf_stays() {
    let spool = world();
    let (before, _) = leaves(&spool);
    let wanted = of_identity(&spool, PEOPLE[0]);
    assert!(wanted.len() > 20);
    let told = erase(&spool, &["--identity", PEOPLE[0], "--dry-run"]);
    assert!(told.out.contains(&format!("{} records in 3 segments would be erased", wanted.len())), "{}", told.out);
    assert_eq!(leaves(&spool), (before.clone(), Vec::new()));
    let told = erase(&spool, &["--identity", PEOPLE[0]]);
    assert_eq!(told.code, 1, "some are in the open segment: {}", told.err);
    assert!(told.err.contains("limits.evidence_segment_age"), "{}", told.err);
    assert_eq!(leaves(&spool), (before, wanted));
    let sealed = std::fs::read(spool.segment(1)).unwrap();
    assert!(!sealed.windows(PEOPLE[0].len()).any(|bytes| bytes == PEOPLE[0].as_bytes()));
    let again = erase(&spool, &["--identity", PEOPLE[0], "--json"]).json();
    assert_eq!(again["erased"], 0);
    let query = run(spool.scratch(), &["evidence", "query", "top"]);
    assert!(query.err.contains("records were erased"), "{}", query.err);
}

#[test]
fn what_a_sink_does_not_have_stays_unless_forced() {
    let spool = world();
    spool.scratch().write("gatepass-data/evidence/cursor/otlp", "{\"sequence\":10}\n");
    spool.scratch().write("gatepass-data/evidence/cursor/syslog", "{\"sequence\":30}\n");
    let told = erase(&spool, &["--before", "2026-12-01T00:00:00Z"]);
    assert_eq!(told.code, 1);
    assert!(told.err.contains("have not reached every sink") && told.err.contains("--force"), "{}", told.err);
    assert_eq!(leaves(&spool).1, (2..=10).collect::<Vec<_>>(), "the first record is a policy, which stays");
    erase(&spool, &["--before", "2026-12-01T00:00:00Z", "--force"]);
    assert!(leaves(&spool).1.len() > 100);
    let policies = run(spool.scratch(), &["evidence", "export"]).out;
    assert!(policies.lines().next().unwrap().contains("\"kind\":\"policy\""), "policies and checkpoints stay");
}

#[test]
fn one_decision_goes_also_from_the_archive_and_the_quarantine() {
    let mut spool = world();
    let name = spool.records()[1]["id"].as_str().unwrap().to_owned();
    spool.seal();
    spool.add("policy", &id(5), "2026-11-22T12:00:00Z", serde_json::json!({"result": "activated"}));
    let archive = spool.scratch().path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    std::fs::copy(spool.segment(1), archive.join(spool.segment(1).file_name().unwrap())).unwrap();
    let quarantine = spool.scratch().write("gatepass-data/evidence/quarantine/rejected-1.seg", "");
    std::fs::copy(spool.segment(1), &quarantine).unwrap();
    let told = erase(&spool, &["--id", &name, "--archive", "archive", "--json"]);
    let count = spool.records().iter().filter(|record| record["id"] == name.as_str()).count() as u64;
    assert_eq!((told.code, &told.json()["erased"]), (0, &(3 * count).into()), "{}", told.err);
    for path in [archive.join(spool.segment(1).file_name().unwrap()), quarantine, spool.segment(1)] {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{}", path.display());
    }
    assert!(std::fs::read_dir(&archive).unwrap().count() == 1, "nothing is left beside");
}

#[test]
fn a_damaged_segment_is_left_as_it_is_and_told() {
    let spool = world();
    let mut bytes = std::fs::read(spool.segment(1)).unwrap();
    write_frame(&[b"x"], &mut bytes);
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(spool.segment(1), &bytes).unwrap();
    let told = erase(&spool, &["--identity", PEOPLE[0]]);
    assert_eq!(told.code, 3);
    assert!(told.err.contains("left as it is"), "{}", told.err);
    assert_eq!(std::fs::read(spool.segment(1)).unwrap(), bytes);
    assert_eq!(erase(&spool, &[]).code, 2, "a wish is wanted");
}
