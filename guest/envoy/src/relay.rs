//! A browser that came back from a setup link, on its way onward. Nothing about it is signed, so nothing is claimed and nothing is
//! remembered; a target's answer is the browser's.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use hookgate_core::{Attempt, HeaderOut, Onward, Outcome, Redirect, Response, Settlement};

use crate::callout;
use crate::delivery::{ANSWER_WITHIN, Held, Remainder};
use crate::headers::{self, Address};
use crate::host::{self, Fault, Map, Result};
use crate::policy::Policy;
use crate::seen::{count, note};

/// A browser's request that a target has not answered.
pub(crate) struct Relaying {
    setup_link: String,
    /// Where in the policy's endpoints.
    target: usize,
    /// For the target's answer where it has none of the name.
    answer_headers: Vec<HeaderOut>,
    /// When waiting for it ends, in nanoseconds.
    until: u64,
}

/// Answers with the page, or turns the held request into the target's.
pub(crate) fn send_on(policy: &Policy, redirect: Redirect<'_>, query: &str) -> Result<Option<Relaying>> {
    let (setup_link, outcome) = (redirect.setup_link.to_owned(), redirect.outcome.as_str());
    note("hookgate.source", &setup_link);
    note("hookgate.redirect", outcome);
    let relay = match redirect.onward {
        Onward::Page(page) => {
            count(policy, &setup_link, "redirected");
            headers::answer(&page, "hookgate_redirected")?;
            return Ok(None);
        }
        Onward::Target(relay) => relay,
    };
    let target = policy.endpoint(relay.target).ok_or(Fault::nonsense("context"))?;
    let endpoint = policy.endpoints.get(target).ok_or(Fault::nonsense("context"))?;
    let address = endpoint.address.as_ref().map(|address| Address::with(address, query));
    headers::address(&relay.drop_headers, &relay.set_headers, &endpoint.cluster, address.as_ref(), None)?;
    let until = host::now()?.saturating_add(endpoint.timeout.min(ANSWER_WITHIN));
    Ok(Some(Relaying { setup_link, target, answer_headers: relay.answer_headers, until }))
}

impl Relaying {
    pub(crate) fn until(&self) -> u64 {
        self.until
    }

    /// The response's headers have come. Where they are not the target's, an answer of our own takes its place: what is left of
    /// that, and until when.
    pub(crate) fn answered(&self, policy: &Policy, bare: bool) -> Result<Option<(Remainder, u64)>> {
        let (outcome, _) = callout::of_response();
        if !matches!(outcome, Outcome::Answered(_)) {
            let remainder = Held::new(bare).replace(self.failed(policy, outcome))?;
            return Ok(Some((remainder, self.until)));
        }
        count(policy, &self.setup_link, "relayed");
        for HeaderOut { name, value } in &self.answer_headers {
            if host::header(Map::ResponseHeaders, name).is_err() {
                host::set_header(Map::ResponseHeaders, name, value.as_bytes())?;
            }
        }
        Ok(None)
    }

    /// The target has not answered in time.
    pub(crate) fn late(&self, policy: &Policy) -> Result<()> {
        headers::answer(&self.failed(policy, Outcome::TimedOut), "hookgate_settled")
    }

    fn failed(&self, policy: &Policy, outcome: Outcome) -> Response {
        let target = policy.endpoints.get(self.target).map_or("", |endpoint| &endpoint.target);
        let Settlement { response, result, .. } = policy.gate.settle(&[Attempt { target, outcome }]);
        count(policy, &self.setup_link, result.as_str());
        policy.refusals.add(&self.setup_link, result.as_str(), response.status);
        response
    }
}
