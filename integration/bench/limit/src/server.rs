//! The serving thread.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::log::Log;
use crate::{HEADER, Kind, Settings, thread_cpu};

/// Bytes of the log that fetches read over and over.
const FETCH_BYTES: usize = 256 << 20;

struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    out: Vec<u8>,
    sent: usize,
    /// Position and bytes of the file that follow `out`.
    file: Option<(u64, usize)>,
    waits_for_room: bool,
}

/// Serves until `over`; the CPU time that it took.
pub(crate) fn serve(
    listener: TcpListener,
    settings: &Settings,
    over: &AtomicBool,
    ready: &Sender<()>,
) -> io::Result<Duration> {
    let mut log = Log::new(settings)?;
    if settings.kind == Kind::Fetch {
        log.fill(FETCH_BYTES)?;
    }
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
    ready.send(()).map_err(io::Error::other)?;
    // A flush is dear, so where there is one the buffer takes all that a connection has in flight.
    let taken_at_once = if settings.flush { settings.in_flight } else { 1 };
    let buffer_bytes = ((settings.batch + HEADER) * taken_at_once).max(256 << 10);
    for _ in 0..settings.connections {
        let (socket, _) = listener.accept()?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        epoll::add(&poller, &socket, EventData::new_u64(connections.len() as u64), EventFlags::IN)?;
        connections.push(Some(Connection {
            socket,
            buffer: vec![0; buffer_bytes],
            filled: 0,
            out: Vec::new(),
            sent: 0,
            file: None,
            waits_for_room: false,
        }));
    }
    let before = thread_cpu();
    let patience = rustix::time::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let mut answered = Vec::new();
    while !over.load(Ordering::Relaxed) {
        events.clear();
        match epoll::wait(&poller, rustix::buffer::spare_capacity(&mut events), Some(&patience)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        answered.clear();
        let mut appended = false;
        for event in &events {
            let index = event.data.u64() as usize;
            let Some(connection) = connections[index].as_mut() else { continue };
            if ({ event.flags }).intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                match connection.receive(&mut log) {
                    Ok(some) => appended |= some,
                    Err(_) => {
                        connections[index] = None;
                        continue;
                    }
                }
            }
            answered.push(index);
        }
        if settings.flush && appended {
            log.flush()?;
        }
        for &index in &answered {
            let Some(connection) = connections[index].as_mut() else { continue };
            match connection.send(&log) {
                Ok(everything) if everything == connection.waits_for_room => {
                    connection.waits_for_room = !everything;
                    let interest = if everything { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT };
                    epoll::modify(&poller, &connection.socket, EventData::new_u64(index as u64), interest)?;
                }
                Ok(_) => {}
                Err(_) => connections[index] = None,
            }
        }
    }
    Ok(thread_cpu().saturating_sub(before))
}

impl Connection {
    /// Reads once, handles every whole frame; whether anything was appended.
    fn receive(&mut self, log: &mut Log) -> io::Result<bool> {
        let room = &mut self.buffer[self.filled..];
        match self.socket.read(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        let (mut at, mut frames) = (0, Vec::new());
        while at + HEADER <= self.filled {
            let length = u32::from_be_bytes(self.buffer[at..at + 4].try_into().expect("four bytes")) as usize;
            let end = at + 4 + length;
            if self.filled < end {
                break;
            }
            let correlation = &self.buffer[at + 5..at + HEADER];
            if self.buffer[at + 4] == Kind::Produce as u8 {
                self.out.extend_from_slice(&0_u32.to_be_bytes());
                self.out.extend_from_slice(correlation);
                let offset = log.accept(&mut self.buffer[at + HEADER..end]);
                self.out.extend_from_slice(&offset.to_be_bytes());
                frames.push((at, end));
            } else {
                let field =
                    |from: usize| u64::from_be_bytes(self.buffer[from..from + 8].try_into().expect("eight bytes"));
                let (wanted, bytes) = (field(at + HEADER), field(at + HEADER + 8) as usize);
                let Some((_, length)) = log.readable() else { continue };
                let position = if wanted + bytes as u64 <= length { wanted } else { 0 };
                self.out.extend_from_slice(&(bytes as u32).to_be_bytes());
                self.out.extend_from_slice(correlation);
                self.out.extend_from_slice(&position.to_be_bytes());
                self.file = Some((position, bytes));
            }
            at = end;
        }
        log.append(&self.buffer, &frames)?;
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(!frames.is_empty())
    }

    /// Sends what it can; whether everything left.
    fn send(&mut self, log: &Log) -> io::Result<bool> {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(wrote) => self.sent += wrote,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        let Some((file, _)) = log.readable() else { return Ok(true) };
        while let Some((position, left)) = self.file.as_mut() {
            match rustix::fs::sendfile(&self.socket, file, Some(position), *left) {
                Ok(wrote) => *left -= wrote,
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            if *left == 0 {
                self.file = None;
            }
        }
        Ok(true)
    }
}
