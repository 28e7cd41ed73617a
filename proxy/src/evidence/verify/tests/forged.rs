//! What somebody puts beside the records, so that a reader believes it because the records verify.

use super::proof::{NoProof, Proof, Which};
use super::*;

/// The spool's export with one line changed as text.
fn with_line(spool: &Spool, place: usize, change: impl FnOnce(String) -> String) -> PathBuf {
    let mut lines: Vec<String> = spool.json().iter().map(Value::to_string).collect();
    lines[place] = change(std::mem::take(&mut lines[place]));
    let path = spool.directory.join("export.jsonl");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

#[test]
fn a_line_that_says_one_thing_to_one_reader_and_another_to_the_next_is_found() {
    let spool = Spool::make(120, 120);
    for also in [r#"{"kind":"close","#, r#"{"\u006bind":"close","#] {
        let report = spool.verify(&with_line(&spool, 40, |line| line.replacen('{', also, 1)));
        assert_eq!(broken(&report), Some(41), "{also}");
        assert!(report.broken.unwrap().what.contains("twice"));
    }
    let nested = spool.json().iter().position(|json| json.get("client").is_some()).unwrap();
    let also = |line: String| line.replacen(r#""client":{"#, r#""client":{"address":"192.0.2.1","#, 1);
    assert_eq!(broken(&spool.verify(&with_line(&spool, nested, also))), Some(nested as u64 + 1));
}

#[test]
fn a_line_that_cannot_be_read_is_the_record_that_is_missing_also_where_a_collector_wrote_it() {
    let spool = Spool::make(120, 120);
    let report = spool.verify(&with_line(&spool, 0, |line| line.replacen('{', "", 1)));
    assert_eq!((broken(&report), report.broken.unwrap().at), (Some(1), 1));
    let lines: Vec<String> = spool.records.chunks(20).map(|records| stored(records).to_string()).collect();
    let path = spool.directory.join("stored.jsonl");
    // In no order, and the third of them spoiled.
    let text = [&lines[5], &lines[3], &lines[2][1..], &lines[0], &lines[1], &lines[4]].map(|line| format!("{line}\n"));
    std::fs::write(&path, text.concat()).unwrap();
    let found = spool.verify(&path).broken.unwrap();
    assert_eq!((found.sequence, found.at), (41, 3), "{found:?}");
    assert!(found.what.contains("records 41 to 60 are missing: the line is neither"), "{found:?}");
}

#[test]
fn a_record_without_a_number_among_those_that_a_collector_stored_belongs_to_no_log_and_is_found() {
    let spool = Spool::make(120, 120);
    let lines: Vec<Value> = spool.records.chunks(40).map(stored).collect();
    assert_eq!(broken(&spool.verify(&spool.export(&lines))), None);
    for without in ["gatepass.evidence.sequence", "log.record.uid"] {
        let mut lines = lines.clone();
        let records = lines[1]["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array_mut().unwrap();
        let mut forged = records[3].clone();
        forged["attributes"].as_array_mut().unwrap().retain(|attribute| attribute["key"] != without);
        records.push(forged);
        let found = spool.verify(&spool.export(&lines)).broken.unwrap();
        assert!(found.at == 2 && found.what.contains("of no log"), "{found:?}");
    }
}

#[test]
fn no_proof_is_made_from_tiles_that_do_not_bear_it() {
    let spool = Spool::make(300, 300);
    let path = spool.directory.join("tile/0/000");
    let mut tile = std::fs::read(&path).unwrap();
    tile[5] ^= 1;
    std::fs::write(&path, tile).unwrap();
    let refused = Proof::make(&spool.directory, &Which::Sequence(9), None).unwrap_err();
    assert!(matches!(refused, NoProof::Refuted(_)), "{refused}");
}

#[test]
fn no_proof_is_made_from_a_checkpoint_that_is_ahead_of_the_log_or_beside_it() {
    let spool = Spool::make(300, 300);
    let store = Store::open(&spool.directory, "gw").unwrap();
    let make = |size, root| Proof::make(&spool.directory, &Which::Sequence(9), Some(&store.sign(size, root)));
    let ahead = make(301, leaf_hash(&[b"ahead"])).unwrap_err();
    assert!(ahead.to_string().contains("which signs 300"), "{ahead}");
    let beside = make(70, leaf_hash(&[b"beside"])).unwrap_err();
    assert!(beside.to_string().contains("its history was rewritten"), "{beside}");
}
