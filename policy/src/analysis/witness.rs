//! One connection that shows an answer, and the command that shows it again.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::facts::{Facts, Proof, Protocol, Tls, Upstream};

/// The facts of one connection, as far as an answer hangs on them.
#[derive(Clone, Debug)]
pub struct Witness {
    facts: Box<Facts>,
}

impl Witness {
    pub(super) fn of(facts: &Facts) -> Witness {
        Witness { facts: Box::new(facts.clone()) }
    }

    /// The facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// `host:port`.
    pub fn destination(&self) -> String {
        self.facts.destination.to_string()
    }

    /// The classes of data, as the registry or the client says.
    pub fn data_classes(&self) -> Vec<&str> {
        let subject = &self.facts.subject;
        subject.declared.as_ref().unwrap_or(&subject.registered).iter().map(|class| &**class).collect()
    }

    /// What `gatepass explain` is to be told beside the bundle. Facts that it cannot be told are left out.
    pub fn explain(&self) -> String {
        let facts = &self.facts;
        let mut words = vec![format!("--from {} --to {}", quoted(facts.identity.id()), self.destination())];
        let declared = facts.subject.declared.iter().flat_map(|classes| classes.iter());
        words.extend(declared.map(|class| format!("--declare {}", quoted(class))));
        if let (Some(resolved), None) = (&facts.resolved, facts.destination.host.ip()) {
            words.extend(resolved.answers.iter().map(|ip| format!("--answer {ip}")));
        }
        match (&facts.tls, facts.protocol) {
            (_, Protocol::Http) => {
                let (method, path) =
                    facts.request.as_ref().map_or(("GET", "/"), |request| (&*request.method, &*request.path));
                words.push(format!("--method {} --path {}", quoted(method), quoted(path)));
            }
            (None, _) => {}
            (Some(Tls::Absent), _) => words.push("--no-tls".to_owned()),
            (Some(Tls::Hello(hello)), _) => {
                words.push(match &hello.sni {
                    Some(sni) => format!("--sni {}", quoted(sni)),
                    None => "--no-sni".to_owned(),
                });
                words.extend(hello.ja4.iter().map(|ja4| format!("--ja4 {}", quoted(ja4))));
            }
        }
        if let Some(server) = &facts.upstream {
            words.extend(of_server(server));
        }
        words.push(format!("--at {}", facts.now));
        words.join(" ")
    }
}

/// What the server proves, in one word.
fn proof(server: &Upstream) -> &'static str {
    match server {
        Upstream::Nothing(_) => "nothing",
        Upstream::Shown(certificate) => match certificate.proof {
            Proof::Verified => "verified",
            Proof::Unverified(_) => "unverified",
        },
    }
}

fn of_server(server: &Upstream) -> Vec<String> {
    let mut words = vec![format!("--upstream {}", proof(server))];
    let Upstream::Shown(certificate) = server else { return words };
    words.extend(certificate.dns_sans.iter().flatten().map(|name| format!("--upstream-san {}", quoted(name))));
    let not_after = certificate.not_after.map(|end| end.to_string());
    let parts = [
        ("issuer", &certificate.issuer),
        ("spki", &certificate.spki_sha256),
        ("not-after", &not_after),
        ("tls", &certificate.tls_version),
    ];
    let known = parts.into_iter().filter_map(|(part, value)| Some((part, value.as_ref()?)));
    words.extend(known.map(|(part, value)| format!("--upstream-{part} {}", quoted(value))));
    words
}

/// For a shell: bare where nothing in it means anything there.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.facts.identity.id(), self.destination())?;
        let declares = if self.facts.subject.declared.is_some() { " as declared" } else { "" };
        write!(f, ", {}{declares}", self.data_classes().join("+"))?;
        if let (Some(resolved), None) = (&self.facts.resolved, self.facts.destination.host.ip()) {
            let answers: Vec<String> = resolved.answers.iter().map(ToString::to_string).collect();
            write!(f, ", at {}", answers.join(" and "))?;
        }
        match (&self.facts.tls, self.facts.protocol) {
            (_, Protocol::Http) => f.write_str(", plain HTTP"),
            (None, _) => Ok(()),
            (Some(Tls::Absent), _) => f.write_str(", not TLS"),
            (Some(Tls::Hello(hello)), _) => match &hello.sni {
                Some(sni) => write!(f, ", SNI {sni}"),
                None => f.write_str(", TLS without SNI"),
            },
        }?;
        match self.facts.upstream.as_deref().map(proof) {
            None => Ok(()),
            Some("nothing") => f.write_str(", no certificate"),
            Some(proof) => write!(f, ", certificate {proof}"),
        }
    }
}

impl Serialize for Witness {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let facts = &self.facts;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("identity", facts.identity.id())?;
        map.serialize_entry("host", &facts.destination.host.to_text())?;
        map.serialize_entry("port", &facts.destination.port)?;
        map.serialize_entry("protocol", facts.protocol.as_str())?;
        map.serialize_entry("data_classes", &self.data_classes())?;
        map.serialize_entry("declared", &facts.subject.declared.is_some())?;
        if let Some(resolved) = &facts.resolved {
            map.serialize_entry("answers", &resolved.answers)?;
            if !resolved.cname.is_empty() {
                map.serialize_entry("cname", &resolved.cname)?;
            }
        }
        match &facts.tls {
            None => {}
            Some(Tls::Absent) => map.serialize_entry("tls", &false)?,
            Some(Tls::Hello(hello)) => {
                map.serialize_entry("tls", &true)?;
                map.serialize_entry("sni", &hello.sni)?;
                map.serialize_entry("alpn", &hello.alpn)?;
                if let Some(ja4) = &hello.ja4 {
                    map.serialize_entry("ja4", ja4)?;
                }
            }
        }
        if let Some(server) = &facts.upstream {
            map.serialize_entry("upstream", proof(server))?;
            if let Upstream::Shown(certificate) = &**server
                && let Some(names) = &certificate.dns_sans
            {
                map.serialize_entry("upstream_dns_sans", names)?;
            }
        }
        if let Some(source) = &facts.source {
            map.serialize_entry("source", &source.ip())?;
        }
        if let Some(request) = &facts.request {
            map.serialize_entry("method", &request.method)?;
            map.serialize_entry("path", &request.path)?;
        }
        map.serialize_entry("at", &facts.now.to_string())?;
        map.serialize_entry("mode", &*facts.mode)?;
        map.serialize_entry("explain", &self.explain())?;
        map.end()
    }
}
