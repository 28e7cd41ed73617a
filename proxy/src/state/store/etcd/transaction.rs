//! Our transactions in etcd's words.

use std::time::Duration;

use super::messages::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, PutRequest, Request, RequestOp, TargetUnion, TxnRequest,
};
use crate::state::store::{Condition, Transaction, Write};

/// Stands for the lease of a transaction until it is known. No lease has this number: etcd's are positive.
const TO_COME: i64 = -1;

/// How long the transaction's lease must last; none where no key of it has an end. One lease does for all of its keys: they
/// may go later.
pub(super) fn lease(transaction: &Transaction) -> Option<Duration> {
    let ends = transaction.writes.iter().filter_map(|write| match write {
        Write::Put { ttl, .. } => *ttl,
        Write::Delete { .. } => None,
    });
    ends.max()
}

/// How many keys there are more after a transaction, at most: a key that must be there, or goes, is none.
pub(super) fn more(transaction: &Transaction) -> usize {
    let there = |key: &String| {
        transaction.conditions.iter().any(|condition| match condition {
            Condition::At { key: known, .. } => known == key,
            Condition::Absent(_) => false,
        })
    };
    let new = transaction.writes.iter().filter(|write| match write {
        Write::Put { key, .. } => !there(key),
        Write::Delete { .. } => false,
    });
    let gone = transaction.writes.iter().filter(|write| match write {
        Write::Put { .. } => false,
        Write::Delete { key } => there(key),
    });
    new.count().saturating_sub(gone.count())
}

/// The transaction, with every key below `prefix`.
pub(super) fn request(prefix: &str, transaction: Transaction) -> TxnRequest {
    let full = |key: String| [prefix.as_bytes(), key.as_bytes()].concat();
    let compare = transaction.conditions.into_iter().map(|condition| {
        let (key, target, union) = match condition {
            Condition::Absent(key) => (key, CompareTarget::Create, TargetUnion::CreateRevision(0)),
            Condition::At { key, revision } => {
                // No key has the largest revision, so what does not fit holds for none.
                let revision = i64::try_from(revision).unwrap_or(i64::MAX);
                (key, CompareTarget::Mod, TargetUnion::ModRevision(revision))
            }
        };
        Compare {
            result: CompareResult::Equal.into(),
            target: target.into(),
            key: full(key),
            target_union: Some(union),
        }
    });
    let success = transaction.writes.into_iter().map(|write| {
        let request = match write {
            Write::Put { key, value, ttl } => {
                Request::Put(PutRequest { key: full(key), value, lease: ttl.map_or(0, |_| TO_COME) })
            }
            Write::Delete { key } => Request::DeleteRange(DeleteRangeRequest { key: full(key) }),
        };
        RequestOp { request: Some(request) }
    });
    TxnRequest { compare: compare.collect(), success: success.collect() }
}

/// Let the keys that have an end go with this lease.
pub(super) fn attach(request: &mut TxnRequest, lease: Option<i64>) {
    for operation in &mut request.success {
        match &mut operation.request {
            Some(Request::Put(put)) if put.lease == TO_COME => put.lease = lease.unwrap_or(0),
            Some(Request::Put(_) | Request::DeleteRange(_)) | None => {}
        }
    }
}

/// The first key after all that begin with `prefix`.
pub(super) fn after(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    // No byte of UTF-8 is 255.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_transaction_has_the_bytes_that_etcd_reads() {
        let transaction = Transaction {
            conditions: vec![Condition::Absent("a".to_owned()), Condition::At { key: "b".to_owned(), revision: 7 }],
            writes: vec![
                Write::Put { key: "a".to_owned(), value: b"v".to_vec(), ttl: None },
                Write::Delete { key: "b".to_owned() },
            ],
        };
        let bytes = request("p/", transaction).encode_to_vec();
        // By hand from rpc.proto: proto3 leaves out zeros, but not those of a oneof.
        let wanted: &[&[u8]] = &[
            &[0x0a, 9, 0x10, 1, 0x1a, 3, b'p', b'/', b'a', 0x28, 0],
            &[0x0a, 9, 0x10, 2, 0x1a, 3, b'p', b'/', b'b', 0x30, 7],
            &[0x12, 10, 0x12, 8, 0x0a, 3, b'p', b'/', b'a', 0x12, 1, b'v'],
            &[0x12, 7, 0x1a, 5, 0x0a, 3, b'p', b'/', b'b'],
        ];
        assert_eq!(bytes, wanted.concat());
    }

    #[test]
    fn keys_with_an_end_share_the_longest_lease() {
        let put = |key: &str, ttl| Write::Put { key: key.to_owned(), value: Vec::new(), ttl };
        let writes = vec![
            put("a", Some(Duration::from_secs(5))),
            put("b", None),
            put("c", Some(Duration::from_secs(90))),
            Write::Delete { key: "d".to_owned() },
        ];
        let transaction = Transaction { conditions: Vec::new(), writes };
        assert_eq!(lease(&transaction), Some(Duration::from_secs(90)));
        let mut request = request("p/", transaction);
        attach(&mut request, Some(77));
        let leases: Vec<i64> = request
            .success
            .iter()
            .filter_map(|operation| match &operation.request {
                Some(Request::Put(put)) => Some(put.lease),
                Some(Request::DeleteRange(_)) | None => None,
            })
            .collect();
        assert_eq!(leases, [77, 0, 77]);
        assert_eq!(lease(&Transaction { conditions: Vec::new(), writes: vec![put("a", None)] }), None);
    }

    #[test]
    fn a_key_that_must_be_there_or_goes_makes_a_store_no_larger() {
        let put = |key: &str| Write::Put { key: key.to_owned(), value: Vec::new(), ttl: None };
        let at = |key: &str| Condition::At { key: key.to_owned(), revision: 1 };
        let delete = |key: &str| Write::Delete { key: key.to_owned() };
        for (conditions, writes, wanted) in [
            (vec![], vec![put("a"), put("b")], 2),
            (vec![at("a")], vec![put("a"), put("b")], 1),
            (vec![at("c")], vec![put("a"), delete("c")], 0),
            (vec![], vec![put("a"), delete("who knows whether it is there")], 1),
            (vec![at("c")], vec![delete("c")], 0),
        ] {
            assert_eq!(more(&Transaction { conditions, writes }), wanted);
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_the_first_key_after_it() {
        assert_eq!(after("gatepass/"), b"gatepass0");
    }
}
