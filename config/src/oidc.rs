//! `admin.oidc`: the identity provider whose ID tokens operators may show.

use std::path::PathBuf;

use gatepass_policy::host::Host;

use crate::node::Node;
use crate::problem::Located;
use crate::reading::{Reading, optional};
use crate::url::Url;

/// The identity provider.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// Exactly as the `iss` of its tokens.
    pub issuer: Located<String>,
    /// Who `gatepass login` is to the provider.
    pub client_id: String,
    /// For whom tokens must be made: the client, unless given.
    pub audience: String,
    /// Who vouches for the provider's certificate, PEM; without it, the machine's own trust anchors.
    pub ca: Option<Located<PathBuf>>,
    /// The domain, in lower case, that a verified mail address must be of.
    pub email_domain: Option<String>,
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Oidc> {
    let [issuer, client_id, audience, ca, email_domain] =
        reading.fields(node, ["issuer", "client_id", "audience", "ca", "email_domain"])?;
    let issuer = reading.required(node, issuer, "issuer").and_then(|node| {
        let wanted = "an `https` URL of an issuer (`http` on loopback only)";
        let value = reading.parsed(node, wanted, |text| private(text).map(|_| text.to_owned()))?;
        Some(Located { value, place: Some(node.place.clone()) })
    });
    let client_id = reading.required(node, client_id, "client_id").and_then(|node| word(node, reading));
    let audience = optional(audience, reading, word);
    let ca = optional(ca, reading, |node, reading| reading.file(node));
    let email_domain = optional(email_domain, reading, |node, reading| {
        reading.parsed(node, "a domain such as `example.com`", |text| match Host::parse(text.as_bytes()) {
            Ok(Host::Name(name)) => Some(name.to_string()),
            Ok(Host::Ip(_)) | Err(_) => None,
        })
    });
    let client_id = client_id?;
    Some(Oidc {
        issuer: issuer?,
        audience: audience?.unwrap_or_else(|| client_id.clone()),
        client_id,
        ca: ca?,
        email_domain: email_domain?,
    })
}

fn word(node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    reading.parsed(node, "1 to 256 visible characters", |text| {
        let visible = (1..=256).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        visible.then(|| text.to_owned())
    })
}

/// A URL whose traffic nobody on the way can read or change: `https`, or `http` to loopback.
pub fn private(text: &str) -> Option<Url> {
    // A query is no part of where a URL leads; the parser refuses it, since elsewhere it has no place.
    let (base, query) = text.split_once('?').map_or((text, None), |(base, query)| (base, Some(query)));
    let mut url = crate::url::parse(base, &[("https", 443), ("http", 80)])?;
    let loopback = match &url.host {
        Host::Ip(ip) => ip.is_loopback(),
        Host::Name(name) => &**name == "localhost",
    };
    if url.scheme == "http" && !loopback {
        return None;
    }
    if let Some(query) = query {
        if !query.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '\\' | '`')) {
            return None;
        }
        let path = if url.path.is_empty() { "/" } else { &url.path };
        url.path = format!("{path}?{query}");
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::private;

    #[test]
    fn only_what_nobody_on_the_way_can_change_is_private() {
        for text in [
            "https://id.example",
            "https://id.example/a/b?c=d",
            "http://127.0.0.1:8080/x",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert!(private(text).is_some(), "{text}");
        }
        for text in [
            "http://id.example",
            "http://10.0.0.1",
            "ftp://id.example",
            "id.example",
            "https://u:p@id.example",
            "https://id.example/#x",
            "https://id.example?a b",
        ] {
            assert!(private(text).is_none(), "{text}");
        }
        assert_eq!(private("https://id.example?x=1").unwrap().path, "/?x=1");
    }
}
