//! Sets of views by number.

/// A set of numbers, one bit each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Numbers {
    words: Vec<u64>,
    count: u64,
}

impl Numbers {
    /// Puts a number in. Whether it was not there before.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        // A run that is long enough to overflow this would not fit into memory.
        let at = usize::try_from(number / 64).unwrap_or(usize::MAX);
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
        }
        let bit = 1_u64 << (number % 64);
        let Some(word) = self.words.get_mut(at) else { return false };
        let fresh = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(fresh);
        fresh
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let word = usize::try_from(number / 64).ok().and_then(|at| self.words.get(at)).copied().unwrap_or(0);
        word >> (number % 64) & 1 == 1
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// What is here and not there, in order.
    pub(super) fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u64> + 'a {
        let words = (0_u64..).zip(&self.words).zip(other.words.iter().copied().chain(std::iter::repeat(0)));
        words.flat_map(|((index, here), there)| {
            let only = here & !there;
            (0..64).filter(move |bit| only >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        })
    }
}

impl FromIterator<u64> for Numbers {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| {
            set.insert(number);
        });
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_and_out() {
        let mut set = Numbers::default();
        assert!(set.insert(64));
        assert!(!set.insert(64));
        assert!(set.insert(3));
        assert_eq!((set.count(), set.contains(3), set.contains(4), set.contains(1_000)), (2, true, false, false));
        let other = [3, 500].into_iter().collect::<Numbers>();
        assert_eq!(set.without(&other).collect::<Vec<_>>(), [64]);
        assert_eq!(other.without(&set).collect::<Vec<_>>(), [500]);
        assert_eq!(set.without(&set).count(), 0);
    }
}
