//! The client crate's words in the port's.

use zookeeper_client as zk;

use super::Address;
use crate::coordination::{CoordinationError, CreateMode, EnsembleConfig, Op, OpResult, Stat, Znode};
use crate::model::Timestamp;

pub(super) fn zk_mode(mode: CreateMode) -> zk::CreateMode {
    match mode {
        CreateMode::Persistent => zk::CreateMode::Persistent,
        CreateMode::Ephemeral => zk::CreateMode::Ephemeral,
        CreateMode::PersistentSequential => zk::CreateMode::PersistentSequential,
    }
}

pub(super) fn port_stat(stat: &zk::Stat) -> Stat {
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime: Timestamp(stat.ctime),
        mtime: Timestamp(stat.mtime),
        version: stat.version,
        ephemeral_owner: stat.ephemeral_owner,
        children: stat.num_children,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the client may get more of them")]
pub(super) fn port_data(result: zk::MultiReadResult, path: &str) -> Result<Option<Znode>, CoordinationError> {
    match result {
        zk::MultiReadResult::Data { data, stat } => Ok(Some((data, port_stat(&stat)))),
        zk::MultiReadResult::Error { err: zk::Error::NoNode } => Ok(None),
        zk::MultiReadResult::Error { err } => Err(port_error(err, path)),
        other => Err(CoordinationError::unexpected(&other)),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the client may get more of them")]
pub(super) fn port_result(result: zk::MultiWriteResult) -> OpResult {
    match result {
        zk::MultiWriteResult::Create { path, .. } => OpResult::Created { path },
        zk::MultiWriteResult::SetData { stat } => OpResult::Set { stat: port_stat(&stat) },
        zk::MultiWriteResult::Delete => OpResult::Deleted,
        _ => OpResult::Checked,
    }
}

pub(super) fn multi_error(error: zk::MultiWriteError, ops: &[Op]) -> CoordinationError {
    match error {
        zk::MultiWriteError::RequestFailed { source } => port_error(source, "a transaction"),
        zk::MultiWriteError::OperationFailed { index, source } => {
            port_error(source, ops.get(index).map_or("a transaction", Op::path))
        }
    }
}

/// What went wrong while a session was opened.
#[expect(clippy::wildcard_enum_match_arm, reason = "the client may get more of them")]
pub(super) fn connect_error(error: &zk::Error, config: &EnsembleConfig, address: &Address) -> CoordinationError {
    let hosts = &address.hosts;
    match error {
        zk::Error::AuthFailed => CoordinationError::Refused(format!(
            "ZooKeeper at {hosts} does not accept the login, authentication failed. Does it know the user and password of \
             dohle.zookeeper.sasl or dohle.zookeeper.digest?"
        )),
        zk::Error::BadArguments(why) => CoordinationError::Refused(format!("zookeeper.connect: {why}")),
        zk::Error::NoHosts if config.tls.is_some() => CoordinationError::Other(
            "no host of it answers, or none has a certificate for its name from an authority in \
             zookeeper.ssl.truststore.location, or it does not accept ours in zookeeper.ssl.keystore.location"
                .to_owned(),
        ),
        zk::Error::NoHosts => CoordinationError::Other("no host of it answers".to_owned()),
        other => CoordinationError::Other(other.to_string()),
    }
}

/// An error of the client as the port has it. What the client does not know for a refusal may have happened.
#[expect(clippy::wildcard_enum_match_arm, reason = "the client may get more of them")]
pub(super) fn port_error(error: zk::Error, path: &str) -> CoordinationError {
    let path = path.to_owned();
    match error {
        zk::Error::NoNode => CoordinationError::NoNode { path },
        zk::Error::NodeExists => CoordinationError::NodeExists { path },
        zk::Error::BadVersion => CoordinationError::BadVersion { path },
        zk::Error::NotEmpty => CoordinationError::NotEmpty { path },
        zk::Error::SessionExpired | zk::Error::ClientClosed => CoordinationError::SessionExpired,
        zk::Error::NoAuth
        | zk::Error::AuthFailed
        | zk::Error::InvalidAcl
        | zk::Error::NoChildrenForEphemerals
        | zk::Error::NotReadOnly
        | zk::Error::QuotaExceeded
        | zk::Error::BadArguments(_) => CoordinationError::Refused(format!("{path}: {error}")),
        zk::Error::Unimplemented => {
            CoordinationError::Refused(format!("{path}: this needs ZooKeeper 3.6 or later on every host"))
        }
        zk::Error::UnexpectedErrorCode(_) | zk::Error::Throttled | zk::Error::MarshallingError => {
            CoordinationError::Other(format!("{path}: {error}"))
        }
        _ => CoordinationError::ConnectionLoss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_happened_is_not_called_a_failure() {
        assert_eq!(port_error(zk::Error::ConnectionLoss, "/a"), CoordinationError::ConnectionLoss);
        assert_eq!(port_error(zk::Error::Timeout, "/a"), CoordinationError::ConnectionLoss);
        assert_eq!(port_error(zk::Error::UnexpectedError("x".into()), "/a"), CoordinationError::ConnectionLoss);
        assert_eq!(port_error(zk::Error::NoNode, "/a"), CoordinationError::NoNode { path: "/a".into() });
    }
}
