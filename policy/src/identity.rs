//! Who is asking, and how that was established.

use std::sync::Arc;

use jiff::Timestamp;

/// How an identity was established. The order is the precedence: a certificate outranks a token, a token a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// A verified client certificate.
    Mtls,
    /// A signed token of an identity provider.
    Jwt,
    /// A static token, kept as a hash.
    Token,
    /// The source network.
    Network,
    /// Nothing: the identity is `anonymous`.
    None,
}

impl Method {
    /// The spelling of `identity.method`.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Mtls => "mtls",
            Method::Jwt => "jwt",
            Method::Token => "token",
            Method::Network => "network",
            Method::None => "none",
        }
    }

    /// The method of this spelling.
    pub fn named(text: &str) -> Option<Method> {
        let all = [Method::Mtls, Method::Jwt, Method::Token, Method::Network, Method::None];
        all.into_iter().find(|method| method.as_str() == text)
    }
}

/// The id of a client that showed nothing.
pub const ANONYMOUS: &str = "anonymous";

/// One identity: `spiffe://…`, `dns:NAME`, `token:NAME`, `network:NAME` or `anonymous`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    id: Arc<str>,
    method: Method,
    certificate: Option<Certificate>,
    /// The digest of a certificate of which nothing else is known: a record keeps no more.
    digest: Option<Arc<str>>,
}

/// What rules may ask of the client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the leaf in DER, lower-case hexadecimal.
    pub sha256: Arc<str>,
    /// The leaf's notAfter.
    pub expires: Timestamp,
}

impl Identity {
    /// Nobody: no credential was shown and no network is named.
    pub fn anonymous() -> Identity {
        Identity { id: ANONYMOUS.into(), method: Method::None, certificate: None, digest: None }
    }

    /// From a verified client certificate; `id` is its SPIFFE URI, or `dns:NAME`.
    pub fn mtls(id: impl Into<Arc<str>>, certificate: Certificate) -> Identity {
        Identity { id: id.into(), method: Method::Mtls, certificate: Some(certificate), digest: None }
    }

    /// From a static token called `name`: the id is `token:NAME`, so that no name can forge another kind.
    pub fn token(name: &str) -> Identity {
        Identity { id: format!("token:{name}").into(), method: Method::Token, certificate: None, digest: None }
    }

    /// From the source network called `name`: the id is `network:NAME`.
    pub fn network(name: &str) -> Identity {
        Identity { id: format!("network:{name}").into(), method: Method::Network, certificate: None, digest: None }
    }

    /// For an offline question: whoever bears this id. The method follows from its prefix.
    pub fn named(id: &str) -> Identity {
        let method = match id {
            ANONYMOUS => Method::None,
            _ if id.starts_with("token:") => Method::Token,
            _ if id.starts_with("network:") => Method::Network,
            _ => Method::Mtls,
        };
        Identity { id: id.into(), method, certificate: None, digest: None }
    }

    /// As a record keeps it: of a client certificate its digest alone, and not its end.
    pub fn recorded(id: &str, method: Method, digest: Option<&str>) -> Identity {
        Identity { id: id.into(), method, certificate: None, digest: digest.map(Arc::from) }
    }

    /// For a test of policy: whoever bears this id, established like this.
    pub(crate) fn told(id: &str, method: Method, certificate: Option<Certificate>) -> Identity {
        Identity { id: id.into(), method, certificate, digest: None }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it was established.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The whole SPIFFE URI, if the id is one.
    pub fn spiffe_id(&self) -> Option<&str> {
        self.id.starts_with("spiffe://").then_some(&*self.id)
    }

    /// The trust domain of the SPIFFE URI, if the id is one.
    pub fn trust_domain(&self) -> Option<&str> {
        self.id.strip_prefix("spiffe://").and_then(|rest| rest.split('/').next())
    }

    /// SHA-256 of the client certificate in lower-case hexadecimal, if one was shown.
    pub fn cert_sha256(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| &*certificate.sha256).or(self.digest.as_deref())
    }

    /// Whether a certificate was shown of which the end is not known.
    pub fn lacks_certificate(&self) -> bool {
        self.certificate.is_none() && self.digest.is_some()
    }

    /// What rules may ask of the client certificate, if one was shown and is known whole.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}
