//! Operators by ID token: a JWT whose signature, issuer, audience and times are checked (OpenID Connect Core 3.1.3.7).
//!
//! RS256, ES256 and EdDSA only: with a symmetric algorithm, or none, whoever can read the provider's public keys could
//! write tokens. Which algorithm a key is for is the key's to say, never the token's alone.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass_config::operators::{Operator, Subject};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

pub mod fetch;

mod keys;

use keys::Keys;

/// What clocks may differ by; the end of a token is kept to the second.
const SKEW: f64 = 60.0;

/// The identity provider.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Exactly as the `iss` of its tokens.
    pub issuer: String,
    /// Who `gatepass login` is to it.
    pub client_id: String,
    /// For whom tokens must be made.
    pub audience: String,
    /// Who vouches for its certificate.
    pub ca: Option<PathBuf>,
    /// The domain that a verified mail address must be of.
    pub email_domain: Option<String>,
}

/// The check of ID tokens.
#[derive(Debug)]
pub struct Oidc {
    settings: Settings,
    keys: Keys,
}

/// Why an ID token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The token is at fault.
    #[error("the ID token is not taken: {0}")]
    Token(String),
    /// The provider's keys cannot be had.
    #[error("the keys of the identity provider cannot be had: {0}")]
    Provider(String),
}

/// Whom a token is about, once it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    subject: String,
    /// In lower case; only where the provider has verified it.
    email: Option<String>,
}

/// The claims that are looked at.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Holder {
    /// Whether this is the subject of the operator's entry: where it names a subject and an address, both.
    pub fn is(&self, operator: &Operator) -> bool {
        operator.oidc.as_ref().is_some_and(|Subject { subject, email }| {
            (subject.is_some() || email.is_some())
                && subject.as_ref().is_none_or(|subject| *subject == self.subject)
                && email.as_ref().is_none_or(|email| Some(email) == self.email.as_ref())
        })
    }
}

/// Whether this could be a JWT: a token of ours never has dots.
pub fn looks_like_one(token: &[u8]) -> bool {
    token.iter().filter(|byte| **byte == b'.').count() == 2
}

impl Oidc {
    /// The tokens of this provider. Nothing is asked of it yet.
    pub fn new(settings: Settings) -> Oidc {
        let keys = Keys::new(settings.issuer.clone(), settings.ca.clone());
        Oidc { settings, keys }
    }

    /// The provider.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whom this token is about.
    pub async fn holder(&self, token: &[u8], now: Timestamp) -> Result<Holder, NotTaken> {
        let not = |why: &str| NotTaken::Token(why.to_owned());
        let token = std::str::from_utf8(token).map_err(|_| not("it is not text"))?;
        let (algorithm, kid) = header(token).map_err(|why| not(&why))?;
        let key = self.keys.find(kid.as_deref(), algorithm).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| not("its key cannot be used"))?;
        let mut validation = Validation::new(algorithm);
        // Checked below, by the gateway's own clock, and the audience by the rules of OpenID Connect.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|error| not(&format!("its signature or its claims are not right: {error}")))?
            .claims;
        self.check(claims, now.as_duration().as_secs_f64()).map_err(|why| not(&why))
    }

    fn check(&self, claims: Claims, now: f64) -> Result<Holder, String> {
        let Settings { issuer, client_id, audience, email_domain, .. } = &self.settings;
        if claims.iss != *issuer {
            return Err("it is of another issuer".to_owned());
        }
        let (ours, several) = match &claims.aud {
            Audience::One(one) => (one == audience, false),
            Audience::Several(list) => (list.contains(audience), list.len() > 1),
        };
        if !ours {
            return Err("it is for another audience".to_owned());
        }
        // Where several may use it, the one it was made for is named, and it is us or our client.
        let party = claims.azp.as_deref();
        if (several && party.is_none()) || party.is_some_and(|party| party != client_id && party != audience) {
            return Err("it was made for another party".to_owned());
        }
        if !claims.exp.is_finite() || now >= claims.exp {
            return Err("it has expired".to_owned());
        }
        let later = |time: Option<f64>| time.is_some_and(|time| !time.is_finite() || time > now + SKEW);
        if later(claims.nbf) || later(claims.iat) {
            return Err("its time has not come".to_owned());
        }
        if claims.sub.is_empty() {
            return Err("it names nobody".to_owned());
        }
        let verified = claims.email.filter(|_| claims.email_verified == Some(true));
        let email = verified.map(|email| email.to_ascii_lowercase());
        if let Some(domain) = email_domain {
            let of_domain = |email: &String| email.rsplit_once('@').is_some_and(|(_, of)| of == domain);
            if !email.as_ref().is_some_and(of_domain) {
                return Err(format!("it has no verified mail address of `{domain}`"));
            }
        }
        Ok(Holder { subject: claims.sub, email })
    }
}

/// The algorithm and the key's name, of a head in which nothing is asked for that is not understood.
fn header(token: &str) -> Result<(Algorithm, Option<String>), String> {
    let part = token.split('.').next().unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "its head is not base64".to_owned())?;
    let head: Value = serde_json::from_slice(&bytes).map_err(|_| "its head is not JSON".to_owned())?;
    let text = |key: &str| head.get(key).and_then(Value::as_str);
    let algorithm = match text("alg") {
        Some("RS256") => Algorithm::RS256,
        Some("ES256") => Algorithm::ES256,
        Some("EdDSA") => Algorithm::EdDSA,
        Some(_) | None => return Err("its algorithm is none of RS256, ES256 and EdDSA".to_owned()),
    };
    if head.get("crit").is_some() {
        return Err("it asks for an extension that is not understood".to_owned());
    }
    if text("typ").is_some_and(|kind| !kind.eq_ignore_ascii_case("JWT")) {
        return Err("it is another kind of token than an ID token".to_owned());
    }
    Ok((algorithm, text("kid").map(str::to_owned)))
}
