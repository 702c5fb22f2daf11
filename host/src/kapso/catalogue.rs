//! The events that Kapso's documentation names.
//!
//! Kapso refuses a webhook for any other name with 422, so names are checked here before anything is sent. What *comes in* is
//! never compared with this list: it grows, and unknown events pass the gate.
//!
//! From the event catalogue of Kapso's agent skill `integrate-whatsapp`, and "Project webhooks" and "Legacy" in its
//! documentation of webhooks.

use strsim::damerau_levenshtein;

use self::PayloadVersion::{V1, V2};
use self::Scope::{PhoneNumber, Project};

/// An event that a webhook can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name, as in `X-Webhook-Event`: `whatsapp.message.received`.
    pub name: &'static str,
    /// Which webhooks can ask for it.
    pub scope: Scope,
    /// Whether deliveries of it can be collected into batches.
    pub bufferable: bool,
    /// The shapes that its body has, as far as they are documented.
    pub versions: &'static [PayloadVersion],
    /// When it is sent, as the end of "sent when …".
    pub when: &'static str,
}

/// Which webhooks get an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A webhook of one phone number: messages, conversations, contacts.
    PhoneNumber,
    /// A webhook of the whole project: connections, enforcement, workflows, agents.
    Project,
}

/// The shape of a delivery's body, as in `X-Webhook-Payload-Version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum PayloadVersion {
    /// The legacy shape, around a `whatsapp_config`.
    V1,
    /// The present shape, and what a webhook gets unless it asks for another.
    #[default]
    V2,
}

impl PayloadVersion {
    /// As Kapso writes it: `v1` or `v2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// All of them, those of phone numbers first.
pub const EVENTS: [Event; 28] = [
    Event { bufferable: true, ..message("whatsapp.message.received", "a customer's message arrives") },
    message("whatsapp.message.sent", "WhatsApp has accepted a message from the business, by whatever way it was sent"),
    message("whatsapp.message.delivered", "a message has reached the customer's device"),
    message("whatsapp.message.read", "the customer has read a message"),
    message(
        "whatsapp.message.failed",
        "a message could not be sent or delivered; may come before, or without, its sent",
    ),
    message("whatsapp.conversation.created", "a conversation begins"),
    message("whatsapp.conversation.ended", "a conversation is closed, or has been idle for 24 hours"),
    message("whatsapp.conversation.inactive", "nobody has written for the webhook's inactivity minutes"),
    of(PhoneNumber, &[V2], "whatsapp.contact.identity_changed", "a contact has got a new business-scoped user id"),
    of(
        PhoneNumber,
        &[V2],
        "whatsapp.contact.marketing_preference_changed",
        "a contact stops or resumes marketing messages from this number",
    ),
    of(
        PhoneNumber,
        &[V2],
        "whatsapp.meta_business_agent.handover",
        "Meta's business agent hands a conversation over, or takes it",
    ),
    of(Project, &[V2], "whatsapp.phone_number.created", "a customer has connected a number through a setup link"),
    of(Project, &[V2], "whatsapp.phone_number.deleted", "a number is being removed"),
    of(Project, &[V2], "whatsapp.phone_number.offboarded", "Meta has offboarded a number"),
    of(
        Project,
        &[V2],
        "whatsapp.phone_number.disconnected",
        "the partner's access to a number was removed, or the app uninstalled",
    ),
    of(Project, &[V2], "whatsapp.phone_number.reconnected", "a number's connection is restored"),
    of(Project, &[V2], "whatsapp.account.disabled", "Meta has disabled a WhatsApp business account"),
    of(Project, &[V2], "whatsapp.account.restricted", "Meta has restricted a WhatsApp business account"),
    of(Project, &[V2], "whatsapp.account.reinstated", "Meta has reinstated a WhatsApp business account"),
    of(Project, &[V2], "whatsapp.account.violation", "Meta reports a violation by a WhatsApp business account"),
    of(Project, &[V2], "workflow.execution.handoff", "a workflow hands over to a human"),
    of(Project, &[V2], "workflow.execution.failed", "a workflow's execution fails"),
    of(Project, &[V2], "project.event", "one of the project's own events is emitted"),
    of(
        Project,
        &[V2],
        "kapso_agent.run.approval_required",
        "an agent's run that was started through the API needs an approval",
    ),
    of(Project, &[V2], "kapso_agent.run.completed", "an agent's run that was started through the API is done"),
    of(Project, &[V2], "kapso_agent.run.failed", "an agent's run that was started through the API has failed"),
    of(Project, &[V2], "kapso_agent.run.cancelled", "an agent's run that was started through the API was cancelled"),
    of(Project, &[V1], "whatsapp.config.created", "a customer has connected a number (legacy)"),
];

const fn of(scope: Scope, versions: &'static [PayloadVersion], name: &'static str, when: &'static str) -> Event {
    Event { name, scope, bufferable: false, versions, when }
}

/// An event of messages and conversations, which both versions know.
const fn message(name: &'static str, when: &'static str) -> Event {
    of(PhoneNumber, &[V1, V2], name, when)
}

/// Whose webhooks get events of this name, known or not: it is the beginning that says so.
pub fn scope_of(name: &str) -> Scope {
    const OF_A_NUMBER: [&str; 4] =
        ["whatsapp.message.", "whatsapp.conversation.", "whatsapp.contact.", "whatsapp.meta_business_agent."];
    if OF_A_NUMBER.iter().any(|beginning| name.starts_with(beginning)) { PhoneNumber } else { Project }
}

/// The event of this name.
pub fn find(name: &str) -> Option<&'static Event> {
    EVENTS.iter().find(|event| event.name == name)
}

/// The name that somebody who wrote `name` is likely to have meant; none when none is close. The beginning may be missing:
/// `mesage.received` is close to `whatsapp.message.received`.
pub fn suggest(name: &str) -> Option<&'static str> {
    let written = plain(name);
    let letters = written.chars().count();
    if letters > 128 {
        return None;
    }
    // Of a short name, half must be right.
    let most = letters.div_ceil(2).min(3);
    EVENTS
        .iter()
        .map(|event| (distance(&written, event.name), event.name))
        .filter(|(distance, _)| *distance <= most && *distance < letters)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// From the whole name, or from its end after any of its dots.
fn distance(written: &str, name: &str) -> usize {
    let name = plain(name);
    let ends = name.match_indices('.').filter_map(|(at, _)| name.get(at + 1..));
    let whole = damerau_levenshtein(written, &name);
    ends.map(|end| damerau_levenshtein(written, end)).fold(whole, usize::min)
}

/// In small letters, with one kind of separator.
fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace(['_', '-', '/', ' ', ':'], ".")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_name_is_there_once() {
        let names: BTreeSet<_> = EVENTS.iter().map(|event| event.name).collect();
        assert_eq!(names.len(), EVENTS.len());
        assert!(EVENTS.iter().all(|event| !event.versions.is_empty()));
    }

    /// The prefixes by which the gate tells the kinds apart.
    #[test]
    fn the_scope_is_what_the_beginning_says() {
        for event in &EVENTS {
            assert_eq!(event.scope, scope_of(event.name), "{}", event.name);
        }
    }

    #[test]
    fn only_received_messages_are_buffered() {
        let names: Vec<_> = EVENTS.iter().filter(|event| event.bufferable).map(|event| event.name).collect();
        assert_eq!(names, ["whatsapp.message.received"]);
    }

    #[test]
    fn a_name_is_found_exactly() {
        assert_eq!(find("project.event").map(|event| event.scope), Some(Project));
        assert_eq!(find("Project.event"), None);
        assert_eq!(find("whatsapp.config.deleted"), None);
    }

    #[test]
    fn misspellings_find_what_was_meant() {
        for (written, meant) in [
            ("whatsapp.message.recieved", "whatsapp.message.received"),
            ("whatsapp.mesage.recived", "whatsapp.message.received"),
            ("WHATSAPP_MESSAGE_RECEIVED", "whatsapp.message.received"),
            ("message.received", "whatsapp.message.received"),
            ("message_sent", "whatsapp.message.sent"),
            ("phone_number.created", "whatsapp.phone_number.created"),
            ("phone-number.delete", "whatsapp.phone_number.deleted"),
            ("identity_changed", "whatsapp.contact.identity_changed"),
            ("kapso_agent.run.canceled", "kapso_agent.run.cancelled"),
            ("workflow.execution.handof", "workflow.execution.handoff"),
            ("handover", "whatsapp.meta_business_agent.handover"),
        ] {
            assert_eq!(suggest(written), Some(meant), "{written}");
        }
    }

    #[test]
    fn nothing_is_suggested_for_what_is_far_off() {
        for written in ["", "x", "invoice.paid", "status_updates", "whatsapp.message.reaction", &"a".repeat(10_000)] {
            assert_eq!(suggest(written), None, "{written}");
        }
    }
}
