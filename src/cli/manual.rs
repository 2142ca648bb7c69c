//! `dohle completions` and `dohle man`: what shells and `man` know of this command, made from its own definition.

use std::io;

use clap::{Args, Command, ValueEnum};

use super::failure::Failure;
use super::output::Output;

/// Print what a shell needs to complete this command
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dohle completions bash > ~/.local/share/bash-completion/completions/dohle
  dohle completions zsh > \"${fpath[1]}/_dohle\"
  dohle completions fish > ~/.config/fish/completions/dohle.fish")]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Print the manual page of this command, or of one of its commands
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dohle man | man -l -
  dohle man topic create > dohle-topic-create.1")]
pub(super) struct Man {
    /// Whose page [default: that of dohle itself]
    command: Vec<String>,
}

pub(super) fn completions(arguments: &Completions, command: &Command, output: &mut Output) -> Result<(), Failure> {
    let generator = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut visible(command), command.get_name(), &mut script);
    output.bytes(&script)
}

/// The command without what `--help` does not show.
fn visible(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    Command::new("dohle").version(env!("CARGO_PKG_VERSION")).args(command.get_arguments()).subcommands(shown)
}

pub(super) fn man(arguments: &Man, mut command: Command, output: &mut Output) -> Result<(), Failure> {
    // So that each knows what it is called in full, and which options of the outer ones it takes.
    command.build();
    let mut wanted = &command;
    for name in &arguments.command {
        let found = wanted.find_subcommand(name).filter(|it| !it.is_hide_set());
        wanted = found.ok_or_else(|| {
            Failure::Usage(format!("there is no command '{} {name}'", wanted.get_bin_name().unwrap_or("dohle")))
        })?;
    }
    let source = concat!("dohle ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(wanted.clone()).source(source).manual("Dohle");
    let mut text = Vec::new();
    page.render(&mut text).map_err(|error: io::Error| Failure::new(error))?;
    output.bytes(&text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn what_is_hidden_is_not_completed() {
        let command = crate::cli::Arguments::command();
        let names = visible(&command).get_subcommands().map(|it| it.get_name().to_owned()).collect::<Vec<_>>();
        assert!(names.contains(&"offset".to_owned()) && !names.contains(&"answers".to_owned()), "{names:?}");
        assert!(command.get_subcommands().any(|it| it.get_name() == "answers"));
    }
}
