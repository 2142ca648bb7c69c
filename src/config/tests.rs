//! The table, DescribeConfigs and AlterConfigs against what a real Kafka 3.9.1 said (`fixtures/`).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{BrokerId, ErrorCode};

use super::key::{Importance, Key, Status, Update, Valid};
use super::*;

const KEYS: &str = include_str!("fixtures/kafka-3.9-keys.txt");
const DESCRIBED: &str = include_str!("fixtures/kafka-3.9-describe.txt");
const ALTERED: &str = include_str!("fixtures/kafka-3.9-alter.txt");

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// A key as the fixture writes it, with Kafka's default where ours is another.
fn as_kafka(scope: &str, key: &Key) -> String {
    let valid = match key.valid {
        Valid::Any => String::new(),
        Valid::AtLeast(least) => format!("[{least},...]"),
        Valid::Between(least, most) => format!("[{least},...,{most}]"),
        Valid::BetweenDoubles(least, most) => format!("[{least},...,{most}]"),
        Valid::OneOf(texts) => format!("[{}]", texts.join(", ")),
        Valid::OneOfAnyCase(texts) => format!("(case insensitive) [{}]", texts.join(", ")),
        Valid::NonEmpty => "non-empty string".to_owned(),
        Valid::GzipLevel => "[1,...,9] or -1".to_owned(),
        Valid::ThrottledReplicas => "[partitionId]:[brokerId],[partitionId]:[brokerId],...".to_owned(),
        Valid::KafkaVersion => "[kafka version]".to_owned(),
    };
    let importance = match key.importance {
        Importance::High => "HIGH",
        Importance::Medium => "MEDIUM",
        Importance::Low => "LOW",
    };
    let mode = match key.update {
        Update::ReadOnly => "read-only",
        Update::PerBroker => "per-broker",
        Update::ClusterWide => "cluster-wide",
    };
    let default = key.kafka_default.map_or(key.default, |(kafka, _)| Some(kafka)).unwrap_or("<null>");
    let internal = if key.internal { "internal" } else { "" };
    [scope, key.name, key.kind.name(), default, &valid, importance, mode, internal].join("|")
}

#[test]
fn the_table_holds_every_key_of_kafka_as_kafka_has_it() {
    let ours = |name: &str| name.starts_with("dohle.") || matches!(name, "log.durability" | "durability");
    let brokers = table::broker_keys().filter(|key| !ours(key.name) && !key.only_dynamic);
    let topics = table::TOPIC.iter().filter(|key| !ours(key.name));
    let have: BTreeSet<_> =
        brokers.map(|key| as_kafka("broker", key)).chain(topics.map(|key| as_kafka("topic", key))).collect();
    // These two are not said by the table: an empty class name counts as none, and -1 stands for another key's value.
    let same = |line: &str| {
        let line = line.replace("|non-null string|", "||").replace("|non-empty list|", "||");
        match line.split_once("|The default value of -1") {
            Some((head, tail)) => format!("{head}|[-1,...]{}", &tail[tail.find("10.").expect("its end") + 3..]),
            None => line,
        }
    };
    let kafka: BTreeSet<_> = lines(KEYS).map(same).collect();
    let missing: Vec<_> = kafka.difference(&have).collect();
    let wrong: Vec<_> = have.difference(&kafka).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "Kafka has {missing:#?}\nwe have {wrong:#?}");
    assert_eq!(kafka.len(), 328 + 36);
}

#[test]
fn the_table_is_sound() {
    let mut names = BTreeSet::new();
    for key in table::broker_keys() {
        assert!(names.insert(key.name), "{} stands there twice", key.name);
    }
    for key in table::broker_keys().chain(table::TOPIC) {
        drop(key.default_value());
        assert!(key.documentation().ends_with('.'), "{}: {}", key.name, key.documentation());
        let (shown, again) = (key.default_value().map(|value| value.to_string()), key.default.map(str::to_owned));
        assert_eq!(shown.filter(|_| !key.is_sensitive()), again, "{}: a default reads back as written", key.name);
    }
    let is_number = |key: &&Key| matches!(key.kind, Type::Int | Type::Long | Type::Short);
    let no_unit = table::broker_keys().chain(table::TOPIC).filter(is_number).filter(|key| key.unit.is_none());
    let counts = |key: &&Key| !["id", "level", "codec"].iter().any(|end| key.name.ends_with(end));
    let lacking: Vec<_> = no_unit.filter(counts).map(|key| key.name).collect();
    assert!(lacking.is_empty(), "numbers without a unit: {lacking:?}");
    for key in table::TOPIC {
        assert!(key.status != Status::Refused, "{}: refused by rule, not by the table", key.name);
        if let Some(name) = key.broker_key {
            let broker = table::broker_key(name).expect(name);
            assert_eq!(
                (broker.kind, broker.valid == key.valid || broker.valid == Valid::Any),
                (key.kind, true),
                "{name}"
            );
        }
    }
}

/// What the fixture's broker had in its layers.
fn fixture_layers() -> Layers {
    let settings =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let broker = section("the broker");
    let of_file = broker.iter().flat_map(|line| line.rsplit('|').next().into_iter().flat_map(|all| all.split(' ')));
    let of_file = of_file.filter_map(|synonym| synonym.strip_prefix("4:")?.split_once('='));
    Layers {
        from_file: of_file.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        dynamic_default: settings(&[
            ("log.retention.ms", "360000"),
            ("max.connections", "700"),
            ("min.insync.replicas", "2"),
            ("leader.replication.throttled.rate", "5"),
        ]),
        dynamic_broker: settings(&[
            ("log.retention.ms", "720000"),
            ("max.connections", "800"),
            ("follower.replication.throttled.rate", "9"),
            ("listener.name.plaintext.max.connections", "55"),
        ]),
    }
}

fn section(title: &str) -> Vec<&'static str> {
    let from = lines(DESCRIBED).skip_while(move |line| line.strip_prefix("== ") != Some(title)).skip(1);
    from.take_while(|line| !line.starts_with("== ")).collect()
}

/// An answer as the fixture writes it.
fn as_fixture(described: &Described) -> String {
    let synonym = |synonym: &Synonym| {
        let value = synonym.value.as_deref().unwrap_or("null");
        format!("{}:{}={value}", synonym.source.code(), synonym.name)
    };
    let kind = described.key.map_or("UNKNOWN", |key| key.kind.name());
    let flags =
        [if described.is_sensitive { "S" } else { "-" }, if described.is_read_only { "R" } else { "-" }].concat();
    let synonyms: Vec<_> = described.synonyms.iter().map(synonym).collect();
    let value = described.value.as_deref().unwrap_or("null");
    let source = described.source.code();
    format!("{}|{value}|{source}|{kind}|{flags}|{}", described.name, synonyms.join(" "))
}

/// Where our default is another on purpose, Kafka's is put in its place; our own keys are left out.
fn compare(described: &[Described], title: &str) {
    let mut have: Vec<_> = described
        .iter()
        .filter(|one| !one.name.starts_with("dohle.") && !one.name.ends_with("durability"))
        .map(|one| {
            let line = as_fixture(one);
            match one.key.and_then(|key| Some((key.default?, key.kafka_default?.0))) {
                Some((ours, kafka)) => line.replace(ours, kafka),
                None => line,
            }
        })
        .collect();
    let have: BTreeSet<_> = have.drain(..).collect();
    let kafka: BTreeSet<_> = section(title).into_iter().map(str::to_owned).collect();
    let missing: Vec<_> = kafka.difference(&have).collect();
    let extra: Vec<_> = have.difference(&kafka).collect();
    assert!(missing.is_empty() && extra.is_empty(), "{title}: Kafka says {missing:#?}, we say {extra:#?}");
}

#[test]
fn describing_says_what_kafka_says() {
    let layers = fixture_layers();
    let fixed = Layers { from_file: layers.from_file.clone(), ..Layers::default() };
    compare(&describe_topic(&fixed, &Settings::new()), "a topic without settings, before any dynamic one");
    let own = Settings::from([("segment.ms".to_owned(), "99999".to_owned())]);
    compare(&describe_topic(&layers, &own), "the topic with segment.ms=99999");
    compare(&describe_broker(&layers), "the broker");
    compare(&describe_broker_defaults(&layers), "the default of all brokers");
}

#[test]
fn our_own_keys_are_described_too() {
    let own = Settings::from([("durability".to_owned(), "page-cache".to_owned())]);
    let all = describe_topic(&Layers::default(), &own);
    let durability = all.iter().find(|one| one.name == "durability").expect("described");
    assert_eq!(
        as_fixture(durability),
        "durability|page-cache|1|STRING|--|1:durability=page-cache 5:log.durability=flushed"
    );
    assert_eq!(durability.type_code(), 2);
    assert!(durability.documentation().expect("documented").starts_with("What `acks=all` means"));
    let secret = Settings::from([("dohle.zookeeper.digest".to_owned(), "me:secret".to_owned())]);
    let all = describe_broker(&Layers { from_file: secret, ..Layers::default() });
    assert!(!format!("{all:?}").contains("me:secret"), "a secret is not told");
}

/// Answers of ours that are not Kafka's, and why.
const ON_PURPOSE: &[(&str, &str, ErrorCode)] = &[
    ("APPEND\tunknown.key", "Kafka trips over it: UNKNOWN_SERVER_ERROR", ErrorCode::InvalidConfig),
    ("SUBTRACT\tunknown.key", "Kafka trips over it: UNKNOWN_SERVER_ERROR", ErrorCode::InvalidConfig),
    ("APPEND\tfoo.bar", "Kafka trips over it: UNKNOWN_SERVER_ERROR", ErrorCode::InvalidConfig),
    ("SET\tfoo.bar", "Kafka keeps any key for plugins; here it is a slip of the pen", ErrorCode::InvalidRequest),
    ("SET\tnum.io.threads", "Kafka lets a pool at most double or halve at once", ErrorCode::None),
    ("SET\tnum.recovery.threads", "Kafka lets a pool at most double or halve at once", ErrorCode::None),
    ("SET\tlog.cleaner.threads", "Kafka lets a pool at most double at once", ErrorCode::None),
    ("APPEND\tmetric.reporters", "Kafka tries to load the class", ErrorCode::None),
    ("SET\tsasl.jaas.config", "no passwords in ZooKeeper, not even when only validating", ErrorCode::InvalidConfig),
];

#[test]
fn altering_answers_what_kafka_answers() {
    let layers = Layers::default();
    let mut seen = 0;
    for line in lines(ALTERED) {
        let mut fields = line.split('\t');
        let mut field = || fields.next().expect("six fields");
        let (scope, operation, name, value, code, message) = (field(), field(), field(), field(), field(), field());
        let code = ErrorCode::ALL.iter().find(|known| known.name() == code).copied().expect(code);
        let operation = match operation {
            "SET" => Operation::Set,
            "DELETE" => Operation::Delete,
            "APPEND" => Operation::Append,
            _ => Operation::Subtract,
        };
        let value = (value != "null").then(|| value.to_owned());
        let changes = [Change { name: name.to_owned(), operation, value }];
        let result = match scope {
            "topic" => alter_topic("t", &Settings::new(), Wanted::Changed(&changes), &layers),
            "broker" => alter_broker(BrokerScope::ThisBroker, Wanted::Changed(&changes), &layers),
            _ => alter_broker(BrokerScope::Default, Wanted::Changed(&changes), &layers),
        };
        let (got, words) = match result {
            Ok(_) => (ErrorCode::None, String::new()),
            Err(refusal) => (refusal.code, refusal.message),
        };
        seen += 1;
        let on_purpose = ON_PURPOSE.iter().find(|(start, ..)| line.contains(&format!("\t{start}")));
        if let Some((_, _, ours)) = on_purpose.filter(|_| got != code) {
            assert_eq!(got, *ours, "{line}\n{words}");
            continue;
        }
        assert_eq!(got, code, "{line}\n{words}");
        // Rules between keys are told in words of ours, with every key that is concerned.
        if !message.starts_with("requirement failed") && on_purpose.is_none() {
            assert_eq!(words, message, "{line}");
        }
    }
    assert_eq!(seen, 113);
}

fn change(operation: Operation, name: &str, value: &str) -> Change {
    Change { name: name.to_owned(), operation, value: Some(value.to_owned()) }
}

fn pairs(settings: &Settings) -> Vec<(&str, &str)> {
    settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn changes_are_made_to_what_is_there() {
    use Operation::{Append, Delete, Set, Subtract};
    let now = Settings::from([("retention.ms".to_owned(), "5".to_owned()), ("flush.ms".to_owned(), "7".to_owned())]);
    let altered = |changes: &[Change]| alter_topic("t", &now, Wanted::Changed(changes), &Layers::default());
    let changes = [
        change(Set, "flush.ms", "8"),
        change(Delete, "retention.ms", ""),
        change(Append, "cleanup.policy", "compact,delete"),
        change(Set, "segment.bytes", "100"),
    ];
    let settings = altered(&changes).expect("legal");
    assert_eq!(pairs(&settings), [("cleanup.policy", "delete,compact"), ("flush.ms", "8"), ("segment.bytes", "100")]);
    let settings = altered(&[change(Subtract, "cleanup.policy", "delete")]).expect("legal");
    assert_eq!(settings.get("cleanup.policy").map(String::as_str), Some(""));

    let exactly = [("segment.ms".to_owned(), Some("9".to_owned()))];
    let settings = alter_topic("t", &now, Wanted::Exactly(&exactly), &Layers::default()).expect("legal");
    assert_eq!(pairs(&settings), [("segment.ms", "9")]);
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    use Operation::Set;
    let refused = |changes: &[Change]| {
        alter_topic("t", &Settings::new(), Wanted::Changed(changes), &Layers::default())
            .expect_err("refused")
            .to_string()
    };
    let twice = [change(Set, "retention.ms", "1"), change(Set, "retention.ms", "2")];
    assert_eq!(refused(&twice), "INVALID_REQUEST: Error due to duplicate config keys");
    let conflict = [change(Set, "min.compaction.lag.ms", "10"), change(Set, "max.compaction.lag.ms", "5")];
    assert_eq!(
        refused(&conflict),
        "INVALID_CONFIG: conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
    );
    let null = [("retention.ms".to_owned(), None)];
    let refusal = alter_topic("t", &Settings::new(), Wanted::Exactly(&null), &Layers::default()).expect_err("null");
    assert_eq!(refusal.to_string(), "INVALID_REQUEST: Null value not supported for : retention.ms");
    let refusal = new_topic(&null, &Layers::default()).expect_err("null");
    assert_eq!(refusal.to_string(), "INVALID_CONFIG: Null value not supported for topic configs: retention.ms");
    let bad = [("retention.ms".to_owned(), Some("x".to_owned()))];
    let refusal = new_topic(&bad, &Layers::default()).expect_err("no number");
    assert_eq!(
        refusal.to_string(),
        "INVALID_CONFIG: Invalid value x for configuration retention.ms: Not a number of type LONG"
    );
    let refusal = alter_topic("", &Settings::new(), Wanted::Changed(&[]), &Layers::default()).expect_err("no name");
    assert_eq!(refusal.code, ErrorCode::InvalidRequest);
    assert_eq!(Operation::from_code(4).expect_err("no such operation").code, ErrorCode::InvalidRequest);
}

#[test]
fn a_brokers_resource_is_itself_or_all() {
    let scope = |name| broker_scope(name, BrokerId(3)).map_err(|refusal| refusal.message);
    assert_eq!(scope(""), Ok(BrokerScope::Default));
    assert_eq!(scope("3"), Ok(BrokerScope::ThisBroker));
    assert_eq!(scope("4"), Err("Unexpected broker id, expected 3, but received 4".to_owned()));
    assert_eq!(scope("x"), Err("Node id must be an integer, but it is: x".to_owned()));
}

#[test]
fn a_dynamic_setting_hides_every_name_of_a_static_one() {
    let mut layers = load("log.retention.hours=1\nmax.connections=5", &[]).expect("legal").layers;
    layers.dynamic_default.insert("log.retention.ms".to_owned(), "10".to_owned());
    layers.dynamic_default.insert("max.connections".to_owned(), "6".to_owned());
    layers.dynamic_broker.insert("max.connections".to_owned(), "7".to_owned());
    let effective = layers.effective();
    assert_eq!(pairs(&effective), [("log.retention.ms", "10"), ("max.connections", "7")]);
    assert_eq!(BrokerConfig::of(&effective).expect("legal").connections.max, 7);
}

#[test]
fn bad_settings_in_zookeeper_are_left_out_and_told() {
    let stored =
        [("broker.id", "9"), ("max.connections", "x"), ("num.io.threads", "3"), ("listeners", "PLAINTEXT://:1")];
    let stored: Settings = stored.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (good, told) = usable(BrokerScope::Default, &stored);
    assert_eq!(pairs(&good), [("num.io.threads", "3")]);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(pairs(&usable(BrokerScope::ThisBroker, &stored).0).len(), 2);
}

#[test]
fn values_are_shown_as_java_shows_them() {
    let ratio = |text: &str| {
        let key = table::broker_key("log.cleaner.io.max.bytes.per.second").expect("a double");
        key.parse(text).expect("a number").to_string()
    };
    let cases: BTreeMap<_, _> = [
        ("0", "0.0"),
        ("1", "1.0"),
        ("0.5", "0.5"),
        ("1e7", "1.0E7"),
        ("12345678.5", "1.23456785E7"),
        ("0.001", "0.001"),
        ("0.00012", "1.2E-4"),
        ("-9999999", "-9999999.0"),
        ("1.7976931348623157E308", "1.7976931348623157E308"),
    ]
    .into();
    for (text, shown) in cases {
        assert_eq!(ratio(text), shown);
    }
}
