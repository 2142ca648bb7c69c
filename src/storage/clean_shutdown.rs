//! `.kafka_cleanshutdown` in a log directory: it was closed in order, and needs no recovery.
//!
//! *Invariant*: it is written after everything else in the log directory is durable, and removed before anything in it is
//! changed. Only that it is there counts; what it holds is for brokers in KRaft mode.
//!
//! Source: Kafka 3.9 `CleanShutdownFileHandler`.

use std::io::{self, IoSlice};
use std::path::Path;

use super::disk::{Access, Disk};
use crate::model::BrokerEpoch;

/// The file's name.
pub const CLEAN_SHUTDOWN_FILE_NAME: &str = ".kafka_cleanshutdown";

/// The file's text. In ZooKeeper mode the epoch is [`BrokerEpoch::NONE`].
#[must_use]
pub fn encode(broker_epoch: BrokerEpoch) -> String {
    format!(r#"{{"version":0,"brokerEpoch":{broker_epoch}}}"#)
}

/// The broker epoch of a file's bytes; `None` when they are anything else, which is no error.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<BrokerEpoch> {
    #[derive(serde::Deserialize)]
    struct Content {
        #[serde(rename = "brokerEpoch")]
        broker_epoch: i64,
    }
    let content = serde_json::from_slice::<Content>(bytes).ok()?;
    Some(BrokerEpoch(content.broker_epoch))
}

/// Whether the log directory was closed in order.
///
/// # Errors
/// The disk's.
pub fn is_marked(disk: &dyn Disk, log_dir: &Path) -> io::Result<bool> {
    disk.exists(&log_dir.join(CLEAN_SHUTDOWN_FILE_NAME))
}

/// Marks the log directory as closed in order, durably.
///
/// # Errors
/// The disk's.
pub fn mark(disk: &dyn Disk, log_dir: &Path) -> io::Result<()> {
    let file = disk.open(&log_dir.join(CLEAN_SHUTDOWN_FILE_NAME), Access::Truncate)?;
    file.write_all_at(0, &[IoSlice::new(encode(BrokerEpoch::NONE).as_bytes())])?;
    file.sync()?;
    disk.sync_dir(log_dir)
}

/// Takes the mark away, durably: from now on the log directory is in use. Fine when there is none.
///
/// # Errors
/// The disk's.
pub fn unmark(disk: &dyn Disk, log_dir: &Path) -> io::Result<()> {
    match disk.remove_file(&log_dir.join(CLEAN_SHUTDOWN_FILE_NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.and_then(|()| disk.sync_dir(log_dir)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::disk::read_file;
    use crate::storage::disk::sim::SimDisk;

    #[test]
    fn marks_are_durable_both_ways() {
        let dir = Path::new("/");
        for seed in 0..50 {
            let disk = SimDisk::new(seed);
            unmark(&disk, dir).unwrap();
            mark(&disk, dir).unwrap();
            disk.crash();
            disk.restart();
            assert!(is_marked(&disk, dir).unwrap());
            let text = read_file(&disk, &dir.join(CLEAN_SHUTDOWN_FILE_NAME), 100).unwrap();
            assert_eq!(text, include_bytes!("fixtures/clean/.kafka_cleanshutdown"));
            unmark(&disk, dir).unwrap();
            disk.crash();
            disk.restart();
            assert!(!is_marked(&disk, dir).unwrap());
        }
    }

    #[test]
    fn the_epoch_is_read_where_there_is_one() {
        assert_eq!(decode(include_bytes!("fixtures/clean/.kafka_cleanshutdown")), Some(BrokerEpoch::NONE));
        assert_eq!(decode(encode(BrokerEpoch(9)).as_bytes()), Some(BrokerEpoch(9)));
        assert_eq!(decode(br#"{"version":7,"brokerEpoch":9,"later":[]}"#), Some(BrokerEpoch(9)));
        for bad in ["", "{}", "[]", r#"{"brokerEpoch":null}"#, r#"{"brokerEpoch":99999999999999999999}"#] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #![proptest_config(crate::storage::cases::same_every_run())]

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[{}\":0-9a-z]{0,30}") {
            let _refused = decode(&bytes);
            let _refused = decode(text.as_bytes());
        }
    }
}
