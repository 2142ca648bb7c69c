//! `dohle group reset-offsets`: shows where a group would go on, and lets it when that is wanted.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::str::FromStr;

use clap::Args;
use serde::Serialize;

use super::{agreed, has_members};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, notice};
use crate::client::consumer::{Isolation, Place, find_offset};
use crate::client::group::admin;
use crate::client::group::member::Partition;
use crate::client::{ClientError, Cluster};
use crate::model::{ErrorCode, Offset, PartitionIndex, Timestamp};

#[derive(Args, Debug)]
#[command(after_help = "Shows what it would do, and asks. The group must have no members.

Examples:
  dohle group reset-offsets billing --topic flights --to earliest
  dohle group reset-offsets billing --topic flights:0,3 --to 1000 --yes
  dohle group reset-offsets billing --all-topics --to @1700000000000
  dohle group reset-offsets billing --all-topics --to=-100")]
pub(super) struct ResetOffsets {
    /// The group; one that is not there is made
    group: String,
    /// A topic, or some of its partitions; may be given more than once
    #[arg(long, short, value_name = "TOPIC[:N,…]", required_unless_present = "all_topics")]
    topic: Vec<TopicPartitions>,
    /// All that the group has committed
    #[arg(long, conflicts_with = "topic")]
    all_topics: bool,
    /// Where to go on: earliest, latest, an offset, @MILLISECONDS for a time, or +N or -N records from where the group is
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: Target,
    /// Do not ask
    #[arg(long, short, visible_alias = "execute")]
    yes: bool,
    /// One JSON array instead of a table
    #[arg(long)]
    json: bool,
}

/// A topic, and which of its partitions; none named are all.
#[derive(Clone, PartialEq, Eq, Debug)]
struct TopicPartitions {
    topic: String,
    partitions: Vec<i32>,
}

impl FromStr for TopicPartitions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (topic, partitions) = text.split_once(':').map_or((text, None), |(topic, all)| (topic, Some(all)));
        let number = |digits: &str| digits.parse::<i32>().ok().filter(|number| 0 <= *number);
        let partitions = partitions.into_iter().flat_map(|all| all.split(',')).map(number).collect::<Option<Vec<_>>>();
        match partitions {
            Some(partitions) if !topic.is_empty() => Ok(Self { topic: topic.to_owned(), partitions }),
            Some(_) | None => Err("write TOPIC, or TOPIC:0,3 for some of its partitions".to_owned()),
        }
    }
}

/// Where a group is to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Place(Place),
    /// So many records from where it is.
    By(i64),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "write earliest, latest, an offset such as 1000, a time such as @1700000000000, or +100 or -100".to_owned()
        };
        let number = |digits: &str| digits.parse::<i64>().ok().filter(|number| 0 <= *number).ok_or_else(wrong);
        let signed = text.starts_with(['+', '-']);
        Ok(match text {
            "earliest" | "beginning" => Self::Place(Place::Earliest),
            "latest" | "end" => Self::Place(Place::Latest),
            _ if signed => Self::By(text.parse().map_err(|_| wrong())?),
            other => Self::Place(match other.strip_prefix('@') {
                Some(time) => Place::Time(Timestamp(number(time)?)),
                None => Place::At(Offset(number(other)?)),
            }),
        })
    }
}

/// One partition, as it is and as it is to be.
#[derive(Serialize)]
struct Change {
    topic: String,
    partition: i32,
    /// `None` when nothing was committed.
    from: Option<i64>,
    to: i64,
    /// What is left to read then.
    lag: i64,
}

impl ResetOffsets {
    pub(super) async fn run(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        let described = admin::describe_group(cluster, &self.group).await?;
        if !described.members.is_empty() {
            return Err(has_members(&self.group, &described.members));
        }
        let committed = admin::committed_offsets(cluster, &self.group).await?;
        let partitions = self.partitions(cluster, &committed).await?;
        if partitions.is_empty() {
            return Err(Failure::new(format_args!("group '{}' has committed nothing", self.group))
                .hint("Name what it is to read with --topic."));
        }
        let mut changes = BTreeMap::new();
        let mut shown = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let from = committed.get(&partition).copied();
            let (to, end) = self.target(cluster, &partition, from).await?;
            shown.push(Change {
                topic: partition.0.to_string(),
                partition: partition.1,
                from: from.map(|it| it.0),
                to: to.0,
                lag: end.0 - to.0,
            });
            changes.insert(partition, to);
        }
        self.show(&shown, output)?;
        if !agreed(self.yes, &format!("Let group {} go on from there?", self.group), output)? {
            return Ok(());
        }
        match admin::set_offsets(cluster, &self.group, &changes).await {
            Ok(()) if self.json => Ok(()),
            Ok(()) => output.line(format_args!("Changed group {}.", self.group)),
            Err(error) if error.is_refusal(ErrorCode::UnknownMemberId) => {
                let members = admin::describe_group(cluster, &self.group).await?.members;
                Err(has_members(&self.group, &members))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn partitions(
        &self,
        cluster: &Cluster,
        committed: &BTreeMap<Partition, Offset>,
    ) -> Result<Vec<Partition>, Failure> {
        if self.all_topics {
            return Ok(committed.keys().cloned().collect());
        }
        let mut all = Vec::new();
        for wanted in &self.topic {
            let count = cluster.layout(&wanted.topic, false).await?.leaders.len();
            let exists = |partition: &i32| usize::try_from(*partition).is_ok_and(|index| index < count);
            if let Some(unknown) = wanted.partitions.iter().find(|partition| !exists(partition)) {
                let (topic, partition) = (wanted.topic.clone(), *unknown);
                return Err(ClientError::UnknownPartition { topic, partition, partitions: count }.into());
            }
            let named = wanted.partitions.iter().copied();
            let every = (0..).take(if wanted.partitions.is_empty() { count } else { 0 });
            all.extend(named.chain(every).map(|partition| (wanted.topic.as_str().into(), partition)));
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Where the group is to go on in a partition, never outside of what is there; and where the partition ends.
    async fn target(
        &self,
        cluster: &Cluster,
        partition: &Partition,
        from: Option<Offset>,
    ) -> Result<(Offset, Offset), Failure> {
        let (topic, index) = (partition.0.as_str(), PartitionIndex(partition.1));
        let find = async |place| find_offset(cluster, topic, index, place, Isolation::ReadUncommitted).await;
        let (first, end) = (find(Place::Earliest).await?, find(Place::Latest).await?);
        let wanted = match self.to {
            Target::Place(place) => find(place).await?,
            Target::By(records) => {
                let from = from.ok_or_else(|| {
                    Failure::new(format_args!("group '{}' has committed nothing in {topic}-{index}", self.group))
                        .hint("Say where with --to earliest, latest, an offset or a time.")
                })?;
                Offset(from.0.saturating_add(records))
            }
        };
        let kept = wanted.clamp(first, end.max(first));
        if kept != wanted {
            notice(format_args!("{topic}-{index} holds {first} to {end}: {wanted} becomes {kept}."));
        }
        Ok((kept, end))
    }

    fn show(&self, changes: &[Change], output: &mut Output) -> Result<(), Failure> {
        if self.json {
            return output.json(&changes);
        }
        let rows = changes.iter().map(|change| {
            vec![
                change.topic.clone(),
                change.partition.to_string(),
                change.from.map_or_else(|| "-".to_owned(), |from| from.to_string()),
                change.to.to_string(),
                change.lag.to_string(),
            ]
        });
        output.table(&["Topic", "Partition", "From", "To", "Lag then"], &rows.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_people_write_them() {
        for (text, target) in [
            ("earliest", Target::Place(Place::Earliest)),
            ("end", Target::Place(Place::Latest)),
            ("1000", Target::Place(Place::At(Offset(1000)))),
            ("@1700000000000", Target::Place(Place::Time(Timestamp(1_700_000_000_000)))),
            ("+5", Target::By(5)),
            ("-7", Target::By(-7)),
        ] {
            assert_eq!(text.parse(), Ok(target), "{text}");
        }
        for text in ["", "soon", "@", "@-1", "+", "1.5"] {
            assert!(text.parse::<Target>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn topics_with_and_without_partitions() {
        let parsed =
            |topic: &str, partitions: &[i32]| TopicPartitions { topic: topic.into(), partitions: partitions.into() };
        assert_eq!("t".parse(), Ok(parsed("t", &[])));
        assert_eq!("t:0,3".parse(), Ok(parsed("t", &[0, 3])));
        for text in ["", ":1", "t:", "t:a", "t:-1", "t:1,,2"] {
            assert!(text.parse::<TopicPartitions>().is_err(), "{text} was accepted");
        }
    }
}
