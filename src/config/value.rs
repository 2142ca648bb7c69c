//! Text to value and back, as Kafka's `ConfigDef` does it.
//!
//! *Invariant*: every error is worded as Kafka words it, because clients and scripts match on it.
//! *Does not know*: where the text came from.

use std::fmt;

use super::key::{Key, Type, Valid};

/// The value of a key.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Of a boolean key.
    Boolean(bool),
    /// Of an int, short or long key.
    Number(i64),
    /// Of a double key.
    Double(f64),
    /// Of a string or class key.
    Text(String),
    /// Of a list key.
    List(Vec<String>),
    /// Of a password key.
    Password(Secret),
}

/// A text that must not be shown: neither `Display` nor a telling `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for the one who needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl fmt::Display for Value {
    /// As DescribeConfigs shows it (`ConfigDef.convertToString`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(flag) => fmt::Display::fmt(flag, f),
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Double(number) => f.write_str(&java_double(*number)),
            Self::Text(text) => f.write_str(text),
            Self::List(elements) => f.write_str(&elements.join(",")),
            Self::Password(secret) => fmt::Debug::fmt(secret, f),
        }
    }
}

/// A value that a key does not take. Displays as Kafka's `ConfigException`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Invalid value {value} for configuration {key}: {reason}")]
pub struct BadValue {
    /// The key.
    pub key: &'static str,
    /// The value as it was given.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads `text` as a value of `key` and checks it.
pub(super) fn parse(key: &Key, text: &str) -> Result<Value, BadValue> {
    let text = text.trim();
    let refuse = |reason: String| BadValue { key: key.name, value: text.to_owned(), reason };
    let value = match key.kind {
        Type::Boolean => Value::Boolean(boolean(text).ok_or_else(|| refuse(NOT_BOOLEAN.to_owned()))?),
        Type::Int | Type::Short | Type::Long => Value::Number(
            number(key.kind, text).ok_or_else(|| refuse(format!("Not a number of type {}", key.kind.name())))?,
        ),
        Type::Double => {
            Value::Double(text.parse().map_err(|_| refuse(format!("Not a number of type {}", key.kind.name())))?)
        }
        Type::String | Type::Class => Value::Text(text.to_owned()),
        Type::List => Value::List(list(text)),
        Type::Password => Value::Password(Secret::new(text)),
    };
    check(key, &value).map(|()| value)
}

const NOT_BOOLEAN: &str = "Expected value to be either true or false";

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn number(kind: Type, text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    let (least, most) = match kind {
        Type::Short => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Type::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Type::Boolean | Type::String | Type::Long | Type::Double | Type::List | Type::Password | Type::Class => {
            (i64::MIN, i64::MAX)
        }
    };
    (least..=most).contains(&number).then_some(number)
}

/// The elements of a list: none in an empty text, otherwise what stands between the commas, empty ones too.
fn list(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(|element| element.trim().to_owned()).collect() }
}

/// Checks a value of the right type. The error shows the value as it was understood, as Kafka's does.
fn check(key: &Key, value: &Value) -> Result<(), BadValue> {
    let refuse = |shown: String, reason: String| Err(BadValue { key: key.name, value: shown, reason });
    let result = match (key.valid, value) {
        (Valid::AtLeast(least), Value::Number(number)) => at_least(*number, least),
        (Valid::Between(least, most), Value::Number(number)) => {
            at_least(*number, least).and_then(|()| no_more_than(*number, most))
        }
        (Valid::BetweenDoubles(least, most), Value::Double(number)) => {
            at_least(*number, least).and_then(|()| no_more_than(*number, most))
        }
        (Valid::OneOf(texts), Value::Text(text)) => one_of(texts, text),
        (Valid::OneOf(texts), Value::List(elements)) => {
            return elements.iter().try_for_each(|text| one_of(texts, text).or_else(|why| refuse(text.clone(), why)));
        }
        (Valid::OneOfAnyCase(texts), Value::Text(text)) => {
            let known = texts.iter().any(|known| known.eq_ignore_ascii_case(text));
            if known { Ok(()) } else { Err(format!("String must be one of (case insensitive): {}", texts.join(", "))) }
        }
        (Valid::NonEmpty, Value::Text(text)) if text.is_empty() => Err("String must be non-empty".to_owned()),
        (Valid::NonEmpty, Value::Password(secret)) if secret.reveal().is_empty() => {
            Err("String must be non-empty".to_owned())
        }
        (Valid::GzipLevel, Value::Number(level)) if *level != -1 && !(1..=9).contains(level) => {
            Err("Value must be between 1 and 9 or equal to -1".to_owned())
        }
        (Valid::ThrottledReplicas, Value::List(pairs)) => {
            return throttled_replicas(key, pairs).or_else(|why| refuse(format!("[{}]", pairs.join(", ")), why));
        }
        (Valid::KafkaVersion, Value::Text(text)) if !is_kafka_version(text) => {
            Err(format!("Version {text} is not a valid version"))
        }
        _ => Ok(()),
    };
    result.or_else(|why| refuse(value.to_string(), why))
}

fn at_least<N: PartialOrd + fmt::Display>(number: N, least: N) -> Result<(), String> {
    // Written so that a double that is no number is refused too.
    if least <= number { Ok(()) } else { Err(format!("Value must be at least {least}")) }
}

fn no_more_than<N: PartialOrd + fmt::Display>(number: N, most: N) -> Result<(), String> {
    if number <= most { Ok(()) } else { Err(format!("Value must be no more than {most}")) }
}

fn one_of(texts: &[&str], text: &str) -> Result<(), String> {
    if texts.contains(&text) { Ok(()) } else { Err(format!("String must be one of: {}", texts.join(", "))) }
}

fn throttled_replicas(key: &Key, pairs: &[String]) -> Result<(), String> {
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pair = |text: &String| {
        text.split_once(':').is_some_and(|(partition, broker)| all_digits(partition) && all_digits(broker))
    };
    match pairs {
        [all] if all == "*" => Ok(()),
        pairs if pairs.iter().all(pair) => Ok(()),
        _ => Err(format!(
            "{} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            key.name
        )),
    }
}

/// Versions of Kafka by which a format or protocol may be named (`MetadataVersion`). A release without `-IV` stands for
/// its last one.
const KAFKA_VERSIONS: &[&str] = &[
    "0.8.0",
    "0.8.1",
    "0.8.2",
    "0.9.0",
    "0.10.0-IV0",
    "0.10.0-IV1",
    "0.10.1-IV0",
    "0.10.1-IV1",
    "0.10.1-IV2",
    "0.10.2-IV0",
    "0.11.0-IV0",
    "0.11.0-IV1",
    "0.11.0-IV2",
    "1.0-IV0",
    "1.1-IV0",
    "2.0-IV0",
    "2.0-IV1",
    "2.1-IV0",
    "2.1-IV1",
    "2.1-IV2",
    "2.2-IV0",
    "2.2-IV1",
    "2.3-IV0",
    "2.3-IV1",
    "2.4-IV0",
    "2.4-IV1",
    "2.5-IV0",
    "2.6-IV0",
    "2.7-IV0",
    "2.7-IV1",
    "2.7-IV2",
    "2.8-IV0",
    "2.8-IV1",
    "3.0-IV0",
    "3.0-IV1",
    "3.1-IV0",
    "3.2-IV0",
    "3.3-IV0",
    "3.3-IV1",
    "3.3-IV2",
    "3.3-IV3",
    "3.4-IV0",
    "3.5-IV0",
    "3.5-IV1",
    "3.5-IV2",
    "3.6-IV0",
    "3.6-IV1",
    "3.6-IV2",
    "3.7-IV0",
    "3.7-IV1",
    "3.7-IV2",
    "3.7-IV3",
    "3.7-IV4",
    "3.8-IV0",
    "3.9-IV0",
    "4.0-IV0",
    "4.0-IV1",
];

/// Whether `text` names a version: two numbers (three when the first is 0), maybe with `-IV` and a number behind; what
/// follows a further point is not looked at (`MetadataVersion.fromVersionString`).
fn is_kafka_version(text: &str) -> bool {
    let numbers = if text.starts_with("0.") { 3 } else { 2 };
    let kept = text.split('.').take(numbers).collect::<Vec<_>>().join(".");
    KAFKA_VERSIONS.iter().any(|version| {
        let release = version.split("-IV").next().unwrap_or(version);
        *version == kept || release == kept
    })
}

/// What values `key` takes, in words.
pub(super) fn allowed(key: &Key) -> String {
    let kind = match key.kind {
        Type::Boolean => "true or false",
        Type::String => "a text",
        Type::Int => "a 32-bit number",
        Type::Short => "a 16-bit number",
        Type::Long => "a 64-bit number",
        Type::Double => "a number",
        Type::List => "texts separated by commas",
        Type::Password => "a secret",
        Type::Class => "the name of a class",
    };
    match key.valid {
        Valid::Any => kind.to_owned(),
        Valid::AtLeast(least) => format!("{kind}, at least {least}"),
        Valid::Between(least, most) => format!("{kind} from {least} to {most}"),
        Valid::BetweenDoubles(least, most) => format!("{kind} from {least} to {most}"),
        Valid::OneOf(texts) | Valid::OneOfAnyCase(texts) if key.kind == Type::List => {
            format!("any of {}, separated by commas", texts.join(", "))
        }
        Valid::OneOf(texts) => format!("one of {}", texts.join(", ")),
        Valid::OneOfAnyCase(texts) => format!("one of {}, in any case", texts.join(", ")),
        Valid::NonEmpty => format!("{kind}, not empty"),
        Valid::GzipLevel => format!("{kind} from 1 to 9, or -1"),
        Valid::KafkaVersion => "a version of Kafka, like 3.9 or 3.9-IV0".to_owned(),
        Valid::ThrottledReplicas => "partition:broker pairs separated by commas, or *".to_owned(),
    }
}

/// A double as Java's `Double.toString` writes it: `0.5`, `1.0E-5`, `1.7976931348623157E308`.
fn java_double(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) || !size.is_finite() {
        return format!("{number:?}");
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}
