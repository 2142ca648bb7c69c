//! A member of a group: reads views of its partitions, and hands them to the group's results every few hundred milliseconds.
//!
//! It may be ended at any point: what it has read and not handed over is read again by whoever gets the partition.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::group::{Group, MemberState};
use super::ledger::{MemberId, NotHeld, Read};
use super::stage::Stage;
use super::views::View;
use crate::client::ClientError;
use crate::client::config::ConsumerConfig;
use crate::client::consumer::{Consumer, Fetched, Polled};
use crate::client::group::member::{Offsets, Partition};
use crate::model::{Moment, Offset};
use crate::wire::Str;

/// How long results are collected before they are stored.
const STORE_EVERY: Duration = Duration::from_millis(300);
/// How often offsets are committed. Nobody reads them but who looks at the group: results have offsets of their own.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Records that are collected at most.
const COLLECTED_MAX: usize = 10_000;
/// How long one commit may hold up reading, and the farewell the end.
const COMMIT_PATIENCE: Duration = Duration::from_secs(1);
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a member ends before it is asked to.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("cannot write its files: {0}")]
    Disk(#[from] std::io::Error),
}

/// Reads until it is asked to leave, or something does not pass.
pub(super) async fn run(
    stage: Rc<Stage>,
    group: usize,
    id: MemberId,
    config: ConsumerConfig,
    stop: oneshot::Receiver<()>,
) {
    let consumer = Consumer::new(config, Rc::clone(&stage.clock));
    let now = stage.clock.moment();
    let reader = Reader {
        stage: Rc::clone(&stage),
        group,
        id,
        consumer,
        collected: BTreeMap::new(),
        store_at: now.after(STORE_EVERY),
        commit_at: now.after(COMMIT_EVERY),
    };
    let done = reader.read(stop).await;
    let mut groups = stage.groups.borrow_mut();
    let Some(it) = groups.get_mut(group) else { return };
    if let Some(member) = it.members.remove(&id) {
        for partition in member.partitions {
            it.ledger.give_back(partition, id);
        }
    }
    if let Err(failed) = done {
        stage.say(format!("{}-{id} ends: {failed}", it.name));
    }
}

/// What was read of a partition and is not stored.
#[derive(Default)]
struct Collected {
    reads: Vec<Read>,
    next: i64,
}

struct Reader {
    stage: Rc<Stage>,
    group: usize,
    id: MemberId,
    consumer: Consumer,
    collected: BTreeMap<i32, Collected>,
    store_at: Moment,
    commit_at: Moment,
}

enum Woken {
    Stop,
    Time,
    Polled(Result<Polled, ClientError>),
}

impl Reader {
    async fn read(mut self, mut stop: oneshot::Receiver<()>) -> Result<(), Failed> {
        let topic = self.stage.topic.clone();
        self.consumer.subscribe(&[&topic])?;
        loop {
            let wait = self.store_at.since(self.stage.clock.moment());
            let woken = if wait.is_zero() {
                Woken::Time
            } else {
                tokio::select! {
                    biased;
                    // Its other end is dropped when the member is killed, and then so is this.
                    _ = &mut stop => Woken::Stop,
                    () = tokio::time::sleep(wait) => Woken::Time,
                    polled = self.consumer.poll() => Woken::Polled(polled),
                }
            };
            match woken {
                Woken::Stop => break,
                Woken::Time => {
                    self.store_all()?;
                    self.commit().await;
                }
                Woken::Polled(polled) => self.hear(polled?)?,
            }
        }
        self.store_all()?;
        self.commit_at = Moment::default();
        self.commit().await;
        // What does not arrive in time the group learns from the end of the session.
        let _ = tokio::time::timeout(FAREWELL, self.consumer.close()).await;
        Ok(())
    }

    fn with_group<T>(&self, change: impl FnOnce(&mut Group) -> T) -> Option<T> {
        self.stage.groups.borrow_mut().get_mut(self.group).map(change)
    }

    fn hear(&mut self, polled: Polled) -> Result<(), Failed> {
        match polled {
            Polled::Records(fetched) => {
                self.collect(&fetched)?;
                if COLLECTED_MAX < self.collected.values().map(|collected| collected.reads.len()).sum() {
                    self.store_all()?;
                }
            }
            Polled::Assigned(partitions) => {
                for partition in &partitions {
                    let id = self.id;
                    let from = self.with_group(|group| group.take(partition.1, id)).transpose()?.unwrap_or(0);
                    self.consumer.seek(partition, Offset(from))?;
                }
                self.holds(&partitions, true, "takes");
            }
            Polled::Revoked(partitions) => {
                for (_, partition) in &partitions {
                    self.store(*partition)?;
                }
                self.holds(&partitions, false, "gives back");
            }
            Polled::Lost(partitions) => {
                for (_, partition) in &partitions {
                    self.collected.remove(partition);
                }
                self.holds(&partitions, false, "has lost");
            }
        }
        Ok(())
    }

    /// Notes which partitions it has, and tells.
    fn holds(&self, partitions: &[Partition], holds: bool, what: &str) {
        let id = self.id;
        let name = self.with_group(|group| {
            for (_, partition) in partitions {
                if !holds {
                    group.ledger.give_back(*partition, id);
                }
                if let Some(member) = group.members.get_mut(&id) {
                    if holds {
                        member.partitions.insert(*partition)
                    } else {
                        member.partitions.remove(partition)
                    };
                    if member.is_running() {
                        member.state = MemberState::Reading;
                    }
                }
            }
            group.name
        });
        if !partitions.is_empty() {
            let numbers = partitions.iter().map(|(_, partition)| partition.to_string()).collect::<Vec<_>>().join(", ");
            self.stage.say(format!("{}-{id} {what} {numbers}", name.unwrap_or_default()));
        }
    }

    fn collect(&mut self, fetched: &Fetched) -> Result<(), Failed> {
        let collected = self.collected.entry(fetched.partition.1).or_default();
        let _all = fetched.visit(|record| -> Result<_, ClientError> {
            let view = record.value.and_then(View::of);
            collected.reads.push(Read { offset: record.offset.0, view });
            Ok(ControlFlow::Continue(()))
        })?;
        collected.next = fetched.next.0;
        Ok(())
    }

    fn store_all(&mut self) -> Result<(), Failed> {
        let partitions = self.collected.keys().copied().collect::<Vec<_>>();
        for partition in partitions {
            self.store(partition)?;
        }
        self.store_at = self.stage.clock.moment().after(STORE_EVERY);
        Ok(())
    }

    fn store(&mut self, partition: i32) -> Result<(), Failed> {
        let Some(Collected { reads, next }) = self.collected.remove(&partition) else { return Ok(()) };
        let (id, issued) = (self.id, self.stage.sent.borrow().issued);
        let stored = self.with_group(|group| group.store(partition, id, reads, next, issued)).transpose()?;
        if stored == Some(Err(NotHeld)) {
            self.stage.say(format!("what member {id} read of {partition} came too late: another has it"));
        }
        Ok(())
    }

    /// Commits what is stored, when it is time. While the group moves it is not taken, and nothing depends on it.
    async fn commit(&mut self) {
        let now = self.stage.clock.moment();
        if now < self.commit_at {
            return;
        }
        self.commit_at = now.after(COMMIT_EVERY);
        let topic = Str::from(self.stage.topic.as_str());
        let id = self.id;
        let offsets = self.with_group(|group| {
            let partitions = group.members.get(&id).map(|member| member.partitions.clone()).unwrap_or_default();
            let own = partitions.into_iter().filter(|partition| group.ledger.holder(*partition) == Some(id));
            own.map(|partition| ((topic.clone(), partition), Offset(group.ledger.next(partition)))).collect::<Offsets>()
        });
        let commit = self.consumer.commit_offsets(offsets.unwrap_or_default());
        let _ = tokio::time::timeout(COMMIT_PATIENCE, commit).await;
    }
}
