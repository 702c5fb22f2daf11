//! What is loaded, and what it takes of memory.

use std::fs;

use anyhow::{Context, ensure};
use hookgate_tests::proxy_wasm::{Fate, Request, Vm, World};
use hookgate_tests::{Delivery, artifact};

use crate::delivery::{NOW, PATH, SECRET, Size};
use crate::effort::Effort;
use crate::envoy;
use crate::goal::Goal;
use crate::load::Source;
use crate::report::{Findings, Table, amount};

/// Files, each with the size that is still a success, in KB.
const FILES: [(&str, f64); 3] =
    [("hookgate.wasm", 140.0), ("hookgate-host-sha256.wasm", 140.0), ("hookgate-envoy.wasm", 160.0)];

/// None may be larger, in KB.
const LARGEST: f64 = 256.0;

/// Measures.
pub(crate) fn run(effort: &Effort) -> anyhow::Result<Findings> {
    let mut goals = Vec::new();
    let mut rows = Vec::new();
    for (file, stretch) in FILES {
        let kilobytes = fs::metadata(artifact(file))?.len() as f64 / 1024.0;
        rows.push(vec![file.to_owned(), amount(kilobytes)]);
        goals.push(Goal::at_most("T12", file, LARGEST, stretch).unit(" KB").measured(kilobytes));
    }
    let deliveries = effort.rounds * 1000;
    let heap = heap(deliveries)? as f64 / (1 << 20) as f64;
    let what = format!("memory of the Envoy filter after {deliveries} deliveries");
    rows.push(vec![what.clone(), amount(heap * 1024.0)]);
    goals.push(Goal::at_most("T12", what, 2.0, 1.0).unit(" MB").measured(heap));
    let table = Table {
        title: "Sizes".to_owned(),
        about: "KB. Every tenth delivery is a batch of 57 KB, the others have 1.1 KB; the memory is the filter's linear memory."
            .to_owned(),
        columns: ["", "KB"].map(str::to_owned).into(),
        rows,
    };
    Ok(Findings { goals, tables: vec![table], ..Findings::default() })
}

/// The bytes of the filter's memory when so many deliveries have gone through it.
fn heap(deliveries: usize) -> anyhow::Result<usize> {
    let mut world = World::new([("SECRET", SECRET)]);
    world.time = NOW * 1_000_000_000;
    let policy = envoy::policy(&["service"]).to_string();
    let mut filter = Vm::configured(world, policy.as_bytes()).context("the filter takes the policy")?;
    let sources = [Source::new(Size::Batch), Source::new(Size::Message)];
    for index in 0..deliveries {
        let source = &sources[usize::from(index % 10 != 0)];
        let (body, signature) = source.next();
        let headers = source.headers().iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let headers = headers.chain([("x-webhook-signature".to_owned(), signature)]).collect();
        let given = filter.send(&Request::post(PATH, &Delivery { headers, body: body.to_vec() }));
        ensure!(matches!(given.fate, Fate::Passed(_)), "a delivery did not pass: {:?}", given.fate);
        filter.target_answers(given.id, 200, &[]);
        filter.delete(given.id);
    }
    Ok(filter.memory())
}
