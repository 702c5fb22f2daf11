//! What was built and installed for the tests. Nothing is skipped: what is missing is said, with what to run.

use std::path::{Path, PathBuf};

/// A guest, such as `hookgate.wasm`.
///
/// # Panics
/// When it has not been built.
pub fn artifact(file: &str) -> PathBuf {
    there(target().join("hookgate").join(file), "cargo xtask build --guests")
}

/// A server or tool that tests talk to, such as `redis-server`, by its name in xtask's table.
///
/// # Panics
/// When it has not been installed.
pub fn server(name: &str) -> PathBuf {
    there(target().join("servers/bin").join(name), "cargo xtask servers")
}

/// The program `hookgate`, built in the same profile as the tests.
///
/// # Panics
/// When it has not been built.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    // A test stands in target/PROFILE/deps/.
    let profile = test.ancestors().nth(2).expect("a test stands in cargo's target folder");
    there(profile.join("hookgate").with_extension(std::env::consts::EXE_EXTENSION), "cargo build --package hookgate")
}

/// Where the programs under test keep the component's machine code from one run to the next.
pub fn cache() -> PathBuf {
    target().join("tmp/cache")
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

fn there(path: PathBuf, command: &str) -> PathBuf {
    assert!(path.exists(), "{} is not there: run `{command}`", path.display());
    path
}
