//! One notion of an IP address, unmapped and classified: the floor that no rule looks under.
//!
//! The table is the IANA IPv4 and IPv6 Special-Purpose Address Registries (2026-07-18), multicast, and the addresses
//! where clouds and clusters serve credentials. IPv6 is an allow-list: only `2000::/3` is global unicast today, so what
//! is not in the table and not in there is closed by construction.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

/// What an address is for. Only `Global` may be dialled without a rule that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Globally reachable unicast.
    Global,
    /// Not global, but somebody's network: opens only for a rule that names it in `cidrs` or `cidr_sets`.
    Private,
    /// The machine itself: opens, as a private range does, only with `floor.development_loopback`.
    Loopback,
    /// Serves credentials or the platform's own controls to whoever asks. Never opens.
    Metadata,
    /// Multicast, unspecified, link-local, or a form that hides another address. Never opens.
    Reserved,
    /// An address that the gateway itself listens on, with the port. Never opens.
    Gateway,
    /// Another address of one of the gateway's interfaces: as `Loopback`.
    Interface,
}

/// An address with its class and the registry's name for its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The class.
    pub class: Class,
    /// The registry's name of the block, `""` for global unicast.
    pub block: &'static str,
}

/// What the gateway knows of itself and its network when it classifies a destination.
#[derive(Clone, Debug, Default)]
pub struct Floor {
    /// Loopback and interface addresses may be opened by a rule that names them.
    pub development_loopback: bool,
    /// Prefixes in which the network embeds IPv4 (RFC 6052); their addresses are judged by the IPv4 address inside.
    pub nat64_prefixes: Vec<Ipv6Net>,
    /// Every socket the gateway listens on. An unspecified address stands for all of the machine's.
    pub gateway: Vec<std::net::SocketAddr>,
    /// Every address of every interface of this machine.
    pub interfaces: Vec<IpAddr>,
    /// What the gateway itself relies on: name servers, the collector. However public, they open only to a rule that
    /// names them, so that no client speaks to them from the gateway's address by accident.
    pub services: Vec<std::net::SocketAddr>,
}

impl Floor {
    /// Classify what would be dialled: an address, and the port on it.
    pub fn classify(&self, ip: IpAddr, port: u16) -> Classified {
        let ip = unmap(ip);
        // Where a prefix of ours translates, the connection ends up at the address inside, and that may be the gateway's.
        let inside = self.embedded(ip).map(IpAddr::V4);
        let means = |known: IpAddr| known == ip || Some(known) == inside;
        let own = self.interfaces.iter().copied().any(means);
        let loops = is_loopback(ip) || inside.is_some_and(is_loopback);
        let listening = |socket: &std::net::SocketAddr| {
            let bound = unmap(socket.ip());
            socket.port() == port && (means(bound) || (bound.is_unspecified() && (own || loops)))
        };
        if self.gateway.iter().any(listening) {
            return Classified { class: Class::Gateway, block: "the gateway itself" };
        }
        let registry = classify(inside.unwrap_or(ip));
        let relied_on = |service: &std::net::SocketAddr| service.port() == port && means(unmap(service.ip()));
        if registry.class == Class::Global && self.services.iter().any(relied_on) {
            return Classified { class: Class::Private, block: "a service of the gateway" };
        }
        if own && registry.class != Class::Loopback && registry.class != Class::Metadata && !self.development_loopback {
            return Classified { class: Class::Interface, block: "an interface of the gateway" };
        }
        registry
    }

    /// Whether a rule that names an address of this class may open it.
    pub fn may_open(&self, class: Class) -> bool {
        match class {
            Class::Global | Class::Private => true,
            Class::Loopback | Class::Interface => self.development_loopback,
            Class::Metadata | Class::Reserved | Class::Gateway => false,
        }
    }

    /// The IPv4 address inside a configured NAT64 prefix (RFC 6052 section 2.2).
    fn embedded(&self, ip: IpAddr) -> Option<Ipv4Addr> {
        let IpAddr::V6(v6) = ip else { return None };
        let prefix = self.nat64_prefixes.iter().find(|prefix| prefix.contains(&v6))?;
        let bits = u128::from(v6);
        // Bits 64 to 71 are reserved; an address that spans them skips that octet.
        let before = u128::from(prefix.prefix_len());
        let value = if before >= 96 {
            bits
        } else if before >= 64 {
            bits >> 24
        } else {
            let high = (bits >> 64) & ((1u128 << (64 - before)) - 1);
            let low_octets = (32 - (64 - before).min(32)) as u32;
            let low = (bits >> (56 - low_octets)) & ((1u128 << low_octets) - 1);
            if before <= 32 { high >> (32 - before) } else { (high << low_octets) | low }
        };
        u32::try_from(value & u128::from(u32::MAX)).ok().map(Ipv4Addr::from)
    }
}

/// The IPv4 address, where `ip` is an IPv4-mapped IPv6 address (`::ffff:0:0/96`); otherwise `ip`.
pub fn unmap(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// Classify by the registries alone; the most specific row wins.
pub fn classify(ip: IpAddr) -> Classified {
    let mut best: Option<(u8, Classified)> = None;
    let mut consider = |length: u8, row: Classified| {
        if best.is_none_or(|(longest, _)| length > longest) {
            best = Some((length, row));
        }
    };
    match unmap(ip) {
        // Nearly every address that anybody asks for: its first octet occurs in no row.
        IpAddr::V4(v4) if !BEGUN.get(usize::from(v4.octets()[0])).is_none_or(|begun| *begun) => {}
        IpAddr::V4(v4) => {
            for (base, length, class, block) in V4 {
                if matches_v4(v4, *base, *length) {
                    consider(*length, Classified { class: *class, block });
                }
            }
        }
        IpAddr::V6(v6) => {
            for (base, length, class, block) in V6 {
                if matches_v6(v6, *base, *length) {
                    consider(*length, Classified { class: *class, block });
                }
            }
            if best.is_none() && !matches_v6(v6, GLOBAL_UNICAST, 3) {
                return Classified { class: Class::Reserved, block: "not global unicast" };
            }
        }
    }
    best.map_or(Classified { class: Class::Global, block: "" }, |(_, row)| row)
}

/// The block that shuts a whole network for good, if one does (a check for the author, not for traffic).
pub fn closed_block(network: IpNet) -> Option<&'static str> {
    let around = rows(network).filter(|(row, _)| row.contains(&network)).max_by_key(|(row, _)| row.prefix_len());
    match around {
        Some((_, Classified { class: Metadata | Reserved, block })) => Some(block),
        Some((_, Classified { class: Global | Private | Loopback | Class::Gateway | Class::Interface, .. })) => None,
        None => match network {
            IpNet::V4(_) => None,
            IpNet::V6(_) => (!touches(&global_unicast(), &network)).then_some("not global unicast"),
        },
    }
}

/// Whether every address of a network is global unicast (a check for the author, not for traffic).
pub fn network_is_global(network: IpNet) -> bool {
    let unicast = match network {
        IpNet::V4(_) => true,
        IpNet::V6(_) => global_unicast().contains(&network),
    };
    unicast && !rows(network).any(|(row, _)| touches(&row, &network))
}

/// The blocks of the registries that lie inside a network.
pub(crate) fn blocks_within(network: IpNet) -> impl Iterator<Item = IpNet> {
    rows(network).map(|(row, _)| row).filter(move |row| network.contains(row))
}

fn global_unicast() -> IpNet {
    const UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    IpNet::V6(UNICAST)
}

/// Two networks share an address only if one holds the other.
fn touches(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// The rows of the network's family.
fn rows(network: IpNet) -> impl Iterator<Item = (IpNet, Classified)> {
    let v4 = V4.iter().map(|(base, length, class, block)| (IpAddr::from(*base), *length, *class, *block));
    let v6 = V6.iter().map(|(base, length, class, block)| (IpAddr::from(*base), *length, *class, *block));
    let wanted = network.addr().is_ipv4();
    let family = v4.chain(v6).filter(move |(base, ..)| base.is_ipv4() == wanted);
    family
        .filter_map(|(base, length, class, block)| Some((IpNet::new(base, length).ok()?, Classified { class, block })))
}

fn matches_v4(ip: Ipv4Addr, base: [u8; 4], length: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    u32::from(ip) & mask == u32::from_be_bytes(base) & mask
}

fn matches_v6(ip: Ipv6Addr, base: [u16; 8], length: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    u128::from(ip) & mask == u128::from(Ipv6Addr::from(base)) & mask
}

const GLOBAL_UNICAST: [u16; 8] = [0x2000, 0, 0, 0, 0, 0, 0, 0];

use Class::{Global, Loopback, Metadata, Private, Reserved};

type RowV4 = ([u8; 4], u8, Class, &'static str);
type RowV6 = ([u16; 8], u8, Class, &'static str);

/// Blocks of the IPv4 registry, RFC in each name where the registry gives one.
const V4: &[RowV4] = &[
    ([0, 0, 0, 0], 8, Reserved, "this network (RFC 791)"),
    ([10, 0, 0, 0], 8, Private, "private use (RFC 1918)"),
    ([100, 64, 0, 0], 10, Private, "shared address space (RFC 6598)"),
    ([127, 0, 0, 0], 8, Loopback, "loopback (RFC 1122)"),
    ([169, 254, 0, 0], 16, Reserved, "link local (RFC 3927)"),
    ([172, 16, 0, 0], 12, Private, "private use (RFC 1918)"),
    ([192, 0, 0, 0], 24, Reserved, "IETF protocol assignments (RFC 6890)"),
    ([192, 0, 2, 0], 24, Private, "documentation (RFC 5737)"),
    ([192, 31, 196, 0], 24, Private, "AS112-v4 (RFC 7535)"),
    ([192, 52, 193, 0], 24, Private, "AMT (RFC 7450)"),
    ([192, 88, 99, 0], 24, Reserved, "deprecated 6to4 relay anycast (RFC 7526)"),
    ([192, 168, 0, 0], 16, Private, "private use (RFC 1918)"),
    ([192, 175, 48, 0], 24, Private, "direct delegation AS112 (RFC 7534)"),
    ([198, 18, 0, 0], 15, Private, "benchmarking (RFC 2544)"),
    ([198, 51, 100, 0], 24, Private, "documentation (RFC 5737)"),
    ([203, 0, 113, 0], 24, Private, "documentation (RFC 5737)"),
    ([224, 0, 0, 0], 4, Reserved, "multicast (RFC 5771)"),
    ([240, 0, 0, 0], 4, Private, "reserved, class E (RFC 1112)"),
    ([255, 255, 255, 255], 32, Reserved, "limited broadcast (RFC 919)"),
    ([169, 254, 169, 254], 32, Metadata, "cloud metadata"),
    ([169, 254, 170, 2], 32, Metadata, "AWS ECS task credentials"),
    ([169, 254, 170, 23], 32, Metadata, "AWS EKS pod identity"),
    ([169, 254, 169, 253], 32, Metadata, "AWS VPC DNS"),
    ([169, 254, 169, 123], 32, Metadata, "AWS time service"),
    ([169, 254, 0, 23], 32, Metadata, "Tencent Cloud metadata"),
    ([169, 254, 20, 10], 32, Metadata, "Kubernetes node-local DNS"),
    ([168, 63, 129, 16], 32, Metadata, "Azure WireServer"),
    ([100, 100, 100, 200], 32, Metadata, "Alibaba Cloud metadata"),
    ([192, 0, 0, 192], 32, Metadata, "Oracle Cloud metadata"),
];

/// The first octets of the addresses in `V4`.
const BEGUN: [bool; 256] = {
    let mut begun = [false; 256];
    let mut row = 0;
    while row < V4.len() {
        #[expect(clippy::indexing_slicing, reason = "bounded by the loop; a wrong index does not compile")]
        let (base, length) = (V4[row].0, V4[row].1);
        let blocks = if length >= 8 { 1 } else { 1 << (8 - length) };
        let mut octet = base[0] as usize;
        let end = octet + blocks;
        while octet < end {
            #[expect(
                clippy::indexing_slicing,
                reason = "a block ends within the address space; else it does not compile"
            )]
            {
                begun[octet] = true;
            }
            octet += 1;
        }
        row += 1;
    }
    begun
};

/// Blocks of the IPv6 registry and deprecated ones that kernels still route.
const V6: &[RowV6] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Reserved, "unspecified (RFC 4291)"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Loopback, "loopback (RFC 4291)"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, Reserved, "deprecated IPv4-compatible (RFC 4291)"),
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, Reserved, "IPv4-translated (RFC 2765)"),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Reserved, "NAT64 well-known prefix (RFC 6052)"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Reserved, "NAT64 local use (RFC 8215)"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, Reserved, "discard only (RFC 6666)"),
    ([0x100, 0, 0, 1, 0, 0, 0, 0], 64, Reserved, "dummy prefix (RFC 9780)"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Reserved, "IETF protocol assignments (RFC 2928)"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Reserved, "Teredo (RFC 4380)"),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, Private, "benchmarking (RFC 5180)"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Private, "documentation (RFC 3849)"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Reserved, "6to4 (RFC 3056)"),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, Private, "direct delegation AS112 (RFC 7534)"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Private, "documentation (RFC 9637)"),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, Reserved, "segment routing SIDs (RFC 9602)"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Private, "unique local (RFC 4193)"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Reserved, "link local (RFC 4291)"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Reserved, "deprecated site local (RFC 3879)"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Reserved, "multicast (RFC 4291)"),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, Metadata, "cloud metadata"),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128, Metadata, "AWS EKS pod identity"),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253], 128, Metadata, "AWS VPC DNS"),
    ([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, Metadata, "GCP metadata"),
    ([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, Metadata, "OpenStack metadata"),
];

impl Class {
    /// Whether only a rule that names the address may open it, or none at all.
    pub fn on_floor(self) -> bool {
        self != Global
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_specific_nat64_prefix_is_judged_by_the_address_inside() {
        // The examples of RFC 6052 section 2.4, all of 192.0.2.33, and one that hides metadata.
        let at = |prefix: &str| Floor { nat64_prefixes: vec![prefix.parse().unwrap()], ..Floor::default() };
        for (prefix, text) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ] {
            assert_eq!(at(prefix).embedded(ip(text)), Some(Ipv4Addr::new(192, 0, 2, 33)), "{prefix}");
        }
        assert_eq!(at("64:ff9b::/96").classify(ip("64:ff9b::a9fe:a9fe"), 80).class, Class::Metadata);
        assert_eq!(at("64:ff9b::/96").classify(ip("64:ff9b::808:808"), 80).class, Class::Global);
    }

    #[test]
    fn the_gateway_is_never_a_destination() {
        let floor = Floor {
            development_loopback: true,
            gateway: vec!["0.0.0.0:3128".parse().unwrap(), "127.0.0.1:3129".parse().unwrap()],
            interfaces: vec![ip("198.51.100.7")],
            ..Floor::default()
        };
        for (text, port) in [("127.0.0.1", 3128), ("198.51.100.7", 3128), ("127.0.0.9", 3128), ("127.0.0.1", 3129)] {
            assert_eq!(floor.classify(ip(text), port).class, Class::Gateway, "{text}:{port}");
        }
        assert_eq!(floor.classify(ip("::ffff:127.0.0.1"), 3129).class, Class::Gateway);
        assert_eq!(floor.classify(ip("127.0.0.1"), 443).class, Class::Loopback);
    }

    #[test]
    fn the_gateway_is_no_destination_through_a_translation_prefix_either() {
        let floor = Floor {
            nat64_prefixes: vec!["64:ff9b::/96".parse().unwrap()],
            gateway: vec!["0.0.0.0:3128".parse().unwrap(), "8.8.4.4:3129".parse().unwrap()],
            interfaces: vec![ip("8.8.4.4")],
            services: vec!["9.9.9.9:53".parse().unwrap()],
            ..Floor::default()
        };
        for port in [3128, 3129] {
            assert_eq!(floor.classify(ip("64:ff9b::8.8.4.4"), port).class, Class::Gateway, "{port}");
        }
        assert_eq!(floor.classify(ip("64:ff9b::127.0.0.1"), 3128).class, Class::Gateway);
        assert_eq!(floor.classify(ip("64:ff9b::8.8.4.4"), 443).class, Class::Interface);
        assert_eq!(floor.classify(ip("64:ff9b::9.9.9.9"), 53).class, Class::Private);
        assert_eq!(floor.classify(ip("64:ff9b::9.9.9.9"), 443).class, Class::Global);
    }

    #[test]
    fn what_the_gateway_relies_on_opens_only_by_name() {
        let floor = Floor { services: vec!["9.9.9.9:53".parse().unwrap()], ..Floor::default() };
        assert_eq!(floor.classify(ip("9.9.9.9"), 53).class, Class::Private);
        assert_eq!(floor.classify(ip("9.9.9.9"), 443).class, Class::Global);
    }

    #[test]
    fn an_interface_address_is_on_the_floor_however_public_it_is() {
        let mut floor = Floor { interfaces: vec![ip("8.8.4.4")], ..Floor::default() };
        assert_eq!(floor.classify(ip("8.8.4.4"), 443).class, Class::Interface);
        assert!(!floor.may_open(Class::Interface));
        floor.development_loopback = true;
        assert_eq!(floor.classify(ip("8.8.4.4"), 443).class, Class::Global);
    }
}
