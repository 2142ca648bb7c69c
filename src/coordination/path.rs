//! Paths of znodes, and which texts are none (ZooKeeper's `PathUtils.validatePath`).

use super::CoordinationError;

/// Refuses what ZooKeeper refuses as a path. `prefix` allows a trailing slash: a sequence number follows.
///
/// # Errors
/// `Refused`, with the reason.
pub fn check(path: &str, prefix: bool) -> Result<(), CoordinationError> {
    let refuse = |why: &str| Err(CoordinationError::Refused(format!("'{}' is no path: {why}", path.escape_debug())));
    if path == "/" {
        return Ok(());
    }
    let Some(names) = path.strip_prefix('/') else {
        return refuse("it does not start with '/'");
    };
    let names = if prefix { names.strip_suffix('/').unwrap_or(names) } else { names };
    for name in names.split('/') {
        if matches!(name, "" | "." | "..") {
            return refuse("a name of it is empty, '.' or '..'");
        }
        if name.chars().any(is_refused) {
            return refuse("it has a character that ZooKeeper does not take");
        }
    }
    Ok(())
}

fn is_refused(c: char) -> bool {
    matches!(u32::from(c), 0x0000..=0x001f | 0x007f..=0x009f | 0xd800..=0xf8ff | 0xfff0..=0xffff)
}

/// `/a/b` is `b` below `/a`; `/a` is `a` below `/`. The root is its own parent, without a name.
#[must_use]
pub fn parent_and_name(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", path),
    }
}

/// `name` below `parent`.
#[must_use]
pub fn join(parent: &str, name: &str) -> String {
    match parent {
        "/" => format!("/{name}"),
        _ => format!("{parent}/{name}"),
    }
}

/// Whether `path` is `root` or below it.
#[must_use]
pub fn is_within(path: &str, root: &str) -> bool {
    root == "/" || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zookeeper_refuses_is_refused_before_it_is_sent() {
        for bad in ["", "a", "//", "/a/", "/a//b", "/.", "/a/..", "/a\0", "/a\u{7f}", "/\u{fff0}"] {
            assert!(check(bad, false).is_err(), "{bad:?} was accepted");
        }
        for good in ["/", "/a", "/a/b", "/config/users/<default>", "/...", "/ä b"] {
            assert_eq!(check(good, false), Ok(()), "{good:?}");
        }
        assert_eq!(check("/a/", true), Ok(()), "a sequence number may be the whole name");
    }

    #[test]
    fn a_path_has_a_parent_and_a_name() {
        assert_eq!(parent_and_name("/a/b"), ("/a", "b"));
        assert_eq!(parent_and_name("/a"), ("/", "a"));
        assert_eq!((join("/", "a").as_str(), join("/a", "b").as_str()), ("/a", "/a/b"));
    }

    #[test]
    fn below_is_not_a_common_prefix_of_letters() {
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", "/"));
        assert!(!is_within("/ab", "/a") && !is_within("/", "/a"));
    }
}
