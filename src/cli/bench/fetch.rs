//! The load of `dohle bench fetch`: one request in flight per connection, each from where the last answer ended, over and
//! over through the log. Of an answer only what must be known is looked at: the fields in front of the records, and of each
//! batch the few bytes that say where the next one begins.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::canned::{Heard, hear};
use super::poller::Poller;
use super::report::{Counted, Latencies, own_cpu};
use crate::cli::failure::Failure;
use crate::model::{Clock, ErrorCode, Moment};

/// Bytes read at once. Larger buffers leave the processor's cache and cost more per byte.
const READ_BYTES: usize = 256 << 10;

/// Bytes of a batch up to and including `lastOffsetDelta`.
const BATCH_HEAD_BYTES: usize = 27;

/// Bytes of a batch in front of what its length field counts.
const LOG_OVERHEAD_BYTES: u64 = 12;

/// How long a run waits for an answer after its end.
const DRAIN: Duration = Duration::from_secs(30);

/// Where the fields of a one-partition answer stand, counted from the length field. Without aborted transactions every
/// answer of one topic has the same shape in front of its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchShape {
    /// Error code of the whole answer.
    pub(super) error_at: usize,
    /// Error code of the partition, and behind it the high watermark, two bytes further on.
    pub(super) partition_error_at: usize,
    /// Length of the records; they begin four bytes further on.
    pub(super) records_at: usize,
    /// Where the request has its fetch offset.
    pub(super) offset_in_request_at: usize,
}

/// What is read of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// The fields up to the error code of the whole answer: with an error nothing more may come.
    Front,
    /// All fields in front of the records.
    Fields,
    /// The head of a batch; so many bytes of records are left, the head included.
    BatchHead { left: u64 },
    /// The rest of a batch, whose bytes are dropped, then `left` more of records. At its end `next` is the next offset;
    /// `None` when the answer ends within the batch.
    BatchRest { skip: u64, left: u64, next: Option<i64> },
}

/// An answer that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ended {
    /// Bytes of records in it.
    bytes: u64,
    /// Complete batches' records in it.
    records: u64,
}

/// Follows one connection's answers through the stream.
#[derive(Debug)]
struct Follower {
    shape: FetchShape,
    part: Part,
    /// Bytes of `Fields` or `BatchHead` that have come so far.
    held: Vec<u8>,
    /// First offset of the next request.
    offset: i64,
    high_watermark: i64,
    bytes: u64,
    records: u64,
}

impl Follower {
    fn new(shape: FetchShape, offset: i64) -> Self {
        Self { shape, part: Part::Front, held: Vec::new(), offset, high_watermark: offset, bytes: 0, records: 0 }
    }

    /// Takes bytes of the stream; what ended in them. There is one request in flight, so that at most one answer ends.
    fn take(&mut self, mut bytes: &[u8]) -> Result<Option<Ended>, Failure> {
        loop {
            let wanted = match self.part {
                Part::Front => self.shape.error_at + 2,
                Part::Fields => self.shape.records_at + 4,
                Part::BatchHead { left } => BATCH_HEAD_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX)),
                Part::BatchRest { skip, left, next } => {
                    let dropped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(dropped..).unwrap_or_default();
                    let skip = skip - u64::try_from(dropped).unwrap_or_default();
                    if 0 < skip {
                        self.part = Part::BatchRest { skip, left, next };
                        return Ok(None);
                    }
                    if let Some(next) = next {
                        self.records += u64::try_from(next - self.offset).unwrap_or_default();
                        self.offset = next;
                    }
                    if left == 0 {
                        return Ok(Some(self.end()));
                    }
                    self.part = Part::BatchHead { left };
                    continue;
                }
            };
            let (more, rest) = bytes.split_at(bytes.len().min(wanted - self.held.len()));
            self.held.extend_from_slice(more);
            bytes = rest;
            if self.held.len() < wanted {
                return Ok(None);
            }
            let held = std::mem::take(&mut self.held);
            self.part = match self.part {
                Part::Front => {
                    refuse_error(&held, self.shape.error_at)?;
                    // What was held is the beginning of the fields.
                    self.held = held;
                    self.part = Part::Fields;
                    continue;
                }
                Part::BatchHead { left } => batch_head(&held, left)?,
                Part::Fields | Part::BatchRest { .. } => match self.fields(&held)? {
                    0 => return Ok(Some(self.end())),
                    left => Part::BatchHead { left },
                },
            };
            self.held = held;
            self.held.clear();
        }
    }

    fn end(&mut self) -> Ended {
        self.part = Part::Front;
        Ended { bytes: std::mem::take(&mut self.bytes), records: std::mem::take(&mut self.records) }
    }

    /// Reads the fields in front of the records; how many bytes of records follow.
    fn fields(&mut self, held: &[u8]) -> Result<u64, Failure> {
        refuse_error(held, self.shape.partition_error_at)?;
        let length = u64::from(u32::from_be_bytes(number(held, 0)?));
        let records = i32::from_be_bytes(number(held, self.shape.records_at)?).max(0);
        self.high_watermark = i64::from_be_bytes(number(held, self.shape.partition_error_at + 2)?);
        self.bytes = u64::try_from(records).unwrap_or_default();
        let in_front = u64::try_from(held.len()).unwrap_or_default();
        // The length field does not count itself.
        if length + 4 == in_front + self.bytes { Ok(self.bytes) } else { Err(lost()) }
    }
}

/// Reads the head of a batch of which `left` bytes or more precede the end of the answer.
fn batch_head(held: &[u8], left: u64) -> Result<Part, Failure> {
    if held.len() < BATCH_HEAD_BYTES {
        return Ok(Part::BatchRest { skip: 0, left: 0, next: None });
    }
    let base = i64::from_be_bytes(number(held, 0)?);
    let length = u64::from(u32::from_be_bytes(number(held, 8)?)) + LOG_OVERHEAD_BYTES;
    let delta = i64::from(i32::from_be_bytes(number(held, 23)?));
    let head = u64::try_from(BATCH_HEAD_BYTES).unwrap_or_default();
    if length < head {
        return Err(lost());
    }
    let whole = length <= left;
    let batch = length.min(left);
    let next = whole.then(|| base.saturating_add(delta).saturating_add(1));
    Ok(Part::BatchRest { skip: batch - head, left: left - batch, next })
}

fn refuse_error(held: &[u8], at: usize) -> Result<(), Failure> {
    let code = ErrorCode::from_code(i16::from_be_bytes(number(held, at)?));
    if code.is_error() {
        return Err(Failure::new(format_args!("the broker answered {code}: {}", code.message())));
    }
    Ok(())
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Failure> {
    bytes.get(at..).and_then(|tail| tail.first_chunk()).copied().ok_or_else(lost)
}

fn lost() -> Failure {
    Failure::new("the broker sent an answer that is no answer to a fetch of one partition without transactions")
}

/// One connection, which reads one partition.
pub(super) struct Lane {
    socket: TcpStream,
    request: Vec<u8>,
    start_offset: i64,
    follower: Follower,
    asked: Moment,
    waiting: bool,
}

impl Lane {
    /// A connection that is non-blocking already, and a request whose offset is filled in here.
    pub(super) fn new(socket: TcpStream, request: Vec<u8>, shape: FetchShape, start_offset: i64) -> Self {
        let follower = Follower::new(shape, start_offset);
        Self { socket, request, start_offset, follower, asked: Moment::default(), waiting: false }
    }

    fn ask(&mut self, now: Moment) -> io::Result<()> {
        // At the end of the log the next round begins.
        if self.follower.high_watermark <= self.follower.offset {
            self.follower.offset = self.start_offset;
        }
        let at = self.follower.shape.offset_in_request_at;
        let offset = self.follower.offset.to_be_bytes();
        if let Some(place) = self.request.get_mut(at..).and_then(|tail| tail.first_chunk_mut()) {
            *place = offset;
        }
        self.asked = now;
        self.waiting = true;
        // Some hundred bytes with nothing else on the way: the socket takes them at once.
        self.socket.write_all(&self.request)
    }
}

/// Reads until `time` is over or `bytes` have come, and counts.
pub(super) fn run(
    clock: &dyn Clock,
    mut lanes: Vec<Lane>,
    time: Duration,
    bytes: Option<u64>,
) -> Result<(Counted, Latencies), Failure> {
    let mut poller = Poller::new().map_err(cannot("use epoll"))?;
    for (number, lane) in lanes.iter().enumerate() {
        poller.add(&lane.socket, number).map_err(cannot("watch a connection"))?;
    }
    let mut buffer = vec![0; READ_BYTES];
    let mut latencies = Latencies::new();
    let mut counted = Counted::default();
    let cpu = own_cpu();
    let start = clock.moment();
    let end = start.after(time);
    let mut ready = Vec::new();
    loop {
        let now = clock.moment();
        let asking = now < end && bytes.is_none_or(|most| counted.bytes < most);
        let waiting = lanes.iter().filter(|lane| lane.waiting).count();
        if !asking && (waiting == 0 || end.after(DRAIN) < now) {
            counted.unanswered = u64::try_from(waiting).unwrap_or(u64::MAX);
            break;
        }
        for lane in lanes.iter_mut().filter(|lane| asking && !lane.waiting) {
            lane.ask(now).map_err(cannot("send"))?;
        }
        poller.wait(Some(Duration::from_millis(100)), &mut ready).map_err(cannot("wait for answers"))?;
        for &number in &ready {
            let Some(lane) = lanes.get_mut(number) else { continue };
            while let Some(ended) = lane.hear(&mut buffer)? {
                let now = clock.moment();
                latencies.record(now.since(lane.asked));
                counted.requests += 1;
                counted.bytes += ended.bytes;
                counted.records += ended.records;
                counted.elapsed = now.since(start);
                lane.waiting = false;
                if now < end && bytes.is_none_or(|most| counted.bytes < most) {
                    lane.ask(now).map_err(cannot("send"))?;
                }
            }
        }
    }
    counted.cpu = own_cpu().saturating_sub(cpu);
    Ok((counted, latencies))
}

impl Lane {
    /// Reads until the answer ends (`Some`) or nothing more is there (`None`).
    fn hear(&mut self, buffer: &mut [u8]) -> Result<Option<Ended>, Failure> {
        loop {
            match hear(&self.socket, buffer).map_err(cannot("receive"))? {
                Heard::Nothing => return Ok(None),
                Heard::Closed => return Err(Failure::new("the broker closed a connection")),
                Heard::Bytes(bytes) => {
                    if let Some(ended) = self.follower.take(buffer.get(..bytes).unwrap_or_default())? {
                        return Ok(Some(ended));
                    }
                }
            }
        }
    }
}

fn cannot(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(format_args!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: FetchShape =
        FetchShape { error_at: 8, partition_error_at: 10, records_at: 20, offset_in_request_at: 0 };

    fn batch(base: i64, records: i32, body: usize) -> Vec<u8> {
        let mut bytes = base.to_be_bytes().to_vec();
        bytes.extend_from_slice(&i32::try_from(15 + body).expect("small").to_be_bytes());
        bytes.extend_from_slice(&[0; 11]);
        bytes.extend_from_slice(&(records - 1).to_be_bytes());
        bytes.extend(std::iter::repeat_n(0xee, body));
        bytes
    }

    fn answer(error: i16, high_watermark: i64, records: &[u8]) -> Vec<u8> {
        let mut bytes = i32::try_from(20 + records.len()).expect("small").to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&error.to_be_bytes());
        bytes.extend_from_slice(&high_watermark.to_be_bytes());
        bytes.extend_from_slice(&i32::try_from(records.len()).expect("small").to_be_bytes());
        bytes.extend_from_slice(records);
        bytes
    }

    #[test]
    fn the_next_offset_is_found_however_the_stream_is_cut() {
        let records = [batch(100, 10, 34), batch(110, 5, 1000)].concat();
        // The last batch is cut short, once within its head and once behind it.
        for cut in [10, 27, 40] {
            let stream = answer(0, 500, &[records.as_slice(), &batch(115, 9, 70)[..cut]].concat());
            for piece in 1..stream.len() + 1 {
                let mut follower = Follower::new(SHAPE, 100);
                let ended = stream.chunks(piece).filter_map(|bytes| follower.take(bytes).expect("a good answer"));
                let ended = ended.collect::<Vec<_>>();
                let bytes = u64::try_from(records.len() + cut).expect("small");
                assert_eq!(ended, [Ended { bytes, records: 15 }], "in pieces of {piece}");
                assert_eq!((follower.offset, follower.high_watermark), (115, 500));
            }
        }
    }

    #[test]
    fn errors_and_other_shapes_are_refused() {
        let mut follower = Follower::new(SHAPE, 0);
        let refused = follower.take(&answer(1, 0, &[])).expect_err("an error code");
        assert!(refused.message().is_some_and(|text| text.contains("OFFSET_OUT_OF_RANGE")), "{refused:?}");
        let mut longer = answer(0, 0, &batch(0, 1, 40));
        longer[3] += 1;
        assert!(Follower::new(SHAPE, 0).take(&longer).is_err());
        assert_eq!(
            Follower::new(SHAPE, 0).take(&answer(0, 7, &[])).expect("empty"),
            Some(Ended { bytes: 0, records: 0 })
        );
    }

    #[test]
    fn a_follower_goes_on_with_the_next_answer() {
        let mut follower = Follower::new(SHAPE, 0);
        for base in [0, 3] {
            let ended = follower.take(&answer(0, 9, &batch(base, 3, 40))).expect("a good answer");
            assert_eq!(ended.map(|ended| ended.records), Some(3));
        }
        assert_eq!(follower.offset, 6);
    }
}
