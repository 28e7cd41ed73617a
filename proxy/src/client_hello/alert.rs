//! Fatal TLS alerts, for a client whose hello was read and refused.

/// Why the handshake ends (RFC 8446 section 6.2, RFC 7301 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertDescription {
    /// Policy says no.
    AccessDenied,
    /// The hello could not be read.
    DecodeError,
    /// The protocol versions offered are not allowed.
    ProtocolVersion,
    /// The gateway failed.
    InternalError,
    /// The server name is missing, or not the one that was asked for.
    UnrecognizedName,
    /// None of the application protocols offered is allowed.
    NoApplicationProtocol,
}

impl AlertDescription {
    fn code(self) -> u8 {
        match self {
            AlertDescription::AccessDenied => 49,
            AlertDescription::DecodeError => 50,
            AlertDescription::ProtocolVersion => 70,
            AlertDescription::InternalError => 80,
            AlertDescription::UnrecognizedName => 112,
            AlertDescription::NoApplicationProtocol => 120,
        }
    }
}

/// The record to send, in place of a ServerHello and before closing.
pub fn alert(description: AlertDescription) -> [u8; 7] {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    // Version 3.3: what RFC 8446 section 5.1 asks of a server whatever it would have chosen.
    [ALERT, 3, 3, 0, 2, FATAL, description.code()]
}
