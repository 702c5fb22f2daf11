//! Instructions, which do not depend on what else the machine does. Callgrind counts those between two calls of `counting_mark`, and so
//! those of some calls of a row alone.
//!
//! What is counted is what somebody else's change can make slower, built as it is released, in as far as the tests need it
//! anyway:
//!
//! - `native`: the core, compiled for this machine with the portable SHA-256, because callgrind has no SHA-NI.
//! - `reused`: the component's machine code, which is the same whoever built the host around it. A fresh instance runs the
//!   same; what it costs beyond that is the kernel's work, which nobody can count here.
//! - `host`: the library around the component, as it is compiled for the tests. That is far more than in a release, so these
//!   are compared with each other and with nothing else.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use anyhow::{Context, anyhow, ensure};

use crate::delivery::Size;
use crate::report::Table;
use crate::rows::{Ask, Build, Row};

/// Committed: instructions of a call by the row's name.
const COMMITTED: &str = "counts.json";
/// A row may rise so far above what is committed.
const TOLERANCE: f64 = 0.10;
/// Rows are run so many times that what the rest of the process does at random disappears.
const WORTH: u64 = 20_000_000;

type Counts = BTreeMap<String, u64>;

/// The rows, and how many calls of each to count.
fn rows() -> Vec<(Row, u64)> {
    let mut rows = Vec::new();
    for build in [Build::Native, Build::Reused] {
        for size in [Size::Message, Size::Batch] {
            rows.extend([Ask::Verify, Ask::Parse, Ask::Decide].map(|ask| Row::new(ask, size, build)));
        }
        rows.push(Row::new(Ask::Route, Size::Message, build));
    }
    // It differs in nothing but what is hashed.
    rows.extend([Size::Message, Size::Batch].map(|size| Row::new(Ask::Decide, size, Build::HostSha256)));
    rows.into_iter().map(|row| (row, calls(row).max(1))).collect()
}

/// About as many as come to [`WORTH`] instructions.
fn calls(row: Row) -> u64 {
    let each = match (row.ask, row.size) {
        (Ask::Route, _) => 20_000,
        (_, Size::Batch) => 4_000_000,
        _ => 100_000,
    };
    WORTH / each
}

/// Compares with what is committed, or commits what is counted if `bless`. `native` is this program without its features, as
/// released.
pub(crate) fn check(native: &Path, bless: bool) -> anyhow::Result<()> {
    let counted = count(native, &rows())?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(COMMITTED);
    if bless {
        fs::write(&file, serde_json::to_string_pretty(&counted)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("{} rows counted and written to {}.", counted.len(), file.display());
        return Ok(());
    }
    let committed = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let committed: Counts = serde_json::from_str(&committed)?;
    let (table, risen) = compare(&committed, &counted);
    table.print();
    ensure!(
        risen.is_empty(),
        "instructions rose by more than {:.0} %, or nothing is committed, or nothing was counted: {}. Make it faster again; or, if it must cost that, \
         say why in the commit and run `cargo xtask bench --check --bless`",
        TOLERANCE * 100.0,
        risen.join(", ")
    );
    Ok(())
}

/// The comparison, and the names of rows that rose too far.
fn compare(committed: &Counts, counted: &Counts) -> (Table, Vec<String>) {
    let mut risen = Vec::new();
    let rows = counted.iter().map(|(name, &now)| {
        let before = committed.get(name).copied();
        let change = before.map(|before| now as f64 / before as f64 - 1.0);
        if before.is_none_or(|before| now as f64 > before as f64 * (1.0 + TOLERANCE)) {
            risen.push(name.clone());
        }
        let shown = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let percent = change.map_or_else(|| "-".to_owned(), |change| format!("{:+.1} %", change * 100.0));
        vec![name.clone(), shown(before), shown(Some(now)), percent]
    });
    let table = Table {
        title: "Instructions of a call in process".to_owned(),
        about: "As callgrind counts them. Native code hashes without SHA-NI here, and the library around the component (host) is \
                compiled as for the tests."
            .to_owned(),
        columns: ["", "committed", "counted", "change"].map(str::to_owned).into(),
        rows: rows.collect(),
    };
    // Less is no reason to fail, but nothing at all is.
    risen.extend(committed.keys().filter(|name| counted.get(*name).is_none_or(|count| *count == 0)).cloned());
    (table, risen)
}

/// Instructions of a call of each row. `native` is this program without its features, as released.
fn count(native: &Path, rows: &[(Row, u64)]) -> anyhow::Result<Counts> {
    let ours = std::env::current_exe()?;
    let of = |build| rows.iter().copied().filter(move |(row, _)| row.build == build).collect::<Vec<_>>();
    let cache = tempfile::tempdir()?;
    // Compiling is much work for callgrind, and machine code is for the processor that it makes believe there is.
    for build in [Build::Reused, Build::HostSha256] {
        let first = valgrind("none").arg(&ours).args(words(cache.path(), &of(build)[..1])).output();
        ensure!(first.context("cannot run valgrind")?.status.success(), "the component does not run under valgrind");
    }
    let builds = [(Build::Native, native), (Build::Reused, &ours), (Build::HostSha256, &ours)];
    let cache = cache.path();
    thread::scope(|scope| {
        let parts = builds.map(|(build, program)| scope.spawn(move || run(program, cache, &of(build))));
        let mut counts = Counts::new();
        for part in parts {
            for (row, counted) in part.join().map_err(|_| anyhow!("counting broke off"))?? {
                counts.extend(names(row, counted));
            }
        }
        Ok(counts)
    })
}

/// What is compared of a row.
fn names(row: Row, counted: Instructions) -> Vec<(String, u64)> {
    match row.build {
        Build::Native => vec![(row.to_string(), counted.compiled)],
        Build::Reused | Build::Fresh | Build::HostSha256 => {
            vec![(row.to_string(), counted.generated), (format!("{row}/host"), counted.compiled)]
        }
    }
}

/// Runs a process of `program` that calls the rows, each so many times, and counts.
fn run(program: &Path, cache: &Path, rows: &[(Row, u64)]) -> anyhow::Result<Vec<(Row, Instructions)>> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("profile");
    let output = valgrind("callgrind")
        .arg("--dump-before=*counting_mark*")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(words(cache, rows))
        .output()
        .context("cannot run valgrind")?;
    ensure!(output.status.success(), "valgrind failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let counted = rows.iter().enumerate().map(|(index, (row, calls))| {
        // The file before it holds what came before the row.
        let profile = profile.with_extension((index * 2 + 2).to_string());
        let text = fs::read_to_string(&profile).with_context(|| format!("valgrind left no {}", profile.display()))?;
        let counted = Instructions::read(&text).context("callgrind's file is not as it should be")?;
        Ok((*row, Instructions { generated: counted.generated / calls, compiled: counted.compiled / calls }))
    });
    counted.collect()
}

fn valgrind(tool: &str) -> Command {
    let mut command = Command::new("valgrind");
    command.arg(format!("--tool={tool}"));
    command
}

/// The arguments that make this program call rows.
fn words(cache: &Path, rows: &[(Row, u64)]) -> Vec<OsString> {
    let rows = rows.iter().map(|(row, calls)| format!("{row}={calls}").into());
    ["count".into(), "--cache".into(), cache.into()].into_iter().chain(rows).collect()
}

/// Instructions of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Instructions {
    /// Of machine code that was made while it ran.
    generated: u64,
    /// Of programs and libraries.
    compiled: u64,
}

impl Instructions {
    /// Sums up callgrind's output: lines of a position and a cost belong to the object file named before them, except after
    /// a `calls=`, where the cost is that of the function called.
    fn read(profile: &str) -> Option<Self> {
        /// What callgrind calls the file that generated code comes from.
        const GENERATED: &str = "???";
        let mut names = HashMap::new();
        let (mut sum, mut generated, mut is_callee) = (Self::default(), false, false);
        for line in profile.lines() {
            if let Some((place @ ("ob" | "cob"), name)) = line.split_once('=') {
                // A name is spelt out where it first stands: `(2) ???`, later `(2)`.
                let (number, name) = name.split_once(' ').unwrap_or((name, ""));
                let is_generated = *names.entry(number).or_insert(name == GENERATED);
                generated = if place == "ob" { is_generated } else { generated };
            } else if line.starts_with("calls=") {
                is_callee = true;
            } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
                let cost: u64 = line.split(' ').nth(1)?.parse().ok()?;
                match (std::mem::take(&mut is_callee), generated) {
                    (true, _) => {}
                    (false, true) => sum.generated += cost,
                    (false, false) => sum.compiled += cost,
                }
            }
        }
        let total = profile.lines().find_map(|line| line.strip_prefix("summary: "))?;
        (total.parse() == Ok(sum.generated + sum.compiled)).then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Instructions, compare, rows};

    fn counts(count: u64) -> Counts {
        Counts::from([(String::from("a row"), count)])
    }

    #[test]
    fn a_rise_above_a_tenth_is_told() {
        assert_eq!(compare(&counts(1000), &counts(1100)).1, <[String; 0]>::default());
        assert_eq!(compare(&counts(1000), &counts(1101)).1, ["a row"]);
    }

    #[test]
    fn a_row_that_nobody_committed_is_told() {
        assert_eq!(compare(&Counts::new(), &counts(1)).1, ["a row"]);
    }

    #[test]
    fn less_is_no_reason_to_fail() {
        assert_eq!(compare(&counts(1000), &counts(10)).1, <[String; 0]>::default());
    }

    #[test]
    fn costs_are_told_apart_by_the_file_that_the_code_comes_from() {
        let profile = "summary: 16\n\nob=(1) /bin/x\nfn=(1) main\n0 3\ncob=(2) ???\ncfn=(2) f\ncalls=1 0 \n0 9\n0 4\n\n\
                       ob=(2)\nfn=(2)\n0 5\n+1 4\n";
        assert_eq!(Instructions::read(profile), Some(Instructions { generated: 9, compiled: 7 }));
    }

    #[test]
    fn a_file_that_does_not_add_up_is_not_believed() {
        assert_eq!(Instructions::read("summary: 5\nob=(1) /bin/x\n0 3\n"), None);
    }

    #[test]
    fn every_row_can_be_named_to_another_process() {
        for (row, _) in rows() {
            assert_eq!(row.to_string().parse::<super::Row>().ok(), Some(row));
        }
    }
}
