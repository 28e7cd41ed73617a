//! The composition root: the only constructor of the parts that connections share, and the gateway's life from the
//! first bound socket to the last closing record.

use std::net::SocketAddr;
use std::sync::Arc;

use gatepass_config::admin::Bind;
use gatepass_policy::address::Floor;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::evidence::Flushed;
use crate::evidence::words::PolicyResult;
use crate::listener::{Gate, Listener};
use crate::shared::Shared;
use crate::shutdown::Shutdown;
use crate::startup::{Parts, Startup};
use crate::{admin, live, operations, reload};

/// A gateway that listens.
pub struct Gateway {
    shared: Arc<Shared>,
    shutdown: Shutdown,
    tasks: Vec<JoinHandle<()>>,
    gates: Vec<Gate>,
    /// Where each listener really is, by name: a configured port of 0 has become another.
    pub addresses: Vec<(Arc<str>, SocketAddr)>,
    /// Where the admin listener really is, as it is told.
    pub admin: Option<String>,
}

impl Gateway {
    /// Bind everything, or nothing: no listener takes a connection unless every part could be made.
    pub async fn start(startup: Startup) -> Result<Gateway, String> {
        let Parts { shared, listeners, admin, warnings } = startup.build().await?;
        for warning in &warnings {
            eprintln!("{warning}");
        }
        let mut bound = Vec::new();
        for (gate, address) in listeners {
            let socket = bind(address, &gate.origin.name).await?;
            bound.push((gate, socket));
        }
        let admin = match admin {
            None => None,
            Some(config) => Some((admin_socket(&config.bind).await?, config)),
        };
        let addresses: Vec<_> =
            bound.iter().map(|(gate, socket)| (Arc::clone(&gate.origin.name), local(socket))).collect();
        let admin_address = admin.as_ref().and_then(|(socket, _)| socket.address());
        let admin_told = admin.as_ref().map(|(socket, _)| socket.to_string());
        let own: Vec<_> = addresses.iter().map(|(_, address)| *address).chain(admin_address).collect();
        shared.floor.rcu(|floor| Floor { gateway: own.clone(), ..Floor::clone(floor) });
        let shared = Arc::new(shared);
        reload::tell(&shared, PolicyResult::Activated, None, &shared.policy.current());
        let shutdown = Shutdown::new();
        let mut tasks = Vec::new();
        let mut gates = Vec::new();
        for (gate, socket) in bound {
            gates.push(gate.clone());
            let listener = Listener { gate, socket };
            tasks.push(tokio::spawn(listener.run(Arc::clone(&shared), shutdown.drain(), shutdown.phase())));
        }
        if let (Some((socket, config)), Some(kept)) = (admin, shared.admin.clone()) {
            let state = operations::state(&shared, shutdown.phase(), &config, kept);
            let limits = admin::Limits {
                connections: shared.limits.admin_connections,
                handshake_timeout: shared.limits.tls_handshake_timeout,
                connection_timeout: shared.limits.admin_connection_timeout,
                decisions: shared.limits.admin_decisions,
                ..admin::Limits::default()
            };
            tasks.push(tokio::spawn(admin::serve(socket, Arc::new(state), limits)));
        }
        tasks.push(tokio::spawn(reload::keep_floor(Arc::clone(&shared))));
        tasks.push(tokio::spawn(live::keep(Arc::clone(&shared), gates.clone())));
        tasks.push(tokio::spawn(operations::sweep(Arc::clone(&shared))));
        tasks.push(tokio::spawn(Arc::clone(&shared.state).keep()));
        tasks.push(tokio::spawn(shared.budgets.clone().keep()));
        let metrics = Arc::clone(&shared.metrics);
        tasks.push(tokio::spawn(async move { metrics.keep().await }));
        Ok(Gateway { shared, shutdown, tasks, gates, addresses, admin: admin_told })
    }

    /// What connections share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What is listened on: TLS material that a reload renews.
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }

    /// Take no more, let what is under way end, cut the rest, and wait for the records.
    pub async fn finish(self) -> Flushed {
        let patience = self.shared.limits.drain_timeout;
        // The accept loops end by themselves; what keeps the rest current is not waited for.
        self.shutdown.finish(patience).await;
        self.shared.pool.clear();
        self.shared.budgets.settle().await;
        let flushed = self.shared.evidence.flush(patience.max(FLUSH_MIN)).await;
        if let Some(telemetry) = &self.shared.telemetry {
            telemetry.end(FLUSH_MIN).await;
        }
        for task in &self.tasks {
            task.abort();
        }
        flushed
    }
}

async fn bind(address: SocketAddr, name: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("error: `{name}` cannot listen on `{address}`: {error}"))
}

async fn admin_socket(to: &Bind) -> Result<admin::Socket, String> {
    match to {
        Bind::Tcp(address) => bind(address.value, "admin").await.map(admin::Socket::Tcp),
        Bind::Unix(path) => admin::Socket::unix(&path.value),
    }
}

/// The address of a socket that was just bound; the unspecified one if the system does not tell.
fn local(socket: &TcpListener) -> SocketAddr {
    socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// Closing records get at least this long to leave, however short the drain.
const FLUSH_MIN: std::time::Duration = std::time::Duration::from_secs(2);
