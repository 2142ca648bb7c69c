//! Deletion, checkpoints, housekeeping, and the end.

use actix::ActorStreamExt as _;
use actix::fut::wrap_stream;
use futures::FutureExt as _;
use futures::stream::FuturesUnordered;

use super::*;

impl Replicas {
    /// Closes logs and marks them for deletion; then `then` hears what became of each.
    pub(super) fn delete(
        &mut self,
        ids: Vec<TopicPartition>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(Vec<(TopicPartition, ErrorCode)>) + 'static,
    ) {
        self.fetchers.leave(&ids);
        self.cancel_moves(&ids, ctx);
        self.directory.publish(|partitions| directory::remove(partitions, &ids));
        self.directory.forget_offline(ids.iter());
        let handles = ids.iter().filter_map(|id| self.replicas.remove(id)?.handle).collect::<Vec<_>>();
        self.coordinate(&ids, &ctx.address());
        let closed = join_all(handles.into_iter().map(|handle| close(handle, true)));
        let due = self.ports.clock.moment().after(self.settings.file_delete_delay());
        let uniques = ids.iter().map(|_| u128::from_be_bytes(random(&*self.ports.entropy))).collect::<Vec<_>>();
        ctx.wait(closed.into_actor(self).map(move |_, actor, ctx| {
            let rename = move |dirs: &mut LogDirs| {
                let delete = |(id, unique): (TopicPartition, u128)| {
                    // What was copied to another dir goes with the next start, if not now.
                    let copied = dirs.abandon_future(&id, !unique, due).ok().flatten();
                    let dir = dirs.dir_of(&id);
                    let renamed = dir.map(|_| dirs.delete_partition(&id, unique, due));
                    (id, dir, copied, renamed)
                };
                ids.into_iter().zip(uniques).map(delete).collect::<Vec<_>>()
            };
            actor.with_dirs(ctx, rename, move |actor, renamed, ctx| {
                type Deleted = (
                    TopicPartition,
                    Option<LogDirIndex>,
                    Option<PendingDelete>,
                    Option<Result<PendingDelete, DiskError>>,
                );
                let outcome = |(id, dir, copied, renamed): Deleted| {
                    copied.into_iter().for_each(|copied| actor.delete_later(copied, ctx));
                    let code = match renamed {
                        // Never there, or gone already.
                        None => ErrorCode::None,
                        Some(Ok(pending)) => {
                            actor.delete_later(pending, ctx);
                            ErrorCode::None
                        }
                        Some(Err(error)) => {
                            event::DeleteFailed { cause: error.to_string() }.emit();
                            dir.into_iter().for_each(|dir| suspect(dir, error.clone(), ctx));
                            ErrorCode::KafkaStorageError
                        }
                    };
                    (id, code)
                };
                then(renamed.into_iter().map(outcome).collect());
            });
        }));
    }

    pub(super) fn delete_later(&self, pending: PendingDelete, ctx: &mut Context<Self>) {
        let wait = pending.due.since(self.ports.clock.moment());
        ctx.run_later(wait, move |actor, ctx| {
            let disk = Arc::clone(&actor.ports.disk);
            let work = actor.placement.blocking(move || pending.run(&*disk));
            ctx.spawn(work.into_actor(actor).map(|done, _, _| {
                if let Some(Err(error)) = done {
                    event::DeleteFailed { cause: error.to_string() }.emit();
                }
            }));
        });
    }

    pub(super) fn start_timers(&self, ctx: &mut Context<Self>) {
        let Intervals { retention, checkpoint, producers } = self.intervals;
        if let Some(interval) = retention {
            ctx.run_interval(interval, |actor, ctx| actor.housekeep(Chore::Retention, ctx));
        }
        if let Some(interval) = producers {
            ctx.run_interval(interval, |actor, ctx| actor.housekeep(Chore::Producers, ctx));
        }
        if let Some(interval) = checkpoint {
            ctx.run_interval(interval, |actor, ctx| {
                actor.housekeep(Chore::Checkpoint, ctx);
                actor.write_checkpoints(ctx);
            });
        }
        let cleaner = Cleaner {
            directory: self.directory.clone(),
            settings: self.settings.clone(),
            ports: self.ports.clone(),
            placement: self.placement.clone(),
            replicas: ctx.address(),
            uncleanable: BTreeMap::new(),
        };
        ctx.spawn(cleaner.run().into_actor(self));
    }

    /// One at a time; if one is being written, the next round will do.
    pub(super) fn write_checkpoints(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.checkpointing, true) {
            return;
        }
        let work = self.placement.blocking(self.checkpoint());
        ctx.spawn(work.into_actor(self).map(|failed, actor, ctx| {
            actor.checkpointing = false;
            let failed = failed.unwrap_or_default();
            report_checkpoint(&failed);
            failed.into_iter().for_each(|(dir, error)| suspect(dir, error, ctx));
        }));
    }

    /// Asks every partition but those that have not answered the last time. One that is slow holds up no other.
    pub(super) fn housekeep(&mut self, chore: Chore, ctx: &mut Context<Self>) {
        let asked = FuturesUnordered::new();
        for (id, replica) in &mut self.replicas {
            let Some(handle) = replica.handle.as_ref().filter(|_| !replica.chores.contains(&chore)) else { continue };
            let (reply, answer) = oneshot::channel();
            if handle.addr.try_send(PartitionCommand::Housekeep { chore, reply }).is_ok() {
                replica.chores.push(chore);
                let id = id.clone();
                asked.push(answer.map(move |pending| (id, pending)));
            }
        }
        // One future for all: an actor looks at each that it has whenever one of them is done.
        let answers = wrap_stream(asked).map(move |(id, pending), actor: &mut Self, ctx: &mut Context<Self>| {
            if let Some(replica) = actor.replicas.get_mut(&id) {
                replica.chores.retain(|waiting| *waiting != chore);
            }
            if let Ok(Some(pending)) = pending {
                actor.delete_later(pending, ctx);
            }
        });
        ctx.spawn(answers.finish());
    }

    /// Writes checkpoints of what the partitions publish by then. For the disk pool.
    pub(super) fn checkpoint(&self) -> impl FnOnce() -> Vec<(LogDirIndex, DiskError)> + Send + use<> {
        let published = self.replicas.iter().filter_map(|(id, replica)| {
            let published = &replica.handle.as_ref()?.published;
            Some((id.clone(), Arc::clone(published)))
        });
        let published = published.collect::<Vec<_>>();
        let dirs = Arc::clone(&self.dirs);
        move || {
            // One after the other, and no older offsets behind newer ones.
            let dirs = dirs.lock().unwrap_or_else(PoisonError::into_inner);
            let offsets = published.into_iter().map(|(id, published)| (id, offsets_of(&published)));
            dirs.as_ref().map(|dirs| dirs.checkpoint_task(offsets.collect()).run()).unwrap_or_default()
        }
    }

    pub(super) fn shutdown(&mut self, reply: oneshot::Sender<bool>, ctx: &mut Context<Self>) {
        self.fetchers.retire();
        let high_watermarks = self.replicas.iter().filter_map(|(id, replica)| {
            let handle = replica.handle.clone()?;
            Some((id.clone(), handle))
        });
        let closing = high_watermarks.map(|(id, handle)| async move {
            let published = Arc::clone(&handle.published);
            let recovery_point = close(handle, false).await;
            let offsets = recovery_point.map(|recovery_point| PartitionOffsets {
                recovery_point,
                log_start: published.log.log_start_offset(),
                high_watermark: published.high_watermark(),
                first_dirty: published.log.first_dirty_offset(),
            });
            (id, offsets)
        });
        let closing = join_all(closing.collect::<Vec<_>>());
        let down = self.replicas.values().any(|replica| replica.handle.is_none());
        let dirs = Arc::clone(&self.dirs);
        let placement = self.placement.clone();
        ctx.wait(closing.into_actor(self).map(move |closed, actor, ctx| {
            let clean = !down && closed.iter().all(|(_, offsets)| offsets.is_some());
            let offsets = closed.into_iter().filter_map(|(id, offsets)| Some((id, offsets?))).collect();
            let finish = placement.blocking(move || finish(&dirs, offsets, clean));
            ctx.wait(finish.into_actor(actor).map(move |done, _, _| {
                let _gone = reply.send(done.unwrap_or(false));
            }));
        }));
    }
}

pub(super) fn offsets_of(published: &Published) -> PartitionOffsets {
    PartitionOffsets {
        recovery_point: published.log.recovery_point(),
        log_start: published.log.log_start_offset(),
        high_watermark: published.high_watermark(),
        first_dirty: published.log.first_dirty_offset(),
    }
}

/// Writes the checkpoint of a log that was cut: until it says so, a crash would take what is appended in place of what was cut for
/// flushed. For the disk pool.
pub(super) fn checkpoint_of_cut(
    dirs: Arc<Mutex<Option<LogDirs>>>,
    id: TopicPartition,
    published: Arc<Published>,
) -> AfterCut {
    Arc::new(move || {
        let dirs = dirs.lock().unwrap_or_else(PoisonError::into_inner);
        let offsets = BTreeMap::from([(id.clone(), offsets_of(&published))]);
        dirs.as_ref().is_some_and(|dirs| dirs.checkpoint_task(offsets).run().is_empty())
    })
}

/// The last checkpoint, and the clean-shutdown marker when every log was closed.
pub(super) fn finish(
    dirs: &Mutex<Option<LogDirs>>,
    offsets: BTreeMap<TopicPartition, PartitionOffsets>,
    clean: bool,
) -> bool {
    let Some(dirs) = dirs.lock().unwrap_or_else(PoisonError::into_inner).take() else { return false };
    let failed = dirs.checkpoint_task(offsets).run();
    let written = failed.is_empty();
    report_checkpoint(&failed);
    clean && written && dirs.close().is_ok()
}

pub(super) async fn close(handle: PartitionHandle, discard: bool) -> Option<Offset> {
    let (reply, answer) = oneshot::channel();
    let sent = handle.addr.send(PartitionCommand::Close { reply, discard });
    tokio::time::timeout(COMMAND_PATIENCE, async {
        sent.await.ok()?;
        answer.await.ok()?
    })
    .await
    .ok()?
}

pub(super) fn report_checkpoint(failed: &[(LogDirIndex, DiskError)]) {
    for (_, error) in failed {
        event::CheckpointFailed { cause: error.to_string() }.emit();
    }
}
