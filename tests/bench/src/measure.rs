//! A run: everything asked for, one part after another.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::effort::Effort;
use crate::process;
use crate::report::Report;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The parts; by default all but endurance.
    #[arg(value_enum, value_name = "NAME")]
    parts: Vec<Part>,
    /// Just enough to see that everything works.
    #[arg(long)]
    quick: bool,
    /// How often everything is measured in turn.
    #[arg(long)]
    rounds: Option<usize>,
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
}

impl Part {
    const USUAL: [Self; 1] = [Self::Process];
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let effort = Effort::new(arguments.quick, arguments.rounds);
    let parts = if arguments.parts.is_empty() { &Part::USUAL[..] } else { &arguments.parts };
    let mut report = Report::new();
    for part in parts {
        report.add(match part {
            Part::Process => process::run(&effort, &arguments.portable)?,
        });
    }
    report.finish(&arguments.out)
}
