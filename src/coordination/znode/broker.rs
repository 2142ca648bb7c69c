//! `/brokers/ids/N` and `/brokers/seqid`: the brokers that are alive, and the counter from which ids are generated.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::json::Text;
use crate::model::{BrokerId, Timestamp};

/// Parent of the registrations.
pub const IDS: &str = "/brokers/ids";
/// Its data version, after a write of nothing, is the next number for a generated broker id.
pub const SEQUENCE_ID: &str = "/brokers/seqid";

/// What errors call a registration.
const WHAT: &str = "/brokers/ids/N";
/// Version that a broker of inter-broker protocol 2.7 or later writes.
const VERSION: i32 = 5;
const PLAINTEXT: &str = "PLAINTEXT";

/// Where a broker's registration is.
#[must_use]
pub fn path(broker: BrokerId) -> String {
    format!("{IDS}/{broker}")
}

/// The broker that a child of [`IDS`] stands for; `None` when the name is no id.
#[must_use]
pub fn id_of(name: &str) -> Option<BrokerId> {
    name.parse().ok().filter(|id| 0 <= *id).map(BrokerId)
}

/// One way to reach a broker, as it tells others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// Name of the listener, upper case.
    pub listener: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security_protocol: String,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Displays as `LISTENER://host:port`, an IPv6 address in brackets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.listener, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.listener, self.host, self.port)
        }
    }
}

/// Versions of a feature that a broker supports, both inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SupportedVersions {
    /// Lowest.
    #[serde(rename = "min_version")]
    pub min: i16,
    /// Highest.
    #[serde(rename = "max_version")]
    pub max: i16,
}

/// What a broker registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Its advertised listeners, in its own order. Never empty.
    pub endpoints: Vec<Endpoint>,
    /// Port of Java's management interface; −1 for none.
    pub jmx_port: i32,
    /// When it registered.
    pub registered_at: Timestamp,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Feature versions it supports. A broker in ZooKeeper mode supports none.
    pub features: BTreeMap<String, SupportedVersions>,
}

/// Fields in the order in which Kafka was seen to write them.
#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(default)]
    features: Option<BTreeMap<String, SupportedVersions>>,
    #[serde(default)]
    listener_security_protocol_map: Option<BTreeMap<String, String>>,
    #[serde(default)]
    endpoints: Option<Vec<String>>,
    jmx_port: i32,
    #[serde(default)]
    port: Option<i32>,
    #[serde(default)]
    host: Option<String>,
    version: i32,
    #[serde(default)]
    timestamp: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rack: Option<String>,
}

impl Registration {
    /// JSON, version 5. The lone `host` and `port` are for consumers of the 0.8 era, which know plaintext only.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let plaintext = self.endpoints.iter().find(|endpoint| endpoint.security_protocol == PLAINTEXT);
        let protocols = |e: &Endpoint| (e.listener.clone(), e.security_protocol.clone());
        super::encode(&Json {
            features: Some(self.features.clone()),
            listener_security_protocol_map: Some(self.endpoints.iter().map(protocols).collect()),
            endpoints: Some(self.endpoints.iter().map(Endpoint::to_string).collect()),
            jmx_port: self.jmx_port,
            port: Some(plaintext.map_or(-1, |endpoint| i32::from(endpoint.port))),
            host: plaintext.map(|endpoint| endpoint.host.clone()),
            version: VERSION,
            timestamp: Some(Text(self.registered_at.0)),
            rack: self.rack.clone(),
        })
    }

    /// Reads versions 1 to 5 and whatever later ones add.
    ///
    /// # Errors
    /// When the data is not such JSON, or names an endpoint that cannot be one.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let json: Json = super::decode(WHAT, data)?;
        let refuse = |why: String| DecodeError::new(WHAT, why, data);
        let endpoints = match json.version {
            ..1 => return Err(refuse(format!("version {} is unknown", json.version))),
            1 => vec![json.plaintext_endpoint().ok_or_else(|| refuse("host or port is missing".to_owned()))?],
            2.. => {
                let texts = json.endpoints.as_ref().ok_or_else(|| refuse("endpoints are missing".to_owned()))?;
                let parse = |text: &String| json.endpoint(text).ok_or_else(|| refuse(format!("endpoint '{text}'")));
                texts.iter().map(parse).collect::<Result<_, _>>()?
            }
        };
        Ok(Self {
            endpoints,
            jmx_port: json.jmx_port,
            registered_at: json.timestamp.map_or(Timestamp::NONE, |Text(at)| Timestamp(at)),
            rack: json.rack,
            features: json.features.unwrap_or_default(),
        })
    }
}

impl Json {
    fn plaintext_endpoint(&self) -> Option<Endpoint> {
        Some(Endpoint {
            listener: PLAINTEXT.to_owned(),
            security_protocol: PLAINTEXT.to_owned(),
            host: self.host.clone()?,
            port: u16::try_from(self.port?).ok()?,
        })
    }

    /// `LISTENER://host:port`. Without a map, as before version 4, the listener's name is the protocol's.
    fn endpoint(&self, text: &str) -> Option<Endpoint> {
        let (listener, address) = text.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let listener = listener.to_uppercase();
        let security_protocol = match &self.listener_security_protocol_map {
            None => listener.clone(),
            Some(map) => map.iter().find(|(name, _)| name.to_uppercase() == listener)?.1.clone(),
        };
        Some(Endpoint { listener, security_protocol, host: host.to_owned(), port: port.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://127.0.0.1:49092"],"jmx_port":-1,"port":49092,"host":"127.0.0.1","version":5,"timestamp":"1795307025140"}"#;

    fn endpoint(listener: &str, protocol: &str, host: &str, port: u16) -> Endpoint {
        Endpoint { listener: listener.into(), security_protocol: protocol.into(), host: host.into(), port }
    }

    #[test]
    fn as_kafka_writes_it() {
        let registration = Registration::decode(CAPTURED.as_bytes()).expect("Kafka's own");
        assert_eq!(registration.endpoints, [endpoint("PLAINTEXT", "PLAINTEXT", "127.0.0.1", 49092)]);
        assert_eq!(registration.registered_at, Timestamp(1_795_307_025_140));
        assert_eq!(String::from_utf8(registration.encode()).as_deref(), Ok(CAPTURED));
    }

    #[test]
    fn listeners_racks_and_addresses_come_back() {
        let registration = Registration {
            endpoints: vec![endpoint("INTERNAL", "SSL", "::1", 9093), endpoint("OUT", "PLAINTEXT", "b1.example", 9092)],
            jmx_port: 9999,
            registered_at: Timestamp(1),
            rack: Some("r1".into()),
            features: BTreeMap::from([("x".into(), SupportedVersions { min: 1, max: 3 })]),
        };
        let text = String::from_utf8(registration.encode()).expect("JSON");
        assert!(text.contains(r#""endpoints":["INTERNAL://[::1]:9093","OUT://b1.example:9092"]"#), "{text}");
        assert!(text.contains(r#""port":9092,"host":"b1.example""#), "{text}");
        assert_eq!(Registration::decode(text.as_bytes()), Ok(registration));
    }

    #[test]
    fn without_plaintext_old_consumers_find_no_one() {
        let registration = Registration {
            endpoints: vec![endpoint("SSL", "SSL", "h", 1)],
            jmx_port: -1,
            registered_at: Timestamp(1),
            rack: None,
            features: BTreeMap::new(),
        };
        let text = String::from_utf8(registration.encode()).expect("JSON");
        assert!(text.contains(r#""port":-1,"host":null"#), "{text}");
        assert_eq!(Registration::decode(text.as_bytes()), Ok(registration));
    }

    #[test]
    fn older_versions_are_read() {
        let v1 = br#"{"version":1,"host":"localhost","port":9092,"jmx_port":9999,"timestamp":"2233345666"}"#;
        let v1 = Registration::decode(v1).expect("version 1");
        assert_eq!(v1.endpoints, [endpoint("PLAINTEXT", "PLAINTEXT", "localhost", 9092)]);
        let v3 = br#"{"version":3,"host":"localhost","port":9092,"jmx_port":9999,"timestamp":"2233345666",
                      "endpoints":["PLAINTEXT://host1:9092", "SSL://host1:9093"],"rack":"dc1"}"#;
        let v3 = Registration::decode(v3).expect("version 3");
        assert_eq!(v3.endpoints[1], endpoint("SSL", "SSL", "host1", 9093));
        assert_eq!(v3.rack.as_deref(), Some("dc1"));
    }

    #[test]
    fn what_is_no_registration_is_an_error() {
        for bad in [
            "",
            "{}",
            r#"{"version":0,"jmx_port":1}"#,
            r#"{"version":1,"jmx_port":1,"host":"h"}"#,
            r#"{"version":5,"jmx_port":1}"#,
            r#"{"version":5,"jmx_port":1,"endpoints":["PLAINTEXT:/h:1"]}"#,
            r#"{"version":5,"jmx_port":1,"endpoints":["PLAINTEXT://h:65536"]}"#,
            r#"{"version":5,"jmx_port":1,"endpoints":["A://h:1"],"listener_security_protocol_map":{}}"#,
        ] {
            assert!(Registration::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_numbers_are_broker_ids() {
        assert_eq!(id_of("12"), Some(BrokerId(12)));
        assert_eq!(path(BrokerId(12)), "/brokers/ids/12");
        for bad in ["", "-1", "x", "2147483648"] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }
}
