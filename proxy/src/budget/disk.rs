//! The day's bytes on the disk. Noted in steps before they move, so a gateway that is killed has used at most what the disk
//! says, and counts at most a step too many; lowered to what was really used when nothing of an account is open, and at the
//! end. Notes of other days are forgotten.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::account::{Account, Key, Noted};
use super::{Books, Budgets, day_of};
use crate::clock::Clock;
use crate::state::store::Local;

/// Under what the notes stand: then the rule's path, a slash, and the identity.
const PREFIX: &str = "budget/";

/// How often what is idle is settled and forgotten.
const ROUND: Duration = Duration::from_secs(2);

/// The pause after the disk failed.
const PAUSE: Duration = Duration::from_secs(1);

impl Budgets {
    /// With what the disk noted of today. There is room for so many pairs of rule and identity.
    ///
    /// # Errors
    /// The disk does not answer. A note that cannot be read counts as a day that is spent.
    pub async fn load(local: Local, clock: Clock, room: usize) -> Result<Budgets, String> {
        let noted = local.notes(PREFIX).await.map_err(|error| format!("the bytes of the day: {error}"))?;
        let today = day_of(clock.now());
        let found: Vec<(Key, Option<Note>)> =
            noted.iter().filter_map(|(key, bytes)| Some((parse(key)?, Note::read(bytes)))).collect();
        let latest = found.iter().filter_map(|(_, note)| note.as_ref().map(|note| note.day)).fold(today, i64::max);
        let accounts = found.into_iter().map(|(key, note)| {
            let note = note.unwrap_or_else(|| {
                eprintln!("limits: what was noted of a day under {} cannot be read: it counts as spent", key.rule);
                Note { day: latest, upload: u64::MAX, download: u64::MAX }
            });
            // What is not of today is forgotten with the first round.
            (key.clone(), Arc::new(Account::of_disk(key, note.day, note.upload, note.download)))
        });
        let accounts = std::sync::Mutex::new(accounts.collect());
        Ok(Budgets(Arc::new(Books { accounts, at_least: latest, ..Books::empty(local, clock, room) })))
    }

    /// Note what is asked for, at once, and settle what is idle, every few seconds. Never returns.
    pub async fn keep(self) {
        let books = &self.0;
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = books.asked.notified() => books.answer().await,
                _ = round.tick() => books.tidy().await,
            }
        }
    }

    /// Let the disk say what was really used, as far as nothing is open. Before the end.
    pub async fn settle(&self) {
        self.0.answer().await;
        self.0.tidy().await;
    }
}

impl Books {
    /// Note more for all that ask.
    async fn answer(&self) {
        let _alone = self.writing.lock().await;
        let asking = std::mem::take(&mut *self.asking.lock().unwrap_or_else(PoisonError::into_inner));
        if asking.is_empty() {
            return;
        }
        let day = self.day();
        let marked = asking.iter().map(|account| {
            let ledger = account.ledger(day);
            let (upload, download) = ledger.marks();
            (account, Note { day: ledger.day, upload, download })
        });
        let marked: Vec<(&Arc<Account>, Note)> = marked.collect();
        let notes: Vec<_> = marked.iter().map(|(account, note)| (name(&account.key), Some(note.write()))).collect();
        if let Err(error) = self.local.note_all(notes).await {
            eprintln!("limits: the bytes of the day cannot be noted, and what they are needed for waits: {error}");
            tokio::time::sleep(PAUSE).await;
            asking.iter().for_each(|account| self.ask(account));
            return;
        }
        for (account, note) in marked {
            let mut ledger = account.ledger(self.day());
            ledger.kept(note.day, note.upload, note.download);
            if ledger.asks() {
                drop(ledger);
                self.ask(account);
            }
        }
    }

    /// Settle what is idle, and forget what is not of today.
    async fn tidy(&self) {
        let _alone = self.writing.lock().await;
        let (day, now) = (self.day(), Instant::now());
        let mut notes = Vec::new();
        self.accounts().retain(|key, account| {
            let mut ledger = account.ledger(day);
            // Whoever takes a seat has the lock on the accounts, and then this one is not idle.
            if ledger.is_idle(now) && Arc::strong_count(account) == 1 {
                if ledger.noted == Noted::Yes {
                    notes.push((name(key), None));
                }
                return false;
            }
            if let Some((upload, download)) = ledger.settle() {
                notes.push((name(key), Some(Note { day: ledger.day, upload, download }.write())));
            }
            true
        });
        // What fails here leaves more on the disk than was used, which is the safe side.
        if !notes.is_empty()
            && let Err(error) = self.local.note_all(notes).await
        {
            eprintln!("limits: the bytes of the day cannot be noted: {error}");
        }
    }
}

fn name(key: &Key) -> String {
    format!("{PREFIX}{}/{}", key.rule, key.identity)
}

/// A path has one slash; an identity may have any number.
fn parse(name: &str) -> Option<Key> {
    let rest = name.strip_prefix(PREFIX)?;
    let (document, rest) = rest.split_once('/')?;
    let (rule, identity) = rest.split_once('/')?;
    Some(Key { rule: format!("{document}/{rule}").into(), identity: identity.into() })
}

/// Bytes that may have moved on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    day: i64,
    upload: u64,
    download: u64,
}

impl Note {
    fn write(self) -> Vec<u8> {
        [self.day.to_be_bytes(), self.upload.to_be_bytes(), self.download.to_be_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Option<Note> {
        let (day, rest) = bytes.split_first_chunk::<8>()?;
        let (upload, rest) = rest.split_first_chunk::<8>()?;
        let (download, rest) = rest.split_first_chunk::<8>()?;
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        rest.is_empty().then(|| Note {
            day: i64::from_be_bytes(*day),
            upload: number(upload),
            download: number(download),
        })
    }
}
