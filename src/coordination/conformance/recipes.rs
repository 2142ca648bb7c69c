//! The recipes on every coordinator, and under every fault that the simulated one knows.

use std::collections::BTreeSet;

use super::super::conformance::on_zookeeper::{Chrooted, address};
use super::super::embedded::Embedded;
use super::super::faulty::{FaultRates, Faulty};
use super::super::recipe::election::{self, ControllerToken, Election};
use super::super::recipe::registration::{self, Registered};
use super::super::recipe::{RecipeError, broker_id, cluster_id, config, create_persistent_paths, producer_ids};
use super::super::znode::broker::{self, Endpoint, Registration};
use super::super::znode::config::{CHANGES, Entity, Settings, decode_change};
use super::super::znode::producer_ids::BLOCK_IDS;
use super::super::znode::{controller, persistent_at_start};
use super::*;
use crate::model::{BrokerId, ControllerEpoch};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn registration_of(port: u16) -> Registration {
    let (listener, security_protocol, host) = ("PLAINTEXT".into(), "PLAINTEXT".into(), "h".into());
    Registration {
        endpoints: vec![Endpoint { listener, security_protocol, host, port }],
        jmx_port: -1,
        registered_at: NOW,
        rack: None,
        features: std::collections::BTreeMap::new(),
    }
}

async fn start(zk: &dyn Coordinator) {
    create_persistent_paths(zk).await.expect("the coordinator answers");
}

async fn register(zk: &dyn Coordinator, broker: i32, earlier: &[i64]) -> Result<Registered, RecipeError> {
    registration::register(zk, BrokerId(broker), &registration_of(9092), earlier).await
}

async fn won(zk: &dyn Coordinator, broker: i32) -> ControllerToken {
    match election::elect(zk, BrokerId(broker), NOW).await.expect("the coordinator answers") {
        Election::Won(token) => token,
        Election::Lost(controller) => panic!("{controller:?} was elected"),
    }
}

suite![
    everything_a_broker_needs_is_made,
    the_first_cluster_id_stays,
    an_epoch_is_the_number_of_the_registration,
    a_left_over_registration_is_replaced,
    a_taken_broker_id_is_told,
    one_controller_at_a_time,
    a_deposed_controller_changes_nothing,
    anybody_may_depose_the_controller_that_it_means,
    producer_ids_are_never_given_twice,
    broker_ids_are_generated_once,
    settings_are_written_and_told,
];

async fn everything_a_broker_needs_is_made(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    start(&*zk).await;
    start(&*zk).await;
    for (path, data) in persistent_at_start() {
        let (found, stat) = zk.get(path).await.expect("readable").expect("made");
        assert_eq!((found, stat.version), (data.unwrap_or_default(), 0), "{path}");
    }
}

async fn the_first_cluster_id_stays(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    let lost = RecipeError::NoClusterId { ours: "first".to_owned() };
    assert_eq!(cluster_id(&*zk, Some("first"), "new").await, Err(lost), "an id that there was is not replaced");
    assert_eq!(zk.exists("/cluster/id").await, Ok(None));
    assert_eq!(cluster_id(&*zk, None, "first").await.as_deref(), Ok("first"));
    assert_eq!(cluster_id(&*zk, None, "second").await.as_deref(), Ok("first"));
    assert_eq!(cluster_id(&*zk, Some("first"), "third").await.as_deref(), Ok("first"));
    let other = RecipeError::OtherCluster { ours: "ours".to_owned(), found: "first".to_owned() };
    assert_eq!(cluster_id(&*zk, Some("ours"), "third").await, Err(other));
}

async fn an_epoch_is_the_number_of_the_registration(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    start(&*zk).await;
    let first = register(&*zk, 1, &[]).await.expect("the id is free");
    let (data, stat) = zk.get("/brokers/ids/1").await.expect("readable").expect("registered");
    assert_eq!(Registration::decode(&data), Ok(registration_of(9092)));
    assert_eq!((stat.czxid, stat.version), (first.epoch.0, 1));
    assert_eq!(register(&*zk, 1, &[]).await, Ok(first), "the same session's registration is the same");
    registration::update(&*zk, BrokerId(1), &registration_of(9999)).await.expect("registered");
    assert_eq!(zk.exists("/brokers/ids/1").await.expect("readable").expect("there").czxid, first.epoch.0);
    ensemble.expire_newest().await;
    new_session(&*zk, first.session).await;
    let second = register(&*zk, 1, &[]).await.expect("the old one is gone");
    assert!(first.epoch < second.epoch && first.session != second.session);
    zk.close().await.expect("open");
}

async fn a_left_over_registration_is_replaced(ensemble: &dyn Ensemble) {
    let before = ensemble.session().await;
    start(&*before).await;
    let dead = register(&*before, 1, &[]).await.expect("the id is free");
    won(&*before, 1).await;
    let zk = ensemble.session().await;
    registration::end_earlier_sessions(&*zk, BrokerId(1), &[7, dead.session]).await.expect("allowed");
    assert_eq!(zk.exists("/brokers/ids/1").await, Ok(None));
    assert_eq!(zk.exists(controller::CONTROLLER).await, Ok(None));
    let again = register(&*before, 1, &[]).await.expect("the id is free");
    assert!(dead.epoch < again.epoch);
    let alive = register(&*zk, 1, &[again.session]).await.expect("what was left over is removed");
    assert!(again.epoch < alive.epoch);
    registration::end_earlier_sessions(&*zk, BrokerId(1), &[alive.session]).await.expect("allowed");
    assert!(zk.exists("/brokers/ids/1").await.expect("readable").is_some(), "one's own is not left over");
}

async fn a_taken_broker_id_is_told(ensemble: &dyn Ensemble) {
    let (one, two) = (ensemble.session().await, ensemble.session().await);
    start(&*one).await;
    let first = register(&*one, 1, &[]).await.expect("the id is free");
    let taken = RecipeError::BrokerIdTaken { broker: BrokerId(1), session: first.session };
    assert_eq!(register(&*two, 1, &[first.session ^ 1]).await, Err(taken));
}

async fn one_controller_at_a_time(ensemble: &dyn Ensemble) {
    let (one, two) = (ensemble.session().await, ensemble.session().await);
    let first = won(&*one, 1).await;
    assert_eq!((first.epoch, first.epoch_version), (ControllerEpoch(1), 1));
    match election::elect(&*two, BrokerId(2), NOW).await.expect("the coordinator answers") {
        Election::Lost(controller) => assert_eq!(controller.broker, BrokerId(1)),
        Election::Won(token) => panic!("two controllers: {token:?}"),
    }
    let (found, _) = election::current(&*two).await.expect("readable").expect("elected");
    assert_eq!(found, controller::Controller::elected(BrokerId(1), NOW));
    assert_eq!(election::resign(&*one, first).await, Ok(true));
    assert_eq!(won(&*two, 2).await.epoch, ControllerEpoch(2));
    assert_eq!(election::resign(&*one, first).await, Ok(false), "an office that is another's cannot be given up");
    assert!(election::current(&*one).await.expect("readable").is_some());
}

async fn a_deposed_controller_changes_nothing(ensemble: &dyn Ensemble) {
    let (one, two) = (ensemble.session().await, ensemble.session().await);
    make(&*one, "/t").await;
    let old = won(&*one, 1).await;
    let write = || Op::Set { path: "/t".into(), data: b"y".to_vec(), version: None };
    assert!(one.multi(old.fence([write()])).await.is_ok());
    one.close().await.expect("open");
    let new = won(&*two, 2).await;
    let refused = two.multi(old.fence([write()])).await.expect_err("it is deposed");
    assert!(ControllerToken::is_fenced(&refused), "{refused}");
    assert!(two.multi(new.fence([write()])).await.is_ok());
    let other = two.multi(new.fence([Op::Check { path: "/t".into(), version: 9 }])).await.expect_err("version 2");
    assert!(!ControllerToken::is_fenced(&other), "{other}");
}

async fn anybody_may_depose_the_controller_that_it_means(ensemble: &dyn Ensemble) {
    let (one, two) = (ensemble.session().await, ensemble.session().await);
    make(&*one, "/t").await;
    assert_eq!(election::depose(&*two, BrokerId(1)).await, Ok(false), "there is none");
    let old = won(&*one, 1).await;
    assert_eq!(election::depose(&*two, BrokerId(3)).await, Ok(false), "it is another");
    assert_eq!(election::depose(&*two, BrokerId(1)).await, Ok(true));
    won(&*two, 2).await;
    let write = Op::Set { path: "/t".into(), data: b"y".to_vec(), version: None };
    let refused = one.multi(old.fence([write])).await.expect_err("it is deposed");
    assert!(ControllerToken::is_fenced(&refused), "{refused}");
}

async fn producer_ids_are_never_given_twice(ensemble: &dyn Ensemble) {
    let (one, two) = (ensemble.session().await, ensemble.session().await);
    start(&*one).await;
    let mut firsts = Vec::new();
    for _ in 0..10 {
        let (a, b) = futures::join!(
            producer_ids::allocate_block(&*one, BrokerId(1)),
            producer_ids::allocate_block(&*two, BrokerId(2)),
        );
        firsts.extend([a.expect("ids are left").first.0, b.expect("ids are left").first.0]);
    }
    firsts.sort_unstable();
    assert_eq!(firsts, (0..20).map(|n| n * BLOCK_IDS).collect::<Vec<_>>());
}

async fn broker_ids_are_generated_once(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    assert_eq!(broker_id::generate(&*zk, 1_000).await, Ok(BrokerId(1_001)));
    assert_eq!(broker_id::generate(&*zk, 1_000).await, Ok(BrokerId(1_002)));
}

async fn settings_are_written_and_told(ensemble: &dyn Ensemble) {
    let zk = ensemble.session().await;
    let user = Entity::UserClient(Some("a b".into()), None);
    let settings = Settings::from([("producer_byte_rate".to_owned(), "1024".to_owned())]);
    assert_eq!(config::replace(&*zk, &user, &settings).await, Err(RecipeError::NoController));
    start(&*zk).await;
    won(&*zk, 1).await;
    assert_eq!(config::settings(&*zk, &user).await, Ok(Settings::new()));
    config::replace(&*zk, &user, &settings).await.expect("there is a controller");
    assert_eq!(config::settings(&*zk, &user).await, Ok(settings));
    config::replace(&*zk, &user, &Settings::new()).await.expect("there is a controller");
    assert_eq!(config::settings(&*zk, &user).await, Ok(Settings::new()));
    let notices = zk.children(CHANGES).await.expect("made at start");
    assert_eq!(notices, ["config_change_0000000000", "config_change_0000000001"]);
    for notice in notices {
        let (data, _) = zk.get(&path::join(CHANGES, &notice)).await.expect("readable").expect("there");
        assert_eq!(decode_change(&data).as_ref(), Ok(&user));
    }
}

#[test]
fn on_the_embedded_tree() {
    let fresh = || on_embedded::InProcess::new(Embedded::in_memory(ticks()));
    let ensemble = fresh();
    run(all(&ensemble, async |_| ensemble.fresh(Embedded::in_memory(ticks()))));
}

#[test]
fn on_a_real_ensemble() {
    let Some(address) = address() else { return };
    run(async {
        let ensemble = Chrooted::new(address, "recipes");
        all(&ensemble, async |name| ensemble.fresh(name).await).await;
        ensemble.clean().await;
    });
}

const RATES: FaultRates = FaultRates {
    lost_requests: 60,
    lost_replies: 120,
    expiries: 20,
    away_max: Duration::from_secs(5),
    delay_max: Duration::from_millis(50),
};

/// Tries `recipe` in one session after the other until it is done.
async fn insist<T>(mut recipe: impl AsyncFnMut() -> Result<T, RecipeError>) -> T {
    loop {
        match recipe().await {
            Ok(done) => return done,
            Err(RecipeError::Coordination(CoordinationError::SessionExpired)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

/// What one broker went through.
#[derive(Default)]
struct Story {
    epochs: Vec<i64>,
    won: Vec<ControllerEpoch>,
    blocks: Vec<i64>,
}

async fn live(zk: &Faulty, broker: i32) -> Story {
    let mut story = Story::default();
    for _ in 0..20 {
        let registered = insist(async || register(zk, broker, &[]).await).await;
        if story.epochs.last() != Some(&registered.epoch.0) {
            story.epochs.push(registered.epoch.0);
        }
        match insist(async || election::elect(zk, BrokerId(broker), NOW).await).await {
            Election::Won(token) => {
                story.won.push(token.epoch);
                insist(async || Ok(election::resign(zk, token).await?)).await;
            }
            Election::Lost(_) => {}
        }
        let block = insist(async || producer_ids::allocate_block(zk, BrokerId(broker)).await).await;
        story.blocks.push(block.first.0);
    }
    story
}

#[test]
fn under_every_fault_epochs_are_unique_and_rise() {
    for seed in 0..50 {
        run(async {
            tokio::time::pause();
            let tree = Embedded::in_memory(ticks());
            start(&tree).await;
            let brokers: Vec<_> =
                (1..=3_u64).map(|n| Faulty::new(tree.another_session(), seed * 8 + n, RATES)).collect();
            let lives = brokers.iter().zip(1..).map(|(zk, broker)| live(zk, broker));
            let stories = join_all(lives).await;
            let mut blocks = BTreeSet::new();
            let mut epochs = BTreeSet::new();
            for story in &stories {
                assert!(story.epochs.is_sorted_by(|a, b| a < b), "seed {seed}: broker epochs {:?}", story.epochs);
                assert!(story.won.is_sorted_by(|a, b| a < b), "seed {seed}: controller epochs {:?}", story.won);
                assert!(story.won.iter().all(|epoch| epochs.insert(*epoch)), "seed {seed}: an epoch was won twice");
                assert!(story.blocks.iter().all(|first| blocks.insert(*first)), "seed {seed}: a block was given twice");
            }
            assert!(!epochs.is_empty(), "seed {seed}: nobody was ever elected");
            let (data, _) = tree.get(controller::EPOCH).await.expect("readable").expect("made");
            let last = controller::decode_epoch(&data).expect("an epoch");
            assert!(epochs.last() <= Some(&last), "seed {seed}");
            assert!(tree.exists(&broker::path(BrokerId(1))).await.is_ok());
        });
    }
}
