//! Where the replicas of a new topic go when nobody says.
//!
//! Source: Kafka 3.9 `AdminUtils.assignReplicasToBrokersRackUnaware`.

use crate::model::BrokerId;

/// The random choices of one assignment. Kafka draws both, so that not every topic's first leader is the same broker.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Which broker gets the first partition's first replica.
    pub first: usize,
    /// How far the second replica is from the first one.
    pub shift: usize,
}

/// Replicas of partitions `from..from + count`, each in order of preference. First replicas go round; the others are shifted
/// further each time all brokers had their turn, so that the replicas of one broker's partitions spread over all others.
/// Empty when there are fewer brokers than replicas, or nothing is asked for.
#[must_use]
pub fn assign(brokers: &[BrokerId], from: usize, count: usize, replicas: usize, draw: Draw) -> Vec<Vec<BrokerId>> {
    let live = brokers.len();
    if replicas == 0 || live < replicas {
        return vec![];
    }
    let assignment = |partition: usize| {
        let first = (partition + draw.first) % live;
        let shift = draw.shift + partition / live;
        let others = (0..replicas - 1).map(|nth| (first + 1 + (shift + nth) % (live - 1).max(1)) % live);
        std::iter::once(first).chain(others).filter_map(|index| brokers.get(index).copied()).collect()
    };
    (from..from.saturating_add(count)).map(assignment).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn brokers(count: i32) -> Vec<BrokerId> {
        (0..count).map(BrokerId).collect()
    }

    #[test]
    fn kafkas_example_of_five_brokers_and_ten_partitions() {
        // The table in AdminUtils' own documentation: first 0, shift 0.
        let assignment = assign(&brokers(5), 0, 10, 3, Draw { first: 0, shift: 0 });
        let expected = [
            [0, 1, 2],
            [1, 2, 3],
            [2, 3, 4],
            [3, 4, 0],
            [4, 0, 1],
            [0, 2, 3],
            [1, 3, 4],
            [2, 4, 0],
            [3, 0, 1],
            [4, 1, 2],
        ];
        assert_eq!(assignment, expected.map(|replicas| replicas.map(BrokerId).to_vec()));
    }

    #[test]
    fn replicas_of_a_partition_are_on_different_brokers() {
        for live in 1..6 {
            for replicas in 1..=usize::try_from(live).expect("small") {
                for shift in 0..7 {
                    for partition in assign(&brokers(live), 3, 20, replicas, Draw { first: shift * 3, shift }) {
                        assert_eq!(partition.iter().collect::<BTreeSet<_>>().len(), replicas);
                    }
                }
            }
        }
    }

    #[test]
    fn too_few_brokers_give_nothing() {
        assert!(assign(&brokers(2), 0, 1, 3, Draw { first: 0, shift: 0 }).is_empty());
    }
}
