//! Who may speak here at all: the right `Host`, no page of another site, and no other form of a target than a path.

use std::net::SocketAddr;

use gatepass_policy::host::{Authority, Host};
use http::{HeaderMap, StatusCode, Uri, header};

use super::problem::Problem;

/// Names beside the listener's own address and `localhost` that a `Host` field may bear, such as a service's.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<Host>);

/// The request is for this listener, and no page of another site caused it. Nothing is reached where the listener is a
/// socket in the file system.
pub(super) fn check(
    headers: &HeaderMap,
    uri: &Uri,
    names: &Names,
    reached: Option<SocketAddr>,
    usual_port: u16,
) -> Result<(), Problem> {
    let misdirected = |detail: &str| Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    if uri.authority().is_some() || !uri.path().starts_with('/') {
        return misdirected("this is the admin listener, not a proxy: send the request's path alone");
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let ours = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::parse_with_default(host.as_bytes(), usual_port).is_ok_and(|asked| {
            let by_address = match reached {
                Some(reached) => asked.port == reached.port() && is_address(&asked.host, reached),
                None => is_localhost(&asked.host),
            };
            by_address || names.0.contains(&asked.host)
        }),
        (None, _) | (Some(_), Some(_)) => false,
    };
    if !ours {
        return misdirected("the Host field names neither this listener's address nor one of `admin.names`");
    }
    // Browsers tell where a request comes from; other clients send neither field.
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") || headers.contains_key(header::ORIGIN) {
        return Err(Problem::forbidden("requests of web pages are not answered"));
    }
    Ok(())
}

/// The address that the client really reached, or `localhost` where that is loopback.
fn is_address(host: &Host, reached: SocketAddr) -> bool {
    let own = gatepass_policy::address::unmap(reached.ip());
    match host {
        Host::Ip(ip) => *ip == own,
        Host::Name(_) => is_localhost(host) && own.is_loopback(),
    }
}

fn is_localhost(host: &Host) -> bool {
    match host {
        Host::Ip(_) => false,
        Host::Name(name) => &**name == "localhost",
    }
}
