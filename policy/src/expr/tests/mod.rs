//! Tests of conditions.

mod world;

mod diagnostics;

mod outcomes;

mod explanations;

mod hostile;

mod random;

mod oracle;
