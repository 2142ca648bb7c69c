//! The `dohle` command.

/// Requests are many small allocations, where this one takes half the time of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    dohle::cli::run()
}
