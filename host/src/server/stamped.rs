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
    /// More files, as they are now.
    pub(crate) fn extend(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.0.extend(files.into_iter().map(|file| {
            let stamp = stamp(&file);
            (file, stamp)
        }));
    }

    /// The same files as they are now.
    pub(crate) fn now(&self) -> Self {
        let mut now = Self::default();
        now.extend(self.0.iter().map(|(file, _)| file.clone()));
        now
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
        let mut stamped = Stamped::default();
        stamped.extend([file.clone()]);
        assert_eq!(stamped, stamped.now());
        fs::write(&file, "longer").expect("a file");
        let written = stamped.now();
        assert_ne!(stamped, written);
        fs::remove_file(&file).expect("a file");
        assert_ne!(written, stamped.now());
        assert_ne!(stamped.now(), stamped);
    }
}
