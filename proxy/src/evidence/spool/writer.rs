//! The one writer: numbers records, hashes them into the log, writes them in groups, and only then says that they stand.
//!
//! Records of a group that cannot be written stay here, numbered, and are tried again until the disk takes them; whoever
//! waits for one of them is told at once that it does not stand, and new connections are refused meanwhile.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use uuid::Uuid;

use super::disk::{Disk, is_full};
use super::ledger::Ledger;
use super::segment;
use super::shelf::Shelf;
use super::syncer::{Syncer, Task};
use super::unclosed::Run;
use crate::evidence::encode::{self, Encoded};
use crate::evidence::first_seen::{Journal, Pair};
use crate::evidence::queue::{Durability, Entry, Item, Queue, Queued, Slot};
use crate::evidence::recent::Recent;
use crate::evidence::record::Gap;
use crate::evidence::room::Room;
use crate::evidence::stdout::Lines;
use crate::evidence::{Limits, alarm, next_pause};
use crate::metrics::Metrics;

/// Bytes of frames in one write: what a disk takes in about a millisecond.
const GROUP_BYTES: usize = 1 << 20;

/// How often the writer looks after retention and the age of its segment when nothing else happens.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Records that are numbered and not yet settled.
#[derive(Default)]
struct Group {
    frames: Vec<u8>,
    last: u64,
    durability: Option<Durability>,
    waiters: Vec<Arc<Slot>>,
    items: Vec<(Item, Option<Room>)>,
    firsts: Vec<Pair>,
}

/// What the writer is made of.
pub(super) struct Parts {
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    pub recent: Arc<Recent>,
    pub limits: Limits,
    pub disk: Disk,
    pub ledger: Ledger,
    pub shelf: Shelf,
    pub lines: Option<Lines>,
    pub journal: Journal,
    /// The last record that stands, for whoever reads the spool.
    pub written: watch::Sender<u64>,
    /// What a recovery has to tell.
    pub gap: Option<Gap>,
    /// Admissions whose close a recovery missed.
    pub unclosed: Vec<Uuid>,
    /// Where it is kept from which record on closes may be missing.
    pub run: Run,
    /// Held until the writer has ended: one gateway at a time.
    pub lock: File,
}

/// The writer's thread.
struct Writer {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    recent: Arc<Recent>,
    limits: Limits,
    disk: Disk,
    ledger: Ledger,
    shelf: Shelf,
    lines: Option<Lines>,
    journal: Journal,
    written: watch::Sender<u64>,
    syncer: Syncer,
    group: Group,
    /// Buffers of records that are in the group, to be used again.
    buffers: Vec<Vec<u8>>,
    /// The attribute of the record's number.
    number: Vec<u8>,
    run: Run,
    synced_at: Instant,
    tended_at: Instant,
    _lock: File,
}

/// Start the thread. It ends when the queue is stopped and everything stands, or cannot.
pub(super) fn start(parts: Parts) -> io::Result<()> {
    let Parts {
        queue,
        metrics,
        recent,
        limits,
        disk,
        ledger,
        shelf,
        lines,
        journal,
        written,
        gap,
        unclosed,
        run,
        lock,
    } = parts;
    let now = Instant::now();
    let mut writer = Writer {
        queue,
        metrics,
        recent,
        limits,
        disk,
        ledger,
        shelf,
        lines,
        journal,
        written,
        syncer: Syncer::start()?,
        group: Group::default(),
        buffers: Vec::new(),
        number: Vec::with_capacity(64),
        synced_at: now,
        tended_at: now,
        run,
        _lock: lock,
    };
    let (first, recovered) = (writer.ledger.next(), gap.is_some() || !unclosed.is_empty());
    if let Some(gap) = gap {
        let record = writer.ledger.gap(gap);
        writer.put_own(first, Item::Gap(record));
    }
    for id in unclosed {
        let record = writer.ledger.close(id);
        writer.put_own(writer.ledger.next(), Item::Close(record, None));
    }
    writer.queue.begin(writer.ledger.next());
    // Closes of earlier runs stand before anything is asked of this one.
    writer.group.durability = recovered.then_some(Durability::Synced);
    writer.attempt()?;
    writer.run.begins(first)?;
    std::thread::Builder::new().name("evidence".into()).spawn(move || writer.run())?;
    Ok(())
}

impl Writer {
    fn run(mut self) {
        let mut taken = Vec::new();
        self.tend(Instant::now());
        while self.queue.take(&mut taken, self.pause()) {
            for queued in taken.drain(..) {
                self.add(queued);
                if self.group.frames.len() >= GROUP_BYTES {
                    self.commit();
                }
            }
            self.commit();
            self.tend(Instant::now());
        }
        self.finish();
    }

    /// How long there is nothing to do if no record comes.
    fn pause(&self) -> Duration {
        let busy = !self.disk.is_synced() || self.ledger.is_unsigned() || self.ledger.is_unpublished();
        if busy { self.limits.sync_interval.min(TEND_EVERY) } else { TEND_EVERY }
    }

    /// Hash a record and put it into the group.
    fn add(&mut self, queued: Queued) {
        let (number, entry) = match queued {
            Queued::Record(number, entry) => (number, entry),
            Queued::Checkpoint(number) => return self.checkpoint(number),
        };
        let Entry { item, encoded, room, durability, waiter, first } = entry;
        self.group.firsts.extend(first);
        self.put(number, item, encoded, room);
        self.group.waiters.extend(waiter);
        match durability {
            Durability::Synced => self.group.durability = Some(Durability::Synced),
            Durability::Interval => {}
        }
    }

    fn put(&mut self, sequence: u64, item: Item, encoded: Encoded, room: Option<Room>) {
        // The queue numbers, the log counts: the two are one.
        debug_assert_eq!(sequence, self.ledger.next());
        encode::sequence(sequence, &mut self.number);
        let (before, after) = encoded.pieces();
        let pieces = [before, &self.number, after];
        segment::write_frame(&pieces, &mut self.group.frames);
        self.ledger.append(&pieces);
        self.group.last = sequence;
        self.buffers.push(encoded.into_buffer());
        self.group.items.push((item, room));
    }

    /// A record of the log itself, which needs no room of anybody's.
    fn put_own(&mut self, number: u64, mut item: Item) {
        item.number(number);
        let encoded = Encoded::of(&item, self.queue.buffer());
        self.put(number, item, encoded, None);
    }

    fn checkpoint(&mut self, number: u64) {
        let record = self.ledger.sign();
        self.put_own(number, Item::Checkpoint(record));
        self.ledger.own_record_taken();
    }

    /// Write the group, and again until it stands or the queue is stopped.
    fn commit(&mut self) {
        if self.group.items.is_empty() && !self.disk.is_suspect() {
            return;
        }
        let mut pause = self.limits.retry_first;
        let started = Instant::now();
        while let Err(error) = self.attempt() {
            // First of all: who is refused now and comes again is not even dialled for.
            if self.queue.set_spool_fails(true) {
                alarm(&format!("evidence: the spool cannot be written to ({error}); new connections are refused"));
            }
            self.group.waiters.drain(..).for_each(|waiter| waiter.failed());
            self.shelve();
            // What every sink has may go earlier than it would, if that is what is missing.
            if is_full(&error) && self.shelf.make_room(|last| self.ledger.cover(last)) {
                continue;
            }
            if self.queue.sleep_unless_stopped(pause) {
                return;
            }
            pause = next_pause(pause, self.limits.retry_longest);
            self.absorb();
        }
        self.metrics.evidence_commit.record(started.elapsed());
        self.settle();
    }

    /// Records that came meanwhile belong to the group that waits, so that their room is accounted for once.
    fn absorb(&mut self) {
        let mut taken = Vec::new();
        self.queue.take(&mut taken, Duration::ZERO);
        taken.into_iter().for_each(|queued| self.add(queued));
    }

    fn attempt(&mut self) -> io::Result<()> {
        let frames = self.group.frames.len() as u64;
        let written = self.disk.written();
        let holds_records = written.last >= self.disk.first();
        let full = written.end + frames > self.limits.segment_bytes || self.disk.is_ended();
        if holds_records && frames > 0 && full {
            self.roll()?;
        }
        if frames > 0 {
            self.disk.append(&mut self.group.frames, self.group.last)?;
        }
        if self.group.durability == Some(Durability::Synced) || self.disk.is_suspect() {
            self.await_syncer();
            self.disk.sync()?;
        }
        Ok(())
    }

    /// Everything in the group stands.
    fn settle(&mut self) {
        if self.queue.set_spool_fails(false) {
            alarm("evidence: the spool takes records again");
        }
        self.group.durability = None;
        for (item, _) in &self.group.items {
            if let Item::Decision(record) = item {
                self.metrics.admitted(record);
            }
        }
        self.group.waiters.drain(..).for_each(|waiter| waiter.stands());
        self.queue.give_back(&mut self.buffers);
        self.shelve();
        self.metrics.evidence_records.increment(self.group.items.len() as u64);
        self.queue.space().set_used(self.shelf.bytes() + self.disk.written().end);
        for (item, room) in self.group.items.drain(..) {
            if let Some(lines) = &self.lines {
                // The thread is gone only where the process is about to be.
                let _ = lines.send((item, room));
            }
        }
        self.recent.trim();
        self.written.send_replace(self.group.last);
        if let Err(error) = self.journal.add(&mut self.group.firsts) {
            self.ledger.complain(&error);
        }
        if let Err(error) = self.ledger.write_tiles() {
            self.ledger.complain(&error);
        }
    }

    fn roll(&mut self) -> io::Result<()> {
        self.await_syncer();
        self.disk.roll()
    }

    /// Segments that were ended, by rolling or by a disk that failed, are looked after from now on.
    fn shelve(&mut self) {
        for (first, extent) in self.disk.take_sealed() {
            self.shelf.sealed(first, extent);
        }
    }

    /// What only time brings about.
    fn tend(&mut self, now: Instant) {
        let ended = self.syncer.ended();
        self.heed(ended);
        if self.disk.unsynced_bytes() > self.limits.unsynced_bytes {
            // The disk is slower than the records: everyone waits for it rather than memory filling up.
            self.begin_sync(now);
            self.await_syncer();
        }
        if !self.disk.is_synced() && now.duration_since(self.synced_at) >= self.limits.sync_interval {
            self.begin_sync(now);
        }
        if self.ledger.is_unsigned() && self.ledger.since_signed(now) >= self.limits.checkpoint_interval {
            self.queue.push_checkpoint();
            self.absorb();
        }
        // Also where the disk was found suspect just now.
        self.commit();
        if let Err(error) = self.ledger.publish(self.disk.synced_last(), now) {
            self.ledger.complain(&error);
        }
        if now.duration_since(self.tended_at) >= TEND_EVERY {
            self.tended_at = now;
            self.look_after_shelf(now);
        }
    }

    fn look_after_shelf(&mut self, now: Instant) {
        // Where it cannot be looked at, the next look tells.
        if !self.disk.look().unwrap_or(true) {
            alarm("evidence: the segment that is being written was removed; it is written anew");
        }
        let holds_records = self.disk.written().last >= self.disk.first();
        if holds_records && now.duration_since(self.disk.begun()) >= self.limits.segment_age {
            // Where this fails the next look, or the next record, tries again and says so.
            let _ = self.roll();
        }
        self.shelve();
        let wanted = self.queue.space().wanted();
        if let Some(dropped) = self.shelf.tend(wanted, |last| self.ledger.cover(last)) {
            self.metrics.evidence_dropped.increment(dropped.records);
            let record = self.ledger.gap(dropped.run);
            self.queue.push_own(Item::Gap(record));
        }
        self.absorb();
        self.commit();
        self.queue.space().set_used(self.shelf.bytes() + self.disk.written().end);
        self.shelf.observe(&self.metrics, self.queue.space());
    }

    fn begin_sync(&mut self, now: Instant) {
        self.synced_at = now;
        if let Some((file, to)) = self.disk.to_sync() {
            self.syncer.begin(Task { file, to });
        }
    }

    fn await_syncer(&mut self) {
        let ended = self.syncer.wait();
        self.heed(ended);
    }

    fn heed(&mut self, ended: Option<(Task, io::Result<()>)>) {
        let Some((task, outcome)) = ended else { return };
        if let Err(error) = self.disk.synced_beside(&task.file, task.to, outcome) {
            alarm(&format!("evidence: the disk did not take the spool ({error}); it is written anew elsewhere"));
        }
    }

    /// The last checkpoint, everything on the disk, and the checkpoint where auditors look for it.
    fn finish(&mut self) {
        self.queue.push_checkpoint();
        self.absorb();
        self.commit();
        self.metrics.evidence_lost.increment(self.group.items.len() as u64);
        self.await_syncer();
        if let Err(error) = self.disk.sync() {
            alarm(&format!("evidence: the spool could not be brought to the disk at the end: {error}"));
        }
        let closed = self.group.items.is_empty() && self.disk.is_synced() && self.queue.used() == 0;
        // What was open at the end of a run that ends as it should has its close: there is nothing to look for.
        let ended = if closed { self.run.begins(self.ledger.next()) } else { Ok(()) };
        if let Err(error) = ended.and_then(|()| self.ledger.finish(self.disk.synced_last())) {
            self.ledger.complain(&error);
        }
    }
}
