//! What a policy needs to be registered with Kapso, and how that differs from what is.
//!
//! A source is one address, and may need several webhooks: one for each phone number, one for the project. What a policy says
//! is read here; what it leaves open (which numbers, which of several sources is the project's) is for people to say, or is taken
//! from what is registered at the source's address.

mod plan;
mod rules;
mod sources;

pub(crate) use self::plan::{Action, Change, Plan, Why};
pub(crate) use self::sources::{Choices, Expected, Wanted};
