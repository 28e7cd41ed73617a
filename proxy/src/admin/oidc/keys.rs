//! The provider's public keys: fetched when one is needed, kept, and fetched again for a key that is not known, at a
//! bounded rate.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Mutex;

use super::NotTaken;
use super::fetch::{self, Trust};

/// Keys are asked for again after this time, so that one that was withdrawn is forgotten.
const FRESH: Duration = Duration::from_secs(3600);
/// And not used after this time, if they cannot be had again.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// The pause between two attempts, whoever asks for whatever key.
const PAUSE: Duration = Duration::from_secs(10);
/// Keys of one provider; real ones have two to five.
const KEYS_MAX: usize = 64;

/// The keys of one provider.
#[derive(Debug)]
pub(super) struct Keys {
    issuer: String,
    ca: Option<PathBuf>,
    current: ArcSwapOption<Fetched>,
    /// When the last attempt began. Held during one, so that there is one at a time.
    attempt: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Fetched {
    keys: Vec<Jwk>,
    at: Instant,
}

impl Keys {
    pub(super) fn new(issuer: String, ca: Option<PathBuf>) -> Keys {
        Keys { issuer, ca, current: ArcSwapOption::empty(), attempt: Mutex::new(None) }
    }

    /// The key of this name that is for this algorithm.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Jwk, NotTaken> {
        let known = self.known(kid, algorithm, FRESH);
        let failure = match known {
            Some(key) => return Ok(key),
            None => self.refresh().await.err(),
        };
        match (self.known(kid, algorithm, OLDEST), failure) {
            (Some(key), _) => Ok(key),
            (None, Some(why)) => Err(NotTaken::Provider(why)),
            (None, None) => Err(NotTaken::Token("no key of the issuer has signed it".to_owned())),
        }
    }

    fn known(&self, kid: Option<&str>, algorithm: Algorithm, within: Duration) -> Option<Jwk> {
        let fetched = self.current.load_full().filter(|fetched| fetched.at.elapsed() < within)?;
        let mut fitting = fetched.keys.iter().filter(|key| is_for(key, algorithm));
        match kid {
            Some(kid) => fitting.find(|key| key.common.key_id.as_deref() == Some(kid)).cloned(),
            // Without a name there is a key only where there is no choice.
            None => match (fitting.next(), fitting.next()) {
                (Some(only), None) => Some(only.clone()),
                (None, _) | (Some(_), Some(_)) => None,
            },
        }
    }

    /// Fetch the keys, unless that was tried a moment ago.
    async fn refresh(&self) -> Result<(), String> {
        let mut attempt = self.attempt.lock().await;
        if attempt.is_some_and(|at| at.elapsed() < PAUSE) {
            return match self.current.load().is_some() {
                true => Ok(()),
                false => Err("the last attempt failed a moment ago".to_owned()),
            };
        }
        *attempt = Some(Instant::now());
        let trust = Trust { ca: self.ca.clone() };
        let provider = fetch::discover(&self.issuer, &trust).await?;
        let place =
            provider.get("jwks_uri").and_then(Value::as_str).ok_or("its discovery document has no `jwks_uri`")?;
        let set = fetch::get(place, &trust).await?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("its keys are no list")?;
        // A key of a kind that is not known here is no reason to give up the others.
        let keys: Vec<Jwk> =
            keys.iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value(key.clone()).ok()).collect();
        self.current.store(Some(Arc::new(Fetched { keys, at: Instant::now() })));
        Ok(())
    }
}

/// By its type, and by what it says of itself.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let signs = key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let (kind, named) = match (algorithm, &key.algorithm) {
        (Algorithm::RS256, AlgorithmParameters::RSA(_)) => (true, KeyAlgorithm::RS256),
        (Algorithm::ES256, AlgorithmParameters::EllipticCurve(curve)) => {
            (curve.curve == EllipticCurve::P256, KeyAlgorithm::ES256)
        }
        (Algorithm::EdDSA, AlgorithmParameters::OctetKeyPair(pair)) => {
            (pair.curve == EllipticCurve::Ed25519, KeyAlgorithm::EdDSA)
        }
        _ => return false,
    };
    kind && signs && key.common.key_algorithm.as_ref().is_none_or(|said| *said == named)
}
