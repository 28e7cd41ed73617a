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
        let mut tree = store.restore(size, |first| all[first as usize..size as usize].iter().map(|leaf| Ok(*leaf))).unwrap();
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
    let tail = leaves(size).split_off(size as usize - 5);
    let again = store.restore(size, |first| {
        assert_eq!(first, size - 5);
        tail.into_iter().map(Ok)
    });
    assert_eq!(again.unwrap().root(), tree.root());
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
    assert!(matches!(Store::open(&directory, "gw"), Err(Error::OtherKey(_))), "a new key is another log");
    std::fs::write(&key, "x").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(Store::open(&directory, "gw"), Err(Error::Key(_))));
    std::fs::remove_dir_all(directory).unwrap();
}
