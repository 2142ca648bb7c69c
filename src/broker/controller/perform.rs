//! The effects of the controller's machine, one after the other (law 2).

use super::*;
use crate::machine::controller::Gone;

impl Running {
    pub(super) async fn step(&mut self, event: Event) -> Result<(), Stop> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let mut effects = Vec::new();
        active.machine.step(event, &mut effects);
        self.perform(effects).await
    }

    /// Performs effects in their order; what comes back are events, whose effects follow.
    pub(super) async fn perform(&mut self, effects: Vec<Effect>) -> Result<(), Stop> {
        let mut effects = std::collections::VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let events = match effect {
                Effect::ReadTopic(name) => {
                    let mut names = vec![name];
                    // Reads are pipelined: thousands of topics are read when a controller starts.
                    while let Some(Effect::ReadTopic(_)) = effects.front() {
                        if let Some(Effect::ReadTopic(name)) = effects.pop_front() {
                            names.push(name);
                        }
                    }
                    vec![self.read_topics(names).await?]
                }
                Effect::AssignTopicId(name) => self.assign_topic_id(name).await?,
                Effect::WriteStates(changes) => self.write_states(changes).await?,
                Effect::UpdateMetadata { to, partitions } => {
                    self.update_metadata(&to, partitions, false);
                    vec![]
                }
                Effect::TellEverything { to, partitions } => {
                    self.update_metadata(&to, partitions, true);
                    vec![]
                }
                Effect::ForgetTopics(topics) => {
                    self.forget_topics(&topics).await;
                    vec![]
                }
                Effect::LeaderAndIsr { broker, partitions } => {
                    self.leader_and_isr(broker, partitions).await?;
                    vec![]
                }
                Effect::AskUnclean(topics) => self.ask_unclean(topics).await?,
                Effect::WriteAssignments(topic, changes) => self.write_assignments(topic, changes).await?,
                Effect::AnswerReassign { token, answers } => {
                    let waiting = self.active.as_mut().and_then(|active| active.reassigning.remove(&token));
                    if let Some(reply) = waiting {
                        let _gone = reply.send(answers);
                    }
                    vec![]
                }
                Effect::WriteReassignZnode(left) => {
                    self.write_reassignments(&left).await?;
                    vec![]
                }
                Effect::DeleteReplicas { broker, topic, partitions } => {
                    self.delete_replicas(broker, topic, partitions).await
                }
                Effect::StopReplicas { broker, partitions, delete } => {
                    self.stop_replicas(broker, partitions, delete).await;
                    vec![]
                }
                Effect::AnswerIsr { token, wishes } => {
                    self.answer_isr(token, &wishes);
                    vec![]
                }
                Effect::RemoveTopic(name) => self.remove_topic(name).await?,
                Effect::DropDeletion(name) => {
                    self.delete_all(vec![admin::delete_topic_path(&name)]).await?;
                    vec![]
                }
            };
            let Some(active) = &mut self.active else { return Ok(()) };
            let mut next = Vec::new();
            events.into_iter().for_each(|event| active.machine.step(event, &mut next));
            next.into_iter().rev().for_each(|effect| effects.push_front(effect));
        }
        Ok(())
    }

    fn channels(&self) -> impl Iterator<Item = (&BrokerId, &Channel)> {
        self.active.iter().flat_map(|active| active.channels.iter())
    }

    fn channel(&self, broker: BrokerId, tell: impl FnOnce(&Channel)) {
        // A broker that is gone meanwhile is told when it comes back.
        if let Some(channel) = self.active.as_ref().and_then(|active| active.channels.get(&broker)) {
            tell(channel);
        }
    }

    async fn forget_topics(&self, topics: &[Gone]) {
        let mut deleted = BTreeSet::new();
        self.parts.metadata.publish(|image| {
            let gone = topics.iter().filter(|gone| image.forget(&gone.topic, gone.topic_id));
            deleted.extend(gone.map(|gone| Str::from(gone.topic.as_str())));
        });
        self.parts.groups.topics_deleted(deleted).await;
        self.channels().for_each(|(_, channel)| channel.forget(topics));
    }

    /// `everything` when there are no other partitions.
    fn update_metadata(&self, to: &BTreeSet<BrokerId>, partitions: Vec<PartitionNotice>, everything: bool) {
        let Some(active) = &self.active else { return };
        for (_, channel) in self.channels().filter(|(id, _)| to.contains(id)) {
            channel.update_metadata(partitions.clone(), everything);
        }
        let brokers = active.brokers.borrow().iter().map(|(id, broker)| (*id, broker.clone().into())).collect();
        self.parts.metadata.publish(|image| {
            image.brokers = brokers;
            if to.contains(&self.parts.local) {
                if everything {
                    image.keep_only(&partitions);
                }
                image.merge(partitions);
            }
        });
    }

    /// This broker's answer comes later, as another one's does: what follows from it is newer than what is still to be told.
    async fn leader_and_isr(&self, broker: BrokerId, partitions: Vec<PartitionNotice>) -> Result<(), Stop> {
        if broker != self.parts.local {
            self.channel(broker, |channel| channel.leader_and_isr(partitions));
            return Ok(());
        }
        self.load_settings(&partitions).await?;
        let controller_epoch = self.epoch();
        let answers =
            ask(&self.parts.replicas, |reply| ReplicasCommand::LeaderAndIsr { controller_epoch, partitions, reply });
        let mut offline = Vec::new();
        for (partition, error) in answers.await.unwrap_or_default() {
            if error == ErrorCode::KafkaStorageError {
                offline.push(partition);
            } else if error.is_error() && error != ErrorCode::StaleControllerEpoch {
                // Not what it knew already.
                event::LeaderAndIsrRefused { partition, code: error }.emit();
            }
        }
        if let Some(active) = self.active.as_ref().filter(|_| !offline.is_empty())
            && let Some(epoch) = active.machine.broker_epoch(broker)
        {
            // The receiver lives as long as `active`.
            let _heard = active.reporter.send(Report { broker, epoch, news: News::Offline(offline) });
        }
        Ok(())
    }

    /// The epoch of this controller; that of nobody when it is none.
    fn epoch(&self) -> ControllerEpoch {
        self.active.as_ref().map_or(ControllerEpoch(-1), |active| active.token.epoch)
    }

    async fn ask_unclean(&self, topics: BTreeSet<TopicName>) -> Result<Vec<Event>, Stop> {
        let entities = topics.iter().cloned().map(Entity::Topic).collect();
        config_watch::load(&*self.parts.coordinator, &self.parts.applier, entities).await?;
        let settings = &self.parts.applier.settings;
        let allowed = topics.into_iter().filter(|topic| settings.topic(topic).unclean_leader_election);
        let allowed = allowed.collect::<BTreeSet<_>>();
        Ok(if allowed.is_empty() { vec![] } else { vec![Event::UncleanAllowed(allowed)] })
    }

    /// What is known of it at once: another broker's answer comes later.
    async fn delete_replicas(&self, broker: BrokerId, topic: TopicName, partitions: Vec<PartitionIndex>) -> Vec<Event> {
        let ids = partitions.into_iter().map(|partition| TopicPartition { topic: topic.clone(), partition });
        let partitions = ids.collect::<Vec<_>>();
        if broker != self.parts.local {
            self.channel(broker, |channel| channel.delete(partitions));
            return vec![];
        }
        let deleted = partitions.into_iter().map(StoppedReplica::of_deleted_topic);
        let answers = self.stop_here(deleted.collect()).await;
        let done = !answers.is_empty() && answers.iter().all(|(_, code)| !code.is_error());
        vec![Event::ReplicasDeleted { broker, topic, done }]
    }

    async fn stop_replicas(&self, broker: BrokerId, partitions: Vec<(TopicPartition, LeaderEpoch)>, delete: bool) {
        if broker == self.parts.local {
            let stopped = partitions.into_iter();
            let stopped = stopped.map(|(partition, leader_epoch)| StoppedReplica { partition, leader_epoch, delete });
            self.stop_here(stopped.collect()).await;
        } else {
            self.channel(broker, |channel| channel.stop(partitions, delete));
        }
    }

    async fn stop_here(&self, partitions: Vec<StoppedReplica>) -> Vec<(TopicPartition, ErrorCode)> {
        let controller_epoch = self.epoch();
        let stopped =
            ask(&self.parts.replicas, |reply| ReplicasCommand::StopReplica { controller_epoch, partitions, reply });
        stopped.await.unwrap_or_default()
    }

    fn answer_isr(&mut self, token: u64, wishes: &[(IsrChange, Option<ErrorCode>)]) {
        let Some(active) = &mut self.active else { return };
        let Some(reply) = active.waiting.remove(&token) else { return };
        let answer = |(wish, refused): &(IsrChange, Option<ErrorCode>)| match refused {
            Some(code) => Err(*code),
            None => active.machine.isr_answer(wish),
        };
        let _gone = reply.send(Ok(wishes.iter().map(answer).collect()));
    }

    /// No notice tells of a new topic's settings: they are read before its partitions are made.
    async fn load_settings(&self, partitions: &[PartitionNotice]) -> Result<(), Stop> {
        let new = {
            let here = self.parts.directory.load();
            let topics = partitions.iter().map(|notice| &notice.topic).collect::<BTreeSet<_>>();
            topics
                .into_iter()
                .filter(|topic| !here.contains_key(*topic))
                .cloned()
                .map(Entity::Topic)
                .collect::<Vec<_>>()
        };
        config_watch::load(&*self.parts.coordinator, &self.parts.applier, new).await?;
        Ok(())
    }

    pub(super) async fn elect(
        &mut self,
        partitions: Vec<TopicPartition>,
        unclean: bool,
    ) -> Result<Vec<(TopicPartition, ErrorCode)>, Stop> {
        let Some(active) = &self.active else {
            return Ok(partitions.into_iter().map(|id| (id, ErrorCode::NotController)).collect());
        };
        let epoch = |running: &Self, id: &TopicPartition| {
            let state = running.active.as_ref().and_then(|active| active.machine.state(id));
            state.filter(|state| state.leader != BrokerId::NONE).map(|state| state.leader_epoch)
        };
        let judged = partitions.into_iter().map(|id| (active.machine.may_elect(&id, unclean), epoch(self, &id), id));
        let judged = judged.collect::<Vec<_>>();
        let electable = judged.iter().filter(|(judged, ..)| judged.is_ok()).map(|(.., id)| id.clone()).collect();
        self.step(Event::Elect { partitions: electable, unclean }).await?;
        let failed = match unclean {
            true => ErrorCode::EligibleLeadersNotAvailable,
            false => ErrorCode::PreferredLeaderNotAvailable,
        };
        let outcome = |(judged, before, id): (Result<(), ErrorCode>, Option<LeaderEpoch>, TopicPartition)| {
            let code = match judged {
                Err(code) => code,
                Ok(()) if before < epoch(self, &id) => ErrorCode::None,
                Ok(()) => failed,
            };
            (id, code)
        };
        Ok(judged.into_iter().map(outcome).collect())
    }
}
