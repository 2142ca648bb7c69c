//! Requests encoded once and sent many times.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

/// One request as it goes onto the wire, in two parts so that many requests share the bytes of one record batch.
#[derive(Clone, Debug)]
pub(super) struct Canned {
    /// Length, header and everything in front of the batch. Not empty.
    pub(super) head: Vec<u8>,
    /// The batch, which ends the request. May be empty.
    pub(super) body: Arc<[u8]>,
}

impl Canned {
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// Slices per vectored write: half as many requests. Enough for 64 requests in flight per system call; a longer array would
/// cost more to fill than the call saves.
const SLICES_MAX: usize = 128;

/// Writes canned requests round and round onto one non-blocking socket, as many per system call as there are.
#[derive(Debug)]
pub(super) struct Sender {
    /// Not empty.
    requests: Arc<[Canned]>,
    /// The next request to write, or the one that is written in part.
    next: usize,
    /// Bytes of it that are written.
    written: usize,
    /// Requests to write, the one written in part included.
    waiting: usize,
}

impl Sender {
    /// Begins with request number `first` of `requests`.
    pub(super) fn new(requests: Arc<[Canned]>, first: usize) -> Self {
        assert!(!requests.is_empty(), "a sender without requests has nothing to do");
        let next = first % requests.len();
        Self { requests, next, written: 0, waiting: 0 }
    }

    /// Asks for `count` more requests to be written.
    pub(super) fn enqueue(&mut self, count: usize) {
        self.waiting += count;
    }

    /// Requests not yet written whole.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Writes as much as the socket takes; the number of requests that are now written whole.
    pub(super) fn flush(&mut self, mut socket: &TcpStream) -> io::Result<usize> {
        let before = self.waiting;
        while 0 < self.waiting {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let used = self.fill(&mut slices);
            match socket.write_vectored(slices.get(..used).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(before - self.waiting)
    }

    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut used = 0;
        let mut skip = self.written;
        let turn = self.requests.iter().cycle().skip(self.next).take(self.waiting.min(SLICES_MAX / 2));
        for part in turn.flat_map(|request| [request.head.as_slice(), &request.body]) {
            let rest = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
            if let Some(slot) = slices.get_mut(used).filter(|_| !rest.is_empty()) {
                *slot = IoSlice::new(rest);
                used += 1;
            }
        }
        used
    }

    fn advance(&mut self, bytes: usize) {
        let mut left = self.written + bytes;
        while let Some(request) =
            self.requests.get(self.next).filter(|request| 0 < self.waiting && request.len() <= left)
        {
            left -= request.len();
            self.waiting -= 1;
            self.next = (self.next + 1) % self.requests.len();
        }
        self.written = left;
    }
}

/// What a socket gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// This many bytes at the front of the buffer.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The peer closed.
    Closed,
}

/// Reads once without waiting.
pub(super) fn hear(mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<Heard> {
    loop {
        return match socket.read(buffer) {
            Ok(0) => Ok(Heard::Closed),
            Ok(bytes) => Ok(Heard::Bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Heard::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn canned(head: &str, body: &str) -> Canned {
        Canned { head: head.into(), body: body.as_bytes().into() }
    }

    #[test]
    fn requests_leave_whole_in_order_and_round_and_round() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
        let (mut far, _) = listener.accept().expect("connected");
        near.set_nonblocking(true).expect("a socket");

        let big = "x".repeat(1 << 20);
        let requests: Arc<[Canned]> = [canned("a", "1"), canned("b", &big), canned("c", "")].into();
        let once = requests.iter().flat_map(|r| [r.head.as_slice(), &r.body].concat()).collect::<Vec<_>>();
        let mut sender = Sender::new(requests, 0);
        sender.enqueue(30);
        let mut sent = 0;
        let mut got = Vec::new();
        let mut buffer = vec![0; 100_000];
        while sent < 30 || got.len() < 10 * once.len() {
            sent += sender.flush(&near).expect("an open socket");
            let bytes = far.read(&mut buffer).expect("an open socket");
            got.extend_from_slice(&buffer[..bytes]);
        }
        assert_eq!(sender.waiting(), 0);
        assert!(got == once.repeat(10), "what arrives is ten times the three requests");
    }
}
