//! The loading thread: the same encoded request over and over, a fixed number of them unanswered on each connection.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::{ANSWER, HEADER, Kind, Settings, thread_cpu};

pub(crate) struct Found {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) cpu: Duration,
    micros: Vec<f64>,
}

impl Found {
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let at = (self.micros.len().saturating_sub(1) as f64 * part).round() as usize;
        self.micros.get(at).copied().unwrap_or_default()
    }
}

struct Lane {
    socket: TcpStream,
    /// Bytes of requests that may be sent now, and where in the request the next one lies.
    owed: usize,
    at: usize,
    /// When each unanswered request began to be sent.
    began: VecDeque<Instant>,
    header: [u8; ANSWER],
    have: usize,
    /// Payload of the current answer that is still to come.
    payload: usize,
}

/// Runs until `measuring` ends.
pub(crate) fn run(address: SocketAddr, settings: &Settings, measuring: &AtomicBool) -> io::Result<Found> {
    let request = request(settings);
    let copies = (65_536 / request.len()).clamp(1, settings.in_flight);
    let block = request.repeat(copies);
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut lanes = Vec::new();
    for index in 0..settings.connections {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        epoll::add(
            &poller,
            &socket,
            EventData::new_u64(index as u64),
            EventFlags::IN | EventFlags::OUT | EventFlags::ET,
        )?;
        let owed = settings.in_flight * request.len();
        let began = (0..settings.in_flight).map(|_| Instant::now()).collect();
        lanes.push(Lane { socket, owed, at: 0, began, header: [0; ANSWER], have: 0, payload: 0 });
    }
    let mut found = Found { requests: 0, bytes: 0, cpu: Duration::ZERO, micros: Vec::with_capacity(1 << 20) };
    let before = thread_cpu();
    let patience = rustix::time::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let (mut events, mut buffer) = (Vec::with_capacity(256), vec![0; 1 << 20]);
    while measuring.load(Ordering::Relaxed) {
        events.clear();
        match epoll::wait(&poller, rustix::buffer::spare_capacity(&mut events), Some(&patience)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let lane = &mut lanes[event.data.u64() as usize];
            let answered = lane.receive(&mut buffer, &mut found)?;
            lane.owed += answered * request.len();
            lane.began.extend((0..answered).map(|_| Instant::now()));
            lane.send(&block, request.len())?;
        }
    }
    found.cpu = thread_cpu().saturating_sub(before);
    found.bytes += if settings.kind == Kind::Produce { found.requests * settings.batch as u64 } else { 0 };
    found.micros.sort_by(f64::total_cmp);
    Ok(found)
}

/// A produce request with a right CRC, or a fetch request.
fn request(settings: &Settings) -> Vec<u8> {
    let mut body = Vec::new();
    match settings.kind {
        Kind::Produce => {
            body = (0..settings.batch).map(|at| (at * 31 % 251) as u8).collect();
            let crc = crc32c::crc32c(&body[21..]);
            body[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        Kind::Fetch => {
            body.extend_from_slice(&0_u64.to_be_bytes());
            body.extend_from_slice(&(settings.batch as u64).to_be_bytes());
        }
    }
    let mut request = ((HEADER - 4 + body.len()) as u32).to_be_bytes().to_vec();
    request.push(settings.kind as u8);
    request.extend_from_slice(&7_u64.to_be_bytes());
    request.extend_from_slice(&body);
    request
}

impl Lane {
    /// Reads all that came; how many answers were complete.
    fn receive(&mut self, buffer: &mut [u8], found: &mut Found) -> io::Result<usize> {
        let mut answered = 0;
        loop {
            let read = match self.socket.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(answered),
                Err(error) => return Err(error),
            };
            let mut at = 0;
            while at < read {
                if 0 < self.payload {
                    let part = self.payload.min(read - at);
                    self.payload -= part;
                    at += part;
                    found.bytes += part as u64;
                } else {
                    let part = (ANSWER - self.have).min(read - at);
                    self.header[self.have..self.have + part].copy_from_slice(&buffer[at..at + part]);
                    self.have += part;
                    at += part;
                    if self.have < ANSWER {
                        continue;
                    }
                    self.payload = u32::from_be_bytes(self.header[..4].try_into().expect("four bytes")) as usize;
                }
                if self.payload == 0 && self.have == ANSWER {
                    self.have = 0;
                    answered += 1;
                    found.requests += 1;
                    let Some(began) = self.began.pop_front() else { continue };
                    if found.micros.len() < found.micros.capacity() {
                        found.micros.push(began.elapsed().as_secs_f64() * 1e6);
                    }
                }
            }
        }
    }

    fn send(&mut self, block: &[u8], request: usize) -> io::Result<()> {
        while 0 < self.owed {
            let end = block.len().min(self.at + self.owed);
            match self.socket.write(&block[self.at..end]) {
                Ok(wrote) => {
                    self.owed -= wrote;
                    self.at = (self.at + wrote) % request;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
