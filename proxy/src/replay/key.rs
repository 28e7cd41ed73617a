//! What the answer for a record hangs on, as bytes: two records of the same key have the same answer.
//!
//! Whatever becomes a fact is in it, but for those facts that no rule of the bundle looks at and that differ from one
//! connection to the next. Time is in it as the next end of a permission, and exactly where a condition looks at `now`.

use gatepass_policy::PolicySet;
use gatepass_policy::schema::Attribute;
use jiff::Timestamp;

use crate::recorded::facts::Workloads;
use crate::recorded::{List, Recorded};

/// Makes keys.
pub(super) struct Key {
    bytes: Vec<u8>,
    labels: bool,
    source_ip: bool,
    source_port: bool,
    certificate: bool,
    min_ttl: bool,
    head: bool,
    now: bool,
}

impl Key {
    /// For answers of this bundle.
    pub(super) fn new(set: &PolicySet, workloads: Workloads) -> Key {
        let uses = |attributes: &[Attribute]| attributes.iter().any(|attribute| set.uses(*attribute));
        Key {
            bytes: Vec::new(),
            labels: workloads == Workloads::Recorded,
            source_ip: uses(&[Attribute::SourceIp]),
            source_port: uses(&[Attribute::SourcePort]),
            certificate: uses(&[Attribute::IdentityCertSha256, Attribute::IdentityCertExpires]),
            min_ttl: uses(&[Attribute::DnsMinTtl]),
            head: uses(&[
                Attribute::RequestMethod,
                Attribute::RequestPath,
                Attribute::RequestQuery,
                Attribute::RequestHeaders,
                Attribute::RequestContentType,
                Attribute::RequestContentLength,
            ]),
            now: set.conditions_use(Attribute::Now),
        }
    }

    /// The key of a record; `None` where it can have none.
    pub(super) fn of(&mut self, record: &Recorded<'_>, mode: &str, next_end: Option<Timestamp>) -> Option<&[u8]> {
        if self.now {
            return None;
        }
        self.bytes.clear();
        self.number(next_end.map_or(i64::MAX, Timestamp::as_microsecond));
        let texts = [
            mode,
            record.floor,
            record.effect,
            record.outcome,
            record.reason,
            record.rule,
            record.grant,
            record.exception,
            record.identity,
            record.method,
            record.data_classes_from,
            record.listener,
            record.host,
            record.protocol,
        ];
        texts.iter().for_each(|text| self.text(text));
        if record.reason == "address_floor" {
            self.text(record.sentence);
        }
        self.maybe(record.port);
        self.list(record.data_classes)?;
        self.list(record.addresses)?;
        self.list(record.cname)?;
        self.truth(record.secure);
        self.truth(record.tls_present);
        self.perhaps(record.sni);
        self.list(record.alpn)?;
        self.list(record.versions)?;
        self.truth(record.ech);
        self.perhaps(record.ja4);
        self.truth(record.verified);
        self.text(record.fault);
        self.list(record.sans)?;
        for text in [record.issuer, record.spki_sha256, record.not_after, record.tls_version] {
            self.perhaps(text);
        }
        self.rarely(record)?;
        Some(&self.bytes)
    }

    /// What differs from one connection to the next, where somebody looks at it.
    fn rarely(&mut self, record: &Recorded<'_>) -> Option<()> {
        self.bytes.push(u8::from(record.client_address.is_empty()));
        self.bytes.push(record.client_port.is_some().into());
        if self.source_ip {
            self.text(record.client_address);
        }
        if self.source_port {
            self.maybe(record.client_port);
        }
        self.bytes.push(record.min_ttl.is_some().into());
        if self.min_ttl {
            self.maybe(record.min_ttl);
        }
        self.bytes.push(record.cert_sha256.is_some().into());
        if self.certificate {
            self.perhaps(record.cert_sha256);
        }
        if self.head {
            self.perhaps(record.request_method);
            self.perhaps(record.request_path);
        }
        if self.labels {
            record.labels.each(|key, value| [key, value].iter().for_each(|text| push(&mut self.bytes, text))).ok()?;
        }
        Some(())
    }

    fn number(&mut self, number: i64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        push(&mut self.bytes, text);
    }

    fn perhaps(&mut self, text: Option<&str>) {
        self.bytes.push(text.is_some().into());
        self.text(text.unwrap_or_default());
    }

    fn maybe(&mut self, number: Option<i64>) {
        self.bytes.push(number.is_some().into());
        self.number(number.unwrap_or_default());
    }

    fn truth(&mut self, truth: Option<bool>) {
        self.bytes.push(truth.map_or(2, u8::from));
    }

    fn list(&mut self, list: List<'_>) -> Option<()> {
        let at = self.bytes.len();
        self.number(0);
        let mut entries: i64 = 0;
        list.each(|text| {
            entries += 1;
            push(&mut self.bytes, text);
        })
        .ok()?;
        self.bytes.get_mut(at..at + 8)?.copy_from_slice(&entries.to_le_bytes());
        Some(())
    }
}

/// With its length before it, so that nothing can be moved from one text to the next.
fn push(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
