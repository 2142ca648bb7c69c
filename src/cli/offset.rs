//! `dohle offset`: where partitions begin and end, and which offset stands for a time.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::str::FromStr;

use clap::Args;
use serde::Serialize;

use super::connect::Connect;
use super::failure::Failure;
use super::output::Output;
use crate::client::consumer::{FoundOffset, FoundOffsets, Isolation, OffsetQuery, list_offsets};
use crate::client::group::member::Partition;
use crate::client::{ClientError, Cluster};
use crate::model::Timestamp;
use crate::wire::Str;

/// Show where partitions begin and end, or which offset stands for a time
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dohle offset flights                             where each partition begins and ends
  dohle offset flights --at @1700000000000         the first record of that time or later
  dohle offset flights --partition 2 --at latest --json
  dohle offset --exclude-internal                  all topics")]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// Which topics [default: all]
    topics: Vec<String>,
    /// Only this partition of each; may be given more than once [default: all]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Which place [default: both ends]: earliest, latest, @MILLISECONDS for the first record of a time or later, or
    /// max-timestamp for the record with the latest time
    #[arg(long, short, visible_alias = "time", value_name = "PLACE")]
    at: Option<At>,
    /// The end of what consumers see that leave out records of transactions which were not committed
    #[arg(long)]
    read_committed: bool,
    /// Leave out the brokers' own topics
    #[arg(long)]
    exclude_internal: bool,
    /// One JSON array instead of a table
    #[arg(long)]
    json: bool,
}

/// A place as a person writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct At(OffsetQuery);

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = |text: &str| text.parse::<i64>().ok().filter(|millis| 0 <= *millis).map(Timestamp);
        Ok(Self(match text {
            "earliest" | "beginning" => OffsetQuery::Earliest,
            "latest" | "end" => OffsetQuery::Latest,
            "max-timestamp" => OffsetQuery::MaxTimestamp,
            other => match other.strip_prefix('@').and_then(millis) {
                Some(time) => OffsetQuery::Time(time),
                None => {
                    return Err("write earliest, latest, max-timestamp, or a time such as @1700000000000".to_owned());
                }
            },
        }))
    }
}

/// What is shown of a partition without `--at`.
#[derive(Serialize)]
struct Ends {
    topic: String,
    partition: i32,
    earliest: Option<i64>,
    latest: Option<i64>,
}

/// What is shown of a partition with `--at`.
#[derive(Serialize)]
struct Place {
    topic: String,
    partition: i32,
    /// `None` when there is no such record.
    offset: Option<i64>,
    /// Of the record there, in ms since 1970; `None` when the broker says none.
    timestamp: Option<i64>,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    arguments.connect.block_on(async |cluster| arguments.show(&cluster, output).await)
}

impl Arguments {
    async fn show(&self, cluster: &Rc<Cluster>, output: &mut Output) -> Result<(), Failure> {
        let partitions = self.partitions(cluster).await?;
        let isolation = if self.read_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
        match self.at {
            Some(At(query)) => {
                let (found, unread) = readable(list_offsets(cluster, &partitions, query, isolation).await?);
                let places = found.into_iter().map(|((topic, partition), found)| {
                    let FoundOffset { offset, timestamp } = found;
                    let (offset, timestamp) = (offset.map(|it| it.0), timestamp.map(|it| it.0));
                    Place { topic: topic.to_string(), partition, offset, timestamp }
                });
                self.show_places(&places.collect::<Vec<_>>(), output)?;
                unread.map_or(Ok(()), Err)
            }
            None => {
                let earliest = list_offsets(cluster, &partitions, OffsetQuery::Earliest, isolation).await?;
                let (earliest, unread) = readable(earliest);
                let readable_ones = earliest.keys().cloned().collect::<Vec<_>>();
                let latest = list_offsets(cluster, &readable_ones, OffsetQuery::Latest, isolation).await?;
                let (latest, unread_by_now) = readable(latest);
                let ends = latest.into_iter().map(|(partition, latest)| Ends {
                    earliest: earliest.get(&partition).and_then(|found| found.offset).map(|it| it.0),
                    latest: latest.offset.map(|it| it.0),
                    topic: partition.0.to_string(),
                    partition: partition.1,
                });
                self.show_ends(&ends.collect::<Vec<_>>(), output)?;
                unread.or(unread_by_now).map_or(Ok(()), Err)
            }
        }
    }

    /// The partitions that are meant, in order.
    async fn partitions(&self, cluster: &Cluster) -> Result<Vec<Partition>, Failure> {
        let names = self.topics.iter().map(|name| Str::from(name.as_str())).collect::<Vec<_>>();
        let wanted = if names.is_empty() { None } else { Some(names.as_slice()) };
        let metadata = cluster.retry(async || cluster.describe(wanted, false).await).await?;
        for name in &names {
            if metadata.topics.get(name).is_none_or(Result::is_err) {
                // It waits for one that is just being made, and says what is wrong with the others.
                cluster.layout(name, false).await?;
            }
        }
        let metadata = if names.is_empty() { metadata } else { cluster.describe(wanted, false).await? };
        let mut partitions = Vec::new();
        for (name, topic) in &metadata.topics {
            let Ok(topic) = topic else { continue };
            if self.exclude_internal && topic.is_internal {
                continue;
            }
            let count = topic.leaders.len();
            let all = (0..i32::try_from(count).unwrap_or(i32::MAX)).collect::<Vec<_>>();
            for partition in if self.partition.is_empty() { &all } else { &self.partition } {
                if all.contains(partition) {
                    partitions.push((name.clone(), *partition));
                } else if !names.is_empty() {
                    let (topic, partition, partitions) = (name.to_string(), *partition, count);
                    return Err(ClientError::UnknownPartition { topic, partition, partitions }.into());
                }
            }
        }
        partitions.sort_unstable();
        partitions.dedup();
        Ok(partitions)
    }

    fn show_places(&self, places: &[Place], output: &mut Output) -> Result<(), Failure> {
        if self.json {
            return output.json(&places);
        }
        let rows = places
            .iter()
            .map(|it| vec![it.topic.clone(), it.partition.to_string(), or_none(it.offset), or_none(it.timestamp)]);
        output.table(&["Topic", "Partition", "Offset", "Timestamp"], &rows.collect::<Vec<_>>())
    }

    fn show_ends(&self, ends: &[Ends], output: &mut Output) -> Result<(), Failure> {
        if self.json {
            return output.json(&ends);
        }
        let rows = ends.iter().map(|it| {
            let between = it.latest.zip(it.earliest).map(|(latest, earliest)| latest.saturating_sub(earliest));
            let numbers = [it.earliest, it.latest, between].map(or_none);
            [it.topic.clone(), it.partition.to_string()].into_iter().chain(numbers).collect::<Vec<_>>()
        });
        // Compaction and transactions leave offsets without records.
        output.table(&["Topic", "Partition", "Earliest", "Latest", "Between"], &rows.collect::<Vec<_>>())
    }
}

/// What was found, and what to say of the partitions that cannot be read.
fn readable(found: FoundOffsets) -> (BTreeMap<Partition, FoundOffset>, Option<Failure>) {
    let (mut readable, mut unread) = (BTreeMap::new(), Vec::new());
    for (partition, found) in found {
        match found {
            Ok(found) => drop(readable.insert(partition, found)),
            Err(code) => unread.push(format!("{}-{}: {code}: {}", partition.0, partition.1, code.message())),
        }
    }
    let failure = match unread.as_slice() {
        [] => None,
        [one] => Some(Failure::new(format_args!("partition {one}"))),
        several => {
            Some(Failure::new(format_args!("{} partitions cannot be read:\n  {}", several.len(), several.join("\n  "))))
        }
    };
    let hint = "`dohle topic describe TOPIC` shows their leaders and replicas; the leader's log says more.";
    (readable, failure.map(|failure| failure.hint(hint)))
}

fn or_none(number: Option<i64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_words_or_times() {
        assert_eq!("latest".parse(), Ok(At(OffsetQuery::Latest)));
        assert_eq!("@1700000000000".parse(), Ok(At(OffsetQuery::Time(Timestamp(1_700_000_000_000)))));
        for wrong in ["", "@", "@-1", "1700000000000", "yesterday"] {
            assert!(wrong.parse::<At>().is_err(), "{wrong}");
        }
    }
}
