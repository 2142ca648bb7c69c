//! `dohle log dump`: shows the files of a broker's log, and checks them.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::output::Output;

/// Show the files of a log, and check them
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Files of a partition's folder, or of a log dir
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    arguments.files.iter().try_for_each(|file| output.line(file.display()))
}
