//! The component, through the library's public API.

use std::hint::black_box;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{bail, ensure};
use hookgate::types::{Decision, Head, Header, Request};
use hookgate::{Cache, Gate, Instances, Options, Plugin, Secrets, Sha256};

use super::{Ask, Build, Call, Row};
use crate::delivery::{Delivery, NOW, PATH};

pub(super) fn prepare(row: Row, cache: Option<&Path>) -> anyhow::Result<Call> {
    let cache = cache.map_or(Cache::Off, |folder| Cache::Directory(folder.to_owned()));
    let sha256 = if row.build == Build::HostSha256 { Sha256::Host } else { Sha256::Plugin };
    let options = Options { instances: instances(row.build), sha256, cache, ..Options::default() };
    // What a row works on lives as long as the process.
    let policy: &'static str = row.policy.document().leak();
    let secrets: &'static Secrets = Box::leak(Box::new(row.policy.secrets().into_iter().collect()));
    let delivery: &'static Delivery = Box::leak(Box::new(row.size.delivery(&row.policy.number())));
    let headers: &'static [_] = delivery
        .headers
        .iter()
        .map(|(name, value)| Header { name, value: value.as_bytes() })
        .collect::<Vec<_>>()
        .leak();
    let request = Request { head: Head { method: "POST", path: PATH, headers }, body: &delivery.body };
    match row.ask {
        Ask::Start => {
            return Ok(Box::new(move || start(&options, policy, secrets, &request)));
        }
        Ask::StartCached => {
            let directory = tempfile::tempdir()?;
            let options = Options { cache: Cache::Directory(directory.path().to_owned()), ..options };
            start(&options, policy, secrets, &request);
            return Ok(Box::new(move || {
                start(&options, policy, secrets, &request);
                // The directory stays as long as this is called.
                black_box(&directory);
            }));
        }
        _ => {}
    }
    let plugin = plugin(&options)?;
    let gate = plugin.compile(policy, secrets)?;
    match gate.decide(&request, NOW)? {
        Decision::Deliver(deliver) => {
            ensure!(deliver.unreadable.is_none() && deliver.dispatches.len() == 1, "the delivery goes to one target");
        }
        other => bail!("the delivery is not delivered: {other:?}"),
    }
    Ok(match row.ask {
        Ask::Verify => Box::new(move || drop(black_box(gate.verify(black_box(&request), NOW).expect(ANSWERS)))),
        Ask::Parse => Box::new(move || drop(black_box(gate.parse(headers, black_box(&delivery.body)).expect(ANSWERS)))),
        Ask::Decide => Box::new(move || drop(black_box(gate.decide(black_box(&request), NOW).expect(ANSWERS)))),
        Ask::Compile => Box::new(move || drop(black_box(plugin.compile(policy, secrets).expect(ANSWERS)))),
        Ask::Route => {
            let Ok(parsed) = gate.parse(headers, &delivery.body)? else { bail!("the delivery cannot be read") };
            Box::new(move || {
                drop(black_box(gate.route(black_box(&parsed.delivery.events[0]), Some("whatsapp")).expect(ANSWERS)))
            })
        }
        Ask::Start | Ask::StartCached => bail!("answered above"),
    })
}

/// Compiled once for all rows of a process that run it in the same way.
fn plugin(options: &Options) -> anyhow::Result<Plugin> {
    static PLUGINS: Mutex<Vec<(Options, Plugin)>> = Mutex::new(Vec::new());
    let mut plugins = PLUGINS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, plugin)) = plugins.iter().find(|(made_with, _)| made_with == options) {
        return Ok(plugin.clone());
    }
    let plugin = Plugin::new(options)?;
    plugins.push((options.clone(), plugin.clone()));
    Ok(plugin)
}

/// A call that fails takes another time than one that does not.
const ANSWERS: &str = "the component answers";

fn instances(build: Build) -> Instances {
    match build {
        Build::Fresh => Instances::Fresh,
        _ => Instances::Reuse { max_calls: NonZeroU64::MAX },
    }
}

fn start(options: &Options, policy: &str, secrets: &Secrets, request: &Request<'_>) {
    let gate: Gate = Plugin::new(options).expect("it starts").compile(policy, secrets).expect("a policy");
    drop(black_box(gate.decide(request, NOW)));
}
