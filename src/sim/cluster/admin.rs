//! Administrators of a cluster: topics come, go, and come again under the same name; partitions move to other brokers, or do not;
//! preferred leaders are elected.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::admin::delete_once;
use super::super::client::{Client, Trouble};
use super::super::life::Life;
use super::super::oracle::{Keeps, Place, Promise};
use super::super::passing::write_to;
use super::way;
use crate::model::ErrorCode;
use crate::wire::message::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use crate::wire::message::elect_leaders::ElectLeadersRequest;

const REASSIGN: i16 = 0;
const ELECT_LEADERS: i16 = 2;
const TIMEOUT_MS: i32 = 30_000;

/// Topics that come and go.
const NAMES: [&str; 2] = ["passing-0", "passing-1"];

/// Replicas of each.
pub(super) const REPLICAS: i16 = 3;

const PROMISE: Promise = Promise { flushed: true, keeps: Keeps::All };

/// What is known of a topic that comes and goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Acknowledged as created, after it was gone.
    There,
    /// Acknowledged as deleted, or never there.
    Gone,
    /// Nobody knows; nothing is asked of it before it was deleted.
    Unknown,
}

/// Lets topics come and go, and writes to them, until it is over.
pub async fn topics(life: Rc<Life>, over: Rc<Cell<bool>>) {
    let mut fates = NAMES.map(|name| (name, Fate::Gone)).into_iter().collect::<BTreeMap<_, _>>();
    while !over.get() {
        life.pause(1_500).await;
        let pick = usize::from(life.percent(50));
        let Some(&name) = NAMES.get(pick) else { continue };
        let place = Place { topic: name.to_owned(), partition: 0 };
        let fate = fates.get(name).copied().unwrap_or(Fate::Unknown);
        let next = match fate {
            Fate::There if life.percent(70) => {
                let mut client = life.connect("passing", Some(&place)).await;
                if let Err(trouble) = write_to(&life, &mut client, &place).await {
                    life.trouble(&trouble);
                }
                continue;
            }
            Fate::There | Fate::Unknown => delete(&life, name, &place).await,
            Fate::Gone => create(&life, name, &place, REPLICAS).await,
        };
        life.trace.note(format_args!("{name} was {fate:?}, and is {next:?}"));
        fates.insert(name, next);
    }
}

pub(super) async fn delete(life: &Life, name: &str, place: &Place) -> Fate {
    // From now on it owes nothing.
    life.oracle.borrow_mut().forget(place);
    let mut client = life.connect("passing", None).await;
    match delete_once(&mut client, name).await {
        Ok(ErrorCode::UnknownTopicOrPartition) => Fate::Gone,
        // Marked for deletion: it is gone when nobody knows it any more.
        Ok(_) => Fate::Unknown,
        Err(trouble) => {
            life.trouble(&trouble);
            Fate::Unknown
        }
    }
}

/// With fewer replicas all of them must be in sync for a record to be acknowledged.
pub(super) async fn create(life: &Life, name: &str, place: &Place, replicas: i16) -> Fate {
    let min_insync = replicas.min(2).to_string();
    let configs = [("durability", "flushed"), ("min.insync.replicas", &min_insync), ("segment.bytes", "20000")];
    let mut client = life.connect("passing", None).await;
    match way::create_once(&mut client, name, 1, replicas, &configs).await {
        Ok(ErrorCode::None) => {
            // It is new, and so are its partitions: a namesake's records would be nobody's.
            life.oracle.borrow_mut().created(place.clone(), PROMISE);
            Fate::There
        }
        Ok(_) => Fate::Unknown,
        Err(trouble) => {
            life.trouble(&trouble);
            Fate::Unknown
        }
    }
}

/// Moves partitions and leaders until it is over.
pub async fn moves(life: Rc<Life>, over: Rc<Cell<bool>>, places: Vec<Place>, brokers: i32) {
    while !over.get() {
        life.pause(4_000).await;
        let mut client = life.connect("mover", None).await;
        let done = match life.below(3) {
            0 => elect(&mut client).await,
            _ => reassign(&life, &mut client, &places, brokers).await,
        };
        if let Err(trouble) = done {
            life.trouble(&trouble);
        }
    }
}

/// Lets the preferred replicas lead.
pub(super) async fn elect(client: &mut Client) -> Result<(), Trouble> {
    let request = ElectLeadersRequest { election_type: 0, topic_partitions: None, timeout_ms: TIMEOUT_MS };
    client.call(ELECT_LEADERS, &request).await.map(drop)
}

async fn reassign(life: &Life, client: &mut Client, places: &[Place], brokers: i32) -> Result<(), Trouble> {
    let pick = usize::try_from(life.below(u64::try_from(places.len()).unwrap_or(0))).unwrap_or(0);
    let Some(place) = places.get(pick) else { return Ok(()) };
    let replicas = (!life.percent(30)).then(|| {
        let mut ids = (1..=brokers).collect::<Vec<_>>();
        let first = usize::try_from(life.below(u64::try_from(ids.len()).unwrap_or(1))).unwrap_or(0);
        ids.rotate_left(first);
        if life.percent(50) {
            ids.reverse();
        }
        ids.truncate(3);
        ids
    });
    move_to(life, client, place, replicas).await
}

/// Moves a partition to these brokers; `None` lets it stay after all.
pub(super) async fn move_to(
    life: &Life,
    client: &mut Client,
    place: &Place,
    replicas: Option<Vec<i32>>,
) -> Result<(), Trouble> {
    life.trace.note(format_args!("{place} shall be on {replicas:?}"));
    let partition = ReassignablePartition { partition_index: place.partition, replicas };
    let topic = ReassignableTopic { name: place.topic.as_str().into(), partitions: vec![partition] };
    let request = AlterPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics: vec![topic] };
    client.call(REASSIGN, &request).await.map(drop)
}
