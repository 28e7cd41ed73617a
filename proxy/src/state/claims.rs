//! What happens once: claims on requests, codes that were used, and how often one person may ask.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// Persons that are remembered; beyond that the one that was quiet longest is forgotten.
const PERSONS_MAX: usize = 1_000;

/// Token buckets by person.
#[derive(Debug, Default)]
pub(super) struct Rate {
    persons: HashMap<String, (f64, Instant)>,
}

impl Rate {
    /// Take one of `per_minute`, or say how long until there is one.
    pub fn take(&mut self, person: &str, per_minute: u32) -> Result<(), Duration> {
        let (now, most) = (Instant::now(), f64::from(per_minute.max(1)));
        if self.persons.len() >= PERSONS_MAX && !self.persons.contains_key(person) {
            let oldest = self.persons.iter().min_by_key(|(_, (_, at))| *at).map(|(person, _)| person.clone());
            oldest.map(|oldest| self.persons.remove(&oldest));
        }
        let (left, at) = self.persons.entry(person.to_ascii_lowercase()).or_insert((most, now));
        *left = (*left + now.duration_since(*at).as_secs_f64() * most / 60.0).min(most);
        *at = now;
        if *left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - *left) * 60.0 / most));
        }
        *left -= 1.0;
        Ok(())
    }
}

/// A key that the same request always has, and no other: each part with its length before it.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_may_ask_so_often_and_another_all_the_same() {
        let mut rate = Rate::default();
        for _ in 0..3 {
            assert!(rate.take("a", 3).is_ok());
        }
        let wait = rate.take("A", 3).unwrap_err();
        assert!(wait > Duration::from_secs(15) && wait <= Duration::from_secs(20), "{wait:?}");
        assert!(rate.take("b", 3).is_ok());
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_eq!(fingerprint(&["ab", "c"]).len(), 64);
    }
}
