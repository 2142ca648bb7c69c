//! `/feature` and `/migration`: versions that the whole cluster has agreed on, and the sign that it is leaving ZooKeeper.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::json::Version;

/// Where the features are. Its data version is the finalized-features epoch of ApiVersions.
pub const FEATURE: &str = "/feature";
/// There only while, or after, the cluster migrates to KRaft.
pub const MIGRATION: &str = "/migration";

/// What `/feature` holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Features {
    /// Whether the cluster's inter-broker protocol knows features (2.7 and later).
    pub enabled: bool,
    /// Highest version of each feature that every broker must support. Empty in practice.
    pub finalized: BTreeMap<String, i16>,
}

#[derive(Serialize)]
struct Json {
    features: BTreeMap<String, LevelJson>,
    version: Version<2>,
    status: i32,
}

#[derive(Serialize, Deserialize)]
struct LevelJson {
    max_version_level: i16,
}

#[derive(Deserialize)]
struct AnyJson {
    version: i32,
    status: i32,
    #[serde(default)]
    features: Option<BTreeMap<String, LevelJson>>,
}

const DISABLED: i32 = 0;
const ENABLED: i32 = 1;

impl Features {
    /// What a 3.9 controller writes in a new cluster.
    #[must_use]
    pub fn enabled() -> Self {
        Self { enabled: true, finalized: BTreeMap::new() }
    }

    /// JSON, version 2.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let level = |(name, max): (&String, &i16)| (name.clone(), LevelJson { max_version_level: *max });
        super::encode(&Json {
            features: self.finalized.iter().map(level).collect(),
            version: Version,
            status: if self.enabled { ENABLED } else { DISABLED },
        })
    }

    /// Reads versions 1 and 2.
    ///
    /// # Errors
    /// When the data is not such JSON, or version or status are unknown.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let json: AnyJson = super::decode(FEATURE, data)?;
        let refuse = |why: String| DecodeError::new(FEATURE, why, data);
        if !matches!(json.version, 1 | 2) {
            return Err(refuse(format!("version {} is unknown", json.version)));
        }
        let enabled = match json.status {
            DISABLED => false,
            ENABLED => true,
            other => return Err(refuse(format!("status {other} is unknown"))),
        };
        let levels = json.features.unwrap_or_default().into_iter();
        Ok(Self { enabled, finalized: levels.map(|(name, level)| (name, level.max_version_level)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kafka_writes_it() {
        let captured = r#"{"features":{},"version":2,"status":1}"#;
        assert_eq!(Features::decode(captured.as_bytes()), Ok(Features::enabled()));
        assert_eq!(String::from_utf8(Features::enabled().encode()).as_deref(), Ok(captured));
        let v1 = br#"{"version":1,"status":1,"features":{"x":{"min_version_level":1,"max_version_level":2}}}"#;
        let features = Features::decode(v1).expect("version 1");
        assert_eq!(features.finalized["x"], 2);
        assert_eq!(Features::decode(&features.encode()), Ok(features));
    }

    #[test]
    fn what_is_none_is_an_error() {
        for bad in [
            "",
            "{}",
            r#"{"version":3,"status":1}"#,
            r#"{"version":2,"status":2}"#,
            r#"{"version":2,"status":1,"features":{"x":{}}}"#,
        ] {
            assert!(Features::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
