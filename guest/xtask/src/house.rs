//! Where things are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The folders of a checkout.
pub(crate) struct House {
    /// The workspace.
    pub(crate) root: PathBuf,
    /// What people and tests use: guests and the program.
    pub(crate) out: PathBuf,
    /// The guests' own target folder: a cargo that builds guests never waits for a cargo that needs them.
    pub(crate) guests: PathBuf,
    /// Servers and tools that tests talk to.
    pub(crate) servers: PathBuf,
}

impl House {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).context("xtask stands in guest/xtask")?.to_path_buf();
        let target = root.join("target");
        Ok(Self { out: target.join("hookgate"), guests: target.join("guest"), servers: target.join("servers"), root })
    }

    /// Cargo's own target folder.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Where a package for tests is installed: one folder for each version, so that a new version is installed beside the old.
    pub(crate) fn folder(&self, package: &str) -> PathBuf {
        self.servers.join(package.trim_start_matches('@').replace('/', "-"))
    }

    /// Leaves `bytes` in the out folder under `name`, untouched if they are there already, so that nothing that was
    /// built from the file looks stale. Never half written, and a running program is replaced, not overwritten.
    pub(crate) fn leave(&self, name: &str, bytes: &[u8], executable: bool) -> anyhow::Result<PathBuf> {
        let path = self.out.join(name);
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(path);
        }
        let fresh = self.out.join(format!(".{name}.{}", std::process::id()));
        fs::create_dir_all(&self.out)
            .and_then(|()| fs::write(&fresh, bytes))
            .and_then(|()| if executable { make_executable(&fresh) } else { Ok(()) })
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

#[cfg(unix)]
pub(crate) fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
pub(crate) fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
