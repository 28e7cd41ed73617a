//! Records come in their order, each once, whatever happens to the directory meanwhile.

use std::io::Write as _;

use super::*;
use crate::evidence::spool::segment::{file_name, write_erased, write_frame};

struct Spool {
    directory: PathBuf,
}

impl Spool {
    fn new(name: &str) -> Spool {
        let directory = std::env::temp_dir().join(format!("gatepass-follow-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(directory.join(directory::SEGMENTS)).unwrap();
        Spool { directory }
    }

    fn path(&self, first: u64) -> PathBuf {
        self.directory.join(directory::SEGMENTS).join(file_name(first))
    }

    fn begin(&self, first: u64) {
        let header = Header {
            first,
            gateway: "gw-1".into(),
            log: "log".into(),
            run: "run".into(),
            created: "2026-11-22T10:00:00Z".into(),
            version: "0.1.0".into(),
            host: None,
        };
        std::fs::write(self.path(first), header.encode()).unwrap();
    }

    fn append(&self, first: u64, bytes: &[u8]) {
        std::fs::OpenOptions::new().append(true).open(self.path(first)).unwrap().write_all(bytes).unwrap();
    }

    /// A segment with these records, each of which says its own number.
    fn segment(&self, first: u64, last: u64) {
        self.begin(first);
        (first..=last).for_each(|sequence| self.append(first, &frame(sequence)));
    }

    fn follow(&self, after: u64) -> Follower {
        Follower::open(&self.directory, after)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn frame(sequence: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&[sequence.to_string().as_bytes()], &mut bytes);
    bytes
}

/// The numbers of the records until nothing is new, each checked against what the record says.
fn read(follower: &mut Follower) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(batch) = follower.next_batch(3, 1000).unwrap() {
        assert!(batch.frames.len() <= 3 && batch.first == batch.frames[0].0);
        for (sequence, frame) in batch.frames {
            assert_eq!(frame, Frame::Record(sequence.to_string().into_bytes()));
            numbers.push(sequence);
        }
    }
    numbers
}

#[test]
fn records_come_in_order_across_segments_from_any_place() {
    let spool = Spool::new("order");
    spool.segment(1, 4);
    spool.segment(5, 5);
    spool.segment(6, 9);
    for after in 0..=10 {
        let mut follower = spool.follow(after);
        assert_eq!(read(&mut follower), (after + 1..=9).collect::<Vec<_>>());
    }
}

#[test]
fn a_batch_keeps_to_its_bounds_and_to_one_segment_but_is_never_empty() {
    let spool = Spool::new("bounds");
    spool.segment(8, 11);
    spool.segment(12, 12);
    let mut follower = spool.follow(7);
    let mut lengths = Vec::new();
    while let Some(batch) = follower.next_batch(9, 3).unwrap() {
        assert!(batch.frames.iter().all(|(sequence, _)| *sequence >= batch.header.first));
        lengths.push(batch.frames.len());
    }
    // The bytes: 8, 9 | 10 | 11 | 12.
    assert_eq!(lengths, [2, 1, 1, 1]);
    assert_eq!(follower.position(), 12);
}

#[test]
fn what_is_not_there_yet_comes_when_it_is() {
    let spool = Spool::new("grows");
    let mut follower = spool.follow(0);
    assert!(follower.next_batch(9, 99).unwrap().is_none());
    spool.begin(1);
    assert!(follower.next_batch(9, 99).unwrap().is_none());
    for sequence in 1..=3 {
        let bytes = frame(sequence);
        for (at, byte) in bytes.iter().enumerate() {
            spool.append(1, &[*byte]);
            let read = read(&mut follower);
            assert_eq!(read.len(), usize::from(at + 1 == bytes.len()), "{sequence}, {at}");
        }
    }
    spool.begin(4);
    assert!(read(&mut follower).is_empty());
    spool.append(4, &frame(4));
    assert_eq!(read(&mut follower), [4]);
}

#[test]
fn a_directory_that_is_not_there_yet_has_nothing_new() {
    let mut follower = Follower::open(Path::new("/nowhere/at/all"), 0);
    assert!(follower.next_batch(9, 99).unwrap().is_none());
}

#[test]
fn a_header_that_is_not_whole_yet_is_waited_for() {
    let spool = Spool::new("header");
    spool.segment(1, 2);
    let whole = std::fs::read(spool.path(1)).unwrap();
    let mut follower = spool.follow(0);
    for end in 0..whole.len() - 2 * frame(1).len() {
        std::fs::write(spool.path(1), &whole[..end]).unwrap();
        assert!(follower.next_batch(9, 99).unwrap().is_none());
    }
    std::fs::write(spool.path(1), &whole).unwrap();
    assert_eq!(read(&mut follower), [1, 2]);
}

#[test]
fn removed_segments_are_told_once_with_their_range_and_passed_over() {
    let spool = Spool::new("removed");
    spool.segment(1, 3);
    spool.segment(4, 6);
    spool.segment(7, 9);
    spool.segment(10, 10);
    let mut follower = spool.follow(0);
    assert_eq!(follower.next_batch(2, 99).unwrap().unwrap().frames.len(), 2);
    std::fs::remove_file(spool.path(1)).unwrap();
    std::fs::remove_file(spool.path(4)).unwrap();
    std::fs::remove_file(spool.path(7)).unwrap();
    // The file that is open can still be read to its end.
    assert_eq!(follower.next_batch(2, 99).unwrap().unwrap().first, 3);
    assert!(matches!(follower.next_batch(2, 99), Err(Fault::Removed { first: 4, last: 9 })));
    assert_eq!(read(&mut follower), [10]);
    let mut from_the_beginning = spool.follow(0);
    assert_eq!(read(&mut from_the_beginning), [10], "who begins at the beginning begins with what there is");
    assert!(matches!(spool.follow(5).next_batch(2, 99), Err(Fault::Removed { first: 6, last: 9 })));
}

#[test]
fn damage_in_a_sealed_segment_is_told_once_with_its_range_and_passed_over() {
    let spool = Spool::new("damaged");
    spool.segment(1, 6);
    spool.segment(7, 8);
    let mut bytes = std::fs::read(spool.path(1)).unwrap();
    let third = bytes.len() - 4 * frame(1).len() + segment::FRAME_OVERHEAD;
    bytes[third] ^= 1;
    std::fs::write(spool.path(1), &bytes).unwrap();
    let mut follower = spool.follow(0);
    assert_eq!(follower.next_batch(99, 99).unwrap().unwrap().frames.len(), 2);
    let fault = follower.next_batch(99, 99).unwrap_err();
    assert!(matches!(fault, Fault::Damaged { first: 3, last: Some(6), .. }), "{fault}");
    assert_eq!(read(&mut follower), [7, 8]);
    // A sealed file that is cut short, and one whose header is gone.
    for left in [bytes.len() - 2, 4] {
        spool.segment(1, 6);
        std::fs::OpenOptions::new().write(true).open(spool.path(1)).unwrap().set_len(left as u64).unwrap();
        let mut follower = spool.follow(0);
        let first = follower.next_batch(99, 99).unwrap_or(None).map_or(0, |batch| batch.frames.len());
        assert_eq!(first, if left > 4 { 5 } else { 0 });
        if left > 4 {
            assert!(matches!(follower.next_batch(99, 99), Err(Fault::Damaged { first: 6, last: Some(6), .. })));
        }
        assert_eq!(read(&mut follower), [7, 8]);
    }
}

#[test]
fn damage_in_the_newest_segment_is_told_once_and_reading_goes_on_when_it_is_cut_off() {
    let spool = Spool::new("newest");
    spool.segment(1, 2);
    let whole = std::fs::metadata(spool.path(1)).unwrap().len();
    spool.append(1, &[0; 64]);
    let mut follower = spool.follow(0);
    assert_eq!(follower.next_batch(9, 99).unwrap().unwrap().frames.len(), 2);
    assert!(matches!(follower.next_batch(9, 99), Err(Fault::Damaged { first: 3, last: None, .. })));
    assert!(follower.next_batch(9, 99).unwrap().is_none());
    std::fs::OpenOptions::new().write(true).open(spool.path(1)).unwrap().set_len(whole).unwrap();
    spool.append(1, &frame(3));
    assert_eq!(read(&mut follower), [3]);
    // The same, where the gateway goes on in a segment of its own.
    spool.append(1, &[0; 64]);
    assert!(follower.next_batch(9, 99).is_err());
    spool.segment(4, 4);
    assert_eq!(read(&mut follower), [4]);
}

#[test]
fn erased_records_keep_their_places() {
    let spool = Spool::new("erased");
    spool.begin(1);
    spool.append(1, &frame(1));
    let mut bytes = Vec::new();
    write_erased(&[7; 32], &mut bytes);
    spool.append(1, &bytes);
    spool.append(1, &frame(3));
    let batch = spool.follow(1).next_batch(9, 99).unwrap().unwrap();
    assert_eq!(batch.frames, [(2, Frame::Erased([7; 32])), (3, Frame::Record(b"3".to_vec()))]);
}

#[test]
fn a_reader_beside_a_writer_gets_everything_once() {
    let spool = Spool::new("beside");
    let last = 20_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for first in (1..=last).step_by(500) {
                spool.begin(first);
                for sequence in (first..first + 500).step_by(5) {
                    let bytes: Vec<u8> = (sequence..sequence + 5).flat_map(frame).collect();
                    let (one, two) = bytes.split_at(bytes.len() / 2 + 1);
                    spool.append(first, one);
                    spool.append(first, two);
                }
            }
        });
        let (mut follower, mut numbers) = (spool.follow(0), Vec::new());
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while numbers.len() < last as usize && std::time::Instant::now() < end {
            numbers.extend(read(&mut follower));
        }
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    });
}
