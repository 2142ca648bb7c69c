//! What goes over a connection: requests are written, many with one system call, and answers are read and given to who asked.
//!
//! *Invariant*: answers come in the order of the requests, with their correlation ids; what else comes ends the connection.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

use crate::net::Stream;
use crate::wire::{Encoded, Part};

/// Longest answer that is taken: twice `fetch.max.bytes` of Kafka's consumer (50 MiB) and room for one oversized batch.
const ANSWER_BYTES_MAX: usize = 128 << 20;

/// Bytes of memory reserved ahead of what has arrived of an answer, so that a length that lies costs nothing; as many as the
/// answer before it had, if those were more.
pub(super) const READ_AHEAD_BYTES: usize = 256 << 10;

/// Bytes that are asked for when nothing is known of the next answer: most that are not of Fetch are smaller.
const READ_LEAST_BYTES: usize = 4 << 10;

/// Pieces of requests that are written with one system call, which takes 1,024 at most.
const PARTS_AT_ONCE: usize = 64;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub frame: Encoded,
    pub correlation_id: i32,
    /// `None` when the request has no answer (Produce with acks=0).
    pub answer: Option<oneshot::Sender<Result<Bytes, String>>>,
}

type Waiting = Rc<RefCell<VecDeque<(i32, oneshot::Sender<Result<Bytes, String>>)>>>;

/// Writes requests and reads answers until the peer, the network or the owner ends it; then every waiting request fails.
pub(super) async fn drive(stream: Stream, inbox: mpsc::Receiver<Outgoing>) {
    match stream {
        Stream::Tcp(stream) => {
            let (reader, writer) = stream.into_split();
            talk(reader, writer, inbox).await;
        }
        Stream::Other(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            talk(reader, writer, inbox).await;
        }
    }
}

async fn talk(reader: impl AsyncRead + Unpin, writer: impl AsyncWrite + Unpin, inbox: mpsc::Receiver<Outgoing>) {
    let waiting = Waiting::default();
    // In this order, so that a run under a seed can be repeated.
    let ended = tokio::select! {
        biased;
        ended = write_requests(writer, inbox, &waiting) => ended,
        ended = read_answers(reader, &waiting) => ended,
    };
    let reason = ended.map_or_else(|error| error.to_string(), |()| "it was closed".to_owned());
    for (_, answer) in waiting.borrow_mut().drain(..) {
        // Nobody may be waiting any more: that is no error.
        let _ = answer.send(Err(reason.clone()));
    }
}

async fn write_requests(
    mut writer: impl AsyncWrite + Unpin,
    mut inbox: mpsc::Receiver<Outgoing>,
    waiting: &Waiting,
) -> io::Result<()> {
    let mut parts = VecDeque::new();
    while let Some(outgoing) = inbox.recv().await {
        let mut next = Some(outgoing);
        // What else is there already leaves with it.
        while let Some(outgoing) = next.take() {
            if let Some(answer) = outgoing.answer {
                waiting.borrow_mut().push_back((outgoing.correlation_id, answer));
            }
            for part in outgoing.frame.parts() {
                match part {
                    Part::Bytes(bytes) => parts.push_back(bytes),
                    Part::External { .. } => return Err(io::Error::other("a client's request lies in a file")),
                }
            }
            if parts.len() < PARTS_AT_ONCE {
                next = inbox.try_recv().ok();
            }
        }
        write_all(&mut writer, &mut parts).await?;
    }
    Ok(())
}

/// Writes all parts, many with one system call: a header of its own would be a packet of its own.
async fn write_all(writer: &mut (impl AsyncWrite + Unpin), parts: &mut VecDeque<Bytes>) -> io::Result<()> {
    while !parts.is_empty() {
        let slices = parts.iter().take(PARTS_AT_ONCE).map(|part| io::IoSlice::new(part)).collect::<Vec<_>>();
        let mut written = writer.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(first) = parts.front_mut().filter(|_| 0 < written) {
            let len = written.min(first.len());
            first.advance(len);
            written -= len;
            if first.is_empty() {
                parts.pop_front();
            }
        }
    }
    Ok(())
}

async fn read_answers(mut reader: impl AsyncRead + Unpin, waiting: &Waiting) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    // Who has sent an answer of this size is believed another one.
    let mut ahead = READ_AHEAD_BYTES;
    loop {
        let frame = read_frame(&mut reader, &mut buffer, ahead).await?;
        ahead = frame.len().max(READ_AHEAD_BYTES);
        let id = frame.first_chunk().map(|id| i32::from_be_bytes(*id));
        let asked = waiting.borrow_mut().pop_front();
        match asked {
            Some((asked, answer)) if id == Some(asked) => {
                let _ = answer.send(Ok(frame));
            }
            Some(_) | None => return Err(io::Error::other("the broker answered what was not asked")),
        }
    }
}

pub(super) async fn read_frame(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    ahead: usize,
) -> io::Result<Bytes> {
    loop {
        if let Some(length) = buffer.first_chunk() {
            let length = usize::try_from(i32::from_be_bytes(*length)).ok().filter(|&length| length <= ANSWER_BYTES_MAX);
            let length = length.ok_or_else(|| io::Error::other("the broker sent an answer of an impossible length"))?;
            if 4 + length <= buffer.len() {
                buffer.advance(4);
                return Ok(buffer.split_to(length).freeze());
            }
            buffer.reserve((4 + length - buffer.len()).min(ahead));
        } else {
            buffer.reserve(READ_LEAST_BYTES);
        }
        if reader.read_buf(buffer).await? == 0 {
            return Err(io::Error::other("the broker closed it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn more_pieces_than_one_call_takes_arrive_in_their_order() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
            let (mut peer, _) = listener.accept().await.expect("a client");
            let (_reader, mut writer) = stream.into_split();
            // One of them is larger than what a socket holds.
            let lengths = (1..=3 * PARTS_AT_ONCE).map(|number| if number == 70 { 12 << 20 } else { number });
            let mut parts = lengths.map(|len| Bytes::from(vec![len.to_le_bytes()[0]; len])).collect::<VecDeque<_>>();
            let expected = parts.iter().flatten().copied().collect::<Vec<_>>();
            let read = async {
                let mut all = vec![0; expected.len()];
                peer.read_exact(&mut all).await.expect("all bytes");
                all
            };
            let (written, all) = tokio::join!(write_all(&mut writer, &mut parts), read);
            written.expect("written");
            assert!(parts.is_empty() && all == expected);
        });
    }
}
