//! An OpenID Connect provider on loopback that really signs: discovery, keys, the device flow, and authorization codes
//! with PKCE.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass_certs::mint::{Ca, Leaf, Name};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::gateway::hour;
use crate::origin::read_head;

/// The client that it knows.
pub const CLIENT: &str = "gatepass-cli";

/// A provider. It listens until the test ends.
pub struct Provider {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    issuer: String,
    keys: Mutex<Vec<Key>>,
    /// What the ID token of a log-in says beside issuer, audience and times.
    person: Mutex<Value>,
    /// How often its keys were asked for.
    asked: Mutex<usize>,
    /// Whether a person has typed the code of the device flow: nobody yet, yes, or refused.
    device: Mutex<Option<bool>>,
    /// Authorization codes with their challenge, nonce and redirect.
    codes: Mutex<HashMap<String, (String, String, String)>>,
}

/// A signing key with its name.
struct Key {
    id: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

fn coded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    fn new(id: &str, algorithm: &str) -> Key {
        let pair = match algorithm {
            "RS256" => Pair::Rs256(RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap()),
            "EdDSA" => Pair::EdDsa(Ed25519KeyPair::generate().unwrap()),
            _ => Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
        };
        Key { id: id.to_owned(), pair }
    }

    fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Es256(_) => "ES256",
            Pair::Rs256(_) => "RS256",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    fn public(&self) -> Value {
        let (id, alg) = (&self.id, self.algorithm());
        match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kid": id, "use": "sig", "alg": alg, "kty": "EC", "crv": "P-256", "x": coded(&point[1..33]), "y": coded(&point[33..])})
            }
            Pair::Rs256(pair) => {
                let key = pair.public_key();
                let (n, e) =
                    (key.modulus().big_endian_without_leading_zero(), key.exponent().big_endian_without_leading_zero());
                json!({"kid": id, "use": "sig", "alg": alg, "kty": "RSA", "n": coded(n), "e": coded(e)})
            }
            Pair::EdDsa(pair) => {
                json!({"kid": id, "use": "sig", "alg": alg, "kty": "OKP", "crv": "Ed25519", "x": coded(pair.public_key().as_ref())})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Es256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }
}

impl Provider {
    /// One that knows Alice, and has a key of each kind: `ES256`, `RS256`, `EdDSA`, by these names.
    pub fn start() -> Provider {
        Provider::with(None)
    }

    /// The same inside TLS, with a certificate of this authority.
    pub fn secured(ca: &Ca) -> Provider {
        let leaf = ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
        let config = ServerConfig::builder_with_provider(gatepass_certs::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(leaf.chain(), leaf.key())
            .unwrap();
        Provider::with(Some(Arc::new(config)))
    }

    fn with(tls: Option<Arc<ServerConfig>>) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            issuer: match tls {
                None => format!("http://{address}"),
                Some(_) => format!("https://localhost:{}", address.port()),
            },
            keys: Mutex::new(["ES256", "RS256", "EdDSA"].map(|name| Key::new(name, name)).into()),
            person: Mutex::new(json!({"sub": "alice-1", "email": "Alice@Example.com", "email_verified": true})),
            asked: Mutex::default(),
            device: Mutex::default(),
            codes: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                std::thread::spawn(move || {
                    let _ = match tls {
                        None => serve(stream, &state),
                        Some(tls) => serve(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), &state),
                    };
                });
            }
        });
        Provider { address, state }
    }

    /// Its name.
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The claims of a token of Alice's that is good now.
    pub fn claims(&self) -> Value {
        self.state.claims()
    }

    /// A token of these claims, signed by the key of this name.
    pub fn token(&self, key: &str, claims: &Value) -> String {
        self.headed(key, &json!({}), claims)
    }

    /// The same with further or other fields in its head; `null` takes one out.
    pub fn headed(&self, key: &str, head: &Value, claims: &Value) -> String {
        let keys = self.state.keys.lock().unwrap();
        let key = keys.iter().find(|known| known.id == key).unwrap();
        signed(key, head, claims)
    }

    /// From now on there is another key, and only that.
    pub fn rotate(&self, id: &str) {
        *self.state.keys.lock().unwrap() = vec![Key::new(id, "ES256")];
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        *self.state.asked.lock().unwrap()
    }

    /// A person types the code of the device flow, and says yes or no.
    pub fn decide(&self, yes: bool) {
        *self.state.device.lock().unwrap() = Some(yes);
    }
}

/// A token that nobody but this key's holder could write.
fn signed(key: &Key, head: &Value, claims: &Value) -> String {
    let mut whole = json!({"alg": key.algorithm(), "typ": "JWT", "kid": key.id});
    for (name, value) in head.as_object().unwrap() {
        match value.is_null() {
            true => drop(whole.as_object_mut().unwrap().remove(name)),
            false => whole[name] = value.clone(),
        }
    }
    let message = format!("{}.{}", coded(whole.to_string().as_bytes()), coded(claims.to_string().as_bytes()));
    format!("{message}.{}", coded(&key.sign(message.as_bytes())))
}

impl State {
    fn claims(&self) -> Value {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = self.person.lock().unwrap().clone();
        claims["iss"] = self.issuer.as_str().into();
        claims["aud"] = CLIENT.into();
        claims["iat"] = now.into();
        claims["exp"] = (now + 600).into();
        claims
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer, "jwks_uri": at("/jwks"), "token_endpoint": at("/token"),
            "authorization_endpoint": at("/authorize"), "device_authorization_endpoint": at("/device"),
        })
    }

    fn given(&self, nonce: Option<&str>) -> (u16, Value) {
        let mut claims = self.claims();
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let keys = self.keys.lock().unwrap();
        (
            200,
            json!({"token_type": "Bearer", "access_token": "opaque", "id_token": signed(&keys[0], &json!({}), &claims)}),
        )
    }

    fn exchange(&self, form: &HashMap<String, String>) -> (u16, Value) {
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if field("client_id") != CLIENT {
            return (401, json!({"error": "invalid_client"}));
        }
        match field("grant_type") {
            "urn:ietf:params:oauth:grant-type:device_code" if field("device_code") == "device-1" => {
                match *self.device.lock().unwrap() {
                    None => (400, json!({"error": "authorization_pending"})),
                    Some(false) => {
                        (400, json!({"error": "access_denied", "error_description": "she said no\u{1b}[31m"}))
                    }
                    Some(true) => self.given(None),
                }
            }
            "authorization_code" => {
                let Some((challenge, nonce, redirect)) = self.codes.lock().unwrap().remove(field("code")) else {
                    return (400, json!({"error": "invalid_grant"}));
                };
                let proven = coded(&Sha256::digest(field("code_verifier"))) == challenge;
                match proven && redirect == field("redirect_uri") {
                    true => self.given(Some(&nonce)),
                    false => (400, json!({"error": "invalid_grant"})),
                }
            }
            _ => (400, json!({"error": "unsupported_grant_type"})),
        }
    }

    /// Alice is logged in already: the browser is sent back at once.
    fn authorize(&self, query: &HashMap<String, String>) -> String {
        let field = |name: &str| query[name].clone();
        assert_eq!((field("response_type").as_str(), field("code_challenge_method").as_str()), ("code", "S256"));
        let mut codes = self.codes.lock().unwrap();
        let code = format!("code-{}", codes.len());
        codes.insert(code.clone(), (field("code_challenge"), field("nonce"), field("redirect_uri")));
        format!("{}?code={code}&state={}", field("redirect_uri"), field("state"))
    }
}

fn pairs(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&hex, 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn serve(mut stream: impl Read + Write, state: &State) -> std::io::Result<()> {
    let Some(head) = read_head(&mut stream)? else { return Ok(()) };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body)?;
    let form = pairs(&String::from_utf8(body).unwrap());
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (status, answer) = match path {
        "/.well-known/openid-configuration" => (200, state.discovery()),
        "/jwks" => {
            *state.asked.lock().unwrap() += 1;
            let mut keys: Vec<Value> = state.keys.lock().unwrap().iter().map(Key::public).collect();
            keys.push(json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}));
            keys.push(json!({"kty": "new", "kid": "unheard-of"}));
            (200, json!({"keys": keys}))
        }
        "/device" => {
            let page = format!("{}/activate", state.issuer);
            (
                200,
                json!({"device_code": "device-1", "user_code": "WDJB-MJHT", "verification_uri": page, "expires_in": 60, "interval": 1}),
            )
        }
        "/token" => state.exchange(&form),
        "/authorize" => {
            let back = state.authorize(&pairs(query));
            return write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {back}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        _ => (404, json!({"error": "not_found"})),
    };
    let text = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}
