//! What groups make of views: counts per page, and words that are searched for more than before.
//!
//! *Invariant*: totals are sums over what was counted, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::numbers::Numbers;
use super::views::View;

/// Numbers of views that are told when something is wrong with them.
const NAMED_MAX: usize = 10;

/// Which views were counted, and which more than once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Counted {
    pub(super) views: Numbers,
    /// How many times a view was counted that had been counted before, and the first such views.
    pub(super) again: u64,
    pub(super) again_named: Vec<u64>,
}

impl Counted {
    pub(super) fn add(&mut self, number: u64) {
        if !self.views.insert(number) {
            self.again += 1;
            if self.again_named.len() < NAMED_MAX {
                self.again_named.push(number);
            }
        }
    }
}

/// How often each of something came.
pub(super) type Totals = BTreeMap<String, u64>;

pub(super) fn add_to(totals: &mut Totals, of: &str) {
    match totals.get_mut(of) {
        Some(total) => *total += 1,
        None => {
            totals.insert(of.to_owned(), 1);
        }
    }
}

/// The most frequent first; where two are equal, by name.
pub(super) fn top(totals: &Totals, most: usize) -> Vec<(&str, u64)> {
    let mut all = totals.iter().map(|(name, total)| (name.as_str(), *total)).collect::<Vec<_>>();
    all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    all.truncate(most);
    all
}

/// Windows that are compared with the last one.
const WINDOWS_BEFORE: i64 = 5;
/// Fewer searches than this are chance.
const SEARCHES_MIN: u64 = 5;
/// Searched for so many times as often as before: a word that rises.
const FACTOR_MIN: f64 = 2.0;

/// A word that is searched for more than before.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Rise {
    pub(super) word: String,
    /// Searches in the last two windows, of which one is not over.
    pub(super) now: u64,
    /// Searches in two windows before them, on average.
    pub(super) before: f64,
}

/// How often words were searched for, in all and by windows of time.
#[derive(Clone, Debug)]
pub(super) struct Words {
    window_ms: i64,
    pub(super) totals: Totals,
    windows: BTreeMap<i64, Totals>,
    /// The window in which the first search came: it may have begun before that, and is not compared with.
    first: Option<i64>,
}

impl Words {
    pub(super) fn new(window_ms: i64) -> Self {
        Self { window_ms: window_ms.max(1), totals: Totals::new(), windows: BTreeMap::new(), first: None }
    }

    pub(super) fn add(&mut self, view: &View) {
        for word in view.words() {
            add_to(&mut self.totals, &word);
            let window = view.time.0.div_euclid(self.window_ms);
            self.first.get_or_insert(window);
            add_to(self.windows.entry(window).or_default(), &word);
        }
        // A late view may be older than all that is compared: it counts in the totals.
        while i64::try_from(self.windows.len()).is_ok_and(|windows| WINDOWS_BEFORE + 2 < windows) {
            self.windows.pop_first();
        }
    }

    /// What rises most, up to the window in which the newest search lies.
    pub(super) fn rising(&self, most: usize) -> Vec<Rise> {
        let Some((&newest, _)) = self.windows.last_key_value() else { return Vec::new() };
        // The newest window is not over yet: it is taken together with the one before, and compared with two others.
        let range = |from: i64, to: i64| self.windows.range(from..=to).map(|(_, totals)| totals);
        let sum = |from, to, word: &str| range(from, to).filter_map(|totals| totals.get(word)).sum::<u64>();
        let first_whole = self.first.unwrap_or(newest).saturating_add(1);
        let before_from = first_whole.max(newest - 1 - WINDOWS_BEFORE);
        let windows_before = newest - 1 - before_from;
        if windows_before < 1 {
            return Vec::new();
        }
        let words = range(newest - 1, newest).flat_map(BTreeMap::keys).collect::<BTreeSet<_>>();
        let mut rises = Vec::new();
        for word in words {
            let now = sum(newest - 1, newest, word);
            let before = 2.0 * small(sum(before_from, newest - 2, word)) / small(windows_before.unsigned_abs());
            if SEARCHES_MIN <= now && FACTOR_MIN * before.max(1.0) <= small(now) {
                rises.push(Rise { word: word.clone(), now, before });
            }
        }
        let factor = |rise: &Rise| small(rise.now) / rise.before.max(1.0);
        rises.sort_by(|a, b| factor(b).total_cmp(&factor(a)).then(a.word.cmp(&b.word)));
        rises.truncate(most);
        rises
    }
}

/// Counts as numbers to divide by. Beyond 2^32 they are no longer exact, and nobody sees it.
fn small(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn searches(words: &mut Words, time: i64, search: &str, times: u32) {
        for _ in 0..times {
            let search = Some(search.to_owned());
            words.add(&View { number: 0, time: Timestamp(time), visitor: String::new(), page: String::new(), search });
        }
    }

    #[test]
    fn a_view_that_is_counted_twice_is_named() {
        let mut counted = Counted::default();
        for number in [0, 1, 1, 2, 1] {
            counted.add(number);
        }
        assert_eq!((counted.views.count(), counted.again, counted.again_named.as_slice()), (3, 2, &[1, 1][..]));
    }

    #[test]
    fn the_most_frequent_come_first() {
        let totals = [("a", 1), ("b", 3), ("c", 3)].map(|(name, total)| (name.to_owned(), total));
        assert_eq!(top(&Totals::from(totals), 2), [("b", 3), ("c", 3)]);
    }

    #[test]
    fn a_word_rises_when_it_comes_more_often_than_before() {
        let mut words = Words::new(1_000);
        for window in 0..6 {
            searches(&mut words, window * 1_000, "lamp", 20);
            searches(&mut words, window * 1_000, "Tent", 1);
        }
        assert_eq!(words.rising(5), [], "everything as before");
        searches(&mut words, 6_000, "tent", 9);
        searches(&mut words, 6_500, "eclipse", 30);
        searches(&mut words, 6_500, "rare", 4);
        searches(&mut words, 6_500, "lamp", 15);
        let rising = words.rising(5);
        let names = rising.iter().map(|rise| (rise.word.as_str(), rise.now)).collect::<Vec<_>>();
        assert_eq!(names, [("eclipse", 30), ("tent", 10)]);
        assert_eq!(words.rising(1).len(), 1);
        assert_eq!(words.totals.get("tent"), Some(&15));
    }

    #[test]
    fn nothing_rises_before_there_is_something_to_compare_with() {
        let mut words = Words::new(1_000);
        assert_eq!(words.rising(5), []);
        searches(&mut words, 0, "lamp", 100);
        searches(&mut words, 1_000, "lamp", 100);
        searches(&mut words, 2_000, "tent", 100);
        assert_eq!(words.rising(5), [], "nobody knows what was searched for before the first");
    }

    #[test]
    fn what_is_kept_by_time_has_a_bound() {
        let mut words = Words::new(1);
        for time in (0..10_000).rev() {
            searches(&mut words, time, "lamp", 1);
        }
        assert!(words.windows.len() <= 7);
        assert_eq!(words.totals.get("lamp"), Some(&10_000));
    }
}
