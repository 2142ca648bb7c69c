//! The rows of the APIs of groups.

use super::*;

impl Stage {
    /// Waits until the group `g` has a coordinator that knows its groups.
    async fn coordinator(&mut self) {
        loop {
            let request = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
            let found = self.ask(3, &request).await;
            if found.error_code == None {
                let listed = self.ask(4, &ListGroupsRequest::default()).await;
                let described = DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
                let described = self.ask(4, &described).await;
                if (listed.error_code, described.groups[0].error_code) == (None, None) {
                    return;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn find_coordinator(&mut self, version: i16) {
        self.coordinator().await;
        for (key_type, code) in [(0, None), (1, CoordinatorNotAvailable), (9, InvalidRequest)] {
            if version == 0 && key_type != 0 {
                continue;
            }
            let keys = if 4 <= version { vec!["g".into(), "h".into()] } else { vec![] };
            let key = if 4 <= version { "".into() } else { Str::from("g") };
            let request = FindCoordinatorRequest { key, key_type, coordinator_keys: keys };
            let answer = self.ask(version, &request).await;
            let codes = if 4 <= version {
                answer.coordinators.iter().map(|found| found.error_code).collect::<Vec<_>>()
            } else {
                vec![answer.error_code]
            };
            assert!(codes.iter().all(|found| *found == code) && !codes.is_empty(), "{codes:?}");
        }
    }

    pub(super) async fn join_group(&mut self, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        let member = self.joined(version, &group).await;
        let bad = JoinGroupRequest { group_id: group.clone(), session_timeout_ms: 1, ..Default::default() };
        assert_eq!(self.ask(version, &bad).await.error_code, InvalidSessionTimeout);
        let nameless = JoinGroupRequest { session_timeout_ms: 10_000, ..Default::default() };
        assert_eq!(self.ask(version, &nameless).await.error_code, InvalidGroupId);
        self.left(&group, &member).await;
    }

    /// A member of a group of its own, in generation 1.
    async fn joined(&mut self, version: i16, group: &Str) -> Str {
        let protocol = join_group::JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::new() };
        let mut request = JoinGroupRequest {
            group_id: group.clone(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "test".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let mut answer = self.ask(version, &request).await;
        assert_eq!(answer.error_code, if version < 4 { None } else { MemberIdRequired });
        if 4 <= version {
            request.member_id = answer.member_id;
            answer = self.ask(version, &request).await;
        }
        assert_eq!((answer.error_code, answer.generation_id, answer.members.len()), (None, 1, 1));
        answer.member_id
    }

    async fn left(&mut self, group: &Str, member: &Str) {
        let request = LeaveGroupRequest { group_id: group.clone(), member_id: member.clone(), ..Default::default() };
        assert_eq!(self.ask(2, &request).await.error_code, None);
    }

    pub(super) async fn sync_group(&mut self, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        let member_id = self.joined(9, &group).await;
        let named = |text: &str| (5 <= version).then(|| Str::from(text));
        let mut request = SyncGroupRequest {
            group_id: group.clone(),
            generation_id: 2,
            member_id: member_id.clone(),
            protocol_type: named("test"),
            protocol_name: named("range"),
            assignments: vec![sync_group::SyncGroupRequestAssignment {
                member_id: member_id.clone(),
                assignment: Bytes::from_static(b"all"),
            }],
            ..Default::default()
        };
        assert_eq!(self.ask(version, &request).await.error_code, IllegalGeneration);
        request.generation_id = 1;
        let answer = self.ask(version, &request).await;
        assert_eq!((answer.error_code, &answer.assignment[..]), (None, &b"all"[..]));
        self.left(&group, &member_id).await;
    }

    pub(super) async fn heartbeat(&mut self, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        let member_id = self.joined(9, &group).await;
        let mut request =
            HeartbeatRequest { group_id: group.clone(), generation_id: 1, member_id, ..Default::default() };
        assert_eq!(self.ask(version, &request).await.error_code, None);
        self.left(&group, &request.member_id.clone()).await;
        request.member_id = "nobody".into();
        assert_eq!(self.ask(version, &request).await.error_code, UnknownMemberId);
    }

    pub(super) async fn leave_group(&mut self, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        let member_id = self.joined(9, &group).await;
        let request = if version < 3 {
            LeaveGroupRequest { group_id: group, member_id, ..Default::default() }
        } else {
            let members = [member_id, "nobody".into()];
            let members = members.map(|member_id| leave_group::MemberIdentity { member_id, ..Default::default() });
            LeaveGroupRequest { group_id: group, members: members.into(), ..Default::default() }
        };
        let answer = self.ask(version, &request).await;
        assert_eq!(answer.error_code, None);
        let codes = answer.members.iter().map(|member| member.error_code).collect::<Vec<_>>();
        assert_eq!(codes, if version < 3 { vec![] } else { vec![None, UnknownMemberId] });
        assert_eq!(self.ask(version, &request).await.error_code, if version < 3 { UnknownMemberId } else { None });
    }

    async fn commit(&mut self, version: i16, group: &Str) -> Vec<ErrorCode> {
        let partition = |partition_index| offset_commit::OffsetCommitRequestPartition {
            partition_index,
            committed_offset: 5,
            committed_metadata: Some("m".into()),
            ..Default::default()
        };
        let of = |name: &str, indexes: &[i32]| offset_commit::OffsetCommitRequestTopic {
            name: name.into(),
            partitions: indexes.iter().copied().map(partition).collect(),
        };
        let topics = vec![of("t", &[9, 1, 0]), of("nowhere", &[0])];
        let request = OffsetCommitRequest { group_id: group.clone(), topics, ..Default::default() };
        let answer = self.ask(version, &request).await;
        answer.topics.iter().flat_map(|topic| &topic.partitions).map(|done| done.error_code).collect()
    }

    pub(super) async fn offset_commit(&mut self, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        let codes = self.commit(version, &group).await;
        assert_eq!(codes, [UnknownTopicOrPartition, None, None, UnknownTopicOrPartition]);
    }

    pub(super) async fn offset_fetch(&mut self, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        // In version 0 offsets lie elsewhere.
        self.commit(if version == 0 { 0 } else { 9 }, &group).await;
        let indexes = vec![1, 7];
        if version < 8 {
            let topic = offset_fetch::OffsetFetchRequestTopic { name: "t".into(), partition_indexes: indexes };
            let named = OffsetFetchRequest { group_id: group.clone(), topics: Some(vec![topic]), ..Default::default() };
            let answer = self.ask(version, &named).await;
            let offsets = answer.topics[0].partitions.iter().map(|found| found.committed_offset).collect::<Vec<_>>();
            assert_eq!((answer.error_code, offsets), (None, vec![5, -1]));
            let unknown = if version == 0 { UnknownTopicOrPartition } else { None };
            assert_eq!(answer.topics[0].partitions[1].error_code, unknown);
            if 2 <= version {
                let all = OffsetFetchRequest { group_id: group, topics: Option::None, ..Default::default() };
                assert_eq!(self.ask(version, &all).await.topics[0].partitions.len(), 2);
            }
            return;
        }
        let topic = offset_fetch::OffsetFetchRequestTopics { name: "t".into(), partition_indexes: indexes };
        let of =
            |topics| offset_fetch::OffsetFetchRequestGroup { group_id: group.clone(), topics, ..Default::default() };
        let request =
            OffsetFetchRequest { groups: vec![of(Some(vec![topic])), of(Option::None)], ..Default::default() };
        let answer = self.ask(version, &request).await;
        let offsets = answer.groups.iter().map(|group| {
            let partitions = &group.topics[0].partitions;
            (group.error_code, partitions.iter().map(|found| found.committed_offset).collect::<Vec<_>>())
        });
        assert_eq!(offsets.collect::<Vec<_>>(), [(None, vec![5, -1]), (None, vec![5, 5])]);
    }

    pub(super) async fn administer_groups(&mut self, key: ApiKey, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        self.commit(9, &group).await;
        if key == ApiKey::DescribeGroups {
            let groups = vec![group, "no such group".into()];
            let answer = self.ask(version, &DescribeGroupsRequest { groups, ..Default::default() }).await;
            let states = answer.groups.iter().map(|found| found.group_state.as_str()).collect::<Vec<_>>();
            assert_eq!(states, ["Empty", "Dead"]);
        } else if key == ApiKey::ListGroups {
            let answer = self.ask(version, &ListGroupsRequest::default()).await;
            assert!(answer.groups.iter().any(|listed| listed.group_id == group), "{answer:?}");
        } else if key == ApiKey::DeleteGroups {
            let request = DeleteGroupsRequest { groups_names: vec![group.clone(), "no such group".into()] };
            let answer = self.ask(version, &request).await;
            let codes = answer.results.iter().map(|done| done.error_code).collect::<Vec<_>>();
            assert_eq!(codes, [None, GroupIdNotFound]);
        } else {
            let partition = |partition_index| offset_delete::OffsetDeleteRequestPartition { partition_index };
            let of = |name: &str| offset_delete::OffsetDeleteRequestTopic {
                name: name.into(),
                partitions: vec![partition(0), partition(9)],
            };
            let request = OffsetDeleteRequest { group_id: group, topics: vec![of("t"), of("nowhere")] };
            let answer = self.ask(version, &request).await;
            let codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|done| done.error_code);
            let unknown = UnknownTopicOrPartition;
            assert_eq!(codes.collect::<Vec<_>>(), [None, unknown, unknown, unknown]);
        }
    }

    /// The only member of a group of its own, which reads all of `t`, as its first heartbeat is answered.
    async fn consumer(&mut self, version: i16, group: &Str) -> ConsumerGroupHeartbeatResponse {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: group.clone(),
            member_id: if version == 0 { "".into() } else { "made by the client".into() },
            rebalance_timeout_ms: 10_000,
            subscribed_topic_names: Some(vec!["t".into()]),
            topic_partitions: Some(vec![]),
            ..Default::default()
        };
        let answer = self.ask(version, &request).await;
        assert_eq!((answer.error_code, answer.member_epoch), (None, 1), "{answer:?}");
        answer
    }

    pub(super) async fn consumer_group_heartbeat(&mut self, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        let answer = self.consumer(version, &group).await;
        let assigned = answer.assignment.expect("what it is to read").topic_partitions;
        assert_eq!(assigned.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 2);
        let member_id = answer.member_id.expect("an id");
        let of = |member_epoch| ConsumerGroupHeartbeatRequest {
            group_id: group.clone(),
            member_id: member_id.clone(),
            member_epoch,
            ..Default::default()
        };
        assert_eq!(self.ask(version, &of(9)).await.error_code, FencedMemberEpoch);
        assert_eq!(self.ask(version, &of(-1)).await.error_code, None);
        let answer = self.ask(version, &of(1)).await;
        assert_eq!((answer.error_code, answer.error_message.is_some()), (UnknownMemberId, true));
        if 1 <= version {
            let regex = ConsumerGroupHeartbeatRequest {
                rebalance_timeout_ms: 10_000,
                subscribed_topic_regex: Some("(".into()),
                topic_partitions: Some(vec![]),
                ..of(0)
            };
            assert_eq!(self.ask(version, &regex).await.error_code, InvalidRegularExpression);
        }
    }

    pub(super) async fn consumer_group_describe(&mut self, version: i16) {
        self.coordinator().await;
        let group = self.new_name();
        self.consumer(version, &group).await;
        let group_ids = vec![group, "no such group".into()];
        let request = ConsumerGroupDescribeRequest { group_ids, include_authorized_operations: true };
        let answer = self.ask(version, &request).await;
        let [found, missing] = &answer.groups[..] else { panic!("{answer:?}") };
        assert_eq!((found.group_state.as_str(), found.members.len()), ("Stable", 1));
        assert_eq!(found.members[0].assignment.topic_partitions[0].topic_name, "t");
        assert_eq!(missing.error_code, GroupIdNotFound);
    }
}
