//! The engine: configuration, machine-code cache, and the clock that breaks off calls.

use std::path::Path;
use std::thread;
use std::time::Duration;

use wasmtime::{CacheConfig, Config, Enabled, Engine, PoolingAllocationConfig};

use crate::error::LoadError;
use crate::options::{Cache, Instances, Options};

/// How exactly time limits are kept.
const TICK: Duration = Duration::from_millis(10);

/// As many ticks as let a call run for `limit` at least.
pub(crate) fn ticks(limit: Duration) -> u64 {
    let ticks = limit.as_millis().div_ceil(TICK.as_millis());
    u64::try_from(ticks).unwrap_or(u64::MAX / 2).min(u64::MAX / 2) + 1
}

pub(crate) fn engine(options: &Options) -> Result<Engine, LoadError> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.cache(cache(&options.cache)?);
    if options.instances == Instances::Fresh {
        config.allocation_strategy(pool(options));
    }
    let engine = Engine::new(&config).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
    tick(&engine)?;
    Ok(engine)
}

/// Room for as many instances as there may be calls. Reused instances are made so seldom that they need no pool.
fn pool(options: &Options) -> PoolingAllocationConfig {
    // Around the module with the logic and its memory, a component has small ones that join it to its exports.
    const MODULES: u32 = 8;
    /// Bytes, far more than deciding a message takes.
    const KEPT: usize = 1 << 20;
    let count = u32::try_from(options.max_concurrency.get()).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(MODULES))
        .total_tables(count.saturating_mul(MODULES))
        .total_memories(count)
        .max_memory_size(options.memory_per_instance);
    // With this a call's traces are wiped from the pages that it touched alone, and those stay mapped for the next instance.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Auto).linear_memory_keep_resident(KEPT).table_keep_resident(KEPT);
    }
    pool
}

fn cache(cache: &Cache) -> Result<Option<wasmtime::Cache>, LoadError> {
    match cache {
        Cache::Off => Ok(None),
        Cache::User => Ok(wasmtime::Cache::new(CacheConfig::new()).ok()),
        Cache::Directory(path) => directory(path).map(Some),
    }
}

fn directory(path: &Path) -> Result<wasmtime::Cache, LoadError> {
    let failed = |reason: String| LoadError::Cache { path: path.to_owned(), reason };
    let path = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
    let mut config = CacheConfig::new();
    config.with_directory(path);
    wasmtime::Cache::new(config).map_err(|error| failed(format!("{error:#}")))
}

/// One thread for each engine, which ends with the engine.
fn tick(engine: &Engine) -> Result<(), LoadError> {
    let engine = engine.weak();
    let run = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    match thread::Builder::new().name("hookgate-clock".into()).spawn(run) {
        Ok(_) => Ok(()),
        Err(error) => Err(LoadError::Engine(error.to_string())),
    }
}
