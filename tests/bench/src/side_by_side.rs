//! Servers that take the same deliveries in turn.

use std::sync::Arc;

use anyhow::Context;
use hdrhistogram::Histogram;

use crate::effort::Effort;
use crate::load::Sender;
use crate::series::Series;

/// One of them, with what it is sent.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) sender: Arc<Sender>,
    /// The processes that do the work.
    pub(crate) processes: Vec<u32>,
}

/// How it fared.
pub(crate) struct Fared {
    /// Microseconds of CPU time a request.
    pub(crate) cpu: Series,
    /// Of all rounds together.
    pub(crate) latency: Histogram<u64>,
}

/// Sends to each for a short while, round after round.
pub(crate) async fn run(effort: &Effort, contenders: &[Contender]) -> anyhow::Result<Vec<Fared>> {
    let mut all = Vec::new();
    for contender in contenders {
        // What is compiled, filled or grown at first is not measured.
        let first = contender.sender.closed(&contender.processes, effort.warming).await;
        let first = first.with_context(|| contender.name.clone())?;
        let mut latency = first.latency;
        latency.reset();
        all.push(Fared { cpu: Series::default(), latency });
    }
    for round in 0..effort.load_rounds {
        let mut order: Vec<_> = contenders.iter().zip(&mut all).collect();
        // There and back again, so that what comes first does not always do.
        if round % 2 == 1 {
            order.reverse();
        }
        for (contender, fared) in order {
            let heard = contender.sender.closed(&contender.processes, effort.loaded).await;
            let heard = heard.with_context(|| contender.name.clone())?;
            fared.cpu.push(heard.cpu.as_secs_f64() * 1e6 / heard.requests as f64);
            fared.latency.add(heard.latency)?;
        }
    }
    Ok(all)
}
