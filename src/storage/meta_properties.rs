//! `meta.properties` in a log directory: whose it is.
//!
//! Version 0 (ZooKeeper mode) is written, version 1 (KRaft, or a broker on its way there) is read: a Kafka 3.9 broker in
//! ZooKeeper mode refuses version 1, so whatever is to move back must be version 0.
//!
//! *Invariant*: what Kafka 3.9 reads from our file is what we read.
//! *Does not know*: whether the ids are the right ones: that is the start's to compare.
//!
//! Source: Kafka 3.9 `MetaProperties`, `MetaPropertiesVersion`, `PropertiesUtils`.

use std::io;
use std::path::Path;

use super::disk::{Disk, read_file, replace_file};
use super::java_properties;
use crate::model::{BrokerId, Timestamp, TopicId};

/// The file's name.
pub const META_PROPERTIES_FILE_NAME: &str = "meta.properties";

/// Largest file that is read: a handful of short lines, and room for a person's comments.
const FILE_BYTES_MAX: usize = 64 << 10;

/// Who wrote a log directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum MetaPropertiesVersion {
    /// ZooKeeper mode. No property is sure to be there.
    #[default]
    V0,
    /// KRaft mode.
    V1,
}

/// Whose a log directory is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MetaProperties {
    /// Who wrote it.
    pub version: MetaPropertiesVersion,
    /// The cluster's id, as in `/cluster/id`.
    pub cluster_id: Option<String>,
    /// The broker's id: `broker.id`, in version 1 `node.id`.
    pub broker_id: Option<BrokerId>,
    /// The log directory's own id (KIP-858), kept when it is there: Kafka's text form of 128 bits.
    pub directory_id: Option<String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetaPropertiesError {
    /// The file cannot be read: the log directory has failed.
    #[error("{META_PROPERTIES_FILE_NAME} cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Neither 0 nor 1.
    #[error("{META_PROPERTIES_FILE_NAME} has version {0:?}, which is neither 0 nor 1")]
    Version(String),
    /// Version 1 without one of its properties.
    #[error("{META_PROPERTIES_FILE_NAME} of version 1 has no {0}")]
    Missing(&'static str),
    /// A value that cannot be.
    #[error("{META_PROPERTIES_FILE_NAME} has {key}={value:?}, which is no {what}")]
    Value {
        /// The property.
        key: &'static str,
        /// As it stands there.
        value: String,
        /// What it should be.
        what: &'static str,
    },
}

impl MetaProperties {
    /// The properties of a file's bytes. Properties that nobody knows are passed over.
    ///
    /// # Errors
    /// [`MetaPropertiesError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MetaPropertiesError> {
        let properties = java_properties::decode(bytes);
        let value = |key: &str| properties.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.clone());
        let version = value("version").unwrap_or_else(|| "0".to_owned());
        let (version, id_key) = match version.trim() {
            "0" => (MetaPropertiesVersion::V0, "broker.id"),
            "1" => (MetaPropertiesVersion::V1, "node.id"),
            other => return Err(MetaPropertiesError::Version(other.to_owned())),
        };
        let found = Self {
            version,
            cluster_id: value("cluster.id"),
            broker_id: value(id_key).map(|id| broker_id(id_key, id)).transpose()?,
            directory_id: value("directory.id").map(directory_id).transpose()?,
        };
        match found {
            Self { version: MetaPropertiesVersion::V1, cluster_id: None, .. } => {
                Err(MetaPropertiesError::Missing("cluster.id"))
            }
            Self { version: MetaPropertiesVersion::V1, broker_id: None, .. } => {
                Err(MetaPropertiesError::Missing("node.id"))
            }
            found => Ok(found),
        }
    }

    /// The text of a file of version 0, whatever [`Self::version`] says, in the order in which Java has these keys.
    #[must_use]
    pub fn encode(&self, written: Timestamp) -> String {
        let id = self.broker_id.map(|id| id.to_string());
        let properties = [
            ("broker.id", id.as_deref()),
            ("directory.id", self.directory_id.as_deref()),
            ("version", Some("0")),
            ("cluster.id", self.cluster_id.as_deref()),
        ];
        java_properties::encode(written, properties.into_iter().filter_map(|(key, value)| Some((key, value?))))
    }

    /// Reads the file in a log directory; `None` when there is none.
    ///
    /// # Errors
    /// [`MetaPropertiesError`].
    pub fn load(disk: &dyn Disk, log_dir: &Path) -> Result<Option<Self>, MetaPropertiesError> {
        match read_file(disk, &log_dir.join(META_PROPERTIES_FILE_NAME), FILE_BYTES_MAX) {
            Ok(bytes) => Self::decode(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the file in a log directory.
    ///
    /// # Errors
    /// The disk's; then the old file is still there.
    pub fn save(&self, disk: &dyn Disk, log_dir: &Path, written: Timestamp) -> io::Result<()> {
        replace_file(disk, &log_dir.join(META_PROPERTIES_FILE_NAME), self.encode(written).as_bytes())
    }
}

fn broker_id(key: &'static str, value: String) -> Result<BrokerId, MetaPropertiesError> {
    match value.parse() {
        Ok(id) => Ok(BrokerId(id)),
        Err(_) => Err(MetaPropertiesError::Value { key, value, what: "number" }),
    }
}

fn directory_id(value: String) -> Result<String, MetaPropertiesError> {
    // Directories and topics have ids of one form.
    if TopicId::parse(&value).is_some() {
        return Ok(value);
    }
    Err(MetaPropertiesError::Value { key: "directory.id", value, what: "id of 22 characters" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::disk::sim::SimDisk;

    #[test]
    fn the_file_of_kafka_is_read_and_written() {
        let file = include_bytes!("fixtures/clean/meta.properties");
        let ours = MetaProperties::decode(file).unwrap();
        let expected = MetaProperties {
            version: MetaPropertiesVersion::V0,
            cluster_id: Some("44hCeSMERHKLeaQZlCmEcQ".to_owned()),
            broker_id: Some(BrokerId(0)),
            directory_id: None,
        };
        assert_eq!(ours, expected);
        assert_eq!(ours.encode(Timestamp(1_795_316_217_000)).as_bytes(), file);
        let disk = SimDisk::new(1);
        assert!(MetaProperties::load(&disk, Path::new("/")).unwrap().is_none());
        ours.save(&disk, Path::new("/"), Timestamp(0)).unwrap();
        assert_eq!(MetaProperties::load(&disk, Path::new("/")).unwrap(), Some(ours));
    }

    #[test]
    fn version_1_is_read_and_written_back_as_0() {
        let file = b"node.id=7\nversion=1\ncluster.id=abc\ndirectory.id=wGjfv4DJQg6zsvAWyC8KMw\n";
        let found = MetaProperties::decode(file).unwrap();
        assert_eq!((found.version, found.broker_id), (MetaPropertiesVersion::V1, Some(BrokerId(7))));
        let again = MetaProperties::decode(found.encode(Timestamp(0)).as_bytes()).unwrap();
        assert_eq!(again, MetaProperties { version: MetaPropertiesVersion::V0, ..found });
    }

    #[test]
    fn what_cannot_be_is_refused() {
        use MetaPropertiesError as Refused;
        let refusal = |text: &str| MetaProperties::decode(text.as_bytes()).unwrap_err();
        assert!(matches!(refusal("version=2"), Refused::Version(version) if version == "2"));
        assert!(matches!(refusal("version="), Refused::Version(_)));
        assert!(matches!(refusal("version=1\nnode.id=1"), Refused::Missing("cluster.id")));
        assert!(matches!(refusal("version=1\ncluster.id=x\nbroker.id=1"), Refused::Missing("node.id")));
        assert!(matches!(refusal("broker.id=one"), Refused::Value { key: "broker.id", .. }));
        assert!(matches!(refusal("directory.id=short"), Refused::Value { key: "directory.id", .. }));
        assert_eq!(MetaProperties::decode(b"").unwrap(), MetaProperties::default(), "version 0 without anything");
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn properties_survive(cluster_id in prop::option::of(".{0,20}"), id in prop::option::of(any::<i32>())) {
            let broker_id = id.map(BrokerId);
            let properties = MetaProperties { cluster_id, broker_id, ..MetaProperties::default() };
            prop_assert_eq!(MetaProperties::decode(properties.encode(Timestamp(0)).as_bytes()).unwrap(), properties);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _refused = MetaProperties::decode(&bytes);
        }
    }
}
