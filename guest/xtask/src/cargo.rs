//! Cargo run by a program that cargo runs.

use std::ffi::OsString;

use xshell::{Cmd, Shell, cmd};

/// The cargo that runs us.
pub(crate) fn cargo(shell: &Shell) -> Cmd<'_> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    clean(cmd!(shell, "{cargo}"))
}

/// Takes from a command what an outer cargo, or its user, set for another package, profile or target.
pub(crate) fn clean(command: Cmd<'_>) -> Cmd<'_> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_str().is_some_and(is_foreign))
        .fold(command, |command, name| command.env_remove(name))
}

/// Whether a variable says something about another build than the one at hand. Registries, proxies and cargo's home are
/// the machine's, so they stay.
fn is_foreign(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "CARGO",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_DIR",
        "OUT_DIR",
        "RUSTFLAGS",
    ];
    const PREFIXES: [&str; 6] =
        ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PROFILE_", "CARGO_TARGET_WASM32_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_foreign;

    #[test]
    fn what_an_outer_build_set_goes() {
        for name in ["RUSTFLAGS", "CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PROFILE_RELEASE_LTO"] {
            assert!(is_foreign(name), "{name}");
        }
    }

    #[test]
    fn what_the_machine_needs_stays() {
        for name in ["CARGO_HOME", "CARGO_HTTP_PROXY", "CARGO_REGISTRIES_MINE_INDEX", "CARGO_NET_OFFLINE", "PATH"] {
            assert!(!is_foreign(name), "{name}");
        }
    }
}
