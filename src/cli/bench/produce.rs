//! The load of `dohle bench produce` and `dohle bench latency`: canned Produce requests over many connections from one
//! thread, in a closed or an open loop.
//!
//! *Does not know*: what is in a request. It writes [canned](super::canned) ones and counts answers.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::Duration;

use super::answers::Answers;
use super::canned::{Heard, Sender, hear};
use super::pace::{Pace, Timetable};
use super::poller::Poller;
use super::report::{Counted, Latencies, own_cpu};
use crate::cli::failure::Failure;
use crate::model::{Clock, Moment};

/// Bytes read at once: some hundred answers.
const READ_BYTES: usize = 64 << 10;

/// How long a run waits for the last answers.
const DRAIN: Duration = Duration::from_secs(30);

/// Requests an open loop may be behind before it gives up: the broker does not keep up, and the figures would only say how
/// long the run was.
const BEHIND_MAX: usize = 1_000_000;

/// When a run stops sending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// So long after the start.
    pub(super) time: Duration,
    /// When so many requests were sent.
    pub(super) requests: Option<u64>,
}

/// What one request carries, for the count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carries {
    pub(super) bytes: u64,
    pub(super) records: u64,
}

/// One connection with its requests.
pub(super) struct Lane {
    socket: TcpStream,
    sender: Sender,
    /// `None` with acks=0: nothing will be answered.
    answers: Option<Answers>,
    /// When each request that is not answered yet was due, oldest first; those not yet written are at the end.
    due: VecDeque<Moment>,
}

impl Lane {
    /// A connection that is non-blocking already.
    pub(super) fn new(socket: TcpStream, sender: Sender, answers: Option<Answers>) -> Self {
        Self { socket, sender, answers, due: VecDeque::new() }
    }
}

/// A load in progress.
pub(super) struct Load<'c> {
    clock: &'c dyn Clock,
    lanes: Vec<Lane>,
    /// Requests sent or due so far.
    asked: u64,
    answered: u64,
    last_answer: Moment,
    latencies: Latencies,
    send_delays: Latencies,
    buffer: Vec<u8>,
}

/// What a load found.
pub(super) struct Found {
    pub(super) counted: Counted,
    pub(super) latencies: Latencies,
    /// From the due moment to the moment the request was handed to the system.
    pub(super) send_delays: Latencies,
}

impl<'c> Load<'c> {
    pub(super) fn new(clock: &'c dyn Clock, lanes: Vec<Lane>) -> Self {
        Self {
            clock,
            lanes,
            asked: 0,
            answered: 0,
            last_answer: clock.moment(),
            latencies: Latencies::new(),
            send_delays: Latencies::new(),
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Sends at `pace` until `until`, waits for the last answers, and counts.
    pub(super) fn run(mut self, pace: Pace, until: Until, carries: Carries) -> Result<Found, Failure> {
        let mut poller = Poller::new().map_err(cannot("use epoll"))?;
        for (number, lane) in self.lanes.iter().enumerate() {
            poller.add(&lane.socket, number).map_err(cannot("watch a connection"))?;
        }
        let cpu = own_cpu();
        let start = self.clock.moment();
        let end = start.after(until.time);
        self.last_answer = start;
        let mut timetable = match pace {
            Pace::InFlight(_) => None,
            Pace::Every(interval) => Some(Timetable::new(start, interval)),
        };
        // A new socket reports that it can be written to: that is how a closed loop begins.
        let mut ready = Vec::new();
        loop {
            let now = self.clock.moment();
            let sending = now < end && until.requests.is_none_or(|most| self.asked < most);
            if let Some(timetable) = timetable.as_mut().filter(|_| sending) {
                self.send_due(now, timetable, until)?;
            }
            if !sending && (self.unanswered() == 0 || end.after(DRAIN) < now) {
                break;
            }
            let next =
                timetable.filter(|_| sending).map_or(Duration::from_millis(100), |table| table.next().since(now));
            poller.wait(Some(next), &mut ready).map_err(cannot("wait for answers"))?;
            for &number in &ready {
                self.hear(number)?;
                if let Pace::InFlight(most) = pace {
                    self.refill(number, most, end, until)?;
                } else {
                    self.flush(number)?;
                }
            }
        }
        let unanswered = u64::try_from(self.unanswered()).unwrap_or(u64::MAX);
        let counted = Counted {
            requests: self.answered,
            bytes: self.answered * carries.bytes,
            records: self.answered * carries.records,
            elapsed: self.last_answer.since(start),
            cpu: own_cpu().saturating_sub(cpu),
            unanswered,
        };
        Ok(Found { counted, latencies: self.latencies, send_delays: self.send_delays })
    }

    fn unanswered(&self) -> usize {
        self.lanes.iter().map(|lane| lane.due.len()).sum()
    }

    /// Open loop: asks for every request that is due, over the connections in turn.
    fn send_due(&mut self, now: Moment, timetable: &mut Timetable, until: Until) -> Result<(), Failure> {
        let lanes = u64::try_from(self.lanes.len()).unwrap_or(u64::MAX);
        let first = self.asked;
        while until.requests.is_none_or(|most| self.asked < most) {
            let Some(due) = timetable.due(now) else { break };
            let number = usize::try_from(self.asked % lanes).unwrap_or_default();
            if let Some(lane) = self.lanes.get_mut(number) {
                lane.due.push_back(due);
                lane.sender.enqueue(1);
            }
            self.asked += 1;
        }
        for asked in first..self.asked.min(first.saturating_add(lanes)) {
            self.flush(usize::try_from(asked % lanes).unwrap_or_default())?;
        }
        if self.asked != first && BEHIND_MAX < self.unanswered() {
            return Err(Failure::new(format_args!(
                "the broker does not keep up: {BEHIND_MAX} requests wait for answers"
            ))
            .hint("Ask for a lower --rate."));
        }
        Ok(())
    }

    /// Closed loop: tops one connection up to `most` requests in flight.
    fn refill(&mut self, number: usize, most: usize, end: Moment, until: Until) -> Result<(), Failure> {
        loop {
            let now = self.clock.moment();
            let Some(lane) = self.lanes.get_mut(number) else { return Ok(()) };
            if now < end {
                let left = until.requests.map_or(u64::MAX, |all| all.saturating_sub(self.asked));
                let room = most.saturating_sub(lane.due.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
                lane.due.extend(std::iter::repeat_n(now, room));
                lane.sender.enqueue(room);
                self.asked += u64::try_from(room).unwrap_or_default();
            }
            let answerless = lane.answers.is_none();
            // Without answers the fullness of the socket is what limits the loop.
            if self.flush(number)? == 0 || !answerless {
                return Ok(());
            }
        }
    }

    /// Writes what one connection has to write; the number of requests that are now with the system.
    fn flush(&mut self, number: usize) -> Result<usize, Failure> {
        let Some(lane) = self.lanes.get_mut(number).filter(|lane| 0 < lane.sender.waiting()) else { return Ok(0) };
        let now = self.clock.moment();
        let first = lane.due.len() - lane.sender.waiting();
        let written = lane.sender.flush(&lane.socket).map_err(cannot("send"))?;
        for due in lane.due.iter().skip(first).take(written) {
            self.send_delays.record(now.since(*due));
        }
        if lane.answers.is_none() && 0 < written {
            lane.due.drain(..written);
            self.answered += u64::try_from(written).unwrap_or_default();
            self.last_answer = now;
        }
        Ok(written)
    }

    /// Reads and counts the answers that have come on one connection.
    fn hear(&mut self, number: usize) -> Result<(), Failure> {
        let Some(lane) = self.lanes.get_mut(number) else { return Ok(()) };
        loop {
            let bytes = match hear(&lane.socket, &mut self.buffer).map_err(cannot("receive"))? {
                Heard::Nothing => return Ok(()),
                Heard::Closed => return Err(Failure::new("the broker closed a connection").hint(CLOSED_HINT)),
                Heard::Bytes(bytes) => bytes,
            };
            let Some(answers) = &mut lane.answers else { continue };
            let count = answers.take(self.buffer.get(..bytes).unwrap_or_default()).map_err(Failure::new)?;
            if lane.due.len() - lane.sender.waiting() < count {
                return Err(Failure::new("the broker answered requests that it did not have yet"));
            }
            let now = self.clock.moment();
            for due in lane.due.drain(..count) {
                self.latencies.record(now.since(due));
            }
            self.answered += u64::try_from(count).unwrap_or_default();
            self.last_answer = now;
            // A read that did not fill the buffer took all there was.
            if bytes < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

const CLOSED_HINT: &str = "Its log says why: a batch larger than message.max.bytes, for instance.";

fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::new(format_args!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::super::canned::Canned;
    use super::*;
    use crate::telemetry::OsClock;

    const REQUEST_BYTES: usize = 1000;

    /// Runs a load of `requests` requests against a peer that sends `answers` answers for each request.
    fn load(pace: Pace, requests: u64, answers: usize) -> Result<Found, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let socket = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
        let (mut far, _) = listener.accept().expect("connected");
        socket.set_nonblocking(true).expect("a socket");
        let request = Canned { head: vec![1; 10], body: vec![2; REQUEST_BYTES - 10].into() };
        let lane = Lane::new(socket, Sender::new([request].into(), 0), Some(Answers::new(4)));
        let until = Until { time: Duration::from_secs(60), requests: Some(requests) };
        let clock = OsClock::start();
        std::thread::scope(|threads| {
            threads.spawn(move || {
                let mut request = [0; REQUEST_BYTES];
                // Ends when the load closes the connection.
                while far.read_exact(&mut request).is_ok() {
                    let answer = [0, 0, 0, 4, 0, 0, 9, 9].repeat(answers);
                    if far.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
            Load::new(&clock, vec![lane]).run(pace, until, Carries { bytes: 7, records: 2 })
        })
    }

    #[test]
    fn both_loops_count_what_was_answered() {
        for pace in [Pace::InFlight(16), Pace::Every(Duration::from_micros(20))] {
            let found = load(pace, 500, 1).expect("a good peer");
            let counted = found.counted;
            assert_eq!((counted.requests, counted.bytes, counted.records), (500, 3500, 1000));
            assert_eq!(counted.unanswered, 0);
            assert!(found.latencies.percentiles().is_some() && found.send_delays.percentiles().is_some());
        }
    }

    #[test]
    fn more_answers_than_requests_are_an_error() {
        let Err(failure) = load(Pace::InFlight(1), 1, 3) else { panic!("three answers to one request were taken") };
        assert!(failure.message().is_some_and(|message| message.contains("did not have yet")));
    }
}
