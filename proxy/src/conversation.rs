//! One client connection between two of its requests.

use bytes::BytesMut;

use crate::client::Client;
use crate::peer::Peer;
use crate::shutdown::Drain;

/// One client connection, with what was read of it and not used yet.
pub struct Conversation {
    /// The connection.
    pub client: Client,
    /// Bytes read and not used yet.
    pub buffer: BytesMut,
    /// Who is at the other end.
    pub peer: Peer,
    /// The gateway's own end.
    pub drain: Drain,
}

/// Whether the conversation goes on after a request.
pub enum Next {
    /// With another head.
    Head(Box<Conversation>),
    /// It does not.
    End,
}
