//! What a disk that failed said before and says later, and what becomes of the segments that it ended.

use super::segment::{Frame, Reader, file_name, write_frame};
use super::*;

/// A folder of segments with a disk that writes there.
struct World {
    directory: PathBuf,
    disk: Disk,
}

impl World {
    fn new() -> World {
        let directory = std::env::temp_dir().join(format!("gatepass-disk-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        let header = Header {
            first: 1,
            gateway: "gw-1".into(),
            log: "log".into(),
            run: "run".into(),
            created: String::new(),
            version: "0.1.0".into(),
            host: None,
        };
        World { disk: Disk::begin(&directory, header).unwrap(), directory }
    }

    fn append(&mut self, sequence: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        write_frame(&[sequence.to_string().as_bytes()], &mut bytes);
        self.disk.append(&mut bytes, sequence)
    }

    /// What a synchronisation that was begun now says later.
    fn fails(&mut self) -> (Arc<File>, Extent) {
        let (file, to) = self.disk.to_sync().unwrap();
        self.disk.synced_beside(&file, to, Err(io::Error::other("the disk failed"))).unwrap_err();
        (file, to)
    }

    /// The records of the segment that begins with this one.
    fn records(&self, first: u64) -> Vec<u64> {
        let mut reader = Reader::open(File::open(self.directory.join(file_name(first))).unwrap()).unwrap();
        let mut records = Vec::new();
        while let Some((sequence, frame)) = reader.next().unwrap() {
            assert_eq!(frame, Frame::Record(sequence.to_string().into_bytes()));
            records.push(sequence);
        }
        records
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn a_disk_that_failed_is_not_asked_again_and_a_late_yes_means_nothing() {
    let mut world = World::new();
    world.append(1).unwrap();
    world.disk.sync().unwrap();
    world.append(2).unwrap();
    let (file, to) = world.fails();
    assert!(world.disk.is_suspect() && world.disk.to_sync().is_none());
    // The kernel tells of pages that it dropped only once.
    world.disk.synced_beside(&file, to, Ok(())).unwrap();
    assert_eq!(world.disk.synced_last(), 1);
    world.disk.sync().unwrap();
    assert_eq!((world.disk.synced_last(), world.records(1), world.records(2)), (2, vec![1], vec![2]));
}

#[test]
fn a_yes_for_a_file_that_was_replaced_says_nothing_about_the_one_in_its_place() {
    let mut world = World::new();
    world.append(1).unwrap();
    let (file, to) = world.fails();
    world.append(2).unwrap();
    assert_eq!((world.disk.first(), world.records(1)), (1, vec![1, 2]));
    world.disk.synced_beside(&file, Extent { end: u64::MAX, ..to }, Ok(())).unwrap();
    assert!(!world.disk.is_synced());
}

#[test]
fn a_segment_that_a_failed_disk_ended_is_told_like_one_that_was_full() {
    let mut world = World::new();
    world.append(1).unwrap();
    world.disk.sync().unwrap();
    let whole = world.disk.written();
    world.append(2).unwrap();
    world.fails();
    assert_eq!(world.disk.take_sealed(), []);
    world.append(3).unwrap();
    assert_eq!(world.disk.take_sealed(), [(1, whole)]);
    world.fails();
    world.disk.roll().unwrap();
    let sealed: Vec<_> = world.disk.take_sealed().into_iter().map(|(first, extent)| (first, extent.last)).collect();
    assert_eq!(sealed, [(2, 2), (3, 3)]);
    assert_eq!((world.records(2), world.records(3), world.records(4)), (vec![2], vec![3], vec![]));
}

#[test]
fn where_the_next_segment_cannot_be_begun_this_one_is_ended_all_the_same() {
    let mut world = World::new();
    world.append(1).unwrap();
    assert!(!world.disk.is_ended());
    let taken = world.directory.join(file_name(2));
    std::fs::create_dir(&taken).unwrap();
    world.disk.roll().unwrap_err();
    assert!(world.disk.is_ended(), "how far the attempt came is not known");
    std::fs::remove_dir(taken).unwrap();
    world.disk.roll().unwrap();
    assert!(!world.disk.is_ended());
    assert_eq!((world.disk.first(), world.records(1), world.records(2)), (2, vec![1], vec![]));
}

#[test]
fn a_segment_that_somebody_removed_is_written_anew_with_everything_that_was_in_it() {
    let mut world = World::new();
    world.append(1).unwrap();
    world.disk.sync().unwrap();
    world.append(2).unwrap();
    assert!(world.disk.look().unwrap());
    std::fs::remove_file(world.directory.join(file_name(1))).unwrap();
    assert!(!world.disk.look().unwrap());
    world.disk.sync().unwrap();
    assert_eq!(world.records(1), [1, 2]);
    assert!(world.disk.look().unwrap() && world.disk.is_synced());
    assert_eq!(world.disk.take_sealed(), []);
}

#[test]
fn a_folder_that_somebody_removed_takes_no_records() {
    let mut world = World::new();
    world.append(1).unwrap();
    std::fs::remove_dir_all(&world.directory).unwrap();
    assert!(!world.disk.look().unwrap());
    world.append(2).unwrap_err();
    std::fs::create_dir(&world.directory).unwrap();
    world.append(2).unwrap();
    assert_eq!(world.records(1), [1, 2]);
}

#[test]
fn a_segment_that_is_ended_has_nothing_of_an_attempt_that_the_disk_took_half_of() {
    let mut world = World::new();
    world.append(1).unwrap();
    let mut bytes = Vec::new();
    write_frame(&[b"2"], &mut bytes);
    let (file, to) = world.disk.to_sync().unwrap();
    file.write_all_at(&bytes[..7], to.end).unwrap();
    world.disk.roll().unwrap();
    world.append(2).unwrap();
    assert_eq!((world.records(1), world.records(2)), (vec![1], vec![2]));
    assert_eq!(world.disk.take_sealed(), [(1, to)]);
}
