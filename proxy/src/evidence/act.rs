//! Records of what people do: grants, exceptions, the mode, and every call of the admin listener.

use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::Evidence;
use super::encode::Encoded;
use super::queue::{Durability, Entry, Item, Slot, Unavailable};
use super::record::SCHEMA;
use super::room::Room;
use super::spelling;
use super::text::{IDENTITY_MAX, LIST_MAX, REASON_MAX, Text};
use super::words::{ActKind, FloorMark};

/// Who did it, and how that was established.
#[derive(Clone, Debug, Serialize)]
pub struct By {
    /// The operator's name.
    pub name: Text,
    /// The person: several operators can be one.
    pub person: Text,
    /// `certificate`, `token` or `oidc`.
    pub by: &'static str,
}

/// One particular.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Detail {
    /// Text.
    Text(Text),
    /// Several.
    Texts(Vec<Text>),
    /// A number.
    Int(i64),
    /// A truth value.
    Bool(bool),
}

/// Particulars in their order.
#[derive(Clone, Debug, Default)]
pub struct Details(pub Vec<(&'static str, Detail)>);

/// What somebody did, or what time did to it.
#[derive(Clone, Debug)]
pub struct Act {
    /// The moment.
    pub now: Timestamp,
    /// Of what.
    pub kind: ActKind,
    /// What, such as `requested`.
    pub action: &'static str,
    /// The grant, the exception or the mode.
    pub subject: Option<String>,
    /// A sentence about it.
    pub sentence: String,
    /// Who; `None` for time.
    pub by: Option<By>,
    /// Whether it is an exercise.
    pub drill: bool,
    /// Its terms.
    pub details: Details,
    /// Whose room its record takes.
    pub room: RoomOf,
}

/// Whose room a record takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomOf {
    /// The reserve of what operators do, which is there where all else is full.
    Operators,
    /// That of connections: what anybody may cause as often as they like takes nothing of the reserve.
    Anybody,
}

/// The record of an [`Act`].
#[derive(Clone, Debug, Serialize)]
pub struct ActRecord {
    /// [`SCHEMA`].
    pub schema: u8,
    /// `grant`, `exception`, `mode` or `admin`.
    pub kind: ActKind,
    /// UUIDv7.
    pub id: Uuid,
    /// Per gateway, without holes.
    pub sequence: u64,
    /// The moment.
    #[serde(serialize_with = "spelling::time")]
    pub time: Timestamp,
    /// The gateway's name.
    pub gateway: Text,
    /// Only on the development floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorMark>,
    /// The mode, on the record of a mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Text>,
    /// The sentence.
    pub reason: Sentence,
    /// The grant, on the record of a grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Text>,
    /// The exception, on the record of an exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<Text>,
    /// What happened.
    pub action: &'static str,
    /// Only on an exercise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<By>,
    /// Its terms.
    #[serde(skip_serializing_if = "Details::is_empty")]
    pub details: Details,
}

/// `reason.text` of a record that has no code.
#[derive(Clone, Debug, Serialize)]
pub struct Sentence {
    /// The sentence.
    pub text: Text,
}

impl Details {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With one more.
    #[must_use]
    pub fn text(mut self, key: &'static str, text: &str) -> Details {
        self.0.push((key, Detail::Text(Text::new(text, REASON_MAX))));
        self
    }

    /// With one more, if it is there.
    #[must_use]
    pub fn maybe(self, key: &'static str, text: Option<&str>) -> Details {
        match text {
            Some(text) => self.text(key, text),
            None => self,
        }
    }

    /// With a list.
    #[must_use]
    pub fn texts<T: AsRef<str>>(mut self, key: &'static str, texts: &[T]) -> Details {
        let texts = texts.iter().take(LIST_MAX).map(|text| Text::new(text.as_ref(), IDENTITY_MAX)).collect();
        self.0.push((key, Detail::Texts(texts)));
        self
    }

    /// With a number.
    #[must_use]
    pub fn int(mut self, key: &'static str, number: u64) -> Details {
        self.0.push((key, Detail::Int(i64::try_from(number).unwrap_or(i64::MAX))));
        self
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (key, detail) in &self.0 {
            map.serialize_entry(key, detail)?;
        }
        map.end()
    }
}

impl Evidence {
    /// Record it, and wait until the record is on the disk: what it tells of may happen only then.
    ///
    /// # Errors
    ///
    /// Where it is not on the disk in time. The record may still stand later; whoever reads it finds no effect of it.
    pub async fn act(&self, act: Act) -> Result<(), Unavailable> {
        let slot = Arc::new(Slot::default());
        self.push_act(act, Durability::Synced, Some(Arc::clone(&slot)))?;
        let settled = tokio::time::timeout(self.shared.commit_timeout, slot.settled()).await;
        settled.unwrap_or(Err(Unavailable::Slow))
    }

    /// Record what has happened already.
    ///
    /// # Errors
    ///
    /// Where no record can be taken.
    pub fn acted(&self, act: Act) -> Result<(), Unavailable> {
        self.push_act(act, Durability::Interval, None)
    }

    fn push_act(&self, act: Act, durability: Durability, waiter: Option<Arc<Slot>>) -> Result<(), Unavailable> {
        self.shared.queue.available()?;
        let own = || self.shared.own.clone().try_acquire_owned().map(Room::own).map_err(|_| Unavailable::Full);
        // Calls come as often as an operator likes; what they may cause has a reserve that they use only where nothing else
        // is left, so that a gateway whose disk is full can still be contained.
        let room = match (act.room, act.kind) {
            (RoomOf::Anybody, _) => self.shared.queue.reserve()?,
            (RoomOf::Operators, ActKind::Admin) => self.shared.queue.reserve().or_else(|_| own())?,
            (RoomOf::Operators, ActKind::Grant | ActKind::Exception | ActKind::Mode) => own()?,
        };
        let subject = |of: ActKind| act.subject.as_deref().filter(|_| act.kind == of).map(Text::name);
        let record = ActRecord {
            schema: SCHEMA,
            kind: act.kind,
            id: Uuid::now_v7(),
            sequence: 0,
            time: act.now,
            gateway: self.shared.gateway.clone(),
            floor: self.shared.floor,
            mode: subject(ActKind::Mode),
            reason: Sentence { text: Text::new(&act.sentence, REASON_MAX) },
            grant: subject(ActKind::Grant),
            exception: subject(ActKind::Exception),
            action: act.action,
            drill: act.drill,
            operator: act.by,
            details: act.details,
        };
        let item = Item::Act(Box::new(record));
        let encoded = Encoded::of(&item, self.shared.queue.buffer());
        self.shared.queue.push(Entry { item, encoded, room: Some(room), durability, waiter, first: None })
    }
}
