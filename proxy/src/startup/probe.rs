//! Whom probes trust, from `probe`: files to a prober, at the start and at every reload.

use gatepass_certs::probe::Prober;
use gatepass_certs::{Limits, pem};
use gatepass_config::probe::{Machine, Probe};
use sha2::{Digest as _, Sha256};

use crate::evidence::ship::tls::machine_anchors;
use crate::shared::Shared;

/// A prober, and what tells its anchors from others. Blocks on files.
pub fn prober(configured: &Probe, limits: &Limits) -> Result<(Prober, [u8; 32]), String> {
    let mut anchors = Vec::new();
    if let Some(ca) = &configured.ca {
        anchors = pem::certificates(&ca.value, limits).map_err(|error| unusable(configured, &error))?;
    }
    match configured.machine {
        Machine::Left => {}
        // A machine without anchors is no fault where no rule asks for proof, and where one does, nothing is proved.
        Machine::Trusted => anchors.extend(machine_anchors().unwrap_or_default()),
        Machine::Demanded => {
            anchors.extend(machine_anchors().map_err(|error| format!("error: `probe.system`: {error}"))?)
        }
    }
    let prober = Prober::trusting(&anchors).map_err(|problem| unusable(configured, &problem))?;
    let mut digest = Sha256::new();
    for anchor in &anchors {
        digest.update((anchor.len() as u64).to_be_bytes());
        digest.update(anchor);
    }
    Ok((prober, digest.finalize().into()))
}

/// Read them again; what was trusted stays so where the new is not usable. Says whether others are trusted now.
pub fn read_again(shared: &Shared) -> Result<bool, String> {
    let (prober, digest) = prober(&shared.probed_by, &super::bounds::certificates(&shared.limits))?;
    Ok(shared.probe.trust(prober, digest))
}

fn unusable(configured: &Probe, why: &dyn std::fmt::Display) -> String {
    let place = configured.ca.as_ref().and_then(|ca| ca.place.as_ref());
    let place =
        place.map_or_else(String::new, |p| format!("\n  --> {}:{}:{}", p.file().display(), p.line(), p.column()));
    format!("error: `probe.ca` cannot be used: {why}{place}")
}
