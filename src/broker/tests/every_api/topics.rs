//! The rows of the APIs that make, change and delete topics.

use super::*;

impl Stage {
    pub(super) async fn create_topics(&mut self, version: i16) {
        let (plain, placed, checked, twice) = (self.new_name(), self.new_name(), self.new_name(), self.new_name());
        let new = |name: &Str, num_partitions, replication_factor| create_topics::CreatableTopic {
            name: name.clone(),
            num_partitions,
            replication_factor,
            ..Default::default()
        };
        let setting = |name: &str, value: &str| create_topics::CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
        };
        let mut with_settings = new(&plain, 2, 1);
        with_settings.configs = vec![setting("retention.ms", "1000")];
        let mut assigned = new(&placed, -1, -1);
        assigned.assignments =
            vec![create_topics::CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1] }];
        let mut badly_set = new(&"bad".into(), 1, 1);
        badly_set.configs = vec![setting("no.such.key", "1")];
        let topics = vec![
            with_settings,
            assigned,
            new(&"t".into(), 1, 1),
            new(&"a/b".into(), 1, 1),
            new(&"many".into(), 1, 5),
            new(&"none".into(), 0, 1),
            badly_set,
            new(&twice, 1, 1),
            new(&twice, 1, 1),
        ];
        let request = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only: false };
        let answer = self.ask(version, &request).await;
        let code = |name: &str| answer.topics.iter().find(|topic| &*topic.name == name).expect("named").error_code;
        assert_eq!((code(&plain), code(&placed)), (None, None));
        assert_eq!((code("t"), code("a/b")), (TopicAlreadyExists, InvalidTopicException));
        assert_eq!((code("many"), code("none")), (InvalidReplicationFactor, InvalidPartitions));
        assert_eq!((code("bad"), code(&twice)), (InvalidConfig, InvalidRequest));
        if 1 <= version {
            let topics = vec![new(&checked, 1, 1)];
            let request = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only: true };
            assert_eq!(self.ask(version, &request).await.topics[0].error_code, None);
        }
    }

    pub(super) async fn delete_topics(&mut self, version: i16) {
        let name = self.new_name();
        create(&mut self.client, &name, &[]).await;
        let named = |name: &str| delete_topics::DeleteTopicState { name: Some(name.into()), topic_id: TopicId::ZERO };
        let mut request = DeleteTopicsRequest {
            topics: vec![],
            topic_names: vec![name.clone(), "nowhere".into()],
            timeout_ms: 10_000,
        };
        let mut expected = vec![None, UnknownTopicOrPartition];
        if 6 <= version {
            request.topic_names = vec![];
            let by_id = |topic_id| delete_topics::DeleteTopicState { name: Option::None, topic_id };
            let both = delete_topics::DeleteTopicState { name: Some("t".into()), topic_id: self.id };
            request.topics = vec![named(&name), named("nowhere"), by_id(NO_TOPIC)];
            expected.push(UnknownTopicId);
            let refused = DeleteTopicsRequest { topics: vec![both], ..request.clone() };
            assert_eq!(self.ask(version, &refused).await.responses[0].error_code, InvalidRequest);
        }
        let answer = self.ask(version, &request).await;
        assert_eq!(answer.responses.iter().map(|done| done.error_code).collect::<Vec<_>>(), expected);
    }

    pub(super) async fn describe_configs(&mut self, version: i16) {
        let of = |resource_type, name: &str, keys: Option<&[&str]>| describe_configs::DescribeConfigsResource {
            resource_type,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| Str::from(*key)).collect()),
        };
        let resources = vec![
            of(2, "compact", Option::None),
            of(2, "t", Some(&["retention.ms", "no.such.key"])),
            of(4, "1", Option::None),
            of(4, "", Option::None),
            of(2, "nowhere", Option::None),
            of(2, "a/b", Option::None),
            of(4, "7", Option::None),
            of(99, "?", Option::None),
        ];
        let request =
            DescribeConfigsRequest { resources, include_synonyms: 1 <= version, include_documentation: 3 <= version };
        let answer = self.ask(version, &request).await;
        let codes = answer.results.iter().map(|result| result.error_code).collect::<Vec<_>>();
        let [unknown, invalid] = [UnknownTopicOrPartition, InvalidTopicException];
        assert_eq!(codes, [None, None, None, None, unknown, invalid, InvalidRequest, InvalidRequest]);
        assert_eq!(answer.results[1].configs.len(), 1);
        let settings = answer.results.iter().flat_map(|result| &result.configs).collect::<Vec<_>>();
        assert_eq!(settings.iter().any(|setting| setting.is_default), version == 0);
        assert_eq!(settings.iter().any(|setting| !setting.synonyms.is_empty()), 1 <= version);
        assert_eq!(settings.iter().any(|setting| setting.documentation.is_some()), 3 <= version);
    }

    pub(super) async fn create_partitions(&mut self, version: i16) {
        let name = self.new_name();
        create(&mut self.client, &name, &[]).await;
        let to = |name: &str, count, brokers: Option<i32>| create_partitions::CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments: brokers
                .map(|broker| vec![create_partitions::CreatePartitionsAssignment { broker_ids: vec![broker] }]),
        };
        let topics = vec![
            to(&name, 2, Some(1)),
            to("t", 1, Option::None),
            to("nowhere", 2, Option::None),
            to("compact", 2, Some(7)),
        ];
        let request = CreatePartitionsRequest { topics, timeout_ms: 10_000, validate_only: false };
        let answer = self.ask(version, &request).await;
        let codes = answer.results.iter().map(|result| result.error_code).collect::<Vec<_>>();
        assert_eq!(codes, [None, InvalidPartitions, UnknownTopicOrPartition, InvalidReplicaAssignment]);
    }

    pub(super) async fn elect_leaders(&mut self, version: i16) {
        let of = |topic: &str| elect_leaders::TopicPartitions { topic: topic.into(), partitions: vec![0] };
        let named = Some(vec![of("t"), of("nowhere"), of("elsewhere")]);
        let with = |election_type, topic_partitions| ElectLeadersRequest {
            election_type,
            topic_partitions,
            timeout_ms: 10_000,
        };
        let answer = self.ask(version, &with(0, named.clone())).await;
        let code = |answer: &ElectLeadersResponse, topic: &str| {
            let of_topic = answer.replica_election_results.iter().find(|result| &*result.topic == topic);
            of_topic.map(|result| result.partition_result[0].error_code)
        };
        assert_eq!(code(&answer, "t"), Some(ElectionNotNeeded));
        assert_eq!(code(&answer, "nowhere"), Some(UnknownTopicOrPartition));
        assert_eq!(self.ask(version, &with(0, Option::None)).await.error_code, None);
        if 1 <= version {
            let answer = self.ask(version, &with(1, named)).await;
            assert_eq!(code(&answer, "t"), Some(ElectionNotNeeded));
            assert_eq!(self.ask(version, &with(5, Some(vec![]))).await.error_code, InvalidRequest);
        }
    }
}
