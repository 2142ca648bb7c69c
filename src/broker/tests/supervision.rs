//! Law 7: what panics comes back, and nobody else notices.

use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Client, PIPE_BYTES, TestBroker, run};
use crate::model::ErrorCode;
use crate::storage::disk::sim::SimDisk;
use crate::storage::disk::{Access, Disk, DiskFile, Entry, Space};
use crate::wire::message::init_producer_id::InitProducerIdRequest;

/// A disk under which the next writes to one file panic: a bug in the middle of an append.
#[derive(Debug)]
struct Trap {
    disk: SimDisk,
    trapped: &'static str,
    armed: Arc<AtomicUsize>,
}

/// The log of one partition, and that of the coordinator.
const LOG: &str = "/data/t-0/00000000000000000000.log";
const ZNODES: &str = "/coordinator/znodes.log";

#[derive(Debug)]
struct TrappedFile {
    file: Arc<dyn DiskFile>,
    armed: Option<Arc<AtomicUsize>>,
}

/// A pipe whose end in the broker panics when it is read from and the first byte is `!`: a bug in a connection.
#[derive(Debug)]
struct Mine(tokio::io::DuplexStream);

#[test]
fn a_partition_that_panics_comes_back_with_everything_acknowledged() {
    run(async {
        let (trap, armed) = Trap::on(LOG);
        let broker = TestBroker::start(Arc::new(trap), &["/data"], &[]).await;
        let mut client = broker.connect().await;
        client.create_topic("t", 2).await;
        for value in ["a", "b"] {
            client.produce("t", 0, value).await.expect("acknowledged");
        }

        armed.store(1, Ordering::Relaxed);
        assert_eq!(client.produce("t", 0, "lost").await, Err(ErrorCode::NotLeaderOrFollower), "and not silence");
        assert_eq!(client.produce("t", 1, "elsewhere").await, Ok(0), "its neighbour does not notice");

        assert_eq!(client.produce_until_done("t", 0, "c").await, 2);
        assert_eq!(client.fetch("t", 0).await.expect("records"), ["a", "b", "c"]);
        assert!(broker.broker.stop().await, "a broker that healed stops in order");
    });
}

#[test]
fn a_partition_that_panics_three_times_in_a_minute_is_given_up() {
    run(async {
        let (trap, armed) = Trap::on(LOG);
        let broker = TestBroker::start(Arc::new(trap), &["/data"], &[]).await;
        let mut client = broker.connect().await;
        client.create_topic("t", 2).await;
        client.produce_until_done("t", 0, "a").await;
        armed.store(usize::MAX, Ordering::Relaxed);
        assert_eq!(client.produce("t", 0, "b").await, Err(ErrorCode::NotLeaderOrFollower), "the first death");
        // Opening it again dies too, twice.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(client.produce("t", 0, "b").await, Err(ErrorCode::KafkaStorageError), "given up");
        assert_eq!(client.fetch("t", 0).await, Err(ErrorCode::KafkaStorageError));
        armed.store(0, Ordering::Relaxed);
        assert_eq!(client.produce("t", 1, "elsewhere").await, Ok(0));
        assert_eq!(client.produce("t", 0, "b").await, Err(ErrorCode::KafkaStorageError), "until a restart");
        assert!(!broker.broker.stop().await, "the next start looks through its log");
    });
}

#[test]
fn a_connection_that_panics_is_closed_and_nobody_else_notices() {
    run(async {
        let broker = TestBroker::start(Arc::new(SimDisk::new(1)), &["/data"], &[]).await;
        let mut other = broker.connect().await;
        other.create_topic("t", 1).await;

        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        broker.admit(Mine(theirs)).await;
        let mut mined = Client::over(ours);
        assert_eq!(mined.produce("t", 0, "a").await, Ok(0), "it serves until then");
        mined.writer.push(crate::net::Chunk::Bytes("!".into()));
        mined.writer.flush().await.expect("room in the pipe");
        assert_eq!(mined.reader.fill().await.expect("an end"), 0, "closed");

        assert_eq!(other.produce("t", 0, "b").await, Ok(1));
        let mut late = broker.connect().await;
        assert_eq!(late.produce("t", 0, "c").await, Ok(2), "the listener lives on");
        assert!(broker.broker.stop().await);
    });
}

#[test]
fn a_request_of_an_administrator_that_panics_ends_alone() {
    run(async {
        let (trap, armed) = Trap::on(ZNODES);
        let broker = TestBroker::start(Arc::new(trap), &["/data"], &[]).await;
        let mut client = broker.connect().await;
        armed.store(1, Ordering::Relaxed);
        let refused = client.try_create_topic("t", 1).await;
        assert_eq!(refused, ErrorCode::UnknownServerError, "and not silence");
        assert_eq!(armed.load(Ordering::Relaxed), 0);
        client.create_topic("u", 1).await;
        assert_eq!(client.produce("u", 0, "a").await, Ok(0));
        assert!(broker.broker.stop().await);
    });
}

#[test]
fn a_broker_that_cannot_do_without_an_actor_says_so_and_ends() {
    run(async {
        let (trap, armed) = Trap::on(ZNODES);
        let mut broker = TestBroker::start(Arc::new(trap), &["/data"], &[]).await;
        let mut client = broker.connect().await;
        armed.store(1, Ordering::Relaxed);
        let request = InitProducerIdRequest { producer_id: -1, producer_epoch: -1, ..Default::default() };
        let answer = client.ask(4, &request).await.expect("an answer");
        assert!(answer.error_code.is_error());
        assert!(broker.broker.lost().await.contains("producer ids"));
    });
}

impl AsyncRead for Mine {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.0).poll_read(cx, buf);
        assert!(buf.filled().get(before) != Some(&b'!'), "this panic is wanted");
        polled
    }
}

impl AsyncWrite for Mine {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Trap {
    /// The trap, and how many of the next writes to the file panic.
    fn on(trapped: &'static str) -> (Self, Arc<AtomicUsize>) {
        let armed = Arc::new(AtomicUsize::new(0));
        (Self { disk: SimDisk::new(1), trapped, armed: Arc::clone(&armed) }, armed)
    }
}

impl Disk for Trap {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, access)?;
        let armed = (path == Path::new(self.trapped)).then(|| Arc::clone(&self.armed));
        Ok(Arc::new(TrappedFile { file, armed }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.space(path)
    }
}

impl DiskFile for TrappedFile {
    fn write_all_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let armed = self.armed.as_ref().and_then(|armed| {
            armed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |armed| armed.checked_sub(1)).ok()
        });
        assert!(armed.is_none(), "this panic is wanted");
        self.file.write_all_at(position, slices)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(position, buffer)
    }

    fn read_cached_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.file.read_cached_at(position, buffer)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.reserve(position, len)
    }

    fn os_file(&self) -> Option<&std::fs::File> {
        self.file.os_file()
    }
}
