//! What Hookgate costs, beside what people would use instead. `cargo xtask bench` builds and runs it.
//!
//! Built without its features the program is a worker alone, which runs native rows for another process.
#![cfg_attr(not(feature = "component"), allow(dead_code, reason = "of the code that measures, a worker needs little"))]

mod cpu;
mod delivery;
mod rows;
mod worker;

#[cfg(feature = "component")]
mod chart;
#[cfg(feature = "component")]
mod count;
#[cfg(feature = "component")]
mod effort;
#[cfg(feature = "component")]
mod goal;
#[cfg(feature = "component")]
mod machine;
#[cfg(feature = "component")]
mod measure;
#[cfg(feature = "component")]
mod process;
#[cfg(feature = "component")]
mod report;
#[cfg(feature = "component")]
mod series;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::rows::Row;

/// Measures Hookgate.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure side by side, and print and leave what was found.
    #[cfg(feature = "component")]
    Measure(measure::Arguments),
    /// Compare the instructions of rows in process with the committed ones.
    #[cfg(feature = "component")]
    Check {
        /// This program without its features, built as released with the portable SHA-256.
        #[arg(long, value_name = "FILE")]
        portable: std::path::PathBuf,
        /// Commit what is counted instead.
        #[arg(long)]
        bless: bool,
    },
    /// Run rows as told on standard input.
    #[command(hide = true)]
    Worker,
    /// Run one row so many times, for a program that counts instructions.
    #[command(hide = true)]
    Row {
        /// As the row is named.
        row: Row,
        /// How many times.
        calls: u64,
    },
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
    match task {
        #[cfg(feature = "component")]
        Task::Measure(arguments) => measure::run(&arguments),
        #[cfg(feature = "component")]
        Task::Check { portable, bless } => count::check(&portable, bless),
        Task::Worker => worker::run(),
        Task::Row { row, calls } => {
            let mut call = row.prepare()?;
            (0..calls).for_each(|_| call());
            Ok(())
        }
    }
}
