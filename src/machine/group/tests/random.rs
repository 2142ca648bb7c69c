//! Lives made up by chance: clients that do what clients do, writes that fail or are late, coordinators that come and go.
//! What must hold: in one generation nobody is assigned what somebody else has; an acknowledged commit is what is fetched,
//! until a later one; what is durable is what the log says.

use std::collections::BTreeMap;

use super::*;

/// Lives, and steps of each: with those of the consumer protocol a million. They take some seconds.
const LIVES: u64 = 1_250;
const STEPS: usize = 400;

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

#[derive(Clone, Default, Debug)]
struct Client {
    instance: Option<Str>,
    member_id: Str,
    generation: i32,
    /// Who is in the generation, when this one leads.
    assign_to: Vec<Str>,
    /// What it waits for.
    waits: Option<String>,
}

struct Life {
    desk: Desk,
    random: Random,
    clients: Vec<Client>,
    /// What was assigned to whom in each generation, whichever coordinator said so.
    assigned: BTreeMap<i32, BTreeMap<Vec<u8>, Str>>,
    /// The last acknowledged commit of each partition, and what was tried after it.
    acknowledged: BTreeMap<i32, i64>,
    tried: BTreeMap<i32, Vec<i64>>,
    /// Deletions of the group that were asked for and not answered.
    deleting: BTreeSet<Ticket>,
    tickets: u64,
    answered: BTreeMap<String, u32>,
    epoch: i32,
    next_offset: i64,
    commits: BTreeMap<String, (i32, i64)>,
    seed: u8,
    deletions: u32,
    /// Generations that were distributed in groups that are gone.
    distributed: usize,
    /// Whether writes that time out are in the log all the same.
    is_unsure: bool,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let clients = (0..4).map(|index| Client {
            instance: (index % 2 == 1 && random.one_in(2)).then(|| Str::from(format!("i{index}"))),
            ..Client::default()
        });
        let clients = clients.collect();
        let rules = Rules {
            initial_rebalance_delay: Duration::from_secs(random.below(4)),
            group_size_max: usize::try_from(3 + random.below(3)).expect("few"),
            offsets_retention: Duration::from_secs(1_000_000),
            ..rules()
        };
        Self {
            desk: Desk::new(rules),
            random,
            clients,
            assigned: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            tried: BTreeMap::new(),
            deleting: BTreeSet::new(),
            tickets: 0,
            answered: BTreeMap::new(),
            epoch: 0,
            next_offset: 0,
            commits: BTreeMap::new(),
            seed: 0,
            deletions: 0,
            distributed: 0,
            is_unsure: seed.is_multiple_of(2),
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=11 => {
                let index = usize::try_from(self.random.below(4)).expect("few");
                self.client(index);
            }
            12..=15 => self.write(),
            16 | 17 => {
                self.desk.ms += self.random.below(4_000);
                let effects = self.desk.step(Event::Tick);
                self.take(effects);
            }
            18 if self.random.one_in(4) => self.reload(),
            _ => self.administrator(),
        }
        self.check();
    }

    fn ticket(&mut self, client: usize) -> String {
        self.tickets += 1;
        format!("{client} {}", self.tickets)
    }

    fn ask(&mut self, ticket: &str, request: Request) {
        self.answered.insert(ticket.to_owned(), 0);
        let effects = self.desk.step(Event::Request(ticket.to_owned(), request));
        self.take(effects);
    }

    /// A client does what it may.
    fn client(&mut self, index: usize) {
        let client = self.clients[index].clone();
        if client.waits.is_some() && !self.random.one_in(20) {
            return;
        }
        let ticket = self.ticket(index);
        let request = match self.random.below(12) {
            0 if self.random.one_in(4) => {
                // It dies, and starts without knowing anything.
                self.clients[index] = Client { instance: client.instance, ..Client::default() };
                return;
            }
            1 if self.random.one_in(3) => Request::Leave(Leave {
                group: "g".into(),
                members: vec![Leaving { member_id: client.member_id, instance_id: client.instance }],
            }),
            2..=4 => {
                self.next_offset += 1;
                let partition = i32::try_from(self.random.below(3)).expect("few");
                self.commits.insert(ticket.clone(), (partition, self.next_offset));
                self.tried.entry(partition).or_default().push(self.next_offset);
                let offsets = vec![new_offset("t", partition, self.next_offset)];
                let by_member =
                    Commit { instance_id: client.instance, ..commit(&client.member_id, client.generation, vec![]) };
                let simple = self.random.one_in(4);
                Request::Commit(Commit { offsets, ..if simple { commit("", -1, vec![]) } else { by_member } })
            }
            5..=7 if client.generation >= 0 && !client.member_id.is_empty() => {
                self.clients[index].waits = Some(ticket.clone());
                // A leader is free to assign otherwise when it is asked again.
                let mut to = client.assign_to.clone();
                let by = usize::from(self.random.one_in(2)).min(to.len());
                to.rotate_left(by);
                let to = to.iter().zip(0_u8..);
                Request::Sync(Sync {
                    group: "g".into(),
                    version: 3,
                    generation: client.generation,
                    member_id: client.member_id.clone(),
                    instance_id: client.instance,
                    protocol_type: None,
                    protocol: None,
                    assignments: to.map(|(id, share)| (id.clone(), Bytes::from(vec![share]))).collect(),
                })
            }
            8 | 9 => Request::Heartbeat(Heartbeat {
                group: "g".into(),
                generation: client.generation,
                member_id: client.member_id,
                instance_id: client.instance,
            }),
            _ => {
                self.clients[index].waits = Some(ticket.clone());
                self.seed = self.seed.wrapping_add(1);
                let version = if self.random.one_in(2) { 9 } else { 3 };
                let random =
                    [self.seed, index.to_le_bytes()[0], self.tickets.to_le_bytes()[0], self.tickets.to_le_bytes()[1]];
                Request::Join(Join {
                    version,
                    instance_id: client.instance,
                    random: std::array::from_fn(|at| random[at % 4]),
                    protocols: protocols(if self.random.one_in(5) { &["sticky", "range"] } else { &["range"] }),
                    ..join(&client.member_id, 0)
                })
            }
        };
        self.ask(&ticket, request);
    }

    /// The oldest write has an outcome.
    fn write(&mut self) {
        if self.desk.in_flight.is_empty() {
            return;
        }
        let effects = match self.random.below(6) {
            0 => {
                let (write, ..) = self.desk.in_flight.remove(0);
                self.desk.step(Event::Written(write, Err(ErrorCode::NotEnoughReplicas)))
            }
            1 if self.is_unsure => {
                // It is in the log all the same.
                let (write, _, records) = self.desk.in_flight.remove(0);
                for record in records.iter() {
                    let at = i64::try_from(self.desk.log.len()).expect("few");
                    self.desk.log.push(Replayed::Record(Offset(at), None, record.clone()));
                }
                self.desk.step(Event::Written(write, Err(ErrorCode::RequestTimedOut)))
            }
            _ => self.desk.commit_effects(),
        };
        self.take(effects);
    }

    fn reload(&mut self) {
        self.epoch += 1;
        let mut effects = self.desk.step(Event::Unload(None));
        // Some of what was under way made it.
        while !self.desk.in_flight.is_empty() {
            let (write, _, records) = self.desk.in_flight.remove(0);
            if self.random.one_in(2) {
                for record in records.iter() {
                    let at = i64::try_from(self.desk.log.len()).expect("few");
                    self.desk.log.push(Replayed::Record(Offset(at), None, record.clone()));
                }
            }
            effects.extend(self.desk.step(Event::Written(write, Ok(Offset(0)))));
        }
        effects.extend(self.desk.step(Event::Load(LeaderEpoch(self.epoch))));
        let log = self.desk.log.clone();
        effects.extend(self.desk.step(Event::Replayed(LeaderEpoch(self.epoch), log)));
        effects.extend(self.desk.step(Event::Loaded(LeaderEpoch(self.epoch))));
        self.take(effects);
        assert!(self.answered.values().all(|count| *count == 1), "somebody still waits for the last coordinator");
        if self.desk.coordinator.groups.get("g").is_none_or(|group| group.generation == 0) {
            // A deletion that nobody heard of: generations begin anew.
            self.distributed += self.assigned.len();
            self.assigned.clear();
        }
        // A commit that nobody heard of may count now.
        for partition in 0..3 {
            let known = self.desk.offset("t", partition);
            let tried = self.tried.entry(partition).or_default();
            let acknowledged = self.acknowledged.entry(partition).or_insert(-1);
            assert!(known == *acknowledged || tried.contains(&known), "partition {partition} went to {known}");
            *acknowledged = known;
        }
    }

    fn administrator(&mut self) {
        let ticket = self.ticket(9);
        let request = match self.random.below(3) {
            0 => {
                for partition in 0..3 {
                    self.tried.entry(partition).or_default().push(-1);
                }
                self.deleting.insert(ticket.clone());
                Request::Delete { group: "g".into() }
            }
            1 => Request::DeleteOffsets { group: "g".into(), partitions: vec![("t".into(), 7)] },
            _ => leave(&[("", Some("i1"))]),
        };
        self.ask(&ticket, request);
    }

    fn take(&mut self, effects: Vec<Effect<Ticket>>) {
        for effect in effects {
            let Effect::Reply(to, reply) = effect else { continue };
            *self.answered.get_mut(&to).expect("a ticket of ours") += 1;
            assert_eq!(self.answered[&to], 1, "{to} was answered twice");
            let index = usize::from(to.as_bytes()[0] - b'0');
            self.deleting.remove(&to);
            match reply {
                Reply::Join(join) => self.joined(index, &to, join),
                Reply::Sync(sync) => self.synced(index, &to, &sync),
                Reply::Commit(outcomes) => {
                    let (partition, offset) = self.commits[&to];
                    if outcomes == [ErrorCode::None] {
                        // What was acknowledged later counts, whatever the number.
                        self.acknowledged.insert(partition, offset);
                        let tried = self.tried.entry(partition).or_default();
                        // A deletion that was asked for after it may still come about.
                        tried.retain(|it| offset < *it || *it == -1 && !self.deleting.is_empty());
                    }
                }
                Reply::Heartbeat(ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) => self.forget(index),
                Reply::Delete(ErrorCode::None) => {
                    self.deletions += 1;
                    self.distributed += self.assigned.len();
                    self.assigned.clear();
                    self.acknowledged.clear();
                    // A commit that timed out may come about after it.
                    if !self.is_unsure {
                        self.tried.clear();
                    }
                }
                Reply::Heartbeat(_)
                | Reply::Leave(_)
                | Reply::ConsumerHeartbeat(_)
                | Reply::Delete(_)
                | Reply::DeleteOffsets(_) => {}
            }
        }
    }

    fn forget(&mut self, index: usize) {
        self.clients[index].member_id = Str::default();
        self.clients[index].generation = -1;
    }

    fn joined(&mut self, index: usize, ticket: &str, join: JoinReply) {
        let client = &mut self.clients[index];
        if client.waits.as_deref() != Some(ticket) {
            return;
        }
        client.waits = None;
        client.generation = -1;
        if join.error == ErrorCode::MemberIdRequired {
            client.member_id = join.member_id;
        } else if join.error == ErrorCode::None {
            assert!(join.members.is_empty() || join.leader == join.member_id, "a follower hears of the others");
            client.member_id = join.member_id;
            client.generation = join.generation;
            let leads = !join.skip_assignment;
            client.assign_to = join.members.into_iter().map(|it| it.member_id).filter(|_| leads).collect();
        } else if join.error != ErrorCode::RebalanceInProgress {
            client.member_id = Str::default();
        }
    }

    fn synced(&mut self, index: usize, ticket: &str, sync: &SyncReply) {
        let client = &mut self.clients[index];
        let waited = client.waits.as_deref() == Some(ticket);
        if waited {
            client.waits = None;
        }
        if sync.error == ErrorCode::None && waited && !sync.assignment.is_empty() {
            let of = self.assigned.entry(client.generation).or_default();
            let name = client.instance.clone().unwrap_or_else(|| client.member_id.clone());
            let owner = of.entry(sync.assignment.to_vec()).or_insert_with(|| name.clone());
            assert_eq!(*owner, name, "two read the same in generation {}", client.generation);
        }
    }

    fn check(&mut self) {
        for partition in 0..3 {
            let known = self.desk.offset("t", partition);
            let acknowledged = self.acknowledged.get(&partition).copied().unwrap_or(-1);
            assert_eq!(known, acknowledged, "partition {partition}");
        }
    }
}

#[test]
fn no_partition_has_two_owners_and_no_acknowledged_commit_is_lost() {
    let mut stable = 0_u32;
    let mut assigned = 0;
    let mut deletions = 0;
    for seed in 0..LIVES {
        let mut life = Life::new(seed);
        for _ in 0..STEPS {
            life.step();
            stable += u32::from(life.desk.state() == "Stable");
        }
        assigned += life.distributed + life.assigned.len();
        // Everything under way ends, and everybody is answered.
        while !life.desk.in_flight.is_empty() {
            let effects = life.desk.commit_effects();
            life.take(effects);
        }
        for _ in 0..100 {
            life.desk.ms += 60_000;
            let effects = life.desk.step(Event::Tick);
            life.take(effects);
            while !life.desk.in_flight.is_empty() {
                let effects = life.desk.commit_effects();
                life.take(effects);
            }
        }
        assert!(life.answered.values().all(|count| *count == 1), "seed {seed}: somebody was never answered");
        assert!(life.desk.state() == "Empty" || life.desk.state() == "Dead", "seed {seed}: nobody is left");
        assert!(life.desk.coordinator.timers.len() == 0, "seed {seed}: a timer for nobody");
        deletions += life.deletions;
        if !life.is_unsure {
            durable_is_what_the_log_says(&life.desk);
        }
    }
    let steps = u32::try_from(STEPS).expect("few") * u32::try_from(LIVES).expect("few");
    let much = steps / 20 < stable && 150 < assigned && 5 < deletions;
    assert!(much, "too little happens: {stable} of {steps} stable, {assigned} assigned, {deletions} deleted");
}

fn durable_is_what_the_log_says(desk: &Desk) {
    let mut other = Coordinator::<Ticket>::new(rules());
    let mut effects = Vec::new();
    other.step(desk.now(), Event::Load(LeaderEpoch(0)), &mut effects);
    other.step(desk.now(), Event::Replayed(LeaderEpoch(0), desk.log.clone()), &mut effects);
    other.step(desk.now(), Event::Loaded(LeaderEpoch(0)), &mut effects);
    let durable = |coordinator: &Coordinator<Ticket>| {
        let group = coordinator.groups.get("g")?;
        let offsets =
            group.offsets.all_committed().map(|(topic, partition, it)| (topic.clone(), partition, it.clone()));
        Some((group.metadata.clone(), offsets.collect::<Vec<_>>()))
    };
    let nothing = Some((None, vec![]));
    assert_eq!(durable(&desk.coordinator).or_else(|| nothing.clone()), durable(&other).or(nothing));
}
