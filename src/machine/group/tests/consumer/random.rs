//! Lives made up by chance: members of both protocols that do what clients do, topics that come and go, writes that fail or are
//! late, coordinators that come and go. What must hold: no partition has two owners, neither for the coordinator nor among the
//! clients; epochs only grow; what is durable is what the log says; and when all is quiet every partition is read, and whoever did
//! not change goes on.

use std::collections::BTreeMap;

use super::super::random::Random;
use super::*;

/// Lives, and steps of each: with those of the classic protocol a million.
const LIVES: u64 = 1_250;
const STEPS: usize = 400;

/// A client of the consumer protocol.
#[derive(Clone, Default, Debug)]
struct Client {
    member_id: String,
    instance: Option<Str>,
    subscribed: &'static str,
    epoch: i32,
    /// What it reads.
    owned: BTreeSet<(TopicId, i32)>,
    /// What it was last told to read.
    told: BTreeSet<(TopicId, i32)>,
    waits: Option<String>,
    /// It does not know what became of its last heartbeat.
    is_unsure: bool,
    has_regex: bool,
    lives: u32,
}

impl Client {
    /// Who takes its place knows nothing.
    fn successor(&self) -> Self {
        Self { instance: self.instance.clone(), lives: self.lives, ..Self::default() }
    }
}

struct Life {
    desk: Desk,
    random: Random,
    clients: Vec<Client>,
    tickets: u64,
    answered: BTreeMap<String, u32>,
    epoch: i32,
    group_epoch: i32,
    version: u64,
    /// Writes that time out are in the log all the same.
    is_unsure: bool,
    given: u32,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clients = (0..4).map(|index| Client {
            instance: (index == 1 && random.one_in(2)).then(|| Str::from("i")),
            ..Client::default()
        });
        let clients = clients.collect();
        let mut life = Self {
            desk: Desk::new(Rules { offsets_retention_check_interval: Duration::from_secs(1_000_000), ..rules() }),
            random,
            clients,
            tickets: 0,
            answered: BTreeMap::new(),
            epoch: 0,
            group_epoch: 0,
            version: 0,
            is_unsure: seed.is_multiple_of(2),
            given: 0,
        };
        life.topics();
        life
    }

    fn step(&mut self) {
        match self.random.below(24) {
            0..=14 => {
                let index = usize::try_from(self.random.below(4)).expect("few");
                self.client(index);
            }
            15..=19 => self.write(),
            20 | 21 => {
                self.desk.ms += self.random.below(12_000);
                let effects = self.desk.step(Event::Tick);
                self.take(effects);
            }
            22 if self.random.one_in(3) => self.topics(),
            23 if self.random.one_in(6) => self.reload(),
            _ => {}
        }
        self.check();
    }

    fn topics(&mut self) {
        self.version += 1;
        let counts = [self.random.below(3) + 2, self.random.below(3)];
        let counts = counts.map(|count| usize::try_from(count).expect("few"));
        let all = [("t", counts[0]), ("u", counts[1])];
        let there = all.into_iter().filter(|(_, count)| 0 < *count).collect::<Vec<_>>();
        let effects = self.desk.step(topics(self.version, &there));
        self.take(effects);
    }

    /// A client does what it may. It lets go at once, or some time later; some die, or leave.
    fn client(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.waits.is_some() {
            if !self.random.one_in(30) {
                return;
            }
            client.is_unsure = true;
        }
        let leaves = 0 < client.epoch && self.random.one_in(20);
        if leaves {
            let gone = std::mem::replace(client, client.successor());
            let for_a_while = gone.instance.is_some() && self.random.one_in(2);
            if self.random.one_in(2) {
                let epoch = if for_a_while { -2 } else { -1 };
                self.ask(index, ConsumerHeartbeat { instance_id: gone.instance, ..beat(&gone.member_id, epoch) });
            }
            return;
        }
        if client.epoch == 0 && !client.is_unsure {
            let all = ["t", "tu", "u"];
            client.subscribed = all[usize::try_from(self.random.below(3)).expect("few")];
            client.has_regex = self.random.one_in(4);
        }
        let lets_go = self.random.one_in(2);
        self.beat(index, lets_go);
    }

    /// The next heartbeat of a client: a whole one when it joins, or does not know what became of the last.
    fn beat(&mut self, index: usize, lets_go: bool) {
        let client = &mut self.clients[index];
        if client.member_id.is_empty() {
            client.lives += 1;
            client.member_id = format!("m{index}-{}", client.lives);
        }
        if lets_go {
            client.owned = client.owned.intersection(&client.told).copied().collect();
        }
        let owned = client.owned.iter().map(|(topic, at)| format!("{}{at}", char::from(topic.0[0])));
        let owned = owned.collect::<Vec<_>>().join(" ");
        let heartbeat = match client.epoch {
            0 => joining(&client.member_id, ""),
            epoch if client.is_unsure => {
                ConsumerHeartbeat { rebalance_timeout_ms: 60_000, ..owning(&client.member_id, epoch, &owned) }
            }
            epoch if lets_go => owning(&client.member_id, epoch, &owned),
            epoch => beat(&client.member_id, epoch),
        };
        let says_all = client.epoch == 0 || client.is_unsure;
        let regex = (says_all && client.has_regex).then(|| Str::from(format!("[{}]", client.subscribed)));
        let names = (says_all && !client.has_regex).then(|| letters(client.subscribed));
        let instance_id = client.instance.clone();
        let heartbeat = ConsumerHeartbeat { topic_regex: regex, topic_names: names, instance_id, ..heartbeat };
        self.ask(index, heartbeat);
    }

    fn ask(&mut self, index: usize, heartbeat: ConsumerHeartbeat) {
        self.tickets += 1;
        let ticket = format!("{index} {}", self.tickets);
        self.clients[index].waits = (0 <= heartbeat.epoch).then(|| ticket.clone());
        self.answered.insert(ticket.clone(), 0);
        let effects = self.desk.step(Event::Request(ticket, Request::ConsumerHeartbeat(heartbeat)));
        self.take(effects);
    }

    fn write(&mut self) {
        if self.desk.in_flight.is_empty() {
            return;
        }
        let effects = match self.random.below(8) {
            0 => {
                let (write, ..) = self.desk.in_flight.remove(0);
                self.desk.step(Event::Written(write, Err(ErrorCode::NotEnoughReplicas)))
            }
            1 if self.is_unsure => {
                let (write, _, records) = self.desk.in_flight.remove(0);
                self.log(&records);
                self.desk.step(Event::Written(write, Err(ErrorCode::RequestTimedOut)))
            }
            _ => self.desk.commit_effects(),
        };
        self.take(effects);
    }

    fn log(&mut self, records: &[GroupRecord]) {
        for record in records {
            let at = i64::try_from(self.desk.log.len()).expect("few");
            self.desk.log.push(Replayed::Record(Offset(at), None, record.clone()));
        }
    }

    fn reload(&mut self) {
        self.epoch += 1;
        let mut effects = self.desk.step(Event::Unload(None));
        while !self.desk.in_flight.is_empty() {
            let (_, _, records) = self.desk.in_flight.remove(0);
            if self.random.one_in(2) {
                self.log(&records);
            }
        }
        effects.extend(self.desk.step(Event::Load(LeaderEpoch(self.epoch))));
        let log = self.desk.log.clone();
        effects.extend(self.desk.step(Event::Replayed(LeaderEpoch(self.epoch), log)));
        effects.extend(self.desk.step(Event::Loaded(LeaderEpoch(self.epoch))));
        self.take(effects);
        assert!(self.answered.values().all(|count| *count == 1), "somebody still waits for the last coordinator");
    }

    fn take(&mut self, effects: Vec<Effect<Ticket>>) {
        for effect in effects {
            let Effect::Reply(to, Reply::ConsumerHeartbeat(reply)) = effect else { continue };
            *self.answered.get_mut(&to).expect("a ticket of ours") += 1;
            assert_eq!(self.answered[&to], 1, "{to} was answered twice");
            let index = usize::from(to.as_bytes()[0] - b'0');
            let client = &mut self.clients[index];
            if client.waits.as_deref() != Some(&to) {
                continue;
            }
            client.waits = None;
            match reply {
                Ok(reply) => {
                    assert!(client.epoch <= reply.epoch, "an epoch went back");
                    assert_eq!(reply.member_id, client.member_id.as_str());
                    client.epoch = reply.epoch;
                    client.is_unsure = false;
                    if let Some(assigned) = reply.assignment {
                        let all = assigned.iter().flat_map(|(id, indexes)| indexes.iter().map(|index| (*id, *index)));
                        client.told = all.collect();
                        // What is new is read at once; letting go takes until the client says so.
                        client.owned.extend(client.told.iter().copied());
                        self.given += 1;
                    }
                }
                Err(refusal) => {
                    use ErrorCode::{
                        FencedInstanceId, FencedMemberEpoch, GroupIdNotFound, UnknownMemberId, UnreleasedInstanceId,
                    };
                    if [FencedMemberEpoch, UnknownMemberId, GroupIdNotFound].contains(&refusal.error) {
                        client.epoch = 0;
                        client.owned.clear();
                        client.told.clear();
                    } else if [UnreleasedInstanceId, FencedInstanceId].contains(&refusal.error) {
                        *client = client.successor();
                    } else {
                        client.is_unsure = true;
                    }
                }
            }
        }
    }

    fn check(&mut self) {
        let Ok(group) = self.desk.coordinator.describe_consumer("g") else { return };
        assert!(self.group_epoch <= group.epoch, "the group's epoch went back");
        assert!(group.target_epoch <= group.epoch);
        self.group_epoch = group.epoch;
        // Who reads, of the clients that the coordinator has not given up.
        let mut readers = BTreeMap::new();
        for client in self.clients.iter().filter(|client| 0 < client.epoch) {
            let known = group.members.iter().any(|member| member.member_id == client.member_id.as_str());
            for partition in client.owned.iter().filter(|_| known) {
                let other = readers.insert(*partition, client.member_id.clone());
                assert_eq!(other, None, "{partition:?} is read twice, once by {}", client.member_id);
            }
        }
    }

    /// Everything goes well for a while: everybody is stable, and every partition that somebody wants is read.
    fn settle(&mut self) {
        for _ in 0..100 {
            self.desk.ms += 1_000;
            let effects = self.desk.step(Event::Tick);
            self.take(effects);
            for index in 0..self.clients.len() {
                self.commit();
                if self.clients[index].subscribed.is_empty() {
                    self.clients[index].subscribed = "tu";
                }
                self.beat(index, true);
                self.check();
            }
            self.commit();
        }
    }

    fn commit(&mut self) {
        while !self.desk.in_flight.is_empty() {
            let effects = self.desk.commit_effects();
            self.take(effects);
        }
    }
}

#[test]
fn no_partition_has_two_readers_and_all_find_their_peace() {
    let mut given = 0;
    for seed in 0..LIVES {
        let mut life = Life::new(seed);
        for _ in 0..STEPS {
            life.step();
        }
        life.settle();
        given += life.given;
        let group = life.desk.consumer();
        assert_eq!((group.state, group.members.len()), ("Stable", 4), "seed {seed}: {group:?}");
        for client in &life.clients {
            assert_eq!(client.owned, client.told, "seed {seed}: {client:?}");
        }
        let read = life.clients.iter().flat_map(|client| &client.owned).collect::<BTreeSet<_>>();
        let wanted = life.clients.iter().flat_map(|client| client.subscribed.chars()).collect::<BTreeSet<_>>();
        let wanted = wanted.into_iter().filter_map(|letter| life.desk.coordinator.topics.get(&letter.to_string()));
        assert_eq!(
            read.len(),
            wanted.map(|topic| usize::try_from(topic.partitions).expect("few")).sum::<usize>(),
            "seed {seed}"
        );
        let before = life.clients.iter().map(|client| (client.epoch, client.owned.clone())).collect::<Vec<_>>();
        life.reload();
        life.settle();
        let after = life.clients.iter().map(|client| (client.epoch, client.owned.clone())).collect::<Vec<_>>();
        assert_eq!(before, after, "seed {seed}: another coordinator changes nothing");
        assert!(life.answered.values().all(|count| *count == 1), "seed {seed}: somebody was never answered");
        durable_is_what_the_log_says(&life.desk);
    }
    assert!(2_000 < given, "too little happens: {given} assignments");
}

fn durable_is_what_the_log_says(desk: &Desk) {
    let mut other = Coordinator::<Ticket>::new(rules());
    let mut effects = Vec::new();
    other.step(desk.now(), Event::Load(LeaderEpoch(0)), &mut effects);
    other.step(desk.now(), Event::Replayed(LeaderEpoch(0), desk.log.clone()), &mut effects);
    other.step(desk.now(), Event::Loaded(LeaderEpoch(0)), &mut effects);
    let durable =
        |coordinator: &Coordinator<Ticket>| coordinator.groups.get("g").and_then(|it| it.consumer.state().cloned());
    assert_eq!(durable(&desk.coordinator), durable(&other));
}
