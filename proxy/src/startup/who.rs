//! Who is who, from `identity`.

use std::sync::Arc;

use crate::identity::{Names, Registry, Token};

/// Everything that identities are established from.
pub(super) fn registry(identity: &gatepass_config::identity::Identity) -> Registry {
    let tokens = identity.tokens.iter().flat_map(|file| &file.tokens);
    let mut networks: Vec<_> =
        identity.networks.iter().map(|network| (network.cidr, Arc::<str>::from(network.name.as_str()))).collect();
    networks.sort_by_key(|(cidr, _)| std::cmp::Reverse(cidr.prefix_len()));
    Registry {
        names: Names {
            trust_domains: identity.mtls.trust_domains.clone().unwrap_or_default(),
            kinds: identity.mtls.names.clone(),
        },
        tokens: tokens
            .map(|token| Token { name: token.name.as_str().into(), sha256: token.sha256, expires: token.expires })
            .collect(),
        networks,
    }
}
