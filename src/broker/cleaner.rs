//! The log cleaner: compacts the dirtiest log, one at a time.
//!
//! *State owned*: which logs cannot be cleaned. *Who calls*: nobody; the replicas actor starts it, and it ends with that.
//! The work runs on the disk pool in steps of a few megabytes, beside the partition, which is asked only to put finished
//! segments into place. *Does not know*: what is in a log.
//!
//! Source: Kafka 3.9 `LogCleaner.scala`, `LogCleanerManager.grabFilthiestCompactedLog`.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;

use super::directory::{Directory, PartitionHandle, Published};
use super::partition::{CleaningStep, PartitionCommand};
use super::placement::Placement;
use super::ports::Ports;
use super::replicas::{Replicas, ReplicasCommand};
use super::settings::SettingsStore;
use crate::config::CleanerConfig;
use crate::model::TopicPartition;
use crate::storage::log::PendingDelete;
use crate::storage::log::cleaner::{
    Begun, CleanError, Cleanable, Cleaned, CleanedSegment, CleanerMeans, Cleaning, Step,
};
use crate::telemetry::{Event as _, event};

/// Shortest wait between two looks, whatever `log.cleaner.backoff.ms` says.
const BACKOFF_MIN: Duration = Duration::from_millis(10);

/// The cleaner.
pub struct Cleaner {
    /// Where the partitions are.
    pub directory: Directory,
    /// `log.cleaner.*`.
    pub settings: SettingsStore,
    /// Clock.
    pub ports: Ports,
    /// Disk pool.
    pub placement: Placement,
    /// Removes what was replaced, and writes the checkpoint.
    pub replicas: Addr<Replicas>,
    /// Logs that cannot be cleaned, as they were opened then.
    pub uncleanable: BTreeMap<TopicPartition, Weak<Published>>,
}

/// A log, and what is to be done to it.
type Target = (TopicPartition, PartitionHandle, Cleanable);

/// What a look at one log found.
type Looked = (TopicPartition, PartitionHandle, Result<Cleanable, CleanError>);

impl Cleaner {
    /// Looks for the dirtiest log and cleans it, again and again; waits for `log.cleaner.backoff.ms` whenever there is none, and
    /// after a failure.
    pub async fn run(mut self) {
        loop {
            let config = self.settings.broker().cleaner.clone();
            if !config.enable || !self.clean_dirtiest(&config).await {
                tokio::time::sleep(config.backoff.max(BACKOFF_MIN)).await;
            }
        }
    }

    /// Whether a log was cleaned, so that there may be another.
    async fn clean_dirtiest(&mut self, config: &CleanerConfig) -> bool {
        let Some((id, handle, cleanable)) = self.dirtiest().await else { return false };
        match self.clean(&handle, cleanable, config).await {
            Ok(Cleaned { end, bytes_before: before, bytes_after: after }) => {
                event::LogCleaned { partition: id, end, before, after }.emit();
                let _gone = self.replicas.send(ReplicasCommand::Cleaned(None)).await;
                cleanable.first_dirty < end
            }
            Err(error) => {
                self.failed(id, &handle, &error);
                false
            }
        }
    }

    /// The log with the largest dirty share, of those in which enough is dirty.
    async fn dirtiest(&mut self) -> Option<Target> {
        self.uncleanable.retain(|_, published| published.strong_count() != 0);
        let mut compacted = Vec::new();
        for (topic, partitions) in &**self.directory.load() {
            for (partition, handle) in partitions {
                let id = TopicPartition { topic: topic.clone(), partition: *partition };
                let same = |known: &Weak<Published>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(&handle.published));
                let given_up = self.uncleanable.get(&id).is_some_and(same);
                if handle.published.settings().log.cleanup_policy.compact && !given_up {
                    compacted.push((id, handle.clone()));
                }
            }
        }
        if compacted.is_empty() {
            return None;
        }
        let now = self.ports.clock.timestamp();
        let look = move |(id, handle): (TopicPartition, PartitionHandle)| {
            let published = &handle.published;
            // First what is stable, then the log, which is never older.
            let stable = published.last_stable_offset();
            let found = published.log.cleanable(stable, &published.settings().log, now);
            (id, handle, found)
        };
        let looked: Vec<Looked> =
            self.placement.blocking(move || compacted.into_iter().map(look).collect()).await.unwrap_or_default();
        let mut dirtiest: Option<Target> = None;
        for (id, handle, found) in looked {
            let cleanable = match found {
                Ok(cleanable) => cleanable,
                Err(error) => {
                    self.failed(id, &handle, &error);
                    continue;
                }
            };
            let is_due = cleanable.is_due(&handle.published.settings().log);
            if is_due && dirtiest.as_ref().is_none_or(|(.., other)| other.ratio() < cleanable.ratio()) {
                dirtiest = Some((id, handle, cleanable));
            }
        }
        dirtiest
    }

    async fn clean(
        &self,
        handle: &PartitionHandle,
        cleanable: Cleanable,
        config: &CleanerConfig,
    ) -> Result<Cleaned, CleanError> {
        let begun = ask(handle, |reply| CleaningStep::Begin { reply }).await?;
        let means = CleanerMeans {
            map_bytes: config.map_bytes,
            load_factor: config.map_load_factor,
            buffer_bytes: config.buffer_bytes,
        };
        let (view, settings) = (Arc::clone(&handle.published.log), handle.published.settings().log.clone());
        let (now, noted) = (self.ports.clock.timestamp(), begun.clone());
        let begin = move || Cleaning::new(view, &cleanable, noted, settings, means, now);
        let mut cleaning = self.placement.blocking(begin).await.ok_or(CleanError::Panicked)??;
        loop {
            let work = move || {
                let mut cleaning = cleaning;
                let step = cleaning.step();
                (cleaning, step)
            };
            let started = self.ports.clock.moment();
            let (back, step) = self.placement.blocking(work).await.ok_or(CleanError::Panicked)?;
            let (step, bytes) = match step {
                Ok(done) => done,
                Err(error) => {
                    let _done = self.placement.blocking(move || back.abandon()).await;
                    // It may have been cut meanwhile, or be in another log dir.
                    let now = ask(handle, |reply| CleaningStep::Begin { reply }).await?;
                    return Err(if now.is_same_log(&begun) { error } else { CleanError::Stale });
                }
            };
            match step {
                Step::Worked => {}
                // If that fails the files are the partition's to tidy up, which may be opening the log anew already.
                Step::Replace(cleaned) => self.replace(handle, cleaned).await?,
                Step::Done(done) => return self.finish(handle, begun, done).await,
            }
            let took = self.ports.clock.moment().since(started);
            tokio::time::sleep(pause(bytes, took, config.bytes_per_second)).await;
            cleaning = back;
        }
    }

    async fn replace(&self, handle: &PartitionHandle, cleaned: CleanedSegment) -> Result<(), CleanError> {
        let replaced = ask(handle, |reply| CleaningStep::Replace { cleaned, reply }).await?;
        let pending: PendingDelete = replaced?.ok_or(CleanError::Stale)?;
        let _gone = self.replicas.send(ReplicasCommand::Cleaned(Some(pending))).await;
        Ok(())
    }

    async fn finish(&self, handle: &PartitionHandle, begun: Begun, done: Cleaned) -> Result<Cleaned, CleanError> {
        let finish = PartitionCommand::Clean(CleaningStep::Finish { begun, end: done.end });
        handle.addr.send(finish).await.map_err(|_| CleanError::Stale)?;
        Ok(done)
    }

    fn failed(&mut self, id: TopicPartition, handle: &PartitionHandle, error: &CleanError) {
        let cause = error.to_string();
        if *error == CleanError::Stale {
            // It was deleted, cut or opened anew: nothing to tell.
            return;
        }
        if error.passes() {
            event::CleaningFailed { partition: id, cause }.emit();
            return;
        }
        event::LogUncleanable { partition: id.clone(), cause }.emit();
        self.uncleanable.insert(id, Arc::downgrade(&handle.published));
    }
}

/// Has a partition do something, and waits for the answer. One that is gone changes under us.
async fn ask<T>(
    handle: &PartitionHandle,
    step: impl FnOnce(oneshot::Sender<T>) -> CleaningStep,
) -> Result<T, CleanError> {
    let (reply, answer) = oneshot::channel();
    handle.addr.send(PartitionCommand::Clean(step(reply))).await.map_err(|_| CleanError::Stale)?;
    answer.await.map_err(|_| CleanError::Stale)
}

/// How long to wait after `bytes` that took so long, not to exceed a rate.
fn pause(bytes: u64, took: Duration, bytes_per_second: f64) -> Duration {
    let wanted = Duration::try_from_secs_f64(bytes as f64 / bytes_per_second.max(1.0)).unwrap_or(Duration::ZERO);
    wanted.saturating_sub(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept() {
        let took = Duration::from_millis(100);
        assert_eq!(pause(1_000, took, 1_000.0), Duration::from_millis(900));
        assert_eq!(pause(1_000, took, f64::MAX), Duration::ZERO);
        assert_eq!(pause(50, took, 1_000.0), Duration::ZERO);
    }
}
