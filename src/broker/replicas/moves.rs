//! Replicas that go from one log dir of this broker to another (AlterReplicaLogDirs).
//!
//! *Invariant*: a replica has one mover at most, and none while it is deleted or its dir has failed. Its copy's folder stays until the copy
//! is the replica, or is not wanted any more: what is under way goes on after a restart.
//!
//! Source: Kafka 3.9 `ReplicaManager.alterReplicaLogDirs`.

use std::path::PathBuf;
use std::sync::OnceLock;

use actix::SpawnHandle;

use super::*;
use crate::broker::mover::{Ended, JoinMeans, Mover};
use crate::storage::log::LogView;
use crate::storage::log_dirs::FutureJob;

/// Longest name of a topic and partition that can be moved: its copy's folder has a longer one, which must fit a file system.
const NAME_BYTES_MAX: usize = 255 - ".0123456789abcdef0123456789abcdef-future".len();

/// One that is on its way.
pub(super) struct Move {
    /// Tells a mover from an earlier one.
    number: u64,
    to: LogDirIndex,
    view: Arc<OnceLock<Arc<LogView>>>,
    task: SpawnHandle,
}

/// One, for DescribeLogDirs.
#[derive(Clone, Debug)]
pub struct FutureReplica {
    /// Which.
    pub id: TopicPartition,
    /// What was copied; `None` while that is being looked at.
    pub copy: Option<Arc<LogView>>,
}

/// What is to be done about a wish.
enum Judged {
    /// It is where it shall be, or on its way.
    Nothing,
    /// It is on its way to another dir, and is to stay.
    Stay,
    /// It is to go, perhaps elsewhere than where it is on its way to.
    Go(LogDirIndex),
    Refused(ErrorCode),
}

impl Replicas {
    pub(super) fn describe(
        &self,
        reply: oneshot::Sender<Vec<(LogDirDescription, Vec<FutureReplica>)>>,
        ctx: &mut Context<Self>,
    ) {
        self.with_dirs(
            ctx,
            |dirs| dirs.describe(),
            move |actor, described, _| {
                let described = described.into_iter().map(|dir| {
                    let coming = dir.futures.iter().map(|id| {
                        let copy = actor.moves.get(id).and_then(|moving| moving.view.get().cloned());
                        FutureReplica { id: id.clone(), copy }
                    });
                    let coming = coming.collect();
                    (dir, coming)
                });
                let _gone = reply.send(described.collect());
            },
        );
    }

    pub(super) fn alter_dirs(
        &mut self,
        wanted: Vec<(TopicPartition, PathBuf)>,
        reply: oneshot::Sender<Vec<ErrorCode>>,
        ctx: &mut Context<Self>,
    ) {
        let offline = |id: &TopicPartition| self.replicas.get(id).is_some_and(|replica| replica.offline);
        let wanted = wanted.into_iter().map(|(id, dir)| (offline(&id), id, dir)).collect::<Vec<_>>();
        let judge = move |dirs: &mut LogDirs| {
            let judge = |(offline, id, dir): (bool, TopicPartition, PathBuf)| {
                let judged =
                    if offline { Judged::Refused(ErrorCode::KafkaStorageError) } else { judge(dirs, &id, &dir) };
                (id, judged)
            };
            wanted.into_iter().map(judge).collect::<Vec<_>>()
        };
        self.with_dirs(ctx, judge, move |actor, judged, ctx| {
            let (mut codes, mut stay, mut go) = (Vec::new(), Vec::new(), Vec::new());
            let ids = judged.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
            for (id, judged) in judged {
                codes.push(match judged {
                    Judged::Refused(code) => code,
                    Judged::Nothing | Judged::Stay | Judged::Go(_) => ErrorCode::None,
                });
                match judged {
                    Judged::Nothing | Judged::Refused(_) => {}
                    Judged::Stay => stay.push(id),
                    Judged::Go(to) => {
                        stay.push(id.clone());
                        go.push((id, to));
                    }
                }
            }
            actor.abandon_moves(stay, ctx);
            actor.begin_moves(
                move |_| go,
                ctx,
                move |failed| {
                    for (code, _) in codes.iter_mut().zip(&ids).filter(|(_, id)| failed.contains(id)) {
                        *code = ErrorCode::KafkaStorageError;
                    }
                    let _gone = reply.send(codes);
                },
            );
        });
    }

    /// Goes on with what was under way when the broker stopped.
    pub(super) fn resume_moves(&mut self, ctx: &mut Context<Self>) {
        let under_way = |dirs: &LogDirs| {
            let futures = dirs.futures().into_iter();
            futures.filter_map(|id| dirs.future_dir_of(&id).map(|to| (id, to))).collect()
        };
        self.begin_moves(under_way, ctx, |_| ());
    }

    fn begin_moves(
        &mut self,
        which: impl FnOnce(&LogDirs) -> Vec<(TopicPartition, LogDirIndex)> + Send + 'static,
        ctx: &mut Context<Self>,
        then: impl FnOnce(Vec<TopicPartition>) + 'static,
    ) {
        let topic_ids = self.replicas.iter().map(|(id, replica)| (id.clone(), replica.topic_id));
        let topic_ids = topic_ids.collect::<BTreeMap<_, _>>();
        let entropy = Arc::clone(&self.ports.entropy);
        let begin = move |dirs: &mut LogDirs| {
            let wanted = which(dirs);
            let begin = |(id, to)| {
                let topic_id = topic_ids.get(&id).copied().unwrap_or(TopicId::ZERO);
                let job = dirs.begin_future(&id, to, topic_id, u128::from_be_bytes(random(&*entropy)));
                (id, to, job)
            };
            wanted.into_iter().map(begin).collect::<Vec<_>>()
        };
        self.with_dirs(ctx, begin, move |actor, begun, ctx| {
            let mut failed = Vec::new();
            for (id, to, job) in begun {
                match job {
                    Ok(job) => actor.begin_move(id, to, job, ctx),
                    Err(error) => {
                        event::LogDirMoveFailed { partition: id.clone(), cause: error.to_string() }.emit();
                        suspect(to, error, ctx);
                        failed.push(id);
                    }
                }
            }
            then(failed);
        });
    }

    fn begin_move(&mut self, id: TopicPartition, to: LogDirIndex, job: FutureJob, ctx: &mut Context<Self>) {
        event::LogDirMoveBegun { partition: id.clone(), dir: event::Dir(job.dir().to_path_buf()) }.emit();
        self.move_count += 1;
        let (number, view) = (self.move_count, Arc::<OnceLock<_>>::default());
        let mover = Mover {
            id: id.clone(),
            job,
            view: Arc::clone(&view),
            slots: Arc::clone(&self.move_slots),
            directory: self.directory.clone(),
            settings: self.settings.clone(),
            ports: self.ports.clone(),
            placement: self.placement.clone(),
            quota: self.quotas.log_dirs.clone(),
            join: JoinMeans {
                dirs: Arc::clone(&self.dirs),
                unique: u128::from_be_bytes(random(&*self.ports.entropy)),
                kept: self.settings.file_delete_delay(),
            },
        };
        let moved = id.clone();
        let task = ctx.spawn(mover.run().into_actor(self).map(move |ended, _, ctx| {
            ctx.notify(ReplicasCommand::MoveEnded { id: moved, number, ended });
        }));
        if let Some(before) = self.moves.insert(id, Move { number, to, view, task }) {
            ctx.cancel_future(before.task);
        }
    }

    pub(super) fn move_ended(&mut self, id: TopicPartition, number: u64, ended: Ended, ctx: &mut Context<Self>) {
        let Some(Move { to, .. }) = self.moves.get(&id).filter(|moving| moving.number == number) else { return };
        let to = *to;
        match ended {
            Ended::Moved { pending, failed } => {
                self.moves.remove(&id);
                event::LogDirMoved { partition: id }.emit();
                self.delete_later(pending, ctx);
                self.write_checkpoints(ctx);
                failed.into_iter().for_each(|(dir, error)| suspect(dir, error, ctx));
            }
            Ended::GivenUp { cause, disk } => {
                event::LogDirMoveFailed { partition: id.clone(), cause }.emit();
                self.abandon_moves(vec![id], ctx);
                disk.into_iter().for_each(|error| suspect(to, error, ctx));
            }
        }
    }

    /// Ends movers, and removes what they have copied.
    fn abandon_moves(&mut self, ids: Vec<TopicPartition>, ctx: &mut Context<Self>) {
        self.cancel_moves(&ids, ctx);
        let due = self.ports.clock.moment().after(self.settings.file_delete_delay());
        let entropy = Arc::clone(&self.ports.entropy);
        let abandon = move |dirs: &mut LogDirs| {
            let abandon = |id| dirs.abandon_future(id, u128::from_be_bytes(random(&*entropy)), due);
            ids.iter().map(abandon).collect::<Vec<_>>()
        };
        self.with_dirs(ctx, abandon, |actor, abandoned, ctx| {
            for abandoned in abandoned {
                match abandoned {
                    Ok(pending) => pending.into_iter().for_each(|pending| actor.delete_later(pending, ctx)),
                    Err(error) => event::DeleteFailed { cause: error.to_string() }.emit(),
                }
            }
        });
    }

    /// Ends movers; what they have copied stays.
    pub(super) fn cancel_moves<'i>(
        &mut self,
        ids: impl IntoIterator<Item = &'i TopicPartition>,
        ctx: &mut Context<Self>,
    ) {
        for id in ids {
            if let Some(moving) = self.moves.remove(id) {
                ctx.cancel_future(moving.task);
            }
        }
    }

    /// The replicas that are on their way to a dir.
    pub(super) fn moving_to(&self, dir: LogDirIndex) -> Vec<TopicPartition> {
        self.moves.iter().filter(|(_, moving)| moving.to == dir).map(|(id, _)| id.clone()).collect()
    }
}

fn judge(dirs: &mut LogDirs, id: &TopicPartition, wanted: &Path) -> Judged {
    if NAME_BYTES_MAX < id.to_string().len() {
        return Judged::Refused(ErrorCode::InvalidTopicException);
    }
    let Some(to) = dirs.dir_at(wanted) else { return Judged::Refused(ErrorCode::LogDirNotFound) };
    if !dirs.works(to) {
        return Judged::Refused(ErrorCode::KafkaStorageError);
    }
    let Some(here) = dirs.dir_of(id) else {
        // It is made there when it comes.
        dirs.prefer(id, to);
        return Judged::Refused(ErrorCode::ReplicaNotAvailable);
    };
    match dirs.future_dir_of(id) {
        Some(future) if future == to => Judged::Nothing,
        Some(_) if here == to => Judged::Stay,
        None if here == to => Judged::Nothing,
        // In the dir that failed there may be a copy already.
        Some(_) | None if !dirs.failed().is_empty() => Judged::Refused(ErrorCode::KafkaStorageError),
        Some(_) | None => Judged::Go(to),
    }
}
