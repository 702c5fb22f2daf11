//! What is seen of a request from outside: in the log, the statistics and the access log.

use alloc::format;

use hookgate_core::{Deliver, Quoted, Refusal, printable};

use crate::host::{self, Level};
use crate::policy::Policy;

/// The log, a count and the access log's words for a request that is not taken.
pub(crate) fn report(policy: &Policy, refusal: &Refusal<'_>) {
    let source = refusal.source.unwrap_or_default();
    let result = refusal.rejection.map_or("handshake", |rejection| rejection.as_str());
    note("hookgate.source", source);
    count(policy, source, result);
    if refusal.rejection.is_some() {
        policy.refusals.add(source, result, refusal.response.status);
    }
}

/// A count and the access log's word for what a request came to, which `place` took: a source or a setup link.
pub(crate) fn count(policy: &Policy, place: &str, result: &'static str) {
    policy.stats.request(place, result);
    note("hookgate.result", result);
}

/// The access log's words for a genuine delivery, and a line for what is odd about it.
pub(crate) fn describe(policy: &Policy, deliver: &Deliver<'_>) {
    let source = deliver.proof.source;
    note("hookgate.source", source);
    if let Some(name) = &deliver.delivery.name {
        note("hookgate.event", &printable(name));
    }
    if let Some(rule) = deliver.routes.iter().find_map(|route| route.rule) {
        note("hookgate.rule", rule);
    }
    if let Some(error) = &deliver.unreadable {
        policy.stats.notice(source, "unreadable");
        host::log(Level::Warn, &format!("hookgate: unreadable source={source} because={error}"));
    }
    for contradiction in &deliver.delivery.contradictions {
        policy.stats.notice(source, "contradiction");
        host::log(
            Level::Warn,
            &format!(
                "hookgate: contradiction source={source} header={} claimed={} body={}",
                contradiction.header,
                Quoted(&contradiction.claimed),
                Quoted(&contradiction.actual)
            ),
        );
    }
}

/// Leaves a word for Envoy's access log: `%FILTER_STATE(wasm.NAME:PLAIN)%`.
pub(crate) fn note(name: &str, value: &str) {
    // An access log without it is no reason to fail a delivery.
    let _ = host::set_property(name, value);
}
