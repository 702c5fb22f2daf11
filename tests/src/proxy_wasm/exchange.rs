//! Requests and responses on their way through the filter, as Envoy's filter manager leads them.

use super::world::{Header, Local, Stream};
use super::{ROOT, Vm};
use crate::Delivery;

/// What a pause of request headers stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The headers alone: `allow_on_headers_stop_iteration: true`.
    Headers,
    /// Everything behind them too: Envoy's default.
    All,
}

/// What ends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The headers: there is no body.
    Headers,
    /// The last piece of the body.
    Body,
    /// A piece behind the body that is empty.
    EmptyPiece,
    /// Trailers: no piece of the body says that it is the last.
    Trailers(Vec<Header>),
    /// Nothing: the sender breaks off.
    Never,
}

/// A request as it arrives.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its header fields, pseudo-headers among them.
    pub headers: Vec<Header>,
    /// Its body in the pieces that come.
    pub pieces: Vec<Vec<u8>>,
    /// What ends it.
    pub end: End,
}

impl Request {
    /// A delivery posted to this path, in one piece.
    pub fn post(path: &str, delivery: &Delivery) -> Self {
        let pseudo = [(":method", "POST"), (":path", path), (":authority", "test"), (":scheme", "http")];
        let length = delivery.body.len().to_string();
        let fields = delivery.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields = pseudo.into_iter().chain(fields).chain([("content-length", length.as_str())]);
        let headers = fields.map(|(name, value)| (name.to_ascii_lowercase().into_bytes(), value.into())).collect();
        Request { headers, pieces: vec![delivery.body.clone()], end: End::Body }
    }

    /// With its body cut at these offsets.
    #[must_use]
    pub fn cut(mut self, at: &[usize]) -> Self {
        let body = self.pieces.concat();
        let bounds: Vec<_> = [0].iter().chain(at).copied().chain([body.len()]).collect();
        self.pieces = bounds.windows(2).map(|bounds| body[bounds[0]..bounds[1]].to_vec()).collect();
        self
    }

    /// With another end.
    #[must_use]
    pub fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }
}

/// A request as it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its header fields, pseudo-headers among them.
    pub headers: Vec<Header>,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Vec<Header>,
    /// The route was to be chosen anew.
    pub route_cleared: bool,
}

impl Message {
    /// A header's value as text, if it is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name.as_bytes()).map(|(_, value)| value);
        let value = values.next()?;
        values.next().is_none().then(|| std::str::from_utf8(value).ok())?
    }
}

/// An answer as the sender gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its other header fields.
    pub headers: Vec<Header>,
    /// Its body.
    pub body: Vec<u8>,
    /// What Envoy's access log says of it.
    pub details: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It went on.
    Passed(Message),
    /// It was answered by the filter.
    Answered(Answer),
    /// Neither yet.
    Held,
}

/// A request that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its context.
    pub id: u32,
    /// What became of it.
    pub fate: Fate,
}

impl Vm {
    /// Sends a request.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn send(&mut self, request: &Request) -> Given {
        let id = self.create();
        let ends_here = request.end == End::Headers;
        self.stream(id).request_headers = Some(request.headers.clone());
        let count = u32::try_from(request.headers.len()).expect("few headers");
        let mut passing =
            self.call_for(id, |vm| vm.callbacks.request_headers.call(&mut vm.store, (id, count, ends_here.into())));
        if passing {
            self.pass_on(id);
        } else if self.stop == Stop::All {
            return self.given(id);
        }
        let mut pieces = request.pieces.clone();
        if request.end == End::EmptyPiece {
            pieces.push(Vec::new());
        }
        let last = pieces.len().saturating_sub(1);
        for (index, piece) in pieces.into_iter().enumerate().filter(|_| !ends_here) {
            let ends_here = index == last && matches!(request.end, End::Body | End::EmptyPiece);
            if self.stream(id).answer.is_some() {
                break;
            }
            self.stream(id).request_body.get_or_insert_default().extend(piece);
            let size = self.stream(id).request_body.as_ref().map_or(0, Vec::len);
            let size = u32::try_from(size).expect("tests are small");
            passing =
                self.call_for(id, |vm| vm.callbacks.request_body.call(&mut vm.store, (id, size, ends_here.into())));
            if passing {
                self.pass_on(id);
            }
        }
        if let End::Trailers(trailers) = &request.end
            && self.stream(id).answer.is_none()
        {
            self.stream(id).request_trailers = Some(trailers.clone());
            let count = u32::try_from(trailers.len()).expect("few trailers");
            passing = self.call_for(id, |vm| vm.callbacks.request_trailers.call(&mut vm.store, (id, count)));
            if passing {
                self.pass_on(id);
            }
        }
        let ended = request.end != End::Never;
        assert!(!(passing && ended && self.stream(id).answer.is_some()), "a request that was answered went on");
        self.given(id)
    }

    /// The target answers the request that went on, its body in these pieces. The answer that the sender gets, if it gets one.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn target_answers(&mut self, id: u32, status: u16, pieces: &[&[u8]]) -> Option<Answer> {
        let headers = vec![
            (b":status".to_vec(), status.to_string().into_bytes()),
            (b"server".to_vec(), b"target".to_vec()),
            (b"content-length".to_vec(), pieces.concat().len().to_string().into_bytes()),
        ];
        self.respond(id, headers, "via_upstream", pieces.iter().map(|piece| piece.to_vec()).collect());
        self.answer(id)
    }

    /// Envoy answers in the target's place, saying why in its access log.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn envoy_answers(&mut self, id: u32, status: u16, details: &str) -> Option<Answer> {
        let headers = vec![(b":status".to_vec(), status.to_string().into_bytes())];
        self.respond(id, headers, details, vec![b"upstream connect error".to_vec()]);
        self.answer(id)
    }

    /// The first call that has not been answered is: by the target, or by Envoy (`None`: there was no connection).
    ///
    /// # Panics
    /// When there is no such call, or the filter traps.
    pub fn call_answers(&mut self, status: Option<u16>) {
        let call = self.world().calls.pop_front().expect("a call");
        let headers: Option<Vec<Header>> = status.map(|status| {
            vec![
                (b":status".to_vec(), status.to_string().into_bytes()),
                (b"x-envoy-upstream-service-time".to_vec(), b"1".to_vec()),
            ]
        });
        self.answer_call(call.token, headers);
    }

    /// Envoy answers the first call that has not been answered in the target's place.
    ///
    /// # Panics
    /// When there is no such call, or the filter traps.
    pub fn call_fails(&mut self, status: u16) {
        let call = self.world().calls.pop_front().expect("a call");
        self.answer_call(call.token, Some(vec![(b":status".to_vec(), status.to_string().into_bytes())]));
    }

    /// A call is answered that nobody made.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn answer_call(&mut self, token: u32, headers: Option<Vec<Header>>) {
        let count = headers.as_ref().map_or(0, |headers| u32::try_from(headers.len()).expect("few headers"));
        self.world().answered = headers.map(|headers| (headers, Vec::new()));
        self.world().enter(ROOT);
        self.callbacks.call_response.call(&mut self.store, (ROOT, token, count, 0, 0)).expect("no trap");
        self.world().answered = None;
        self.settle();
    }

    /// The answer that the sender of a request got, if it got one.
    pub fn answer(&mut self, id: u32) -> Option<Answer> {
        self.stream(id).answer.clone()
    }

    /// Whether the filter broke a request off.
    pub fn is_closed(&mut self, id: u32) -> bool {
        self.stream(id).closed
    }

    /// A word that the filter left for the access log.
    pub fn note(&mut self, id: u32, name: &str) -> Option<String> {
        let value = self.stream(id).properties.get(format!("hookgate.{name}").as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Envoy forgets a request.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn delete(&mut self, id: u32) {
        self.world().enter(id);
        self.callbacks.delete.call(&mut self.store, id).expect("no trap");
        self.world().streams.remove(&id);
        self.settle();
    }

    /// Calls a callback that Envoy would not call now; for a filter that must bear it.
    ///
    /// # Panics
    /// When the filter traps.
    pub fn out_of_turn(&mut self, id: u32, callback: u32, size: u32, end: bool) -> bool {
        self.world().enter(id);
        self.world().out_of_turn = true;
        let (store, callbacks, end) = (&mut self.store, &self.callbacks, u32::from(end));
        let action = match callback % 7 {
            0 => callbacks.request_headers.call(store, (id, size, end)),
            1 => callbacks.request_body.call(store, (id, size, end)),
            2 => callbacks.request_trailers.call(store, (id, size)),
            3 => callbacks.response_headers.call(store, (id, size, end)),
            4 => callbacks.response_body.call(store, (id, size, end)),
            5 => callbacks.response_trailers.call(store, (id, size)),
            _ => callbacks.call_response.call(store, (ROOT, id, size, 0, 0)).map(|()| 1),
        };
        action.expect("no trap") == 0
    }

    fn create(&mut self) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        self.world().streams.insert(id, Stream::default());
        self.world().enter(id);
        self.callbacks.context_create.call(&mut self.store, (id, ROOT)).expect("no trap");
        id
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        self.world().streams.get_mut(&id).expect("a request that was sent")
    }

    /// Calls a callback about a stream; says whether it is to go on. An answer of the filter's stops it, whatever it says.
    fn call_for(&mut self, id: u32, call: impl FnOnce(&mut Self) -> wasmtime::Result<u32>) -> bool {
        self.world().enter(id);
        let action = call(self).expect("no trap");
        let passes = action == 0 && self.stream(id).local.is_none();
        self.settle();
        passes
    }

    /// What is held goes on, and the filter can touch it no more.
    fn pass_on(&mut self, id: u32) {
        let stream = self.stream(id);
        let passed = stream.passed.get_or_insert_default();
        passed.headers.extend(stream.request_headers.take().unwrap_or_default());
        passed.body.extend(stream.request_body.take().unwrap_or_default());
        passed.trailers.extend(stream.request_trailers.take().unwrap_or_default());
        passed.route_cleared |= stream.route_cleared;
    }

    fn given(&mut self, id: u32) -> Given {
        let stream = self.stream(id);
        let fate = match (&stream.passed, &stream.answer) {
            (Some(passed), _) => Fate::Passed(passed.clone()),
            (None, Some(answer)) => Fate::Answered(answer.clone()),
            (None, None) => Fate::Held,
        };
        Given { id, fate }
    }

    /// Carries out what the filter asked for during a callback: Envoy does so when the callback has returned.
    pub(super) fn settle(&mut self) {
        let streams: Vec<u32> = self.world().streams.keys().copied().collect();
        for id in streams {
            if let Some(local) = self.stream(id).local.take() {
                assert!(!self.stream(id).responding, "a local answer while a response is under way hangs in Envoy");
                self.respond_locally(id, local);
            }
            if self.stream(id).resumed_response {
                self.stream(id).resumed_response = false;
                self.release(id);
            }
        }
    }

    fn respond_locally(&mut self, id: u32, local: Local) {
        let mut headers = local.headers;
        headers.insert(0, (b":status".to_vec(), local.status.to_string().into_bytes()));
        let details = String::from_utf8_lossy(&local.details).into_owned();
        let pieces = if local.body.is_empty() { Vec::new() } else { vec![local.body] };
        self.respond(id, headers, &details, pieces);
    }

    /// Leads a response through the filter.
    fn respond(&mut self, id: u32, headers: Vec<Header>, details: &str, pieces: Vec<Vec<u8>>) {
        let stream = self.stream(id);
        stream.responding = true;
        let count = u32::try_from(headers.len()).expect("few headers");
        stream.response_headers = Some(headers);
        stream.properties.insert(b"response\0code_details".to_vec(), details.as_bytes().to_vec());
        let bare = u32::from(pieces.is_empty());
        let mut passing = self.call_for(id, |vm| vm.callbacks.response_headers.call(&mut vm.store, (id, count, bare)));
        let last = pieces.len().saturating_sub(1);
        for (index, piece) in pieces.into_iter().enumerate() {
            self.stream(id).response_body.get_or_insert_default().extend(piece);
            let size = self.stream(id).response_body.as_ref().map_or(0, Vec::len);
            let size = u32::try_from(size).expect("tests are small");
            let end = u32::from(index == last);
            let passed = self.call_for(id, |vm| vm.callbacks.response_body.call(&mut vm.store, (id, size, end)));
            assert!(passing || !passed, "a response's body went on before its headers");
            passing = passing && passed;
            if passing {
                let stream = self.stream(id);
                let piece = stream.response_body.take().unwrap_or_default();
                stream.response_out.extend(piece);
            }
        }
        if passing {
            self.release(id);
        }
    }

    /// A response goes out as it is now.
    fn release(&mut self, id: u32) {
        let stream = self.stream(id);
        let mut headers = stream.response_headers.clone().unwrap_or_default();
        let status = headers.iter().position(|(name, _)| name == b":status").map(|at| headers.remove(at).1);
        let status = status.and_then(|status| String::from_utf8(status).ok()?.parse().ok()).unwrap_or(0);
        stream.response_out.extend(stream.response_body.take().unwrap_or_default());
        let body = std::mem::take(&mut stream.response_out);
        let details = stream.properties.get(&b"response\0code_details"[..]).cloned().unwrap_or_default();
        let details = String::from_utf8_lossy(&details).into_owned();
        assert!(stream.answer.is_none(), "a request was answered twice");
        stream.answer = Some(Answer { status, headers, body, details });
    }
}
