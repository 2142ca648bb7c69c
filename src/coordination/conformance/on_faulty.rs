//! The suite on the simulator's coordinator: without faults it is like every other.

use std::cell::RefCell;

use super::super::embedded::Embedded;
use super::super::faulty::{FaultRates, Faulty};
use super::*;

struct Simulated {
    tree: RefCell<Embedded>,
    newest: RefCell<Option<Faulty>>,
}

impl Ensemble for Simulated {
    fn session(&self) -> LocalBoxFuture<'_, Rc<dyn Coordinator>> {
        let session = Faulty::new(self.tree.borrow().another_session(), 1, FaultRates::default());
        *self.newest.borrow_mut() = Some(session.clone());
        Box::pin(async { Rc::new(session) as Rc<dyn Coordinator> })
    }

    fn expire_newest(&self) -> LocalBoxFuture<'_, ()> {
        let newest = self.newest.borrow();
        let newest = newest.as_ref().expect("a session");
        newest.expire();
        newest.reconnect();
        Box::pin(async {})
    }
}

#[test]
fn without_faults() {
    let fresh = || Embedded::in_memory(ticks());
    let ensemble = Simulated { tree: RefCell::new(fresh()), newest: RefCell::new(None) };
    run(all(&ensemble, async |_| *ensemble.tree.borrow_mut() = fresh()));
}

#[test]
fn a_broken_connection_loses_answers_not_order() {
    run(async {
        let zk = Faulty::new(Embedded::in_memory(ticks()), 1, FaultRates::default());
        make(&zk, "/a").await;
        let under_way = zk.set("/a", b"1", Some(0));
        zk.disconnect();
        assert_eq!(*zk.session().borrow(), SessionState::Disconnected);
        let waiting: Vec<_> = (1..4).map(|version| zk.set("/a", b"2", Some(version))).collect();
        assert_eq!(under_way.await, Err(CoordinationError::ConnectionLoss), "its answer was lost, its effect was not");
        zk.reconnect();
        for (reply, version) in waiting.into_iter().zip(2..) {
            assert_eq!(reply.await.map(|stat| stat.version), Ok(version));
        }
    });
}

#[test]
fn events_of_the_time_away_are_made_up_for() {
    run(async {
        let tree = Embedded::in_memory(ticks());
        let other = tree.another_session();
        let zk = Faulty::new(tree, 1, FaultRates::default());
        let mut watch = zk.watch("/").await.expect("a session");
        zk.disconnect();
        make(&other, "/missed").await;
        tokio::task::yield_now().await;
        zk.reconnect();
        assert_eq!(events(&mut watch, 1).await, [WatchEvent::Resync]);
        make(&other, "/seen").await;
        assert_eq!(events(&mut watch, 1).await, [WatchEvent::Created("/seen".into())]);
    });
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let trace = |seed: u64| {
        let seen = RefCell::new(Vec::new());
        run(async {
            tokio::time::pause();
            let rates = FaultRates {
                lost_requests: 100,
                lost_replies: 100,
                expiries: 50,
                away_max: Duration::from_secs(3),
                delay_max: Duration::from_millis(20),
            };
            let zk = Faulty::new(Embedded::in_memory(ticks()), seed, rates);
            for n in 0..200 {
                let reply = zk.create(&format!("/n{n}"), None, CreateMode::Ephemeral).await;
                seen.borrow_mut().push(reply.map_err(|error| error.to_string()).map(|(_, stat)| stat));
                recipe::connected(&zk).await.expect("it comes back");
            }
        });
        seen.into_inner()
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
    let failed = trace(7).iter().filter(|reply| reply.is_err()).count();
    assert!((20..100).contains(&failed), "{failed} of 200 failed");
}
