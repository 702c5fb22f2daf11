//! Brings the components into the crate.

use std::path::{Path, PathBuf};
use std::{env, fs};

const COMPONENTS: [&str; 2] = ["hookgate.wasm", "hookgate-host-sha256.wasm"];

fn main() {
    println!("cargo::rerun-if-env-changed=HOOKGATE_COMPONENTS");
    println!("cargo::rerun-if-changed=../wit");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let folder = env::var_os("HOOKGATE_COMPONENTS").map_or_else(|| built(&out), PathBuf::from);
    for name in COMPONENTS {
        let component = folder.join(name);
        println!("cargo::rerun-if-changed={}", component.display());
        if let Err(error) = fs::copy(&component, out.join(name)) {
            println!("cargo::error={}: {error}: run \"cargo xtask build --guests\" first", component.display());
        }
    }
}

/// `target/hookgate/`, of the target folder that cargo builds into, or of this checkout, where xtask always leaves them.
fn built(out: &Path) -> PathBuf {
    let target = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let there = target.map(|target| target.join("hookgate")).filter(|folder| folder.join(COMPONENTS[0]).is_file());
    there.unwrap_or_else(|| PathBuf::from("../target/hookgate"))
}
