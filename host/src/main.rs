//! `hookgate`: the server and the command line.

use std::process::ExitCode;

/// Half of what a delivery costs in memory, beside the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hookgate::cli::main()
}
