//! Endurance: ten million keys through the store, and an hour of deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use hookgate::server::store::memory::MemoryStore;
use hookgate::server::store::{Begun, Key, Owner, Store};
use hookgate::types::DedupeSettings;

use crate::cpu;
use crate::effort::Effort;
use crate::goal::Goal;
use crate::load::{memory, on_this_thread};
use crate::report::{Findings, Table, amount};
use crate::servers::{self, Sustained};

/// As many as the store is told to remember.
const CAP: u32 = 1_000_000;
/// Threads that want the same keys at the same time.
const RACERS: u64 = 4;
/// Keys that they race for.
const RACED: u64 = 200_000;

/// Measures.
pub(crate) fn run(effort: &Effort) -> anyhow::Result<Findings> {
    let keys = keys(effort.keys)?;
    let winners = race()?;
    let sustained = on_this_thread(servers::sustain(effort))?;
    Ok(findings(&keys, winners, &sustained))
}

/// What keys cost.
struct Keys {
    count: u64,
    /// To begin and to commit one.
    claim: Duration,
    /// Resident memory when the store was full for the first time, and in the end.
    full: Option<u64>,
    end: u64,
    remembered: usize,
}

/// Claims and commits distinct keys, far more than the store remembers.
fn keys(count: u64) -> anyhow::Result<Keys> {
    eprintln!("Endurance: {count} keys.");
    let store = store();
    let mut spent = Duration::ZERO;
    let mut full = None;
    let myself = std::process::id();
    on_this_thread(async {
        for chunk in (0..count).step_by(10_000) {
            let keys: Vec<_> = (chunk..(chunk + 10_000).min(count)).map(key).collect();
            let owner = Owner::unique();
            let began = cpu::of_this_thread()?;
            for key in &keys {
                let begun = store.begin(owner, std::slice::from_ref(key)).await?;
                ensure!(begun == [Begun::Ours], "a key that nobody had is the caller's");
                store.commit(owner, std::slice::from_ref(key)).await?;
            }
            spent += cpu::of_this_thread()? - began;
            // Twice over, so that a table that grows by doubling has done so.
            if chunk == u64::from(CAP) * 2 {
                full = Some(memory(myself)?);
            }
        }
        Ok(())
    })?;
    let claim = Duration::from_secs_f64(spent.as_secs_f64() / count as f64);
    let end = memory(myself)?;
    Ok(Keys { count, claim, full, end, remembered: store.held().delivered })
}

/// How often a key that several threads wanted at once was given to exactly one.
fn race() -> anyhow::Result<u64> {
    let store = store();
    let wins: Arc<Vec<AtomicU64>> = Arc::new((0..RACED).map(|_| AtomicU64::new(0)).collect());
    let racers: Vec<_> = (0..RACERS)
        .map(|_| {
            let (store, wins) = (store.clone(), wins.clone());
            thread::spawn(move || {
                on_this_thread(async {
                    for (index, wins) in wins.iter().enumerate() {
                        let begun = store.begin(Owner::unique(), &[key(index as u64)]).await?;
                        if begun == [Begun::Ours] {
                            wins.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    Ok(())
                })
            })
        })
        .collect();
    for racer in racers {
        racer.join().expect("it does not panic")?;
    }
    Ok(wins.iter().filter(|wins| wins.load(Ordering::Relaxed) == 1).count() as u64)
}

fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    store.configure(DedupeSettings { window_s: 86_400, max_keys: CAP });
    Arc::new(store)
}

fn key(index: u64) -> Key {
    Key::new("service", &format!("message/123456789012345/wamid.{index:020}/inbound/received"))
}

fn findings(keys: &Keys, winners: u64, sustained: &Sustained) -> Findings {
    let claim = keys.claim.as_secs_f64() * 1e6;
    // Too few keys do not fill it.
    let full = keys.full.map_or(f64::NAN, |full| full as f64);
    let growth = keys.end as f64 / full;
    let table = Table {
        title: "Endurance: keys".to_owned(),
        about: format!(
            "{} distinct keys begun and committed in the server's memory store, which remembers {CAP}: microseconds of CPU time \
             a key, and megabytes resident, when the store was full and in the end.",
            keys.count
        ),
        columns: ["µs a key", "MB full", "MB in the end", "remembered"].map(str::to_owned).into(),
        rows: vec![vec![amount(claim), amount(full / 1e6), amount(keys.end as f64 / 1e6), keys.remembered.to_string()]],
    };
    let mut goals = vec![
        Goal::at_most("T11", format!("{} distinct keys: memory in the end / when full", keys.count), 1.05, 1.0)
            .measured(growth),
        Goal::at_most("T11", "a claim in the server's memory, begun and committed", 3.0, 1.0)
            .unit(" µs")
            .measured(claim),
        Goal::at_least(
            "T11",
            format!("keys of {RACED} with exactly one winner of {RACERS}"),
            RACED as f64,
            RACED as f64,
        )
        .unit("")
        .measured(winners as f64),
    ];
    goals.extend(sustained.goals());
    Findings { goals, tables: vec![table, sustained.table("Endurance: 80 % load")], ..Findings::default() }
}
