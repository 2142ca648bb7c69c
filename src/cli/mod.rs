//! The `dohle` command: one file per subcommand.
//!
//! *Invariant*: only [`output`], and the screen of [`demo`], write to the terminal, and only [`run`] decides the exit code: 0
//! when the command did what it was asked, 1 when it could not, 2 when it was asked wrongly.
//! *Does not know*: the protocol (see [`crate::client`]) or the log's format (see [`crate::storage`]).

mod answers;
mod bench;
mod connect;
mod consume;
mod demo;
mod failure;
mod file;
mod group;
mod log_dump;
mod manual;
mod offset;
mod output;
mod produce;
#[cfg(feature = "sim")]
mod sim;
mod start;
mod stop;
mod topic;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use failure::Failure;
use output::{Output, notice};

/// A message broker that speaks the Kafka protocol and lives with ZooKeeper.
#[derive(Parser, Debug)]
#[command(name = "dohle", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Begin with:
  dohle start                                    a broker on 127.0.0.1:9092, data in ./dohle-data
  echo 'hello' | dohle produce greetings
  dohle consume greetings --from-beginning --until-end
  dohle demo                                     groups of members that count page views, to watch")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Start(start::Arguments),
    Topic(topic::Arguments),
    Produce(produce::Arguments),
    Consume(consume::Arguments),
    Group(group::Arguments),
    Offset(offset::Arguments),
    Demo(demo::Arguments),
    /// Look at the files of a broker's log.
    #[command(subcommand)]
    Log(LogCommand),
    Bench(bench::Arguments),
    Completions(manual::Completions),
    Man(manual::Man),
    #[command(hide = true)]
    Answers(answers::Arguments),
    #[cfg(feature = "sim")]
    #[command(hide = true)]
    Sim(sim::Arguments),
}

#[derive(Subcommand, Debug)]
enum LogCommand {
    Dump(log_dump::Arguments),
}

/// Reads the command line and does what it says.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output with exit code 0, mistakes to standard error with 2.
            let code = if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    let mut output = Output::standard();
    let done = execute(arguments.command, &mut output);
    // What was found before a failure is still worth something.
    let flushed = output.flush();
    match done.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code,
        Err(failure) => {
            if let Some(message) = failure.message() {
                notice(message);
            }
            failure.exit_code()
        }
    }
}

fn execute(command: Command, output: &mut Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Start(arguments) => return start::run(&arguments),
        Command::Topic(arguments) => topic::run(&arguments, output),
        Command::Produce(arguments) => produce::run(&arguments),
        Command::Consume(arguments) => consume::run(&arguments, output),
        Command::Group(arguments) => group::run(&arguments, output),
        Command::Offset(arguments) => offset::run(&arguments, output),
        Command::Completions(arguments) => manual::completions(&arguments, &Arguments::command(), output),
        Command::Man(arguments) => manual::man(&arguments, Arguments::command(), output),
        Command::Demo(arguments) => demo::run(&arguments, output),
        Command::Log(LogCommand::Dump(arguments)) => log_dump::run(&arguments, output),
        Command::Bench(arguments) => bench::run(&arguments, output),
        Command::Answers(arguments) => answers::run(&arguments, output),
        #[cfg(feature = "sim")]
        Command::Sim(arguments) => sim::run(&arguments, output),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Splits at the first `=`. The key must not be empty.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        Some(_) | None => Err("write KEY=VALUE, for instance broker.id=3".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
