//! Spin's manifest, version 2, as far as our apps use it. Unknown fields are refused, as Spin refuses them.
//!
//! After the schema that Spin publishes (`spin maintenance generate-manifest-schema`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::template::resolve;

/// A `spin.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    spin_manifest_version: u32,
    application: Application,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Variable>,
    pub(super) trigger: Triggers,
    #[serde(default)]
    pub(super) component: BTreeMap<String, Component>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    required: bool,
    pub(super) default: Option<String>,
    #[serde(default, rename = "secret")]
    pub(super) _secret: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Triggers {
    pub(super) http: Vec<HttpTrigger>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpTrigger {
    pub(super) route: Route,
    pub(super) component: String,
}

/// Which requests a component gets.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Route {
    /// `/path`, or `/path/...` for everything below.
    Public(String),
    /// Only other components of the app.
    Private(Private),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Private {
    private: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Component {
    pub(super) source: PathBuf,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub(super) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(super) dependencies: BTreeMap<String, Dependency>,
    #[serde(default)]
    build: Option<Build>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dependency {
    pub(super) path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    command: String,
    #[serde(default)]
    workdir: Option<PathBuf>,
    #[serde(default)]
    watch: Vec<String>,
}

impl Manifest {
    /// Reads and checks a manifest.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Self = toml::from_str(&text).with_context(|| format!("{} is no manifest", path.display()))?;
        manifest.check().with_context(|| format!("{} is wrong", path.display()))?;
        Ok(manifest)
    }

    /// What Spin checks beyond the shape.
    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.spin_manifest_version == 2, "spin_manifest_version is {}", self.spin_manifest_version);
        ensure!(!self.application.name.is_empty(), "the application has no name");
        if let Some(version) = &self.application.version {
            ensure!(version.split('.').count() == 3, "{version:?} is no semantic version");
        }
        for (name, variable) in &self.variables {
            check_words(name, '_')?;
            ensure!(variable.required != variable.default.is_some(), "{name}: either `required` or a `default`");
        }
        let declared = |name: &str| self.variables.contains_key(name).then(|| "x".to_owned());
        for (id, component) in &self.component {
            check_words(id, '-')?;
            for (name, template) in &component.variables {
                check_words(name, '_')?;
                resolve(template, declared).with_context(|| format!("{id}.variables.{name}"))?;
            }
            for host in &component.allowed_outbound_hosts {
                resolve(host, declared).with_context(|| format!("{id}.allowed_outbound_hosts"))?;
                ensure!(host.contains("://") || host.contains("{{"), "{id}: {host:?} has no scheme");
            }
            for name in component.dependencies.keys() {
                let (package, interface) =
                    name.split_once('/').context("a dependency is namespace:package/interface")?;
                ensure!(package.contains(':') && interface.contains('@'), "{id}: {name:?} names no interface");
            }
            if let Some(build) = &component.build {
                ensure!(!build.command.is_empty(), "{id}: an empty build command");
            }
        }
        ensure!(!self.trigger.http.is_empty(), "nothing triggers the app");
        for trigger in &self.trigger.http {
            ensure!(self.component.contains_key(&trigger.component), "no component {:?}", trigger.component);
            match &trigger.route {
                Route::Public(path) => ensure!(path.starts_with('/'), "{path:?} is no route"),
                Route::Private(route) => ensure!(route.private, "a route that is not private has a path"),
            }
        }
        Ok(())
    }

    /// The build commands, and where they run and what they watch, relative to the manifest.
    pub(super) fn builds(&self) -> impl Iterator<Item = (&str, Option<&Path>, &[String])> {
        let builds = self.component.values().filter_map(|component| component.build.as_ref());
        builds.map(|build| (build.command.as_str(), build.workdir.as_deref(), build.watch.as_slice()))
    }
}

/// Lower-case words of letters and digits, each beginning with a letter.
fn check_words(name: &str, separator: char) -> anyhow::Result<()> {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    ensure!(name.split(separator).all(word), "{name:?} is not made of lower-case words joined by {separator:?}");
    Ok(())
}
