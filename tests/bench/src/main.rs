//! What Hookgate costs, beside what people would use instead. `cargo xtask bench` builds and runs it.
//!
//! Built without its features the program is a worker alone, which runs native rows for another process.
#![cfg_attr(not(feature = "full"), allow(dead_code, reason = "of the code that measures, a worker needs little"))]

mod cpu;
mod delivery;
mod rows;
mod worker;

#[cfg(feature = "full")]
mod chart;
#[cfg(feature = "full")]
mod count;
#[cfg(feature = "full")]
mod effort;
#[cfg(feature = "full")]
mod endurance;
#[cfg(feature = "full")]
mod envoy;
#[cfg(feature = "full")]
mod goal;
#[cfg(feature = "full")]
mod load;
#[cfg(feature = "full")]
mod machine;
#[cfg(feature = "full")]
mod measure;
#[cfg(feature = "full")]
mod nginx;
#[cfg(feature = "full")]
mod peers;
#[cfg(feature = "full")]
mod process;
#[cfg(feature = "full")]
mod report;
#[cfg(feature = "full")]
mod series;
#[cfg(feature = "full")]
mod servers;
#[cfg(feature = "full")]
mod side_by_side;
#[cfg(feature = "full")]
mod sizes;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
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
    #[cfg(feature = "full")]
    Measure(measure::Arguments),
    /// Compare the instructions of rows in process with the committed ones.
    #[cfg(feature = "full")]
    Check {
        /// This program without its features, built as released with the portable SHA-256.
        #[arg(long, value_name = "FILE")]
        portable: PathBuf,
        /// Commit what is counted instead.
        #[arg(long)]
        bless: bool,
    },
    /// Be a receiver written by hand.
    #[cfg(feature = "full")]
    #[command(hide = true)]
    Receiver(peers::Arguments),
    /// Run rows as told on standard input.
    #[command(hide = true)]
    Worker,
    /// Run each of these rows so many times, for a program that counts instructions.
    #[command(hide = true)]
    Count {
        /// Where machine code is kept from one process to the next.
        #[arg(long, value_name = "FOLDER")]
        cache: Option<PathBuf>,
        /// As rows are named, each with a number: `verify/1.1 KB/usual/native=100`.
        #[arg(value_parser = counted)]
        rows: Vec<(Row, u64)>,
    },
}

fn counted(text: &str) -> anyhow::Result<(Row, u64)> {
    let (row, calls) = text.rsplit_once('=').context("a row is ROW=CALLS")?;
    Ok((row.parse()?, calls.parse()?))
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
        #[cfg(feature = "full")]
        Task::Measure(arguments) => measure::run(&arguments),
        #[cfg(feature = "full")]
        Task::Check { portable, bless } => count::check(&portable, bless),
        #[cfg(feature = "full")]
        Task::Receiver(arguments) => peers::run(arguments),
        Task::Worker => worker::run(),
        Task::Count { cache, rows } => rows.into_iter().try_for_each(|(row, calls)| {
            let mut call = row.prepare(cache.as_deref())?;
            // What is made only once is not counted.
            call();
            counting_mark();
            (0..calls).for_each(|_| call());
            counting_mark();
            Ok(())
        }),
    }
}

/// Where counting begins and ends: callgrind is told its name.
#[inline(never)]
fn counting_mark() {
    std::hint::black_box(());
}
