//! `dohle consume --group`: as a member of a group, which shares the partitions and remembers how far it has read.
//!
//! *Invariant*: only what was written to the output is committed. What was written and not committed yet when the process
//! dies is read again by the next member: each record is written at least once.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Arguments, Printer, explain, isolation, start};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, notice};
use crate::client::group::admin::committed_offsets;
use crate::client::group::member::{MemberSettings, Partition};
use crate::client::group::{GroupConsumer, News};
use crate::client::reader::{Fetched, Place, Reader, find_offset};
use crate::client::{ClientError, Cluster};
use crate::model::{ErrorCode, Moment, PartitionIndex};
use crate::wire::Str;

/// How long the last commit and the farewell may take: then the session ends by itself.
const FAREWELL: Duration = Duration::from_secs(5);

pub(super) async fn consume(
    arguments: &Arguments,
    group: &str,
    cluster: Rc<Cluster>,
    output: &mut Output,
) -> Result<(), Failure> {
    // A topic that is not there yet would be waited for without a word.
    cluster.layout(&arguments.topic, false).await?;
    let topics = vec![Str::from(arguments.topic.as_str())];
    let settings = MemberSettings::new(group, topics, cluster.options().api_timeout);
    let consumer = GroupConsumer::new(Rc::clone(&cluster), settings);
    let printer = Printer::new(arguments);
    let mut member = Member { arguments, group, cluster, consumer, printer, reader: None, last_record: None };
    let done = member.read(output).await;
    let left = tokio::time::timeout(FAREWELL, member.leave()).await;
    match (done, left) {
        (Err(failure), _) => Err(failure),
        (Ok(()), Ok(left)) => left,
        (Ok(()), Err(_)) => {
            notice(format_args!("Group {group} did not take the last commit: some records will be read again."));
            Ok(())
        }
    }
}

struct Member<'a> {
    arguments: &'a Arguments,
    group: &'a str,
    cluster: Rc<Cluster>,
    consumer: GroupConsumer,
    printer: Printer<'a>,
    /// `None` while nothing may be read, or nothing is to be.
    reader: Option<Reader>,
    /// When the last record came, at first when the group let us read.
    last_record: Option<Moment>,
}

/// What the loop was woken by.
enum Woken {
    News(Result<News, ClientError>),
    Fetched(Result<Vec<Fetched>, ClientError>),
    Quiet,
    Stopped,
}

impl Member<'_> {
    /// Reads until all that was asked for is done, or somebody stops it.
    async fn read(&mut self, output: &mut Output) -> Result<(), Failure> {
        let mut stop = Stop::new()?;
        if self.printer.left == 0 {
            return Ok(());
        }
        loop {
            let quiet_at =
                self.arguments.timeout_ms.and_then(|ms| Some(self.last_record?.after(Duration::from_millis(ms))));
            let now = self.cluster.clock().moment();
            let woken = tokio::select! {
                biased;
                () = stop.wanted() => Woken::Stopped,
                news = self.consumer.news() => Woken::News(news),
                fetched = next(&mut self.reader) => Woken::Fetched(fetched),
                () = until(quiet_at, now) => Woken::Quiet,
            };
            match woken {
                Woken::Stopped | Woken::Quiet => return Ok(()),
                Woken::News(news) => match news.map_err(|error| explain_group(error, self.group))? {
                    News::Assigned(partitions) => {
                        self.begin(&partitions).await?;
                        if self.arguments.until_end && self.printer.ends.is_empty() {
                            return Ok(());
                        }
                    }
                    News::Revoked => self.reader = None,
                    News::Left => return Ok(()),
                },
                Woken::Fetched(fetched) => {
                    let fetched = fetched.map_err(|error| explain(error, self.arguments))?;
                    if self.show(&fetched, output)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Goes on where the group was, and where it was not yet, where the arguments say.
    async fn begin(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        let (arguments, cluster) = (self.arguments, &self.cluster);
        let topic = arguments.topic.as_str();
        let committed = committed_offsets(cluster, self.group).await?;
        let mut positions = BTreeMap::new();
        self.printer.ends.clear();
        for (name, index) in partitions {
            let partition = PartitionIndex(*index);
            let find = async |place| find_offset(cluster, topic, partition, place, isolation(arguments)).await;
            let (first, end) = (find(Place::Earliest).await?, find(Place::Latest).await?);
            let committed = committed.get(&(name.clone(), *index)).copied();
            // What was committed may be gone: too old, or lost with an unclean leader.
            let from = match committed.filter(|from| (first..=end).contains(from)) {
                Some(from) => from,
                None => find(start(arguments)).await?,
            };
            if !arguments.until_end {
                positions.insert(partition, from);
            } else if from < end {
                positions.insert(partition, from);
                self.printer.ends.insert(partition, end);
            }
        }
        self.last_record.get_or_insert(self.cluster.clock().moment());
        let reader = Reader::open(Rc::clone(&self.cluster), topic, positions, isolation(arguments)).await?;
        self.reader = Some(reader).filter(|reader| !reader.is_idle());
        Ok(())
    }

    /// Writes what came, and has it committed. Whether that was all.
    fn show(&mut self, fetched: &[Fetched], output: &mut Output) -> Result<bool, Failure> {
        let mut read = Vec::new();
        for part in fetched {
            let before = self.printer.left;
            let next = self.printer.print(part, output)?;
            read.push((part.partition, next));
            if self.printer.left < before {
                self.last_record = Some(self.cluster.clock().moment());
            }
            if let Some(reader) = &mut self.reader
                && self.printer.is_at_end(part)
            {
                reader.forget(part.partition);
            }
            if self.printer.left == 0 {
                break;
            }
        }
        output.flush()?;
        let topic = Str::from(self.arguments.topic.as_str());
        for (partition, next) in read {
            self.consumer.read((topic.clone(), partition.0), next);
        }
        Ok(self.printer.left == 0 || self.arguments.until_end && self.printer.ends.is_empty())
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        self.reader = None;
        self.consumer.leave();
        loop {
            match self.consumer.news().await.map_err(|error| explain_group(error, self.group))? {
                News::Left => return Ok(()),
                News::Assigned(_) | News::Revoked => {}
            }
        }
    }
}

/// What comes next; nothing while there is no reader.
async fn next(reader: &mut Option<Reader>) -> Result<Vec<Fetched>, ClientError> {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Moment>, now: Moment) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now)).await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C and SIGTERM: the group is told before the process ends, so that others need not wait for the session's end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(format_args!("cannot hear of signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn explain_group(error: ClientError, group: &str) -> Failure {
    let hint = if error.is_refusal(ErrorCode::InconsistentGroupProtocol) {
        format!(
            "Its members agreed on another assignor than range, or it is no group of consumers: \
             `dohle group describe {group}` shows it. Use another group."
        )
    } else if error.is_refusal(ErrorCode::GroupMaxSizeReached) {
        "It has as many members as the broker's group.max.size allows.".to_owned()
    } else if error.is_refusal(ErrorCode::InvalidGroupId) {
        "A group has a name that is not empty.".to_owned()
    } else if error.is_refusal(ErrorCode::InvalidSessionTimeout) {
        "The broker's group.min.session.timeout.ms and group.max.session.timeout.ms must allow 45000.".to_owned()
    } else {
        return error.into();
    };
    Failure::from(error).hint(hint)
}
