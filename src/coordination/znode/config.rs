//! `/config`: settings that change while the cluster runs, by entity, and the notices that tell of a change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::json::Version;
use crate::model::{BrokerId, TopicName};

/// Parent of the change notices.
pub const CHANGES: &str = "/config/changes";
/// A change notice's name before its sequence number.
pub const CHANGE_PREFIX: &str = "config_change_";
/// Name of the entity that stands for all entities of a type without settings of their own.
pub const DEFAULT: &str = "<default>";

const WHAT: &str = "/config/TYPE/NAME";
const CHANGE: &str = "/config/changes/config_change_N";

/// Settings of one entity by Kafka's key names. Every value is text.
pub type Settings = BTreeMap<String, String>;

/// Whose settings. `None` is the default entity of its type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Entity {
    /// A topic.
    Topic(TopicName),
    /// A broker: its dynamic settings.
    Broker(Option<BrokerId>),
    /// Quotas of a client id.
    Client(Option<String>),
    /// Quotas and SCRAM credentials of a user.
    User(Option<String>),
    /// Quotas of a user's client id.
    UserClient(Option<String>, Option<String>),
    /// Connection quota of an address.
    Ip(Option<String>),
}

impl Entity {
    /// Where its settings are.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/config/{}", self.entity_path())
    }

    /// How a change notice names it: the part of its path behind `/config/`.
    #[must_use]
    pub fn entity_path(&self) -> String {
        let broker = |id: &Option<BrokerId>| id.map_or(DEFAULT.to_owned(), |id| id.to_string());
        match self {
            Self::Topic(name) => format!("topics/{name}"),
            Self::Broker(id) => format!("brokers/{}", broker(id)),
            Self::Client(name) => format!("clients/{}", znode_name(name)),
            Self::User(name) => format!("users/{}", znode_name(name)),
            Self::UserClient(user, client) => format!("users/{}/clients/{}", znode_name(user), znode_name(client)),
            Self::Ip(address) => format!("ips/{}", address.as_deref().unwrap_or(DEFAULT)),
        }
    }

    /// Reads what [`Self::entity_path`] gives; `None` for anything else.
    #[must_use]
    pub fn parse(entity_path: &str) -> Option<Self> {
        let mut names = entity_path.split('/');
        let entity = match (names.next()?, names.next()?, names.next(), names.next()) {
            ("topics", name, None, None) => Self::Topic(TopicName::new(name).ok()?),
            ("brokers", DEFAULT, None, None) => Self::Broker(None),
            ("brokers", id, None, None) => Self::Broker(Some(super::broker::id_of(id)?)),
            ("clients", name, None, None) => Self::Client(entity_name(name)?),
            ("users", name, None, None) => Self::User(entity_name(name)?),
            ("users", user, Some("clients"), Some(client)) => {
                Self::UserClient(entity_name(user)?, entity_name(client)?)
            }
            ("ips", DEFAULT, None, None) => Self::Ip(None),
            ("ips", address, None, None) if !address.is_empty() => Self::Ip(Some(address.to_owned())),
            _ => return None,
        };
        names.next().is_none().then_some(entity)
    }
}

fn znode_name(name: &Option<String>) -> String {
    name.as_deref().map_or_else(|| DEFAULT.to_owned(), sanitise)
}

/// Outer `None`: no such name. Inner `None`: the default entity.
fn entity_name(name: &str) -> Option<Option<String>> {
    match name {
        "" => None,
        DEFAULT => Some(None),
        _ => desanitise(name).map(Some),
    }
}

/// A name as a znode's: URL-encoded, with `%20` for a space and `%2A` for an asterisk (Kafka's `Sanitizer`).
#[must_use]
pub fn sanitise(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The name that [`sanitise`] was given, or Java's `URLEncoder`; `None` when the text is not so encoded.
#[must_use]
pub fn desanitise(text: &str) -> Option<String> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? << 4 | digit(bytes.next())?).ok()?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(skip_deserializing)]
    version: Version<1>,
    #[serde(default)]
    config: Option<Settings>,
}

/// JSON of an entity's settings, version 1.
#[must_use]
pub fn encode(settings: &Settings) -> Vec<u8> {
    super::encode(&Json { version: Version, config: Some(settings.clone()) })
}

/// An entity's settings. No data is no settings.
///
/// # Errors
/// When the data is not such JSON, or a value is not text.
pub fn decode(data: &[u8]) -> Result<Settings, DecodeError> {
    if data.is_empty() {
        return Ok(Settings::new());
    }
    super::decode::<Json>(WHAT, data).map(|json| json.config.unwrap_or_default())
}

/// Path that a change notice is made with; ZooKeeper puts the sequence number behind it.
#[must_use]
pub fn change_path() -> String {
    format!("{CHANGES}/{CHANGE_PREFIX}")
}

#[derive(Serialize)]
struct ChangeJson {
    version: Version<2>,
    entity_path: String,
}

/// JSON of a change notice, version 2.
#[must_use]
pub fn encode_change(entity: &Entity) -> Vec<u8> {
    super::encode(&ChangeJson { version: Version, entity_path: entity.entity_path() })
}

#[derive(Deserialize)]
struct AnyChangeJson {
    version: i32,
    #[serde(default)]
    entity_path: Option<String>,
    #[serde(default)]
    entity_type: Option<String>,
    #[serde(default)]
    entity_name: Option<String>,
}

/// Whose settings changed: versions 1 (topics and clients only) and 2.
///
/// # Errors
/// When the data is not such JSON, has another version, or names no entity.
pub fn decode_change(data: &[u8]) -> Result<Entity, DecodeError> {
    let json: AnyChangeJson = super::decode(CHANGE, data)?;
    let refuse = |why: String| DecodeError::new(CHANGE, why, data);
    let entity = match (json.version, json.entity_path, json.entity_type, json.entity_name) {
        (2, Some(path), _, _) => Entity::parse(&path),
        (1, _, Some(kind), Some(name)) if matches!(kind.as_str(), "topics" | "clients") => {
            Entity::parse(&format!("{kind}/{name}"))
        }
        (1 | 2, ..) => None,
        (other, ..) => return Err(refuse(format!("version {other} is unknown"))),
    };
    entity.ok_or_else(|| refuse("it names no entity".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Entity {
        Entity::Topic(TopicName::new(name).expect("a name"))
    }

    #[test]
    fn settings_as_kafka_writes_them() {
        for captured in [
            r#"{"version":1,"config":{"log.cleaner.threads":"2"}}"#,
            r#"{"version":1,"config":{"retention.ms":"86400000"}}"#,
            r#"{"version":1,"config":{}}"#,
        ] {
            let settings = decode(captured.as_bytes()).expect("Kafka's own");
            assert_eq!(String::from_utf8(encode(&settings)).as_deref(), Ok(captured));
        }
        let captured = r#"{"version":1,"config":{"compression.type":"producer","cleanup.policy":"compact","segment.bytes":"104857600"}}"#;
        assert_eq!(decode(captured.as_bytes()).expect("Kafka's own")["segment.bytes"], "104857600");
        assert_eq!(decode(b""), Ok(Settings::new()));
        for bad in ["{", "[]", r#"{"config":{"a":1}}"#] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn changes_as_kafka_writes_them() {
        let captured = r#"{"version":2,"entity_path":"brokers/<default>"}"#;
        assert_eq!(decode_change(captured.as_bytes()), Ok(Entity::Broker(None)));
        assert_eq!(String::from_utf8(encode_change(&Entity::Broker(None))).as_deref(), Ok(captured));
        let old = br#"{"version":1,"entity_type":"topics","entity_name":"foo"}"#;
        assert_eq!(decode_change(old), Ok(topic("foo")));
        for bad in [
            r#"{"version":3,"entity_path":"topics/a"}"#,
            r#"{"version":2}"#,
            r#"{"version":2,"entity_path":"topics/a/b"}"#,
            r#"{"version":1,"entity_type":"users","entity_name":"foo"}"#,
            "",
        ] {
            assert!(decode_change(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_entity_has_a_path_both_ways() {
        for (entity, path) in [
            (topic("foo"), "topics/foo"),
            (Entity::Broker(Some(BrokerId(3))), "brokers/3"),
            (Entity::Client(None), "clients/<default>"),
            (Entity::Client(Some("a b*".into())), "clients/a%20b%2A"),
            (Entity::User(Some("CN=a/b,O=ü".into())), "users/CN%3Da%2Fb%2CO%3D%C3%BC"),
            (Entity::User(Some("<default>".into())), "users/%3Cdefault%3E"),
            (Entity::UserClient(Some("alice".into()), None), "users/alice/clients/<default>"),
            (Entity::Ip(Some("1.2.3.4".into())), "ips/1.2.3.4"),
            (Entity::Ip(None), "ips/<default>"),
        ] {
            assert_eq!(entity.entity_path(), path);
            assert_eq!(entity.path(), format!("/config/{path}"));
            assert_eq!(Entity::parse(path), Some(entity));
        }
        for bad in [
            "",
            "topics",
            "topics/",
            "brokers/x",
            "users/a/clients",
            "users/a/other/b",
            "users/%zz",
            "x/y",
            "users/a/clients/b/c",
        ] {
            assert_eq!(Entity::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_survive_their_encoding() {
        assert_eq!(sanitise("a+b ~c_-."), "a%2Bb%20%7Ec_-.");
        assert_eq!(desanitise("a+b").as_deref(), Some("a b"), "as Java's own encoder writes a space");
        proptest::proptest!(|(name in ".*")| {
            proptest::prop_assert_eq!(desanitise(&sanitise(&name)), Some(name));
        });
        proptest::proptest!(|(text in ".*")| {
            let _: Option<String> = desanitise(&text);
            let _: Option<Entity> = Entity::parse(&text);
        });
    }
}
