//! What a follower's fetch says of its progress, and whether it is held back: a replica that is not in sync gets no more of throttled
//! partitions than the quota allows (KIP-73).

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use super::fence;
use super::located::{Located, find};
use crate::broker::ask;
use crate::broker::caught_up::Told;
use crate::broker::directory::PartitionHandle;
use crate::broker::env::Env;
use crate::broker::partition::{PartitionCommand, Progress};
use crate::machine::fetch_session::Key;
use crate::model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Moment, Offset, PartitionIndex};

/// How far a follower is with the partitions that it asks for.
#[derive(Default)]
pub(super) struct Progresses {
    /// Where its log parts from ours, or why it cannot be told anything.
    pub(super) parted: BTreeMap<Key, Result<(LeaderEpoch, Offset), ErrorCode>>,
    /// It is no member of the ISR.
    pub(super) behind: BTreeSet<Key>,
}

/// Tells every partition how far a follower is, which the high watermark depends on, and compares the logs (KIP-595). Of a follower that
/// has everything, and had before, only the time is noted.
pub(super) async fn tell_progress(
    env: &Env,
    told: &mut Told,
    located: &Located<'_>,
    replica: (BrokerId, Option<BrokerEpoch>),
) -> Progresses {
    told.by(replica.0);
    // Before any look at a log's end: who has all that is there then had it now.
    let now = env.ports.clock.moment();
    let mut asked = Vec::new();
    for (key, wanted, found) in located.iter() {
        let Ok(partition) = found else { continue };
        if fence(partition, wanted.current_leader_epoch).is_err() || told.rests(key, partition, wanted, now) {
            continue;
        }
        let (offset, last_epoch, log_start) = (wanted.offset, wanted.last_fetched_epoch, wanted.log_start_offset);
        let answer = ask(&partition.addr, move |reply| PartitionCommand::FollowerFetched {
            replica,
            offset,
            last_epoch,
            log_start,
            reply,
        });
        asked.push(async move { (key, partition, wanted, answer.await) });
    }
    let mut known = Progresses::default();
    for (key, partition, wanted, answer) in join_all(asked).await {
        let rests = match answer.unwrap_or(Err(ErrorCode::KafkaStorageError)) {
            Ok(Progress::Same { rests, in_sync }) => {
                if !in_sync {
                    known.behind.insert(key.clone());
                }
                rests
            }
            Ok(Progress::Parted(epoch, end)) => {
                known.parted.insert(key.clone(), Ok((epoch, end)));
                None
            }
            Err(error) => {
                known.parted.insert(key.clone(), Err(error));
                None
            }
        };
        told.told(key, partition, wanted, rests);
    }
    known
}

/// Until when throttled partitions are left out of an answer to a follower that is behind with them, because more than
/// `leader.replication.throttled.rate` was sent.
pub(super) fn held_until(env: &Env, known: &Progresses) -> Option<Moment> {
    let throttled = |key: &Key| find(env, key).is_ok_and(|partition| is_throttled(env, &partition, key.1));
    if !known.behind.iter().any(throttled) {
        return None;
    }
    env.quotas.leader.exceeded_until(env.ports.clock.moment(), env.settings.broker().replication.leader_rate)
}

/// Whether what followers get of a partition counts for the quota.
pub(super) fn is_throttled(env: &Env, partition: &PartitionHandle, index: PartitionIndex) -> bool {
    partition.published.settings().throttled_leaders.has(index, env.local)
}
