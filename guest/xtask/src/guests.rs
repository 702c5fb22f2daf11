//! The guests: what the logic is built into for each kind of host.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;
use xshell::{Shell, cmd};

use crate::apt;
use crate::house::House;
use crate::toolchain::{TARGET, Toolchain};

/// One WebAssembly file that we publish or test with.
struct Guest {
    package: &'static str,
    /// Its name in target/hookgate/.
    file: &'static str,
    features: &'static [&'static str],
    form: Form,
    /// Binaryen's way between small and fast.
    level: &'static str,
}

#[derive(Clone, Copy)]
enum Form {
    /// A component of the contract's world of this name.
    World(&'static str),
    /// A component of the WIT world that its bindings left in the module.
    Component,
    /// A module as the linker leaves it.
    Module,
}

/// The workspace that nearly all guests belong to.
const OURS: &str = "Cargo.toml";

const GUESTS: &[Guest] = &[
    Guest {
        package: "hookgate-component",
        file: "hookgate.wasm",
        features: &[],
        form: Form::World("plugin"),
        level: "-O3",
    },
    Guest {
        package: "hookgate-component",
        file: "hookgate-host-sha256.wasm",
        features: &["host-sha256"],
        form: Form::World("plugin-on-host-sha256"),
        level: "-O3",
    },
    Guest { package: "hookgate-envoy", file: "hookgate-envoy.wasm", features: &[], form: Form::Module, level: "-Oz" },
    Guest { package: "hookgate-spin", file: "hookgate-spin.wasm", features: &[], form: Form::Component, level: "-Oz" },
    Guest {
        package: "hookgate-sample-app",
        file: "spin-sample-app.wasm",
        features: &[],
        form: Form::Component,
        level: "-Oz",
    },
];

/// Builds every guest.
pub(crate) fn build(shell: &Shell, house: &House) -> anyhow::Result<()> {
    let toolchain = Toolchain::find(shell)?;
    GUESTS.iter().try_for_each(|guest| guest.build(shell, house, &toolchain, OURS))
}

/// Builds the Envoy filter that the bench compares with.
pub(crate) fn hmac_filter(shell: &Shell, house: &House) -> anyhow::Result<()> {
    let guest = Guest {
        package: "hookgate-bench-hmac-filter",
        file: "bench-hmac-filter.wasm",
        features: &[],
        form: Form::Module,
        level: "-O3",
    };
    guest.build(shell, house, &Toolchain::find(shell)?, "tests/bench/hmac-filter/Cargo.toml")
}

impl Guest {
    /// `manifest` is that of its workspace.
    fn build(&self, shell: &Shell, house: &House, toolchain: &Toolchain, manifest: &str) -> anyhow::Result<()> {
        let features = self.features.join(",");
        // One guest with features has a target folder of its own below: in the same, each build would take the other's place.
        let folder = house.guests.join(&features);
        // One guest at a time: together, each would get the features that any of them asks its dependencies for.
        toolchain
            .cargo(shell)
            .args(["build", "--quiet", "--lib", "--profile", "guest", "--target", TARGET, "--package", self.package])
            .args(["--features", &features, "--manifest-path", manifest, "--target-dir"])
            .arg(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", flags(house).join("\u{1f}"))
            .run()
            .with_context(|| format!("cannot build {}", self.package))?;
        let module = folder.join(TARGET).join("guest").join(self.package.replace('-', "_")).with_extension("wasm");
        let module = shrink(shell, &module, &house.guests.join(self.file), self.level)?;
        let bytes = self
            .encode(house, &module)
            .with_context(|| format!("cannot make {} of {}", self.file, module.display()))?;
        let path = house.leave(self.file, &bytes, false)?;
        eprintln!("{} ({} KB)", path.strip_prefix(&house.root).unwrap_or(&path).display(), bytes.len().div_ceil(1024));
        Ok(())
    }

    fn encode(&self, house: &House, module: &Path) -> anyhow::Result<Vec<u8>> {
        let mut module = fs::read(module)?;
        if let Form::World(world) = self.form {
            let mut contract = Resolve::default();
            let (package, _) = contract.push_dir(house.root.join("wit"))?;
            let world = contract.select_world(&[package], Some(world))?;
            wit_component::embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8)?;
        }
        match self.form {
            Form::World(_) | Form::Component => {
                ComponentEncoder::default().validate(true).debug_names(false).module(&module)?.encode()
            }
            Form::Module => Ok(module),
        }
    }
}

/// Makes a module an eighth smaller with Binaryen's wasm-opt, which knows how WebAssembly is written down as LLVM does not. Where
/// there is none and apt cannot install it, the module stays as it is: larger, and otherwise the same.
fn shrink(shell: &Shell, module: &Path, small: &Path, level: &str) -> anyhow::Result<PathBuf> {
    if is_newer(small, module) && is_newer(small, &std::env::current_exe()?) {
        return Ok(small.to_owned());
    }
    if !has_wasm_opt(shell) {
        return Ok(module.to_path_buf());
    }
    // What rustc may use; wasm-opt does not look it up in the module.
    let features = [
        "bulk-memory",
        "multivalue",
        "mutable-globals",
        "nontrapping-float-to-int",
        "reference-types",
        "sign-ext",
        "simd",
    ]
    .map(|feature| format!("--enable-{feature}"));
    // Again and again until nothing gets smaller. Below 1024 is only the end of the stack, which grows down towards 0: no address is
    // made by wrapping around. In their new order the functions that are called in most places have the shortest numbers.
    let always = ["--converge", "--low-memory-unused", "--strip-debug", "--const-hoisting", "--reorder-functions"];
    // Under its name only when it is whole: what breaks off leaves nothing that looks newer than the module.
    let part = small.with_extension("part");
    cmd!(shell, "wasm-opt {level} {always...} {features...} {module} --output {part}")
        .quiet()
        .run()
        .with_context(|| format!("cannot make {} smaller", module.display()))?;
    fs::rename(&part, small).with_context(|| format!("cannot write {}", small.display()))?;
    Ok(small.to_owned())
}

/// Whether there is a wasm-opt. Where there is none apt is asked for it, once for all guests.
fn has_wasm_opt(shell: &Shell) -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let version = || cmd!(shell, "wasm-opt --version").quiet().ignore_stdout().ignore_stderr().run();
        let there = version()
            .or_else(|_| apt::install(shell, &["binaryen"], "making the guests small").and_then(|()| Ok(version()?)));
        if let Err(error) = &there {
            eprintln!("The guests stay an eighth larger than they could be, more than their tests allow: {error:#}.");
        }
        there.is_ok()
    })
}

/// Whether `path` was written after `source`.
fn is_newer(path: &Path, source: &Path) -> bool {
    let written = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    written(path).is_ok_and(|path| written(source).is_ok_and(|source| path > source))
}

/// Flags for rustc. SHA-256 is most of what a guest does, and sha2 has a faster one where SIMD may be used, which every host
/// of ours allows. Paths of the machine that builds, and of the registry that it has crates from, stay out of panic messages, so
/// that the same sources give the same file everywhere.
fn flags(house: &House) -> Vec<String> {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let registries = home.ok().and_then(|home| fs::read_dir(Path::new(&home).join("registry/src")).ok());
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let crates = registries.into_iter().flatten().flatten().map(|registry| remap(&registry.path(), "crates"));
    [String::from("-Ctarget-feature=+simd128"), remap(&house.root, "hookgate")].into_iter().chain(crates).collect()
}
