//! A browser that came back from a setup link. Nothing about it is signed, so nothing is claimed and nothing is remembered; a
//! target's answer is the browser's.

use std::time::Duration;

use hookgate_core::{Attempt, Gate, Head, Onward, Outcome, Redirect, Relay, Target};

use crate::forward::Original;
use crate::log;
use crate::reactor::Instant;
use crate::receive::Answer;
use crate::url::Url;

/// Answers with the page, or as the target does.
pub(crate) async fn send_on(
    gate: &Gate,
    redirect: Redirect<'_>,
    head: &Head<'_>,
    fields: &[(String, Vec<u8>)],
    deadline: Instant,
) -> Answer {
    let outcome = redirect.outcome.as_str();
    let mut line = format!("setup_link={} unsigned redirect={outcome}", redirect.setup_link);
    let answer = match redirect.onward {
        Onward::Page(page) => page.into(),
        Onward::Target(relay) => match ask(gate, &relay, head, fields, deadline).await {
            Ok(answer) => {
                line.push_str(&format!(" {}={}", relay.target, answer.status));
                answer
            }
            Err(outcome) => {
                let failure = if outcome == Outcome::TimedOut { "timed-out" } else { "unreachable" };
                line.push_str(&format!(" {}={failure}", relay.target));
                gate.settle(&[Attempt { target: relay.target, outcome }]).response.into()
            }
        },
    };
    log::line(&format!("{} {line}", answer.status));
    answer
}

async fn ask(
    gate: &Gate,
    relay: &Relay<'_>,
    head: &Head<'_>,
    fields: &[(String, Vec<u8>)],
    deadline: Instant,
) -> Result<Answer, Outcome> {
    let target = gate.target(relay.target);
    let url = target.and_then(Target::url).and_then(Url::parse).ok_or(Outcome::Unreachable)?;
    let timeout = Duration::from_millis(target.map_or(0, Target::timeout_ms).into());
    let deadline = deadline.min(Instant::now().after(timeout));
    Original { fields, body: b"" }.relay(relay, head.method == "HEAD", &url, head.query(), deadline).await
}
