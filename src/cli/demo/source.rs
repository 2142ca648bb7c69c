//! Where views come from: made up, or lines of an access log.

use std::path::Path;

use bytes::{Buf as _, BytesMut};
use tokio::io::AsyncReadExt as _;

use super::access_log::{Line, read};
use super::views::{Generator, View};
use crate::cli::failure::Failure;
use crate::cli::file::FileReader;
use crate::model::Timestamp;

/// Longest line: servers take requests of 8 KiB by default. Longer ones are passed over.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

pub(super) enum Source {
    Generated(Box<Generator>),
    Log(LogFile),
}

impl Source {
    pub(super) fn open(input: Option<&Path>, seed: u64) -> Result<Self, Failure> {
        Ok(match input {
            None => Self::Generated(Box::new(Generator::new(seed))),
            Some(path) => Self::Log(LogFile {
                file: FileReader::open(path)?,
                lines: Lines::default(),
                read: LogCounts::default(),
            }),
        })
    }

    /// The next view, `None` when there are no more.
    pub(super) async fn next(&mut self, now: Timestamp) -> Result<Option<View>, Failure> {
        match self {
            Self::Generated(generator) => Ok(Some(generator.next(now))),
            Self::Log(log) => log.next().await,
        }
    }

    /// What was found in the log, if it is one.
    pub(super) const fn log_counts(&self) -> Option<LogCounts> {
        match self {
            Self::Generated(_) => None,
            Self::Log(log) => Some(log.read),
        }
    }
}

/// Lines of a log by what they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub(super) struct LogCounts {
    pub(super) views: u64,
    /// Requests that showed no page.
    pub(super) other: u64,
    /// Not in combined format.
    pub(super) unreadable: u64,
}

pub(super) struct LogFile {
    file: FileReader,
    lines: Lines,
    read: LogCounts,
}

impl LogFile {
    async fn next(&mut self) -> Result<Option<View>, Failure> {
        loop {
            let Some(line) = self.lines.next() else {
                if self.lines.ended {
                    return Ok(None);
                }
                let fail = |error| Failure::new(format_args!("cannot read the access log: {error}"));
                let buffer = &mut self.lines.buffer;
                buffer.reserve(READ_BYTES);
                self.lines.ended = self.file.read_buf(buffer).await.map_err(fail)? == 0;
                continue;
            };
            match line {
                Some(line) => match read(&String::from_utf8_lossy(&line), self.read.views) {
                    Line::View(view) => {
                        self.read.views += 1;
                        return Ok(Some(view));
                    }
                    Line::Other => self.read.other += 1,
                    Line::Unreadable => self.read.unreadable += 1,
                },
                None => self.read.unreadable += 1,
            }
        }
    }
}

/// Cuts what was read into lines.
#[derive(Default)]
struct Lines {
    buffer: BytesMut,
    /// Within a line that is too long.
    skipping: bool,
    ended: bool,
}

impl Lines {
    /// A line, `Some(None)` for one that is too long, `None` when more has to be read.
    fn next(&mut self) -> Option<Option<BytesMut>> {
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n');
            let len = match end {
                Some(len) => len,
                None if self.ended && !self.buffer.is_empty() => self.buffer.len(),
                None => {
                    if LINE_BYTES_MAX < self.buffer.len() {
                        self.skipping = true;
                        self.buffer.clear();
                    }
                    if self.ended && self.skipping {
                        self.skipping = false;
                        return Some(None);
                    }
                    return None;
                }
            };
            let mut line = self.buffer.split_to(len);
            if end.is_some() {
                self.buffer.advance(1);
            }
            if line.ends_with(b"\r") {
                line.truncate(line.len() - 1);
            }
            if std::mem::take(&mut self.skipping) || LINE_BYTES_MAX < line.len() {
                return Some(None);
            }
            if !line.is_empty() {
                return Some(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Option<usize>> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.buffer.extend_from_slice(piece);
            while let Some(line) = lines.next() {
                found.push(line.map(|line| line.len()));
            }
        }
        lines.ended = true;
        while let Some(line) = lines.next() {
            found.push(line.map(|line| line.len()));
        }
        found
    }

    #[test]
    fn lines_are_cut_wherever_reads_end() {
        assert_eq!(cut(&[b"ab\r\nc", b"de", b"\n\n\nf"]), [Some(2), Some(3), Some(1)]);
        assert_eq!(cut(&[]), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_whole() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(cut(&[b"a\n", &long, &long, b"y\nb"]), [Some(1), None, Some(1)]);
        assert_eq!(cut(&[&long]), [None]);
    }

    #[test]
    fn views_of_a_log_are_numbered_without_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let line =
            |request: &str| format!("h - - [27/Nov/2026:23:05:01 +0000] \"{request} HTTP/1.1\" 200 1 \"-\" \"-\"\n");
        let text = [&line("GET /a"), "nonsense\n", &line("POST /a"), &line("GET /b")].concat();
        std::io::Write::write_all(&mut tempfile_at(&path), text.as_bytes()).unwrap();
        let mut source = Source::open(Some(&path), 0).unwrap();
        let views = futures::executor::block_on(async {
            let mut views = Vec::new();
            while let Some(view) = source.next(Timestamp(0)).await.unwrap() {
                views.push((view.number, view.page));
            }
            views
        });
        assert_eq!(views, [(0, "/a".to_owned()), (1, "/b".to_owned())]);
        assert_eq!(source.log_counts(), Some(LogCounts { views: 2, other: 1, unreadable: 1 }));
    }

    #[expect(clippy::disallowed_methods, reason = "a test makes the file that it reads")]
    fn tempfile_at(path: &Path) -> std::fs::File {
        std::fs::File::create(path).unwrap()
    }
}
