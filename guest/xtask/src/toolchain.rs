//! A Rust toolchain that builds for WebAssembly: the one in use, with its target added if need be, else Debian's.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::{apt, cargo};

/// The one target of all guests.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Forces a choice: `rustup` for the toolchain in use, `debian` for Debian's.
const CHOICE: &str = "HOOKGATE_WASM_TOOLCHAIN";

/// What can build guests.
pub(crate) enum Toolchain {
    /// The one in use has the target.
    InUse,
    /// Debian's compiler and its sources of the standard library.
    Debian {
        /// The linker for WebAssembly, which Debian's compiler comes without.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Finds or installs one.
    pub(crate) fn find(shell: &Shell) -> anyhow::Result<Self> {
        match std::env::var(CHOICE).as_deref() {
            Ok("rustup") => in_use(shell),
            Ok("debian") => debian(shell),
            Ok(other) => bail!("{CHOICE} is `{other}`; it may be `rustup` or `debian`"),
            Err(_) => in_use(shell).or_else(|rustup| {
                eprintln!("{rustup:#}. Trying Debian's toolchain.");
                debian(shell).map_err(|debian| {
                    anyhow::anyhow!(
                        "no Rust toolchain for {TARGET}.\n  rustup: {rustup:#}\n  Debian: {debian:#}\nInstall one of the \
                         two: `rustup target add {TARGET}`, or on Debian `apt-get install {} lld-19`.",
                        DEBIAN_PACKAGES.join(" ")
                    )
                })
            }),
        }
    }

    /// A cargo that builds for [`TARGET`].
    pub(crate) fn cargo<'a>(&self, shell: &'a Shell) -> Cmd<'a> {
        match self {
            Self::InUse => cargo::cargo(shell),
            Self::Debian { linker } => cargo::clean(cmd!(shell, "{DEBIAN_CARGO} -Zbuild-std=std,panic_abort"))
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                // What rustup's cargo set so that programs find rustup's libraries.
                .env_remove("LD_LIBRARY_PATH")
                .env_remove("RUSTUP_TOOLCHAIN"),
        }
    }
}

/// The toolchain in use, its target added by rustup where it is missing.
fn in_use(shell: &Shell) -> anyhow::Result<Toolchain> {
    if has_target(shell) {
        return Ok(Toolchain::InUse);
    }
    ensure!(
        succeeds(cmd!(shell, "rustup --version")),
        "the Rust toolchain in use cannot build for {TARGET}, and there is no rustup to add that with"
    );
    eprintln!("The Rust toolchain in use cannot build for {TARGET} yet: adding that with rustup.");
    cmd!(shell, "rustup target add {TARGET}").run().with_context(|| format!("rustup could not add {TARGET}"))?;
    ensure!(has_target(shell), "rustup added {TARGET}, but to another toolchain than the one in use");
    Ok(Toolchain::InUse)
}

/// Whether the compiler in use has a standard library for [`TARGET`].
fn has_target(shell: &Shell) -> bool {
    cmd!(shell, "rustc --print target-libdir --target {TARGET}")
        .quiet()
        .ignore_stderr()
        .read()
        .is_ok_and(|folder| holds(Path::new(&folder), |name| name.starts_with("libcore-")))
}

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Debian's toolchain, installed where it is missing.
fn debian(shell: &Shell) -> anyhow::Result<Toolchain> {
    let purpose = format!("building for {TARGET}");
    if ![DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_SOURCES].iter().all(|path| Path::new(path).exists()) {
        apt::install(shell, &DEBIAN_PACKAGES, &purpose)?;
    }
    let needed = env!("CARGO_PKG_RUST_VERSION");
    let version = cmd!(shell, "{DEBIAN_RUSTC} --version").quiet().env_remove("LD_LIBRARY_PATH").read()?;
    ensure!(minor(&version) >= minor(needed), "Debian's compiler is `{version}`, and Rust {needed} is needed");
    let linker = match linker(shell) {
        Some(linker) => linker,
        None => {
            apt::install(shell, &["lld-19"], &purpose)?;
            linker(shell).context("Debian's lld-19 has no wasm-ld-19")?
        }
    };
    Ok(Toolchain::Debian { linker })
}

/// The minor version in `rustc 1.96.0 (…)` or `1.95`.
fn minor(version: &str) -> Option<u32> {
    let (_, rest) = version.split_once("1.")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// A linker for WebAssembly: the one that comes with the toolchain in use, or LLVM's.
fn linker(shell: &Shell) -> Option<PathBuf> {
    let rustup = cmd!(shell, "rustc --print sysroot").quiet().ignore_stderr().read().ok();
    let rustup = rustup.map(|sysroot| PathBuf::from(sysroot).join("lib/rustlib")).into_iter().flat_map(|rustlib| {
        let hosts = rustlib.read_dir().into_iter().flatten().flatten();
        hosts.map(|host| host.path().join("bin/rust-lld")).collect::<Vec<_>>()
    });
    let llvm = ["/usr/bin/wasm-ld-19", "/usr/bin/wasm-ld"].map(PathBuf::from);
    rustup.chain(llvm).find(|path| path.exists())
}

fn succeeds(command: Cmd<'_>) -> bool {
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

fn holds(folder: &Path, wanted: impl Fn(&str) -> bool) -> bool {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_str().is_some_and(&wanted))
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(minor("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"), Some(96));
        assert_eq!(minor("1.95"), Some(95));
        assert!(minor("rustc 1.100.0") > minor("1.95"));
        assert!(minor("no version") < minor("1.95"));
    }
}
