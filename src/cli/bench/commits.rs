//! `dohle bench commits`: canned OffsetCommit requests of groups without members, as simple consumers send them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::TopicArguments;
use super::answers::Answers;
use super::canned::{Canned, Sender};
use super::pace::Pace;
use super::produce::{Carries, Found, Lane, Load, Until};
use super::report::Report;
use super::target::{MARK, Target, contiguous, encode, open};
use crate::cli::connect::Connect;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::BrokerAddress;
use crate::client::group::find_coordinator;
use crate::telemetry::OsClock;
use crate::wire::Str;
use crate::wire::message::OffsetCommitRequest;
use crate::wire::message::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};

/// The last version without compact lengths: in it a fixed field has a fixed place.
const VERSION: i16 = 7;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    topic: TopicArguments,
    /// Groups, without members
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::positive)]
    groups: usize,
    /// Beginning of the groups' names
    #[arg(long, value_name = "NAME", default_value = "dohle-bench")]
    prefix: String,
    /// Partitions in each request; every group commits all partitions of the topic in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::positive)]
    at_once: usize,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::positive)]
    connections: usize,
    /// Requests that each connection keeps unanswered
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::positive)]
    in_flight: usize,
    /// How long to send
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = super::seconds)]
    seconds: f64,
    /// Stop after so many requests, if that comes first
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// One line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(connect: &Connect, arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let clock = OsClock::start();
    let names = (0..arguments.groups).map(|number| format!("{}-{number}", arguments.prefix)).collect::<Vec<_>>();
    let (partitions, coordinators) = connect.block_on(async |cluster| {
        let target = Target::prepare(&cluster, &arguments.topic, 0).await?;
        let mut coordinators = Vec::with_capacity(names.len());
        for name in &names {
            coordinators.push(cluster.retry(async || find_coordinator(&cluster, name).await).await?);
        }
        if cluster.any().await?.version::<OffsetCommitRequest>(VERSION)? != VERSION {
            return Err(Failure::new("the broker is too old for this load generator"));
        }
        Ok((target.partitions(), coordinators))
    })?;
    let topic = arguments.topic.topic.as_str();
    let mut by_coordinator = BTreeMap::<&BrokerAddress, Vec<Canned>>::new();
    for (name, coordinator) in names.iter().zip(&coordinators) {
        let requests = by_coordinator.entry(coordinator).or_default();
        for partitions in (0..partitions).collect::<Vec<_>>().chunks(arguments.at_once) {
            requests.push(canned(name, topic, partitions)?);
        }
    }
    let leaders = by_coordinator.into_iter().map(|(to, requests)| (to, Arc::<[Canned]>::from(requests)));
    let leaders = leaders.collect::<Vec<_>>();
    let turns = leaders.iter().cycle().zip(0..arguments.connections);
    let lanes = turns.map(|((coordinator, requests), number)| {
        // Spread over the requests, so that connections do not all speak for one group at a time.
        let first = number * requests.len() / arguments.connections;
        let answers = Some(Answers::new(error_at(topic)));
        Ok(Lane::new(open(coordinator)?, Sender::new(Arc::clone(requests), first), answers))
    });
    let lanes = lanes.collect::<Result<Vec<_>, Failure>>()?;
    let at_once = arguments.at_once.min(usize::try_from(partitions).unwrap_or_default());
    let carries = Carries { bytes: 0, records: u64::try_from(at_once).unwrap_or_default() };
    let until = Until { time: Duration::from_secs_f64(arguments.seconds), requests: arguments.requests };
    let load = Load::new(&clock, lanes);
    let Found { counted, latencies, .. } = load.run(Pace::InFlight(arguments.in_flight), until, carries)?;
    let report = Report::new("commits", topic, arguments.connections, &counted).latencies(&latencies);
    report.print(output, arguments.json)
}

fn canned(group: &str, topic: &str, partitions: &[i32]) -> Result<Canned, Failure> {
    let partitions = partitions.iter().map(|index| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: MARK,
        committed_metadata: Some(Str::default()),
        ..OffsetCommitRequestPartition::default()
    });
    let topics = vec![OffsetCommitRequestTopic { name: topic.into(), partitions: partitions.collect() }];
    let request = OffsetCommitRequest { group_id: group.into(), topics, ..OffsetCommitRequest::default() };
    Ok(Canned { head: contiguous(&encode(&request, VERSION)?)?.to_vec(), body: Arc::from([]) })
}

/// Where the first partition's error code stands in an answer: behind length, correlation id, throttle time, one topic, its
/// name, how many partitions, and the first one's number.
const fn error_at(topic: &str) -> usize {
    4 + 4 + 4 + 4 + (2 + topic.len()) + 4 + 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorCode;
    use crate::wire::message::OffsetCommitResponse;
    use crate::wire::message::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    use crate::wire::{Message as _, Request as _, decode_request, encode_response};
    use bytes::Bytes;

    #[test]
    fn a_request_commits_its_partitions_and_its_answer_is_read_at_the_right_place() {
        let request = canned("g", "abc", &[4, 5]).expect("a request");
        let (header, mut body) = decode_request(Bytes::from(request.head).slice(4..)).expect("a header");
        let request = OffsetCommitRequest::decode(&mut body, header.version).expect("a request");
        let committed = request.topics[0].partitions.iter().map(|it| it.partition_index).collect::<Vec<_>>();
        assert_eq!((request.generation_id_or_member_epoch, committed), (-1, vec![4, 5]));

        let partition = |index, error_code| OffsetCommitResponsePartition { partition_index: index, error_code };
        let partitions = vec![partition(4, ErrorCode::UnknownMemberId), partition(5, ErrorCode::None)];
        let topics = vec![OffsetCommitResponseTopic { name: "abc".into(), partitions }];
        let response = OffsetCommitResponse { topics, ..OffsetCommitResponse::default() };
        let encoded = encode_response(0, OffsetCommitRequest::KEY, VERSION, &response).expect("an answer");
        let bytes = contiguous(&encoded).expect("in memory");
        let code = bytes[error_at("abc")..].first_chunk().copied().map(i16::from_be_bytes);
        assert_eq!(code.map(ErrorCode::from_code), Some(ErrorCode::UnknownMemberId));
    }
}
