//! A run: everything asked for, one part after another.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::effort::Effort;
use crate::report::Report;
use crate::{endurance, envoy, process, servers, sizes};

/// What to measure, and with what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The parts, one after another.
    #[arg(value_enum, value_name = "NAME", required = true)]
    parts: Vec<Part>,
    /// Just enough to see that everything works.
    #[arg(long)]
    quick: bool,
    /// How often everything is measured in turn.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long the load at 80 % lasts.
    #[arg(long)]
    seconds: Option<u64>,
    /// This program without its features, built with the portable SHA-256.
    #[arg(long, value_name = "FILE")]
    portable: PathBuf,
    /// Where the results go.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The library and the core.
    Process,
    /// What is loaded, and its memory.
    Sizes,
    /// The filter in Envoy.
    Envoy,
    /// The server.
    Servers,
    /// Ten million keys, and load for long.
    Endurance,
}

/// How long endurance lasts, in seconds.
const HOUR: u64 = 3600;

/// Measures and reports.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { quick, rounds, seconds, .. } = *arguments;
    let effort = Effort::new(quick, rounds, seconds);
    let enduring = Effort::new(quick, rounds, seconds.or((!quick).then_some(HOUR)));
    let mut report = Report::new(&effort);
    for part in &arguments.parts {
        report.add(match part {
            Part::Process => process::run(&effort, &arguments.portable)?,
            Part::Sizes => sizes::run(&effort)?,
            Part::Envoy => envoy::run(&effort)?,
            Part::Servers => servers::run(&effort)?,
            Part::Endurance => endurance::run(&enduring)?,
        });
    }
    report.finish(&arguments.out)
}
