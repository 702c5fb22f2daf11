//! Builds, serves and tests Hookgate: `cargo xtask help`.
//!
//! Nothing outside the `target` folder is changed, except by rustup and apt, which are announced before they run.

mod apt;
mod bench;
mod cargo;
mod envoy;
mod guests;
mod house;
mod program;
mod servers;
mod tests;
mod toolchain;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xshell::Shell;

use crate::house::House;

/// Builds, serves and tests Hookgate.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = false)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Leave the guests (`*.wasm`) and the release program `hookgate` in target/hookgate/.
    Build {
        /// Only the guests: what `cargo build` needs first.
        #[arg(long)]
        guests: bool,
    },
    /// Build what is missing or stale, then run `hookgate serve ARGS`.
    Serve {
        /// Handed to `hookgate serve`; try `--help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Build what is missing or stale, install the servers that tests talk to, then run every test.
    Test {
        /// Handed to the test runner (`cargo nextest run`, or `cargo test` where nextest is not installed), such as a
        /// part of a test's name. With any, tests in the documentation are left out.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Start a real Envoy with the filter, send it a delivery and a forgery, and leave it running.
    Envoy {
        /// End when that has been shown.
        #[arg(long)]
        once: bool,
    },
    /// Measure Hookgate beside what people would use instead; results are left in target/bench/.
    Bench(bench::Arguments),
    /// Install the servers and tools that tests talk to, in target/servers/.
    Servers,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let shell = Shell::new()?;
    let house = House::new()?;
    shell.change_dir(&house.root);
    match task {
        Task::Build { guests: only_guests } => {
            guests::build(&shell, &house)?;
            if !only_guests {
                program::build(&shell, &house)?;
            }
            Ok(())
        }
        Task::Serve { args } => {
            guests::build(&shell, &house)?;
            program::build(&shell, &house)?;
            program::serve(&house, args)
        }
        Task::Test { args } => {
            guests::build(&shell, &house)?;
            servers::install(&shell, &house)?;
            tests::run(&shell, args)
        }
        Task::Envoy { once } => envoy::run(&shell, &house, once),
        Task::Bench(arguments) => bench::run(&shell, &house, &arguments),
        Task::Servers => servers::install(&shell, &house),
    }
}
