//! The bare minimum of a log broker, and a client that costs as little as it can: what a real broker is measured against.
//!
//! One thread serves with epoll. Produce: frame, CRC-32C, patch the base offset, append, 20 bytes of answer. Everything that
//! one turn of the loop brought goes into the file with one `writev`, and where asked for one `fdatasync` covers it before any
//! answer leaves. Fetch: 20 bytes of header and `sendfile`. Nothing else: no metadata, no partitions, no record is looked at.
//!
//!     limit warm GIB        touches that much memory and gives it back, so that the host has backed it
//!     limit produce|fetch [--batch BYTES] [--connections N] [--in-flight N] [--seconds S] [--recycle] [--flush] [--folder F]
//!
//! Prints one line of JSON. `--recycle` writes into segments that are in the page cache already; without it every segment is
//! a new file, as a broker's are, three of `--segment-mib` (32) kept.

mod client;
mod log;
mod server;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes before the payload of a request: u32 length of what follows, u8 kind, u64 correlation.
const HEADER: usize = 13;
/// Bytes of an answer: u32 length of the payload, u64 correlation, u64 offset.
const ANSWER: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Produce = 1,
    Fetch = 2,
}

#[derive(Clone)]
struct Settings {
    kind: Kind,
    batch: usize,
    connections: usize,
    in_flight: usize,
    seconds: f64,
    recycle: bool,
    flush: bool,
    segment: u64,
    folder: PathBuf,
}

impl Settings {
    fn from_arguments() -> Result<Self, String> {
        let mut arguments = std::env::args().skip(1);
        let kind = match arguments.next().as_deref() {
            Some("produce") => Kind::Produce,
            Some("fetch") => Kind::Fetch,
            _ => return Err("usage: limit produce|fetch [options]".into()),
        };
        let mut settings = Self {
            kind,
            batch: 65_536,
            connections: 1,
            in_flight: if kind == Kind::Fetch { 1 } else { 5 },
            seconds: 3.0,
            recycle: false,
            flush: false,
            segment: 32 << 20,
            folder: std::env::temp_dir(),
        };
        while let Some(option) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{option} wants a value"));
            let number = |text: String| text.parse::<f64>().map_err(|_| format!("{text} is no number"));
            match option.as_str() {
                "--batch" => settings.batch = number(value()?)? as usize,
                "--connections" => settings.connections = number(value()?)? as usize,
                "--in-flight" => settings.in_flight = number(value()?)? as usize,
                "--seconds" => settings.seconds = number(value()?)?,
                "--segment-mib" => settings.segment = (number(value()?)? as u64) << 20,
                "--folder" => settings.folder = value()?.into(),
                "--recycle" => settings.recycle = true,
                "--flush" => settings.flush = true,
                _ => return Err(format!("{option} is unknown")),
            }
        }
        Ok(settings)
    }
}

/// First use of memory that the host of a virtual machine must supply costs microseconds a page, whoever comes first.
fn warm(gib: &str) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = (gib.parse::<f64>()? * f64::from(1 << 30)) as usize;
    std::hint::black_box(vec![1_u8; bytes]);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    if let (Some("warm"), Some(gib)) = (arguments.next().as_deref(), arguments.next()) {
        return warm(&gib);
    }
    let settings = Settings::from_arguments()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (over, measuring) = (AtomicBool::new(false), AtomicBool::new(true));
    std::thread::scope(|threads| {
        let (ready, wait) = std::sync::mpsc::channel();
        let (served, settings, over, measuring) = (settings.clone(), &settings, &over, &measuring);
        let server = threads.spawn(move || server::serve(listener, &served, over, &ready));
        wait.recv().map_err(|_| "the server ended at once")?;
        let client = threads.spawn(move || client::run(address, settings, measuring));
        let began = Instant::now();
        std::thread::sleep(Duration::from_secs_f64(settings.seconds));
        measuring.store(false, Ordering::Relaxed);
        let found = client.join().map_err(|_| "the client panicked")??;
        let elapsed = began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        let cpu = server.join().map_err(|_| "the server panicked")??;
        println!(
            "{{\"requests\":{},\"bytes\":{},\"seconds\":{elapsed:.3},\"requests_per_second\":{:.0},\"bytes_per_second\":{:.0},\
             \"broker_cpu_seconds\":{:.3},\"client_cpu_seconds\":{:.3},\"p50_micros\":{:.0},\"p99_micros\":{:.0}}}",
            found.requests,
            found.bytes,
            found.requests as f64 / elapsed,
            found.bytes as f64 / elapsed,
            cpu.as_secs_f64(),
            found.cpu.as_secs_f64(),
            found.percentile(0.5),
            found.percentile(0.99),
        );
        Ok(())
    })
}

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
