//! The `dohle` command: one file per subcommand.

use std::process::ExitCode;

/// Reads the command line and does what it says.
#[must_use]
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
