//! One request, from its head to its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{EXPECT, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::active::Active;
use super::body::{Arriving, Held, Unread, read};
use super::deliver::{Sent, deliver};
use super::metrics::InFlight;
use super::received::{Peer, Received};
use super::redirect;
use super::report::{Place, Report, Story, Trouble};
use super::state::State;
use super::unix_time;
use super::workers::Worker;
use crate::types::{Admission, Decision, Deliver, Onward, Redirect, Refusal, Request, Response};
use crate::{CallError, Gate};

pub(crate) type Answer = http::Response<Full<Bytes>>;

/// How long a body is, in bytes, that takes the gate long.
const LARGE: usize = 64 * 1024;

/// Header fields of a request at the most. Over HTTP/1 hyper sees to the same.
const FIELDS: usize = 100;

/// Answers one request. Whatever goes wrong is an answer too.
pub(crate) async fn receive(
    state: Arc<State>,
    worker: Arc<Worker>,
    peer: Peer,
    request: http::Request<Incoming>,
) -> Answer {
    let started = Instant::now();
    let in_flight = state.metrics.in_flight();
    let (parts, body) = request.into_parts();
    if parts.headers.len() > FIELDS {
        return plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let received = Received::new(parts, peer);
    let active = state.active.load_full();
    let source = active.source(received.path()).map(str::to_owned);
    Exchange { state, worker, active, source, received, started, taken: None, _in_flight: in_flight }.answer(body).await
}

/// A request under way. It keeps the policy that it met first until it is answered.
pub(crate) struct Exchange {
    pub(crate) state: Arc<State>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) active: Arc<Active>,
    /// The source that the path belongs to.
    source: Option<String>,
    pub(crate) received: Received,
    started: Instant,
    /// What it takes of the server's limits, once its body is there.
    taken: Option<(Option<Held>, OwnedSemaphorePermit)>,
    _in_flight: InFlight,
}

impl Exchange {
    async fn answer(mut self, body: Incoming) -> Answer {
        // With `Expect: 100-continue` the sender holds the body back until it is asked for. It is not, if the head is refused.
        let waits = self.received.headers.contains_key(EXPECT);
        let mut body = if waits { Arriving::unread(body) } else { Arriving::ahead(body).await };
        let deadline = self.started + self.state.limits.body_time;
        match self.take_in(&mut body, deadline).await {
            Ok(held) => {
                self.received.body = held.as_ref().map_or_else(Bytes::new, |held| held.bytes.clone());
                self.begin(held).await
            }
            Err(answer) => {
                if !waits {
                    body.pass_over(self.active.gate.settings().body_bytes, deadline);
                }
                answer
            }
        }
    }

    /// The body, unless there is an answer without it. A browser's request has none that matters.
    async fn take_in(&self, body: &mut Arriving, deadline: Instant) -> Result<Option<Held>, Answer> {
        let limit = match body.is_whole() {
            // Refusing a body saves nothing once it is here, and `decide` checks all that `admit` would, its length too.
            true => u64::MAX,
            false => match self.received.lend(|request| self.active.gate.admit(&request.head)) {
                Ok(Admission::Read(limit)) => limit,
                Ok(Admission::NotOurs) => return Err(self.not_ours()),
                Ok(Admission::Respond(refusal)) => return Err(self.refuse(refusal)),
                Ok(Admission::Redirect) => return Ok(None),
                Err(error) => return Err(self.trouble(Trouble::Gate(error))),
            },
        };
        let room = if self.source.is_some() { &self.state.deliveries.room } else { &self.state.strangers };
        let unread = match read(body, limit, deadline, self.received.head_len(), room).await {
            Ok(held) => return Ok(Some(held)),
            Err(unread) => unread,
        };
        Err(match unread {
            Unread::TooLarge => match self.received.lend(|request| self.active.gate.too_large(&request.head)) {
                Ok(refusal) => self.refuse(refusal),
                Err(error) => self.trouble(Trouble::Gate(error)),
            },
            Unread::TooSlow => self.trouble(Trouble::SlowBody),
            Unread::Broken => self.trouble(Trouble::BrokenBody),
            Unread::NoRoom => self.trouble(Trouble::Overloaded),
        })
    }

    /// Takes a place among the requests that are carried out, only now that all is there of it, so that whoever sends slowly
    /// holds none that a whole delivery could have.
    async fn begin(mut self, held: Option<Held>) -> Answer {
        let share = if self.source.is_some() { &self.state.deliveries } else { &self.state.browsers };
        let Ok(slot) = share.slots.clone().try_acquire_owned() else {
            return self.trouble(Trouble::Overloaded);
        };
        self.taken = Some((held, slot));
        let this = Arc::new(self);
        let answer = AssertUnwindSafe(this.carry_out()).catch_unwind().await;
        answer.unwrap_or_else(|_| this.trouble(Trouble::Panicked))
    }

    async fn carry_out(self: &Arc<Self>) -> Answer {
        let decision = self.ask(|gate, request| gate.decide(request, unix_time())).await;
        let delivery = match decision {
            Ok(Decision::Deliver(delivery)) => delivery,
            Ok(Decision::NotOurs) => return self.not_ours(),
            Ok(Decision::Respond(refusal)) => return self.refuse(refusal),
            Ok(Decision::Redirect(redirect)) => return self.send_on(&redirect).await,
            Err(error) => return self.trouble(Trouble::Gate(error)),
        };
        if delivery.dispatches.is_empty() {
            return self.deliver(delivery).await;
        }
        // From here on the sender may hang up: what was begun is finished, so that its keys are committed or released.
        let this = self.clone();
        let work = self.state.tasks.spawn(async move { this.deliver(delivery).await });
        work.await.unwrap_or_else(|_| self.trouble(Trouble::Panicked))
    }

    /// Asks the gate about the request: about a large one on a thread of its own, so that it holds nobody else up.
    pub(crate) async fn ask<R: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Gate, &Request<'_>) -> Result<R, CallError> + Send + 'static,
    ) -> Result<R, CallError> {
        let ask = |this: &Self| this.received.lend(|request| question(&this.active.gate, request));
        if self.received.body.len() < LARGE {
            return ask(self);
        }
        let turn = self.state.large_bodies.clone().acquire_owned().await;
        let this = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            ask(&this)
        });
        work.await.unwrap_or_else(|panic| Err(CallError::Trapped(panic.to_string())))
    }

    async fn deliver(self: &Arc<Self>, mut delivery: Deliver) -> Answer {
        let deadline = self.started + self.state.limits.answer_time;
        let Sent { tries, answer } = deliver(self, &mut delivery, deadline).await;
        match answer {
            Ok((result, response)) => {
                self.close(respond(response), Story::Genuine { delivery: &delivery, result, tries: &tries })
            }
            Err(error) => self.trouble(Trouble::Gate(error)),
        }
    }

    /// Sends a browser on. Who hangs up ends it: nothing was claimed, and nothing is remembered.
    async fn send_on(&self, redirect: &Redirect) -> Answer {
        let place = Some(Place::SetupLink(&redirect.setup_link));
        let relay = match &redirect.onward {
            Onward::Page(page) => {
                return self.close_at(place, respond(page.clone()), Story::Redirect { redirect, relayed: None });
            }
            Onward::Target(relay) => relay,
        };
        let deadline = self.started + self.state.limits.answer_time;
        let (relayed, answer) = redirect::relay(self, relay, deadline).await;
        match answer {
            Ok(answer) => self.close_at(place, answer, Story::Redirect { redirect, relayed: Some(&relayed) }),
            Err(error) => self.trouble_at(place, Trouble::Gate(error)),
        }
    }

    fn not_ours(&self) -> Answer {
        self.close(plain(StatusCode::NOT_FOUND), Story::NotOurs)
    }

    fn refuse(&self, refusal: Refusal) -> Answer {
        let link = refusal.source.as_deref().map(Place::SetupLink);
        let place = self.place().or(link);
        self.close_at(place, respond(refusal.response), Story::Refused(refusal.rejection))
    }

    fn trouble(&self, trouble: Trouble) -> Answer {
        self.trouble_at(self.place(), trouble)
    }

    fn trouble_at(&self, place: Option<Place<'_>>, trouble: Trouble) -> Answer {
        let mut answer = plain(trouble.status());
        if matches!(trouble, Trouble::Overloaded) {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
        }
        self.close_at(place, answer, Story::Trouble(trouble))
    }

    /// The source that the path belongs to.
    fn place(&self) -> Option<Place<'_>> {
        self.source.as_deref().map(Place::Source)
    }

    fn close(&self, answer: Answer, story: Story<'_>) -> Answer {
        self.close_at(self.place(), answer, story)
    }

    /// Tells what became of the request, and gives the answer back.
    fn close_at(&self, place: Option<Place<'_>>, answer: Answer, story: Story<'_>) -> Answer {
        self.state.tell(&Report {
            received: &self.received,
            place,
            status: answer.status(),
            took: self.started.elapsed(),
            story,
        });
        answer
    }
}

pub(crate) fn respond(response: Response) -> Answer {
    let mut answer = http::Response::builder().status(response.status);
    for header in &response.headers {
        answer = answer.header(&header.name, header.value.as_slice());
    }
    let body = Full::new(Bytes::from(response.body));
    answer.body(body).unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn plain(status: StatusCode) -> Answer {
    let text = status.canonical_reason().unwrap_or_default();
    let mut answer = http::Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *answer.status_mut() = status;
    answer
}
