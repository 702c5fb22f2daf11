//! A process that runs rows when told to, so that builds that cannot live in one process are measured in turn.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::cpu;
use crate::rows::{Call, Row};

/// What some iterations took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// CPU time of the thread that called.
    pub(crate) thread: Duration,
    /// CPU time of all threads.
    pub(crate) process: Duration,
    /// Time on the wall.
    pub(crate) wall: Duration,
}

/// Runs what is told on standard input, a row and a number of iterations on each line, until that ends.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut rows: HashMap<Row, Call> = HashMap::new();
    for line in stdin().lock().lines() {
        let line = line?;
        let (row, iterations) = line.rsplit_once('\t').context("a line is a row and a number")?;
        let (row, iterations): (Row, u64) = (row.parse()?, iterations.parse()?);
        if let std::collections::hash_map::Entry::Vacant(place) = rows.entry(row) {
            place.insert(row.prepare(None)?);
        }
        let call = rows.get_mut(&row).context("it is prepared")?;
        let taken = take(call, iterations)?;
        println!("{}", serde_json::to_string(&taken)?);
        stdout().flush()?;
    }
    Ok(())
}

fn take(call: &mut Call, iterations: u64) -> anyhow::Result<Taken> {
    let (thread, process, wall) = (cpu::of_this_thread()?, cpu::of_this_process()?, Instant::now());
    for _ in 0..iterations {
        call();
    }
    let thread = cpu::of_this_thread()? - thread;
    Ok(Taken { thread, process: cpu::of_this_process()? - process, wall: wall.elapsed() })
}

/// Such a process.
pub(crate) struct Worker {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts one of this build of the bench.
    pub(crate) fn start(program: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let orders = process.stdin.take().context("its input")?;
        let answers = BufReader::new(process.stdout.take().context("its output")?);
        Ok(Worker { process, orders, answers })
    }

    /// Lets it run a row.
    pub(crate) fn take(&mut self, row: Row, iterations: u64) -> anyhow::Result<Taken> {
        writeln!(self.orders, "{row}\t{iterations}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(!answer.is_empty(), "the worker ended at {row}; what it wrote says why");
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
