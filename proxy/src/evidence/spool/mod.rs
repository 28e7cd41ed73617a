//! The spool: every record on disk before it counts, in segments of a directory.
//!
//! ```text
//! DIRECTORY/
//!   segments/NNNNNNNNNNNNNNNNNNNN.seg    the records (see `segment`)
//!   quarantine/NAME.seg                  records that a collector rejected for good
//!   damaged/NAME                         what a recovery cut off
//!   cursor/SINK                          how far each sink has them
//!   tile/L/N, checkpoint, log.pub, signing.key    the Merkle log
//!   lock                                 one gateway at a time
//! ```

pub mod segment;

pub mod directory;

pub mod follow;
