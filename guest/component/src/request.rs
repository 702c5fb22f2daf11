//! What callers hand over, borrowed for the core.

use alloc::vec::Vec;

use crate::convert::variants;
use crate::{core, wit};

/// The headers, which a head and a request borrow.
pub(crate) fn headers(headers: &[wit::Header]) -> Vec<core::Header<'_>> {
    headers.iter().map(|header| core::Header { name: &header.name, value: &header.value }).collect()
}

pub(crate) fn head<'a>(head: &'a wit::Head, headers: &'a [core::Header<'a>]) -> core::Head<'a> {
    core::Head { method: &head.method, path: &head.path, headers }
}

pub(crate) fn request<'a>(request: &'a wit::Request, headers: &'a [core::Header<'a>]) -> core::Request<'a> {
    core::Request { head: head(&request.head, headers), body: &request.body }
}

pub(crate) fn secrets(secrets: &[wit::Secret]) -> Vec<core::Secret<'_>> {
    secrets.iter().map(|secret| core::Secret { name: &secret.name, value: &secret.value }).collect()
}

pub(crate) fn attempts(attempts: &[wit::Attempt]) -> Vec<core::Attempt<'_>> {
    use crate::convert::Convert;
    attempts
        .iter()
        .map(|attempt| core::Attempt { target: &attempt.target, outcome: attempt.outcome.convert() })
        .collect()
}

variants! {
    wit::Outcome => core::Outcome { Answered(status), TimedOut, Unreachable, InFlight, Duplicate }
}
