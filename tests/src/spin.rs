//! Spin apps to test: what `spin up` would run, run by wasmtime's own `wasi:http` with Spin's interfaces beside it; and
//! by a real Spin where there is one.

mod host;
mod keyvalue;
mod manifest;
mod template;
mod up;

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::artifact;

pub use keyvalue::Store;

/// A program that runs Spin apps.
#[derive(Clone, Debug)]
pub enum Runtime {
    /// Wasmtime, with Spin's interfaces provided here.
    Wasmtime,
    /// The `spin` program at this path.
    Spin(PathBuf),
}

impl Runtime {
    /// Every runtime of this machine: wasmtime always, and the `spin` that `SPIN` names or that is on the path.
    pub fn all() -> Vec<Self> {
        match up::program() {
            Some(spin) => vec![Self::Wasmtime, Self::Spin(spin)],
            None => vec![Self::Wasmtime],
        }
    }

    /// Runs an app on a free port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn run(&self, app: &App) -> Running {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let manifest = folder.path().join("spin.toml");
        std::fs::write(&manifest, app.manifest.to_string()).expect("a folder that can be written to");
        let server: Box<dyn Server> = match self {
            Self::Wasmtime => Box::new(host::Host::start(&manifest, app).await.expect("the app runs on wasmtime")),
            Self::Spin(program) => {
                Box::new(up::Up::start(program, &manifest, app).await.expect("the app runs on Spin"))
            }
        };
        Running { server, _folder: folder }
    }
}

/// A running app.
pub struct Running {
    server: Box<dyn Server>,
    _folder: TempDir,
}

impl Running {
    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// Host and port.
    pub fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// What the components have logged.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// What a runtime starts; it stops when dropped.
trait Server: Send + Sync {
    fn address(&self) -> std::net::SocketAddr;
    fn log(&self) -> String;
}

/// A manifest with the values of its variables.
#[derive(Clone, Debug)]
pub struct App {
    manifest: Table,
    variables: Vec<(String, String)>,
    store: Store,
}

impl App {
    /// The app of `guest/spin/spin.toml`.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn shipped() -> Self {
        Self::read("guest/spin/spin.toml")
    }

    /// The app of `guest/spin/sample-app/spin.toml`.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn sample() -> Self {
        Self::read("guest/spin/sample-app/spin.toml")
    }

    /// With files from where they were built, and without the commands that build them.
    fn read(path: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        check_manifest(&path).unwrap_or_else(|error| panic!("{error:#}"));
        let text = std::fs::read_to_string(&path).expect("a manifest");
        let mut manifest: Table = toml::from_str(&text).expect("TOML");
        for (_, component) in table(&mut manifest, "component") {
            let component = component.as_table_mut().expect("a component");
            component.remove("build");
            built(component.get_mut("source").expect("a source"));
            for (_, dependency) in component.get_mut("dependencies").and_then(Value::as_table_mut).into_iter().flatten()
            {
                built(dependency.get_mut("path").expect("a path"));
            }
        }
        App { manifest, variables: Vec::new(), store: Store::memory() }
    }

    /// With the value of a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// With one more secret than the manifest has, added as its comments say.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let mut app = self.variable(&name, value);
        let variable = Table::from_iter([("required".to_owned(), true.into()), ("secret".to_owned(), true.into())]);
        table(&mut app.manifest, "variables").insert(name.clone(), variable.into());
        table(app.hookgate(), "variables").insert(name.clone(), format!("{{{{ {name} }}}}").into());
        app
    }

    /// Allowed to send to this URL's host and port too.
    #[must_use]
    pub fn allow(mut self, url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let host = format!("{scheme}://{}", rest.split('/').next().expect("a host"));
        let hosts = self.hookgate().entry("allowed_outbound_hosts").or_insert_with(|| Value::Array(Vec::new()));
        hosts.as_array_mut().expect("a list").push(host.into());
        self
    }

    /// Not allowed to use the key-value store.
    #[must_use]
    pub fn without_store(mut self) -> Self {
        self.hookgate().remove("key_value_stores");
        self
    }

    /// With this key-value store.
    #[must_use]
    pub fn store(mut self, store: &Store) -> Self {
        self.store = store.clone();
        self
    }

    fn hookgate(&mut self) -> &mut Table {
        table(table(&mut self.manifest, "component"), "hookgate")
    }
}

/// Checks a manifest as Spin does, and that what its `build` names is there.
///
/// # Errors
/// What is wrong with it.
pub fn check_manifest(path: &Path) -> anyhow::Result<()> {
    let manifest = manifest::Manifest::read(path)?;
    let folder = path.parent().context("a manifest stands in a folder")?;
    for (command, workdir, watched) in manifest.builds() {
        let workdir = folder.join(workdir.unwrap_or(Path::new("")));
        anyhow::ensure!(command == "cargo xtask build --guests", "an unknown build command: {command}");
        anyhow::ensure!(workdir.join("guest/xtask/Cargo.toml").exists(), "the build does not start at the root");
        for pattern in watched {
            let fixed = pattern.split("**").next().unwrap_or(pattern);
            anyhow::ensure!(workdir.join(fixed).is_dir(), "{pattern} watches nothing");
        }
    }
    Ok(())
}

fn table<'t>(table: &'t mut Table, name: &str) -> &'t mut Table {
    table.entry(name).or_insert_with(|| Table::new().into()).as_table_mut().expect("a table")
}

/// A file in target/hookgate/, absolute.
fn built(path: &mut Value) {
    let file = Path::new(path.as_str().expect("a path")).file_name().expect("a file").to_owned();
    let artifact = artifact(file.to_str().expect("a name")).canonicalize().expect("it is there");
    *path = artifact.to_str().expect("a path that is text").into();
}
