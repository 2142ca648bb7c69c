//! What the controller says: which replicas here lead, which follow and whom, which are stopped (LeaderAndIsr, StopReplica).

use super::*;

impl Replicas {
    pub(super) fn leader_and_isr(
        &mut self,
        partitions: Vec<PartitionNotice>,
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
        ctx: &mut Context<Self>,
    ) {
        let missing = partitions.iter().filter(|notice| {
            !self.replicas.contains_key(&notice.id()) && notice.assignment.replicas.contains(&self.local)
        });
        let missing = missing.map(|notice| (notice.id(), notice.topic_id, notice.is_new)).collect::<Vec<_>>();
        let nameless = partitions.iter().filter(|notice| {
            let replica = self.replicas.get(&notice.id());
            !notice.topic_id.is_zero() && replica.is_some_and(|replica| replica.topic_id.is_zero() && !replica.offline)
        });
        let nameless = nameless.map(|notice| (notice.id(), notice.topic_id)).collect::<Vec<_>>();
        let settings = self.settings.clone();
        let now = self.ports.clock.timestamp();
        let create = move |dirs: &mut LogDirs| {
            let created = missing.into_iter().map(|(id, topic_id, is_new)| {
                let made = create(dirs, &id, (topic_id, is_new), &settings, now);
                (id, topic_id, made)
            });
            let created = created.collect::<Vec<_>>();
            let unnamed = nameless.into_iter().filter_map(|(id, topic_id)| {
                let error = dirs.adopt_topic_id(&id, topic_id).err()?;
                Some((id, error))
            });
            (created, unnamed.collect::<BTreeMap<_, _>>())
        };
        self.with_dirs(ctx, create, move |actor, (created, unnamed), ctx| {
            let mut opened = Vec::new();
            for (id, topic_id, (made, failed)) in created {
                failed.into_iter().for_each(|(dir, error)| suspect(dir, error, ctx));
                opened.extend(actor.created(id, topic_id, made));
            }
            actor.start(opened, ctx);
            for (id, error) in &unnamed {
                event::PartitionUnusable { partition: id.clone(), cause: error.to_string() }.emit();
            }
            let told = partitions.into_iter().map(|notice| {
                // Without its id on disk it could pass for a namesake's after a restart.
                let is_named = !unnamed.contains_key(&notice.id());
                let told = if is_named { actor.assign(&notice) } else { Err(ErrorCode::KafkaStorageError) };
                async move {
                    let answer = match told {
                        Ok(told) => {
                            // One that dies meanwhile is told in its next incarnation.
                            let _taken = OptionFuture::from(told).await;
                            ErrorCode::None
                        }
                        Err(refused) => refused,
                    };
                    (notice.id(), answer)
                }
            });
            let told = join_all(told.collect::<Vec<_>>());
            ctx.wait(told.into_actor(actor).map(|answers, actor, ctx| {
                for (id, _) in answers.iter().filter(|(_, code)| !code.is_error()) {
                    actor.follow(id, ctx.address());
                }
                actor.coordinate(answers.iter().map(|(id, _)| id), &ctx.address());
                let _gone = reply.send(answers);
            }));
        });
    }

    pub(super) fn created(
        &self,
        id: TopicPartition,
        topic_id: TopicId,
        made: Result<Log, OpenError>,
    ) -> Option<Opened> {
        match made {
            Ok(log) => {
                event::PartitionCreated { partition: id.clone() }.emit();
                let high_watermark = log.log_start_offset();
                Some(Opened { id, topic_id, log, high_watermark })
            }
            Err(error) => {
                event::PartitionUnusable { partition: id.clone(), cause: error.to_string() }.emit();
                self.directory.take_offline(&[id]);
                None
            }
        }
    }

    /// Has a replica copied from its leader, if another broker is.
    pub(super) fn follow(&mut self, id: &TopicPartition, replicas: Addr<Self>) {
        let Some(replica) = self.replicas.get(id) else { return };
        let (Some(leadership), Some(handle)) = (&replica.leadership, &replica.handle) else { return };
        let leader = leadership.leader;
        if leader == self.local || leader == BrokerId::NONE {
            self.fetchers.leave([id]);
            return;
        }
        let (topic_id, leader_epoch) = (replica.topic_id, leadership.leader_epoch);
        event::Following { partition: id.clone(), leader, epoch: leader_epoch }.emit();
        let throttled = self.is_throttled(id);
        let follow = Follow { id: id.clone(), topic_id, leader_epoch, throttled, addr: handle.addr.clone() };
        self.fetchers.follow(leader, follow, |fetcher| fetcher_notice(replicas, fetcher));
    }

    /// Whether this broker's replica is throttled when it follows.
    pub(super) fn is_throttled(&self, id: &TopicPartition) -> bool {
        self.settings.topic(&id.topic).throttled_followers.has(id.partition, self.local)
    }

    /// Tells the coordinators of groups in these partitions whether they coordinate.
    pub(super) fn coordinate<'i>(&mut self, ids: impl IntoIterator<Item = &'i TopicPartition>, replicas: &Addr<Self>) {
        for id in ids.into_iter().filter(|id| id.topic.as_str() == TopicName::CONSUMER_OFFSETS) {
            let replica = self.replicas.get(id);
            let leadership = replica.and_then(|replica| replica.leadership.as_ref());
            let led = leadership.filter(|leadership| leadership.leader == self.local);
            let handle = replica.and_then(|replica| replica.handle.clone());
            let tenure = led.zip(handle);
            let tenure = tenure.map(|(led, partition)| Tenure { epoch: led.leader_epoch, partition });
            self.tenures.set(id.partition, tenure, |partition| coordinator_notice(replicas.clone(), partition));
        }
    }

    pub(super) fn fetcher_died(&mut self, fetcher: FetcherId, death: Death, ctx: &mut Context<Self>) {
        self.fetchers.died(fetcher);
        let FetcherId { leader, number } = fetcher;
        event::ActorDied { actor: "fetcher", name: format!("{number} of broker {leader}"), cause: death.to_string() }
            .emit();
        ctx.run_later(FETCHER_RESTART, move |_, ctx| ctx.notify(ReplicasCommand::FollowAgain(leader)));
    }

    pub(super) fn follow_again(&mut self, leader: BrokerId, ctx: &Context<Self>) {
        let led = |replica: &Replica| replica.leadership.as_ref().is_some_and(|known| known.leader == leader);
        let followed = self.replicas.iter().filter(|(_, replica)| led(replica)).map(|(id, _)| id.clone());
        for id in followed.collect::<Vec<_>>() {
            self.follow(&id, ctx.address());
        }
    }

    pub(super) fn stop_replica(
        &mut self,
        partitions: Vec<StoppedReplica>,
        reply: oneshot::Sender<Vec<(TopicPartition, ErrorCode)>>,
        ctx: &mut Context<Self>,
    ) {
        let mut answers = Vec::new();
        let (mut stopped, mut deleted) = (Vec::new(), Vec::new());
        for StoppedReplica { partition, leader_epoch, delete } in partitions {
            let replica = self.replicas.get(&partition);
            let known = replica.and_then(|replica| replica.leadership.as_ref());
            let fenced = known.is_some_and(|known| 0 <= leader_epoch.0 && leader_epoch < known.leader_epoch);
            if replica.is_some_and(|replica| replica.offline) {
                answers.push((partition, ErrorCode::KafkaStorageError));
            } else if fenced {
                answers.push((partition, ErrorCode::FencedLeaderEpoch));
            } else if delete {
                deleted.push(partition);
            } else {
                stopped.push(partition);
            }
        }
        self.fetchers.leave(&stopped);
        answers.extend(stopped.into_iter().map(|id| (id, ErrorCode::None)));
        if deleted.is_empty() {
            let _gone = reply.send(answers);
            return;
        }
        self.delete(deleted, ctx, |deleted| {
            answers.extend(deleted);
            let _gone = reply.send(answers);
        });
    }

    /// One partition of a LeaderAndIsr. Its mailbox may be full of appends: then it is waited for. One that is down is told when it
    /// is up again.
    pub(super) fn assign(&mut self, notice: &PartitionNotice) -> Result<Option<Told>, ErrorCode> {
        let is_replica = notice.assignment.replicas.contains(&self.local);
        let missing = if is_replica { ErrorCode::KafkaStorageError } else { ErrorCode::UnknownTopicOrPartition };
        let replica = self.replicas.get_mut(&notice.id()).ok_or(missing)?;
        if replica.offline {
            return Err(ErrorCode::KafkaStorageError);
        }
        // Controllers before 2.8 know no ids.
        if !notice.topic_id.is_zero() && !replica.topic_id.is_zero() && replica.topic_id != notice.topic_id {
            return Err(ErrorCode::InconsistentTopicId);
        }
        let adopted = replica.topic_id.is_zero() && !notice.topic_id.is_zero();
        if adopted {
            replica.topic_id = notice.topic_id;
            replica.handle.iter().for_each(|handle| handle.published.adopt_topic_id(notice.topic_id));
        }
        if let Some(known) = replica.leadership.as_ref().filter(|known| notice.state.leader_epoch <= known.leader_epoch)
        {
            // As Kafka says that there is nothing new in it, unless it is the topic's id.
            let same = adopted && notice.state.leader_epoch == known.leader_epoch;
            return if same { Ok(None) } else { Err(ErrorCode::StaleControllerEpoch) };
        }
        if !is_replica {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        let leadership = Leadership {
            leader: notice.state.leader,
            leader_epoch: notice.state.leader_epoch,
            partition_epoch: notice.state.partition_epoch,
            isr: notice.state.isr.clone(),
            replicas: notice.assignment.replicas.clone(),
        };
        replica.leadership = Some(leadership.clone());
        Ok(replica.handle.as_ref().map(|handle| handle.addr.send(PartitionCommand::Assign(leadership))))
    }

    pub(super) fn fence(&mut self, only_shared: bool, reply: oneshot::Sender<()>, ctx: &mut Context<Self>) {
        let mut told = Vec::new();
        let is_shared = |replica: &Replica| replica.leadership.as_ref().is_some_and(|known| 1 < known.replicas.len());
        for replica in self.replicas.values_mut().filter(|replica| !only_shared || is_shared(replica)) {
            replica.leadership.take_if(|_| !Bug::B13.is_back());
            replica.standing = None;
            if let Some(handle) = &replica.handle {
                told.push(handle.addr.send(PartitionCommand::Fence));
            }
        }
        let all = self.replicas.keys().cloned().collect::<Vec<_>>();
        self.coordinate(&all, &ctx.address());
        self.wait_for(told, ctx, || {
            let _gone = reply.send(());
        });
    }

    /// Lets the mailbox wait until partitions have taken a command, then does `then`. One that died meanwhile starts afresh
    /// with what holds by then.
    pub(super) fn wait_for(&self, told: Vec<Told>, ctx: &mut Context<Self>, then: impl FnOnce() + 'static) {
        ctx.wait(join_all(told).into_actor(self).map(|_, _, _| then()));
    }

    /// Whether a controller was replaced since its request was admitted.
    pub(super) fn is_replaced(&self, controller: ControllerEpoch) -> bool {
        controller < self.neighbours.membership.controller_epoch()
    }
}

/// Makes a partition in the dir with the fewest. When the disk of that fails it is taken off the list, and the next is tried;
/// the dirs that failed.
pub(super) fn create(
    dirs: &mut LogDirs,
    id: &TopicPartition,
    (topic_id, is_new): (TopicId, bool),
    settings: &SettingsStore,
    now: Timestamp,
) -> (Result<Log, OpenError>, Vec<(LogDirIndex, DiskError)>) {
    let mut failed = Vec::new();
    if !is_new && let Some((_, error)) = dirs.failed().into_iter().next() {
        // It may lie in the dir that failed: an empty log in another one would pass for all that there ever was (law 10).
        return (Err(OpenError::Disk(error)), failed);
    }
    loop {
        let place = dirs.dir_for_new(id);
        let config = settings.topic(&id.topic).log.clone();
        match (place, dirs.create_partition(id, Some(topic_id), config, now)) {
            (_, Ok((_, log))) => return (Ok(log), failed),
            (Ok(place), Err(OpenError::Disk(error))) if !error.passes() => {
                dirs.fail(place, error.clone());
                failed.push((place, error.clone()));
                if !dirs.abandon_partition(id) {
                    // Two dirs must not both have it at the next start.
                    return (Err(OpenError::Disk(error)), failed);
                }
            }
            (_, Err(error)) => return (Err(error), failed),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a death notice must arrive whatever the mailbox holds (law 7)")]
pub(super) fn coordinator_notice(replicas: Addr<Replicas>, partition: PartitionIndex) -> DeathNotice {
    DeathNotice::new(move |death| replicas.do_send(ReplicasCommand::CoordinatorDied { partition, death }))
}

#[expect(clippy::disallowed_methods, reason = "a death notice must arrive whatever the mailbox holds (law 7)")]
pub(super) fn fetcher_notice(replicas: Addr<Replicas>, fetcher: FetcherId) -> DeathNotice {
    DeathNotice::new(move |death| replicas.do_send(ReplicasCommand::FetcherDied { fetcher, death }))
}
