//! A connection's two halves over a TCP socket or over anything else that reads and writes (the simulator's pipe, TLS).
//!
//! *Invariant*: every future here can be dropped at any time without losing or repeating a byte.
//! *Does not know*: frames' meaning, deadlines (the caller drops the future), how much may wait to be sent.

use std::io::{self, IoSlice};

use bytes::{BufMut, Bytes};
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::outgoing::{Front, shorter_than_promised};
use super::{BufferPool, Chunk, FrameBuffer, FrameError, Outgoing};

/// Slices of memory handed to the system at once; Linux takes up to 1024, and few responses have more than some.
const SLICES_MAX: usize = 64;

/// Bytes of a file handed to the system at once, and bytes after which other tasks get their turn even when the peer reads
/// faster than we send: about a millisecond's worth.
const TURN_BYTES_MAX: u64 = 2 << 20;

/// Anything that reads and writes without being a TCP socket.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + std::fmt::Debug> Duplex for T {}

/// A connection, not yet read from.
#[derive(Debug)]
pub enum Stream {
    /// A socket of this process, registered with this thread's runtime.
    Tcp(TcpStream),
    /// Anything else. Files are copied through memory to it.
    Other(Box<dyn Duplex>),
}

impl Stream {
    /// Registers a socket with this thread's runtime. It must be non-blocking, as those of [`super::Listener`] are.
    ///
    /// # Errors
    /// The runtime's.
    pub fn from_socket(socket: std::net::TcpStream) -> io::Result<Self> {
        TcpStream::from_std(socket).map(Self::Tcp)
    }

    /// The two halves, whose buffers come from `pool`.
    #[must_use]
    pub fn split(self, pool: BufferPool) -> (Reader, Writer) {
        let frames = FrameBuffer::new(pool);
        let outgoing = Outgoing::default();
        match self {
            Self::Tcp(tcp) => {
                let (read, write) = tcp.into_split();
                (Reader { source: Source::Tcp(read), frames }, Writer { sink: Sink::Tcp(write), outgoing })
            }
            Self::Other(other) => {
                let (read, write) = tokio::io::split(other);
                (Reader { source: Source::Other(read), frames }, Writer { sink: Sink::Other(write), outgoing })
            }
        }
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    frames: FrameBuffer,
}

#[derive(Debug)]
enum Source {
    Tcp(OwnedReadHalf),
    Other(ReadHalf<Box<dyn Duplex>>),
}

impl Reader {
    /// Waits for bytes and reads once. Returns how many came; 0 when the peer will send no more.
    ///
    /// # Errors
    /// The connection's.
    pub async fn fill(&mut self) -> io::Result<usize> {
        if let Source::Tcp(tcp) = &self.source {
            // Memory is kept only while there is something to put into it.
            tokio::select! {
                biased;
                ready = tcp.readable() => ready?,
                () = std::future::ready(()) => {
                    self.frames.rest();
                    tcp.readable().await?;
                }
            }
        }
        let mut room = self.frames.room();
        let asked = room.remaining_mut();
        let received = match &mut self.source {
            Source::Tcp(tcp) => tcp.read_buf(&mut room).await?,
            Source::Other(other) => other.read_buf(&mut room).await?,
        };
        self.frames.received(received, asked);
        Ok(received)
    }

    /// The next frame that has arrived whole; see [`FrameBuffer::next_frame`].
    ///
    /// # Errors
    /// [`FrameError`]: the connection must be closed.
    pub fn next_frame(&mut self, bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
        self.frames.next_frame(bytes_max)
    }

    /// Bytes that arrived and are no whole frame yet: a peer that stops in the middle of one.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.frames.unread_bytes()
    }

    /// Whether [`detach`] can take this connection off its thread.
    #[must_use]
    pub const fn is_detachable(&self) -> bool {
        matches!(self.source, Source::Tcp(_))
    }

    /// Bytes of memory that the half holds.
    #[must_use]
    pub const fn allocated_bytes(&self) -> usize {
        self.frames.allocated_bytes()
    }
}

/// The sending half. Dropping it tells the peer that no more will come.
#[derive(Debug)]
pub struct Writer {
    sink: Sink,
    outgoing: Outgoing,
}

#[derive(Debug)]
enum Sink {
    Tcp(OwnedWriteHalf),
    Other(WriteHalf<Box<dyn Duplex>>),
}

impl Writer {
    /// Puts a chunk behind all that waits; nothing is sent before [`Self::flush`] or [`Self::try_flush`].
    pub fn push(&mut self, chunk: Chunk) {
        self.outgoing.push(chunk);
    }

    /// Memory behind all that waits, for small answers to be written behind what it holds: they leave together.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        self.outgoing.tail()
    }

    /// Bytes that wait to be sent. The caller stops reading requests when they are too many.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        self.outgoing.bytes()
    }

    /// Sends all that waits, waiting for the peer to read where it must.
    ///
    /// # Errors
    /// The connection's or a file's; the connection must be closed.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match &mut self.sink {
                Sink::Tcp(tcp) => {
                    if !send_turn(tcp.as_ref(), &mut self.outgoing)? {
                        tcp.writable().await?;
                    } else if !self.outgoing.is_empty() {
                        tokio::task::yield_now().await;
                    }
                }
                Sink::Other(other) => {
                    self.outgoing.stage()?;
                    let Some(Front::Bytes(bytes)) = self.outgoing.front() else { continue };
                    match other.write(bytes).await? {
                        0 => return Err(io::ErrorKind::WriteZero.into()),
                        sent => self.outgoing.advance(sent as u64),
                    }
                }
            }
        }
        match &mut self.sink {
            Sink::Tcp(_) => Ok(()),
            Sink::Other(other) => other.flush().await,
        }
    }

    /// Sends what can be sent without waiting; `true` when nothing is left. Over anything but TCP it sends nothing.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn try_flush(&mut self) -> io::Result<bool> {
        if let Sink::Tcp(tcp) = &self.sink {
            send_turn(tcp.as_ref(), &mut self.outgoing)?;
        }
        Ok(self.outgoing.is_empty())
    }

    /// Tells the peer that no more will come, after what was flushed.
    ///
    /// # Errors
    /// The connection's.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Tcp(tcp) => tcp.shutdown().await,
            Sink::Other(other) => other.shutdown().await,
        }
    }
}

/// Sends until the socket is full (`false`), or until nothing is left or enough was sent for one turn (`true`).
fn send_turn(tcp: &TcpStream, outgoing: &mut Outgoing) -> io::Result<bool> {
    let mut turn = 0;
    while let Some(front) = outgoing.front().filter(|_| turn < TURN_BYTES_MAX) {
        let sent = match front {
            Front::File(file, position, len) => match file.os_file() {
                Some(file) => tcp.try_io(Interest::WRITABLE, || send_file(tcp, file, position, len)),
                None => {
                    outgoing.stage()?;
                    continue;
                }
            },
            Front::Bytes(_) => tcp.try_io(Interest::WRITABLE, || send_slices(tcp, outgoing)),
        };
        match sent {
            Ok(sent) => {
                outgoing.advance(sent);
                turn = turn.saturating_add(sent);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn send_slices(tcp: &TcpStream, outgoing: &Outgoing) -> io::Result<u64> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let (count, file_follows) = outgoing.slices(&mut slices);
    let slices = slices.get(..count).unwrap_or_default();
    // A header waits for the file's first bytes, so that both leave in one packet.
    let flags = if file_follows { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
    let sent = rustix::net::sendmsg(tcp, slices, &mut SendAncillaryBuffer::default(), flags)?;
    Ok(sent as u64)
}

fn send_file(tcp: &TcpStream, file: &std::fs::File, position: u64, len: u64) -> io::Result<u64> {
    let mut position = position;
    let count = usize::try_from(len.min(TURN_BYTES_MAX)).unwrap_or(usize::MAX);
    match rustix::fs::sendfile(tcp, file, Some(&mut position), count)? {
        0 => Err(shorter_than_promised()),
        sent => Ok(sent as u64),
    }
}

/// A TCP connection between two threads: its socket, and what was read and not yielded, pushed and not sent.
#[derive(Debug)]
pub struct Detached {
    socket: std::net::TcpStream,
    unread: Bytes,
    unsent: Outgoing,
}

/// Takes a connection off its thread. `None` for one that is no TCP socket, or when the halves are not of one connection;
/// it is closed then.
///
/// # Errors
/// The runtime's.
pub fn detach(reader: Reader, writer: Writer) -> io::Result<Option<Detached>> {
    let (Source::Tcp(read), Sink::Tcp(write)) = (reader.source, writer.sink) else { return Ok(None) };
    let Ok(tcp) = read.reunite(write) else { return Ok(None) };
    Ok(Some(Detached { socket: tcp.into_std()?, unread: reader.frames.into_unread(), unsent: writer.outgoing }))
}

impl Detached {
    /// Goes on with the connection on this thread.
    ///
    /// # Errors
    /// The runtime's.
    pub fn attach(self, pool: BufferPool) -> io::Result<(Reader, Writer)> {
        let (mut reader, mut writer) = Stream::from_socket(self.socket)?.split(pool);
        reader.frames.restore(&self.unread);
        writer.outgoing = self.unsent;
        Ok((reader, writer))
    }
}
