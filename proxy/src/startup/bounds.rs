//! The bounds of the parts, from those of the configuration.

use gatepass_config::limits::Limits;

use crate::{dial, forward, http1};

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
    }
}

pub(super) fn pool(limits: &Limits) -> forward::PoolLimits {
    forward::PoolLimits {
        per_key: limits.pool_idle_per_host,
        total: limits.pool_idle_total,
        idle: limits.pool_idle_timeout,
    }
}

pub(super) fn dial(limits: &Limits) -> dial::Limits {
    dial::Limits {
        attempt_delay: limits.dial_attempt_delay,
        per_attempt: limits.dial_attempt_timeout,
        total: limits.dial_timeout,
        max_attempts: limits.dial_attempts_max,
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
    gatepass_policy::limits::Limits {
        files: limits.bundle_files,
        file_bytes: limits.bundle_file_bytes,
        bundle_bytes: limits.bundle_bytes,
        nesting: limits.bundle_nesting,
        diagnostics: limits.bundle_diagnostics,
        global_rules: limits.bundle_global_rules,
        workload_patterns: limits.bundle_workload_patterns,
        nearest_considered: limits.nearest_considered,
        traced_rules: limits.traced_rules,
        declared_bytes: limits.data_class_max_bytes,
    }
}
