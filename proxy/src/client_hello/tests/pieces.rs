//! Every way of cutting a hello into pieces, and damaged ones.

use proptest::prelude::*;

use super::forms::{hello_with, name, vector16};
use super::*;

#[test]
fn a_decision_comes_with_its_last_byte_and_never_changes() {
    for row in rows().into_iter().filter(|row| row.bytes().len() < 2000) {
        let bytes = row.bytes();
        let whole = parse(&bytes, MAX);
        let mut scan = Scan::new(MAX);
        let mut decided = None;
        for end in 0..=bytes.len() {
            let parsed = parse(&bytes[..end], MAX);
            match &decided {
                None => assert_eq!(parse_on(&mut scan, &bytes[..end]), parsed, "{} at {end}", row.id),
                Some(decision) => assert_eq!(&parsed, decision, "{} at {end}", row.id),
            }
            if parsed != Parsed::Incomplete {
                decided = Some(parsed);
            }
        }
        assert_eq!(decided.unwrap_or(Parsed::Incomplete), whole, "{}", row.id);
    }
}

#[test]
fn a_hello_in_one_byte_records_at_the_limit_is_walked_over_once_a_byte() {
    // Quadratic work would be some 10^9 steps here; the walk needs 64,000.
    let fill = vec![0; 10_000];
    let plain = hello_with(&[(0, name(b"allowed.test")), (0x1234, fill)]);
    let split: Vec<u8> = plain[5..].iter().flat_map(|&byte| [22, 3, 1, 0, 1, byte]).collect();
    assert!(split.len() < MAX);
    let mut scan = Scan::new(MAX);
    for end in 0..split.len() {
        assert_eq!(parse_on(&mut scan, &split[..end]), Parsed::Incomplete);
    }
    let Parsed::Hello(hello) = parse_on(&mut scan, &split) else { panic!("complete") };
    assert_eq!(hello.sni.as_deref(), Some("allowed.test"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        parse(&bytes, MAX);
        parse(&[&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &bytes].concat(), MAX);
    }

    #[test]
    fn a_damaged_hello_is_decided_once(at in 0usize..198, byte: u8, cut in 0usize..198, max in 0usize..300) {
        let mut bytes = row("T001");
        bytes[at] = byte;
        let early = parse(&bytes[..cut], max);
        if early != Parsed::Incomplete {
            prop_assert_eq!(early, parse(&bytes, max));
        }
    }

    #[test]
    fn records_of_any_size_hold_the_same_hello(sizes in proptest::collection::vec(1usize..60, 1..40)) {
        let plain = row("T001");
        let mut rest = &plain[5..];
        let mut split = Vec::new();
        for size in sizes.into_iter().chain(std::iter::repeat(50)) {
            let (fragment, after) = rest.split_at(size.min(rest.len()));
            split.extend([22, 3, 3]);
            split.extend(vector16(fragment));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(parse(&split, MAX), parse(&plain, MAX));
    }
}
