//! Archives made to be read otherwise than they were meant.

use gatepass_config::limits::Limits;
use tar::{Builder, EntryType, Header};

use super::super::{Archive, PrivateKey};
use super::{archive, signed_by, why};

type Edit = Box<dyn Fn(&mut Header)>;

/// One entry: name, content, and what its header has that it should not.
struct Entry(&'static str, Vec<u8>, Edit);

fn plain(name: &'static str, content: &[u8]) -> Entry {
    Entry(name, content.to_vec(), Box::new(|_| {}))
}

fn odd(name: &'static str, edit: impl Fn(&mut Header) + 'static) -> Entry {
    Entry(name, Vec::new(), Box::new(edit))
}

/// A tar archive of these, with names that no honest library writes.
fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for Entry(name, content, edit) in entries {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        edit(&mut header);
        header.set_cksum();
        builder.append(&header, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn manifest() -> Entry {
    Entry("manifest.json", archive().manifest_text(), Box::new(|_| {}))
}

/// The honest archive, entry by entry.
fn honest() -> Vec<Entry> {
    let files = [("policy/bundle.yaml", "two\n"), ("policy/teams/a.yaml", "one"), ("policy/teams/b.yml", "")];
    std::iter::once(manifest()).chain(files.map(|(name, text)| plain(name, text.as_bytes()))).collect()
}

/// The honest archive with one more entry at the end.
fn with(entry: Entry) -> Vec<u8> {
    let mut entries = honest();
    entries.push(entry);
    tar(&entries)
}

#[test]
fn the_honest_archive_is_what_is_built() {
    assert_eq!(tar(&honest()), archive().to_bytes().unwrap());
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in
        ["../evil.yaml", "/etc/gatepass.yaml", "policy", "other/x.yaml", "manifest.json.d/x", "", "./policy/x.yaml"]
    {
        assert!(why(&with(plain(name, b""))).contains("no place in it"), "{name}");
    }
    for name in
        ["policy/../x.yaml", "policy//etc/x.yaml", "policy/.hidden.yaml", "policy/a\\b.yaml", "policy/README.md"]
    {
        assert!(why(&with(plain(name, b""))).contains("is not listed in the manifest"), "{name}");
    }
}

/// Also where the manifest lists them.
#[test]
fn a_manifest_cannot_list_such_names() {
    let listed = |name: &str| {
        let text = String::from_utf8(archive().manifest_text()).unwrap().replace("teams/a.yaml", name);
        why(&tar(&[Entry("manifest.json", text.into_bytes(), Box::new(|_| {}))]))
    };
    for (name, told) in [
        ("../x.yaml", "lead upwards"),
        ("/etc/x.yaml", "not absolute"),
        ("c//x.yaml", "empty or hidden part"),
        ("c/.x.yaml", "empty or hidden part"),
        ("c.md", "`*.yaml` and `*.yml` files alone"),
        ("c\\\\x.yaml", "ASCII"),
        ("caf\u{e9}.yaml", "ASCII"),
        ("cafe\u{301}.yaml", "ASCII"),
        ("c.yaml/x.yaml", "ending of a file"),
        ("c/1/2/3/4/5/6/7/8/x.yaml", "deeper"),
        ("bundle.yaml", "stands twice"),
        ("a.yaml", "after a name that comes later"),
        ("bundle.yamL", "`*.yaml`"),
        ("teams/B.yml", "upper and lower case"),
    ] {
        let found = listed(name);
        assert!(found.contains(told), "{name}: {found}");
    }
    let text = String::from_utf8(archive().manifest_text()).unwrap();
    let text = text.replace("\"bundle.yaml\"", "\"TEAMS/a.yaml\"");
    let folded = why(&tar(&[Entry("manifest.json", text.into_bytes(), Box::new(|_| {}))]));
    assert_eq!(folded, "`teams/a.yaml` differs from another name in upper and lower case alone");
}

#[test]
fn links_devices_directories_and_extensions_are_refused() {
    use EntryType as T;
    let types = [
        T::Link,
        T::Symlink,
        T::Char,
        T::Block,
        T::Directory,
        T::Fifo,
        T::Continuous,
        T::GNULongName,
        T::GNULongLink,
        T::GNUSparse,
        T::XGlobalHeader,
        T::XHeader,
    ];
    for kind in types {
        let told = why(&with(odd("policy/x.yaml", move |header| header.set_entry_type(kind))));
        assert!(told.contains("is not a regular file"), "{kind:?}: {told}");
    }
}

#[test]
fn files_are_those_of_the_manifest_and_no_others() {
    assert_eq!(why(&with(plain("policy/z.yaml", b""))), "`z.yaml` is not listed in the manifest");
    let mut missing = honest();
    missing.pop();
    assert_eq!(why(&tar(&missing)), "`teams/b.yml` is listed in the manifest and not there");
    assert_eq!(why(&tar(&[manifest()])), "`bundle.yaml` is listed in the manifest and not there");
    let mut swapped = honest();
    swapped.swap(1, 2);
    assert!(why(&tar(&swapped)).contains("is not the file that the manifest lists"));
    let mut twice = honest();
    twice.insert(2, plain("policy/bundle.yaml", b"two\n"));
    assert!(why(&tar(&twice)).contains("is not the file that the manifest lists"));
    let mut other = honest();
    other[2] = plain("policy/teams/a.yaml", b"two");
    assert!(why(&tar(&other)).contains("is not the file that the manifest lists"));
}

#[test]
fn there_is_one_manifest_and_it_comes_first() {
    assert_eq!(why(&with(manifest())), "`manifest.json` has no place in it");
    let mut late = honest();
    late.rotate_left(1);
    assert!(why(&tar(&late)).starts_with("it begins with `policy/bundle.yaml`"));
    let manifest = |text: String| why(&tar(&[Entry("manifest.json", text.into_bytes(), Box::new(|_| {}))]));
    let text = String::from_utf8(archive().manifest_text()).unwrap();
    assert!(manifest(text.replace("\"serial\":7", "\"serial\":7,\"serial\":8")).contains("duplicate field"));
    assert!(manifest(text.replace("\"serial\":7", "\"serial\":7,\"x\":8")).contains("unknown field"));
    assert!(manifest(text.replace("\"serial\":7", "\"serial\": 7")).contains("not written as a manifest is"));
    assert!(manifest(text.replace("\"serial\":7", "\"serial\":-7")).contains("manifest.json"));
    assert!(manifest(text.replace("\"serial\":7", "\"serial\":0")).contains("a serial number is"));
    assert!(manifest(text.replace("bundle/1", "bundle/2")).contains("this version reads"));
    assert!(manifest("[".repeat(100_000)).contains("manifest.json"));
}

#[test]
fn sizes_that_lie_end_at_the_bounds() {
    let giant = |header: &mut Header| header.set_size(1 << 60);
    let told = why(&with(odd("policy/x.yaml", giant)));
    assert!(told.contains("longer than the limits"), "{told}");
    let more = why(&with(odd("policy/x.yaml", |header| header.set_size(5000))));
    assert!(more.contains("cut off") || more.contains("damaged"), "{more}");
    let small = Limits { bundle_bytes: 6, ..Limits::default() };
    let bytes = archive().to_bytes().unwrap();
    let told = Archive::read(&bytes, &small).unwrap_err().to_string();
    assert!(told.contains("`policy/teams/a.yaml` is longer than the limits on bundles allow, 2 bytes here"), "{told}");
    let narrow = Limits { bundle_file_bytes: 2, ..Limits::default() };
    assert!(Archive::read(&bytes, &narrow).is_err());
    let long = vec![0; super::super::most(&Limits { bundle_bytes: 1, bundle_files: 1, ..Limits::default() }) + 1];
    let told = Archive::read(&long, &Limits { bundle_bytes: 1, bundle_files: 1, ..Limits::default() });
    assert!(told.unwrap_err().to_string().starts_with("it is longer than "));
}

#[test]
fn what_stands_around_an_archive_is_refused() {
    let good = archive().to_bytes().unwrap();
    let other = |bytes: Vec<u8>| why(&bytes);
    assert!(other([&good[..], b"x"].concat()).contains("not written as"));
    assert!(other([&good[..], &[0; 512]].concat()).contains("not written as"));
    assert!(other([&good[..], &good[..]].concat()).contains("not written as"));
    assert!(other([b"x", &good[..]].concat()).contains("damaged"));
    assert!(other(Vec::new()).contains("it is empty"));
    assert!(other(vec![0; 10_240]).contains("it is empty"));
    assert!(other(b"kind: Bundle\n".to_vec()).contains("no bundle archive"));
    for cut in [1, 511, 512, 1_024, 1_025, 2_048] {
        why(&good[..good.len() - cut]);
    }
}

#[test]
fn other_owners_times_and_modes_are_refused() {
    let edits: [fn(&mut Header); 5] = [
        |header| header.set_mode(0o755),
        |header| header.set_uid(1000),
        |header| header.set_mtime(1),
        |header| header.set_username("root").unwrap(),
        |header| header.as_mut_bytes()[500] = 1,
    ];
    for edit in edits {
        let mut entries = honest();
        entries[1].2 = Box::new(edit);
        assert!(why(&tar(&entries)).contains("not written as"));
    }
}

#[test]
fn signatures_stand_once_in_their_order_behind_the_files() {
    let (alice, bob) = (PrivateKey::generate(), PrivateKey::generate());
    let signed = signed_by(&[&alice, &bob]);
    let entry = |number: usize| {
        let signature = &signed.signatures()[number];
        let name: &'static str = format!("signatures/{}", signature.key.to_hex()).leak();
        plain(name, &signature.bytes)
    };
    let all = |more: Vec<Entry>| tar(&honest().into_iter().chain(more).collect::<Vec<_>>());
    assert_eq!(all(vec![entry(0), entry(1)]), signed.to_bytes().unwrap());
    let order = "a key has signed twice, or signatures are out of their order";
    assert_eq!(why(&all(vec![entry(0), entry(0)])), order);
    assert_eq!(why(&all(vec![entry(1), entry(0)])), order);
    assert!(why(&all(vec![entry(0), plain("policy/z.yaml", b"")])).contains("no place in it"));
    assert!(why(&all(vec![plain("signatures/alice", &[0; 64])])).contains("is no signature"));
    let mut short = entry(0);
    short.1.pop();
    assert!(why(&all(vec![short])).contains("is no signature"));
    let upper: &'static str = entry(0).0.to_uppercase().replace("SIGNATURES", "signatures").leak();
    assert!(why(&all(vec![plain(upper, &[0; 64])])).contains("is no signature"));
}
