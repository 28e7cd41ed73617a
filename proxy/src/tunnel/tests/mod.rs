//! Tunnels over real sockets on loopback.

mod bulk;

mod ends;

mod times;

mod tls;

use std::future::pending;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

const POOLS: PoolLimits =
    PoolLimits { buffer_size: 32 * 1024, spare_buffers: 8, pipes: 16, pipe_size: 256 * 1024, spare_pipes: 8 };
const COPY_ONLY: PoolLimits = PoolLimits { pipes: 0, spare_pipes: 0, ..POOLS };
/// Long enough never to be the reason that a test ends.
const LONG: Limits = Limits { idle: Duration::from_secs(3600), max_duration: None };

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, (far, _)) = (near.unwrap(), far.unwrap());
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// A tunnel under way, seen from both far ends.
struct World {
    client: TcpStream,
    origin: TcpStream,
    carried: JoinHandle<Finished>,
    counters: Arc<Counters>,
    pools: Arc<Pools>,
}

impl World {
    async fn new() -> World {
        World::with(LONG, POOLS, pending()).await
    }

    async fn with(limits: Limits, pools: PoolLimits, cut: impl Future<Output = Ending> + Send + 'static) -> World {
        World::early(limits, pools, cut, [Bytes::new(), Bytes::new()]).await
    }

    async fn early(
        limits: Limits,
        pools: PoolLimits,
        cut: impl Future<Output = Ending> + Send + 'static,
        [from_client, from_upstream]: [Bytes; 2],
    ) -> World {
        let ((client, near_client), (near_origin, origin)) = (pair().await, pair().await);
        let counters = Arc::new(Counters::default());
        let pools = Arc::new(Pools::new(pools));
        let tunnel = Tunnel { client: near_client.into(), upstream: near_origin.into(), from_client, from_upstream };
        let carried = tokio::spawn({
            let (counters, pools) = (Arc::clone(&counters), Arc::clone(&pools));
            async move { carry(tunnel, &limits, &pools, &counters, &Meter::default(), cut).await }
        });
        World { client, origin, carried, counters, pools }
    }
}

async fn receive(stream: &mut (impl tokio::io::AsyncRead + Unpin), count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn error_of(stream: &mut TcpStream) -> io::ErrorKind {
    stream.read_to_end(&mut Vec::new()).await.unwrap_err().kind()
}

#[tokio::test]
async fn an_idle_tunnel_is_small() {
    let ((_client, near_client), (near_origin, _origin)) = (pair().await, pair().await);
    let tunnel = Tunnel {
        client: near_client.into(),
        upstream: near_origin.into(),
        from_client: Bytes::new(),
        from_upstream: Bytes::new(),
    };
    let (pools, counters, meter) = (Pools::new(POOLS), Counters::default(), Meter::default());
    let size = size_of_val(&carry(tunnel, &LONG, &pools, &counters, &meter, pending()));
    println!("a tunnel is {size} bytes");
    assert!(size <= 1024, "{size} bytes");
}

#[test]
fn endings_are_spelled_as_records_spell_them() {
    let endings = [
        (Ending::ClientClosed, "client_closed"),
        (Ending::UpstreamClosed, "upstream_closed"),
        (Ending::Idle, "idle"),
        (Ending::Expired, "expired"),
        (Ending::PolicyChanged, "policy_changed"),
        (Ending::GrantEnded, "grant_ended"),
        (Ending::ModeChanged, "mode_changed"),
        (Ending::MaxDuration, "max_duration"),
        (Ending::Drained, "drained"),
        (Ending::Limit, "limit"),
        (Ending::Error, "error"),
    ];
    for (ending, spelling) in endings {
        assert_eq!(ending.as_str(), spelling);
    }
}
