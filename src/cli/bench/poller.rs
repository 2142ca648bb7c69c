//! Readiness of many sockets for one thread: epoll, edge-triggered, with waits finer than a millisecond.
//!
//! Why not tokio: its timers have a resolution of one millisecond, which an open loop at some thousand requests a second
//! would show as latency; and a load generator that shares two cores with the broker must cost as little as can be.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

/// Events taken per system call. More only wait for the next one.
const EVENTS_MAX: usize = 256;

/// Readiness of registered sockets.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Reports every new readiness of `socket` under `number`. Edge-triggered: whoever is told must read and write until
    /// the socket would block.
    pub(super) fn add(&self, socket: &TcpStream, number: usize) -> io::Result<()> {
        let number = epoll::EventData::new_u64(u64::try_from(number).unwrap_or(u64::MAX));
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.epoll, socket, number, interest).map_err(io::Error::from)
    }

    /// Waits until a socket is ready or `timeout` is over (`None`: for ever), and puts the ready numbers into `ready`.
    pub(super) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<usize>) -> io::Result<()> {
        ready.clear();
        self.take(ready)?;
        if ready.is_empty() && timeout != Some(Duration::ZERO) {
            // epoll_wait rounds to milliseconds; ppoll on the epoll descriptor does not.
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => self.take(ready)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, ready: &mut Vec<usize>) -> io::Result<()> {
        self.events.clear();
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&none)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // The event structure is packed: its fields are copied out, not borrowed.
        ready.extend(self.events.iter().filter_map(|event| usize::try_from({ event.data }.u64()).ok()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn tells_which_socket_has_news_and_ends_a_wait_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
        let (mut far, _) = listener.accept().expect("connected");
        let mut poller = Poller::new().expect("an epoll");
        let mut ready = Vec::new();
        poller.add(&near, 7).expect("a socket");

        poller.wait(Some(Duration::ZERO), &mut ready).expect("no error");
        assert_eq!(ready, [7], "a new socket can be written to");
        poller.wait(Some(Duration::from_micros(50)), &mut ready).expect("no error");
        assert!(ready.is_empty(), "edge-triggered: nothing is new");
        far.write_all(b"x").expect("an open socket");
        poller.wait(None, &mut ready).expect("no error");
        assert_eq!(ready, [7]);
    }
}
