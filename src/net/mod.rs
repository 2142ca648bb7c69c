//! The network port: length-framed bytes over a socket or a simulated pipe.
//!
//! A connection is a [`Reader`], which yields frames as slices of one buffer, and a [`Writer`], which sends byte slices and
//! stretches of files. Both belong to one thread; [`detach`] takes them off it.
//!
//! *Invariant*: no memory is asked for because a peer says that bytes will come, only because they came.
//! *Does not know*: what a frame means, how many connections there may be, actors.
#![warn(missing_docs)]

mod connect;
mod frame;
mod listener;
mod outgoing;
mod pool;
mod stream;

#[cfg(test)]
mod tests;

pub use connect::{ConnectError, connect};
pub use frame::{FrameBuffer, FrameError};
pub use listener::{BindError, Incoming, Listener, SocketOptions, is_no_such_family};
pub use outgoing::{Chunk, FileSource, Outgoing};
pub use pool::BufferPool;
pub use stream::{Detached, Duplex, Reader, Stream, Writer, detach};
