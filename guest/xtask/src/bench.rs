//! The bench: builds it and what it measures, installs what that is compared with, and starts it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use xshell::{Shell, cmd};

use crate::cargo::cargo;
use crate::house::House;
use crate::{guests, servers};

const PACKAGE: &str = "hookgate-bench";

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The parts; by default all but endurance.
    #[arg(value_enum, value_name = "NAME", conflicts_with = "check")]
    parts: Vec<Part>,
    /// Just enough to see that everything works.
    #[arg(long, conflicts_with = "check")]
    quick: bool,
    /// How often everything is measured in turn.
    #[arg(long, value_name = "N", conflicts_with = "check")]
    rounds: Option<usize>,
    /// Compare the instructions of calls in process with the committed ones instead, and fail where they rose by more than a
    /// tenth. Needs no other build than the tests do.
    #[arg(long)]
    check: bool,
    /// Commit what is counted.
    #[arg(long, requires = "check")]
    bless: bool,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The library and the core: verify, parse, route, decide.
    Process,
}

pub(crate) fn run(shell: &Shell, house: &House, arguments: &Arguments) -> anyhow::Result<()> {
    guests::build(shell, house)?;
    let portable = portable(shell, house)?;
    if arguments.check {
        servers::valgrind(shell)?;
        return check(shell, house, &portable, arguments.bless);
    }
    cargo(shell).args(["build", "--release", "--package", PACKAGE]).arg("--target-dir").arg(house.target()).run()?;
    let bench = house.target().join("release").join(PACKAGE);
    let parts = arguments.parts.iter().filter_map(ValueEnum::to_possible_value);
    let parts: Vec<_> = parts.map(|part| part.get_name().to_owned()).collect();
    let quick = arguments.quick.then_some("--quick");
    let rounds = arguments.rounds.map(|rounds| format!("--rounds={rounds}"));
    let out = house.target().join("bench");
    cmd!(shell, "{bench} measure --portable {portable} --out {out} {quick...} {rounds...} {parts...}").quiet().run()?;
    Ok(())
}

/// Counts with the bench as it is built for the tests, because only machine code is counted that does not depend on that, or
/// is compared with itself.
fn check(shell: &Shell, house: &House, portable: &Path, bless: bool) -> anyhow::Result<()> {
    // With everything that the tests are built with, so that nothing is built twice.
    cargo(shell).args(["build", "--workspace", "--bins", "--tests"]).run()?;
    let bench = house.target().join("debug").join(PACKAGE);
    let bless = bless.then_some("--bless");
    cmd!(shell, "{bench} check --portable {portable} {bless...}").quiet().run()?;
    Ok(())
}

/// The bench without its features, with the SHA-256 of processors that have no instructions for it.
fn portable(shell: &Shell, house: &House) -> anyhow::Result<PathBuf> {
    let folder = house.target().join("bench/portable");
    cargo(shell)
        .args(["build", "--quiet", "--release", "--package", PACKAGE, "--no-default-features", "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", "--cfg=sha2_backend=\"soft\"")
        .run()
        .context("cannot build the portable worker")?;
    Ok(folder.join("release").join(PACKAGE))
}
