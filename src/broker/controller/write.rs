//! What the controller writes into the tree, always fenced by its epoch (law 5).

use super::*;

impl Running {
    /// What a 3.9 controller writes first: that the cluster knows features.
    pub(super) async fn enable_features(&self) -> Result<(), Stop> {
        let data = Features::enabled().encode();
        match self.parts.coordinator.get(FEATURE).await? {
            None => {
                let create = Op::Create { path: FEATURE.to_owned(), data: Some(data), mode: CreateMode::Persistent };
                self.fenced(vec![create]).await.map(drop)
            }
            Some((found, _)) => match Features::decode(&found) {
                Ok(features) if features.enabled => Ok(()),
                Ok(features) => {
                    let data = Features { enabled: true, ..features }.encode();
                    self.fenced(vec![Op::Set { path: FEATURE.to_owned(), data, version: None }]).await.map(drop)
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    pub(super) async fn assign_topic_id(&self, name: TopicName) -> Result<Vec<Event>, Stop> {
        let path = topic::path(&name);
        let Some((data, _)) = self.parts.coordinator.get(&path).await? else {
            return Ok(vec![Event::TopicsRead(vec![(name, None)])]);
        };
        if let Ok(mut assignment) = topic::TopicAssignment::decode(&data) {
            assignment.topic_id = Some(random_topic_id(&*self.parts.ports.entropy));
            self.fenced(vec![Op::Set { path, data: assignment.encode(), version: None }]).await?;
        }
        Ok(vec![self.read_topics(vec![name]).await?])
    }

    /// Writes states in multis that check the controller epoch, several on their way at a time. What another writer changed meanwhile
    /// is read again.
    pub(super) async fn write_states(&self, changes: Vec<StateChange>) -> Result<Vec<Event>, Stop> {
        let parents = changes.iter().filter(|change| change.expected.is_none());
        let parents = parents.map(|change| topic::partitions_path(&change.topic)).collect::<BTreeSet<_>>();
        for made in join_all(parents.into_iter().map(|path| self.create_if_absent(path))).await {
            made?;
        }
        // A new state takes two steps, one of them for the folder.
        let batches = changes.chunks((MULTI_STEPS_MAX - 1) / 2);
        let written = stream::iter(batches.map(|batch| async move {
            let ops = batch.iter().flat_map(state_ops).collect();
            (batch, self.fenced(ops).await)
        }));
        let mut results = written.buffered(MULTIS_IN_FLIGHT);
        let mut written = Vec::new();
        let mut again = BTreeSet::new();
        while let Some((batch, result)) = results.next().await {
            match result {
                Ok(results) => written.extend(batch.iter().cloned().zip(versions(&results)).map(versioned)),
                Err(stop) if stop.is_conflict() => self.write_one_by_one(batch, &mut written, &mut again).await?,
                Err(stop) => return Err(stop),
            }
        }
        let mut events = vec![Event::StatesWritten(written)];
        if !again.is_empty() {
            events.push(self.read_topics(again.into_iter().collect()).await?);
        }
        Ok(events)
    }

    async fn write_one_by_one(
        &self,
        batch: &[StateChange],
        written: &mut Vec<StateChange>,
        again: &mut BTreeSet<TopicName>,
    ) -> Result<(), Stop> {
        for change in batch {
            if change.expected.is_none() {
                self.create_if_absent(topic::partition_path(&change.topic, change.partition)).await?;
            }
            let last = state_ops(change).pop().into_iter().collect();
            match self.fenced(last).await {
                Ok(results) => {
                    written.extend(versions(&results).into_iter().map(|version| versioned((change.clone(), version))))
                }
                Err(stop) if stop.is_conflict() => {
                    again.insert(change.topic.clone());
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    pub(super) async fn create_if_absent(&self, path: String) -> Result<(), Stop> {
        match self.fenced(vec![Op::Create { path, data: None, mode: CreateMode::Persistent }]).await {
            Err(stop) if !stop.is_conflict() => Err(stop),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The topic's znodes go, children first; then its configuration and the wish to delete it.
    pub(super) async fn remove_topic(&self, name: TopicName) -> Result<Vec<Event>, Stop> {
        let mut paths = self.topic_paths(&name).await?;
        paths.push(Entity::Topic(name.clone()).path());
        paths.push(admin::delete_topic_path(&name));
        self.delete_all(paths).await?;
        event::TopicDeleted { topic: name.clone() }.emit();
        Ok(vec![Event::TopicRemoved(name)])
    }

    /// Deletes in the given order; what is gone already is fine.
    pub(super) async fn delete_all(&self, paths: Vec<String>) -> Result<(), Stop> {
        for batch in paths.chunks(MULTI_STEPS_MAX) {
            let delete = |path: &String| Op::Delete { path: path.clone(), version: None };
            match self.fenced(batch.iter().map(delete).collect()).await {
                Ok(_) => {}
                Err(stop) if stop.is_conflict() => {
                    for path in batch {
                        match self.fenced(vec![delete(path)]).await {
                            Err(stop) if !stop.is_conflict() => return Err(stop),
                            Ok(_) | Err(_) => {}
                        }
                    }
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// The topic's znodes, children before their parents.
    async fn topic_paths(&self, name: &TopicName) -> Result<Vec<String>, Stop> {
        let coordinator = &*self.parts.coordinator;
        let partitions = match coordinator.children(&topic::partitions_path(name)).await {
            Ok(partitions) => partitions,
            Err(CoordinationError::NoNode { .. }) => return Ok(vec![topic::path(name)]),
            Err(error) => return Err(error.into()),
        };
        let mut paths = Vec::new();
        for partition in partitions {
            let partition = format!("{}/{partition}", topic::partitions_path(name));
            paths.extend([format!("{partition}/state"), partition]);
        }
        paths.extend([topic::partitions_path(name), topic::path(name)]);
        Ok(paths)
    }

    /// Writes the assignments of some partitions of a topic, and keeps what else its znode holds. Somebody else may add partitions
    /// meanwhile: then it is read and written again.
    pub(super) async fn write_assignments(
        &self,
        name: TopicName,
        changes: BTreeMap<PartitionIndex, AssignmentChange>,
    ) -> Result<Vec<Event>, Stop> {
        let path = topic::path(&name);
        loop {
            let Some((data, stat)) = self.parts.coordinator.get(&path).await? else {
                return Ok(vec![Event::TopicsRead(vec![(name, None)])]);
            };
            let mut all = topic::TopicAssignment::decode(&data)?;
            for (index, AssignmentChange { assignment, .. }) in &changes {
                let Assignment { replicas, adding, removing } = assignment.clone();
                all.partitions.insert(*index, topic::ReplicaAssignment { replicas, adding, removing });
            }
            let set = Op::Set { path: path.clone(), data: all.encode(), version: Some(stat.version) };
            match self.fenced(vec![set]).await {
                Ok(_) => break,
                Err(stop) if stop.is_conflict() => {}
                Err(stop) => return Err(stop),
            }
        }
        for (index, AssignmentChange { assignment, ends }) in &changes {
            let partition = TopicPartition { topic: name.clone(), partition: *index };
            let replicas = assignment.replicas.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            if *ends {
                event::ReassignmentEnded { partition, replicas }.emit();
            } else {
                event::ReassignmentBegun { partition, replicas }.emit();
            }
        }
        Ok(vec![Event::AssignmentsWritten(name, changes)])
    }

    /// What old tools still wait for; the znode goes when that is nothing.
    pub(super) async fn write_reassignments(&self, left: &BTreeMap<TopicPartition, Vec<BrokerId>>) -> Result<(), Stop> {
        let path = admin::REASSIGN_PARTITIONS.to_owned();
        let op = match left.is_empty() {
            true => Op::Delete { path, version: None },
            false => Op::Set { path, data: admin::encode_reassignments(left), version: None },
        };
        match self.fenced(vec![op]).await {
            Err(stop) if !stop.is_conflict() => Err(stop),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// All of `ops`, and only while this broker is the controller (law 5). What they gave.
    pub(super) async fn fenced(&self, ops: Vec<Op>) -> Result<Vec<OpResult>, Stop> {
        let Some(active) = &self.active else { return Err(Stop::Moved) };
        if Bug::B11.is_back() {
            return Ok(self.parts.coordinator.multi(ops).await?);
        }
        match self.parts.coordinator.multi(active.token.fence(ops)).await {
            Ok(mut results) => {
                // The first is the check.
                results.drain(..1.min(results.len()));
                Ok(results)
            }
            Err(error) if ControllerToken::is_fenced(&error) => Err(Stop::Moved),
            Err(error) => Err(error.into()),
        }
    }
}

impl Stop {
    /// Whether a znode is not as expected: somebody else wrote, or it is there or gone already.
    pub(super) fn is_conflict(&self) -> bool {
        use CoordinationError::{BadVersion, NoNode, NodeExists};
        let Self::Failed(RecipeError::Coordination(error)) = self else { return false };
        matches!(error, BadVersion { .. } | NoNode { .. } | NodeExists { .. })
    }
}

/// The steps that write one state; the last one gives its version.
fn state_ops(change: &StateChange) -> Vec<Op> {
    let StateChange { topic: name, partition, expected, state, tell: _, drops: _ } = change;
    let data = topic::PartitionState {
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr.clone(),
        controller_epoch: state.controller_epoch,
        recovering: state.recovering,
    }
    .encode();
    let path = topic::state_path(name, *partition);
    match expected {
        Some(version) => {
            // The version alone would find out every old controller that knows an old state.
            let version = Some(version.0).filter(|_| !Bug::B11.is_back());
            vec![Op::Set { path, data, version }]
        }
        None => vec![
            Op::Create { path: topic::partition_path(name, *partition), data: None, mode: CreateMode::Persistent },
            Op::Create { path, data: Some(data), mode: CreateMode::Persistent },
        ],
    }
}

fn versioned((mut change, version): (StateChange, i32)) -> StateChange {
    change.state.partition_epoch = PartitionEpoch(version);
    change
}

/// Data versions of the states that these steps wrote.
fn versions(results: &[OpResult]) -> Vec<i32> {
    let version = |result: &OpResult| match result {
        OpResult::Created { path } => path.ends_with("/state").then_some(0),
        OpResult::Set { stat } => Some(stat.version),
        OpResult::Checked | OpResult::Deleted => None,
    };
    results.iter().filter_map(version).collect()
}
