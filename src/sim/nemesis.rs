//! What goes wrong while the broker lives: connections break, flushes and writes fail, the disk fills up, the coordinator goes
//! away.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::life::{Life, RECOVERY_PATIENCE};
use super::network::Network;
use super::oracle::{Place, Violation};
use super::passing;
use super::run::BAD_CONNECTION;
use crate::coordination::faulty::{FaultRates, Faulty};
use crate::storage::disk::Disk as _;
use crate::storage::disk::sim::{Fault, Operation, SimDisk};

/// Faults of one partition's files in one life at most: a log that fails three times in a minute is given up, and rightly so.
const FAULTS_MAX: u32 = 2;

/// What it may break.
pub struct Victims {
    /// The way to the broker.
    pub network: Network,
    /// The broker's disk.
    pub disk: SimDisk,
    /// Its log dirs.
    pub log_dirs: Vec<PathBuf>,
    /// Its session with the coordinator.
    pub coordinator: Faulty,
    /// Faults so far in this life.
    pub faults: RefCell<BTreeMap<Place, u32>>,
}

/// Breaks one thing after the other until the life ends. Every fault ends by itself.
pub async fn run(life: Rc<Life>, victims: Rc<Victims>) {
    life.pause(1_000).await;
    while !life.draining.get() {
        let what = life.below(14);
        if (9..=11).contains(&what) {
            life.coordinator_failed.set(true);
        }
        match what {
            0 | 1 => victims.network.cut(100),
            2 => victims.network.cut(30),
            3 => fail(&life, &victims, Operation::Sync),
            4 => {
                let rare = [Operation::SyncDir, Operation::Open, Operation::Rename, Operation::Remove];
                let pick = usize::try_from(life.below(4)).unwrap_or(0);
                fail(&life, &victims, rare.get(pick).copied().unwrap_or(Operation::SyncDir));
            }
            5 => fail(&life, &victims, Operation::Write),
            6 => fail(&life, &victims, Operation::SetLen),
            7 | 8 => fill(&life, &victims).await,
            9 => {
                life.trace.note(format_args!("coordinator disconnects"));
                victims.coordinator.disconnect();
                life.pause(1_500).await;
                victims.coordinator.reconnect();
            }
            10 => {
                life.trace.note(format_args!("coordinator expires"));
                victims.coordinator.expire();
                life.pause(1_500).await;
                victims.coordinator.reconnect();
            }
            11 => {
                life.trace.note(format_args!("coordinator is hard to reach"));
                victims.coordinator.set_rates(BAD_CONNECTION);
                life.pause(2_000).await;
                victims.coordinator.set_rates(FaultRates::default());
            }
            _ => fail(&life, &victims, Operation::Sync),
        }
        life.pause(1_500).await;
    }
}

/// The next call of a kind on one partition's files fails.
fn fail(life: &Life, victims: &Victims, operation: Operation) {
    // What fails while a partition is made or deleted takes the whole log dir out of service, as in Kafka.
    let stays = |place: &&Place| !passing::is_passing(place);
    let places = life.oracle.borrow().places().map(|(place, _)| place).filter(stays).cloned().collect::<Vec<_>>();
    let pick = usize::try_from(life.below(u64::try_from(places.len()).unwrap_or(0))).unwrap_or(0);
    let Some(place) = places.get(pick) else { return };
    let Some(folder) = folder_of(victims, place) else { return };
    let mut faults = victims.faults.borrow_mut();
    let count = faults.entry(place.clone()).or_insert(0);
    if *count == FAULTS_MAX {
        return;
    }
    *count += 1;
    life.faulted.borrow_mut().insert(place.clone());
    life.trace.note(format_args!("{operation:?} of {} shall fail", folder.display()));
    victims.disk.inject(Fault::once(operation, ErrorKind::Other).below(&folder).after(life.below(3)));
}

fn folder_of(victims: &Victims, place: &Place) -> Option<PathBuf> {
    let mut folders = victims.log_dirs.iter().map(|dir| dir.join(place.to_string()));
    folders.find(|folder| victims.disk.exists(folder).unwrap_or(false))
}

/// The disk is full for a while. Then producing must go on.
async fn fill(life: &Life, victims: &Victims) {
    let Ok(space) = victims.disk.space(Path::new("/")) else { return };
    let used = space.total.saturating_sub(space.usable);
    let room = life.below(3_000);
    life.trace.note(format_args!("the disk has room for {room} bytes"));
    victims.disk.set_capacity(Some(used.saturating_add(room)));
    life.disk_is_full.set(true);
    life.disk_fills.set(life.disk_fills.get().saturating_add(1));
    life.pause(2_000).await;
    victims.disk.set_capacity(None);
    life.disk_is_full.set(false);
    life.trace.note(format_args!("the disk has room again"));
    let before = life.oracle.borrow().acknowledged;
    let resumed = tokio::time::timeout(RECOVERY_PATIENCE, async {
        while life.oracle.borrow().acknowledged == before {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    if resumed.await.is_err() && !life.draining.get() {
        life.violation(Violation::Other("nothing is acknowledged although the disk has room again".to_owned()));
    }
}
