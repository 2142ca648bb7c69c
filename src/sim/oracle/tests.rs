//! One bad history for each check is told from a good one.

use super::*;

const FLUSHED: Promise = Promise { flushed: true, keeps: Keeps::All };
const PAGE_CACHE: Promise = Promise { flushed: false, keeps: Keeps::All };

/// Asked for and heard at once.
fn at(second: u64) -> Span {
    let moment = Moment(std::time::Duration::from_secs(second));
    Span { asked: moment, heard: moment }
}

fn place() -> Place {
    Place { topic: "t".to_owned(), partition: 0 }
}

fn origin(number: u64, idempotent: bool) -> Origin {
    Origin { producer: 1, number, idempotent }
}

fn value(number: u64) -> Vec<u8> {
    format!("v{number}").into_bytes()
}

fn records(values: &[u64]) -> Vec<(i64, Vec<u8>)> {
    (0..).zip(values.iter().map(|&number| value(number))).collect()
}

/// Values 0 to 3 were sent, 0 and 1 acknowledged at their offsets.
fn history(promise: Promise, strength: Strength, idempotent: bool) -> Oracle {
    let mut oracle = Oracle::default();
    oracle.created(place(), promise);
    (0..4).for_each(|number| oracle.sent(&place(), &value(number), origin(number, idempotent)));
    oracle.acknowledged(&place(), 0, &[value(0), value(1)], strength);
    oracle
}

fn audit(oracle: &mut Oracle, values: &[u64]) {
    let records = records(values);
    let high_watermark = i64::try_from(values.len()).expect("few");
    oracle.audit(&place(), &Audit { start: 0, high_watermark, records: &records, when: at(1) });
}

fn audited(mut oracle: Oracle, end: End, values: &[u64]) -> Vec<Violation> {
    oracle.restarted(end);
    audit(&mut oracle, values);
    oracle.violations
}

#[test]
fn a_good_history_is_good() {
    for promise in [FLUSHED, PAGE_CACHE] {
        for values in [&[0, 1][..], &[0, 1, 2], &[0, 1, 2, 3]] {
            assert_eq!(audited(history(promise, Strength::Firm, true), End::Process, values), []);
        }
    }
    assert_eq!(audited(history(FLUSHED, Strength::Firm, true), End::Power, &[0, 1, 2]), []);
    assert_eq!(audited(history(PAGE_CACHE, Strength::Firm, true), End::Power, &[0]), []);
    assert_eq!(audited(history(FLUSHED, Strength::Weak, true), End::Power, &[0]), []);
    assert_eq!(audited(history(FLUSHED, Strength::Firm, false), End::Power, &[0, 1, 2, 2, 1]), [], "plain retries");
}

#[test]
fn an_acknowledged_record_that_is_gone_is_lost() {
    let lost = [Violation::Lost { place: place(), offset: 1, value: "v1".to_owned() }];
    assert_eq!(audited(history(FLUSHED, Strength::Firm, true), End::Power, &[0]), lost);
    assert_eq!(audited(history(PAGE_CACHE, Strength::Firm, true), End::Process, &[0]), lost);
    assert_eq!(audited(history(FLUSHED, Strength::Weak, true), End::Process, &[0]), lost);
}

#[test]
fn a_record_that_nobody_sent_is_invented() {
    let found = audited(history(FLUSHED, Strength::Firm, true), End::Power, &[0, 1, 9]);
    assert_eq!(found, [Violation::Invented { place: place(), offset: 2, value: "v9".to_owned() }]);
}

#[test]
fn a_record_elsewhere_is_a_change_of_that_offset() {
    let found = audited(history(FLUSHED, Strength::Firm, false), End::Power, &[0, 0, 1]);
    let changed = Violation::Changed { place: place(), offset: 1, was: "v1".to_owned(), is: "v0".to_owned() };
    assert!(found.contains(&changed), "{found:?}");
}

#[test]
fn an_offset_that_was_read_keeps_its_value() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.fetched(&place(), &Audit { start: 2, high_watermark: 3, records: &[(2, value(2))], when: at(1) });
    oracle.restarted(End::Power);
    oracle.fetched(&place(), &Audit { start: 2, high_watermark: 3, records: &[(2, value(3))], when: at(1) });
    let changed = Violation::Changed { place: place(), offset: 2, was: "v2".to_owned(), is: "v3".to_owned() };
    assert_eq!(oracle.violations, [changed]);
}

#[test]
fn an_idempotent_record_is_there_once() {
    let found = audited(history(FLUSHED, Strength::Firm, true), End::Power, &[0, 1, 2, 2]);
    assert_eq!(found, [Violation::Twice { place: place(), value: "v2".to_owned(), first: 2, second: 3 }]);
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.acknowledged(&place(), 5, &[value(1)], Strength::Firm);
    assert_eq!(oracle.violations, [Violation::Twice { place: place(), value: "v1".to_owned(), first: 1, second: 5 }]);
}

#[test]
fn a_producers_records_come_in_its_order() {
    for idempotent in [true, false] {
        let found = audited(history(FLUSHED, Strength::Firm, idempotent), End::Power, &[0, 1, 3, 2]);
        assert_eq!(found, [Violation::Reordered { place: place(), producer: 1, earlier: 2, later: 3 }]);
    }
}

#[test]
fn a_fetch_brings_the_next_offset_and_only_what_is_committed() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.fetched(
        &place(),
        &Audit { start: 0, high_watermark: 3, records: &[(0, value(0)), (2, value(2))], when: at(1) },
    );
    assert_eq!(oracle.violations, [Violation::Gap { place: place(), after: 0, found: 2 }]);
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.fetched(
        &place(),
        &Audit { start: 0, high_watermark: 1, records: &[(0, value(0)), (1, value(1))], when: at(1) },
    );
    assert_eq!(oracle.violations, [Violation::Uncommitted { place: place(), offset: 1, high_watermark: 1 }]);
}

#[test]
fn offsets_do_not_go_back() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.high_watermark(&place(), 4, at(1));
    oracle.restarted(End::Power);
    oracle.high_watermark(&place(), 3, at(2));
    let what = "high watermark";
    assert_eq!(oracle.violations, [Violation::WentBack { place: place(), what, from: 4, to: 3 }]);

    let mut oracle = Oracle::default();
    oracle.created(place(), Promise { flushed: true, keeps: Keeps::ForAWhile });
    oracle.log_starts(&place(), 2, at(3));
    oracle.restarted(End::Process);
    oracle.log_starts(&place(), 1, at(4));
    assert_eq!(oracle.violations, []);
    oracle.log_starts(&place(), 2, at(5));
    oracle.log_starts(&place(), 1, at(6));
    let what = "log start offset";
    assert_eq!(oracle.violations, [Violation::WentBack { place: place(), what, from: 2, to: 1 }]);
}

#[test]
fn a_stop_in_good_order_keeps_the_log_start() {
    let mut oracle = Oracle::default();
    oracle.created(place(), Promise { flushed: true, keeps: Keeps::ForAWhile });
    oracle.log_starts(&place(), 2, at(3));
    oracle.restarted(End::Clean);
    oracle.log_starts(&place(), 1, at(4));
    let what = "log start offset";
    assert_eq!(oracle.violations, [Violation::WentBack { place: place(), what, from: 2, to: 1 }]);
}

#[test]
fn a_flush_covers_all_that_came_before() {
    let mut oracle = history(FLUSHED, Strength::Weak, true);
    oracle.acknowledged(&place(), 2, &[value(2)], Strength::Firm);
    let lost = [Violation::Lost { place: place(), offset: 1, value: "v1".to_owned() }];
    assert!(audited(oracle, End::Power, &[0]).starts_with(&lost));
}

#[test]
fn a_topic_promises_what_its_setting_is_when_it_acknowledges() {
    let mut oracle = history(PAGE_CACHE, Strength::Firm, true);
    oracle.durability("t", true);
    assert_eq!(audited(oracle, End::Power, &[0]), [], "nothing was acknowledged since");
    let mut oracle = history(PAGE_CACHE, Strength::Firm, true);
    oracle.durability("t", true);
    oracle.acknowledged(&place(), 2, &[value(2)], Strength::Firm);
    oracle.durability("t", false);
    oracle.acknowledged(&place(), 3, &[value(3)], Strength::Firm);
    oracle.high_watermark(&place(), 4, at(0));
    oracle.restarted(End::Power);
    audit(&mut oracle, &[0, 1, 2]);
    assert_eq!(oracle.violations, [], "the last one was not promised");
    oracle.restarted(End::Power);
    audit(&mut oracle, &[0, 1]);
    let lost = Violation::Lost { place: place(), offset: 2, value: "v2".to_owned() };
    assert!(oracle.violations.contains(&lost), "{:?}", oracle.violations);
}

#[test]
fn what_was_written_to_a_namesake_is_invented() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.forget(&place());
    audit(&mut oracle, &[]);
    assert_eq!(oracle.violations, [], "a deleted partition owes nothing");
    oracle.created(place(), FLUSHED);
    audit(&mut oracle, &[0]);
    assert_eq!(oracle.violations, [Violation::Invented { place: place(), offset: 0, value: "v0".to_owned() }]);
}

#[test]
fn answers_may_overtake_each_other() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.high_watermark(&place(), 4, at(5));
    oracle.high_watermark(&place(), 3, Span { asked: at(4).asked, heard: at(6).heard });
    assert_eq!(oracle.violations, []);
}

#[test]
fn only_what_was_asked_for_is_deleted() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.log_starts(&place(), 1, at(7));
    assert_eq!(oracle.violations, [Violation::Removed { place: place(), start: 1, allowed: 0 }]);
    let mut oracle = Oracle::default();
    oracle.created(place(), Promise { flushed: true, keeps: Keeps::UntilDeleted });
    oracle.deleting(&place(), 2);
    oracle.log_starts(&place(), 2, at(8));
    assert_eq!(oracle.violations, []);
    oracle.log_starts(&place(), 3, at(9));
    assert_eq!(oracle.violations, [Violation::Removed { place: place(), start: 3, allowed: 2 }]);
}

#[test]
fn after_a_failed_flush_only_flushed_topics_promise() {
    let mut oracle = history(PAGE_CACHE, Strength::Firm, true);
    oracle.flush_failed(&place());
    assert_eq!(audited(oracle, End::Process, &[0]), []);
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.flush_failed(&place());
    assert_eq!(audited(oracle, End::Power, &[0]).len(), 1, "the acknowledged one is lost");
}

#[test]
fn one_leader_leads_under_an_epoch() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.leads(&place(), 3, 1);
    oracle.leads(&place(), 4, 2);
    oracle.leads(&place(), 3, 1);
    assert_eq!(oracle.violations, []);
    oracle.leads(&place(), 4, 1);
    assert_eq!(oracle.violations, [Violation::TwoLeaders { place: place(), leader_epoch: 4, first: 2, second: 1 }]);
}

#[test]
fn the_high_watermark_of_one_epoch_does_not_go_back() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.replicated();
    oracle.high_watermark_under(&place(), 1, 4, at(1));
    oracle.high_watermark_under(&place(), 2, 3, at(2));
    assert_eq!(oracle.violations, [], "a new leader learns it first (KIP-207)");
    oracle.high_watermark_under(&place(), 2, 2, at(3));
    let what = "high watermark of one leader epoch";
    assert_eq!(oracle.violations, [Violation::WentBack { place: place(), what, from: 3, to: 2 }]);
}

#[test]
fn a_fetch_under_an_earlier_epoch_is_not_served() {
    let mut oracle = history(FLUSHED, Strength::Firm, true);
    oracle.unfenced(&place(), 3, 3);
    assert_eq!(oracle.violations, []);
    oracle.unfenced(&place(), 2, 3);
    assert_eq!(oracle.violations, [Violation::Unfenced { place: place(), asked: 2, known: 3 }]);
}

#[test]
fn a_replicated_log_does_not_shrink() {
    let mut oracle = history(PAGE_CACHE, Strength::Firm, true);
    assert!(oracle.may_shrink(&place()));
    oracle.replicated();
    assert!(!oracle.may_shrink(&place()));
}
