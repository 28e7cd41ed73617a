//! Who is asking: from the client certificate, a token, or the source network, in that order of precedence.
//!
//! A credential that is shown and not valid refuses; it never falls back to a weaker one. Two credentials that name two
//! workloads refuse as well.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gatepass_certs::subject::Subject;
use gatepass_config::identity::NameKind;
use gatepass_policy::identity::{Certificate, Identity, Method};
use ipnet::IpNet;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// What names may be taken from a verified client certificate.
#[derive(Clone, Debug)]
pub struct Names {
    /// SPIFFE trust domains that the client CA may vouch for; empty: any.
    pub trust_domains: Vec<String>,
    /// Kinds of names that count; the first of which the certificate has any decides.
    pub kinds: Vec<NameKind>,
}

/// One static token, kept as its hash.
#[derive(Clone, Debug)]
pub struct Token {
    /// The name, in the identity `token:NAME`.
    pub name: Arc<str>,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Not valid from here on.
    pub expires: Timestamp,
}

/// Everything that identities are established from.
#[derive(Clone, Debug)]
pub struct Registry {
    /// What certificates may say.
    pub names: Names,
    /// Static tokens.
    pub tokens: Vec<Token>,
    /// Networks with their names, longest prefix first.
    pub networks: Vec<(IpNet, Arc<str>)>,
}

/// Why no identity could be established. The texts are for the client, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Credentials that other ones could replace: the client is asked again.
    Credentials(&'static str),
    /// The certificate that the connection itself was opened with: asking again is of no use.
    Certificate(String),
}

impl Invalid {
    /// One sentence.
    pub fn text(&self) -> &str {
        match self {
            Invalid::Credentials(text) => text,
            Invalid::Certificate(text) => text,
        }
    }

    /// The status, where it is not the reason's own.
    pub fn status(&self) -> Option<u16> {
        match self {
            Invalid::Credentials(_) => None,
            Invalid::Certificate(_) => Some(403),
        }
    }
}

impl Registry {
    /// Whether a client without a certificate could show a credential here.
    pub fn takes_credentials(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Establish who asks, from what was shown. `certificate` is the subject of a *verified* chain.
    pub fn establish(
        &self,
        certificate: Option<&Subject>,
        credentials: Option<&[u8]>,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Identity, Invalid> {
        let from_certificate = certificate.map(|subject| self.certificate(subject, now)).transpose()?;
        let from_token = credentials.map(|value| self.token(value, now)).transpose()?;
        match (from_certificate, from_token) {
            // A token never bears a certificate's id, so two credentials always name two workloads.
            (Some(_), Some(_)) => {
                Err(Invalid::Credentials("the certificate and the credentials name different workloads"))
            }
            (Some(identity), None) | (None, Some(identity)) => Ok(identity),
            (None, None) => Ok(self.network(source)),
        }
    }

    /// Whether this identity would still be established from what it was established from. Certificates are not looked at
    /// here: their trust and their end are checked where they are kept.
    pub fn stands(&self, identity: &Identity, source: Option<IpAddr>) -> bool {
        match identity.method() {
            Method::Mtls => true,
            Method::Token => self.token_of(identity).is_some(),
            Method::Network | Method::None => {
                source.is_some_and(|source| self.name_of(source) == identity.id().strip_prefix("network:"))
            }
            // None are established here, so none stands.
            Method::Jwt => false,
        }
    }

    /// When what this identity was established from ends by itself.
    pub fn end(&self, identity: &Identity) -> Option<Timestamp> {
        match identity.method() {
            Method::Mtls => identity.certificate().map(|certificate| certificate.expires),
            Method::Token => self.token_of(identity).map(|token| token.expires),
            Method::Network | Method::None | Method::Jwt => None,
        }
    }

    /// The token of an identity: names are unique.
    fn token_of(&self, identity: &Identity) -> Option<&Token> {
        let name = identity.id().strip_prefix("token:")?;
        self.tokens.iter().find(|token| *token.name == *name)
    }

    fn certificate(&self, subject: &Subject, now: Timestamp) -> Result<Identity, Invalid> {
        let invalid = |why: &str| Err(Invalid::Certificate(why.to_owned()));
        // Verified in the handshake, but connections outlive certificates: each request asks anew.
        if now >= subject.not_after {
            return invalid("the certificate has expired since the connection was opened");
        }
        let details = Certificate { sha256: subject.sha256_hex.as_str().into(), expires: subject.not_after };
        for kind in &self.names.kinds {
            match (kind, &subject.spiffe_id, subject.dns.as_slice()) {
                (NameKind::Spiffe, None, _) | (NameKind::Dns, _, []) => {}
                (NameKind::Spiffe, Some(id), _) if self.trusts(id.trust_domain()) => {
                    return Ok(Identity::mtls(id.as_str(), details));
                }
                (NameKind::Spiffe, Some(_), _) => {
                    return invalid("the certificate is of a trust domain that is not accepted here");
                }
                (NameKind::Dns, _, [name]) => return Ok(Identity::mtls(format!("dns:{name}"), details)),
                (NameKind::Dns, _, [_, _, ..]) => return invalid("the certificate has more than one DNS name"),
            }
        }
        invalid(match self.names.kinds.as_slice() {
            [NameKind::Spiffe] => "the certificate has no SPIFFE ID",
            [NameKind::Dns] => "the certificate has no DNS name",
            _ => "the certificate has neither a SPIFFE ID nor a DNS name",
        })
    }

    fn trusts(&self, domain: &str) -> bool {
        self.names.trust_domains.is_empty() || self.names.trust_domains.iter().any(|known| known == domain)
    }

    /// `Basic` with the token as the password, or `Bearer` (RFC 7617, RFC 6750).
    fn token(&self, value: &[u8], now: Timestamp) -> Result<Identity, Invalid> {
        let unknown = Invalid::Credentials("no token of that name and secret is known");
        let text = std::str::from_utf8(value).map_err(|_| unknown.clone())?;
        let (scheme, rest) = text.trim().split_once(' ').ok_or_else(|| unknown.clone())?;
        let rest = rest.trim();
        let (name, secret) = if scheme.eq_ignore_ascii_case("basic") {
            let decoded = BASE64.decode(rest).map_err(|_| unknown.clone())?;
            let at = decoded.iter().position(|&b| b == b':').ok_or_else(|| unknown.clone())?;
            let (name, secret) = decoded.split_at(at);
            (Some(name.to_vec()), secret.get(1..).unwrap_or_default().to_vec())
        } else if scheme.eq_ignore_ascii_case("bearer") {
            (None, rest.as_bytes().to_vec())
        } else {
            return Err(Invalid::Credentials("the scheme of the credentials is neither Basic nor Bearer"));
        };
        if secret.is_empty() {
            return Err(unknown);
        }
        let hash: [u8; 32] = Sha256::digest(&secret).into();
        // Every token is compared in full, so that time tells nothing about which one was close.
        let mut found = None;
        for token in &self.tokens {
            let named = name.as_deref().is_none_or(|name| name == token.name.as_bytes());
            if same(&hash, &token.sha256) && named {
                found = Some(token);
            }
        }
        let token = found.ok_or(unknown)?;
        if now >= token.expires {
            return Err(Invalid::Credentials("the token has expired"));
        }
        Ok(Identity::token(&token.name))
    }

    fn network(&self, source: IpAddr) -> Identity {
        self.name_of(source).map_or_else(Identity::anonymous, Identity::network)
    }

    fn name_of(&self, source: IpAddr) -> Option<&str> {
        let source = gatepass_policy::address::unmap(source);
        self.networks.iter().find(|(network, _)| network.contains(&source)).map(|(_, name)| &**name)
    }
}

/// Equality in a time that depends on neither value.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0u8, |difference, (x, y)| difference | (x ^ y))) == 0
}

/// RFC 7617 asks for padding, but some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        Registry {
            names: Names { trust_domains: vec!["corp.example".to_owned()], kinds: vec![NameKind::Spiffe] },
            tokens: vec![
                Token { name: "ci".into(), sha256: Sha256::digest(b"s3cret").into(), expires: at(100) },
                Token { name: "old".into(), sha256: Sha256::digest(b"gone").into(), expires: at(5) },
            ],
            networks: vec![
                ("10.8.1.0/24".parse().unwrap(), "lab".into()),
                ("10.8.0.0/16".parse().unwrap(), "batch".into()),
            ],
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn establish(credentials: Option<&str>, source: &str) -> Result<Identity, Invalid> {
        registry().establish(None, credentials.map(str::as_bytes), source.parse().unwrap(), at(10))
    }

    #[test]
    fn a_token_is_an_identity_by_basic_and_by_bearer() {
        // "ci:s3cret" in base64, with and without padding.
        for value in ["Basic Y2k6czNjcmV0", "basic  Y2k6czNjcmV0", "Bearer s3cret"] {
            assert_eq!(establish(Some(value), "192.0.2.1").unwrap().id(), "token:ci", "{value}");
        }
    }

    #[test]
    fn bad_credentials_never_fall_back_to_the_network() {
        for value in
            ["Basic Y2k6d3Jvbmc=", "Basic b2xkOmdvbmU=", "Basic %%%", "Bearer nope", "Digest x", "Basic", "Bearer "]
        {
            assert!(establish(Some(value), "10.8.0.1").is_err(), "{value}");
        }
        // "other:s3cret": the right secret under the wrong name.
        assert!(establish(Some("Basic b3RoZXI6czNjcmV0"), "10.8.0.1").is_err());
    }

    #[test]
    fn without_credentials_the_longest_network_names_the_client() {
        assert_eq!(establish(None, "10.8.1.7").unwrap().id(), "network:lab");
        assert_eq!(establish(None, "::ffff:10.8.2.7").unwrap().id(), "network:batch");
        assert_eq!(establish(None, "192.0.2.1").unwrap().id(), "anonymous");
    }
}
