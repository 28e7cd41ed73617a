//! The scripted DNS server: one A record for each of our names, authoritatively nothing for all else (RFC 1035).

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::{Failure, names};

/// Long enough that no answer ends within a run.
const TTL: u32 = 3_600;
const TYPE_A: u16 = 1;
const NO_ERROR: u8 = 0;
const NAME_ERROR: u8 = 3;
/// A pointer (section 4.1.4) to the name in the question, which follows the 12 bytes of the header.
const ASKED_NAME: [u8; 2] = [0xc0, 12];

/// Answer questions on a port of our own for as long as the runtime lives.
pub async fn serve() -> Result<SocketAddr, Failure> {
    let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let socket = bound.map_err(Failure::at("the DNS server cannot bind"))?;
    let address = socket.local_addr().map_err(Failure::at("the DNS server has no address"))?;
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            // An error is a client that did not wait for its answer.
            let Ok((length, from)) = socket.recv_from(&mut query).await else { continue };
            if let Some(answer) = query.get(..length).and_then(answer) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    Ok(address)
}

/// What is answered to `query`; nothing to what is no question.
pub fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = query.split_first_chunk::<12>()?;
    let [id_high, id_low, flags, _, 0, 1, ..] = *header else { return None };
    // QR and OPCODE: a standard query (section 4.1.1).
    if flags & 0b1111_1000 != 0 {
        return None;
    }
    let (name, after) = labels(rest)?;
    let ([type_high, type_low, _, _], _) = after.split_first_chunk::<4>()?;
    let asked = rest.get(..rest.len() - after.len() + 4)?;
    let address = names::lookup(&name);
    let (code, found) = match address {
        None => (NAME_ERROR, None),
        Some(address) if u16::from_be_bytes([*type_high, *type_low]) == TYPE_A => (NO_ERROR, Some(address)),
        Some(_) => (NO_ERROR, None),
    };
    let (answers, authorities) = if found.is_some() { (1, 0) } else { (0, 1) };
    let recursion_desired = flags & 1;
    let mut message = vec![id_high, id_low, 0b1000_0100 | recursion_desired, 0b1000_0000 | code];
    message.extend([0, 1, 0, answers, 0, authorities, 0, 0]);
    message.extend(asked);
    match found {
        Some(address) => record(&mut message, 1, &address.octets()),
        None => record(&mut message, 6, &start_of_authority()),
    }
    Some(message)
}

/// The name in a question, and what follows it. A question has no pointers in it.
fn labels(mut rest: &[u8]) -> Option<(String, &[u8])> {
    let mut name = String::new();
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            return Some((name, after));
        }
        let (label, after) = (*length < 64).then(|| after.split_at_checked(usize::from(*length)))??;
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(std::str::from_utf8(label).ok()?);
        rest = after;
    }
}

fn record(message: &mut Vec<u8>, kind: u8, data: &[u8]) {
    message.extend(ASKED_NAME);
    message.extend([0, kind, 0, 1]);
    message.extend(TTL.to_be_bytes());
    message.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    message.extend(data);
}

/// Makes "no such address" something that can be cached (RFC 2308 section 5).
fn start_of_authority() -> Vec<u8> {
    let mut data = vec![0, 0];
    for number in [1, TTL, TTL, TTL, TTL] {
        data.extend(number.to_be_bytes());
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(label.len() as u8);
            query.extend(label.as_bytes());
        }
        query.push(0);
        query.extend(kind.to_be_bytes());
        query.extend([0, 1]);
        query
    }

    #[test]
    fn a_known_name_has_its_address() {
        let query = question("svc-0017.bench.test", TYPE_A);
        let answer = answer(&query).unwrap();
        assert_eq!(&answer[..12], [0xab, 0xcd, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(&answer[12..query.len()], &query[12..]);
        let record = &answer[query.len()..];
        assert_eq!(record, [0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 127, 0, 2, 2]);
    }

    #[test]
    fn a_known_name_has_no_other_record_and_the_answer_can_be_kept() {
        let query = question("svc-0017.bench.test", 28);
        let answer = answer(&query).unwrap();
        assert_eq!(&answer[2..12], [0x85, 0x80, 0, 1, 0, 0, 0, 1, 0, 0]);
        let record = &answer[query.len()..];
        assert_eq!(&record[..12], [0xc0, 12, 0, 6, 0, 1, 0, 0, 0x0e, 0x10, 0, 22]);
        assert_eq!(record.len(), 12 + 22);
    }

    #[test]
    fn an_unknown_name_does_not_exist() {
        let answer = answer(&question("example.test", TYPE_A)).unwrap();
        assert_eq!(answer[3] & 15, NAME_ERROR);
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let query = question("svc-0017.bench.test", TYPE_A);
        for length in 0..query.len() {
            assert_eq!(answer(&query[..length]), None, "{length}");
        }
        let mut response = query.clone();
        response[2] |= 0x80;
        assert_eq!(answer(&response), None);
        let mut two = query;
        two[5] = 2;
        assert_eq!(answer(&two), None);
    }
}
