//! What is registered with Kapso and must be removed again, noted where the next start finds it.
//!
//! Each `hookgate listen` that registers has a file of its own, locked as long as it lives: what is not locked was left by one
//! that was killed.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::kapso::{Client, Scope, SecretKey};

/// A webhook that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where the API is; none where Kapso has it.
    pub(super) api_url: Option<String>,
    /// SHA-256 of the API key: another project's finds nothing. None in notes of the first version.
    #[serde(default)]
    key_sha256: Option<String>,
    /// None: the project's.
    pub(super) phone_number_id: Option<String>,
    /// The public address that it sends to.
    pub(super) url: String,
    /// SHA-256 of its secret: it tells the webhook from others at the same address.
    secret_sha256: String,
    /// None while it is not known whether Kapso has made it.
    pub(super) id: Option<String>,
}

impl Entry {
    pub(super) fn new(api_url: Option<&str>, client: &Client, scope: &Scope, url: &str, secret: &SecretKey) -> Self {
        Entry {
            api_url: api_url.map(str::to_owned),
            key_sha256: Some(client.key_sha256()),
            phone_number_id: scope.number().map(str::to_owned),
            url: url.to_owned(),
            secret_sha256: hex::encode(Sha256::digest(secret.expose())),
            id: None,
        }
    }

    pub(super) fn scope(&self) -> Scope {
        self.phone_number_id.clone().into()
    }

    /// Whether it was registered with this client's API key.
    pub(super) fn is_of(&self, client: &Client) -> bool {
        self.key_sha256 == Some(client.key_sha256())
    }

    /// Whether it has this secret: one of 256 random bits, which a digest does not tell.
    pub(super) fn has_secret(&self, secret: &SecretKey) -> bool {
        self.secret_sha256 == hex::encode(Sha256::digest(secret.expose()))
    }
}

/// An entry on disk, locked.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) entry: Entry,
    path: PathBuf,
    _lock: File,
}

impl Noted {
    /// Notes an entry, before anything is registered.
    pub(super) fn new(folder: &Path, entry: Entry) -> anyhow::Result<Self> {
        let noted = || -> io::Result<Self> {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let name = hex::encode(getrandom::u64().map_err(io::Error::other)?.to_be_bytes());
            let path = folder.join(format!("{name}.json"));
            let lock = write(&path, &entry)?;
            Ok(Noted { entry, path, _lock: lock })
        };
        noted().with_context(|| format!("cannot note in {} what is to be removed again", folder.display()))
    }

    /// Notes something else in its place.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Entry)) -> anyhow::Result<()> {
        change(&mut self.entry);
        self._lock = write(&self.path, &self.entry)
            .with_context(|| format!("cannot note in {} what is to be removed again", self.path.display()))?;
        Ok(())
    }

    /// It is removed.
    pub(super) fn forget(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Puts a whole and locked file in the place of what was there.
fn write(path: &Path, entry: &Entry) -> io::Result<File> {
    // Hidden, and so no entry yet.
    let new = path.with_file_name(format!(".{}", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    file.lock()?;
    file.write_all(&serde_json::to_vec(entry)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(file)
}

/// What others left that were killed.
pub(super) fn left(folder: &Path) -> Vec<Noted> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_entry = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && path.extension().is_some_and(|extension| extension == "json")
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(is_entry).collect();
    paths.sort();
    paths.into_iter().filter_map(unlocked).collect()
}

fn unlocked(path: PathBuf) -> Option<Noted> {
    let mut lock = File::open(&path).ok()?;
    lock.try_lock().ok()?;
    // Whoever lives may have put another file in the place of the one that was opened, and let that go.
    let number = |data: Metadata| (data.dev(), data.ino());
    if fs::metadata(&path).map(number).ok()? != lock.metadata().map(number).ok()? {
        return None;
    }
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    Some(Noted { entry: serde_json::from_str(&text).ok()?, path, _lock: lock })
}

/// The user's folder for such notes.
pub(super) fn folder() -> anyhow::Result<PathBuf> {
    let base = etcetera::choose_base_strategy().map_err(|error| anyhow!("there is no home folder: {error}"))?;
    Ok(base.state_dir().unwrap_or_else(|| base.data_dir()).join("hookgate").join("listen"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::kapso::{ApiKey, Options};

    fn client(key: &str) -> Client {
        Client::new(ApiKey::new(key).unwrap(), &Options::default()).unwrap()
    }

    #[test]
    fn what_lives_is_left_alone_and_what_was_left_is_found() {
        let folder = TempDir::new().expect("a folder");
        let secret = SecretKey::from("whsec_1");
        let client = client("key");
        let entry = |url: &str| Entry::new(None, &client, &Scope::Number("123".into()), url, &secret);
        let mut living = Noted::new(folder.path(), entry("https://a.example/hook")).unwrap();
        let mut killed = Noted::new(folder.path(), entry("https://b.example/hook")).unwrap();
        living.change(|entry| entry.id = Some("1".into())).unwrap();
        killed.change(|entry| entry.id = Some("2".into())).unwrap();
        assert!(left(folder.path()).is_empty());
        drop(killed);
        let [found] = left(folder.path()).try_into().unwrap();
        assert_eq!((found.entry.url.as_str(), found.entry.id.as_deref()), ("https://b.example/hook", Some("2")));
        assert!(found.entry.has_secret(&secret) && !found.entry.has_secret(&SecretKey::from("whsec_2")));
        assert_eq!(found.entry.scope(), Scope::Number("123".into()));
        assert!(found.entry.is_of(&client) && !found.entry.is_of(&self::client("another")));
        assert!(left(folder.path()).is_empty(), "whoever found it holds it");
        found.forget().unwrap();
        living.forget().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_secret_is_noted() {
        let folder = TempDir::new().expect("a folder");
        let secret = SecretKey::from("whsec_1");
        let noted = Noted::new(
            folder.path(),
            Entry::new(None, &client("whsec_key"), &Scope::Project, "https://a.example", &secret),
        )
        .unwrap();
        assert!(!fs::read_to_string(&noted.path).unwrap().contains("whsec_"));
    }
}
