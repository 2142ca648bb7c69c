//! On which event loop a connection should be served: the one that owns most of the partitions it writes to.
//!
//! A message to a partition on another loop wakes a thread, which costs tens of microseconds; on the same loop it costs less
//! than one. So messages are what is counted, not bytes: a large batch crosses no dearer than a small one.
//!
//! *Owner*: each connection, which takes it along. *Does not know*: what a loop is; any name of a place will do.

/// Messages after which a connection that never moved is judged. A move costs about as much as ten messages to another loop,
/// so waiting for this many loses little, and chance does not decide.
pub const WINDOW_MIN: u32 = 96;

/// The longest window; a connection that is this busy comes to its end within minutes.
pub const WINDOW_MAX: u32 = WINDOW_MIN << 14;

const _: () = assert!(WINDOW_MAX < u32::MAX / 3, "shares are compared by multiplying");
const _: () = assert!(WINDOW_MIN.is_multiple_of(3), "two thirds are a whole number");

/// Where one connection's messages go.
///
/// Every move doubles the window. So no load, however it alternates, makes a connection move more than about log2(messages)
/// times before the window is at [`WINDOW_MAX`]; and a load that is mixed within a window moves it not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Homing<L> {
    here: L,
    window: u32,
    /// Messages since the window began, below `window`.
    noted: u32,
    /// Those of them that went to other places; no place stands twice.
    elsewhere: Vec<(L, u32)>,
    destination: Option<L>,
}

impl<L: Copy + Eq> Homing<L> {
    /// A connection that begins `here`.
    #[must_use]
    pub fn new(here: L) -> Self {
        Self { here, window: WINDOW_MIN, noted: 0, elsewhere: Vec::new(), destination: None }
    }

    /// Where it is.
    #[must_use]
    pub fn here(&self) -> L {
        self.here
    }

    /// Where it should go: once said, it stays so until [`Self::arrived`].
    #[must_use]
    pub fn destination(&self) -> Option<L> {
        self.destination
    }

    /// One message went to a partition that lives at `to`.
    pub fn note(&mut self, to: L) {
        self.noted += 1;
        if to != self.here {
            match self.elsewhere.iter_mut().find(|(place, _)| *place == to) {
                Some((_, count)) => *count += 1,
                None => self.elsewhere.push((to, 1)),
            }
        }
        if self.noted == self.window {
            let most = self.elsewhere.drain(..).max_by_key(|(_, count)| *count);
            self.noted = 0;
            // More than two thirds, or it stays: where the load is mixed, moving only changes which part pays.
            let better = most.filter(|(_, count)| 2 * self.window < 3 * count).map(|(place, _)| place);
            self.destination = self.destination.or(better);
        }
        self.check();
    }

    /// It is at `here` now, and begins a new window.
    pub fn arrived(&mut self, here: L) {
        let window = self.window.saturating_mul(2).min(WINDOW_MAX);
        *self = Self { here, window, noted: 0, elsewhere: Vec::new(), destination: None };
        self.check();
    }

    fn check(&self) {
        assert!(self.noted < self.window, "a full window is judged at once");
        assert!(self.destination != Some(self.here), "it is there already");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds where the messages go, and follows each advice at once. The moves, with the number of the message before each.
    fn moves(load: impl IntoIterator<Item = char>) -> Vec<(usize, char)> {
        let mut homing = Homing::new('a');
        let mut moves = Vec::new();
        for (number, to) in load.into_iter().enumerate() {
            homing.note(to);
            if let Some(destination) = homing.destination() {
                moves.push((number, destination));
                homing.arrived(destination);
                assert_eq!((homing.here(), homing.destination()), (destination, None));
            }
        }
        moves
    }

    fn cycle(pattern: &str, messages: usize) -> impl Iterator<Item = char> {
        pattern.chars().cycle().take(messages)
    }

    const WINDOW: usize = WINDOW_MIN as usize;

    #[test]
    fn it_goes_to_the_place_of_most_and_stays() {
        assert_eq!(moves(cycle("b", WINDOW * 100)), [(WINDOW - 1, 'b')]);
        assert_eq!(moves(cycle("bbbba", WINDOW * 100)), [(WINDOW - 1, 'b')]);
        assert_eq!(moves(cycle("a", WINDOW * 100)), []);
        assert_eq!(moves(cycle("b", WINDOW - 1)), [], "too few to judge");
    }

    #[test]
    fn it_stays_where_no_place_has_more_than_two_thirds() {
        for pattern in ["ab", "abb", "bba", "bc", "abc", "bbc", "abcd", "bbccd"] {
            assert_eq!(moves(cycle(pattern, WINDOW * 99)), [], "{pattern}");
        }
        // The limit itself, to the message.
        let share = |to_b: usize| (0..WINDOW).map(move |number| if number < to_b { 'b' } else { 'c' });
        assert_eq!(moves(share(WINDOW * 2 / 3)), []);
        assert_eq!(moves(share(WINDOW * 2 / 3 + 1)), [(WINDOW - 1, 'b')]);
    }

    #[test]
    fn a_load_that_alternates_moves_it_ever_more_rarely() {
        for phase in [WINDOW, WINDOW * 2, WINDOW * 7, WINDOW * 64, WINDOW * 1_000] {
            let messages = WINDOW << 12;
            let load = (0..messages).map(|number| if (number / phase).is_multiple_of(2) { 'b' } else { 'a' });
            let moves = moves(load);
            assert!(!moves.is_empty(), "phases of {phase}");
            // The n-th move needs a window of WINDOW << n of its own.
            for (n, (number, _)) in moves.iter().enumerate() {
                assert!((WINDOW << (n + 1)) - WINDOW <= number + 1, "phases of {phase}: {moves:?}");
            }
        }
    }

    #[test]
    fn the_advice_stands_until_it_was_followed() {
        let mut homing = Homing::new('a');
        cycle("b", WINDOW).for_each(|to| homing.note(to));
        cycle("a", WINDOW * 3).for_each(|to| homing.note(to));
        cycle("c", WINDOW * 3).for_each(|to| homing.note(to));
        assert_eq!(homing.destination(), Some('b'));
        homing.arrived('b');
        assert_eq!(homing.destination(), None);
    }

    #[test]
    fn the_window_has_an_end() {
        let mut homing = Homing::new(0);
        (1..100).for_each(|place| homing.arrived(place));
        (0..WINDOW_MAX).for_each(|_| homing.note(0));
        assert_eq!(homing.destination(), Some(0));
    }
}
