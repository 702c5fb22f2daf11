//! The lines in Envoy's log that say why requests are refused.
//!
//! Anybody can send what is refused, and a line costs more than all else that the filter does about it. So of each reason the first is
//! told at once, and what follows once a second, by its number; each for itself stands in the access log.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::host::{self, Level};

/// How often what follows is told, in nanoseconds.
const EVERY: u64 = 1_000_000_000;

/// Refusals by source and reason, whose number the policy bounds.
#[derive(Default)]
pub(crate) struct Refusals(RefCell<State>);

#[derive(Default)]
struct State {
    /// Those of which there is a line since the last round.
    told: Vec<Refused>,
    /// When the next round is, in nanoseconds.
    next: u64,
}

struct Refused {
    source: String,
    reason: &'static str,
    status: u16,
    /// How many came since the line.
    more: u32,
}

impl Refusals {
    /// A request was refused. Says whether that was told at once.
    pub(crate) fn add(&self, source: &str, reason: &'static str, status: u16) -> bool {
        let told = &mut self.0.borrow_mut().told;
        if let Some(refused) =
            told.iter_mut().find(|refused| (refused.source.as_str(), refused.reason) == (source, reason))
        {
            refused.more = refused.more.saturating_add(1);
            return false;
        }
        host::log(Level::Warn, &line(source, reason, status));
        told.push(Refused { source: source.to_owned(), reason, status, more: 0 });
        true
    }

    /// Time has passed.
    pub(crate) fn tick(&self, now: u64) {
        let state = &mut *self.0.borrow_mut();
        if state.next <= now {
            state.next = now.saturating_add(EVERY);
            state.told.retain_mut(Refused::tell);
        }
    }
}

/// What has not been told yet is told when the policy goes.
impl Drop for Refusals {
    fn drop(&mut self) {
        self.0.get_mut().told.retain_mut(Refused::tell);
    }
}

impl Refused {
    /// Tells of what came since the last line; says whether there was anything.
    fn tell(&mut self) -> bool {
        let more = core::mem::take(&mut self.more);
        if more > 0 {
            host::log(Level::Warn, &format!("{} times={more}", line(&self.source, self.reason, self.status)));
        }
        more > 0
    }
}

fn line(source: &str, reason: &str, status: u16) -> String {
    format!("hookgate: refused source={source} reason={reason} status={status}")
}
