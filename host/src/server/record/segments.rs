//! A folder of numbered files that together never have more bytes than they may.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const PREFIX: &str = "deliveries-";
const SUFFIX: &str = ".jsonl";
const LOCK: &str = ".lock";
/// So many files share the bytes, so that removing the oldest takes an eighth of what is kept.
const SHARE: u64 = 8;

/// Files of lines, the oldest first; the last one grows.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    limit: u64,
    kept: VecDeque<Segment>,
    bytes: u64,
    /// The last of `kept`, open.
    file: Option<File>,
    /// Held as long as this lives.
    _lock: File,
}

#[derive(Debug, PartialEq, Eq)]
struct Segment {
    number: u64,
    bytes: u64,
}

/// Why a line was not written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// It alone is larger than everything together may be.
    TooLarge,
    Failed(io::Error),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Unwritten::Failed(error)
    }
}

impl Segments {
    /// Goes on where the folder's last file ends, without a line that a crash cut off there.
    pub(super) fn open(folder: &Path, limit: u64) -> Result<Self, String> {
        let lock = own(folder)?;
        let failed = |error: io::Error| error.to_string();
        let mut numbers = numbers(folder)?;
        numbers.sort_unstable();
        let mut kept = VecDeque::new();
        for number in numbers {
            let file = path(folder, number);
            fs::set_permissions(&file, Permissions::from_mode(0o600)).map_err(failed)?;
            kept.push_back(Segment { number, bytes: fs::metadata(&file).map_err(failed)?.len() });
        }
        let mut this = Segments { folder: folder.to_owned(), limit, kept, bytes: 0, file: None, _lock: lock };
        if let Some(last) = this.kept.back_mut() {
            let mut file = open_file(&path(folder, last.number)).map_err(failed)?;
            let whole = whole_lines(&mut file, last.bytes).map_err(failed)?;
            if whole < last.bytes {
                tracing::warn!("a recorded delivery was cut off when the server ended, and is removed");
                file.set_len(whole).map_err(failed)?;
                last.bytes = whole;
            }
            this.file = Some(file);
        }
        this.bytes = this.kept.iter().map(|segment| segment.bytes).sum();
        this.make_room(0).map_err(failed)?;
        Ok(this)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a line, whose end is part of it.
    pub(super) fn append(&mut self, line: &[u8]) -> Result<(), Unwritten> {
        let size = line.len() as u64;
        if size > self.limit {
            return Err(Unwritten::TooLarge);
        }
        let full = |last: &Segment| last.bytes > 0 && last.bytes + size > self.limit / SHARE;
        if self.file.is_none() || self.kept.back().is_none_or(full) {
            self.next()?;
        }
        self.make_room(size)?;
        let (Some(file), Some(last)) = (&mut self.file, self.kept.back_mut()) else {
            return Err(io::Error::other("there is no file to write to").into());
        };
        if let Err(error) = file.write_all(line) {
            // Without the part that was written, or else in another file: no line stands behind half a one.
            if file.set_len(last.bytes).is_err() {
                let written = file.metadata().map_or(last.bytes + size, |data| data.len());
                self.bytes += written.saturating_sub(last.bytes);
                last.bytes = written;
                self.file = None;
            }
            return Err(error.into());
        }
        last.bytes += size;
        self.bytes += size;
        Ok(())
    }

    /// Begins the next file.
    fn next(&mut self) -> io::Result<()> {
        let number = self.kept.back().map_or(1, |last| last.number + 1);
        self.file = Some(open_file(&path(&self.folder, number))?);
        self.kept.push_back(Segment { number, bytes: 0 });
        Ok(())
    }

    /// Removes the oldest files until so many more bytes may be written.
    fn make_room(&mut self, more: u64) -> io::Result<()> {
        while self.bytes + more > self.limit
            && let Some(oldest) = self.kept.front()
        {
            match fs::remove_file(path(&self.folder, oldest.number)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => self.bytes -= oldest.bytes,
            }
            self.kept.pop_front();
            if self.kept.is_empty() {
                self.file = None;
            }
        }
        Ok(())
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number:010}{SUFFIX}"))
}

/// Makes the folder, closed to everybody else, and locks it. One that holds anything else is left alone.
fn own(folder: &Path) -> Result<File, String> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| error.to_string())?;
    numbers(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(|error| error.to_string())?;
    let lock = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(folder.join(LOCK));
    let lock = lock.map_err(|error| error.to_string())?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err("another server records there: give each a folder of its own".to_owned()),
        Err(TryLockError::Error(error)) => Err(error.to_string()),
    }
}

/// The numbers of the files that are there.
fn numbers(folder: &Path) -> Result<Vec<u64>, String> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
        match number.and_then(|number| number.parse().ok()) {
            Some(number) => numbers.push(number),
            None if name.starts_with('.') => {}
            None => return Err(format!("it holds something else, {name:?}: give a folder for recordings alone")),
        }
    }
    Ok(numbers)
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// How many of a file's bytes are whole lines.
fn whole_lines(file: &mut File, bytes: u64) -> io::Result<u64> {
    const PIECE: u64 = 64 * 1024;
    let mut end = bytes;
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        let mut piece = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut piece)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folder() -> TempDir {
        TempDir::new().expect("a folder")
    }

    fn files(folder: &TempDir) -> Vec<(u64, u64)> {
        let mut numbers = numbers(folder.path()).unwrap();
        numbers.sort_unstable();
        let bytes = |number| fs::metadata(path(folder.path(), number)).unwrap().len();
        numbers.into_iter().map(|number| (number, bytes(number))).collect()
    }

    fn text(folder: &TempDir) -> String {
        files(folder).into_iter().map(|(number, _)| fs::read_to_string(path(folder.path(), number)).unwrap()).collect()
    }

    fn line(number: usize, bytes: usize) -> Vec<u8> {
        let mut line = format!("{number:>width$}", width = bytes - 1).into_bytes();
        line.push(b'\n');
        line
    }

    #[test]
    fn the_files_never_have_more_bytes_than_they_may_and_the_newest_lines_stay() {
        let folder = folder();
        let mut segments = Segments::open(folder.path(), 800).unwrap();
        let sizes = [10, 90, 33, 100, 1, 57, 99, 800, 12, 64, 250, 3, 100, 7];
        let mut written = String::new();
        for number in 0..500 {
            let line = line(number % 10, sizes[number % sizes.len()].max(2));
            segments.append(&line).unwrap();
            written.push_str(std::str::from_utf8(&line).unwrap());
            let on_disk: u64 = files(&folder).iter().map(|(_, bytes)| bytes).sum();
            assert!(on_disk <= 800, "{on_disk} after {number}");
            assert_eq!(on_disk, segments.bytes());
            assert!(written.ends_with(&text(&folder)), "the end of what was written, without a gap");
            assert!(text(&folder).ends_with(std::str::from_utf8(&line).unwrap()));
        }
    }

    #[test]
    fn what_is_larger_than_everything_may_be_is_refused_and_costs_nothing() {
        let folder = folder();
        let mut segments = Segments::open(folder.path(), 800).unwrap();
        segments.append(&line(1, 100)).unwrap();
        assert!(matches!(segments.append(&line(2, 801)), Err(Unwritten::TooLarge)));
        assert_eq!(files(&folder), [(1, 100)]);
    }

    #[test]
    fn a_restart_goes_on_without_the_line_that_was_cut_off() {
        let folder = folder();
        let mut segments = Segments::open(folder.path(), 8000).unwrap();
        segments.append(b"one\n").unwrap();
        drop(segments);
        fs::write(path(folder.path(), 1), format!("one\n{}", "t".repeat(200_000))).unwrap();
        let mut segments = Segments::open(folder.path(), 8000).unwrap();
        segments.append(b"three\n").unwrap();
        assert_eq!(text(&folder), "one\nthree\n");
        assert_eq!(segments.bytes(), 10);
    }

    #[test]
    fn a_restart_with_less_room_removes_the_oldest() {
        let folder = folder();
        let mut segments = Segments::open(folder.path(), 800).unwrap();
        (0..8).for_each(|number| segments.append(&line(number, 100)).unwrap());
        drop(segments);
        assert_eq!(files(&folder).len(), 8);
        let mut segments = Segments::open(folder.path(), 400).unwrap();
        assert_eq!(files(&folder).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [5, 6, 7, 8]);
        segments.append(&line(9, 50)).unwrap();
        assert_eq!(files(&folder).last(), Some(&(9, 50)));
    }

    #[test]
    fn nobody_else_can_read_it_and_nobody_else_writes_there() {
        let folder = folder();
        let inner = folder.path().join("a/b");
        let mut segments = Segments::open(&inner, 800).unwrap();
        segments.append(b"one\n").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&path(&inner, 1))), (0o700, 0o600));
        let error = Segments::open(&inner, 800).unwrap_err();
        assert!(error.contains("another server"), "{error}");
        drop(segments);
        assert!(Segments::open(&inner, 800).is_ok());
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let folder = folder();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(Segments::open(folder.path(), 800).unwrap_err().contains("notes.txt"));
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_file_that_somebody_removed_is_no_failure() {
        let folder = folder();
        let mut segments = Segments::open(folder.path(), 800).unwrap();
        (0..8).for_each(|number| segments.append(&line(number, 100)).unwrap());
        fs::remove_file(path(folder.path(), 1)).unwrap();
        (8..20).for_each(|number| segments.append(&line(number, 100)).unwrap());
        assert_eq!(files(&folder).len(), 8);
    }
}
