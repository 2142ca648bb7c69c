//! Transcripts of a leader's life.

use std::time::Duration;

use super::*;

const US: BrokerId = BrokerId(1);

fn leadership(epoch: i32, leader: i32) -> Leadership {
    Leadership {
        leader: BrokerId(leader),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(0),
        isr: vec![BrokerId(leader)],
        replicas: vec![BrokerId(leader)],
    }
}

fn rules(durability: Durability) -> Rules {
    Rules { durability, min_insync_replicas: 1, flush_records: None, flush_age: None, lag_max: Duration::from_secs(30) }
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn wait(until: i64, deadline: u64, ticket: &'static str) -> Wait<&'static str> {
    Wait { until: Offset(until), deadline: at(deadline), ticket }
}

fn empty_log() -> LogBounds {
    LogBounds { start: Offset(0), end: Offset(0), flushed: Offset(0) }
}

struct Transcript(Partition<&'static str>);

impl Transcript {
    fn leader(durability: Durability) -> Self {
        let mut transcript = Self(Partition::new(US, empty_log(), Offset(0), rules(durability)));
        assert_eq!(transcript.at(0, Event::Assigned(leadership(0, US.0))), []);
        transcript
    }

    fn at(&mut self, seconds: u64, event: Event<&'static str>) -> Vec<Effect<&'static str>> {
        let mut effects = Vec::new();
        self.0.step(at(seconds), event, &mut effects);
        effects
    }
}

#[test]
fn an_acknowledgement_follows_the_flush_and_one_flush_covers_all_that_arrived_meanwhile() {
    let mut p = Transcript::leader(Durability::Flushed);
    assert_eq!(p.at(1, Event::Appended { end: Offset(3), waits: vec![wait(3, 30, "a")] }), [Effect::Flush]);
    assert_eq!(p.at(1, Event::Appended { end: Offset(5), waits: vec![wait(5, 30, "b")] }), [], "one flush at a time");
    assert_eq!(
        p.at(1, Event::Flushed { up_to: Offset(3) }),
        [Effect::Flush, Effect::HighWatermarkMoved(Offset(3)), Effect::Acknowledge("a")]
    );
    assert_eq!(
        p.at(1, Event::Flushed { up_to: Offset(5) }),
        [Effect::HighWatermarkMoved(Offset(5)), Effect::Acknowledge("b")]
    );
}

#[test]
fn with_page_cache_semantics_an_append_is_committed_at_once() {
    let mut p = Transcript::leader(Durability::PageCache);
    assert_eq!(
        p.at(1, Event::Appended { end: Offset(2), waits: vec![wait(2, 30, "a")] }),
        [Effect::HighWatermarkMoved(Offset(2)), Effect::Acknowledge("a")]
    );
}

#[test]
fn with_page_cache_semantics_so_many_records_are_flushed_and_nobody_waits_for_it() {
    let mut p = Transcript::leader(Durability::PageCache);
    p.at(0, Event::Configured(Rules { flush_records: Some(3), ..rules(Durability::PageCache) }));
    let committed = |offset| Effect::HighWatermarkMoved(Offset(offset));
    assert_eq!(p.at(1, Event::Appended { end: Offset(2), waits: vec![] }), [committed(2)]);
    assert_eq!(p.at(2, Event::Appended { end: Offset(3), waits: vec![] }), [Effect::Flush, committed(3)]);
    assert_eq!(p.at(2, Event::Appended { end: Offset(7), waits: vec![] }), [committed(7)], "one flush at a time");
    assert_eq!(p.at(3, Event::Flushed { up_to: Offset(3) }), [Effect::Flush], "and another for the rest");
    assert_eq!(p.at(4, Event::Flushed { up_to: Offset(7) }), []);
}

#[test]
fn with_page_cache_semantics_no_record_stays_unflushed_too_long() {
    let mut p = Transcript::leader(Durability::PageCache);
    let age = Rules { flush_age: Some(Duration::from_secs(5)), ..rules(Durability::PageCache) };
    p.at(0, Event::Configured(age));
    assert_eq!(p.0.next_deadline(), None, "nothing is unflushed");
    p.at(1, Event::Appended { end: Offset(2), waits: vec![] });
    p.at(3, Event::Appended { end: Offset(4), waits: vec![] });
    assert_eq!(p.0.next_deadline(), Some(at(6)), "the oldest counts");
    assert_eq!(p.at(6, Event::Tick), [Effect::Flush]);
    p.at(7, Event::Appended { end: Offset(5), waits: vec![] });
    assert_eq!(p.0.next_deadline(), None, "a flush is under way");
    assert_eq!(p.at(8, Event::Flushed { up_to: Offset(4) }), []);
    assert_eq!(p.0.next_deadline(), Some(at(12)), "what came meanwhile has its own time");
    assert_eq!(p.at(9, Event::FlushFailed), []);
    assert_eq!(p.0.next_deadline(), None, "a broken log is not flushed");
}

#[test]
fn closed_segments_are_flushed_without_anybody_waiting_and_one_flush_at_a_time() {
    let mut p = Transcript::leader(Durability::PageCache);
    p.at(1, Event::Appended { end: Offset(9), waits: vec![] });
    assert_eq!(p.at(2, Event::SegmentsClosed { up_to: Offset(6) }), [Effect::FlushClosed]);
    assert_eq!(p.at(3, Event::SegmentsClosed { up_to: Offset(8) }), [], "one flush at a time");
    assert_eq!(p.at(4, Event::Flushed { up_to: Offset(6) }), []);
    assert_eq!(p.at(5, Event::SegmentsClosed { up_to: Offset(6) }), [], "all of them are on disk");
    assert_eq!(p.at(6, Event::SegmentsClosed { up_to: Offset(8) }), [Effect::FlushClosed]);
    p.at(7, Event::FlushFailed);
    assert_eq!(p.at(8, Event::SegmentsClosed { up_to: Offset(9) }), [], "a broken log is not flushed");
}

#[test]
fn turning_durability_on_flushes_what_is_there() {
    let mut p = Transcript::leader(Durability::PageCache);
    p.at(1, Event::Appended { end: Offset(2), waits: vec![] });
    assert_eq!(p.at(2, Event::Configured(rules(Durability::Flushed))), [Effect::Flush]);
    assert_eq!(p.0.high_watermark(), Offset(2), "the high watermark never goes back");
}

#[test]
fn after_a_failed_flush_nothing_is_acknowledged_or_taken() {
    let mut p = Transcript::leader(Durability::Flushed);
    p.at(1, Event::Appended { end: Offset(1), waits: vec![wait(1, 30, "a")] });
    assert_eq!(p.at(2, Event::FlushFailed), [Effect::Refuse("a", ErrorCode::KafkaStorageError)]);
    assert_eq!(p.0.may_append(false), Err(ErrorCode::KafkaStorageError));
    assert_eq!(p.at(3, Event::Flushed { up_to: Offset(1) }), [], "a later success says nothing about it");
    assert_eq!(p.at(4, Event::Assigned(leadership(7, US.0))), [], "only reopening the log mends it");
    assert_eq!(p.0.may_append(false), Err(ErrorCode::KafkaStorageError));
}

#[test]
fn a_produce_that_waits_too_long_is_told_so_and_later_ones_still_wait() {
    let mut p = Transcript::leader(Durability::Flushed);
    p.at(1, Event::Appended { end: Offset(2), waits: vec![wait(1, 5, "a"), wait(2, 9, "b")] });
    assert_eq!(p.0.next_deadline(), Some(at(5)));
    assert_eq!(p.at(5, Event::Tick), [Effect::Refuse("a", ErrorCode::RequestTimedOut)]);
    assert_eq!(p.0.next_deadline(), Some(at(9)));
}

#[test]
fn losing_leadership_refuses_what_waits_and_old_epochs_are_ignored() {
    let mut p = Transcript::leader(Durability::Flushed);
    p.at(1, Event::Appended { end: Offset(1), waits: vec![wait(1, 30, "a")] });
    assert_eq!(p.at(2, Event::Assigned(leadership(3, 2))), [Effect::Refuse("a", ErrorCode::NotLeaderOrFollower)]);
    assert_eq!(p.0.may_append(false), Err(ErrorCode::NotLeaderOrFollower));
    p.at(3, Event::Assigned(leadership(2, US.0)));
    assert_eq!(p.0.may_append(false), Err(ErrorCode::NotLeaderOrFollower), "epoch 2 is older than 3");
    p.at(4, Event::Assigned(leadership(4, US.0)));
    assert_eq!(p.0.may_append(true), Ok(LeaderEpoch(4)));
}

#[test]
fn a_leader_flushes_what_recovery_left_unflushed_before_it_counts() {
    let log = LogBounds { start: Offset(2), end: Offset(9), flushed: Offset(4) };
    let mut p = Transcript(Partition::new(US, log, Offset(100), rules(Durability::Flushed)));
    assert_eq!(p.0.high_watermark(), Offset(9), "a checkpoint beyond the log is held within it");
    let mut p2 = Transcript(Partition::new(US, log, Offset(0), rules(Durability::Flushed)));
    assert_eq!(p2.0.high_watermark(), Offset(2), "and never below the log start");
    assert_eq!(p2.at(0, Event::Assigned(leadership(0, US.0))), [Effect::Flush, Effect::HighWatermarkMoved(Offset(4))]);
    assert_eq!(p2.at(1, Event::Flushed { up_to: Offset(9) }), [Effect::HighWatermarkMoved(Offset(9))]);
    assert_eq!(p.at(0, Event::Assigned(leadership(0, US.0))), [Effect::Flush]);
}

#[test]
fn too_small_an_isr_refuses_acks_all_and_holds_the_high_watermark() {
    let mut p = Transcript::leader(Durability::PageCache);
    let two = Leadership { replicas: vec![US, BrokerId(2)], ..leadership(1, US.0) };
    p.at(1, Event::Configured(Rules { min_insync_replicas: 2, ..rules(Durability::PageCache) }));
    p.at(1, Event::Assigned(two));
    assert_eq!(p.0.may_append(true), Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(p.0.may_append(false), Ok(LeaderEpoch(1)));
    assert_eq!(p.at(2, Event::Appended { end: Offset(1), waits: vec![] }), [], "also for acks=1 (Kafka 3.9)");
}

#[test]
fn a_fenced_leader_leads_again_in_the_same_epoch_when_told_so() {
    let mut p = Transcript::leader(Durability::Flushed);
    p.at(1, Event::Appended { end: Offset(1), waits: vec![wait(1, 30, "a")] });
    assert_eq!(p.at(2, Event::Fenced), [Effect::Refuse("a", ErrorCode::NotLeaderOrFollower)]);
    assert_eq!(p.0.may_append(false), Err(ErrorCode::NotLeaderOrFollower));
    p.at(3, Event::Assigned(leadership(0, US.0)));
    assert_eq!(p.0.may_append(false), Ok(LeaderEpoch(0)));
}

/// A leader with two followers in sync.
fn leader_of_three(durability: Durability) -> Transcript {
    let mut p = Transcript(Partition::new(US, empty_log(), Offset(0), rules(durability)));
    p.at(0, Event::Assigned(led_by_three(0, 0)));
    p
}

fn led_by_three(leader_epoch: i32, partition_epoch: i32) -> Leadership {
    let all = vec![US, BrokerId(2), BrokerId(3)];
    Leadership {
        leader: US,
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch: PartitionEpoch(partition_epoch),
        isr: all.clone(),
        replicas: all,
    }
}

fn fetched(replica: i32, offset: i64) -> Event<&'static str> {
    Event::Fetched { replica: BrokerId(replica), broker_epoch: None, offset: Offset(offset), log_start: Offset(0) }
}

fn altered(isr: &[i32], partition_epoch: i32) -> Event<&'static str> {
    Event::IsrAltered(Ok(crate::machine::controller::PartitionState {
        controller_epoch: crate::model::ControllerEpoch(1),
        leader: US,
        leader_epoch: LeaderEpoch(0),
        isr: isr.iter().copied().map(BrokerId).collect(),
        partition_epoch: PartitionEpoch(partition_epoch),
        recovering: false,
    }))
}

#[test]
fn a_record_is_committed_when_every_in_sync_replica_has_it_and_ours_is_flushed() {
    let mut p = leader_of_three(Durability::Flushed);
    p.at(1, Event::Appended { end: Offset(4), waits: vec![wait(4, 30, "a")] });
    assert_eq!(p.at(1, fetched(2, 4)), []);
    assert_eq!(p.at(1, fetched(3, 4)), [], "they have it, and we have not flushed it");
    assert_eq!(
        p.at(2, Event::Flushed { up_to: Offset(4) }),
        [Effect::HighWatermarkMoved(Offset(4)), Effect::Acknowledge("a")]
    );
    p.at(3, Event::Appended { end: Offset(6), waits: vec![] });
    p.at(3, Event::Flushed { up_to: Offset(6) });
    p.at(3, fetched(2, 6));
    assert_eq!(p.at(3, fetched(3, 5)), [Effect::HighWatermarkMoved(Offset(5))], "the slowest counts");
}

#[test]
fn a_follower_that_falls_behind_leaves_the_isr_when_the_controller_says_so() {
    let mut p = leader_of_three(Durability::PageCache);
    p.at(1, Event::Appended { end: Offset(4), waits: vec![wait(4, 90, "a")] });
    p.at(2, fetched(2, 4));
    assert_eq!(p.0.next_deadline(), Some(Moment(Duration::from_millis(30_001))), "3 was last in sync at 0");
    let wished = |isr: &[i32], partition_epoch| Effect::AlterIsr {
        isr: isr.iter().copied().map(BrokerId).collect(),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(partition_epoch),
    };
    assert_eq!(p.at(31, Event::Tick), [wished(&[1, 2], 0)]);
    assert_eq!(p.at(32, Event::Tick), [], "one wish at a time, and 3 counts until it is granted");
    assert_eq!(p.at(33, altered(&[1, 2], 1)), [Effect::HighWatermarkMoved(Offset(4)), Effect::Acknowledge("a")]);
    assert_eq!(p.at(34, fetched(3, 2)), [], "not everything that is committed");
    assert_eq!(p.at(35, fetched(3, 4)), [wished(&[1, 2, 3], 1)]);
    p.at(36, Event::Appended { end: Offset(5), waits: vec![] });
    assert_eq!(p.at(36, fetched(2, 5)), [], "3 counts already");
    let refused = || Event::IsrAltered(Err(ErrorCode::IneligibleReplica));
    assert_eq!(
        p.at(37, refused()),
        [Effect::HighWatermarkMoved(Offset(5))],
        "it counts no more, and is not wished for at once again"
    );
    p.at(37, fetched(3, 5));
    assert_eq!(p.at(38, fetched(3, 5)), [wished(&[1, 2, 3], 1)], "asked again");
}

/// A broker that stops follows those that lead in its place for a moment.
#[test]
fn nobody_waits_for_a_follower_that_may_not_join() {
    let mut p = leader_of_three(Durability::PageCache);
    p.at(0, altered(&[1, 2], 1));
    assert_eq!(p.at(1, fetched(3, 0)).len(), 1, "it is wished for");
    p.at(1, Event::IsrAltered(Err(ErrorCode::IneligibleReplica)));
    p.at(1, fetched(3, 0));
    // It is gone by now.
    p.at(1, Event::Appended { end: Offset(4), waits: vec![wait(4, 90, "a")] });
    assert_eq!(p.at(1, fetched(2, 4)), [Effect::HighWatermarkMoved(Offset(4)), Effect::Acknowledge("a")]);
    p.at(2, Event::Appended { end: Offset(5), waits: vec![wait(5, 90, "b")] });
    p.at(2, fetched(2, 5));
    let acknowledged = [Effect::HighWatermarkMoved(Offset(5)), Effect::Acknowledge("b")];
    assert_eq!(
        p.at(2, Event::IsrAltered(Err(ErrorCode::IneligibleReplica))),
        acknowledged,
        "once it was refused again"
    );
}

#[test]
fn with_too_small_an_isr_nothing_is_committed() {
    let mut p = leader_of_three(Durability::PageCache);
    p.at(0, Event::Configured(Rules { min_insync_replicas: 2, ..rules(Durability::PageCache) }));
    p.at(0, altered(&[1], 1));
    assert_eq!(p.0.may_append(true), Err(ErrorCode::NotEnoughReplicas));
    p.at(1, Event::Appended { end: Offset(1), waits: vec![] });
    assert_eq!(p.0.high_watermark(), Offset(0));
}

/// Kafka 3.9 too moves no high watermark then, so that it says NOT_ENOUGH_REPLICAS_AFTER_APPEND only where the ISR shrinks between
/// the high watermark's move and the look at what waited for it. Here that is one step.
#[test]
fn a_record_whose_isr_got_too_small_before_it_was_committed_waits_for_a_larger_one_as_long_as_its_producer_does() {
    let mut p = leader_of_three(Durability::PageCache);
    p.at(0, Event::Configured(Rules { min_insync_replicas: 2, ..rules(Durability::PageCache) }));
    let waits = vec![wait(1, 20, "impatient"), wait(1, 90, "patient")];
    assert_eq!(p.at(1, Event::Appended { end: Offset(1), waits }), []);
    assert_eq!(p.at(2, altered(&[1], 1)), []);
    assert_eq!(p.at(20, Event::Tick), [Effect::Refuse("impatient", ErrorCode::RequestTimedOut)]);
    let isr = vec![US, BrokerId(2)];
    let (leader_epoch, partition_epoch) = (LeaderEpoch(0), PartitionEpoch(1));
    let broker_epoch = Some(BrokerEpoch(7));
    let again = Event::Fetched { replica: BrokerId(2), broker_epoch, offset: Offset(1), log_start: Offset(0) };
    assert_eq!(p.at(21, again), [Effect::AlterIsr { isr: isr.clone(), leader_epoch, partition_epoch }]);
    let joins = BTreeMap::from([(BrokerId(2), BrokerEpoch(7))]);
    assert_eq!(p.0.joins(&isr), joins, "the controller compares the epochs (KIP-903)");
    let committed = [Effect::HighWatermarkMoved(Offset(1)), Effect::Acknowledge("patient")];
    assert_eq!(p.at(22, altered(&[1, 2], 2)), committed);
}

/// A leader of three with ten records, of which five were deleted at second 2, by a request that gives up at second 30.
fn deleting(live: &[i32]) -> Transcript {
    let mut p = leader_of_three(Durability::PageCache);
    p.at(1, Event::Appended { end: Offset(10), waits: vec![] });
    p.at(1, fetched(2, 10));
    p.at(1, fetched(3, 10));
    assert_eq!(p.at(2, Event::StartMoved { start: Offset(5) }), []);
    assert_eq!(p.at(2, awaited(7, live)), []);
    assert_eq!(p.0.next_deadline(), Some(at(30)));
    p
}

fn awaited(number: u64, live: &[i32]) -> Event<&'static str> {
    let live = live.iter().copied().map(BrokerId).collect();
    Event::DeletionAwaited { number, until: Offset(5), deadline: at(30), live }
}

fn begins(replica: i32, log_start: i64) -> Event<&'static str> {
    Event::Fetched { replica: BrokerId(replica), broker_epoch: None, offset: Offset(10), log_start: Offset(log_start) }
}

fn deleted(number: u64, outcome: Result<i64, ErrorCode>) -> Effect<&'static str> {
    Effect::RecordsDeleted { number, outcome: outcome.map(Offset) }
}

#[test]
fn records_are_deleted_when_every_live_replica_begins_behind_them() {
    let mut p = deleting(&[1, 2, 3]);
    assert_eq!(p.at(3, begins(2, 6)), []);
    assert_eq!(p.at(3, begins(3, 4)), [], "not all of them");
    assert_eq!(p.at(4, begins(3, 5)), [deleted(7, Ok(5))], "the lowest");
    assert_eq!(p.at(5, awaited(8, &[1, 2, 3])), [deleted(8, Ok(5))], "deleted already");
    assert_ne!(p.0.next_deadline(), Some(at(30)), "nobody waits any more");
}

#[test]
fn a_replica_whose_broker_is_gone_is_not_waited_for() {
    let mut p = deleting(&[1, 2, 3]);
    p.at(3, begins(2, 5));
    let live = [1, 2].map(BrokerId).into_iter().collect();
    assert_eq!(p.at(4, Event::LiveBrokers(live)), [deleted(7, Ok(5))]);
}

#[test]
fn a_deletion_is_given_up_when_its_time_is_over_or_another_broker_leads() {
    let mut p = deleting(&[1, 2, 3]);
    assert!(p.at(30, Event::Tick).contains(&deleted(7, Err(ErrorCode::RequestTimedOut))));
    let mut p = deleting(&[1, 2, 3]);
    p.at(3, awaited(8, &[1, 2, 3]));
    let elsewhere = Event::Assigned(Leadership { leader: BrokerId(2), ..led_by_three(1, 1) });
    let refused = |number| deleted(number, Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(p.at(4, elsewhere), [refused(7), refused(8)]);
    assert_eq!(p.at(5, awaited(9, &[1])), [refused(9)]);
}

#[test]
fn a_wish_that_was_overtaken_waits_for_the_controllers_word() {
    let mut p = leader_of_three(Durability::PageCache);
    p.at(1, Event::Appended { end: Offset(4), waits: vec![] });
    assert_eq!(p.at(40, Event::Tick).len(), 1);
    assert_eq!(p.at(41, Event::IsrAltered(Err(ErrorCode::InvalidUpdateVersion))), []);
    assert_eq!(p.at(42, Event::Tick), [], "the state that it was decided upon is not the one that holds");
    p.at(43, Event::Assigned(led_by_three(1, 5)));
    assert!(!p.at(80, Event::Tick).is_empty(), "under the new one it is free to ask");
}

#[test]
fn a_follower_takes_the_leaders_high_watermark_as_far_as_its_log_goes_and_flushes_what_it_copied() {
    let mut p = Transcript(Partition::new(US, empty_log(), Offset(0), rules(Durability::Flushed)));
    p.at(0, Event::Assigned(Leadership { leader: BrokerId(2), ..led_by_three(3, 0) }));
    let replicated =
        |end, high_watermark| Event::Replicated { end: Offset(end), high_watermark: Offset(high_watermark) };
    assert_eq!(p.at(1, replicated(5, 9)), [Effect::HighWatermarkMoved(Offset(5)), Effect::Flush]);
    p.at(1, Event::Flushed { up_to: Offset(5) });
    let cut = Event::Truncated { start: Offset(0), end: Offset(3) };
    assert_eq!(p.at(2, cut), [Effect::HighWatermarkMoved(Offset(3))], "no further than the log");
    assert_eq!(p.at(3, fetched(3, 3)), [], "it does not lead");
    assert_eq!(p.at(4, Event::Appended { end: Offset(4), waits: vec![] }), [Effect::Flush]);
}

#[test]
fn a_leader_that_is_elected_again_knows_where_its_followers_are() {
    let mut p = leader_of_three(Durability::PageCache);
    p.at(1, Event::Appended { end: Offset(4), waits: vec![] });
    p.at(1, fetched(2, 4));
    p.at(1, fetched(3, 3));
    assert_eq!(p.0.high_watermark(), Offset(3));
    assert_eq!(p.at(2, Event::Assigned(led_by_three(1, 1))), []);
    assert_eq!(p.0.epoch_start(), Some(Offset(4)));
    assert_eq!(p.at(2, fetched(3, 4)), [Effect::HighWatermarkMoved(Offset(4))]);
}

#[test]
fn a_follower_that_rests_is_not_late_when_something_comes_at_last() {
    let mut p = leader_of_three(Durability::PageCache);
    p.at(1, Event::Appended { end: Offset(4), waits: vec![] });
    p.at(1, fetched(2, 4));
    assert!(p.0.rests(BrokerId(2)));
    assert!(!p.0.rests(BrokerId(3)), "not everything");
    p.at(1, fetched(3, 4));
    p.at(3_600, Event::CaughtUp(vec![(BrokerId(2), at(3_599)), (BrokerId(9), at(3_599))]));
    let wish = p.at(3_600, Event::Appended { end: Offset(5), waits: vec![] });
    let isr = vec![US, BrokerId(2)];
    let (leader_epoch, partition_epoch) = (LeaderEpoch(0), PartitionEpoch(0));
    assert_eq!(wish, [Effect::AlterIsr { isr, leader_epoch, partition_epoch }], "3 was not seen for an hour");
    p.at(3_601, fetched(2, 5));
    assert!(!p.0.rests(BrokerId(2)), "the answer to the wish is not there yet");
}

#[test]
fn a_leader_whose_log_was_opened_again_counts_those_who_may_be_in_sync_by_now() {
    let log = LogBounds { start: Offset(0), end: Offset(7), flushed: Offset(7) };
    let resumed = |isr: &[i32], partition_epoch: i32, wish: Option<&[i32]>| {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let leadership = Leadership { isr: ids(isr), ..led_by_three(0, partition_epoch) };
        Event::Resumed { leadership, wish: wish.map(ids) }
    };
    let begin = || Transcript(Partition::new(US, log, Offset(5), rules(Durability::Flushed)));
    // It was elected alone, and the others have joined since: what it has alone is not committed.
    let mut p = begin();
    assert_eq!(p.at(1, resumed(&[1, 2, 3], 4, None)), []);
    assert_eq!(p.0.leadership().map(|it| (it.isr.len(), it.partition_epoch)), Some((3, PartitionEpoch(4))));
    // They may have joined: the answer was not heard of.
    let mut p = begin();
    assert_eq!(p.at(1, resumed(&[1], 0, Some(&[1, 2]))), []);
    assert!(p.0.wishes());
    assert_eq!(p.at(1, fetched(2, 6)), [Effect::HighWatermarkMoved(Offset(6))]);
    assert_eq!(p.at(2, altered(&[1, 2], 1)), []);
    assert_eq!(p.at(2, fetched(2, 7)), [Effect::HighWatermarkMoved(Offset(7))]);
    // Alone it goes on alone.
    let mut p = begin();
    assert_eq!(p.at(1, resumed(&[1], 0, None)), [Effect::HighWatermarkMoved(Offset(7))]);
}
