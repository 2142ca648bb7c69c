//! Connections over loopback and over a pipe in memory.
#![allow(clippy::expect_used, reason = "tests")]

use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const FRAME_BYTES_MAX: usize = 8 << 20;

/// A file of a pattern, by the system or in memory, which may be shorter than it is said to be.
#[derive(Debug)]
struct Pattern {
    bytes: Vec<u8>,
    os: Option<std::fs::File>,
    /// Largest read that was asked for.
    read_max: AtomicU64,
}

impl FileSource for Pattern {
    fn os_file(&self) -> Option<&std::fs::File> {
        self.os.as_ref()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.read_max.fetch_max(buffer.len() as u64, Ordering::Relaxed);
        let from = usize::try_from(position).expect("small").min(self.bytes.len());
        let rest = &self.bytes[from..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

fn pattern(len: usize, on_disk: bool) -> Arc<Pattern> {
    let bytes = (0..251).cycle().take(len).collect::<Vec<u8>>();
    let os = on_disk.then(|| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("written");
        file
    });
    Arc::new(Pattern { bytes, os, read_max: AtomicU64::new(0) })
}

async fn tcp_pair(options: SocketOptions) -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address"), 50, options).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let options = SocketOptions::default();
    let connecting = connect("127.0.0.1", port, Duration::from_secs(10), &options);
    let (client, server) = tokio::join!(connecting, listener.accept());
    let server = Stream::from_socket(server.expect("accepted").socket).expect("registered");
    (client.expect("connected"), server)
}

/// Of the accepting side, so that its sending stops often.
fn small_buffers() -> SocketOptions {
    SocketOptions { send_buffer_bytes: Some(32 * 1024), ..SocketOptions::default() }
}

fn pipe_pair(bytes: usize) -> (Stream, Stream) {
    let (a, b) = tokio::io::duplex(bytes);
    (Stream::Other(Box::new(a)), Stream::Other(Box::new(b)))
}

/// Both kinds of connection: what holds for one must hold for the other.
async fn both_kinds<F: Future<Output = ()>>(test: impl Fn(Stream, Stream) -> F) {
    let (a, b) = tcp_pair(small_buffers()).await;
    test(a, b).await;
    let (a, b) = pipe_pair(1_000);
    test(a, b).await;
}

fn framed(body: &[u8]) -> Bytes {
    [&u32::try_from(body.len()).expect("small").to_be_bytes()[..], body].concat().into()
}

async fn next_frame(reader: &mut Reader) -> Option<Bytes> {
    loop {
        if let Some(frame) = reader.next_frame(FRAME_BYTES_MAX).expect("good frames") {
            return Some(frame);
        }
        if reader.fill().await.expect("a connection") == 0 {
            return None;
        }
    }
}

async fn read_exactly(reader: &mut Stream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    match reader {
        Stream::Tcp(tcp) => tcp.read_exact(&mut bytes).await,
        Stream::Other(other) => other.read_exact(&mut bytes).await,
    }
    .expect("as many bytes as were sent");
    bytes
}

async fn read_some(reader: &mut Stream, len_max: usize) -> Vec<u8> {
    let mut bytes = vec![0; len_max];
    let len = match reader {
        Stream::Tcp(tcp) => tcp.read(&mut bytes).await,
        Stream::Other(other) => other.read(&mut bytes).await,
    };
    bytes.truncate(len.expect("a connection"));
    bytes
}

#[tokio::test]
async fn frames_arrive_whether_split_or_pipelined() {
    both_kinds(async |a, b| {
        let (_, mut writer) = a.split(BufferPool::new());
        let (mut reader, _other) = b.split(BufferPool::new());
        let bodies = [vec![1], vec![2; 10], vec![3; 300_000], vec![4; 5]];
        for body in &bodies {
            for byte in framed(body).chunks(if body.len() < 100 { 1 } else { 7_000 }) {
                writer.push(Chunk::Bytes(Bytes::copy_from_slice(byte)));
            }
        }
        let sending = async { writer.flush().await.expect("sent") };
        let receiving = async {
            for body in &bodies {
                assert_eq!(next_frame(&mut reader).await.as_deref(), Some(&body[..]));
            }
        };
        tokio::join!(sending, receiving);
        assert_eq!(writer.queued_bytes(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_sends_byte_by_byte_is_understood() {
    let (mut client, server) = tcp_pair(SocketOptions::default()).await;
    let (mut reader, _writer) = server.split(BufferPool::new());
    let Stream::Tcp(client) = &mut client else { unreachable!("a TCP pair") };
    for (n, byte) in framed(b"slow").iter().enumerate() {
        assert_eq!(reader.next_frame(100), Ok(None), "after {n} bytes");
        client.write_all(&[*byte]).await.expect("sent");
        assert_eq!(reader.fill().await.expect("a connection"), 1);
    }
    assert_eq!(reader.next_frame(100).expect("good").as_deref(), Some(&b"slow"[..]));
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_refused_at_once() {
    both_kinds(async |a, b| {
        let (_, mut writer) = a.split(BufferPool::new());
        let (mut reader, _other) = b.split(BufferPool::new());
        writer.push(Chunk::Bytes(Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff])));
        writer.flush().await.expect("sent");
        assert_eq!(reader.fill().await.expect("a connection"), 4);
        let error = reader.next_frame(FRAME_BYTES_MAX);
        assert_eq!(error, Err(FrameError::TooLarge { bytes: 0x7fff_ffff, bytes_max: FRAME_BYTES_MAX }));
        assert!(reader.allocated_bytes() <= 16 * 1024);
    })
    .await;
}

#[tokio::test]
async fn a_half_closed_connection_still_gets_its_answer() {
    both_kinds(async |a, b| {
        let (mut client_reader, mut client_writer) = a.split(BufferPool::new());
        let (mut reader, mut writer) = b.split(BufferPool::new());
        client_writer.push(Chunk::Bytes(framed(b"question")));
        client_writer.push(Chunk::Bytes(Bytes::from_static(&[0, 0]))); // a frame that never gets whole
        client_writer.flush().await.expect("sent");
        client_writer.shutdown().await.expect("half closed");
        assert_eq!(next_frame(&mut reader).await.as_deref(), Some(&b"question"[..]));
        assert_eq!(next_frame(&mut reader).await, None, "the peer sends no more");
        assert_eq!(reader.unread_bytes(), 2, "it stopped within a frame");
        writer.push(Chunk::Bytes(framed(b"answer")));
        writer.flush().await.expect("sent");
        assert_eq!(next_frame(&mut client_reader).await.as_deref(), Some(&b"answer"[..]));
    })
    .await;
}

#[tokio::test]
async fn files_and_memory_leave_in_order_to_a_slow_reader() {
    const LEN: usize = 2 << 20;
    for (on_disk, tcp) in [(true, true), (false, true), (true, false), (false, false)] {
        let (mut client, server) = if tcp { tcp_pair(small_buffers()).await } else { pipe_pair(10_000) };
        let (_reader, mut writer) = server.split(BufferPool::new());
        let file = pattern(LEN, on_disk);
        writer.push(Chunk::Bytes(Bytes::from_static(b"head")));
        writer.push(Chunk::Bytes(Bytes::new()));
        writer.push(Chunk::File { file: file.clone(), position: 3, len: LEN as u64 - 9 });
        writer.push(Chunk::File { file: file.clone(), position: 17, len: 5 });
        writer.push(Chunk::Bytes(Bytes::from_static(b"ta")));
        writer.push(Chunk::Bytes(Bytes::from_static(b"il")));
        let expected = [b"head", &file.bytes[3..LEN - 6], &file.bytes[17..22], b"tail"].concat();
        assert_eq!(writer.queued_bytes(), expected.len() as u64);
        let receiving = async {
            let mut got = Vec::new();
            while got.len() < expected.len() {
                // In steps smaller than any buffer, so that the sender is stopped again and again.
                got.extend(read_exactly(&mut client, (expected.len() - got.len()).min(60_001)).await);
                tokio::task::yield_now().await;
            }
            got
        };
        let (sent, got) = tokio::join!(writer.flush(), receiving);
        sent.expect("sent");
        assert!(got == expected, "on disk {on_disk}, TCP {tcp}");
        assert_eq!(writer.queued_bytes(), 0);
        let read_max = file.read_max.load(Ordering::Relaxed);
        assert!(read_max <= 64 * 1024, "{read_max} bytes of a file were held in memory");
        assert_eq!(read_max == 0, on_disk && tcp, "sendfile is used where there is a file and a socket");
    }
}

#[tokio::test]
async fn a_flush_may_be_given_up_and_taken_up_again_at_any_time() {
    let file = pattern(1 << 20, true);
    both_kinds(async |mut a, b| {
        let (_reader, mut writer) = b.split(BufferPool::new());
        writer.push(Chunk::Bytes(Bytes::from_static(b"head")));
        writer.push(Chunk::File { file: file.clone(), position: 0, len: 1 << 20 });
        let expected = [b"head", &file.bytes[..]].concat();
        let mut got = Vec::new();
        while got.len() < expected.len() {
            tokio::select! {
                biased;
                bytes = read_some(&mut a, 50_000) => got.extend(bytes),
                sent = writer.flush(), if 0 < writer.queued_bytes() => sent.expect("sent"),
            }
        }
        assert!(got == expected);
    })
    .await;
}

#[tokio::test]
async fn a_file_that_became_shorter_ends_the_connection() {
    for (on_disk, tcp) in [(true, true), (false, true), (false, false)] {
        let (_client, server) = if tcp { tcp_pair(SocketOptions::default()).await } else { pipe_pair(1 << 20) };
        let (_reader, mut writer) = server.split(BufferPool::new());
        writer.push(Chunk::File { file: pattern(1_000, on_disk), position: 900, len: 101 });
        let error = writer.flush().await.expect_err("100 of 101 bytes are there");
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_costs_what_waits_and_no_more() {
    both_kinds(async |a, b| {
        let (_reader, mut writer) = b.split(BufferPool::new());
        let file = pattern(1 << 20, false);
        for _ in 0..64 {
            writer.push(Chunk::File { file: file.clone(), position: 0, len: 1 << 20 });
        }
        let waited = tokio::time::timeout(Duration::from_secs(60), writer.flush()).await;
        assert!(waited.is_err(), "nobody reads");
        assert!(0 < writer.queued_bytes(), "the caller sees it, and reads no more requests");
        let in_memory = file.read_max.load(Ordering::Relaxed);
        assert!(in_memory <= 64 * 1024, "a chunk at a time");
        drop(a);
        let error = tokio::time::timeout(Duration::from_secs(60), writer.flush()).await.expect("told at once");
        assert!(error.is_err(), "the peer is gone");
    })
    .await;
}

#[tokio::test]
async fn a_connection_moves_to_another_thread_with_what_was_under_way() {
    let (mut client, server) = tcp_pair(SocketOptions::default()).await;
    let Stream::Tcp(socket) = &mut client else { unreachable!("a TCP pair") };
    let sent = [framed(b"here"), framed(b"there")].concat();
    socket.write_all(&sent[..12]).await.expect("sent");
    let (mut reader, mut writer) = server.split(BufferPool::new());
    assert_eq!(next_frame(&mut reader).await.as_deref(), Some(&b"here"[..]));
    writer.push(Chunk::Bytes(Bytes::from_static(b"answer")));
    let detached = detach(reader, writer).expect("off the runtime").expect("a TCP connection");
    socket.write_all(&sent[12..]).await.expect("sent");
    let elsewhere = std::thread::scope(|scope| {
        let there = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (mut reader, mut writer) = detached.attach(BufferPool::new()).expect("on the runtime");
                writer.flush().await.expect("sent");
                next_frame(&mut reader).await
            })
        });
        there.join().expect("no panic")
    });
    assert_eq!(elsewhere.as_deref(), Some(&b"there"[..]));
    assert_eq!(read_exactly(&mut client, 6).await, b"answer");
}

#[tokio::test]
async fn an_address_in_use_is_explained() {
    let any = "127.0.0.1:0".parse().expect("an address");
    let first = Listener::bind(any, 5, SocketOptions::default()).expect("a free port");
    let taken = first.local_addr().expect("an address");
    let error = Listener::bind(taken, 5, SocketOptions::default()).expect_err("taken").to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {taken}: address in use: another process listens")),
        "{error}"
    );
    let elsewhere = "192.0.2.1:9092".parse().expect("an address");
    let error = Listener::bind(elsewhere, 5, SocketOptions::default()).expect_err("not ours").to_string();
    assert!(error.contains("this machine has no such address"), "{error}");
}

#[tokio::test]
async fn options_reach_the_socket_and_a_refused_congestion_control_does_no_harm() {
    for name in ["reno", "no-such-algorithm"] {
        let options = SocketOptions {
            send_buffer_bytes: Some(50_000),
            receive_buffer_bytes: Some(60_000),
            loopback_congestion_control: Some(name.to_owned()),
        };
        let (_client, server) = tcp_pair(options).await;
        let Stream::Tcp(server) = &server else { unreachable!("a TCP pair") };
        let socket = socket2::SockRef::from(server);
        assert!(socket.tcp_nodelay().expect("an option") && socket.keepalive().expect("an option"));
        // Linux doubles what it is asked for.
        assert_eq!(socket.send_buffer_size().expect("an option"), 100_000);
        assert_eq!(socket.recv_buffer_size().expect("an option"), 120_000);
    }
}

#[tokio::test]
async fn connecting_says_why_it_failed() {
    let wait = Duration::from_secs(10);
    let options = SocketOptions::default();
    let free = Listener::bind("127.0.0.1:0".parse().expect("an address"), 5, options.clone()).expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let error = connect("127.0.0.1", port, wait, &options).await.expect_err("nobody listens");
    assert!(matches!(&error, ConnectError::Refused { address, .. } if address.port() == port), "{error}");
}

#[tokio::test(start_paused = true)]
async fn connecting_ends_at_its_deadline() {
    let options = SocketOptions::default();
    let full = Listener::bind("127.0.0.1:0".parse().expect("an address"), 0, options.clone()).expect("a free port");
    let address = full.local_addr().expect("an address");
    // Nobody accepts, so Linux lets further connections hang once the queue is full.
    let hanging = |_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok();
    let queued = (0..4).map_while(hanging).collect::<Vec<_>>();
    assert!(queued.len() < 4, "the queue does not fill");
    let wait = Duration::from_secs(30);
    let error = connect("127.0.0.1", address.port(), wait, &options).await.expect_err("nobody accepts");
    assert!(matches!(error, ConnectError::Deadline { .. }), "{error}");
}
