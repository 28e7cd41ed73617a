//! Every bound on reading and searching a bundle.

/// What a bundle may cost. The caller passes it in; `STANDARD` is what it passes unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files in a bundle.
    pub files: usize,
    /// Bytes in one file: 100,000 rules of 600 bytes.
    pub file_bytes: usize,
    /// Bytes in all files together.
    pub bundle_bytes: usize,
    /// Bytes in one line: diagnostics count its characters.
    pub line_bytes: usize,
    /// Keys, texts, lists and mappings in one file: 100,000 rules have some 4 million. Each takes memory, however short.
    pub nodes: usize,
    /// How deep YAML lists and mappings may nest; the language itself needs six.
    pub nesting: usize,
    /// Errors, and as many warnings, that are reported one by one.
    pub diagnostics: usize,
    /// Rules without a host or CIDR key: each of them is evaluated in every decision.
    pub global_rules: usize,
    /// Identity patterns in the workload registry: they are tried one by one, and compared in pairs at load.
    pub workload_patterns: usize,
    /// Rules that a search for the nearest may look at: it runs on every denial.
    pub nearest_considered: usize,
    /// Rules in one trace.
    pub traced_rules: usize,
    /// Tests of a bundle, each case of a table for one.
    pub tests: usize,
    /// Texts of one test with its defaults, in bytes, a few more for each: what is shared by all is kept for each.
    pub test_bytes: usize,
    /// Bytes of a declared data class header.
    pub declared_bytes: usize,
}

impl Limits {
    /// The bounds that fit a bundle of 100,000 rules.
    pub const STANDARD: Limits = Limits {
        files: 10_000,
        file_bytes: 64 << 20,
        bundle_bytes: 256 << 20,
        line_bytes: 1 << 20,
        nodes: 8_000_000,
        nesting: 32,
        diagnostics: 1_000,
        global_rules: 1_000,
        workload_patterns: 1_000,
        nearest_considered: 128,
        traced_rules: 1_000,
        tests: 50_000,
        test_bytes: 8 << 10,
        declared_bytes: 1_024,
    };
}
