//! What a person may write, and what is said to the rest.

use super::*;
use crate::client::consumer::Isolation;
use crate::client::producer::Acks;
use crate::wire::record::Codec;

const SERVERS: (&str, &str) = ("bootstrap.servers", "a:1,b:2");

fn producer(more: &[(&str, &str)]) -> Result<ProducerConfig, String> {
    let pairs = [SERVERS].into_iter().chain(more.iter().copied());
    ProducerConfig::new(pairs).map_err(|error| error.to_string())
}

fn consumer(more: &[(&str, &str)]) -> Result<ConsumerConfig, String> {
    let pairs = [SERVERS].into_iter().chain(more.iter().copied());
    ConsumerConfig::new(pairs).map_err(|error| error.to_string())
}

#[test]
fn nothing_given_is_kafkas_defaults() {
    let config = producer(&[]).expect("defaults");
    assert_eq!((config.acks, config.idempotent, config.compression.codec), (Acks::All, true, Codec::None));
    assert_eq!((config.batch_bytes, config.buffer_bytes, config.request_bytes_max), (16384, 32 << 20, 1 << 20));
    assert_eq!((config.linger, config.delivery_timeout), (Duration::ZERO, Duration::from_secs(120)));
    assert_eq!((config.in_flight_max, config.retries), (5, i32::MAX.unsigned_abs()));
    assert_eq!(config.common.bootstrap.addresses().len(), 2);
    let config = consumer(&[("group.id", "g")]).expect("defaults");
    assert_eq!((config.isolation, config.offset_reset), (Isolation::ReadUncommitted, OffsetReset::Latest));
    assert_eq!((config.fetch_bytes_max, config.partition_bytes_max), (50 << 20, 1 << 20));
    let membership = config.membership.expect("a group");
    assert_eq!(membership.assignors, [AssignorName::Range, AssignorName::CooperativeSticky]);
    assert_eq!(membership.commit_interval, Some(Duration::from_secs(5)));
    assert_eq!(consumer(&[]).expect("defaults").membership, None);
    assert!(AdminConfig::new([SERVERS]).is_ok());
}

#[test]
fn a_wrong_key_is_told_with_the_nearest() {
    let said = |key| producer(&[(key, "1")]).expect_err(key);
    assert_eq!(said("lingr.ms"), "a producer has no key 'lingr.ms': did you mean 'linger.ms'?");
    assert_eq!(said("nonsense"), "a producer has no key 'nonsense'");
    assert_eq!(said("group.id"), "'group.id' is a key of a consumer, not of a producer");
    assert_eq!(said("transactional.id"), "Kafka's key 'transactional.id' is not implemented in this client");
    assert_eq!(
        said("ssl.truststore.location"),
        "Kafka's key 'ssl.truststore.location' is not implemented in this client"
    );
    assert_eq!(
        said("key.serializer"),
        "Kafka's key 'key.serializer' is not implemented in this client: it names what only Java has"
    );
    assert!(producer(&[("security.protocol", "PLAINTEXT")]).is_ok(), "the default changes nothing");
    assert!(producer(&[("security.protocol", "SSL")]).is_err());
}

#[test]
fn a_bad_value_is_told_with_key_value_and_bounds() {
    assert_eq!(
        producer(&[("batch.size", "-1")]).expect_err("too small"),
        "Invalid value -1 for configuration batch.size: Value must be at least 0; it takes a 32-bit number, at least 0"
    );
    assert_eq!(
        producer(&[("acks", "2")]).expect_err("no such"),
        "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1; it takes one of all, -1, 0, 1"
    );
    assert_eq!(
        producer(&[("bootstrap.servers", "nowhere")]).expect_err("no port"),
        "Invalid value nowhere for configuration bootstrap.servers: 'nowhere' is not HOST:PORT, for instance \
         localhost:9092; it takes HOST:PORT, several with commas between them"
    );
    assert!(consumer(&[("group.id", "g"), ("partition.assignment.strategy", "rnage")]).is_err());
    assert!(ProducerConfig::new([("acks", "all")]).is_err(), "nobody to ask");
    assert_eq!(pairs(["a"]).expect_err("no value"), ConfigError::Shape("a".to_owned()));
    assert_eq!(pairs(["a=b=c"]), Ok(vec![("a".to_owned(), "b=c".to_owned())]));
}

#[test]
fn values_that_do_not_go_together() {
    assert!(!producer(&[("acks", "1")]).expect("the default gives way").idempotent);
    assert!(!producer(&[("retries", "0")]).expect("the default gives way").idempotent);
    assert_eq!(
        producer(&[("acks", "1"), ("enable.idempotence", "true")]).expect_err("both given"),
        "enable.idempotence=true needs acks=all"
    );
    assert!(producer(&[("max.in.flight.requests.per.connection", "6")]).is_err());
    assert!(producer(&[("max.in.flight.requests.per.connection", "6"), ("enable.idempotence", "false")]).is_ok());
    assert!(producer(&[("delivery.timeout.ms", "1000")]).is_err());
    let grown = producer(&[("linger.ms", "100000")]).expect("the default gives way");
    assert_eq!(grown.delivery_timeout, Duration::from_secs(130));
    assert!(consumer(&[("group.id", "g"), ("heartbeat.interval.ms", "45000")]).is_err());
}

#[test]
fn levels_go_with_their_codec() {
    let of = |pairs: &[(&str, &str)]| producer(pairs).expect("levels").compression;
    assert_eq!(of(&[("compression.type", "gzip")]).level, None);
    assert_eq!(of(&[("compression.type", "zstd"), ("compression.zstd.level", "-5")]).level, Some(-5));
    assert!(producer(&[("compression.gzip.level", "0")]).is_err());
    // Lz4 has one level here; to ask for Kafka's default is to ask for nothing.
    assert!(producer(&[("compression.type", "lz4"), ("compression.lz4.level", "9")]).is_ok());
    assert!(producer(&[("compression.type", "lz4"), ("compression.lz4.level", "12")]).is_err());
}

#[test]
fn each_protocol_of_groups_has_keys_of_its_own() {
    let of = |more: &[(&str, &str)]| {
        let pairs = [("group.id", "g")].into_iter().chain(more.iter().copied()).collect::<Vec<_>>();
        consumer(&pairs).map(|config| config.membership.expect("a group").protocol)
    };
    assert_eq!(of(&[]), Ok(GroupProtocol::Classic));
    assert_eq!(of(&[("group.protocol", "Consumer")]), Ok(GroupProtocol::Consumer { assignor: None }));
    let assignor = Some("range".to_owned());
    assert_eq!(
        of(&[("group.protocol", "consumer"), ("group.remote.assignor", "range")]),
        Ok(GroupProtocol::Consumer { assignor })
    );
    for (key, value) in
        [("session.timeout.ms", "45000"), ("heartbeat.interval.ms", "3000"), ("partition.assignment.strategy", "range")]
    {
        let said = of(&[("group.protocol", "consumer"), (key, value)]).expect_err("even at its default");
        assert_eq!(said, format!("{key} cannot be set when group.protocol=consumer"));
    }
    assert_eq!(
        of(&[("group.remote.assignor", "range")]).expect_err("the leader assigns"),
        "group.remote.assignor cannot be set when group.protocol=classic"
    );
}
