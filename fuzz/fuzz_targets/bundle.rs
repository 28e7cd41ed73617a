//! A bundle compiles or is refused with reasons; hostile text is neither a crash nor a silent no.
#![no_main]

use gatepass_policy::source::SourceFile;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

// Files are separated by a line of `---8<---`.
fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let files: Vec<SourceFile> = text
        .split("---8<---\n")
        .enumerate()
        .map(|(number, text)| SourceFile { name: format!("{number}.yaml"), text: text.as_bytes().to_vec() })
        .collect();
    if let Err(diagnostics) = gatepass_policy::compile(&files, Timestamp::UNIX_EPOCH) {
        assert!(!diagnostics.is_empty());
    }
});
