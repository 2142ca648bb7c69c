//! Standard output: the only place of the command line that writes to it. Buffered, and quiet about a reader who left.

use std::fmt;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::failure::Failure;

/// Bytes held back before they are written. One page-cache write per 64 KiB is cheap; a person sees lines at once because
/// commands flush when they have nothing more to say.
const BUFFER_BYTES: usize = 64 << 10;

/// Where a command writes what it was asked for. Errors and progress go to standard error instead.
pub(super) struct Output {
    to: BufWriter<Box<dyn Write>>,
}

impl Output {
    /// Standard output.
    pub(super) fn standard() -> Self {
        Self::to(Box::new(io::stdout()))
    }

    /// Any writer, for tests.
    pub(super) fn to(writer: Box<dyn Write>) -> Self {
        Self { to: BufWriter::with_capacity(BUFFER_BYTES, writer) }
    }

    /// One line of text.
    ///
    /// # Errors
    /// As every method here: [`Failure::OutputClosed`] when nobody reads any more, or what the system says.
    pub(super) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.to, "{text}")?;
        Ok(())
    }

    /// Bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.to.write_all(bytes)?;
        Ok(())
    }

    /// One value as one line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, value).map_err(io::Error::from)?;
        self.bytes(b"\n")
    }

    /// Columns, each as wide as its widest cell; two spaces between them, none behind the last.
    pub(super) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let head = head.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let width = |column: usize| {
            let cells = std::iter::once(&head).chain(rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = (0..head.len()).map(width).collect::<Vec<_>>();
        for row in std::iter::once(&head).chain(rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>();
            self.line(cells.join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Hands on what was held back.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.to.flush()?;
        Ok(())
    }
}

/// One line on standard error: what a person should know and a pipe should not get.
#[expect(clippy::print_stderr, reason = "the command line's one way to standard error")]
pub(super) fn notice(text: impl fmt::Display) {
    eprintln!("{text}");
}

/// How many of what there are, such as `1 record` and `2 records`.
pub(super) struct Count(pub(super) u64, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, one) = self;
        write!(f, "{number} {one}{}", if *number == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_is_not_many() {
        let counts = [0, 1, 2].map(|number| Count(number, "record").to_string());
        assert_eq!(counts, ["0 records", "1 record", "2 records"]);
    }

    #[test]
    fn a_reader_who_left_ends_the_command_quietly() {
        let mut output = Output::to(Box::new(Closed));
        output.line("held back").expect("the buffer takes it");
        assert!(matches!(output.flush(), Err(Failure::OutputClosed)));
        let mut output = Output::to(Box::new(Closed));
        let long = "x".repeat(BUFFER_BYTES + 1);
        assert!(matches!(output.json(&long), Err(Failure::OutputClosed)), "also through the JSON writer");
    }
}
