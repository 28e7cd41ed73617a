//! A new entry: its text in the file, and what its holder is shown once.

use std::io::IsTerminal as _;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass_certs::{Limits, pem};
use gatepass_config::operators::{ROLES, base32_encoded, is_name, is_person};
use jiff::Timestamp;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Add;
use crate::admin::api::encoded;

/// What stands before a token, so that scanners for leaked secrets know it.
const PREFIX: &str = "gpo_";
/// Bytes of a token, and of the secret of one-time codes (RFC 4226 section 4, R6 recommends 160 bits).
const TOKEN_BYTES: usize = 32;
const SECRET_BYTES: usize = 20;

/// A new entry.
pub struct Made {
    name: String,
    /// Its lines, the first of which begins with `- `.
    pub text: String,
    token: Option<String>,
    /// The secret in base32, and the URI that authenticator programs read.
    totp: Option<(String, String)>,
}

/// Make the entry that was asked for, or say what is wrong with what was asked.
pub fn make(asked: &Add, expires: Timestamp) -> Result<Made, String> {
    let name = &asked.name;
    if !is_name(name) {
        return Err(format!("`{name}` is not a name of 1 to 64 letters, digits, `-`, `_` and `.`"));
    }
    let person = asked.person.as_ref().unwrap_or(name).to_ascii_lowercase();
    if !is_person(&person) {
        return Err(format!("`--person {person}` is not 1 to 128 letters, digits, `-`, `_`, `.`, `+` and `@`"));
    }
    let by_oidc = asked.oidc_email.is_some() || asked.oidc_subject.is_some();
    if !asked.token && asked.certificates.is_empty() && !by_oidc {
        return Err(
            "give `--token`, `--certificate FILE` or `--oidc-email ADDRESS`: something has to prove it".to_owned()
        );
    }
    let end = expires.strftime("%Y-%m-%dT%H:%M:%SZ");
    let mut text = format!(
        "- name: \"{name}\"\n  person: \"{person}\"\n  roles: [{}]\n  expires: \"{end}\"\n",
        roles(&asked.roles)?.join(", ")
    );
    let token = match asked.token {
        true => Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()?))),
        false => None,
    };
    if let Some(token) = &token {
        text.push_str(&format!("  sha256: \"{}\"\n", hex(&Sha256::digest(token))));
    }
    let mut hashes = Vec::new();
    for path in &asked.certificates {
        let chain = pem::certificates(path, &Limits::RECOMMENDED).map_err(|error| error.to_string())?;
        let leaf = chain.first().ok_or_else(|| format!("`{}` holds no certificate", path.display()))?;
        hashes.push(format!("{{sha256: \"{}\"}}", hex(&Sha256::digest(leaf))));
    }
    if !hashes.is_empty() {
        text.push_str(&format!("  certificates: [{}]\n", hashes.join(", ")));
    }
    let oidc = [("subject", &asked.oidc_subject), ("email", &asked.oidc_email)];
    let oidc: Vec<String> =
        oidc.iter().filter_map(|(key, value)| Some(format!("{key}: {}", quoted(value.as_ref()?)))).collect();
    if !oidc.is_empty() {
        text.push_str(&format!("  oidc: {{{}}}\n", oidc.join(", ")));
    }
    let totp = if asked.totp { Some(secret(&person)?) } else { None };
    if let Some((secret, _)) = &totp {
        text.push_str(&format!("  totp: {{secret: \"{secret}\"}}\n"));
    }
    Ok(Made { name: name.clone(), text, token, totp })
}

/// The words, each of which is a role and stands once.
fn roles(asked: &[String]) -> Result<Vec<&'static str>, String> {
    let mut words = Vec::new();
    for role in asked {
        let known = ROLES.iter().find(|(word, _)| word == role);
        let (word, _) = known.ok_or_else(|| format!("`{role}` is no role: write `viewer`, `approver` or `breaker`"))?;
        if words.contains(word) {
            return Err(format!("the role `{role}` is given twice"));
        }
        words.push(*word);
    }
    Ok(words)
}

/// A secret, and the URI that an authenticator program reads it from (the format of Google Authenticator).
fn secret(person: &str) -> Result<(String, String), String> {
    let secret = base32_encoded(&random::<SECRET_BYTES>()?);
    let label = encoded(person);
    let uri =
        format!("otpauth://totp/Gatepass:{label}?secret={secret}&issuer=Gatepass&algorithm=SHA1&digits=6&period=30");
    Ok((secret, uri))
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0u8; N];
    rand::fill(&mut bytes).map_err(|_| "the machine gives no random numbers".to_owned())?;
    Ok(bytes)
}

/// As a double-quoted scalar, whatever stands in it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Made {
    /// Tell what its holder needs; nobody can tell it again.
    pub fn tell(&self, as_json: bool) {
        if as_json {
            let mut told = Map::new();
            told.insert("name".into(), self.name.as_str().into());
            told.extend(self.token.as_ref().map(|token| ("token".to_owned(), Value::from(token.as_str()))));
            let totp = self.totp.as_ref().map(|(secret, uri)| json!({"secret": secret, "uri": uri}));
            told.extend(totp.map(|totp| ("totp".to_owned(), totp)));
            println!("{}", Value::Object(told));
            return;
        }
        println!("enrolled `{}`; the gateway knows it from its next reload on", self.name);
        if let Some(token) = &self.token {
            println!("\ntoken, shown only now:\n  {token}");
        }
        if let Some((_, uri)) = &self.totp {
            println!("\none-time codes, shown only now:\n  {uri}");
            // A picture in a log file helps nobody and keeps the secret longer.
            if std::io::stdout().is_terminal()
                && let Ok(code) = QrCode::new(uri.as_bytes())
            {
                println!();
                // Dark on light, whatever the terminal's colours are: many cameras read nothing else.
                for line in code.render::<Dense1x2>().build().lines() {
                    println!("\x1b[38;5;16;48;5;231m{line}\x1b[0m");
                }
            }
        }
    }
}
