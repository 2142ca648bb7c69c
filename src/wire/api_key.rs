//! Which requests there are, in which versions, and which header goes in front of each.
//!
//! Source: Kafka 3.9, the message schemas' `apiKey`, `validVersions` and `flexibleVersions`; KIP-482 for the headers.

use std::fmt;
use std::ops::RangeInclusive;

macro_rules! api_keys {
    ($($key:literal $name:ident $versions:expr, $flexible:expr;)*) => {
        /// What a request asks for. Displays as Kafka names it, for instance `OffsetForLeaderEpoch`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(i16)]
        #[expect(missing_docs, reason = "each name is documented at its request, in `wire::message`")]
        pub enum ApiKey {
            $($name = $key,)*
        }

        impl ApiKey {
            /// Every key that the codec knows, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The API with this number, if the codec knows it.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$name => $key,)*
                }
            }

            /// Kafka's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The versions that the codec can read and write. Which of them a broker offers is its own decision.
            #[must_use]
            pub const fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $(Self::$name => $versions,)*
                }
            }

            /// The first version with compact lengths and tagged fields (KIP-482), if there is one.
            #[must_use]
            pub const fn flexible_from(self) -> Option<i16> {
                match self {
                    $(Self::$name => $flexible,)*
                }
            }
        }
    };
}

api_keys! {
    0 Produce 0..=11, Some(9);
    1 Fetch 0..=17, Some(12);
    2 ListOffsets 0..=9, Some(6);
    3 Metadata 0..=12, Some(9);
    4 LeaderAndIsr 0..=7, Some(4);
    5 StopReplica 0..=4, Some(2);
    6 UpdateMetadata 0..=8, Some(6);
    7 ControlledShutdown 0..=3, Some(3);
    8 OffsetCommit 0..=9, Some(8);
    9 OffsetFetch 0..=9, Some(6);
    10 FindCoordinator 0..=6, Some(3);
    11 JoinGroup 0..=9, Some(6);
    12 Heartbeat 0..=4, Some(4);
    13 LeaveGroup 0..=5, Some(4);
    14 SyncGroup 0..=5, Some(4);
    15 DescribeGroups 0..=5, Some(5);
    16 ListGroups 0..=5, Some(3);
    17 SaslHandshake 0..=1, None;
    18 ApiVersions 0..=4, Some(3);
    19 CreateTopics 0..=7, Some(5);
    20 DeleteTopics 0..=6, Some(4);
    21 DeleteRecords 0..=2, Some(2);
    22 InitProducerId 0..=5, Some(2);
    23 OffsetForLeaderEpoch 0..=4, Some(4);
    24 AddPartitionsToTxn 0..=5, Some(3);
    25 AddOffsetsToTxn 0..=4, Some(3);
    26 EndTxn 0..=4, Some(3);
    27 WriteTxnMarkers 0..=1, Some(1);
    28 TxnOffsetCommit 0..=4, Some(3);
    29 DescribeAcls 0..=3, Some(2);
    30 CreateAcls 0..=3, Some(2);
    31 DeleteAcls 0..=3, Some(2);
    32 DescribeConfigs 0..=4, Some(4);
    33 AlterConfigs 0..=2, Some(2);
    34 AlterReplicaLogDirs 0..=2, Some(2);
    35 DescribeLogDirs 0..=4, Some(2);
    36 SaslAuthenticate 0..=2, Some(2);
    37 CreatePartitions 0..=3, Some(2);
    38 CreateDelegationToken 0..=3, Some(2);
    39 RenewDelegationToken 0..=2, Some(2);
    40 ExpireDelegationToken 0..=2, Some(2);
    41 DescribeDelegationToken 0..=3, Some(2);
    42 DeleteGroups 0..=2, Some(2);
    43 ElectLeaders 0..=2, Some(2);
    44 IncrementalAlterConfigs 0..=1, Some(1);
    45 AlterPartitionReassignments 0..=0, Some(0);
    46 ListPartitionReassignments 0..=0, Some(0);
    47 OffsetDelete 0..=0, None;
    48 DescribeClientQuotas 0..=1, Some(1);
    49 AlterClientQuotas 0..=1, Some(1);
    50 DescribeUserScramCredentials 0..=0, Some(0);
    51 AlterUserScramCredentials 0..=0, Some(0);
    56 AlterPartition 0..=3, Some(0);
    57 UpdateFeatures 0..=1, Some(0);
    58 Envelope 0..=0, Some(0);
    60 DescribeCluster 0..=1, Some(0);
    61 DescribeProducers 0..=0, Some(0);
    65 DescribeTransactions 0..=0, Some(0);
    66 ListTransactions 0..=1, Some(0);
    67 AllocateProducerIds 0..=0, Some(0);
    68 ConsumerGroupHeartbeat 0..=1, Some(0);
    69 ConsumerGroupDescribe 0..=1, Some(0);
}

impl ApiKey {
    /// Whether `version` has compact lengths and tagged fields.
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        match self.flexible_from() {
            Some(first) => first <= version,
            None => false,
        }
    }

    /// Version of the header in front of a request: 0 has no client id (only ControlledShutdown 0, from before there were
    /// client ids), 1 has one, 2 has tagged fields too.
    #[must_use]
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) {
            2
        } else if matches!(self, Self::ControlledShutdown) && version == 0 {
            0
        } else {
            1
        }
    }

    /// Version of the header in front of a response: 1 has tagged fields. ApiVersions always answers with 0, since its
    /// reader may not know yet that there is another (KIP-511).
    #[must_use]
    pub const fn response_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) && !matches!(self, Self::ApiVersions) { 1 } else { 0 }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_numbers_are_one_to_one() {
        for &key in ApiKey::ALL {
            assert_eq!(ApiKey::from_code(key.code()), Some(key));
        }
        assert_eq!(ApiKey::ALL.len(), 62, "keys 0-51, 56-58, 60, 61, 65-69");
        for unknown in [-1, 52, 59, 62, i16::MIN, i16::MAX] {
            assert_eq!(ApiKey::from_code(unknown), None);
        }
    }

    #[test]
    fn two_apis_have_headers_of_their_own() {
        let headers =
            |key: ApiKey, version| (key.request_header_version(version), key.response_header_version(version));
        assert_eq!(headers(ApiKey::Fetch, 11), (1, 0));
        assert_eq!(headers(ApiKey::Fetch, 12), (2, 1));
        assert_eq!(headers(ApiKey::ApiVersions, 3), (2, 0));
        assert_eq!(headers(ApiKey::ControlledShutdown, 0), (0, 0));
        assert_eq!(headers(ApiKey::ControlledShutdown, 1), (1, 0));
        assert_eq!(headers(ApiKey::ControlledShutdown, 3), (2, 1));
        assert_eq!(headers(ApiKey::SaslHandshake, 1), (1, 0));
    }
}
