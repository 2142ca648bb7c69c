//! Sets up `tracing` for the process: lines to stderr, as text or JSON.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one object per line, fields beside `timestamp`, `level` and `message`.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The level is none.
    #[error("'{0}' is no log level; there are error, warn, info, debug and trace")]
    Level(String),
    /// It was set up before in this process.
    #[error("logging is set up already")]
    Twice,
}

/// Sets up logging for this process: lines of ours from `level` on, of the libraries below us from WARN on.
///
/// # Errors
/// When `level` is none, or logging was set up before.
pub fn init(level: &str, format: Format) -> Result<(), InitError> {
    let subscriber = subscriber(level, format, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::Twice)
}

fn subscriber<W>(
    level: &str,
    format: Format,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, InitError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let known = ["error", "warn", "info", "debug", "trace"].iter().any(|known| known.eq_ignore_ascii_case(level));
    if !known {
        return Err(InitError::Level(level.to_owned()));
    }
    let ours = level.to_ascii_lowercase();
    let theirs = if ours == "error" { "error" } else { "warn" };
    let filter = EnvFilter::try_new(format!("{theirs},dohle={ours}")).map_err(|_| InitError::Level(ours))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    Ok(match format {
        Format::Text => Box::new(lines.with_ansi(false).finish()),
        Format::Json => {
            Box::new(lines.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::super::Event as _;
    use super::super::event::{ConnectionAccepted, SessionExpired};
    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic holds it").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(level: &str, format: Format, emit: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(level, format, move || writer.clone()).expect("a level");
        tracing::subscriber::with_default(subscriber, emit);
        let bytes = written.0.lock().expect("no panic holds it").clone();
        String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
    }

    #[test]
    fn one_event_is_one_line_of_text() {
        let told = lines("info", Format::Text, || SessionExpired { session: 0x1234 }.emit());
        let [line] = told.as_slice() else { panic!("{told:?}") };
        for part in [" WARN ", "the coordinator ended session 0x1234", "event=\"session_expired\"", "session=4660"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn one_event_is_one_object_of_json() {
        let told = lines("info", Format::Json, || SessionExpired { session: 7 }.emit());
        let [line] = told.as_slice() else { panic!("{told:?}") };
        let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["event"], "session_expired");
        assert_eq!(object["session"], 7);
        assert!(object["message"].as_str().expect("a text").starts_with("the coordinator ended session 0x7"));
    }

    #[test]
    fn less_important_lines_are_left_out() {
        let peer = ([127, 0, 0, 1], 1).into();
        let emit = || ConnectionAccepted { listener: "PLAINTEXT".to_owned(), peer }.emit();
        assert_eq!(lines("info", Format::Text, emit).len(), 0);
        assert_eq!(lines("debug", Format::Text, emit).len(), 1);
        assert_eq!(lines("debug", Format::Text, || tracing::info!(target: "some_library", "chatter")).len(), 0);
        assert!(matches!(subscriber("loud", Format::Text, io::sink), Err(InitError::Level(_))));
    }
}
