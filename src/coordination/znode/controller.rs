//! `/controller` and `/controller_epoch`: who leads the cluster, and the number that fences all who led it before.

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::json::{Text, Version};
use crate::model::{BrokerId, ControllerEpoch, Timestamp};

/// The controller's ephemeral znode.
pub const CONTROLLER: &str = "/controller";
/// The epoch's znode. Its data version is the token that every write of the controller checks.
pub const EPOCH: &str = "/controller_epoch";
/// What the epoch's znode is made with: the first controller has 1.
pub const EPOCH_BEFORE_FIRST: ControllerEpoch = ControllerEpoch(0);

/// What `/controller` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Controller {
    /// The broker that is the controller.
    pub broker: BrokerId,
    /// When it was elected.
    pub elected_at: Timestamp,
    /// Above 0 when a KRaft controller holds the cluster for a migration; a ZooKeeper broker that does not migrate must
    /// then keep away.
    pub kraft_epoch: i32,
}

impl Controller {
    /// The registration of a broker that was just elected.
    #[must_use]
    pub fn elected(broker: BrokerId, at: Timestamp) -> Self {
        Self { broker, elected_at: at, kraft_epoch: NOT_KRAFT }
    }

    /// Whether a KRaft controller holds the cluster.
    #[must_use]
    pub fn is_migrating(&self) -> bool {
        0 < self.kraft_epoch
    }

    /// JSON, version 2.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        super::encode(&Json {
            version: Version,
            brokerid: self.broker,
            timestamp: Some(Text(self.elected_at.0)),
            kraft_controller_epoch: Some(self.kraft_epoch),
        })
    }

    /// Reads JSON of any version; only `brokerid` is needed.
    ///
    /// # Errors
    /// When the data is not such JSON.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let json: Json = super::decode(CONTROLLER, data)?;
        Ok(Self {
            broker: json.brokerid,
            elected_at: json.timestamp.map_or(Timestamp::NONE, |Text(at)| Timestamp(at)),
            kraft_epoch: json.kraft_controller_epoch.unwrap_or(NOT_KRAFT),
        })
    }
}

const NOT_KRAFT: i32 = -1;

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(skip_deserializing)]
    version: Version<2>,
    brokerid: BrokerId,
    #[serde(default)]
    timestamp: Option<Text>,
    #[serde(default, rename = "kraftControllerEpoch")]
    kraft_controller_epoch: Option<i32>,
}

/// The epoch as decimal text.
#[must_use]
pub fn encode_epoch(epoch: ControllerEpoch) -> Vec<u8> {
    epoch.to_string().into_bytes()
}

/// The epoch from decimal text.
///
/// # Errors
/// When the data is not a number that an epoch can have.
pub fn decode_epoch(data: &[u8]) -> Result<ControllerEpoch, DecodeError> {
    let refuse = |why: &dyn std::fmt::Display| DecodeError::new(EPOCH, why, data);
    let text = std::str::from_utf8(data).map_err(|error| refuse(&error))?;
    match text.parse() {
        Ok(epoch) if 0 <= epoch => Ok(ControllerEpoch(epoch)),
        Ok(_) => Err(refuse(&"it is negative")),
        Err(error) => Err(refuse(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kafka_writes_it() {
        let captured = br#"{"version":2,"brokerid":0,"timestamp":"1795307025350","kraftControllerEpoch":-1}"#;
        let controller = Controller::elected(BrokerId(0), Timestamp(1_795_307_025_350));
        assert_eq!(Controller::decode(captured), Ok(controller));
        assert_eq!(controller.encode(), captured);
        assert!(!controller.is_migrating());
    }

    #[test]
    fn older_and_foreign_registrations_are_read() {
        let old = Controller::decode(br#"{"version":1,"brokerid":3,"timestamp":"7"}"#).expect("version 1");
        assert_eq!((old.broker, old.is_migrating()), (BrokerId(3), false));
        let kraft = br#"{"version":2,"brokerid":3000,"timestamp":"7","kraftControllerEpoch":4,"new":[1]}"#;
        assert!(Controller::decode(kraft).expect("a migration").is_migrating());
        for bad in ["", "{}", "[]", r#"{"brokerid":"one"}"#, r#"{"brokerid":1e3}"#, r#"{"brokerid":4294967296}"#] {
            assert!(Controller::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_epoch_is_decimal_text() {
        assert_eq!(decode_epoch(b"1"), Ok(ControllerEpoch(1)));
        assert_eq!(encode_epoch(ControllerEpoch(12)), b"12");
        for bad in ["", "-1", "1 ", "2147483648", "one", "\u{661}"] {
            assert!(decode_epoch(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(decode_epoch(b"\xff").is_err());
    }
}
