//! `dohle consume --group`: as a member of a group, which shares the partitions and remembers how far it has read.
//!
//! *Invariant*: only what was written to the output is committed. What was written and not committed yet when the process
//! dies is read again by the next member: each record is written at least once.

use std::rc::Rc;
use std::time::Duration;

use super::{Arguments, Printer, explain, start};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, notice};
use crate::cli::stop::Stop;
use crate::client::config::{ConsumerConfig, GroupProtocol};
use crate::client::consumer::{Consumer, Fetched, Place, Polled};
use crate::client::group::member::Partition;
use crate::client::{ClientError, Cluster};
use crate::model::{ErrorCode, Moment};

/// How long the last commit and the farewell may take: then the session ends by itself.
const FAREWELL: Duration = Duration::from_secs(5);

pub(super) async fn consume(
    arguments: &Arguments,
    group: &str,
    cluster: Rc<Cluster>,
    config: ConsumerConfig,
    output: &mut Output,
) -> Result<(), Failure> {
    // A topic that is not there yet would be waited for without a word.
    cluster.layout(&arguments.topic, false).await?;
    let protocol = config.membership.as_ref().map(|membership| &membership.protocol);
    let is_of_consumer_protocol = matches!(protocol, Some(GroupProtocol::Consumer { .. }));
    let mut consumer = Consumer::with(Rc::clone(&cluster), config);
    consumer.subscribe(&[&arguments.topic])?;
    let printer = Printer::new(arguments);
    let last_record = None;
    let mut member = Member { arguments, group, cluster, consumer, is_of_consumer_protocol, printer, last_record };
    let done = member.read(output).await;
    let left = tokio::time::timeout(FAREWELL, member.consumer.close()).await;
    match (done, left) {
        (Err(failure), _) => Err(failure),
        (Ok(()), Ok(left)) => left.map_err(|error| explain_group(error, group)),
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
    consumer: Consumer,
    is_of_consumer_protocol: bool,
    printer: Printer<'a>,
    /// When the last record came, at first when the group let us read.
    last_record: Option<Moment>,
}

/// What the loop was woken by.
enum Woken {
    Polled(Result<Polled, ClientError>),
    Quiet,
    Stopped,
}

impl Member<'_> {
    /// Reads until all that was asked for is done, or somebody stops it.
    async fn read(&mut self, output: &mut Output) -> Result<(), Failure> {
        // The group is told before the process ends, so that others need not wait for the session's end.
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
                polled = self.consumer.poll() => Woken::Polled(polled),
                () = until(quiet_at, now) => Woken::Quiet,
            };
            let polled = match woken {
                Woken::Stopped | Woken::Quiet => return Ok(()),
                Woken::Polled(polled) => polled,
            };
            match polled.map_err(|error| self.explain(error))? {
                Polled::Assigned(partitions) => {
                    self.begin(&partitions).await?;
                    // In the consumer protocol there is nothing at first, while others give back.
                    if self.printer.is_done() && !(self.is_of_consumer_protocol && partitions.is_empty()) {
                        return Ok(());
                    }
                }
                Polled::Revoked(partitions) | Polled::Lost(partitions) => {
                    self.printer.ends.retain(|partition, _| !partitions.contains(partition));
                }
                Polled::Records(part) => {
                    if self.show(&part, output)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn explain(&self, error: ClientError) -> Failure {
        if error.is_refusal(ErrorCode::OffsetOutOfRange) {
            explain(error, self.arguments)
        } else {
            explain_group(error, self.group)
        }
    }

    /// Goes on where the group was, and where it was not yet, where the arguments say.
    async fn begin(&mut self, partitions: &[Partition]) -> Result<(), Failure> {
        let place = start(self.arguments);
        let committed = self.consumer.committed().await?;
        for partition in partitions {
            let first = self.consumer.offset(partition, Place::Earliest).await?;
            let end = self.consumer.offset(partition, Place::Latest).await?;
            // What was committed may be gone: too old, or lost with an unclean leader.
            let from = match committed.get(partition).copied().filter(|from| (first..=end).contains(from)) {
                Some(from) => from,
                None => self.consumer.offset(partition, place).await?,
            };
            self.consumer.seek(partition, from)?;
            self.printer.watch_end(&mut self.consumer, partition.clone(), from).await?;
        }
        self.last_record.get_or_insert(self.cluster.clock().moment());
        Ok(())
    }

    /// Writes what came, and has it committed. Whether that was all.
    fn show(&mut self, part: &Fetched, output: &mut Output) -> Result<bool, Failure> {
        let before = self.printer.left;
        let next = self.printer.print(part, output)?;
        output.flush()?;
        if self.printer.left < before {
            self.last_record = Some(self.cluster.clock().moment());
        }
        if next != part.next {
            // Only what was written counts as read.
            self.consumer.seek(&part.partition, next)?;
        }
        self.printer.look_for_end(&mut self.consumer, part);
        Ok(self.printer.is_done())
    }
}

async fn until(at: Option<Moment>, now: Moment) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now)).await,
        None => std::future::pending().await,
    }
}

fn explain_group(error: ClientError, group: &str) -> Failure {
    let hint = if error.is_refusal(ErrorCode::InconsistentGroupProtocol) {
        format!(
            "Its members agreed on another assignor, or it is no group of consumers: `dohle group describe {group}` shows \
             it. Use another group, or set partition.assignment.strategy with --property."
        )
    } else if error.is_refusal(ErrorCode::GroupMaxSizeReached) {
        "It has as many members as the broker's group.max.size allows.".to_owned()
    } else if error.is_refusal(ErrorCode::InvalidGroupId) {
        "A group has a name that is not empty.".to_owned()
    } else if error.is_refusal(ErrorCode::UnsupportedVersion) {
        "Leave group.protocol out, or have the broker offer the consumer protocol: on Dohle with \
         group.coordinator.rebalance.protocols=classic,consumer."
            .to_owned()
    } else if error.is_refusal(ErrorCode::UnreleasedInstanceId) || error.is_refusal(ErrorCode::FencedInstanceId) {
        "Another process has this group.instance.id: end it, or give each its own.".to_owned()
    } else if error.is_refusal(ErrorCode::InvalidSessionTimeout) {
        "The broker's group.min.session.timeout.ms and group.max.session.timeout.ms must allow 45000.".to_owned()
    } else {
        return error.into();
    };
    Failure::from(error).hint(hint)
}
