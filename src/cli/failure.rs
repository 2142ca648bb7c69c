//! Why a command ends early: what happened, and what the person can do about it.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::client::ClientError;

/// A command's error. Every command gives one of these; only [`super::run`] turns it into text and an exit code.
#[derive(Debug)]
pub(super) enum Failure {
    /// The reader of our output went away (`dohle consume t | head`): nothing to say, and no fault.
    OutputClosed,
    /// Something went wrong: exit code 1.
    Failed {
        /// What happened, as a sentence without a full stop.
        what: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// What was asked for makes no sense: exit code 2, as clap's own errors.
    Usage(String),
    /// The configuration is wrong: exit code 2.
    Configuration(String),
    /// The command did what it should, and what it looked at is damaged. It has said so itself: exit code 1.
    Damaged,
}

impl Failure {
    /// Something went wrong and there is nothing to advise.
    pub(super) fn new(what: impl fmt::Display) -> Self {
        Self::Failed { what: what.to_string(), hint: None }
    }

    /// Adds what to do next.
    pub(super) fn hint(self, advice: impl fmt::Display) -> Self {
        match self {
            Self::Failed { what, .. } => Self::Failed { what, hint: Some(advice.to_string()) },
            Self::OutputClosed | Self::Usage(_) | Self::Configuration(_) | Self::Damaged => self,
        }
    }

    /// What is to be printed on standard error, if anything.
    pub(super) fn message(&self) -> Option<String> {
        match self {
            Self::OutputClosed | Self::Damaged => None,
            Self::Failed { what, hint: None } | Self::Configuration(what) => Some(format!("error: {what}")),
            Self::Failed { what, hint: Some(hint) } => Some(format!("error: {what}\n{hint}")),
            Self::Usage(what) => Some(format!("error: {what}\nFor what is possible, try '--help'.")),
        }
    }

    /// The process's exit code.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::Failed { .. } | Self::Damaged => ExitCode::FAILURE,
            Self::Usage(_) | Self::Configuration(_) => ExitCode::from(2),
        }
    }
}

const NO_BROKER_HINT: &str =
    "Is it running? Start one with `dohle start`, or say where it is with --bootstrap-server HOST:PORT.";

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let hint = if let ClientError::NoBroker { .. } = &error {
            Some(NO_BROKER_HINT.to_owned())
        } else if let ClientError::UnknownTopic { topic } = &error {
            Some(format!("Create it with `dohle topic create {topic}`; `dohle topic list` shows what is there."))
        } else {
            None
        };
        Self::Failed { what: error.to_string(), hint }
    }
}

/// For errors of standard output only.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::new(format_args!("cannot write to standard output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_fault() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(closed.message(), None);
        assert_eq!(closed.exit_code(), ExitCode::SUCCESS);
    }

    #[test]
    fn a_hint_stands_on_its_own_line() {
        let failure = Failure::new("no such thing").hint("Look elsewhere.");
        assert_eq!(failure.message().as_deref(), Some("error: no such thing\nLook elsewhere."));
        assert_eq!(failure.exit_code(), ExitCode::FAILURE);
    }
}
