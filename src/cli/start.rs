//! `dohle start`: reads the configuration and runs a broker until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Run a broker
#[derive(Args, Debug)]
#[command(after_help = "Without FILE one broker runs alone: no ZooKeeper, data in ./dohle-data, clients at 127.0.0.1:9092.
SIGTERM or Ctrl-C stops it in good order.

Examples:
  dohle start
  dohle start config/server.properties
  dohle start --override listeners=PLAINTEXT://0.0.0.0:9092 --override log.dirs=/var/lib/dohle")]
pub(super) struct Arguments {
    /// A server.properties file, with Kafka's keys
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Sets one key, over what the file says; may be given more than once
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = super::key_value)]
    overrides: Vec<(String, String)>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let _ = (&arguments.file, &arguments.overrides);
    ExitCode::FAILURE
}
