//! The state directory: what survives, what is refused, and that nothing is replaced.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicUsize;

use super::*;

/// A directory of its own for each test, gone when the test is over.
pub(crate) struct Scratch(PathBuf);

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gatepass-state-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn kept(key: &str, value: &str, revision: u64) -> Kept {
    Kept { key: key.to_owned(), value: value.as_bytes().to_vec(), revision }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_directory_and_its_files_are_for_their_owner_alone() {
    let scratch = Scratch::new();
    let directory = scratch.path().join("a/b");
    let local = Local::open(&directory).unwrap();
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("state.redb")), 0o600);
    assert_eq!(mode(&directory.join("state.lock")), 0o600);
    drop(local);
    fs::set_permissions(directory.join("state.redb"), fs::Permissions::from_mode(0o644)).unwrap();
    let local = Local::open(&directory).unwrap();
    assert_eq!(mode(&directory.join("state.redb")), 0o600);
    drop(local);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
    let refused = Local::open(&directory).unwrap_err().to_string();
    assert!(refused.contains("open to other users (mode 750): `chmod 700` it"), "{refused}");
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_is_gone() {
    let scratch = Scratch::new();
    let first = Local::open(scratch.path()).unwrap();
    let refused = Local::open(scratch.path()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("in use by another process: stop that gateway"), "{refused}");
    first.note("a", b"1").await.unwrap();
    drop(first);
    let second = Local::open(scratch.path()).unwrap();
    assert_eq!(second.noted("a").await.unwrap(), Some(b"1".to_vec()));
}

#[tokio::test]
async fn the_copy_the_notes_and_the_highest_time_survive() {
    let scratch = Scratch::new();
    let local = Local::open(scratch.path()).unwrap();
    assert_eq!(local.highest_seen(), None);
    assert_eq!(local.copy().await.unwrap(), View { kept: Vec::new(), revision: 0 });
    local.remember(&[kept("b", "old", 1), kept("gone", "x", 2)], 5).await.unwrap();
    local.learn(&[kept("a", "new", 6)], &["gone".to_owned()], 6).await.unwrap();
    local.learn(&[kept("b", "older than the copy", 4)], &["a".to_owned()], 6).await.unwrap();
    local.see(time(200)).await.unwrap();
    local.see(time(100)).await.unwrap();
    local.note("n/1", b"one").await.unwrap();
    local.note("n/2", b"two").await.unwrap();
    local.note("o", b"three").await.unwrap();
    local.forget("n/1").await.unwrap();
    assert!(local.note_once("once", b"first").await.unwrap());
    assert!(!local.note_once("once", b"second").await.unwrap());
    drop(local);
    let local = Local::open(scratch.path()).unwrap();
    assert_eq!(local.copy().await.unwrap(), View { kept: vec![kept("a", "new", 6), kept("b", "old", 1)], revision: 6 });
    assert_eq!(local.highest_seen(), Some(time(200)));
    assert_eq!(local.notes("n/").await.unwrap(), [("n/2".to_owned(), b"two".to_vec())]);
    assert_eq!(local.noted("n/1").await.unwrap(), None);
    assert_eq!(local.noted("once").await.unwrap(), Some(b"first".to_vec()));
    local.remember(&[], 7).await.unwrap();
    assert_eq!(local.copy().await.unwrap(), View { kept: Vec::new(), revision: 7 });
}

/// Not a test of its own: the process that [`what_was_acknowledged_survives_a_kill`] kills.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os("GATEPASS_TEST_STATE") else { return };
    let local = Local::open(Path::new(&directory)).unwrap();
    for number in 1_u32.. {
        local.note("number", &number.to_be_bytes()).await.unwrap();
        local.see(time(i64::from(number))).await.unwrap();
        let new = Path::new(&directory).join("said.new");
        fs::write(&new, number.to_string()).unwrap();
        fs::rename(&new, Path::new(&directory).join("said")).unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let scratch = Scratch::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["state::store::local::tests::writes_until_it_is_killed", "--exact"])
        .env("GATEPASS_TEST_STATE", scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(scratch.path().join("said")).ok().and_then(|text| text.parse::<u32>().ok());
    let mut asked = 0;
    while said().is_none_or(|number| number < 20) {
        asked += 1;
        assert!(asked < 3_000 && child.try_wait().unwrap().is_none(), "the child does not write");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = said().unwrap();
    let local = Local::open(scratch.path()).unwrap();
    let noted = local.noted("number").await.unwrap().unwrap();
    let noted = u32::from_be_bytes(noted.try_into().unwrap());
    assert!(noted == said || noted == said + 1, "said {said}, noted {noted}");
    assert!(local.highest_seen().unwrap() >= time(i64::from(said)));
}

#[tokio::test]
async fn a_file_that_was_cut_is_an_error_and_stays_as_it_is() {
    let scratch = Scratch::new();
    let local = Local::open(scratch.path()).unwrap();
    let big: Vec<Kept> = (0..500).map(|number| kept(&format!("key {number}"), &"v".repeat(1_000), number)).collect();
    local.remember(&big, 500).await.unwrap();
    drop(local);
    let path = scratch.path().join("state.redb");
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 9, 300, 4_096, 5_000, whole.len() / 3, whole.len() / 2, whole.len() - 4_096, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let refused = Local::open(scratch.path()).expect_err("a cut file");
        assert!(matches!(refused, OpenError::Damaged { .. }), "{length}: {refused}");
        assert!(refused.to_string().contains("put it back from a backup"), "{length}: {refused}");
        assert!(fs::read(&path).unwrap() == whole[..length], "{length}: the file was changed");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(Local::open(scratch.path()).unwrap().copy().await.unwrap().kept.len(), 500);
}

#[tokio::test]
async fn a_file_that_was_altered_is_an_error() {
    let scratch = Scratch::new();
    let local = Local::open(scratch.path()).unwrap();
    local.note("marked", &b"0123456789abcdef".repeat(8)).await.unwrap();
    drop(local);
    let path = scratch.path().join("state.redb");
    let whole = fs::read(&path).unwrap();
    let mark = b"0123456789abcdef";
    let places: Vec<usize> = (0..whole.len() - mark.len()).filter(|at| whole[*at..].starts_with(mark)).collect();
    assert!(!places.is_empty());
    let mut altered = whole.clone();
    places.iter().for_each(|at| altered[*at] ^= 1);
    fs::write(&path, &altered).unwrap();
    let refused = Local::open(scratch.path()).expect_err("an altered file");
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    fs::write(&path, b"something else that somebody put here").unwrap();
    assert!(matches!(Local::open(scratch.path()), Err(OpenError::Damaged { .. })));
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_begun_anew_in_silence() {
    let scratch = Scratch::new();
    drop(Local::open(scratch.path()).unwrap());
    fs::remove_file(scratch.path().join("state.redb")).unwrap();
    let refused = Local::open(scratch.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Gone { .. }), "{refused}");
    fs::remove_file(scratch.path().join("state.lock")).unwrap();
    assert!(Local::open(scratch.path()).is_ok());
}

#[tokio::test]
async fn what_is_in_the_way_is_an_error() {
    let scratch = Scratch::new();
    let file = scratch.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(Local::open(&file), Err(OpenError::File { .. })));
    let aside = scratch.path().join("aside");
    drop(Local::open(&aside).unwrap());
    let linked = scratch.path().join("linked");
    fs::create_dir(&linked).unwrap();
    fs::set_permissions(&linked, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(aside.join("state.redb"), linked.join("state.redb")).unwrap();
    assert!(matches!(Local::open(&linked), Err(OpenError::File { .. })), "a link is not followed");
}

#[tokio::test]
async fn after_trouble_with_the_disk_the_next_question_opens_the_file_again() {
    let scratch = Scratch::new();
    let local = Local::open(scratch.path()).unwrap();
    local.note("a", b"1").await.unwrap();
    let failing = |database: &Database| -> Result<(), redb::Error> {
        let transaction = tables::begin(database)?;
        transaction.open_table(tables::NOTES)?.insert("b", b"2".as_slice())?;
        Err(redb::Error::Io(std::io::Error::from(std::io::ErrorKind::StorageFull)))
    };
    let Unavailable(why) = local.on_disk(PATIENCE, failing).await.unwrap_err();
    assert!(why.contains("no storage space"), "{why}");
    assert_eq!(local.noted("a").await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(local.noted("b").await.unwrap(), None, "what was not committed");
    assert!(matches!(Local::open(scratch.path()), Err(OpenError::InUse { .. })), "it was never free for another");
    fs::write(scratch.path().join("state.redb"), "").unwrap();
    assert!(local.on_disk(PATIENCE, failing).await.is_err());
    let Unavailable(why) = local.noted("a").await.unwrap_err();
    assert!(why.contains("is damaged"), "{why}");
}

#[tokio::test]
async fn a_question_that_the_disk_does_not_answer_ends_in_time() {
    let scratch = Scratch::new();
    let local = Local::open(scratch.path()).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let slow = move |_: &Database| {
        let _ = held.recv();
        Ok(())
    };
    let Unavailable(why) = local.on_disk(Duration::from_millis(50), slow).await.unwrap_err();
    assert!(why.contains("no answer from the state directory's disk within 50ms"), "{why}");
    drop(release);
    local.note("a", b"1").await.unwrap();
}
