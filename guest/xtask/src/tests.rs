//! Every test.

use std::ffi::OsString;

use anyhow::ensure;
use xshell::{Shell, cmd};

use crate::cargo::cargo;

/// Runs the tests, those in the documentation first, so that the runner's summary comes last.
pub(crate) fn run(shell: &Shell, args: Vec<OsString>) -> anyhow::Result<()> {
    // In one go, so that programs and tests are built with the same features of the same dependencies, once.
    cargo(shell).args(["build", "--workspace", "--bins", "--tests"]).run()?;
    let documentation = !args.is_empty() || cargo(shell).args(["test", "--workspace", "--doc"]).run().is_ok();
    let nextest = cmd!(shell, "cargo nextest --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    let runner: &[&str] = if nextest {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        eprintln!("There is no cargo-nextest: `cargo test` runs the tests, without a limit on their time.");
        &["test", "--workspace", "--bins", "--lib", "--tests", "--no-fail-fast"]
    };
    let rest = cargo(shell).args(runner).args(args).run().is_ok();
    ensure!(documentation, "tests in the documentation failed");
    ensure!(rest, "tests failed");
    Ok(())
}
