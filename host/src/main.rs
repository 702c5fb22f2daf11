//! `hookgate`: the server and the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate::cli::main()
}
