//! Connecting to a broker.
//!
//! *Does not know*: which broker, how often to try.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::{SocketOptions, Stream};

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// None of its addresses answered as wished.
    #[error("cannot connect to {address}: {source}")]
    Refused {
        /// The last address tried.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// It took too long.
    #[error("cannot connect to {host}:{port} within {wait:?}")]
    Deadline {
        /// The name.
        host: String,
        /// The port.
        port: u16,
        /// How long was waited.
        wait: Duration,
    },
}

impl ConnectError {
    /// Whether the machine answered that nobody listens there: the process is gone, or not there yet.
    #[must_use]
    pub fn nobody_listens(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// Connects to `host`, a name or an address, trying its addresses one after the other for at most `wait` in all.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(host: &str, port: u16, wait: Duration, options: &SocketOptions) -> Result<Stream, ConnectError> {
    let deadline = |_| ConnectError::Deadline { host: host.to_owned(), port, wait };
    tokio::time::timeout(wait, connect_to_any(host, port, options)).await.map_err(deadline)?
}

async fn connect_to_any(host: &str, port: u16, options: &SocketOptions) -> Result<Stream, ConnectError> {
    let resolve = |source| ConnectError::Resolve { host: host.to_owned(), source };
    let mut last = resolve(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    for address in tokio::net::lookup_host((host, port)).await.map_err(resolve)? {
        match connect_to(address, options).await {
            Ok(stream) => return Ok(Stream::Tcp(stream)),
            Err(source) => last = ConnectError::Refused { address, source },
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, options: &SocketOptions) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    options.apply(SockRef::from(&stream), address)?;
    Ok(stream)
}
