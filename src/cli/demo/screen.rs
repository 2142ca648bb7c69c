//! The demo on a terminal.
//!
//! *Invariant*: the terminal is as it was before when this is dropped, however that comes about.

use std::io::{self, Stdout};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::board::Board;
use super::draw::{View, draw};
use super::stage::News;

/// What a person wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// Another group is chosen.
    Choose(usize),
    /// A member more in the chosen group.
    Add,
    /// A member less.
    Kill,
    Quit,
}

pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        // From here on the terminal is put back by the drop.
        let mut screen = Self { terminal: Terminal::new(CrosstermBackend::new(io::stdout()))? };
        // The terminal's own `clear` asks where the cursor is, and not every terminal answers.
        execute!(screen.terminal.backend_mut(), EnterAlternateScreen, Clear(ClearType::All))?;
        Ok(screen)
    }

    pub(super) fn show(&mut self, board: &Board, news: &[News], chosen: usize, title: &str) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, &View { board, news, chosen, title }))?;
        Ok(())
    }

    /// The next key that means something, if one was pressed; does not wait.
    pub(super) fn wish(&mut self, chosen: usize, groups: usize) -> io::Result<Option<Wish>> {
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && let Some(wish) = wish(key, chosen, groups)
            {
                return Ok(Some(wish));
            }
        }
        Ok(None)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nothing to do about a terminal that is gone.
        let _ = execute!(self.terminal.backend_mut(), LeaveAlternateScreen);
        let _ = self.terminal.show_cursor();
        let _ = disable_raw_mode();
    }
}

/// What a key means.
fn wish(key: KeyEvent, chosen: usize, groups: usize) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let step = |by: usize| Some(Wish::Choose((chosen + by) % groups.max(1)));
    if let KeyCode::Char(letter) = key.code {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (letter == 'c').then_some(Wish::Quit);
        }
        return match letter {
            'q' => Some(Wish::Quit),
            'a' | '+' => Some(Wish::Add),
            'k' | '-' => Some(Wish::Kill),
            digit => {
                let number = usize::try_from(digit.to_digit(10)?).ok()?;
                (1..=groups).contains(&number).then(|| Wish::Choose(number - 1))
            }
        };
    }
    if key.code == KeyCode::Esc {
        Some(Wish::Quit)
    } else if key.code == KeyCode::Tab || key.code == KeyCode::Right {
        step(1)
    } else if key.code == KeyCode::BackTab || key.code == KeyCode::Left {
        step(groups.saturating_sub(1))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode) -> Option<Wish> {
        wish(KeyEvent::new(code, KeyModifiers::NONE), 2, 3)
    }

    #[test]
    fn keys_and_what_they_mean() {
        assert_eq!(press(KeyCode::Char('a')), Some(Wish::Add));
        assert_eq!(press(KeyCode::Char('k')), Some(Wish::Kill));
        assert_eq!(press(KeyCode::Char('q')), Some(Wish::Quit));
        assert_eq!(press(KeyCode::Esc), Some(Wish::Quit));
        assert_eq!(press(KeyCode::Char('2')), Some(Wish::Choose(1)));
        assert_eq!(press(KeyCode::Char('4')), None);
        assert_eq!(press(KeyCode::Tab), Some(Wish::Choose(0)));
        assert_eq!(press(KeyCode::Left), Some(Wish::Choose(1)));
        assert_eq!(press(KeyCode::Home), None);
        let control = |letter| wish(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL), 0, 3);
        assert_eq!((control('c'), control('a')), (Some(Wish::Quit), None));
    }
}
