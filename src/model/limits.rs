//! Every bound of the broker that is not a setting, with its reason (law 11). Settings with a default live in `config`.

/// Longest topic name, in bytes: with `-<partition>.<32 hex>-delete` behind it, it still fits a file name of 255.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Partitions one topic may have. A request names the number in four bytes; Kafka 3.9 builds the assignment of 2³¹−1
/// partitions before it looks, and is away for minutes. The largest clusters published run 200,000 in all.
pub const PARTITIONS_PER_TOPIC_MAX: i32 = 100_000;

/// Requests one connection may have unanswered before its socket is no longer read. Java producers default to 5 in
/// flight, librdkafka to a million that it never reaches; more would only wait in our memory.
pub const REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX: usize = 128;

/// Longest answer that a broker takes from another one: `replica.fetch.response.max.bytes` and one batch of
/// `message.max.bytes` beyond it, with much room for operators who raised both.
pub const PEER_ANSWER_BYTES_MAX: usize = 128 << 20;

/// Bytes of converted records in one answer to a client that fetches in an old format: they lie in memory until they are sent. Such
/// clients mostly ask for a megabyte of each of a few partitions, and ask again at once for what was left out.
pub const CONVERTED_ANSWER_BYTES_MAX: usize = 16 << 20;

/// Bytes that the batches of one produce request in an old format may become: small requests, compressed well, could grow a thousand
/// times where a topic stores them uncompressed.
pub const CONVERTED_REQUEST_BYTES_MAX: usize = 128 << 20;

/// Tagged fields one struct of a message may have; more is a malformed request. Kafka's own messages have at most 10.
pub const TAGGED_FIELDS_MAX: u32 = 64;

/// Elements reserved in memory before they were seen: an array grows beyond it only as its elements arrive.
pub const PREALLOCATED_ELEMENTS_MAX: usize = 1_024;
