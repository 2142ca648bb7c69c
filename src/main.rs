//! The `dohle` command.

fn main() -> std::process::ExitCode {
    dohle::cli::run()
}
