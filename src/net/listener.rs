//! Listening sockets.
//!
//! *Does not know*: how many connections there may be, which thread gets one.

use std::io;
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

/// What the operator may choose about sockets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SocketOptions {
    /// `socket.send.buffer.bytes`; `None` (−1 in the file) lets the system choose and adapt.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None` (−1 in the file) lets the system choose and adapt.
    pub receive_buffer_bytes: Option<usize>,
    /// The TCP congestion control for peers on the same machine, for instance `reno`. Where the system's default paces its
    /// packets (BBR), loopback is up to 2.7 times slower than it need be. What the system refuses is ignored.
    pub loopback_congestion_control: Option<String>,
}

impl SocketOptions {
    /// Sets them on a connected socket, with no delay of small packets and with keep-alive probes, as Kafka does.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn apply(&self, socket: SockRef<'_>, peer: SocketAddr) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        socket.set_keepalive(true)?;
        self.apply_buffers(&socket)?;
        if let Some(name) = self.loopback_congestion_control.as_ref().filter(|_| peer.ip().to_canonical().is_loopback())
        {
            // A matter of speed only; an unprivileged process may be refused.
            let _ = socket.set_tcp_congestion(name.as_bytes());
        }
        Ok(())
    }

    fn apply_buffers(&self, socket: &Socket) -> io::Result<()> {
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        Ok(())
    }
}

/// Why an address cannot be listened on, in words for the operator.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", explained(.source))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's enum, of which few need words of ours")]
fn explained(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "address in use: another process listens there; stop it, or choose another port in `listeners`".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; see `listeners`".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need a privilege".to_owned(),
        _ => error.to_string(),
    }
}

/// A listening socket, registered with this thread's runtime.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    options: SocketOptions,
}

/// A connection that was just accepted. It belongs to no thread yet: [`super::Stream::from_socket`].
#[derive(Debug)]
pub struct Incoming {
    /// The socket, non-blocking.
    pub socket: TcpStream,
    /// Who connected.
    pub peer: SocketAddr,
}

impl Listener {
    /// Listens on `address`, whose port may be 0 for one that is free. `backlog` is `socket.listen.backlog.size`.
    ///
    /// # Errors
    /// [`BindError`] says what to do.
    pub fn bind(address: SocketAddr, backlog: u32, options: SocketOptions) -> Result<Self, BindError> {
        Self::try_bind(address, backlog, options).map_err(|source| BindError { address, source })
    }

    fn try_bind(address: SocketAddr, backlog: u32, options: SocketOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted broker must not wait for the connections of its former life to time out.
        socket.set_reuse_address(true)?;
        // Buffers are inherited, and the receive buffer bounds the window that is negotiated while connecting.
        options.apply_buffers(&socket)?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() && address.ip().is_unspecified() {
            // IPv4 too, whatever the system's default is.
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(Self { socket: TcpListener::from_std(socket.into())?, options })
    }

    /// The address listened on, with the port that was chosen.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for a connection. Connections that broke before they were accepted are passed over.
    ///
    /// # Errors
    /// When the process has too many open files or too little memory: the caller waits a moment and goes on.
    pub async fn accept(&self) -> io::Result<Incoming> {
        loop {
            let accepted = self.socket.accept().await;
            match accepted.and_then(|(socket, peer)| self.prepare(socket.into_std()?, peer)) {
                Ok(incoming) => return Ok(incoming),
                Err(error) if is_the_peers(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn prepare(&self, socket: TcpStream, peer: SocketAddr) -> io::Result<Incoming> {
        self.options.apply(SockRef::from(&socket), peer)?;
        Ok(Incoming { socket, peer })
    }
}

/// Whether the machine does not speak the version of the Internet Protocol that an address is of.
#[must_use]
pub fn is_no_such_family(error: &io::Error) -> bool {
    let code = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.raw_os_error() == Some(code) || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Whether an error is of one connection only. Linux also hands a connection's pending network errors to `accept`.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, InvalidInput, NetworkDown,
        NetworkUnreachable, NotConnected, PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | InvalidInput
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | PermissionDenied
            | TimedOut
    )
}
