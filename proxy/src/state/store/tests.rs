//! What both backends refuse before anything is sent.

use super::*;

fn put(key: &str, length: usize) -> Write {
    Write::Put { key: key.to_owned(), value: vec![0; length], ttl: None }
}

#[test]
fn a_transaction_that_one_backend_would_refuse_is_refused_by_both() {
    let absent = |key: &str| Condition::Absent(key.to_owned());
    let many: Vec<Write> = (0..=OPERATIONS_MAX).map(|number| put(&number.to_string(), 1)).collect();
    for (conditions, writes, why) in [
        (vec![], vec![], "it writes nothing"),
        (vec![], many, "more than 128 conditions or writes"),
        (vec![absent("a"); OPERATIONS_MAX + 1], vec![put("a", 1)], "more than 128 conditions or writes"),
        (vec![absent("")], vec![put("a", 1)], "a key has from 1 to 1024 bytes"),
        (vec![], vec![put("", 1)], "a key has from 1 to 1024 bytes"),
        (vec![], vec![put(&"k".repeat(KEY_MAX + 1), 1)], "a key has from 1 to 1024 bytes"),
        (vec![], vec![put("a\0b", 1)], "none of them is zero"),
        (vec![], vec![put("a", BYTES_MAX)], "longer than 1048576 bytes"),
        (vec![], vec![put("b", 1), put("a", 1), Write::Delete { key: "b".to_owned() }], "writes a key twice"),
    ] {
        let refused = checked(&Transaction { conditions, writes }).expect_err(why);
        assert!(refused.0.contains(why), "{refused}");
        assert!(refused.0.starts_with("the transaction is not sent: "), "{refused}");
    }
    let fits = Transaction { conditions: vec![absent("a")], writes: vec![put("a", BYTES_MAX - 1)] };
    assert_eq!(checked(&fits), Ok(()));
}
