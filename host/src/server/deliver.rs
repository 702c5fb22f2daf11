//! Carrying a decision out: claim, send, settle.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::claims::Claims;
use super::forward;
use super::receive::Exchange;
use super::store::Begun;
use crate::CallError;
use crate::types::{Attempt, BodyOut, Deliver, DeliveryResult, Dispatch, MessageOut, Outcome, Response, Verdict};

/// What was tried, and what to answer.
pub(crate) struct Sent {
    pub(crate) tries: Vec<Try>,
    pub(crate) answer: Result<(DeliveryResult, Response), CallError>,
}

/// One message, or one event that was not sent because it was delivered before or is on its way.
#[derive(Debug)]
pub(crate) struct Try {
    pub(crate) target: String,
    /// The positions in the dispatch of the events that it stands for.
    pub(crate) events: Vec<usize>,
    pub(crate) outcome: Outcome,
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
}

/// Sends a delivery to all its targets at once, the messages of each in order, and ends by the deadline.
/// The dispatches are taken out of it, so that of what was composed each message is held until it is sent, and once.
pub(crate) async fn deliver(exchange: &Arc<Exchange>, delivery: &mut Deliver, deadline: Instant) -> Sent {
    let dispatches = take(&mut delivery.dispatches);
    let sending = Sending { exchange, delivery, deadline };
    let runs = join_all(dispatches.into_iter().map(|dispatch| sending.run(dispatch))).await;
    sending.settle(runs).await
}

/// What became of one dispatch, before anybody has said what that means for its keys.
struct Run {
    claims: Option<Claims>,
    tries: Vec<Try>,
}

struct Sending<'a> {
    exchange: &'a Arc<Exchange>,
    delivery: &'a Deliver,
    deadline: Instant,
}

impl Sending<'_> {
    async fn run(&self, mut dispatch: Dispatch) -> Run {
        let messages = take(&mut dispatch.messages);
        let (claims, begun) = self.claim(&dispatch).await;
        let mut tries = Vec::new();
        let mut free = Vec::new();
        for (position, begun) in begun.iter().enumerate() {
            match begun {
                Begun::Ours => free.push(position),
                Begun::InFlight => tries.push(Try::unsent(&dispatch, position, Outcome::InFlight)),
                Begun::Delivered => tries.push(Try::unsent(&dispatch, position, Outcome::Duplicate)),
            }
        }
        if tries.is_empty() {
            self.send_all(&dispatch, messages, &mut tries).await;
        } else if !free.is_empty() {
            drop(messages);
            let events: Vec<u32> = free.iter().filter_map(|position| dispatch.events.get(*position).copied()).collect();
            let target = dispatch.target.clone();
            match self.exchange.ask(move |gate, request| gate.narrow(request, &target, &events)).await {
                Ok(messages) => self.send_all(&dispatch, messages, &mut tries).await,
                Err(error) => {
                    tracing::error!(%error, target = dispatch.target, "part of a delivery could not be composed");
                    tries.extend(free.iter().map(|position| Try::unsent(&dispatch, *position, Outcome::Unreachable)));
                }
            }
        }
        Run { claims, tries }
    }

    /// Without an answer from the store everything is sent: an event that comes twice does less harm than one that never
    /// comes.
    async fn claim(&self, dispatch: &Dispatch) -> (Option<Claims>, Vec<Begun>) {
        let item_keys = dispatch.events.iter().map(|event| {
            let event = usize::try_from(*event).ok().and_then(|event| self.delivery.delivery.events.get(event));
            event.map_or("", |event| event.item_key.as_str())
        });
        match Claims::begin(&self.exchange.state.store, &dispatch.target, item_keys).await {
            Ok((claims, begun)) => (Some(claims), begun),
            Err(error) => {
                self.exchange.state.store_failed("begin", &error);
                (None, vec![Begun::Ours; dispatch.events.len()])
            }
        }
    }

    async fn send_all(&self, dispatch: &Dispatch, messages: Vec<MessageOut>, tries: &mut Vec<Try>) {
        for message in messages {
            let started = Instant::now();
            let late = self.deadline <= started;
            // They stand in the body's order.
            let events = message.events.iter().filter_map(|event| dispatch.events.binary_search(event).ok()).collect();
            let outcome = if late { Outcome::TimedOut } else { self.send(&dispatch.target, message).await };
            tries.push(Try {
                target: dispatch.target.clone(),
                events,
                outcome,
                verdict: Verdict::Untouched,
                took: if late { Duration::ZERO } else { started.elapsed() },
            });
        }
    }

    async fn send(&self, target: &str, message: MessageOut) -> Outcome {
        let Some(target) = self.exchange.active.targets.get(target) else {
            return Outcome::Unreachable;
        };
        match forward::headers(&self.exchange.received, &message) {
            Ok(headers) => {
                let body = body(&self.exchange.received.body, message.body);
                self.exchange.worker.forwarder.send(target, headers, body, self.deadline).await
            }
            Err(error) => {
                tracing::error!(%error, "the plugin set a header that HTTP does not allow");
                Outcome::Unreachable
            }
        }
    }

    /// Asks what the outcomes mean, and finishes the keys accordingly. If that cannot be said, they are released.
    async fn settle(&self, mut runs: Vec<Run>) -> Sent {
        let tries = runs.iter().flat_map(|run| &run.tries);
        let attempts: Vec<Attempt<'_>> =
            tries.map(|tried| Attempt { target: &tried.target, outcome: tried.outcome }).collect();
        let settlement = match self.exchange.active.gate.settle(&attempts) {
            Ok(settlement) => settlement,
            Err(error) => {
                return Sent { tries: runs.into_iter().flat_map(|run| run.tries).collect(), answer: Err(error) };
            }
        };
        let tries = runs.iter_mut().flat_map(|run| &mut run.tries);
        for (tried, verdict) in tries.zip(settlement.verdicts) {
            tried.verdict = verdict;
        }
        let tries = join_all(runs.into_iter().map(|run| self.finish(run))).await.into_iter().flatten().collect();
        Sent { tries, answer: Ok((settlement.result, settlement.response)) }
    }

    async fn finish(&self, Run { claims, tries }: Run) -> Vec<Try> {
        if let Some(claims) = claims {
            let taken = |tried: &&Try| matches!(tried.verdict, Verdict::Delivered | Verdict::Rejected);
            let done: Vec<usize> = tries.iter().filter(taken).flat_map(|tried| tried.events.iter().copied()).collect();
            if let Err(error) = claims.finish(&done).await {
                self.exchange.state.store_failed("finish", &error);
            }
        }
        tries
    }
}

impl Try {
    fn unsent(dispatch: &Dispatch, position: usize, outcome: Outcome) -> Self {
        Try {
            target: dispatch.target.clone(),
            events: vec![position],
            outcome,
            verdict: Verdict::Untouched,
            took: Duration::ZERO,
        }
    }
}

fn body(received: &Bytes, body: BodyOut) -> Bytes {
    match body {
        BodyOut::AsReceived => received.clone(),
        BodyOut::Part(span) => received.slice_ref(span.of(received)),
        BodyOut::Rewritten(bytes) => bytes.into(),
    }
}
