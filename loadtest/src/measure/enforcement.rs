//! Before anything is measured: does the proxy say no? One that lets everything through has been measured at another
//! job.

use std::net::Ipv4Addr;

use super::connect::{Opening, once};
use super::within_patience;
use crate::Failure;
use crate::load::{Client, Name};
use crate::origin::Service;

/// A name that is in no rule and on no list must be refused.
pub async fn unlisted_name(client: &Client) -> Result<(), Failure> {
    let host = "unlisted.bench.test".to_owned();
    let name = Name { host, address: Ipv4Addr::LOCALHOST, hello: Vec::new() };
    match within_patience(client.tunnel(&name, Service::Echo)).await {
        Ok(_) => Err(Failure("it opens tunnels to names that it should refuse".to_owned())),
        Err(Failure(why)) if why.starts_with("refused: `HTTP/1.1 4") => Ok(()),
        Err(Failure(why)) => Err(Failure(format!("it should refuse an unlisted name, but: {why}"))),
    }
}

/// A tunnel that does not speak TLS must carry nothing.
pub async fn no_tls(client: &Client) -> Result<(), Failure> {
    match within_patience(once(client, Opening::Byte)).await {
        Ok(()) => Err(Failure("it carries bytes that are not TLS, against its guardrail".to_owned())),
        Err(Failure(why)) if why.starts_with("read: ") || why.starts_with("write: ") => Ok(()),
        Err(Failure(why)) => Err(Failure(format!("it should cut a tunnel without TLS, but: {why}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::load::{Destinations, Route};
    use crate::origin;

    /// A client of something that answers each connection with `answer`, reads once more if there was a 200, and ends.
    async fn client_of(answer: &'static str) -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let route = Route::Proxy(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 1_024];
                assert!(stream.read(&mut buffer).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.starts_with("HTTP/1.1 200") {
                    assert!(stream.read(&mut buffer).await.unwrap() > 0);
                }
            }
        });
        Client::new(Arc::new(Destinations::new(origin::serve().unwrap()).unwrap()), route)
    }

    #[tokio::test]
    async fn a_proxy_must_refuse_what_is_on_no_list() {
        assert_eq!(unlisted_name(&client_of("HTTP/1.1 403 Forbidden\r\n\r\n").await).await, Ok(()));
        let open = unlisted_name(&client_of("HTTP/1.1 200 OK\r\n\r\n").await).await.unwrap_err();
        assert_eq!(open.0, "it opens tunnels to names that it should refuse");
        let broken = unlisted_name(&client_of("HTTP/1.1 502 Bad Gateway\r\n\r\n").await).await.unwrap_err();
        assert_eq!(broken.0, "it should refuse an unlisted name, but: refused: `HTTP/1.1 502 Bad Gateway`");
    }

    #[tokio::test]
    async fn a_guardrail_must_cut_what_is_not_tls() {
        assert_eq!(no_tls(&client_of("HTTP/1.1 200 OK\r\n\r\n").await).await, Ok(()));
        let direct = Client::new(Arc::new(Destinations::new(origin::serve().unwrap()).unwrap()), Route::Direct);
        let open = no_tls(&direct).await.unwrap_err();
        assert_eq!(open.0, "it carries bytes that are not TLS, against its guardrail");
    }
}
