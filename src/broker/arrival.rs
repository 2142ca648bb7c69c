//! A connection that no loop serves right now: just accepted, or between two loops (law 8).
//!
//! *Invariant*: all of it may cross threads, and nothing of it is in flight.
//! *Does not know*: who sent it where, and why.

use std::io;

use super::Incoming;
use super::peer::Peer;
use super::placement::LoopId;
use crate::machine::homing::Homing;
use crate::net::{BufferPool, Detached, Reader, Writer};
use crate::wire::{Decoder, RequestHeader};

/// See the module.
pub struct Arrival {
    /// The socket.
    pub source: Source,
    /// Who is at its other end.
    pub peer: Peer,
    /// Where its messages to partitions go; `None` for a connection that never moves.
    pub homing: Option<Homing<LoopId>>,
}

/// A request that was read and not started.
pub type Waiting = (RequestHeader, Decoder);

/// A socket that belongs to no loop.
pub enum Source {
    /// Never read from.
    Accepted(Incoming),
    /// From another loop.
    Moved {
        /// With what was read and not yielded, pushed and not sent.
        socket: Detached,
        /// Yielded, and before all that was not.
        waiting: Option<Box<Waiting>>,
    },
}

/// Takes a connection off its loop to whoever starts it on another. Runs once, while the connection ends here.
pub type HandOver = Box<dyn FnOnce(Arrival) + Send>;

impl Source {
    /// Opens it on the calling loop, whose buffers these are.
    ///
    /// # Errors
    /// The runtime's.
    pub fn open(self, buffers: BufferPool) -> io::Result<(Reader, Writer, Option<Box<Waiting>>)> {
        match self {
            Self::Accepted(incoming) => {
                let (reader, writer) = incoming()?.split(buffers);
                Ok((reader, writer, None))
            }
            Self::Moved { socket, waiting } => {
                let (reader, writer) = socket.attach(buffers)?;
                Ok((reader, writer, waiting))
            }
        }
    }
}
