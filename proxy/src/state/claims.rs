//! What happens once: claims on requests, codes that were used, and how often one person may ask.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::State;
use super::store::{Committed, Condition, Transaction, Unavailable, Write};
use crate::admin::totp::Spent;

/// Persons that are remembered; beyond that the one that was quiet longest is forgotten.
const PERSONS_MAX: usize = 1_000;

/// Where the last code of each person that was used is kept.
const CODES: &str = "codes/";

/// Tries to write that a code is used, while others do the same.
const TRIES: usize = 4;

impl State {
    /// Let the code of this step be used: once, and no earlier one after it, on all gateways and over restarts. Where the
    /// store is away this gateway remembers it alone, for what is granted then needs a second person anyway.
    pub async fn spend_code(&self, person: &str, step: u64) -> Spent {
        let key = format!("{CODES}{}", fingerprint(&[&person.to_ascii_lowercase()]));
        match self.last_local_code(&key).await {
            Ok(Some(last)) if step <= last => return Spent::Before,
            Ok(_) => {}
            Err(why) => return Spent::Unkept(why),
        }
        for _ in 0..TRIES {
            match self.spend_in_store(&key, step).await {
                Ok(Some(spent)) => return spent,
                Ok(None) => {}
                Err(_) if self.is_shared() => return self.spend_here(&key, step).await,
                Err(error) => return Spent::Unkept(error.to_string()),
            }
        }
        Spent::Unkept("others write the same: try the next code".to_owned())
    }

    /// On this gateway alone; of two at once, one.
    async fn spend_here(&self, key: &str, step: u64) -> Spent {
        let _turn = self.local_turn.lock().await;
        match self.last_local_code(key).await {
            Ok(Some(last)) if step <= last => return Spent::Before,
            Ok(_) => {}
            Err(why) => return Spent::Unkept(why),
        }
        let noted = self.local.note(key, step.to_string().as_bytes()).await;
        noted.map_or_else(|error| Spent::Unkept(error.to_string()), |()| Spent::Now)
    }

    async fn last_local_code(&self, key: &str) -> Result<Option<u64>, String> {
        let noted = self.local.noted(key).await.map_err(|error| error.to_string())?;
        // What cannot be read counts as the last code of all time.
        Ok(noted.map(|bytes| String::from_utf8_lossy(&bytes).parse().unwrap_or(u64::MAX)))
    }

    /// `None` where somebody else wrote meanwhile.
    async fn spend_in_store(&self, key: &str, step: u64) -> Result<Option<Spent>, Unavailable> {
        let view = self.store.view().await?;
        let kept = view.kept.iter().find(|kept| kept.key == key);
        let condition = match kept {
            None => Condition::Absent(key.to_owned()),
            Some(kept) => {
                let last: u64 = String::from_utf8_lossy(&kept.value).parse().unwrap_or(u64::MAX);
                if step <= last {
                    return Ok(Some(Spent::Before));
                }
                Condition::At { key: key.to_owned(), revision: kept.revision }
            }
        };
        let value = step.to_string().into_bytes();
        let writes = vec![Write::Put { key: key.to_owned(), value, ttl: None }];
        match self.store.commit(Transaction { conditions: vec![condition], writes }).await? {
            Committed::Yes { .. } => Ok(Some(Spent::Now)),
            Committed::No => Ok(None),
        }
    }
}

/// Token buckets by person.
#[derive(Debug, Default)]
pub(super) struct Rate {
    persons: HashMap<String, (f64, Instant)>,
}

impl Rate {
    /// Take one of `per_minute`, or say how long until there is one.
    pub fn take(&mut self, person: &str, per_minute: u32) -> Result<(), Duration> {
        let (now, most) = (Instant::now(), f64::from(per_minute.max(1)));
        let person = person.to_ascii_lowercase();
        if self.persons.len() >= PERSONS_MAX && !self.persons.contains_key(&person) {
            let oldest = self.persons.iter().min_by_key(|(_, (_, at))| *at).map(|(person, _)| person.clone());
            oldest.map(|oldest| self.persons.remove(&oldest));
        }
        let (left, at) = self.persons.entry(person).or_insert((most, now));
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
