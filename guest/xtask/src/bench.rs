//! The bench: builds it and what it measures, installs what that is compared with, and starts it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use xshell::{Shell, cmd};

use crate::cargo::cargo;
use crate::house::House;
use crate::{guests, program, servers};

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
    /// How long the load at 80 % lasts: by default a minute, and an hour for endurance.
    #[arg(long, value_name = "N", conflicts_with = "check")]
    seconds: Option<u64>,
    /// Compare the instructions of calls in process with the committed ones instead, and fail where they rose by more than a
    /// tenth.
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
    /// What is loaded, and what it takes of memory.
    Sizes,
    /// The filter in Envoy, beside other filters.
    Envoy,
    /// `hookgate serve` and the Spin build, beside servers written by hand.
    Servers,
    /// Ten million keys through the store, and an hour of deliveries.
    Endurance,
}

const USUAL: [Part; 4] = [Part::Process, Part::Sizes, Part::Envoy, Part::Servers];

pub(crate) fn run(shell: &Shell, house: &House, arguments: &Arguments) -> anyhow::Result<()> {
    guests::build(shell, house)?;
    let portable = portable(shell, house)?;
    if arguments.check {
        servers::valgrind(shell)?;
        return check(shell, house, &portable, arguments.bless);
    }
    let parts = if arguments.parts.is_empty() { &USUAL[..] } else { &arguments.parts };
    let has = |part| parts.contains(&part);
    let bench = bench(shell, house, &["--no-default-features", "--features", "full"], PACKAGE)?;
    if has(Part::Envoy) {
        guests::hmac_filter(shell, house)?;
        servers::install_one(shell, house, "envoy")?;
    }
    if has(Part::Servers) || has(Part::Endurance) {
        program::build(shell, house)?;
    }
    if has(Part::Servers) {
        servers::install_one(shell, house, "node-express")?;
        servers::install_one(shell, house, "nginx")?;
        self::bench(shell, house, &["--features", "spin"], "hookgate-bench-spin")?;
    }
    let names = parts.iter().filter_map(ValueEnum::to_possible_value);
    let names: Vec<_> = names.map(|name| name.get_name().to_owned()).collect();
    let quick = arguments.quick.then_some("--quick");
    let rounds = arguments.rounds.map(|rounds| format!("--rounds={rounds}"));
    let seconds = arguments.seconds.map(|seconds| format!("--seconds={seconds}"));
    let out = house.target().join("bench");
    cmd!(shell, "{bench} measure --portable {portable} --out {out} {quick...} {rounds...} {seconds...} {names...}")
        .quiet()
        .run()?;
    Ok(())
}

/// Counts with the bench as it is built for the tests: what is counted does not depend on that, or is compared with itself
/// alone.
fn check(shell: &Shell, house: &House, portable: &Path, bless: bool) -> anyhow::Result<()> {
    // With everything that the tests are built with, so that nothing is built twice.
    cargo(shell).args(["build", "--workspace", "--bins", "--tests"]).run()?;
    let bench = house.target().join("debug").join(PACKAGE);
    let bless = bless.then_some("--bless");
    cmd!(shell, "{bench} check --portable {portable} {bless...}").quiet().run()?;
    Ok(())
}

/// A program of the bench, as released.
fn bench(shell: &Shell, house: &House, features: &[&str], program: &str) -> anyhow::Result<PathBuf> {
    cargo(shell)
        .args(["build", "--release", "--package", PACKAGE, "--bin", program])
        .args(features)
        .arg("--target-dir")
        .arg(house.target())
        .run()
        .context("cannot build the bench")?;
    Ok(house.target().join("release").join(program))
}

/// The bench without its features, with the SHA-256 of processors that have no instructions for it.
fn portable(shell: &Shell, house: &House) -> anyhow::Result<PathBuf> {
    let folder = house.target().join("bench/portable");
    cargo(shell)
        .args(["build", "--quiet", "--release", "--package", PACKAGE, "--bin", PACKAGE, "--no-default-features"])
        .arg("--target-dir")
        .arg(&folder)
        // Counting finds where to begin and to end by a function's name.
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env("RUSTFLAGS", "--cfg sha2_backend=\"soft\"")
        .run()
        .context("cannot build the portable worker")?;
    Ok(folder.join("release").join(PACKAGE))
}
