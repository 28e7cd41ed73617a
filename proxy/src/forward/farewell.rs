//! Closing a connection so that its last answer arrives.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Octets read at once and thrown away.
const SCRAP: usize = 4096;

/// Say that no more comes, then listen for a while to what the client still sends, at most `octets` for at most
/// `patience`, and drop it unread. A socket that is closed with unread bytes resets the connection, and a reset can
/// destroy an answer that the client has not read yet (RFC 9112 section 9.6).
pub async fn farewell<C: AsyncRead + AsyncWrite + Unpin>(client: &mut C, octets: usize, patience: Duration) {
    let listen = async {
        client.shutdown().await?;
        let mut scrap = [0; SCRAP];
        let mut left = octets;
        while left > 0 {
            match client.read(&mut scrap).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<(), std::io::Error>(())
    };
    // However it goes, the connection is closed after it: a failure here changes nothing.
    let _ = tokio::time::timeout(patience, listen).await;
}
