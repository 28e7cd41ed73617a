//! Where the policy comes from, from the configuration.

use gatepass_config::Config;
use gatepass_config::policy::{Bundle, Policy, Trust};
use gatepass_policy::source::SourceFile;
use jiff::Timestamp;

use crate::bundle::Keyring;
use crate::candidate::Candidate;
use crate::policy_store::{PolicyStore, Said};
use crate::supply::{Archived, Freshness, Place, Source};

/// The policy, loaded for the first time.
pub(super) async fn store(
    config: &Config,
    embedded: Vec<SourceFile>,
    now: Timestamp,
) -> Result<(PolicyStore, Said), String> {
    let Policy { max_age, when_stale, candidate, .. } = &config.policy;
    let freshness = Freshness::new(*max_age, *when_stale);
    let candidate = candidate.as_ref().map(|path| Candidate::new(path.value.clone(), &config.limits));
    PolicyStore::load(source(config, embedded)?, freshness, candidate, now).await
}

fn source(config: &Config, embedded: Vec<SourceFile>) -> Result<Source, String> {
    let limits = &config.limits;
    let place = match &config.policy.bundle {
        Bundle::Embedded => return Ok(Source::Embedded(embedded)),
        Bundle::Directory(path) => {
            return Ok(Source::Directory { path: path.value.clone(), limits: Box::new(limits.clone()) });
        }
        Bundle::Archive(path) => Place::File(path.value.clone()),
        Bundle::Url(remote) => Place::Url(remote.clone()),
    };
    let keys = config.policy.trust.as_ref().map(keys).transpose()?;
    Ok(Source::Archive(Box::new(Archived::new(place, keys, limits, &config.state.directory.value))))
}

/// Read once, as the configuration is: who may release is changed with a restart.
fn keys(trust: &Trust) -> Result<Keyring, String> {
    let paths = trust.keys.iter().map(|path| path.value.as_path());
    Keyring::load(paths, Some(trust.threshold)).map_err(|problems| {
        let told = problems.iter().map(|problem| format!("error: `policy.verify_keys`: {problem}"));
        told.collect::<Vec<_>>().join("\n")
    })
}
