//! Programs that people use, run as they run them.
