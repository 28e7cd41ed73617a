//! The loop of one way to a sink: what to read next, what is under way, and how far the cursor may move.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::cursor::Cursor;
use super::deliver::Delivery;
use super::piece::Piece;
use crate::evidence::alarm;
use crate::evidence::spool::follow::{Batch, Fault, Follower};

/// How long a batch that is not full waits for more: a request for every record would cost both sides more than it is
/// worth, and nobody looks at a collector that closely.
const LINGER: Duration = Duration::from_millis(20);

/// The pause after the spool or the cursor could not be read or written, and where records are not there yet.
const PAUSE: Duration = Duration::from_millis(200);

/// One way to a sink.
pub(super) struct Way {
    delivery: Arc<Delivery>,
    cursor: Arc<Cursor>,
    /// Batches that were read, in their order, from the first that is not through.
    window: VecDeque<UnderWay>,
    /// The last record of the last batch that was read.
    read: u64,
    /// The last record before the first that is not through.
    through: u64,
    /// What the cursor's file says.
    position: watch::Sender<u64>,
    follower: Reading,
    storing: Storing,
    /// Whether the last read of the spool, or the last write of the cursor, failed.
    trouble: Trouble,
    tasks: JoinSet<Event>,
}

/// A batch between its reading and the cursor.
struct UnderWay {
    last: u64,
    state: Delivered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivered {
    NotYet,
    Yes,
}

/// Who has the follower.
enum Reading {
    /// Nobody: a read may begin.
    Idle(Box<Follower>),
    /// It is to be opened again.
    Closed,
    /// A task, which brings it back.
    UnderWay,
}

/// Whether the cursor's file is being written: one writer at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storing {
    Idle,
    UnderWay,
}

/// Whether the operator was told that the disk fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Told,
}

/// What a task of the way has done.
enum Event {
    /// Reading.
    Read(Box<Follower>, Result<Option<Batch>, Fault>),
    /// Reading, and it took the follower with it.
    ReaderDied,
    /// Delivering the batch that ends with this record.
    Delivered(u64),
    /// Writing this number to the cursor's file.
    Stored(u64, io::Result<()>),
}

impl Way {
    pub fn new(delivery: Arc<Delivery>, cursor: Cursor, from: u64, position: watch::Sender<u64>) -> Way {
        Way {
            delivery,
            cursor: Arc::new(cursor),
            window: VecDeque::new(),
            read: from,
            through: from,
            position,
            follower: Reading::Closed,
            storing: Storing::Idle,
            trouble: Trouble::None,
            tasks: JoinSet::new(),
        }
    }

    /// Ship until told to stop.
    pub async fn run(mut self, mut written: watch::Receiver<u64>, mut stop: watch::Receiver<bool>) {
        loop {
            let last = *written.borrow_and_update();
            self.read_on(last);
            self.store();
            tokio::select! {
                // An error means that nobody holds the way any more.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(done) = self.tasks.join_next() => match done {
                    Ok(event) => self.happened(event),
                    Err(error) => self.again(&error.to_string()),
                },
                Ok(()) = written.changed() => {}
            }
        }
        self.end().await;
    }

    /// Read the next batch, where there is one and room for it.
    fn read_on(&mut self, last: u64) {
        let limits = self.delivery.limits;
        if self.read >= last || self.window.len() >= self.delivery.sink.lanes(limits.in_flight) {
            return;
        }
        let follower = match std::mem::replace(&mut self.follower, Reading::UnderWay) {
            Reading::Idle(follower) => Some(follower),
            Reading::Closed => None,
            Reading::UnderWay => return,
        };
        let full = last - self.read >= limits.records as u64;
        let follower = follower.unwrap_or_else(|| Box::new(Follower::open(&self.delivery.spool, self.read)));
        self.tasks.spawn(async move {
            if !full {
                tokio::time::sleep(LINGER).await;
            }
            let read = move || read(follower, limits.records, limits.bytes);
            let Ok((follower, batch)) = tokio::task::spawn_blocking(read).await else { return Event::ReaderDied };
            match &batch {
                Ok(Some(_)) | Err(Fault::Removed { .. } | Fault::Damaged { .. }) => {}
                // What was written is not to be seen yet, or the disk fails.
                Ok(None) | Err(Fault::Io(_)) => tokio::time::sleep(PAUSE).await,
            }
            Event::Read(follower, batch)
        });
    }

    /// Write the cursor, where it has moved.
    fn store(&mut self) {
        if self.storing == Storing::UnderWay || self.through <= *self.position.borrow() {
            return;
        }
        self.storing = Storing::UnderWay;
        let (cursor, sequence) = (self.cursor.clone(), self.through);
        self.tasks.spawn(async move {
            let stored = match tokio::task::spawn_blocking(move || cursor.advance(sequence)).await {
                Ok(stored) => stored,
                Err(error) => Err(io::Error::other(error)),
            };
            if stored.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            Event::Stored(sequence, stored)
        });
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Read(follower, read) => {
                let position = follower.position();
                self.follower = Reading::Idle(follower);
                match read {
                    Ok(None) => {}
                    Ok(Some(batch)) => self.took(Piece::whole(batch)),
                    Err(fault) => self.missed(&fault, position),
                }
            }
            Event::ReaderDied => self.again("the reader of the spool died"),
            Event::Delivered(last) => {
                for batch in self.window.iter_mut().filter(|batch| batch.last == last) {
                    batch.state = Delivered::Yes;
                }
                self.settle();
            }
            Event::Stored(sequence, stored) => {
                self.storing = Storing::Idle;
                match stored {
                    Ok(()) => {
                        self.trouble = Trouble::None;
                        self.position.send_replace(sequence);
                    }
                    Err(error) => self.tell(&format!("`{}` cannot be written: {error}", self.cursor.path().display())),
                }
            }
        }
    }

    /// Deliver a batch that was read.
    fn took(&mut self, batch: Piece) {
        let Some(last) = batch.frames().last().map(|(sequence, _)| *sequence) else { return };
        self.read = last;
        self.window.push_back(UnderWay { last, state: Delivered::NotYet });
        let delivery = self.delivery.clone();
        self.tasks.spawn(async move {
            delivery.through(batch).await;
            Event::Delivered(last)
        });
    }

    /// Go on behind records that cannot be had.
    fn missed(&mut self, fault: &Fault, position: u64) {
        match fault {
            // A sink that has had nothing yet begins with the oldest that there is.
            Fault::Removed { first: 1, .. } => {}
            Fault::Removed { .. } | Fault::Damaged { .. } => {
                alarm(&format!("evidence: {} cannot have all: {fault}", self.delivery.sink.title()));
            }
            Fault::Io(_) => self.tell(&fault.to_string()),
        }
        if position > self.read {
            self.read = position;
            self.window.push_back(UnderWay { last: position, state: Delivered::Yes });
            self.settle();
        }
    }

    /// Move over what is through without a gap before it.
    fn settle(&mut self) {
        while let Some(first) = self.window.pop_front_if(|batch| batch.state == Delivered::Yes) {
            self.through = first.last;
        }
    }

    /// Begin again at the cursor: a task that died took with it what it held.
    fn again(&mut self, why: &str) {
        self.tell(&format!("shipping to {} begins again at the cursor: {why}", self.delivery.sink.title()));
        self.tasks.abort_all();
        self.tasks.detach_all();
        self.window.clear();
        (self.follower, self.storing) = (Reading::Closed, Storing::Idle);
        self.through = *self.position.borrow();
        self.read = self.through;
    }

    fn tell(&mut self, what: &str) {
        if std::mem::replace(&mut self.trouble, Trouble::Told) == Trouble::None {
            alarm(&format!("evidence: {what}"));
        }
    }

    /// Give up what is under way, and write the cursor for what is through.
    async fn end(mut self) {
        self.tasks.shutdown().await;
        self.delivery.sink.close().await;
        if self.through > *self.position.borrow() {
            let (cursor, sequence) = (self.cursor.clone(), self.through);
            // What is not written is sent again.
            if let Ok(Ok(())) = tokio::task::spawn_blocking(move || cursor.advance(sequence)).await {
                self.position.send_replace(sequence);
            }
        }
    }
}

fn read(mut follower: Box<Follower>, records: usize, bytes: usize) -> (Box<Follower>, Result<Option<Batch>, Fault>) {
    let batch = follower.next_batch(records, bytes);
    (follower, batch)
}
