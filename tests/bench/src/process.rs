//! In process: what a question costs, asked of the core and of the component.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::chart::{Bar, Panel};
use crate::delivery::{NUMBER, Size};
use crate::effort::Effort;
use crate::goal::Goal;
use crate::report::{Findings, Measure, Table, amount, with_spread};
use crate::rows::{Ask, Build, Policy, Row};
use crate::series::Series;
use crate::worker::{Taken, Worker};

/// What a row is measured with, native code without the processor's instructions for SHA-256 among it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Native,
    Portable,
    Reused,
    Fresh,
    HostSha256,
}

/// A question and who answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Subject {
    ask: Ask,
    size: Size,
    policy: Policy,
    kind: Kind,
}

const FEW: usize = 10;
const MANY: usize = 10_000;
/// Starting takes so long that few rounds must do.
const STARTS: usize = 7;

impl Kind {
    const ALL: [Self; 5] = [Self::Native, Self::Portable, Self::Reused, Self::Fresh, Self::HostSha256];

    fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Portable => "native, no SHA-NI",
            Self::Reused => "component, reused",
            Self::Fresh => "component, fresh",
            Self::HostSha256 => "component on the host's SHA-256",
        }
    }

    fn build(self) -> Build {
        match self {
            Self::Native | Self::Portable => Build::Native,
            Self::Reused => Build::Reused,
            Self::Fresh => Build::Fresh,
            Self::HostSha256 => Build::HostSha256,
        }
    }
}

impl Subject {
    fn new(ask: Ask, size: Size, kind: Kind) -> Self {
        Subject { ask, size, policy: Policy::Usual, kind }
    }

    fn row(self) -> Row {
        Row { policy: self.policy, ..Row::new(self.ask, self.size, self.kind.build()) }
    }

    fn name(self) -> String {
        format!("{} {}, {}, {}", self.ask.name(), self.size, self.policy, self.kind.name())
    }

    /// Starting is waited for; everything else is work of the calling thread.
    fn nanoseconds(self, taken: Taken) -> f64 {
        let time = if matches!(self.ask, Ask::Start | Ask::StartCached) { taken.wall } else { taken.thread };
        time.as_secs_f64() * 1e9
    }
}

/// In the order of measuring: what is compared stands together.
fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for size in Size::ALL {
        for ask in [Ask::Verify, Ask::Parse, Ask::Decide] {
            subjects.extend(Kind::ALL.map(|kind| Subject::new(ask, size, kind)));
        }
    }
    subjects.extend(Kind::ALL.map(|kind| Subject::new(Ask::Route, Size::Message, kind)));
    for ask in [Ask::Decide, Ask::Compile] {
        for kind in [Kind::Native, Kind::Reused, Kind::Fresh] {
            if (ask, kind) == (Ask::Compile, Kind::Fresh) {
                continue;
            }
            for policy in scale() {
                subjects.push(Subject { policy, ..Subject::new(ask, Size::Message, kind) });
            }
        }
    }
    subjects.extend([Ask::Start, Ask::StartCached].map(|ask| Subject::new(ask, Size::Message, Kind::Reused)));
    subjects
}

fn scale() -> [Policy; 4] {
    [Policy::Rules(FEW), Policy::Rules(MANY), Policy::Tenants(FEW), Policy::Tenants(MANY)]
}

/// Measures. `portable` is this program, built with the portable SHA-256.
pub(crate) fn run(effort: &Effort, portable: &Path) -> anyhow::Result<Findings> {
    let mut ours = Worker::start(&std::env::current_exe()?)?;
    let mut portable = Worker::start(portable)?;
    let subjects = subjects();
    eprintln!("In process: {} rows, {} rounds.", subjects.len(), effort.rounds);
    let mut ask = |subject: Subject, iterations: u64| {
        let worker = if subject.kind == Kind::Portable { &mut portable } else { &mut ours };
        worker.take(subject.row(), iterations).with_context(|| subject.name())
    };
    let mut iterations = HashMap::new();
    for &subject in &subjects {
        iterations.insert(subject, enough(effort.slice, |count| ask(subject, count))?);
    }
    let mut results: HashMap<Subject, Series> = HashMap::new();
    for round in 0..effort.rounds {
        // There and back again, so that what comes first does not always do.
        let mut order = subjects.clone();
        if round % 2 == 1 {
            order.reverse();
        }
        for subject in order {
            if matches!(subject.ask, Ask::Start | Ask::StartCached) && round >= STARTS {
                continue;
            }
            let count = iterations[&subject];
            let taken = ask(subject, count)?;
            results.entry(subject).or_default().push(subject.nanoseconds(taken) / count as f64);
        }
    }
    Ok(Results(results).findings(&subjects))
}

/// How many iterations fill a slice of time, found by trying; at least one.
fn enough(slice: Duration, mut take: impl FnMut(u64) -> anyhow::Result<Taken>) -> anyhow::Result<u64> {
    // The first call prepares the row and finds cold caches.
    take(1)?;
    let mut count = 1;
    loop {
        let taken = take(count)?.wall;
        if taken * 4 >= slice {
            let exactly = count as f64 * slice.as_secs_f64() / taken.as_secs_f64();
            return Ok((exactly as u64).max(1));
        }
        count *= 4;
    }
}

struct Results(HashMap<Subject, Series>);

impl Results {
    /// Nanoseconds a call.
    fn of(&self, ask: Ask, size: Size, kind: Kind) -> &Series {
        &self.0[&Subject::new(ask, size, kind)]
    }

    fn with(&self, ask: Ask, policy: Policy, kind: Kind) -> &Series {
        &self.0[&Subject { policy, ..Subject::new(ask, Size::Message, kind) }]
    }

    fn findings(&self, subjects: &[Subject]) -> Findings {
        let measures = subjects.iter().map(|subject| Measure {
            name: format!("in process: {}", subject.name()),
            unit: "ns",
            series: self.0[subject].clone(),
        });
        let panels = [Size::Message, Size::Batch].map(|size| Panel {
            title: format!("decide in process, {size}"),
            unit: "µs of CPU time a call",
            bars: Kind::ALL
                .map(|kind| Bar {
                    label: kind.name().to_owned(),
                    value: self.of(Ask::Decide, size, kind).median() / 1e3,
                    ours: matches!(kind, Kind::Reused | Kind::Fresh | Kind::HostSha256),
                })
                .into(),
        });
        Findings {
            measures: measures.collect(),
            goals: self.goals(),
            tables: vec![self.costs(), self.bytes(), self.scale(), self.starts()],
            panels: panels.into(),
        }
    }

    fn costs(&self) -> Table {
        let asked = [Ask::Verify, Ask::Parse, Ask::Decide].into_iter();
        let mut lines: Vec<_> = asked.flat_map(|ask| Size::ALL.map(|size| (ask, size))).collect();
        lines.push((Ask::Route, Size::Message));
        let rows = lines.into_iter().map(|(ask, size)| {
            let series = Kind::ALL.map(|kind| self.of(ask, size, kind).times(1e-3));
            let native = &series[0];
            let ratios = series[1..].iter().map(|series| with_spread(&series.over(native)));
            let name = format!("{} {size}", ask.name());
            [name].into_iter().chain(series.iter().map(with_spread)).chain(ratios).collect()
        });
        let columns = [
            "",
            "native",
            "no SHA-NI",
            "reused",
            "fresh",
            "host's SHA-256",
            "no SHA-NI / native",
            "reused / native",
            "fresh / native",
            "host's SHA-256 / native",
        ];
        Table {
            title: "In process: a call".to_owned(),
            about: "Microseconds of CPU time, median of the rounds and half the distance between the quartiles; through the \
                    public API. \"Native\" is the core compiled for this machine, the others are the component on wasmtime, \
                    an instance reused or a new one for each call, or reused and on the host's SHA-256."
                .to_owned(),
            columns: columns.map(str::to_owned).into(),
            rows: rows.collect(),
        }
    }

    fn bytes(&self) -> Table {
        let sizes = [Size::Batch, Size::Large, Size::Largest];
        let rows = [Kind::Native, Kind::Reused].into_iter().map(|kind| {
            let each = sizes.map(|size| self.per_byte(Ask::Decide, size, kind));
            let growth = with_spread(&each[2].over(&each[0]));
            [kind.name().to_owned()].into_iter().chain(each.iter().map(with_spread)).chain([growth]).collect()
        });
        Table {
            title: "In process: a byte".to_owned(),
            about: "Nanoseconds of CPU time for each byte of a batch, decided; and how many times that of 57 KB it is at 4 MB."
                .to_owned(),
            columns: ["", "57 KB", "1 MB", "4 MB", "4 MB / 57 KB"].map(str::to_owned).into(),
            rows: rows.collect(),
        }
    }

    fn per_byte(&self, ask: Ask, size: Size, kind: Kind) -> Series {
        let bytes = size.delivery(NUMBER).body.len();
        self.of(ask, size, kind).times(1.0 / bytes as f64)
    }

    fn scale(&self) -> Table {
        let mut rows = Vec::new();
        for (what, few, many) in [
            ("rules", Policy::Rules(FEW), Policy::Rules(MANY)),
            ("tenants", Policy::Tenants(FEW), Policy::Tenants(MANY)),
        ] {
            for (ask, kind) in [
                (Ask::Decide, Kind::Native),
                (Ask::Decide, Kind::Reused),
                (Ask::Decide, Kind::Fresh),
                (Ask::Compile, Kind::Native),
                (Ask::Compile, Kind::Reused),
            ] {
                let (few, many) = (self.with(ask, few, kind).times(1e-3), self.with(ask, many, kind).times(1e-3));
                let name = format!("{} by {what}, {}", ask.name(), kind.name());
                rows.push(vec![name, with_spread(&few), with_spread(&many), with_spread(&many.over(&few))]);
            }
        }
        Table {
            title: "In process: ten rules or tenants, and ten thousand".to_owned(),
            about: "Microseconds of CPU time for a delivery of 1.1 KB, or to compile the policy. A fresh instance compiles the \
                    policy for each call, so its cost grows with the policy."
                .to_owned(),
            columns: ["", "10", "10,000", "10,000 / 10"].map(str::to_owned).into(),
            rows,
        }
    }

    fn starts(&self) -> Table {
        let row = |ask, name: &str| {
            vec![name.to_owned(), with_spread(&self.of(ask, Size::Message, Kind::Reused).times(1e-6))]
        };
        Table {
            title: "In process: from nothing to the first decision".to_owned(),
            about: "Milliseconds on the wall: load the component, compile a policy, decide.".to_owned(),
            columns: ["", "ms"].map(str::to_owned).into(),
            rows: vec![
                row(Ask::Start, "compiling the component"),
                row(Ask::StartCached, "machine code from the cache"),
            ],
        }
    }

    fn goals(&self) -> Vec<Goal> {
        let ratio = |ask, size, kind| self.of(ask, size, kind).over(self.of(ask, size, Kind::Native)).median();
        let both = |size, kind| self.of(Ask::Verify, size, kind).plus(self.of(Ask::Parse, size, kind));
        let reading = |size, kind| both(size, kind).over(&both(size, Kind::Native)).median();
        let (message, batch) = (Size::Message, Size::Batch);
        let fresh = self.of(Ask::Decide, message, Kind::Fresh).minus(self.of(Ask::Decide, message, Kind::Reused));
        let growth = |kind| {
            let batch = self.per_byte(Ask::Decide, batch, kind);
            self.per_byte(Ask::Decide, Size::Largest, kind).over(&batch).median()
        };
        let scaled =
            |few, many, kind| self.with(Ask::Decide, many, kind).over(self.with(Ask::Decide, few, kind)).median();
        let cached = self.of(Ask::StartCached, message, Kind::Reused).median() / 1e6;
        let mut goals = Vec::new();
        for (target, kind, bounds) in [
            ("T1", Kind::Reused, [(message, 3.5, 2.5), (batch, 3.0, 2.3)]),
            ("T2", Kind::HostSha256, [(message, 2.3, 1.7), (batch, 1.8, 1.4)]),
        ] {
            let name = kind.name();
            for (size, must, stretch) in bounds {
                let goal = |what| Goal::at_most(target, format!("{what}, {size}: {name} / native"), must, stretch);
                goals.push(goal("verify and typed parse").measured(reading(size, kind)));
                goals.push(goal("decide").measured(ratio(Ask::Decide, size, kind)));
            }
        }
        for (ask, must, stretch) in [(Ask::Verify, 5.2, 4.5), (Ask::Parse, 2.0, 1.5)] {
            for size in [message, batch] {
                let what = format!("{} alone, {size}: {} / native", ask.name(), Kind::Reused.name());
                goals.push(Goal::at_most("T1", what, must, stretch).measured(ratio(ask, size, Kind::Reused)));
            }
        }
        goals.push(
            Goal::at_most("T3", "decide, 1.1 KB: a fresh instance costs more than a reused one by", 25.0, 15.0)
                .unit(" µs")
                .measured(fresh.median() / 1e3),
        );
        goals.push(
            Goal::at_most("T3", "to the first decision, machine code from the cache", 5.0, 5.0)
                .unit(" ms")
                .measured(cached),
        );
        for kind in [Kind::Native, Kind::Reused] {
            let name = kind.name();
            goals.push(
                Goal::at_most("size", format!("cost of a byte, 4 MB / 57 KB, {name}"), 1.1, 1.0).measured(growth(kind)),
            );
            for (what, few, many) in [
                ("rules", Policy::Rules(FEW), Policy::Rules(MANY)),
                ("tenants", Policy::Tenants(FEW), Policy::Tenants(MANY)),
            ] {
                let what = format!("decide with {} {what} / 10, {name}", amount(MANY as f64));
                goals.push(Goal::at_most("scale", what, 1.2, 1.05).measured(scaled(few, many, kind)));
            }
        }
        goals
    }
}
