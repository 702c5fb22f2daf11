//! Whether files have changed, without reading them.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

/// Files with what tells their versions apart: when they were changed, and how long they are. Taken before a file is read, so
/// that no change in between is missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamped(Vec<(PathBuf, Option<Stamp>)>);

type Stamp = (SystemTime, u64);

impl Stamped {
    /// The files as they are now.
    pub(crate) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamped = |file: PathBuf| {
            let stamp = stamp(&file);
            (file, stamp)
        };
        Stamped(files.into_iter().map(stamped).collect())
    }

    /// More files as they are now.
    pub(crate) fn extend(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.0.extend(Self::of(files).0);
    }

    /// The same files as they are now.
    pub(crate) fn now(&self) -> Self {
        Self::of(self.0.iter().map(|(file, _)| file.clone()))
    }

    /// These files and those.
    pub(crate) fn and(&self, others: &Self) -> Self {
        Stamped(self.0.iter().chain(&others.0).cloned().collect())
    }
}

fn stamp(file: &PathBuf) -> Option<Stamp> {
    let data = fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_removed_or_made_has_changed() {
        let file = std::env::temp_dir().join(format!("hookgate-stamped-{}", std::process::id()));
        fs::write(&file, "one").expect("a file");
        let stamped = Stamped::of([file.clone()]);
        assert_eq!(stamped, stamped.now());
        fs::write(&file, "longer").expect("a file");
        let written = stamped.now();
        assert_ne!(stamped, written);
        fs::remove_file(&file).expect("a file");
        assert_ne!(written, stamped.now());
        assert_ne!(stamped.now(), stamped);
    }
}
