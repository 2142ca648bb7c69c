//! Who may read and write a znode when `zookeeper.set.acl` is on (`ZkData.defaultAcls`).
//!
//! Off, everybody may do everything. On, whoever made a znode may do everything with it, and everybody may read it unless
//! it holds secrets. Brokers of one cluster must then log in to ZooKeeper as the same identity.

/// Access that a znode is made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody may do everything: `world:anyone:cdrwa`.
    Open,
    /// Its maker may do everything, everybody may read.
    Readable,
    /// Its maker may do everything, nobody else anything.
    Secret,
}

/// Below these are credentials: SCRAM, passwords of dynamic settings, delegation tokens.
const SECRET_PREFIXES: [&str; 3] = ["/config/users", "/config/brokers", "/delegation_token/tokens"];
/// Consumers of the 0.8 era, which never log in, write below it.
const OPEN_PATH: &str = "/consumers";

/// Access that the znode at `path` is made with. Prefixes are compared as text, as Kafka does.
#[must_use]
pub fn access(path: &str, set_acl: bool) -> Access {
    if !set_acl || path == OPEN_PATH {
        Access::Open
    } else if SECRET_PREFIXES.iter().any(|prefix| path.starts_with(prefix)) {
        Access::Secret
    } else {
        Access::Readable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_kept_and_old_consumers_let_in() {
        assert_eq!(access("/config/users/alice", false), Access::Open);
        for (path, expected) in [
            ("/config/users/alice", Access::Secret),
            ("/config/brokers/<default>", Access::Secret),
            ("/config/topics/t", Access::Readable),
            ("/brokers/ids/1", Access::Readable),
            ("/consumers", Access::Open),
            ("/consumers/group", Access::Readable),
        ] {
            assert_eq!(access(path, true), expected, "{path}");
        }
    }
}
