//! `hookgate`: the server and the command line.

use std::process::ExitCode;

/// Sending a delivery on takes a tenth less time than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hookgate::cli::main()
}
