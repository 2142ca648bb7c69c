//! Many [members](super::member) on one thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::member::{Answer, Asked, Member, Next, Terms};
use crate::cli::bench::canned::{Heard, hear};
use crate::cli::bench::connections::{WINDOW, answered, connected, failed, question};
use crate::cli::bench::poller::Poller;
use crate::cli::bench::report::Latencies;
use crate::cli::bench::target::{contiguous, encode};
use crate::cli::failure::Failure;
use crate::client::BrokerAddress;
use crate::model::{Clock, Moment};
use crate::wire::message::leave_group::MemberIdentity;
use crate::wire::message::{
    HeartbeatResponse, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupResponse,
};
use crate::wire::{ApiKey, DecodeError, Message, Request as _, decode_response};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// How long a part may take before the run gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Largest answer: to a leader, with what each of its members says.
const ANSWER_BYTES_MAX: usize = 100 << 20;

/// The first version of LeaveGroup that names several members.
const SEVERAL_FROM: i16 = 3;

/// The versions that are spoken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions {
    pub(super) join: i16,
    pub(super) sync: i16,
    pub(super) heartbeat: i16,
    pub(super) leave: i16,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) versions: Versions,
    /// Of each group.
    pub(super) members: usize,
    /// Between two heartbeats of a member.
    pub(super) interval: Duration,
}

struct Lane {
    socket: TcpStream,
    member: Member,
    /// To be written.
    out: Vec<u8>,
    /// The beginning of an answer whose end has not come yet.
    partial: Vec<u8>,
    /// What is on its way.
    asked: Option<(ApiKey, i16)>,
    /// When that was due.
    due: Moment,
    /// When its rest is over.
    rest: Option<Moment>,
}

/// How far a group is.
#[derive(Clone, Copy, Default)]
struct Settled {
    generation: i32,
    /// Members that know what to read in it.
    members: usize,
}

/// See the module.
pub(super) struct Load<'c> {
    clock: &'c dyn Clock,
    plan: Plan,
    interval: Duration,
    /// The members of the first group, then those of the second, and so on.
    lanes: Vec<Lane>,
    groups: Vec<Settled>,
    names: Vec<String>,
    poller: Poller,
    rests: BinaryHeap<Reverse<(Moment, usize)>>,
    heartbeats: Latencies,
    send_delays: Latencies,
    buffer: Vec<u8>,
}

impl<'c> Load<'c> {
    /// Connects all members.
    pub(super) fn new<'n>(
        clock: &'c dyn Clock,
        plan: Plan,
        terms: Terms,
        groups: impl Iterator<Item = (&'n String, &'n BrokerAddress)>,
    ) -> Result<Self, Failure> {
        let (terms, poller) = (Arc::new(terms), Poller::new().map_err(cannot("use epoll"))?);
        let groups = groups.collect::<Vec<_>>();
        let of_members = groups.iter().flat_map(|group| std::iter::repeat_n(group, plan.members)).collect::<Vec<_>>();
        let (mut lanes, question) = (Vec::with_capacity(of_members.len()), question()?);
        // A listener whose queue is full would drop what we send, and it would come a second later.
        for window in of_members.chunks(WINDOW) {
            let sockets = window.iter().map(|(_, coordinator)| connected(coordinator, &question));
            let sockets = sockets.collect::<Result<Vec<_>, _>>().map_err(|error| failed(lanes.len(), &error))?;
            for (mut socket, (name, _)) in sockets.into_iter().zip(window) {
                answered(&mut socket).map_err(|error| failed(lanes.len(), &error))?;
                socket.set_nonblocking(true).map_err(cannot("use a connection"))?;
                poller.add(&socket, lanes.len()).map_err(cannot("watch a connection"))?;
                let member = Member::new(Arc::clone(&terms), name.as_str().into());
                let (out, partial, due) = (Vec::new(), Vec::new(), clock.moment());
                lanes.push(Lane { socket, member, out, partial, asked: None, due, rest: None });
            }
        }
        let names = groups.iter().map(|(name, _)| (*name).clone()).collect::<Vec<_>>();
        Ok(Self {
            clock,
            plan,
            interval: plan.interval,
            groups: vec![Settled::default(); names.len()],
            lanes,
            names,
            poller,
            rests: BinaryHeap::new(),
            heartbeats: Latencies::new(),
            send_delays: Latencies::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// The highest of a group.
    pub(super) fn generation(&self) -> i32 {
        self.groups.iter().map(|group| group.generation).max().unwrap_or_default()
    }

    /// Lets everybody join; the seconds until all groups are stable.
    pub(super) fn join(&mut self) -> Result<f64, Failure> {
        let start = self.clock.moment();
        for number in 0..self.lanes.len() {
            let asked = self.lanes.get_mut(number).map(|lane| lane.member.join());
            self.ask(number, asked, start)?;
        }
        self.run(None, Self::is_settled)?;
        Ok(self.clock.moment().since(start).as_secs_f64())
    }

    /// Every group's leader joins again; the others ask at once, and every `notice` until they have heard of it. How long it
    /// takes until all groups are stable in another generation.
    pub(super) fn rebalance(&mut self, notice: Duration) -> Result<Duration, Failure> {
        let before = self.groups.iter().map(|group| group.generation).collect::<Vec<_>>();
        let start = self.clock.moment();
        self.interval = notice;
        for number in (0..self.lanes.len())
            .filter(|number| self.lanes.get(*number).is_some_and(|it| it.member.leads()))
            .collect::<Vec<_>>()
        {
            let was = self.settled(number);
            let asked = self.lanes.get_mut(number).and_then(|lane| lane.member.rejoin());
            self.count(number, was);
            self.ask(number, asked, start)?;
        }
        for number in 0..self.lanes.len() {
            self.rest(number, start);
        }
        let is_over = |load: &Self| {
            load.is_settled() && load.groups.iter().zip(&before).all(|(group, before)| *before < group.generation)
        };
        self.run(None, is_over)?;
        self.interval = self.plan.interval;
        Ok(self.clock.moment().since(start))
    }

    /// Heartbeats for so long: how long they took, and how late they were sent.
    pub(super) fn hold(&mut self, time: Duration) -> Result<(Latencies, Latencies), Failure> {
        let start = self.clock.moment();
        // Evenly over the interval.
        let count = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        for (number, turn) in (0..self.lanes.len()).zip(0..) {
            self.rest(number, start.after(self.interval / count * turn));
        }
        (self.heartbeats, self.send_delays) = (Latencies::new(), Latencies::new());
        self.run(Some(start.after(time)), |_| false)?;
        let found = (&mut self.heartbeats, &mut self.send_delays);
        Ok((std::mem::replace(found.0, Latencies::new()), std::mem::replace(found.1, Latencies::new())))
    }

    /// Every group leaves, all its members with one request; the seconds until it is done.
    pub(super) fn leave(mut self) -> Result<f64, Failure> {
        // What is on its way is waited for, so that the next answer is the one to this.
        self.rests.clear();
        self.lanes.iter_mut().for_each(|lane| lane.rest = None);
        self.interval = PATIENCE;
        self.run(None, |load| load.lanes.iter().all(|lane| lane.asked.is_none()))?;
        let start = self.clock.moment();
        if self.plan.versions.leave < SEVERAL_FROM {
            return Err(Failure::new("the broker is too old for this load generator"));
        }
        for (number, name) in std::mem::take(&mut self.names).into_iter().enumerate() {
            let first = number * self.plan.members;
            let of_group = self.lanes.iter().skip(first).take(self.plan.members);
            let members = of_group.map(|it| MemberIdentity { member_id: it.member.id().clone(), ..Default::default() });
            let request = LeaveGroupRequest {
                group_id: name.as_str().into(),
                members: members.collect(),
                ..LeaveGroupRequest::default()
            };
            let bytes = contiguous(&encode(&request, self.plan.versions.leave)?)?;
            self.send(first, (LeaveGroupRequest::KEY, self.plan.versions.leave), &bytes, start)?;
        }
        self.run(None, |load| load.lanes.iter().all(|lane| lane.asked.is_none()))?;
        Ok(self.clock.moment().since(start).as_secs_f64())
    }

    fn is_settled(&self) -> bool {
        self.groups.iter().all(|group| group.members == self.plan.members)
    }

    fn settled(&self, number: usize) -> Option<i32> {
        self.lanes.get(number).and_then(|lane| lane.member.settled())
    }

    /// Counts what became of a member that was settled in this generation before.
    fn count(&mut self, number: usize, before: Option<i32>) {
        let now = self.settled(number);
        let Some(group) = self.groups.get_mut(number / self.plan.members).filter(|_| before != now) else { return };
        if before == Some(group.generation) {
            group.members = group.members.saturating_sub(1);
        }
        match now {
            Some(generation) if group.generation < generation => *group = Settled { generation, members: 1 },
            Some(generation) if group.generation == generation => group.members += 1,
            Some(_) | None => {}
        }
    }

    /// Goes on until something is so, or until the end if there is one.
    fn run(&mut self, end: Option<Moment>, is_over: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let limit = self.clock.moment().after(PATIENCE);
        let mut ready = Vec::new();
        while !is_over(self) {
            let now = self.clock.moment();
            if end.is_some_and(|end| end <= now) {
                return Ok(());
            }
            if end.is_none() && limit < now {
                let settled = self.groups.iter().filter(|group| group.members == self.plan.members).count();
                return Err(Failure::new(format_args!("only {settled} of {} groups are stable", self.groups.len())));
            }
            self.end_rests(now)?;
            let next = self.rests.peek().map_or(Duration::from_millis(100), |Reverse((at, _))| at.since(now));
            let next = next.min(Duration::from_millis(100));
            self.poller.wait(Some(next), &mut ready).map_err(cannot("wait for answers"))?;
            for number in &ready {
                self.flush(*number)?;
                self.hear(*number)?;
            }
        }
        Ok(())
    }

    fn end_rests(&mut self, now: Moment) -> Result<(), Failure> {
        while let Some(Reverse((at, number))) = self.rests.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.rests.pop();
            let Some(lane) = self.lanes.get_mut(number).filter(|lane| lane.rest == Some(at)) else { continue };
            lane.rest = None;
            let asked = lane.member.due();
            self.ask(number, asked, at)?;
        }
        Ok(())
    }

    /// Lets a member be silent for a while, unless it waits for an answer.
    fn rest(&mut self, number: usize, until: Moment) {
        if let Some(lane) = self.lanes.get_mut(number).filter(|lane| lane.asked.is_none()) {
            lane.rest = Some(until);
            self.rests.push(Reverse((until, number)));
        }
    }

    fn ask(&mut self, number: usize, asked: Option<Asked>, due: Moment) -> Result<(), Failure> {
        let versions = self.plan.versions;
        let (key, version, encoded) = match asked {
            None => return Ok(()),
            Some(Asked::Join(join)) => (ApiKey::JoinGroup, versions.join, encode(&join, versions.join)?),
            Some(Asked::Sync(sync)) => (ApiKey::SyncGroup, versions.sync, encode(&sync, versions.sync)?),
            Some(Asked::Heartbeat(beat)) => {
                self.send_delays.record(self.clock.moment().since(due));
                (ApiKey::Heartbeat, versions.heartbeat, encode(&beat, versions.heartbeat)?)
            }
        };
        self.send(number, (key, version), &contiguous(&encoded)?, due)
    }

    fn send(&mut self, number: usize, asked: (ApiKey, i16), bytes: &[u8], due: Moment) -> Result<(), Failure> {
        if let Some(lane) = self.lanes.get_mut(number) {
            assert!(lane.asked.is_none(), "a member asks one thing at a time");
            (lane.asked, lane.due, lane.rest) = (Some(asked), due, None);
            lane.out.extend_from_slice(bytes);
        }
        self.flush(number)
    }

    fn flush(&mut self, number: usize) -> Result<(), Failure> {
        let Some(lane) = self.lanes.get_mut(number) else { return Ok(()) };
        while !lane.out.is_empty() {
            match (&lane.socket).write(&lane.out) {
                Ok(written) => drop(lane.out.drain(..written)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cannot("send")(error)),
            }
        }
        Ok(())
    }

    /// Reads what has come on one connection.
    fn hear(&mut self, number: usize) -> Result<(), Failure> {
        loop {
            let Some(lane) = self.lanes.get_mut(number) else { return Ok(()) };
            match hear(&lane.socket, &mut self.buffer).map_err(cannot("receive"))? {
                Heard::Nothing => return Ok(()),
                Heard::Closed => return Err(Failure::new("the broker closed a connection").hint("Its log says why.")),
                Heard::Bytes(bytes) => lane.partial.extend_from_slice(self.buffer.get(..bytes).unwrap_or_default()),
            }
            while let Some(frame) =
                self.lanes.get_mut(number).map(|lane| frame(&mut lane.partial)).transpose()?.flatten()
            {
                self.heard(number, frame)?;
            }
        }
    }

    fn heard(&mut self, number: usize, frame: Bytes) -> Result<(), Failure> {
        let now = self.clock.moment();
        let before = self.settled(number);
        let Some(lane) = self.lanes.get_mut(number) else { return Ok(()) };
        let Some((key, version)) = lane.asked.take() else {
            return Err(Failure::new("the broker answered something that was not asked"));
        };
        let Some(answer) = answer(frame, key, version).map_err(Failure::new)? else { return Ok(()) };
        if matches!(answer, Answer::Heartbeat(_)) {
            self.heartbeats.record(now.since(lane.due));
        }
        // A heartbeat is due an interval after the last one was.
        let since = if matches!(answer, Answer::Heartbeat(_)) { lane.due } else { now };
        let next = lane.member.heard(answer).map_err(Failure::new)?;
        self.count(number, before);
        match next {
            Next::Ask(asked) => self.ask(number, Some(asked), now)?,
            Next::Rest => self.rest(number, since.after(self.interval).max(now)),
            Next::Again(wait) => self.rest(number, now.after(wait)),
        }
        Ok(())
    }
}

/// Takes a whole answer off the front, if there is one.
fn frame(partial: &mut Vec<u8>) -> Result<Option<Bytes>, Failure> {
    let Some(length) = partial.first_chunk() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*length)).ok().filter(|length| *length <= ANSWER_BYTES_MAX);
    let length = length.ok_or_else(|| Failure::new("the broker sent an answer of an impossible length"))?;
    if partial.len() < 4 + length {
        return Ok(None);
    }
    let rest = partial.split_off(4 + length);
    let whole = std::mem::replace(partial, rest);
    Ok(Some(Bytes::from(whole).slice(4..)))
}

/// `None` for an answer to LeaveGroup.
#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is asked")]
fn answer(frame: Bytes, key: ApiKey, version: i16) -> Result<Option<Answer>, DecodeError> {
    let (_, mut body) = decode_response(frame, key, version)?;
    Ok(match key {
        ApiKey::JoinGroup => Some(Answer::Join(JoinGroupResponse::decode(&mut body, version)?)),
        ApiKey::SyncGroup => Some(Answer::Sync(SyncGroupResponse::decode(&mut body, version)?)),
        ApiKey::Heartbeat => Some(Answer::Heartbeat(HeartbeatResponse::decode(&mut body, version)?)),
        _ => {
            LeaveGroupResponse::decode(&mut body, version)?;
            None
        }
    })
}

fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::new(format_args!("cannot {what}: {error}"))
}
