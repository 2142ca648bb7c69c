//! Page views: what a record holds, and a generated stream of them.
//!
//! *Invariant*: the views of a run are numbered from 0 without gaps; one number is one view, for ever.
//! *Does not know*: brokers.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// One visitor looked at one page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct View {
    /// Its number within the run.
    #[serde(rename = "view")]
    pub(super) number: u64,
    /// When the visitor came.
    pub(super) time: Timestamp,
    /// Who: the record's key too, so that a visitor's views stay in order.
    pub(super) visitor: String,
    /// The path without what was asked of it.
    pub(super) page: String,
    /// What the visitor searched for, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<String>,
}

impl View {
    /// The value of its record.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// A record's value; `None` when it is no view, or would move the cursor of the terminal on which it is shown: anybody may
    /// write to the topic.
    pub(super) fn of(value: &[u8]) -> Option<Self> {
        let view = serde_json::from_slice::<Self>(value).ok()?;
        let moves = |text: &String| text.contains(char::is_control);
        let strange = moves(&view.visitor) || moves(&view.page) || view.search.as_ref().is_some_and(moves);
        if strange { None } else { Some(view) }
    }

    /// The words that were searched for.
    pub(super) fn words(&self) -> impl Iterator<Item = String> + '_ {
        self.search.iter().flat_map(|search| search.split_whitespace()).map(str::to_lowercase)
    }
}

/// What shops sell, for the generated pages and searches.
const THINGS: [&str; 24] = [
    "lamp",
    "chair",
    "desk",
    "kettle",
    "bicycle",
    "tent",
    "violin",
    "camera",
    "rucksack",
    "sofa",
    "clock",
    "mirror",
    "saddle",
    "helmet",
    "stove",
    "carpet",
    "telescope",
    "piano",
    "umbrella",
    "bottle",
    "compass",
    "hammock",
    "skates",
    "teapot",
];
const KINDS: [&str; 8] = ["red", "small", "wooden", "used", "cheap", "folding", "blue", "light"];
/// What everybody suddenly searches for, one after the other.
const NEWS: [&str; 6] = ["eclipse", "snowstorm", "jackdaw", "marathon", "strike", "meteor"];

const VISITORS: usize = 20_000;
/// One view in so many is a search.
const SEARCHES: f64 = 0.2;
/// How long one piece of news is searched for, and how long until the next, in milliseconds.
const NEWS_EVERY_MS: i64 = 30_000;
const NEWS_LASTS_MS: i64 = 18_000;

/// Draws ranks of which a few come up nearly always (Zipf's law).
struct Zipf {
    /// Up to each rank, the chance in sum.
    sums: Vec<f64>,
}

impl Zipf {
    fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut rank = 0.0_f64;
        let sums = std::iter::repeat_with(|| {
            rank += 1.0;
            sum += rank.powf(-exponent);
            sum
        });
        Self { sums: sums.take(ranks).collect() }
    }

    fn draw(&self, rng: &mut StdRng) -> usize {
        let all = self.sums.last().copied().unwrap_or(0.0);
        let at = rng.random::<f64>() * all;
        self.sums.partition_point(|sum| *sum < at).min(self.sums.len().saturating_sub(1))
    }
}

/// A stream of views with the skew of real ones: few pages and words are most of it, some visitors come often, and every
/// half minute everybody searches for the same thing.
pub(super) struct Generator {
    rng: StdRng,
    pages: Vec<String>,
    page: Zipf,
    visitor: Zipf,
    word: Zipf,
    number: u64,
    began: Option<Timestamp>,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        let mut pages = vec!["/".to_owned(), "/search".to_owned(), "/basket".to_owned(), "/offers".to_owned()];
        for thing in THINGS {
            pages.push(format!("/{thing}s"));
            pages.extend(KINDS.map(|kind| format!("/{thing}s/{kind}-{thing}")));
        }
        Self {
            rng: StdRng::seed_from_u64(seed),
            page: Zipf::new(pages.len(), 1.05),
            pages,
            visitor: Zipf::new(VISITORS, 0.7),
            word: Zipf::new(THINGS.len(), 1.0),
            number: 0,
            began: None,
        }
    }

    /// The next view, at this time.
    pub(super) fn next(&mut self, now: Timestamp) -> View {
        let began = *self.began.get_or_insert(now);
        let visitor = self.visitor.draw(&mut self.rng);
        let search = self.rng.random_bool(SEARCHES).then(|| self.search(now.0.saturating_sub(began.0)));
        let page = match &search {
            Some(_) => "/search".to_owned(),
            None => {
                let rank = self.page.draw(&mut self.rng);
                self.pages.get(rank).cloned().unwrap_or_default()
            }
        };
        let number = self.number;
        self.number += 1;
        // Addresses that RFC 2544 leaves to tests.
        let visitor = format!("198.{}.{}.{}", 18 + (visitor >> 16 & 1), visitor >> 8 & 0xff, visitor & 0xff);
        View { number, time: now, visitor, page, search }
    }

    fn search(&mut self, age_ms: i64) -> String {
        let (round, within) = (age_ms.div_euclid(NEWS_EVERY_MS), age_ms.rem_euclid(NEWS_EVERY_MS));
        // First nobody knows of it, then every third visitor asks.
        let fresh = NEWS_EVERY_MS - NEWS_LASTS_MS <= within;
        let news = usize::try_from(round).unwrap_or(0) % NEWS.len();
        if fresh && self.rng.random_bool(0.35) {
            return NEWS.get(news).copied().unwrap_or_default().to_owned();
        }
        let rank = self.word.draw(&mut self.rng);
        let thing = THINGS.get(rank).copied().unwrap_or_default();
        if self.rng.random_bool(0.5) {
            let kind = self.rng.random_range(0..KINDS.len());
            format!("{} {thing}", KINDS.get(kind).copied().unwrap_or_default())
        } else {
            thing.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_view_comes_back_from_its_record() {
        let mut generator = Generator::new(7);
        for number in 0..100 {
            let view = generator.next(Timestamp(1_000));
            assert_eq!(view.number, number);
            assert_eq!(View::of(&view.to_bytes()), Some(view));
        }
        let clears = br#"{"view":1,"time":0,"visitor":"v","page":"\u001b[2J"}"#;
        for strange in [&b""[..], clears, b"hello", b"{}", b"{\"view\":-1}", b"[1]", &[0xff; 9]] {
            assert_eq!(View::of(strange), None);
        }
    }

    #[test]
    fn a_seed_is_one_stream() {
        let stream = |seed| {
            let mut generator = Generator::new(seed);
            (0..50).map(|at| generator.next(Timestamp(at))).collect::<Vec<_>>()
        };
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
    }

    #[test]
    fn the_skew_is_that_of_real_streams() {
        let mut generator = Generator::new(3);
        let (mut pages, mut visitors) = (BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new());
        for _ in 0..20_000 {
            let view = generator.next(Timestamp(0));
            *pages.entry(view.page).or_default() += 1;
            *visitors.entry(view.visitor).or_default() += 1;
        }
        let mut counts = pages.values().copied().collect::<Vec<_>>();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let top = counts.iter().take(10).sum::<u32>();
        assert!(8_000 < top && top < 18_000, "the ten first pages have {top} of 20,000 views");
        assert!(150 < counts.len(), "{} pages", counts.len());
        assert!(4_000 < visitors.len(), "{} visitors", visitors.len());
    }

    #[test]
    fn news_come_up_where_nobody_searched_for_them() {
        let mut generator = Generator::new(5);
        let mut news = |at| {
            let views = (0..2_000).map(|_| generator.next(Timestamp(at))).collect::<Vec<_>>();
            views.iter().flat_map(View::words).filter(|word| word == NEWS[0]).count()
        };
        assert_eq!(news(0), 0);
        assert!(50 < news(NEWS_EVERY_MS - 1_000));
        assert_eq!(news(NEWS_EVERY_MS), 0);
    }
}
