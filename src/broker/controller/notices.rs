//! What others ask of the controller, or tell it, by znode: reassignments and elections of old tools, changed ISRs, failed log dirs.

use super::*;

impl Running {
    /// What `/admin/reassign_partitions` asks for; nothing when it is not there.
    pub(super) async fn read_reassignments(&self) -> Result<BTreeMap<TopicPartition, Vec<BrokerId>>, Stop> {
        let Some((data, _)) = self.parts.coordinator.get(admin::REASSIGN_PARTITIONS).await? else {
            return Ok(BTreeMap::new());
        };
        match admin::decode_reassignments(&data) {
            Ok(wanted) => Ok(wanted),
            Err(error) => {
                unreadable(admin::REASSIGN_PARTITIONS, &error);
                // Nobody could write there while it stays.
                self.delete_all(vec![admin::REASSIGN_PARTITIONS.to_owned()]).await?;
                Ok(BTreeMap::new())
            }
        }
    }

    /// Does what `/admin/preferred_replica_election` asks for, once.
    pub(super) async fn elect_preferred(&mut self) -> Result<(), Stop> {
        let Some((data, _)) = self.parts.coordinator.get(admin::PREFERRED_ELECTION).await? else { return Ok(()) };
        match admin::decode_preferred_election(&data) {
            Ok(partitions) => self.step(Event::Elect { partitions, unclean: false }).await?,
            Err(error) => unreadable(admin::PREFERRED_ELECTION, &error),
        }
        self.delete_all(vec![admin::PREFERRED_ELECTION.to_owned()]).await
    }

    /// Reads again the topics whose ISRs brokers of before 2.7 have written themselves.
    pub(super) async fn follow_isr_changes(&mut self) -> Result<(), Stop> {
        let mut topics = BTreeSet::new();
        let notices = self.read_notices(notification::ISR_CHANGES).await?;
        for (path, data) in &notices {
            match notification::decode_isr_change(data) {
                Ok(partitions) => topics.extend(partitions.into_iter().map(|id| id.topic)),
                Err(error) => unreadable(path, &error),
            }
        }
        self.perform(topics.into_iter().map(Effect::ReadTopic).collect()).await?;
        self.delete_all(notices.into_iter().map(|(path, _)| path).collect()).await
    }

    /// Asks the brokers whose log dirs failed what they cannot serve any more.
    pub(super) async fn follow_log_dir_events(&mut self) -> Result<(), Stop> {
        let mut brokers = BTreeSet::new();
        let notices = self.read_notices(notification::LOG_DIR_EVENTS).await?;
        for (path, data) in &notices {
            match notification::decode_log_dir_event(data) {
                Ok(broker) => drop(brokers.insert(broker)),
                Err(error) => unreadable(path, &error),
            }
        }
        for broker in brokers {
            self.step(Event::LogDirFailed(broker)).await?;
        }
        self.delete_all(notices.into_iter().map(|(path, _)| path).collect()).await
    }

    /// Removes all notices below a path.
    pub(super) async fn delete_notices(&self, parent: &str) -> Result<(), Stop> {
        let names = self.parts.coordinator.children(parent).await?;
        self.delete_all(names.iter().map(|name| format!("{parent}/{name}")).collect()).await
    }

    async fn read_notices(&self, parent: &str) -> Result<Vec<(String, Vec<u8>)>, Stop> {
        let names = self.parts.coordinator.children(parent).await?;
        let mut notices = Vec::new();
        for name in names {
            let path = format!("{parent}/{name}");
            if let Some((data, _)) = self.parts.coordinator.get(&path).await? {
                notices.push((path, data));
            }
        }
        Ok(notices)
    }

    /// Tells the controller, whoever it is, that something in a log dir here cannot be served any more.
    pub(super) async fn tell_log_dir_failed(&self) -> Result<(), RecipeError> {
        let data = notification::encode_log_dir_event(self.parts.local);
        let (path, mode) = (notification::log_dir_event_path(), CreateMode::PersistentSequential);
        self.parts.coordinator.create(&path, Some(&data), mode).await?;
        Ok(())
    }
}

fn unreadable(path: &str, error: &znode::DecodeError) {
    event::ZnodeUnreadable { path: path.to_owned(), cause: error.to_string() }.emit();
}
