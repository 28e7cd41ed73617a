//! The bounds of the parts, from those of the configuration.

use gatepass_config::limits::Limits;

use crate::{client_hello, dial, forward, http1, probe, tunnel};

pub(super) fn head(limits: &Limits, pseudonym: &str) -> http1::Limits {
    http1::Limits {
        head: limits.head_max_bytes,
        target: limits.request_target_max_bytes,
        fields: limits.head_max_fields,
        chunk_line: limits.chunk_line_max_bytes,
        trailers: limits.trailers_max_bytes,
        pseudonym: pseudonym.into(),
    }
}

pub(super) fn forward(limits: &Limits, pseudonym: &str) -> forward::Limits {
    forward::Limits {
        http1: head(limits, pseudonym),
        buffer: limits.forward_buffer,
        interim: limits.interim_answers_max,
        response_head: limits.response_head_timeout,
        idle: limits.body_idle_timeout,
        longest: limits.tunnel_max_duration,
    }
}

/// Open files beside the two of each client connection, shared out among what clients can make the gateway hold open.
/// The rest of them is for listeners, DNS, exports and the operators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spare(usize);

impl Spare {
    /// Of `files` in all, beside `connections`.
    pub(super) fn of(files: usize, connections: usize) -> Spare {
        Spare(files.saturating_sub(connections.saturating_mul(2)))
    }

    /// Connections that are told at the same time that there are too many.
    pub(super) fn refusals(self) -> usize {
        (self.0 / 8).min(64)
    }
}

pub(super) fn pool(limits: &Limits, spare: Spare) -> forward::PoolLimits {
    forward::PoolLimits {
        per_key: limits.pool_idle_per_host,
        total: limits.pool_idle_total.min(spare.0 / 4),
        idle: limits.pool_idle_timeout,
    }
}

pub(super) fn hello(limits: &Limits) -> client_hello::Limits {
    client_hello::Limits { max_bytes: limits.client_hello_max_bytes, timeout: limits.client_hello_timeout }
}

pub(super) fn dial(limits: &Limits) -> dial::Limits {
    dial::Limits {
        attempt_delay: limits.dial_attempt_delay,
        per_attempt: limits.dial_attempt_timeout,
        total: limits.dial_timeout,
        max_attempts: limits.dial_attempts_max,
    }
}

/// Each probe is one more open file.
pub(super) fn probe(limits: &Limits, spare: Spare) -> probe::Limits {
    probe::Limits {
        timeout: limits.probe_timeout,
        at_once: limits.probes_max.min(spare.0 / 8).max(1),
        kept: limits.probe_cache_entries,
        kept_for: limits.probe_cache_age,
    }
}

pub(super) fn certificates(limits: &Limits) -> gatepass_certs::Limits {
    gatepass_certs::Limits {
        file_bytes: u64::try_from(limits.certificate_file_bytes).unwrap_or(u64::MAX),
        client_chain: limits.client_chain_max,
    }
}

/// What a bundle may hold, and what explaining it may cost.
pub(crate) fn policy(limits: &Limits) -> gatepass_policy::limits::Limits {
    // What is no setting: a gateway takes what `gatepass check` takes. Tests run elsewhere.
    let standard = gatepass_policy::limits::Limits::STANDARD;
    gatepass_policy::limits::Limits {
        files: limits.bundle_files,
        file_bytes: limits.bundle_file_bytes,
        bundle_bytes: limits.bundle_bytes,
        line_bytes: standard.line_bytes,
        nodes: standard.nodes,
        nesting: limits.bundle_nesting,
        diagnostics: limits.bundle_diagnostics,
        global_rules: limits.bundle_global_rules,
        workload_patterns: limits.bundle_workload_patterns,
        nearest_considered: limits.nearest_considered,
        traced_rules: limits.traced_rules,
        tests: standard.tests,
        test_bytes: standard.test_bytes,
        declared_bytes: limits.data_class_max_bytes,
    }
}

/// Buffers and pipes that tunnels share; an idle tunnel holds none. Each pipe is two files; without one, bytes are copied.
pub(super) fn tunnel_pools(spare: Spare) -> tunnel::PoolLimits {
    let pipes = (spare.0 / 16).min(48);
    tunnel::PoolLimits { buffer_size: 32 << 10, spare_buffers: 64, pipes, pipe_size: 1 << 20, spare_pipes: 16 }
}

#[cfg(test)]
mod tests {
    use gatepass_config::limits::connections_within;

    use super::*;

    #[test]
    fn what_clients_can_make_the_gateway_hold_open_takes_no_file_that_a_client_was_promised() {
        for files in [64, 256, 1_024, 20_000, 65_536, 1 << 20] {
            let room = connections_within(files);
            let spare = Spare::of(files, room);
            let probes = probe(&Limits::default(), spare).at_once;
            let held = pool(&Limits::default(), spare).total + 2 * tunnel_pools(spare).pipes + spare.refusals();
            assert!(held + probes <= (files - 2 * room) * 5 / 8, "{files}: {held} and {probes} beside {room}");
        }
        // More connections than files: nothing is kept.
        assert_eq!(pool(&Limits::default(), Spare::of(1_024, 1_000)).total, 0);
    }
}
