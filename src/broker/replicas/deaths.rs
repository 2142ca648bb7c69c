//! Partitions and log dirs that fail: started again, or out of service until the broker starts again.

use super::*;

impl Replicas {
    pub(super) fn died(&mut self, id: TopicPartition, incarnation: u64, death: Death, ctx: &mut Context<Self>) {
        let now = self.ports.clock.moment();
        let Some(replica) = self.replicas.get_mut(&id).filter(|replica| replica.incarnation == incarnation) else {
            return;
        };
        if let Some(handle) = replica.handle.take() {
            let published = &handle.published;
            replica.standing = published.standing();
            replica.last_words = LastWords {
                recovery_point: Some(published.log.recovery_point()),
                log_start: published.log.log_start_offset(),
                high_watermark: published.high_watermark(),
            };
        }
        let verdict = replica.deaths.died(now);
        event::ActorDied { actor: "partition", name: id.to_string(), cause: death.to_string() }.emit();
        self.coordinate([&id], &ctx.address());
        match verdict {
            Verdict::Restart(wait) => {
                ctx.run_later(wait, move |_, ctx| ctx.notify(ReplicasCommand::Reopen(id)));
            }
            Verdict::Escalate => {
                event::ActorEscalated { actor: "partition", name: id.to_string(), deaths: DEATHS_MAX }.emit();
                self.take_offline(std::slice::from_ref(&id));
                self.cancel_moves([&id], ctx);
                if death == Death::Failed {
                    self.probe(id, ctx);
                }
            }
        }
    }

    /// A partition's disk failed again and again: is it the file, or the whole dir?
    pub(super) fn probe(&self, id: TopicPartition, ctx: &mut Context<Self>) {
        let probe = move |dirs: &mut LogDirs| dirs.dir_of(&id).map(|dir| (dir, dirs.probe(dir)));
        self.with_dirs(ctx, probe, |_, probed, ctx| {
            if let Some((dir, Err(error))) = probed {
                suspect(dir, error, ctx);
            }
        });
    }

    /// Takes a log dir out of service, with all that lies in it; the others go on. Kafka does the same, and asks for a restart
    /// too.
    pub(super) fn dir_failed(&mut self, dir: LogDirIndex, error: DiskError, ctx: &mut Context<Self>) {
        if !self.failed_dirs.insert(dir) {
            return;
        }
        let cause = error.to_string();
        let fail = move |dirs: &mut LogDirs| {
            dirs.fail(dir, error);
            let path = dirs.path_of(dir).map(Path::to_path_buf).unwrap_or_default();
            (path, dirs.partitions_in(dir), dirs.all_failed())
        };
        self.with_dirs(ctx, fail, move |actor, (path, ids, all), ctx| {
            event::LogDirFailed { dir: event::Dir(path.clone()), cause: cause.clone() }.emit();
            let (leaving, coming) = (ids.clone(), actor.moving_to(dir));
            actor.cancel_moves(leaving.iter().chain(&coming), ctx);
            actor.take_offline(&ids);
            actor.coordinate(&ids, &ctx.address());
            let handles = ids.iter().filter_map(|id| actor.replicas.get_mut(id)?.handle.take()).collect::<Vec<_>>();
            let closed = join_all(handles.into_iter().map(|handle| close(handle, true)));
            ctx.spawn(closed.into_actor(actor).map(|_, _, _| ()));
            if all {
                let last = path.display();
                actor
                    .lose
                    .send_replace(Some(format!("none of the log dirs works any more; the last was {last}: {cause}")));
            }
        });
    }

    /// These cannot be served until the broker starts again: clients hear it, and the controller, so that others lead.
    pub(super) fn take_offline(&mut self, ids: &[TopicPartition]) {
        self.directory.take_offline(ids);
        for id in ids {
            if let Some(replica) = self.replicas.get_mut(id) {
                replica.offline = true;
                replica.leadership = None;
            }
        }
        self.fetchers.leave(ids);
        self.failures.send_modify(|failures| *failures += 1);
    }

    pub(super) fn reopen(&mut self, id: TopicPartition, ctx: &mut Context<Self>) {
        let Some(replica) = self.replicas.get(&id).filter(|replica| replica.handle.is_none()) else { return };
        let last_words = replica.last_words;
        let config = self.settings.topic(&id.topic).log.clone();
        let now = self.ports.clock.timestamp();
        let wanted = id.clone();
        let open = move |dirs: &mut LogDirs| dirs.reopen_partition(&wanted, last_words, config, now);
        self.try_with_dirs(ctx, open, move |actor, loaded, ctx| {
            let panicked = loaded.is_none();
            match loaded.flatten().map(|loaded| actor.loaded(loaded)) {
                Some(Ok(opened)) => {
                    let deaths = actor.deaths(&id);
                    event::ActorRestarted { actor: "partition", name: id.to_string(), deaths }.emit();
                    actor.start(vec![opened], ctx);
                }
                // It will be mended by itself, as a full disk is: no reason to give the partition up.
                Some(Err(OpenError::Disk(error))) if error.passes() => {
                    ctx.run_later(FULL_DISK_RETRY, move |_, ctx| ctx.notify(ReplicasCommand::Reopen(id)));
                }
                // As if the fresh one had died at once: tried again, and given up in the end; only then is the dir asked.
                Some(Err(_)) | None => {
                    let incarnation = actor.replicas.get(&id).map_or(0, |replica| replica.incarnation);
                    let death = if panicked { Death::Panicked } else { Death::Failed };
                    actor.died(id, incarnation, death, ctx);
                }
            }
        });
    }

    /// Deaths of a partition within the last minute.
    pub(super) fn deaths(&self, id: &TopicPartition) -> u32 {
        self.replicas.get(id).map_or(0, |replica| replica.deaths.recent())
    }
}

/// Notes that the disk failed in a dir, unless it is only full.
pub(super) fn suspect(dir: LogDirIndex, error: DiskError, ctx: &mut Context<Replicas>) {
    if !error.passes() {
        ctx.notify(ReplicasCommand::DirFailed { dir, error });
    }
}

#[expect(clippy::disallowed_methods, reason = "a death notice must arrive whatever the mailbox holds (law 7)")]
pub(super) fn death_notice(ctx: &Context<Replicas>, id: &TopicPartition, incarnation: u64) -> DeathNotice {
    let (parent, id) = (ctx.address(), id.clone());
    DeathNotice::new(move |death| parent.do_send(ReplicasCommand::Died { id, incarnation, death }))
}
