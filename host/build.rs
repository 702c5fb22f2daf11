//! Brings the component into the crate.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=HOOKGATE_COMPONENT");
    println!("cargo::rerun-if-changed=../wit");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let component = env::var_os("HOOKGATE_COMPONENT").map_or_else(|| built(&out), PathBuf::from);
    println!("cargo::rerun-if-changed={}", component.display());
    if let Err(error) = fs::copy(&component, out.join("hookgate.wasm")) {
        println!("cargo::error={}: {error}: run \"cargo xtask build --guests\" first", component.display());
    }
}

/// `target/hookgate/hookgate.wasm`, of the target folder that cargo builds into.
fn built(out: &Path) -> PathBuf {
    let target = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(Path::new("../target")).join("hookgate/hookgate.wasm")
}
