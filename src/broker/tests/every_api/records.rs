//! The rows of the APIs that carry records and find them.

use super::*;

impl Stage {
    pub(super) async fn produce(&mut self, version: i16) {
        let bad =
            Bytes::from_iter(batch().into_iter().enumerate().map(|(at, byte)| if at == 20 { !byte } else { byte }));
        let data = |index, records| PartitionProduceData { index, records: Some(records) };
        let of = |name: &str, partition_data| TopicProduceData { name: name.into(), partition_data };
        let topic_data = vec![
            of("t", vec![data(1, batch()), data(0, bad), data(5, batch())]),
            of("compact", vec![data(0, batch())]),
            of("elsewhere", vec![data(0, batch())]),
        ];
        let request = ProduceRequest { transactional_id: Option::None, acks: -1, timeout_ms: 10_000, topic_data };
        let answer = self.ask(version, &request).await;
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses).collect::<Vec<_>>();
        let codes = partitions.iter().map(|partition| partition.error_code).collect::<Vec<_>>();
        assert_eq!(codes, [None, CorruptMessage, UnknownTopicOrPartition, InvalidRecord, NotLeaderOrFollower]);
        assert_eq!(partitions[3].record_errors.is_empty(), version < 8, "the record without a key is named");
        if version < 3 {
            self.produce_old(version).await;
        }
        let answer = self.ask(version, &ProduceRequest { acks: 7, ..request }).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, InvalidRequiredAcks);
    }

    /// The formats that these versions are made for.
    pub(super) async fn produce_old(&mut self, version: i16) {
        let record = NewRecord { value: Some(b"x"), ..Default::default() };
        let set = |codec| {
            let magic = if version < 2 { LegacyMagic::V0 } else { LegacyMagic::V1 };
            Bytes::from(message_set(magic, codec, Offset(0), &[record, record]).expect("a set"))
        };
        let damaged =
            Bytes::from_iter(set(Codec::None).into_iter().enumerate().map(|(at, it)| if at == 13 { !it } else { it }));
        let data = |index, records| PartitionProduceData { index, records };
        let of = |name: &str, partition_data| TopicProduceData { name: name.into(), partition_data };
        let topic_data = vec![
            of("t", vec![data(1, Some(set(Codec::None))), data(1, Some(set(Codec::Lz4))), data(1, Some(damaged))]),
            of("t", vec![data(1, Some(Bytes::new())), data(1, Option::None), data(5, Some(set(Codec::None)))]),
            of("compact", vec![data(0, Some(set(Codec::Gzip)))]),
            of("elsewhere", vec![data(0, Some(set(Codec::None)))]),
        ];
        let before = event::ProduceMessageConversions::counts().total();
        let request = ProduceRequest { transactional_id: Option::None, acks: 1, timeout_ms: 10_000, topic_data };
        let answer = self.ask(version, &request).await;
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses).collect::<Vec<_>>();
        let codes = partitions.iter().map(|partition| partition.error_code).collect::<Vec<_>>();
        let refused = [UnknownTopicOrPartition, InvalidRecord, NotLeaderOrFollower];
        assert_eq!(codes, [&[None, None, CorruptMessage, None, None][..], &refused].concat());
        assert_eq!(partitions[1].base_offset, partitions[0].base_offset + 2, "one after the other");
        assert_eq!(partitions[3].base_offset, -1, "nothing was appended");
        assert!(before + 4 <= event::ProduceMessageConversions::counts().total());
    }

    pub(super) async fn fetch(&mut self, version: i16) {
        // (topic, its id, partition, offset, leader epoch), and what comes of it.
        let mut asked = vec![
            ("t", self.id, 0, 0, -1, None),
            ("t", self.id, 1, 1_000, -1, OffsetOutOfRange),
            ("t", self.id, 5, 0, -1, UnknownTopicOrPartition),
            ("elsewhere", ELSEWHERE, 0, 0, -1, NotLeaderOrFollower),
            ("nowhere", NO_TOPIC, 0, 0, -1, if version < 13 { UnknownTopicOrPartition } else { UnknownTopicId }),
        ];
        if 9 <= version {
            asked.push(("t", self.id, 0, 0, self.epoch - 1, FencedLeaderEpoch));
            asked.push(("t", self.id, 0, 0, LATER, UnknownLeaderEpoch));
        }
        for (topic, id, partition, offset, epoch, code) in asked {
            let partition = fetch::FetchPartition {
                partition,
                fetch_offset: offset,
                current_leader_epoch: epoch,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            };
            let topics = vec![fetch::FetchTopic { topic: topic.into(), topic_id: id, partitions: vec![partition] }];
            // Committed records only, in a session.
            let session_epoch = if version < 7 { -1 } else { 0 };
            let request = FetchRequest { isolation_level: 1, session_epoch, topics, ..Default::default() };
            let answer = self.ask(version, &request).await;
            let found = &answer.responses[0].partitions[0];
            assert_eq!(found.error_code, code, "{topic}, version {version}");
            assert_eq!(matches!(&found.records, Payload::Bytes(bytes) if !bytes.is_empty()), code == None);
            assert_eq!(found.aborted_transactions.is_some(), code == None && 4 <= version);
            let tells_leader = 16 <= version && matches!(code, NotLeaderOrFollower | FencedLeaderEpoch);
            assert_eq!(found.current_leader != Default::default(), tells_leader, "{topic}, version {version}");
            if 7 <= version {
                assert_ne!(answer.session_id, 0);
                let next = FetchRequest { session_id: answer.session_id, session_epoch: 1, ..Default::default() };
                let news = self.ask(version, &next).await;
                assert_eq!(news.error_code, None);
                let closed = FetchRequest { session_id: answer.session_id, session_epoch: -1, ..Default::default() };
                assert_eq!(self.ask(version, &closed).await.error_code, None);
                assert_eq!(self.ask(version, &next).await.error_code, FetchSessionIdNotFound);
            }
        }
    }

    pub(super) async fn list_offsets(&mut self, version: i16) {
        let mut asked = vec![
            ("t", -1, -1, None),
            ("t", -2, -1, None),
            ("t", 0, -1, None),
            ("t", i64::MAX, -1, None),
            ("t", -99, -1, UnsupportedVersion),
            ("nowhere", -1, -1, UnknownTopicOrPartition),
            ("elsewhere", -1, -1, NotLeaderOrFollower),
        ];
        for (timestamp, since) in [(-3, 7), (-4, 8), (-5, 9)] {
            asked.push(("t", timestamp, -1, if since <= version { None } else { UnsupportedVersion }));
        }
        if 4 <= version {
            asked.push(("t", -1, self.epoch - 1, FencedLeaderEpoch));
            asked.push(("t", -1, LATER, UnknownLeaderEpoch));
        }
        for (topic, timestamp, current_leader_epoch, code) in asked {
            let partition =
                list_offsets::ListOffsetsPartition { timestamp, current_leader_epoch, ..Default::default() };
            let topics = vec![list_offsets::ListOffsetsTopic { name: topic.into(), partitions: vec![partition] }];
            let request = ListOffsetsRequest { replica_id: -1, isolation_level: i8::from(2 <= version), topics };
            let answer = self.ask(version, &request).await;
            assert_eq!(answer.topics[0].partitions[0].error_code, code, "{topic} at {timestamp}, version {version}");
            let offsets = answer.topics[0].partitions[0].old_style_offsets.len();
            let some = [LATEST, EARLIEST, i64::MAX].contains(&timestamp);
            assert!(
                timestamp == 0 || (offsets == 1) == (version == 0 && code == None && some),
                "{topic} at {timestamp}"
            );
        }
    }

    pub(super) async fn offset_for_leader_epoch(&mut self, version: i16) {
        let mut asked = vec![
            ("t", self.epoch, -1, None),
            ("t", LATER, -1, None),
            ("nowhere", 0, -1, UnknownTopicOrPartition),
            ("elsewhere", 0, -1, NotLeaderOrFollower),
        ];
        if 2 <= version {
            asked.push(("t", 0, self.epoch - 1, FencedLeaderEpoch));
            asked.push(("t", 0, LATER, UnknownLeaderEpoch));
        }
        for (topic, leader_epoch, current_leader_epoch, code) in asked {
            let partition =
                offset_for_leader_epoch::OffsetForLeaderPartition { partition: 0, current_leader_epoch, leader_epoch };
            let topics = vec![offset_for_leader_epoch::OffsetForLeaderTopic {
                topic: topic.into(),
                partitions: vec![partition],
            }];
            let answer = self.ask(version, &OffsetForLeaderEpochRequest { topics, ..Default::default() }).await;
            assert_eq!(answer.topics[0].partitions[0].error_code, code, "{topic}, version {version}");
        }
    }
}
