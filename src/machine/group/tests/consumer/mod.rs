//! Transcripts of groups of the consumer protocol. A topic has one letter, which its id is made of.

mod members;
mod migration;
mod offsets;
mod random;

use super::*;
use crate::model::TopicId;
use crate::wire::group_record::{ConsumerRecord, TopicPartitions};

fn topic_id(letter: &str) -> TopicId {
    TopicId([letter.as_bytes()[0]; 16])
}

pub(super) fn topics(version: u64, topics: &[(&str, usize)]) -> Event<Ticket> {
    let topic = |(name, count): &(&str, usize)| {
        (Str::from(*name), Arc::new(Topic::new(name, topic_id(name), &vec![vec![]; *count])))
    };
    Event::TopicsChanged(Arc::new(Topics::new(version, topics.iter().map(topic))))
}

/// A heartbeat that says nothing new.
fn beat(member_id: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: "g".into(),
        version: 1,
        member_id: member_id.into(),
        epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: -1,
        topic_names: None,
        topic_regex: None,
        assignor: None,
        owned: None,
        client_id: "c".into(),
        client_host: "/h".into(),
        random: [7; 16],
    }
}

/// The first one of a member, which subscribes to topics of one letter each.
fn joining(member_id: &str, subscribed: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout_ms: 60_000,
        topic_names: Some(letters(subscribed)),
        owned: Some(vec![]),
        ..beat(member_id, 0)
    }
}

/// One that says what the member owns, as in `t0 t1 u0`.
fn owning(member_id: &str, epoch: i32, owned: &str) -> ConsumerHeartbeat {
    let partition = |text: &str| (topic_id(text), vec![text[1..].parse().expect("a number")]);
    ConsumerHeartbeat { owned: Some(owned.split_whitespace().map(partition).collect()), ..beat(member_id, epoch) }
}

fn letters(text: &str) -> Vec<Str> {
    text.chars().map(|letter| Str::from(letter.to_string())).collect()
}

impl Desk {
    /// One that coordinates, in a cluster with the topics `t` and `u` of four and two partitions.
    fn with_topics(rules: Rules) -> Self {
        let mut desk = Self::new(rules);
        assert_eq!(desk.tell(topics(1, &[("t", 4), ("u", 2)])), [""; 0]);
        desk
    }

    fn beat(&mut self, heartbeat: ConsumerHeartbeat) -> Vec<String> {
        self.ask("h", Request::ConsumerHeartbeat(heartbeat))
    }

    /// A heartbeat whose write is committed at once, if there is one. Only what the member is told.
    fn told(&mut self, heartbeat: ConsumerHeartbeat) -> String {
        let mut said = self.beat(heartbeat);
        while !self.in_flight.is_empty() {
            said.extend(self.commit());
        }
        said.retain(|text| !text.starts_with("append"));
        said.join("; ").trim_start_matches("h: ").to_owned()
    }

    fn consumer(&self) -> ConsumerDescription {
        self.coordinator.describe_consumer("g").expect("a group of the consumer protocol")
    }

    /// State, epochs, and each member with its epoch and what it has.
    fn described(&self) -> String {
        let group = self.consumer();
        let members = group.members.iter().map(|member| {
            let has = member
                .assigned
                .iter()
                .flat_map(|(_, name, indexes)| indexes.iter().map(move |it| format!("{name}{it}")));
            format!("{} at {} [{}]", member.member_id, member.epoch, has.collect::<Vec<_>>().join(" "))
        });
        let members = members.collect::<Vec<_>>().join(", ");
        format!("{} {}/{}: {members}", group.state, group.target_epoch, group.epoch)
    }
}

fn partitions<'p>(all: impl Iterator<Item = (TopicId, &'p [i32])>) -> String {
    let named =
        all.flat_map(|(id, indexes)| indexes.iter().map(move |index| format!("{}{index}", char::from(id.0[0]))));
    named.collect::<Vec<_>>().join(" ")
}

pub(super) fn reply(reply: &Result<ConsumerHeartbeatReply, Refusal>) -> String {
    match reply {
        Err(refusal) => refusal.error.to_string(),
        Ok(reply) => {
            let assigned = reply.assignment.as_ref().map(|all| partitions(all.iter().map(|(id, it)| (*id, &it[..]))));
            let assigned = assigned.map_or(String::new(), |all| format!(" [{all}]"));
            format!("{} at {}{assigned}", reply.member_id, reply.epoch)
        }
    }
}

pub(super) fn record(record: &ConsumerRecord) -> String {
    let list = |all: &[TopicPartitions]| partitions(all.iter().map(|it| (it.topic_id, &it.partitions[..])));
    match record {
        ConsumerRecord::Group(None) => "group gone".to_owned(),
        ConsumerRecord::Group(Some(value)) => format!("epoch {}", value.epoch),
        ConsumerRecord::PartitionMetadata(value) => format!("topics {}", if value.is_some() { "set" } else { "gone" }),
        ConsumerRecord::Member(id, None) => format!("{id} gone"),
        ConsumerRecord::Member(id, Some(value)) => {
            let names = value.subscribed_topic_names.iter().map(Str::as_str).collect::<String>();
            let regex = value.subscribed_topic_regex.as_ref().map_or(String::new(), |regex| format!(" /{regex}/"));
            let classic = if value.classic_member_metadata.is_some() { " classic" } else { "" };
            format!("{id} reads {names}{regex}{classic}")
        }
        ConsumerRecord::Target(None) => "target gone".to_owned(),
        ConsumerRecord::Target(Some(value)) => format!("target {}", value.assignment_epoch),
        ConsumerRecord::TargetMember(id, None) => format!("{id} no target"),
        ConsumerRecord::TargetMember(id, Some(value)) => format!("{id} to [{}]", list(&value.topic_partitions)),
        ConsumerRecord::CurrentMember(id, None) => format!("{id} nothing"),
        ConsumerRecord::CurrentMember(id, Some(value)) => {
            let state = ["stable", "unrevoked", "unreleased"].get(usize::try_from(value.state).unwrap_or(9));
            let revoking = list(&value.partitions_pending_revocation);
            let revoking = if revoking.is_empty() { revoking } else { format!(" -[{revoking}]") };
            let (before, now) = (value.previous_member_epoch, value.member_epoch);
            format!("{id} {before}<{now} {} [{}]{revoking}", state.unwrap_or(&"?"), list(&value.assigned_partitions))
        }
        ConsumerRecord::RegularExpression(regex, None) => format!("/{regex}/ gone"),
        ConsumerRecord::RegularExpression(regex, Some(value)) => {
            format!("/{regex}/ is {}", value.topics.iter().map(Str::as_str).collect::<String>())
        }
    }
}
