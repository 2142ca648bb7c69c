//! Brokers that were started again, and may have lost what they had not flushed.

use super::*;

#[test]
fn who_was_started_since_a_state_was_written_does_not_lead_on_under_it() {
    let state = PartitionState {
        controller_epoch: ControllerEpoch(1),
        leader: BrokerId(1),
        leader_epoch: LeaderEpoch(5),
        isr: ids(&[1, 2, 3]),
        partition_epoch: PartitionEpoch(3),
        recovering: false,
    };
    let read = |brokers: &[i32], replicas: &[i32], at: i64| {
        let mut c = Transcript::new(brokers);
        let record = TopicRecord {
            states: BTreeMap::from([(PartitionIndex(0), PartitionState { isr: ids(replicas), ..state.clone() })]),
            written: BTreeMap::from([(PartitionIndex(0), at)]),
            ..record(7, &[replicas])
        };
        written(&c.after(Event::TopicsRead(vec![(name("t"), Some(record))])))
    };
    // The epoch of each broker is its number.
    assert_eq!(read(&[1, 2, 3], &[1, 2, 3], 4), [], "all were there before");
    assert_eq!(read(&[1, 2, 3], &[1, 2, 3], 2), [(1, 6, ids(&[1, 2]))], "3 may have lost what it had");
    assert_eq!(read(&[1, 2, 3], &[1, 2, 3], 0), [(1, 6, ids(&[1, 2, 3]))], "nobody else can lead");
    assert_eq!(read(&[1], &[1], 0), [], "no other replica can differ");
}

#[test]
fn who_was_started_again_does_not_join_for_what_it_had_before() {
    let mut c = three();
    let effects = c.after(Event::AlterIsr { token: 1, broker: BrokerId(1), changes: vec![wish(0, 0, &[1, 2])] });
    succeed(&mut c, &effects);
    let joins = |epoch| {
        let joins = BTreeMap::from([(BrokerId(3), BrokerEpoch(epoch))]);
        let changes = vec![IsrChange { joins, ..wish(0, 1, &[1, 2, 3]) }];
        Event::AlterIsr { token: 2, broker: BrokerId(1), changes }
    };
    let refused = c.after(joins(2));
    assert_eq!((written(&refused), answer(&refused)), (vec![], vec![Some(ErrorCode::IneligibleReplica)]), "KIP-903");
    let granted = c.after(joins(3));
    assert_eq!((written(&granted), answer(&granted)), (vec![(1, 0, ids(&[1, 2, 3]))], vec![None]));
}
