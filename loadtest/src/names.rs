//! Who is who on loopback: the thousand destinations of a run, and the addresses that clients come from.

use std::net::Ipv4Addr;

/// As many names as the bundle has rules, and as Squid's allow list has lines.
pub const COUNT: u16 = 1_000;

/// A proxy that closes first leaves a port behind for a minute on each pair of addresses (TIME_WAIT): 16 addresses
/// have room for 450,000 such connections to one service.
pub const ADDRESSES: u8 = 16;

/// Addresses of clients: each has ports of its own, so that none runs out while closed connections wait for a minute.
pub const SOURCES: u8 = 250;

/// Where the client with this number comes from; wraps around.
pub fn source(number: usize) -> Ipv4Addr {
    let last = u8::try_from(number % usize::from(SOURCES)).unwrap_or(0);
    Ipv4Addr::new(127, 0, 1, last.saturating_add(1))
}

/// The name with this number, which wraps around.
pub fn name(number: usize) -> String {
    format!("svc-{:04}.bench.test", number % usize::from(COUNT))
}

/// Where the name with this number is.
pub fn address(number: usize) -> Ipv4Addr {
    nth(number % usize::from(ADDRESSES))
}

/// Every address that a name may have.
pub fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    (0..usize::from(ADDRESSES)).map(nth)
}

/// The address of `name`, if it is one of ours.
pub fn lookup(name: &str) -> Option<Ipv4Addr> {
    let name = name.to_ascii_lowercase();
    let digits = name.strip_prefix("svc-")?.strip_suffix(".bench.test")?;
    // Parsing alone takes a sign.
    let plain = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let number: u16 = plain.then(|| digits.parse().ok()).flatten()?;
    (number < COUNT).then(|| address(usize::from(number)))
}

fn nth(number: usize) -> Ipv4Addr {
    // 127.0.2.x: apart from 127.0.0.1, where the proxies listen, and from the load's own 127.0.1.x.
    Ipv4Addr::new(127, 0, 2, u8::try_from(number).unwrap_or(0).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_where_it_is_and_nothing_else_is() {
        for number in 0..usize::from(COUNT) {
            assert_eq!(lookup(&name(number)), Some(address(number)));
        }
        assert_eq!(lookup("SVC-0017.bench.TEST"), Some(address(17)));
        for other in ["svc-1000.bench.test", "svc-17.bench.test", "svc-+017.bench.test", "a.bench.test", ""] {
            assert_eq!(lookup(other), None, "{other}");
        }
    }

    #[test]
    fn names_use_every_address() {
        let mut seen: Vec<Ipv4Addr> = (0..usize::from(COUNT)).map(address).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, addresses().collect::<Vec<_>>());
        assert!(seen.iter().all(Ipv4Addr::is_loopback));
    }
}
