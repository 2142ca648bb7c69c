//! The check at the end: was every view counted, and counted once per group?
//!
//! Every view has a number. What the brokers acknowledged is compared, number by number, with what each group counted, and the
//! totals that the groups made of it with the totals of what was sent.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::numbers::Numbers;
use super::results::{Counted, Totals, add_to};
use super::views::View;

/// Differences that are told one by one.
const NAMED_MAX: usize = 10;

/// What was sent, as its producer knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// The next view's number.
    pub(super) issued: u64,
    pub(super) acknowledged: Numbers,
    pages: Totals,
    words: Totals,
    /// Sent, and neither acknowledged nor certainly not written: to count them is no fault, and to count them not is none.
    unconfirmed: BTreeMap<u64, View>,
}

/// What totals are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    Pages,
    Words,
}

impl Of {
    fn add(self, totals: &mut Totals, view: &View) {
        match self {
            Self::Pages => add_to(totals, &view.page),
            Self::Words => view.words().for_each(|word| add_to(totals, &word)),
        }
    }
}

impl Sent {
    pub(super) fn issue(&mut self, view: &View) {
        self.issued = self.issued.max(view.number + 1);
    }

    pub(super) fn acknowledge(&mut self, view: &View) {
        if self.acknowledged.insert(view.number) {
            Of::Pages.add(&mut self.pages, view);
            Of::Words.add(&mut self.words, view);
        }
    }

    pub(super) fn give_up(&mut self, view: View) {
        self.unconfirmed.insert(view.number, view);
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// What a group that counted these views should have come to.
    fn totals(&self, of: Of, counted: &Numbers) -> Totals {
        let mut totals = match of {
            Of::Pages => self.pages.clone(),
            Of::Words => self.words.clone(),
        };
        for (_, view) in self.unconfirmed.iter().filter(|(number, _)| counted.contains(**number)) {
            of.add(&mut totals, view);
        }
        totals
    }
}

/// What is said of one group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct GroupVerdict {
    pub(super) group: String,
    pub(super) acknowledged: u64,
    /// Different views that it counted.
    pub(super) counted: u64,
    /// Acknowledged and not counted.
    pub(super) missing: u64,
    /// Counted more than once, as many times more.
    pub(super) again: u64,
    /// Counted without having been sent.
    pub(super) unsent: u64,
    pub(super) differences: Vec<String>,
    pub(super) holds: bool,
}

impl GroupVerdict {
    pub(super) fn new(group: &str, sent: &Sent, counted: &Counted, of: Of, totals: &Totals) -> Self {
        let mut differences = Vec::new();
        let missing = named(&mut differences, "not counted", sent.acknowledged.without(&counted.views));
        let extra = counted.views.without(&sent.acknowledged).filter(|number| !sent.unconfirmed.contains_key(number));
        let unsent = named(&mut differences, "counted and not sent", extra);
        if 0 < counted.again {
            differences.push(format!("counted again: views {}", list(&counted.again_named, counted.again)));
        }
        let expected = sent.totals(of, &counted.views);
        let names = expected.keys().chain(totals.keys()).collect::<std::collections::BTreeSet<_>>();
        let count = |totals: &Totals, name: &String| totals.get(name).copied().unwrap_or(0);
        let wrong = names.into_iter().filter(|name| count(&expected, name) != count(totals, name));
        let mut wrong_totals = 0_usize;
        for name in wrong {
            wrong_totals += 1;
            if wrong_totals <= NAMED_MAX {
                let (found, right) = (count(totals, name), count(&expected, name));
                differences.push(format!("{name}: {found} counted, {right} sent"));
            }
        }
        if NAMED_MAX < wrong_totals {
            differences.push(format!("and {} more totals", wrong_totals - NAMED_MAX));
        }
        Self {
            group: group.to_owned(),
            acknowledged: sent.acknowledged.count(),
            counted: counted.views.count(),
            missing,
            again: counted.again,
            unsent,
            holds: differences.is_empty(),
            differences,
        }
    }

    /// Something else is wrong with its results.
    pub(super) fn object(&mut self, difference: String) {
        self.differences.push(difference);
        self.holds = false;
    }
}

/// Tells the first of these views. How many there are.
fn named(differences: &mut Vec<String>, what: &str, numbers: impl Iterator<Item = u64>) -> u64 {
    let (mut first, mut count) = (Vec::new(), 0);
    for number in numbers {
        count += 1;
        if first.len() < NAMED_MAX {
            first.push(number);
        }
    }
    if 0 < count {
        differences.push(format!("{what}: views {}", list(&first, count)));
    }
    count
}

fn list(first: &[u64], count: u64) -> String {
    let names = first.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let more = count.saturating_sub(u64::try_from(first.len()).unwrap_or(0));
    if more == 0 { names } else { format!("{names} and {more} more") }
}

impl fmt::Display for GroupVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, acknowledged, counted, missing, again, .. } = self;
        if self.holds {
            return write!(f, "{group}: {counted} views counted, each once; {acknowledged} were acknowledged");
        }
        write!(
            f,
            "{group}: WRONG: {counted} of {acknowledged} acknowledged views counted, {missing} missing, {again} counted again"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(number: u64, page: &str) -> View {
        let search = number.is_multiple_of(2).then(|| "red lamp".to_owned());
        View { number, time: crate::model::Timestamp(0), visitor: "v".into(), page: page.into(), search }
    }

    fn sent() -> Sent {
        let mut sent = Sent::default();
        for number in 0..4 {
            let view = view(number, if number == 0 { "/" } else { "/a" });
            sent.issue(&view);
            sent.acknowledge(&view);
        }
        sent
    }

    fn counted(numbers: &[u64]) -> Counted {
        let mut counted = Counted::default();
        numbers.iter().for_each(|number| counted.add(*number));
        counted
    }

    fn totals(totals: &[(&str, u64)]) -> Totals {
        totals.iter().map(|(name, total)| ((*name).to_owned(), *total)).collect()
    }

    #[test]
    fn it_holds_when_every_view_is_counted_once() {
        let right = counted(&[3, 1, 0, 2]);
        let pages = GroupVerdict::new("pages", &sent(), &right, Of::Pages, &totals(&[("/", 1), ("/a", 3)]));
        assert!(pages.holds, "{pages:?}");
        assert_eq!((pages.acknowledged, pages.counted, pages.missing, pages.again, pages.unsent), (4, 4, 0, 0, 0));
        assert_eq!(pages.to_string(), "pages: 4 views counted, each once; 4 were acknowledged");
        let words = GroupVerdict::new("words", &sent(), &right, Of::Words, &totals(&[("red", 2), ("lamp", 2)]));
        assert!(words.holds, "{words:?}");
    }

    #[test]
    fn a_view_that_was_lost_is_named() {
        let lost =
            GroupVerdict::new("pages", &sent(), &counted(&[0, 1, 3]), Of::Pages, &totals(&[("/", 1), ("/a", 2)]));
        assert!(!lost.holds);
        assert_eq!(
            (lost.missing, lost.differences.as_slice()),
            (1, &["not counted: views 2".into(), "/a: 2 counted, 3 sent".into()][..])
        );
        assert!(lost.to_string().contains("WRONG: 3 of 4 acknowledged views counted, 1 missing, 0 counted again"));
    }

    #[test]
    fn a_view_that_was_counted_twice_is_named_even_when_the_totals_are_right() {
        let twice = counted(&[0, 1, 2, 2, 3]);
        let verdict = GroupVerdict::new("pages", &sent(), &twice, Of::Pages, &totals(&[("/", 1), ("/a", 3)]));
        assert!(!verdict.holds);
        assert_eq!((verdict.again, verdict.differences.as_slice()), (1, &["counted again: views 2".into()][..]));
    }

    #[test]
    fn wrong_totals_are_told_even_when_every_view_was_seen_once() {
        let verdict =
            GroupVerdict::new("pages", &sent(), &counted(&[0, 1, 2, 3]), Of::Pages, &totals(&[("/", 2), ("/a", 3)]));
        assert_eq!((verdict.holds, verdict.differences), (false, vec!["/: 2 counted, 1 sent".to_owned()]));
        let verdict = GroupVerdict::new("files", &sent(), &counted(&[0, 1, 2, 3]), Of::Pages, &Totals::new());
        assert!(!verdict.holds);
    }

    #[test]
    fn what_may_or_may_not_be_written_is_no_fault_either_way() {
        let mut sent = sent();
        sent.issue(&view(4, "/b"));
        sent.give_up(view(4, "/b"));
        let without = totals(&[("/", 1), ("/a", 3)]);
        assert!(GroupVerdict::new("pages", &sent, &counted(&[0, 1, 2, 3]), Of::Pages, &without).holds);
        let with = totals(&[("/", 1), ("/a", 3), ("/b", 1)]);
        assert!(GroupVerdict::new("pages", &sent, &counted(&[0, 1, 2, 3, 4]), Of::Pages, &with).holds);
        let wrong = GroupVerdict::new("pages", &sent, &counted(&[0, 1, 2, 3, 4]), Of::Pages, &without);
        assert!(!wrong.holds, "it counted the view and did not add it");
    }

    #[test]
    fn what_nobody_sent_is_named() {
        let verdict =
            GroupVerdict::new("pages", &sent(), &counted(&[0, 1, 2, 3, 9]), Of::Pages, &totals(&[("/", 1), ("/a", 3)]));
        assert_eq!((verdict.holds, verdict.unsent), (false, 1));
    }

    #[test]
    fn of_many_differences_the_first_are_named() {
        let verdict = GroupVerdict::new(
            "pages",
            &Sent { acknowledged: (0..64).collect(), ..Sent::default() },
            &counted(&[]),
            Of::Pages,
            &Totals::new(),
        );
        assert_eq!(verdict.differences, ["not counted: views 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 54 more"]);
    }
}
