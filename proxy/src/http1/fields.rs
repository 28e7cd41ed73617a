//! The fields of a head, in the order and the spelling they came in, each classified once.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

macro_rules! kinds {
    ($($variant:ident $name:literal;)*) => {
        /// The fields that the gateway itself knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
            /// `gatepass-…` other than those above, and `x-smokescreen-…`, which it says in that one's place: names that are
            /// the gateway's own.
            Gatepass,
            /// Any other field: forwarded as it is.
            Other,
        }

        impl Kind {
            /// Classify a name; case does not matter.
            pub fn of(name: &[u8]) -> Kind {
                $(if name.len() == $name.len() && name.eq_ignore_ascii_case($name.as_bytes()) {
                    return Kind::$variant;
                })*
                let begins = |own: &str| name.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(own.as_bytes()));
                if OWN.iter().any(|own| begins(own)) { Kind::Gatepass } else { Kind::Other }
            }
        }
    };
}

/// What the names of the gateway's own fields begin with.
const OWN: [&str; 2] = ["gatepass-", "x-smokescreen-"];

kinds! {
    Host "host";
    ContentLength "content-length";
    TransferEncoding "transfer-encoding";
    Connection "connection";
    KeepAlive "keep-alive";
    ProxyConnection "proxy-connection";
    ProxyAuthorization "proxy-authorization";
    ProxyAuthenticate "proxy-authenticate";
    ProxyAuthenticationInfo "proxy-authentication-info";
    ProxyStatus "proxy-status";
    Te "te";
    Trailer "trailer";
    Upgrade "upgrade";
    Expect "expect";
    Via "via";
    MaxForwards "max-forwards";
    Authorization "authorization";
    Cookie "cookie";
    SetCookie "set-cookie";
    DataClass "gatepass-data-class";
    TraceParent "traceparent";
    TraceState "tracestate";
    ForwardedClientCert "x-forwarded-client-cert";
}

/// Where one field stands in the bytes of its head.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) kind: Kind,
}

/// One field.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// What it is to the gateway.
    pub kind: Kind,
}

impl<'a> Field<'a> {
    /// The name as it was sent: a token.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The name in lower case.
    pub fn lower(&self) -> Cow<'a, str> {
        match std::str::from_utf8(self.name) {
            Ok(name) if !name.bytes().any(|b| b.is_ascii_uppercase()) => Cow::Borrowed(name),
            Ok(name) => Cow::Owned(name.to_ascii_lowercase()),
            // A token is ASCII; this is the arm that never runs, without a panic.
            Err(_) => Cow::Borrowed(""),
        }
    }

    /// The value without white space around it. It may have bytes from 0x80 on, and no control byte but the tab.
    pub fn value(&self) -> &'a [u8] {
        self.value
    }
}

/// The fields of one head, in order.
#[derive(Clone, Default)]
pub struct Fields {
    raw: Box<[u8]>,
    spans: Vec<Span>,
}

impl Fields {
    /// The fields at `spans` of `raw`, which is the whole head.
    pub(super) fn new(raw: &[u8], spans: Vec<Span>) -> Fields {
        Fields { raw: raw.into(), spans }
    }

    /// Octets `range` of the head.
    pub(super) fn raw(&self, range: &Range<usize>) -> &[u8] {
        self.raw.get(range.clone()).unwrap_or_default()
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.spans.iter().map(|span| Field {
            name: self.raw(&span.name),
            value: self.raw(&span.value),
            kind: span.kind,
        })
    }

    /// The values of every field of one kind, in order.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().filter(move |span| span.kind == kind).map(|span| self.raw(&span.value))
    }

    /// The value of a field that may stand once; `Err` where it stands more than once.
    pub fn single(&self, kind: Kind) -> Result<Option<&[u8]>, Repeated> {
        let mut values = self.of(kind);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Repeated),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// A field that may stand once stands more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

/// Names only: values may be credentials.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|field| field.lower().into_owned())).finish()
    }
}
