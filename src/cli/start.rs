//! `dohle start`: reads the configuration and runs a broker until it is told to stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::file::cannot_read;
use super::output::notice;
use crate::broker::process;
use crate::config::{Loaded, Warning, load, quickstart_properties};
use crate::storage::disk::os::OsDisk;
use crate::storage::disk::read_file;
use crate::telemetry::{self, Event as _, event};

/// Longest configuration file. Kafka's own, with all its comments, has 7 KiB.
const FILE_BYTES_MAX: usize = 4 << 20;

/// Run a broker
#[derive(Args, Debug)]
#[command(
    after_help = "Without FILE one broker runs alone: no ZooKeeper, data in ./dohle-data, clients at 127.0.0.1:9092.
SIGTERM or Ctrl-C stops it in good order. Exit code 2 when the configuration is wrong.

Examples:
  dohle start
  dohle start config/server.properties
  dohle start --override listeners=PLAINTEXT://0.0.0.0:9092 --override log.dirs=/var/lib/dohle"
)]
pub(super) struct Arguments {
    /// A server.properties file, with Kafka's keys
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Sets one key, over what the file says; may be given more than once
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let loaded = configuration(arguments)?;
    serve(loaded)?;
    Ok(ExitCode::SUCCESS)
}

fn configuration(arguments: &Arguments) -> Result<Loaded, Failure> {
    let (text, name) = match &arguments.file {
        Some(path) => (text_of(path)?, path.display().to_string()),
        None => (quickstart_properties(), "the built-in configuration".to_owned()),
    };
    load(&text, &arguments.overrides)
        .map_err(|problems| Failure::Configuration(format!("{name} cannot be used\n{problems}")))
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let bytes = read_file(&OsDisk, path, FILE_BYTES_MAX).map_err(|error| {
        cannot_read(path, &error).hint("Without a FILE `dohle start` runs one broker alone, with data in ./dohle-data.")
    })?;
    // Properties files are Latin-1 by Java's rules and UTF-8 in practice.
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect()))
}

/// Runs the broker, and says one line when it serves: the rest of what it has to say are events.
fn serve(loaded: Loaded) -> Result<(), Failure> {
    let Loaded { config, layers, warnings } = loaded;
    let format = if config.logging.json { telemetry::Format::Json } else { telemetry::Format::Text };
    telemetry::init(&config.logging.level, format).map_err(Failure::new)?;
    for Warning { place, key, reason } in warnings {
        event::ConfigKeyInert { key, place: place.to_string(), reason: reason.to_string() }.emit();
    }
    let run = process::run(config, layers, |serving| {
        let listening = serving.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let example = serving.addresses.first().map(ToString::to_string).unwrap_or_default();
        notice(format_args!(
            "dohle serves on {listening}. Try: echo hello | dohle produce greetings --bootstrap-server {example}"
        ));
    });
    run.map_err(Failure::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(file: Option<&Path>, overrides: &[&str]) -> Arguments {
        let overrides = overrides.iter().map(|&text| text.to_owned()).collect();
        Arguments { file: file.map(Path::to_owned), overrides }
    }

    #[test]
    fn without_a_file_the_built_in_configuration_serves() {
        assert!(configuration(&arguments(None, &[])).is_ok());
        assert!(configuration(&arguments(None, &["broker.id=7"])).is_ok());
    }

    #[test]
    fn a_wrong_configuration_says_all_that_is_wrong_and_exits_with_2() {
        let Err(failure) = configuration(&arguments(None, &["broker.idd=7", "num.partitions=many"])) else {
            panic!("a wrong configuration was taken")
        };
        let message = failure.message().expect("words");
        assert!(message.contains("broker.id") && message.contains("num.partitions"), "{message}");
        assert_eq!(failure.exit_code(), ExitCode::from(2));
    }

    #[test]
    fn a_missing_file_says_which() {
        let Err(failure) = configuration(&arguments(Some(Path::new("/nowhere/x.properties")), &[])) else {
            panic!("a file that is not there was read")
        };
        assert!(failure.message().is_some_and(|message| message.contains("/nowhere/x.properties")));
    }
}
