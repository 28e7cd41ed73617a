//! The tree is the one of RFC 6962, whatever was in memory; and what is signed is checked.

use proptest::prelude::*;

use super::hash::node_hash;
use super::*;

/// The definition (RFC 6962 section 2.1), word for word.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_nothing(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
            node_hash(&naive(left), &naive(right))
        }
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&[&number.to_le_bytes()])).collect()
}

fn scratch() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("gatepass-log-{}", uuid::Uuid::now_v7()))
}

fn grown(count: u64) -> Tree {
    let mut tree = Tree::new();
    leaves(count).into_iter().for_each(|leaf| tree.append(leaf));
    tree
}

#[test]
fn the_hashes_are_those_of_the_standard() {
    let hex = |hash: Hash| hash.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(Hash::of_nothing()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(hex(leaf_hash(&[])), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    assert_eq!(leaf_hash(&[b"ab", b"", b"c"]), leaf_hash(&[b"abc"]), "a record is the same in pieces");
}

#[test]
fn the_root_is_that_of_the_definition_at_every_size_around_tiles() {
    let all = leaves(1030);
    let mut tree = Tree::new();
    assert_eq!(tree.root(), naive(&[]));
    for (size, leaf) in all.iter().enumerate() {
        tree.append(*leaf);
        assert_eq!(tree.root(), naive(&all[..=size]), "{size}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_tree_goes_on_after_a_restart_as_if_there_had_been_none(size in 0u64..1500, lost in 0u64..600, more in 0u64..600) {
        let directory = scratch();
        let store = Store::open(&directory, "gw").unwrap();
        let mut tree = grown(size);
        store.write_tiles(&mut tree).unwrap();
        store.write_partial(&tree).unwrap();
        // A loss of power may take records whose tiles are there.
        let size = size - size.min(lost);
        let store = Store::open(&directory, "gw").unwrap();
        let all = leaves(size + more);
        let mut tree = store.restore(size, 0, |first| all[first as usize..size as usize].iter().map(|leaf| Ok(*leaf))).unwrap();
        prop_assert_eq!(tree.size(), size);
        all[size as usize..].iter().for_each(|leaf| tree.append(*leaf));
        store.write_tiles(&mut tree).unwrap();
        prop_assert_eq!(tree.root(), naive(&all));
        std::fs::remove_dir_all(directory).unwrap();
    }
}

#[test]
fn a_large_tree_is_restored_from_tiles_of_every_level() {
    let directory = scratch();
    let store = Store::open(&directory, "gw").unwrap();
    let size = 256 * 256 + 256 * 3 + 5;
    let mut tree = grown(size);
    store.write_tiles(&mut tree).unwrap();
    assert!(directory.join("tile/1/000").is_file() && directory.join("tile/0/258").is_file());
    std::fs::remove_file(directory.join("tile/1/000")).unwrap();
    let restored = |begin: u64, kept: u64| {
        let tail = leaves(size).split_off(begin as usize);
        store.restore(size, kept, |first| {
            assert_eq!(first, begin);
            tail.into_iter().map(Ok)
        })
    };
    assert_eq!(restored(size - 5, 63_000).unwrap().root(), tree.root());
    assert!(directory.join("tile/1/000").is_file(), "it is made anew");
    // A loss of power takes tiles in any order: what follows one of them comes from the records.
    std::fs::write(directory.join("tile/0/255"), [0; 77]).unwrap();
    std::fs::remove_file(directory.join("tile/1/000")).unwrap();
    let again = restored(255 * 256, 65_000).unwrap();
    assert_eq!((again.root(), again.covered()), (tree.root(), 64_768));
    std::fs::remove_file(directory.join("tile/0/200")).unwrap();
    assert!(matches!(restored(255 * 256, 65_000), Err(Error::Missing(_))), "nor record nor tile");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_checkpoint_proves_its_size_and_root_and_nothing_else() {
    let directory = scratch();
    let store = Store::open(&directory, "gw 1+x").unwrap();
    assert!(store.origin().starts_with("gatepass.evidence/gw-1-x/"), "{}", store.origin());
    let key = VerifyingKey::parse(&std::fs::read_to_string(directory.join("log.pub")).unwrap()).unwrap();
    let checkpoint = store.sign(7, leaf_hash(&[b"x"]));
    assert_eq!(Checkpoint::verify(checkpoint.note(), &key).unwrap(), checkpoint);
    let with_witness = format!("{}\u{2014} other AAAAAAAA\n", checkpoint.note());
    assert!(Checkpoint::verify(&with_witness, &key).is_ok(), "a signature of somebody else changes nothing");
    let forged = |from: &str, to: &str| Checkpoint::verify(&checkpoint.note().replacen(from, to, 1), &key);
    assert_eq!(forged("\n7\n", "\n8\n"), Err(NoteError::Forged(key.name().to_owned())));
    assert!(matches!(forged("\n7\n", "\n07\n"), Err(NoteError::Malformed(_))));
    assert!(matches!(forged("gatepass", "gatepast"), Err(NoteError::OtherLog { .. })));
    let unsigned = checkpoint.note().lines().take(3).map(|line| format!("{line}\n")).collect::<String>() + "\n";
    assert!(matches!(Checkpoint::verify(&unsigned, &key), Err(NoteError::Unsigned(_))));
    let other = Store::open(&scratch(), "gw").unwrap();
    assert!(Checkpoint::verify(other.sign(7, leaf_hash(&[b"x"])).note(), &key).is_err());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_log_stays_the_same_over_restarts_and_its_key_is_nobody_else_s() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = scratch();
    let origin = Store::open(&directory, "gw").unwrap().origin().to_owned();
    let store = Store::open(&directory, "renamed").unwrap();
    assert_eq!(store.origin(), origin);
    assert_eq!(store.published().unwrap(), None);
    store.publish(&store.sign(3, leaf_hash(&[]))).unwrap();
    assert_eq!(store.published().unwrap().unwrap().size(), 3);
    let key = directory.join("signing.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Store::open(&directory, "gw"), Err(Error::Exposed(_))));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(Store::open(&directory, "gw"), Err(Error::Lost(_))), "a new key is another log");
    assert!(!key.exists());
    let other = scratch();
    Store::open(&other, "gw").unwrap();
    std::fs::copy(other.join("signing.key"), &key).unwrap();
    assert!(matches!(Store::open(&directory, "gw"), Err(Error::OtherKey(_))));
    std::fs::remove_file(directory.join("log.pub")).unwrap();
    assert!(matches!(Store::open(&directory, "gw"), Err(Error::Lost(_))), "nor is there another name for one");
    std::fs::copy(other.join("log.pub"), directory.join("log.pub")).unwrap();
    std::fs::remove_dir_all(other).unwrap();
    std::fs::write(&key, "x").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(Store::open(&directory, "gw"), Err(Error::Key(_))));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_log_is_not_gone_on_with_where_its_records_are_not_those_that_it_signed() {
    let directory = scratch();
    let store = Store::open(&directory, "gw").unwrap();
    for size in [10u64, 256, 300, 600] {
        let mut tree = grown(700);
        store.write_tiles(&mut tree).unwrap();
        store.publish(&store.sign(size, grown(size).root())).unwrap();
        let restored = |altered: usize| {
            let mut all = leaves(700);
            all[altered] = leaf_hash(&[b"other"]);
            store.restore(700, 0, |first| all[first as usize..].iter().copied().map(Ok))
        };
        assert_eq!(
            restored(699).unwrap().root(),
            tree_of(&altered(700, 699)).root(),
            "what is not signed is not known"
        );
        let signed = size.max(512) as usize;
        store.publish(&store.sign(signed as u64 + 50, grown(signed as u64 + 50).root())).unwrap();
        assert!(matches!(restored(signed + 3), Err(Error::Forked(at)) if at == signed as u64 + 50));
        store.publish(&store.sign(size, leaf_hash(&[b"another history"]))).unwrap();
        assert!(matches!(restored(699), Err(Error::Forked(at)) if at == size));
    }
    std::fs::remove_dir_all(directory).unwrap();
}

fn altered(count: u64, place: usize) -> Vec<Hash> {
    let mut all = leaves(count);
    all[place] = leaf_hash(&[b"other"]);
    all
}

fn tree_of(leaves: &[Hash]) -> Tree {
    let mut tree = Tree::new();
    leaves.iter().for_each(|leaf| tree.append(*leaf));
    tree
}

#[test]
fn a_reader_gets_a_tile_while_wider_ones_take_its_place() {
    let directory = scratch();
    let store = Store::open(&directory, "gw").unwrap();
    let mut tree = grown(1);
    store.write_partial(&tree).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for leaf in leaves(250).into_iter().skip(1) {
                tree.append(leaf);
                store.write_partial(&tree).unwrap();
            }
        });
        let all = leaves(250);
        while !writing.is_finished() {
            assert!(Files::of(&directory).leaf(0).unwrap().is_none_or(|leaf| leaf == all[0]));
        }
    });
    assert_eq!(Files::of(&directory).leaf(249).unwrap(), leaves(250).pop());
    std::fs::remove_dir_all(directory).unwrap();
}
