//! An archive is refused, or is byte for byte what is written of what was read.
#![no_main]

use gatepass::bundle::Archive;
use gatepass_config::limits::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { bundle_files: 16, bundle_file_bytes: 4096, bundle_bytes: 8192, ..Limits::default() };
    if let Ok(archive) = Archive::read(bytes, &limits) {
        assert_eq!(archive.to_bytes().as_deref(), Ok(bytes));
        assert_eq!(archive.manifest.digest, gatepass_policy::digest(&archive.files));
        assert!(archive.files.iter().map(|file| file.text.len()).sum::<usize>() <= limits.bundle_bytes);
    }
});
