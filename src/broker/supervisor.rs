//! Death notices (law 7). actix does not tell a parent that a child panicked, and its own supervisor would go on with the
//! state that the panic left behind. So each child owns a notice whose `Drop` tells the parent, and the parent builds a fresh
//! child from durable state, as often as [`machine::restart`](crate::machine::restart) allows.

use std::fmt;

/// Owned by a child; tells its parent when the child ends.
pub struct DeathNotice {
    tell: Option<Box<dyn FnOnce(Option<Death>) + Send>>,
    /// Whether an end as it should be is told too.
    always: bool,
    death: Option<Death>,
}

/// How a child ended that should not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// By a panic: a bug of ours.
    Panicked,
    /// It gave up because of what the outside did (a failed flush), and wants a fresh start.
    Failed,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panicked => "it panicked",
            Self::Failed => "it gave up to start afresh",
        })
    }
}

impl DeathNotice {
    /// `tell` runs when the child ends without having been asked to, perhaps while it unwinds: it may send a message,
    /// nothing else.
    #[must_use]
    pub fn new(tell: impl FnOnce(Death) + Send + 'static) -> Self {
        let tell = move |death| {
            if let Some(death) = death {
                tell(death);
            }
        };
        Self { tell: Some(Box::new(tell)), always: false, death: Some(Death::Panicked) }
    }

    /// Like [`Self::new`], but an end as it should be is told too, as `None`.
    #[must_use]
    pub fn always(tell: impl FnOnce(Option<Death>) + Send + 'static) -> Self {
        Self { tell: Some(Box::new(tell)), always: true, death: Some(Death::Panicked) }
    }

    /// The child ends as it should.
    pub fn disarm(&mut self) {
        self.death = None;
    }

    /// The child goes on elsewhere, with a notice of its own: nothing is told.
    pub fn silence(&mut self) {
        self.tell = None;
    }

    /// Tells now that the child is of no more use, and no more when it ends.
    pub fn tell(&mut self) {
        if (self.always || self.death.is_some())
            && let Some(tell) = self.tell.take()
        {
            tell(self.death);
        }
    }

    /// The child ends because of the outside, not of a bug.
    pub fn failed(&mut self) {
        self.death = Some(Death::Failed);
    }
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        self.tell();
    }
}

impl fmt::Debug for DeathNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeathNotice").field("death", &self.death).finish_non_exhaustive()
    }
}
