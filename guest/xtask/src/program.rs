//! The program `hookgate`, as released.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use xshell::Shell;

use crate::cargo::cargo;
use crate::house::House;

const PROGRAM: &str = "hookgate";

/// Builds the release program into the out folder. The guests must be there: it carries the component.
pub(crate) fn build(shell: &Shell, house: &House) -> anyhow::Result<()> {
    cargo(shell)
        .args(["build", "--release", "--package", PROGRAM, "--bin", PROGRAM, "--target-dir"])
        .arg(house.target())
        .run()
        .context("cannot build the program")?;
    let built = house.target().join("release").join(executable());
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    house.leave(&executable(), &bytes, true)?;
    Ok(())
}

/// Where it is.
pub(crate) fn path(house: &House) -> PathBuf {
    house.out.join(executable())
}

/// Becomes `hookgate serve ARGS`.
pub(crate) fn serve(house: &House, args: Vec<OsString>) -> anyhow::Result<()> {
    let program = path(house);
    let mut command = Command::new(&program);
    command.arg("serve").args(args);
    Err(become_it(&mut command)).with_context(|| format!("cannot run {}", program.display()))
}

/// Replaces this process, so that signals reach the server and its exit status is ours.
#[cfg(unix)]
fn become_it(command: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn become_it(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

fn executable() -> String {
    format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX)
}
