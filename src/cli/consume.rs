//! `dohle consume`: records become lines.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::connect::Connect;
use super::failure::Failure;
use super::output::Output;
use crate::client::config::ConsumerConfig;
use crate::client::consumer::{Consumer, Fetched, Place, Polled, ReadRecord};
use crate::client::group::member::Partition;
use crate::client::{ClientError, Cluster};
use crate::model::{ErrorCode, Offset, PartitionIndex, Timestamp};
use crate::wire::Str;

mod group;

/// Read records and write them as lines
#[derive(Args, Debug)]
#[command(
    after_help = "Without --from-beginning or --offset only records that come from now on are shown. Ctrl-C ends it.
With --group it goes on where the group was, and the two say where to begin in partitions that the group has not read yet.

Examples:
  dohle consume flights --from-beginning --until-end
  dohle consume flights --partition 2 --offset 1000 --max-messages 10 --format json
  dohle consume flights --format key-value --key-separator ' => '
  dohle consume flights --group billing --from-beginning"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// The topic
    topic: String,
    /// Read as a member of this group: it shares the partitions, and remembers how far it has read
    #[arg(long, short, value_name = "NAME", conflicts_with = "partition")]
    group: Option<String>,
    /// Begin with the first record there is
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Read only this partition; may be given more than once [default: all]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Where to begin in each partition: earliest, latest, an offset, or @MILLISECONDS for a time
    #[arg(long, short, value_name = "PLACE")]
    offset: Option<Start>,
    /// End after so many records
    #[arg(long, short = 'n', value_name = "N")]
    max_messages: Option<u64>,
    /// End at the records that were the last when this command began
    #[arg(long, short = 'e')]
    until_end: bool,
    /// End when no record came for so long
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// What a line shows
    #[arg(long, short, value_name = "FORMAT", default_value = "value")]
    format: Format,
    /// What stands between key and value
    #[arg(long, short = 'K', value_name = "TEXT", default_value = "\t")]
    key_separator: String,
    /// Put the headers in front: key=value, with commas between them
    #[arg(long)]
    headers: bool,
    /// Leave out records of transactions that were not committed
    #[arg(long)]
    read_committed: bool,
    /// A key of Kafka's consumer configuration; may be given more than once
    #[arg(long = "property", short = 'X', value_name = "KEY=VALUE", value_parser = super::key_value)]
    properties: Vec<(String, String)>,
}

/// What a line shows of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// The value
    Value,
    /// Key, separator, value
    KeyValue,
    /// Everything, as one JSON object; bytes that are no text are given as {"base64": …}
    Json,
}

/// A place as a person writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Start(Place);

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write earliest, latest, an offset such as 1000, or a time such as @1700000000000".to_owned();
        let number = |digits: &str| digits.parse::<i64>().ok().filter(|number| 0 <= *number).ok_or_else(wrong);
        Ok(Self(match text {
            "earliest" | "beginning" => Place::Earliest,
            "latest" | "end" => Place::Latest,
            other => match other.strip_prefix('@') {
                Some(time) => Place::Time(Timestamp(number(time)?)),
                None => Place::At(Offset(number(other)?)),
            },
        }))
    }
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let config = configuration(arguments)?;
    let common = config.common.clone();
    Connect::block_on_with(common.bootstrap, common.client, async |cluster| match &arguments.group {
        Some(group) => group::consume(arguments, group, cluster, config, output).await,
        None => consume(arguments, cluster, config, output).await,
    })
}

/// What the arguments say, and then what a person sets by Kafka's keys.
fn configuration(arguments: &Arguments) -> Result<ConsumerConfig, Failure> {
    let mut settings = arguments.connect.settings();
    let mut set = |key: &str, value: &str| settings.push((key.to_owned(), value.to_owned()));
    set("default.api.timeout.ms", "30000");
    if arguments.read_committed {
        set("isolation.level", "read_committed");
    }
    match (&arguments.group, start(arguments)) {
        (None, _) => set("auto.offset.reset", "none"),
        (Some(group), place) => {
            set("group.id", group);
            set("auto.offset.reset", if place == Place::Earliest { "earliest" } else { "latest" });
        }
    }
    settings.extend(arguments.properties.iter().cloned());
    ConsumerConfig::new(settings).map_err(Failure::new)
}

/// Where to begin when nobody remembers.
const fn start(arguments: &Arguments) -> Place {
    match (arguments.from_beginning, arguments.offset) {
        (true, _) => Place::Earliest,
        (false, Some(Start(place))) => place,
        (false, None) => Place::Latest,
    }
}

async fn consume(
    arguments: &Arguments,
    cluster: Rc<Cluster>,
    config: ConsumerConfig,
    output: &mut Output,
) -> Result<(), Failure> {
    let place = start(arguments);
    let topic = Str::from(arguments.topic.as_str());
    let partitions = partitions(arguments, &cluster).await?.into_iter().map(|index| (topic.clone(), index.0));
    let mut consumer = Consumer::with(Rc::clone(&cluster), config);
    consumer.assign(partitions);
    let mut printer = Printer::new(arguments);
    for partition in consumer.assignment() {
        let from = consumer.offset(&partition, place).await?;
        consumer.seek(&partition, from)?;
        printer.watch_end(&mut consumer, partition, from).await?;
    }
    if printer.is_done() {
        return Ok(());
    }
    let patience = arguments.timeout_ms.map(Duration::from_millis);
    let mut last_record = cluster.clock().moment();
    loop {
        let polled = match patience {
            None => consumer.poll().await,
            Some(patience) => {
                let left = last_record.after(patience).since(cluster.clock().moment());
                match tokio::time::timeout(left, consumer.poll()).await {
                    Ok(polled) => polled,
                    Err(_) => return Ok(()),
                }
            }
        };
        let Polled::Records(part) = polled.map_err(|error| explain(error, arguments))? else { continue };
        let before = printer.left;
        printer.print(&part, output)?;
        if printer.left < before {
            last_record = cluster.clock().moment();
        }
        printer.look_for_end(&mut consumer, &part);
        if printer.is_done() {
            return Ok(());
        }
        output.flush()?;
    }
}

async fn partitions(arguments: &Arguments, cluster: &Cluster) -> Result<Vec<PartitionIndex>, Failure> {
    let layout = cluster.layout(&arguments.topic, false).await?;
    if arguments.partition.is_empty() {
        return Ok((0..).zip(&layout.leaders).map(|(number, _)| PartitionIndex(number)).collect());
    }
    let mut wanted = arguments.partition.iter().copied().map(PartitionIndex).collect::<Vec<_>>();
    wanted.sort_unstable();
    wanted.dedup();
    match wanted.iter().find(|partition| layout.leader(**partition).is_none()) {
        None => Ok(wanted),
        Some(unknown) => Err(ClientError::UnknownPartition {
            topic: arguments.topic.clone(),
            partition: unknown.0,
            partitions: layout.leaders.len(),
        }
        .into()),
    }
}

fn explain(error: ClientError, arguments: &Arguments) -> Failure {
    let out_of_range = error.is_refusal(ErrorCode::OffsetOutOfRange);
    let failure = Failure::from(error);
    if !out_of_range {
        return failure;
    }
    let topic = &arguments.topic;
    failure.hint(format_args!("Begin with --offset earliest or latest: topic '{topic}' does not hold that offset."))
}

/// Writes records, as many as are wanted.
struct Printer<'a> {
    arguments: &'a Arguments,
    left: u64,
    /// With `--until-end`: where each partition ends. Empty otherwise.
    ends: BTreeMap<Partition, Offset>,
}

impl<'a> Printer<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        Self { arguments, left: arguments.max_messages.unwrap_or(u64::MAX), ends: BTreeMap::new() }
    }

    /// Whether all that was asked for is written.
    fn is_done(&self) -> bool {
        self.left == 0 || self.arguments.until_end && self.ends.is_empty()
    }

    /// Notes where a partition is to end; one that is at its end already is not read.
    async fn watch_end(&mut self, consumer: &mut Consumer, partition: Partition, from: Offset) -> Result<(), Failure> {
        if self.arguments.until_end {
            let end = consumer.offset(&partition, Place::Latest).await?;
            if from < end {
                self.ends.insert(partition, end);
            } else {
                consumer.pause(&[partition]);
            }
        }
        Ok(())
    }

    /// Reads no more of a partition when this reaches where it was to end.
    fn look_for_end(&mut self, consumer: &mut Consumer, part: &Fetched) {
        if self.ends.get(&part.partition).is_some_and(|end| *end <= part.next) {
            self.ends.remove(&part.partition);
            consumer.pause(std::slice::from_ref(&part.partition));
        }
    }

    /// Writes what is wanted of this; where reading would go on behind what was written.
    fn print(&mut self, part: &Fetched, output: &mut Output) -> Result<Offset, Failure> {
        let end = self.ends.get(&part.partition).copied();
        let (arguments, left) = (self.arguments, &mut self.left);
        let mut next = part.next;
        let _ended = part.visit(|record| -> Result<_, Failure> {
            if end.is_some_and(|end| end <= record.offset) {
                next = record.offset;
                return Ok(ControlFlow::Break(()));
            }
            print(arguments, part.partition.1, record, output)?;
            *left -= 1;
            if *left == 0 {
                next = record.offset.next();
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next)
    }
}

fn print(arguments: &Arguments, partition: i32, record: &ReadRecord<'_>, output: &mut Output) -> Result<(), Failure> {
    if arguments.format == Format::Json {
        return output.json(&as_json(&arguments.topic, partition, record));
    }
    if arguments.headers {
        for (index, header) in record.headers.iter().enumerate() {
            output.bytes(if index == 0 { b"" } else { b"," })?;
            output.bytes(header.key)?;
            output.bytes(b"=")?;
            output.bytes(header.value.unwrap_or(b"null"))?;
        }
        output.bytes(arguments.key_separator.as_bytes())?;
    }
    if arguments.format == Format::KeyValue {
        output.bytes(record.key.unwrap_or(b"null"))?;
        output.bytes(arguments.key_separator.as_bytes())?;
    }
    output.bytes(record.value.unwrap_or(b"null"))?;
    output.bytes(b"\n")
}

fn as_json(topic: &str, partition: i32, record: &ReadRecord<'_>) -> Value {
    let headers = record
        .headers
        .iter()
        .map(|header| json!({ "key": String::from_utf8_lossy(header.key), "value": text_or_base64(header.value) }));
    json!({
        "topic": topic,
        "partition": partition,
        "offset": record.offset.0,
        "timestamp": record.timestamp.0,
        "key": text_or_base64(record.key),
        "value": text_or_base64(record.value),
        "headers": headers.collect::<Vec<_>>(),
    })
}

fn text_or_base64(bytes: Option<&[u8]>) -> Value {
    match bytes.map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => Value::String(text.to_owned()),
        Some(Err(_)) => json!({ "base64": STANDARD.encode(bytes.unwrap_or_default()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_people_write_them() {
        for (text, place) in [
            ("earliest", Place::Earliest),
            ("latest", Place::Latest),
            ("0", Place::At(Offset(0))),
            ("@17", Place::Time(Timestamp(17))),
        ] {
            assert_eq!(text.parse(), Ok(Start(place)));
        }
        for text in ["", "-1", "@", "@x", "first"] {
            assert!(text.parse::<Start>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay_whole_in_json() {
        assert_eq!(text_or_base64(None), Value::Null);
        assert_eq!(text_or_base64(Some(b"a\"b")), json!("a\"b"));
        assert_eq!(text_or_base64(Some(&[0xff])), json!({ "base64": "/w==" }));
    }
}
