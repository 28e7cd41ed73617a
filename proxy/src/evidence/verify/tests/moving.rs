//! A spool is verified while a gateway writes it and retention takes from it: that is never held against the records.

use super::chain::{Chain, Extent};
use super::segments::read_listed;
use super::*;
use crate::evidence::spool::directory::segments;

#[test]
fn what_a_segment_got_before_the_next_was_begun_is_read_though_the_reader_saw_its_end_earlier() {
    let spool = Spool::make(300, 100);
    let key = Files::of(&spool.directory).key().unwrap().unwrap();
    spool.write(1, &spool.frames(1)[..60]);
    std::fs::remove_file(spool.path(2)).unwrap();
    // No tile tells that there is more.
    let mut chain = Chain::new(key, None, None, Extent::Whole).unwrap();
    let mut listings = 0;
    let mut list = || {
        listings += 1;
        if listings == 2 {
            // Between the end that was seen and this look at the folder.
            spool.write(1, &spool.frames(1));
            spool.write(2, &spool.frames(2));
        }
        segments(&spool.directory).map_err(io_failure(&spool.directory))
    };
    let outcome = read_listed(&mut list, &mut chain, &mut |_| ()).unwrap();
    let report = chain.end(outcome);
    assert_eq!((&report.broken, &report.unproved), (&None, &None));
    assert_eq!((report.records, report.repeated, report.unfinished), (300, 0, 0));
}

#[test]
fn segments_that_retention_takes_while_the_ones_before_are_read_are_passed_over() {
    let spool = Spool::make(600, 100);
    let verify_while_gone = |gone: std::ops::Range<usize>| {
        (0..spool.segments.len()).for_each(|segment| spool.write(segment, &spool.frames(segment)));
        let mut taken = false;
        verify(&spool.wanted(&spool.directory), &mut |_| {
            if !std::mem::replace(&mut taken, true) {
                gone.clone().for_each(|segment| std::fs::remove_file(spool.path(segment)).unwrap());
            }
        })
        .unwrap()
    };
    let report = verify_while_gone(0..3);
    assert_eq!((&report.broken, &report.unproved), (&None, &None));
    assert_eq!((report.records, report.before, report.first, report.last), (400, 200, Some(1), Some(600)));
    assert_eq!(report.signed, 600);
    let report = verify_while_gone(1..3);
    assert_eq!(broken(&report), Some(101), "the oldest is there: that was not retention");
    let report = verify_while_gone(0..6);
    assert_eq!(broken(&report), Some(101), "what is signed must be there");
    std::fs::remove_dir_all(spool.directory.join("tile")).unwrap();
    let report = verify_while_gone(0..3);
    assert!(report.broken.is_none() && report.unproved.unwrap().contains("101 to 300 went meanwhile"));
    assert_eq!(report.signed, 60, "no more than could be told");
}
