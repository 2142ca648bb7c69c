//! One suite for every coordinator: what a caller of the port may rely on, whatever stands behind it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use futures::future::{LocalBoxFuture, join_all};

use super::*;
use crate::model::{Clock, Moment};

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        /// Every rule of the suite, by name.
        pub(super) async fn all(ensemble: &dyn Ensemble, mut fresh: impl AsyncFnMut(&str)) {
            $(
                fresh(stringify!($name)).await;
                $name(ensemble).await;
            )*
        }
    };
}

mod on_embedded;
mod on_faulty;
pub(super) mod on_zookeeper;
mod recipes;

/// A clock that moves by one millisecond each time it is looked at.
#[derive(Debug, Default)]
pub(super) struct Ticks(std::sync::atomic::AtomicI64);

impl Clock for Ticks {
    fn timestamp(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }

    fn moment(&self) -> Moment {
        Moment(Duration::ZERO)
    }
}

pub(super) fn ticks() -> Arc<dyn Clock> {
    Arc::new(Ticks::default())
}

/// Something that gives sessions with one empty tree.
pub(super) trait Ensemble {
    /// A new session.
    fn session(&self) -> LocalBoxFuture<'_, Rc<dyn Coordinator>>;
    /// Ends the newest session as an ensemble does that heard nothing of its client.
    fn expire_newest(&self) -> LocalBoxFuture<'_, ()>;
}

/// Runs `test` as the broker runs: on one thread, with local tasks.
pub(super) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

suite![
    a_znode_lives_and_dies,
    many_are_read_as_one_by_one,
    null_data_reads_as_empty,
    parents_must_be_there,
    versions_are_checked,
    numbers_and_times_tell_order,
    sequential_names_count_children_ever_made,
    ephemerals_go_with_their_session,
    ephemerals_have_no_children,
    a_multi_is_all_or_nothing,
    a_multi_sees_its_own_steps,
    registration_in_two_steps_gives_an_epoch,
    calls_take_effect_in_order,
    impossible_paths_are_refused,
    oversized_requests_are_refused,
    a_watch_tells_what_happens_below,
    a_watch_does_not_tell_the_past,
    an_expired_session_is_followed_by_another,
    a_long_list_is_whole_and_sorted,
];

async fn make(coordinator: &dyn Coordinator, path: &str) -> Stat {
    coordinator.create(path, Some(b"x"), CreateMode::Persistent).await.expect("its parent is there").1
}

fn create_op(path: &str, mode: CreateMode) -> Op {
    Op::Create { path: path.to_owned(), data: Some(b"x".to_vec()), mode }
}

pub(super) fn session_id(coordinator: &dyn Coordinator) -> i64 {
    match *coordinator.session().borrow() {
        SessionState::Connected { session } => session,
        other @ (SessionState::Disconnected | SessionState::Expired | SessionState::Closed) => {
            panic!("no session: {other:?}")
        }
    }
}

/// Waits until the coordinator is connected with a session other than `old`.
pub(super) async fn new_session(coordinator: &dyn Coordinator, old: i64) -> i64 {
    let other = |state: &SessionState| matches!(state, SessionState::Connected { session } if *session != old);
    let mut states = coordinator.session();
    match *states.wait_for(other).await.expect("the coordinator lives") {
        SessionState::Connected { session } => session,
        SessionState::Disconnected | SessionState::Expired | SessionState::Closed => unreachable!("it was waited for"),
    }
}

async fn a_znode_lives_and_dies(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    assert_eq!(zk.get("/a").await, Ok(None));
    assert_eq!(zk.exists("/a").await, Ok(None));
    let (path, created) = zk.create("/a", Some(b"one"), CreateMode::Persistent).await.expect("free");
    assert_eq!(path, "/a");
    assert_eq!((created.version, created.ephemeral_owner, created.children), (0, 0, 0));
    assert_eq!(zk.get("/a").await, Ok(Some((b"one".to_vec(), created))));
    assert_eq!(
        zk.create("/a", None, CreateMode::Persistent).await,
        Err(CoordinationError::NodeExists { path: "/a".into() })
    );
    let set = zk.set("/a", b"two", None).await.expect("it is there");
    assert_eq!((set.version, set.czxid), (1, created.czxid));
    assert_eq!(zk.exists("/a").await, Ok(Some(set)));
    assert_eq!(zk.delete("/a", Some(1)).await, Ok(()));
    assert_eq!(zk.get("/a").await, Ok(None));
}

async fn many_are_read_as_one_by_one(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    assert_eq!(zk.get_many(&[]).await, Ok(Vec::new()));
    // Every third is there, one changed just before the request, and they fill more than one request.
    let paths = (0..250).map(|number| format!("/many-{number}")).collect::<Vec<_>>();
    for path in paths.iter().step_by(3) {
        make(&*zk, path).await;
    }
    let (set, read) = futures::join!(zk.set("/many-240", b"new", None), zk.get_many(&paths));
    let (set, read) = (set.expect("it is there"), read.expect("readable"));
    assert_eq!(read.get(240), Some(&Some((b"new".to_vec(), set))));
    assert_eq!(Ok(read), join_all(paths.iter().map(|path| zk.get(path))).await.into_iter().collect());
    let bad = zk.get_many(&["/many-0".to_owned(), "relative".to_owned()]).await;
    assert!(matches!(bad, Err(CoordinationError::Refused(_))), "{bad:?}");
}

async fn null_data_reads_as_empty(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    zk.create("/null", None, CreateMode::Persistent).await.expect("free");
    let (data, _) = zk.get("/null").await.expect("readable").expect("there");
    assert_eq!(data, b"");
}

async fn parents_must_be_there(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    let no_node = |path: &str| CoordinationError::NoNode { path: path.to_owned() };
    assert_eq!(zk.create("/a/b", None, CreateMode::Persistent).await, Err(no_node("/a/b")));
    assert_eq!(zk.children("/a").await, Err(no_node("/a")));
    assert_eq!(zk.set("/a", b"", None).await, Err(no_node("/a")));
    assert_eq!(zk.delete("/a", None).await, Err(no_node("/a")));
    make(&*zk, "/a").await;
    make(&*zk, "/a/b").await;
    assert_eq!(zk.delete("/a", None).await, Err(CoordinationError::NotEmpty { path: "/a".into() }));
}

async fn versions_are_checked(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    make(&*zk, "/a").await;
    let changed = CoordinationError::BadVersion { path: "/a".to_owned() };
    assert_eq!(zk.set("/a", b"", Some(1)).await, Err(changed.clone()));
    assert_eq!(zk.delete("/a", Some(1)).await, Err(changed.clone()));
    assert_eq!(zk.set("/a", b"", Some(0)).await.map(|stat| stat.version), Ok(1));
    assert_eq!(zk.multi(vec![Op::Check { path: "/a".into(), version: 0 }]).await, Err(changed));
    assert_eq!(zk.multi(vec![Op::Check { path: "/a".into(), version: 1 }]).await, Ok(vec![OpResult::Checked]));
}

async fn numbers_and_times_tell_order(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    let first = make(&*zk, "/a").await;
    let second = make(&*zk, "/b").await;
    assert!(first.czxid < second.czxid, "transactions are numbered upwards");
    let set = zk.set("/a", b"y", None).await.expect("there");
    assert!(second.mzxid < set.mzxid && first.ctime <= set.mtime && set.ctime == first.ctime);
    zk.delete("/a", None).await.expect("there");
    assert!(set.mzxid < make(&*zk, "/a").await.czxid, "a namesake is another znode");
}

async fn sequential_names_count_children_ever_made(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    make(&*zk, "/q").await;
    let next = || zk.create("/q/n_", None, CreateMode::PersistentSequential);
    assert_eq!(next().await.expect("free").0, "/q/n_0000000000");
    make(&*zk, "/q/other").await;
    assert_eq!(next().await.expect("free").0, "/q/n_0000000002");
    zk.delete("/q/n_0000000002", None).await.expect("there");
    assert_eq!(next().await.expect("free").0, "/q/n_0000000003", "no number comes twice");
    assert_eq!(zk.children("/q").await.expect("there"), ["n_0000000000", "n_0000000003", "other"]);
    let created = zk.multi(vec![create_op("/q/n_", CreateMode::PersistentSequential)]).await;
    assert_eq!(created, Ok(vec![OpResult::Created { path: "/q/n_0000000004".into() }]));
}

async fn ephemerals_go_with_their_session(ensemble: &dyn Ensemble) {
    let observer = ensemble.session().await;
    let zk = ensemble.session().await;
    let (_, stat) = zk.create("/e", Some(b"x"), CreateMode::Ephemeral).await.expect("free");
    assert_eq!(stat.ephemeral_owner, session_id(&*zk));
    make(&*zk, "/p").await;
    assert_eq!(zk.close().await, Ok(()));
    assert_eq!(*zk.session().borrow(), SessionState::Closed);
    assert_eq!(observer.exists("/e").await, Ok(None));
    assert!(observer.exists("/p").await.expect("readable").is_some());
    assert_eq!(zk.exists("/p").await, Err(CoordinationError::SessionExpired));
    assert_eq!(zk.close().await, Ok(()), "closing twice is closing once");
}

async fn ephemerals_have_no_children(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    zk.create("/e", None, CreateMode::Ephemeral).await.expect("free");
    let refused = zk.create("/e/c", None, CreateMode::Persistent).await;
    assert!(matches!(refused, Err(CoordinationError::Refused(_))), "{refused:?}");
    assert_eq!(zk.close().await, Ok(()));
}

async fn a_multi_is_all_or_nothing(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    make(&*zk, "/a").await;
    make(&*zk, "/fence").await;
    let steps = || {
        vec![
            Op::Check { path: "/fence".into(), version: 0 },
            Op::Set { path: "/a".into(), data: b"y".to_vec(), version: Some(0) },
            create_op("/b", CreateMode::Persistent),
            create_op("/b/c", CreateMode::Persistent),
            Op::Delete { path: "/b/c".into(), version: Some(0) },
        ]
    };
    for failing in 0..=steps().len() {
        let mut ops = steps();
        ops.insert(failing, Op::Check { path: "/fence".into(), version: 5 });
        let changed = CoordinationError::BadVersion { path: "/fence".into() };
        assert_eq!(zk.multi(ops).await, Err(changed), "step {failing}");
        assert_eq!(zk.exists("/a").await.map(|stat| stat.map(|stat| stat.version)), Ok(Some(0)), "step {failing}");
        assert_eq!(zk.exists("/b").await, Ok(None), "step {failing}");
    }
    let results = zk.multi(steps()).await.expect("every step holds");
    let stat = zk.exists("/a").await.expect("readable").expect("there");
    assert_eq!(stat.version, 1);
    assert_eq!(
        results,
        [
            OpResult::Checked,
            OpResult::Set { stat },
            OpResult::Created { path: "/b".into() },
            OpResult::Created { path: "/b/c".into() },
            OpResult::Deleted,
        ]
    );
    assert_eq!(zk.multi(vec![]).await, Ok(vec![]));
    let first = vec![create_op("/a", CreateMode::Persistent), Op::Check { path: "/fence".into(), version: 5 }];
    assert_eq!(
        zk.multi(first).await,
        Err(CoordinationError::NodeExists { path: "/a".into() }),
        "the first failing step speaks"
    );
}

async fn a_multi_sees_its_own_steps(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    let ops = vec![
        create_op("/a", CreateMode::Persistent),
        Op::Set { path: "/a".into(), data: b"y".to_vec(), version: Some(0) },
        Op::Check { path: "/a".into(), version: 1 },
        Op::Delete { path: "/a".into(), version: Some(1) },
    ];
    assert_eq!(zk.multi(ops).await.map(|results| results.len()), Ok(4));
    assert_eq!(zk.exists("/a").await, Ok(None));
}

async fn registration_in_two_steps_gives_an_epoch(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    let ops = vec![
        Op::Create { path: "/e".into(), data: None, mode: CreateMode::Ephemeral },
        Op::Set { path: "/e".into(), data: b"json".to_vec(), version: Some(0) },
    ];
    let results = zk.multi(ops).await.expect("free");
    let Some(OpResult::Set { stat }) = results.last() else { panic!("{results:?}") };
    assert_eq!(stat.czxid, stat.mzxid);
    assert_eq!((stat.version, stat.ephemeral_owner), (1, session_id(&*zk)));
    assert_eq!(zk.get("/e").await, Ok(Some((b"json".to_vec(), *stat))));
    zk.close().await.expect("open");
}

async fn calls_take_effect_in_order(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    make(&*zk, "/a").await;
    let writes: Vec<_> = (0..100).map(|n| zk.set("/a", format!("{n}").as_bytes(), Some(n))).collect();
    let read = zk.get("/a");
    // Polled backwards: the order is that of the calls.
    let (read, versions) = (read.await, join_all(writes.into_iter().rev()).await);
    assert_eq!(read.expect("readable").expect("there").0, b"99");
    let versions: Vec<_> = versions.into_iter().map(|stat| stat.expect("each found its version").version).collect();
    assert_eq!(versions, (1..=100).rev().collect::<Vec<_>>());
}

async fn impossible_paths_are_refused(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    for path in ["", "a", "/a/", "/a//b", "/../a", "/a\u{1}"] {
        let refused = zk.create(path, None, CreateMode::Persistent).await;
        assert!(matches!(refused, Err(CoordinationError::Refused(_))), "{path:?}: {refused:?}");
        let refused = zk.get(path).await;
        assert!(matches!(refused, Err(CoordinationError::Refused(_))), "{path:?}: {refused:?}");
    }
}

async fn oversized_requests_are_refused(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    let refused = zk.create("/a", Some(&vec![0; REQUEST_BYTES_MAX]), CreateMode::Persistent).await;
    assert!(matches!(refused, Err(CoordinationError::Refused(_))), "{refused:?}");
    let big = vec![7; REQUEST_BYTES_MAX - 1024];
    zk.create("/a", Some(&big), CreateMode::Persistent).await.expect("that much is taken");
    assert_eq!(zk.get("/a").await.expect("readable").expect("there").0, big);
}

async fn events(receiver: &mut mpsc::UnboundedReceiver<WatchEvent>, count: usize) -> Vec<WatchEvent> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(receiver.recv().await.expect("the watch lives"));
    }
    found
}

async fn a_watch_tells_what_happens_below(ensemble: &dyn Ensemble) {
    let (zk, other) = (ensemble.session().await, ensemble.session().await);
    make(&*zk, "/w").await;
    make(&*zk, "/wide").await;
    let mut watch = zk.watch("/w").await.expect("a session");
    let mut all = zk.watch("/").await.expect("a session");
    make(&*other, "/w/a").await;
    other.set("/wide", b"y", None).await.expect("there");
    let both = vec![
        Op::Set { path: "/w".into(), data: b"y".to_vec(), version: None },
        Op::Delete { path: "/w/a".into(), version: None },
    ];
    other.multi(both).await.expect("it fits");
    let expected =
        [WatchEvent::Created("/w/a".into()), WatchEvent::DataChanged("/w".into()), WatchEvent::Deleted("/w/a".into())];
    assert_eq!(events(&mut watch, 3).await, expected);
    let with_wide = [&expected[..1], &[WatchEvent::DataChanged("/wide".into())], &expected[1..]].concat();
    assert_eq!(events(&mut all, 4).await, with_wide);
    drop(all);
    other.create("/w/e", None, CreateMode::Ephemeral).await.expect("free");
    other.close().await.expect("open");
    let expected = [WatchEvent::Created("/w/e".into()), WatchEvent::Deleted("/w/e".into())];
    assert_eq!(events(&mut watch, 2).await, expected);
}

async fn a_watch_does_not_tell_the_past(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    make(&*zk, "/w").await;
    let earlier = zk.set("/w", b"y", None);
    let watch = zk.watch("/w");
    let later = zk.create("/w/a", None, CreateMode::Persistent);
    let (earlier, watch, later) = futures::join!(earlier, watch, later);
    assert!(earlier.is_ok() && later.is_ok());
    let mut watch = watch.expect("a session");
    assert_eq!(events(&mut watch, 1).await, [WatchEvent::Created("/w/a".into())]);
}

async fn an_expired_session_is_followed_by_another(ensemble: &dyn Ensemble) {
    let observer = ensemble.session().await;
    make(&*observer, "/w").await;
    let zk = ensemble.session().await;
    let mut watch = zk.watch("/w").await.expect("a session");
    zk.create("/w/e", None, CreateMode::Ephemeral).await.expect("free");
    assert_eq!(events(&mut watch, 1).await, [WatchEvent::Created("/w/e".into())]);
    let old = session_id(&*zk);
    ensemble.expire_newest().await;
    let new = new_session(&*zk, old).await;
    assert_ne!(new, old);
    let seen = Cell::new(0);
    while watch.recv().await.expect("the watch outlives the session") != WatchEvent::Resync {
        seen.set(seen.get() + 1);
        assert!(seen.get() < 3, "only the ephemeral's end may be told before");
    }
    assert_eq!(observer.exists("/w/e").await, Ok(None), "ephemerals went with the session");
    let (_, stat) = zk.create("/w/e", None, CreateMode::Ephemeral).await.expect("free again");
    assert_eq!(stat.ephemeral_owner, new);
    while watch.recv().await.expect("the watch lives on") != WatchEvent::Created("/w/e".into()) {}
    zk.close().await.expect("open");
}

async fn a_long_list_is_whole_and_sorted(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    make(&*zk, "/long").await;
    let names: Vec<_> = (0..20_000).map(|n| format!("topic-of-some-length-{n:05}")).collect();
    for part in names.chunks(1_000) {
        let ops = part.iter().rev().map(|name| create_op(&format!("/long/{name}"), CreateMode::Persistent)).collect();
        zk.multi(ops).await.expect("it fits one request");
    }
    assert_eq!(zk.children("/long").await.expect("there"), names);
    assert_eq!(zk.exists("/long").await.expect("readable").expect("there").children, 20_000);
}
