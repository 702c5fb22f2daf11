//! The forms that a delivery can have, and the families by which people ask for them.

use crate::kapso::catalogue::{EVENTS, Event, PayloadVersion};

/// The old agents product's events: the first names, and those that replaced them.
const LEGACY_AGENT: [&str; 8] = [
    "agent.execution.created",
    "agent.execution.updated",
    "agent.execution.completed",
    "agent.execution.failed",
    "agent_execution_started",
    "agent_execution_ended",
    "agent_execution_failed",
    "agent_execution_handoff",
];

/// A form that a delivery can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An event of the catalogue in one of the versions it has.
    Event(&'static Event, PayloadVersion),
    /// Several of an event that is buffered, in one envelope.
    Batch(&'static Event),
    /// What the test button in Kapso's dashboard sends.
    Test(&'static Event),
    /// The old agents product's webhook.
    LegacyAgent(&'static str),
    /// Meta's own body, with this signature.
    Meta(Signature),
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    /// Kapso, in `X-Webhook-Signature`.
    Kapso,
    /// Meta, in `X-Hub-Signature-256`.
    Hub,
}

/// A family by which people ask for forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// How many of about a hundred deliveries are of this family, unless people ask for something else.
    pub(crate) weight: u32,
    /// What belongs to it, for people.
    pub(crate) about: &'static str,
}

/// All families. The weights are about those of a busy support number.
pub(crate) const FAMILIES: [Family; 16] = [
    family("received", 34, "a customer's message, of every type"),
    family("batch", 8, "1 to 100 of them in one envelope, as with buffering on"),
    family("sent", 14, "a message that WhatsApp took from the business"),
    family("status", 25, "delivered, read, failed"),
    family("conversation", 4, "created, ended, inactive"),
    family("contact", 1, "identity and marketing preference changes"),
    family("handover", 1, "Meta's business agent hands over"),
    family("v1", 3, "the legacy payloads, flat and wrapped"),
    family("test", 1, "the dashboard's test button"),
    family("number", 1, "numbers connected, removed, offboarded …"),
    family("account", 1, "enforcement by Meta"),
    family("workflow", 1, "executions handed off or failed"),
    family("custom", 1, "a project's own events"),
    family("agent", 2, "agent runs, and the old agents' webhooks"),
    family("meta", 3, "Meta's own bodies, signed by Kapso"),
    family("hub", 0, "Meta's own bodies, signed by Meta (X-Hub-Signature-256)"),
];

/// Families that people may ask for together.
pub(crate) const GROUPS: [(&str, &[&str]); 1] = [("project", &["number", "account", "workflow", "custom", "agent"])];

const fn family(name: &'static str, weight: u32, about: &'static str) -> Family {
    Family { name, weight, about }
}

impl Form {
    /// Every form there is.
    pub(crate) fn all() -> Vec<Self> {
        let events =
            EVENTS.iter().flat_map(|event| event.versions.iter().map(move |version| Self::Event(event, *version)));
        let buffered = EVENTS.iter().filter(|event| event.bufferable);
        let buffered = buffered.flat_map(|event| [Self::Batch(event), Self::Test(event)]);
        let agents = LEGACY_AGENT.iter().map(|name| Self::LegacyAgent(name));
        let meta = [Self::Meta(Signature::Kapso), Self::Meta(Signature::Hub)];
        events.chain(buffered).chain(agents).chain(meta).collect()
    }

    /// The event's name, which Meta's own bodies have none of.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Event(event, _) | Self::Batch(event) | Self::Test(event) => Some(event.name),
            Self::LegacyAgent(name) => Some(name),
            Self::Meta(_) => None,
        }
    }

    /// The name of its family.
    pub(crate) fn family(self) -> &'static str {
        let event = match self {
            Self::Event(_, PayloadVersion::V1) => return "v1",
            Self::Event(event, PayloadVersion::V2) => event.name,
            Self::Batch(_) => return "batch",
            Self::Test(_) => return "test",
            Self::LegacyAgent(_) => return "agent",
            Self::Meta(Signature::Kapso) => return "meta",
            Self::Meta(Signature::Hub) => return "hub",
        };
        let mut parts = event.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("whatsapp"), Some("message"), Some("received")) => "received",
            (Some("whatsapp"), Some("message"), Some("sent")) => "sent",
            (Some("whatsapp"), Some("message"), _) => "status",
            (Some("whatsapp"), Some("conversation"), _) => "conversation",
            (Some("whatsapp"), Some("contact"), _) => "contact",
            (Some("whatsapp"), Some("meta_business_agent"), _) => "handover",
            (Some("whatsapp"), Some("phone_number" | "config"), _) => "number",
            (Some("whatsapp"), Some("account"), _) => "account",
            (Some("workflow"), ..) => "workflow",
            (Some("kapso_agent"), ..) => "agent",
            _ => "custom",
        }
    }

    /// Whether Kapso keeps its order within a conversation: what was received and sent, and handovers.
    pub(crate) fn ordered(self) -> bool {
        matches!(self.family(), "received" | "batch" | "sent" | "handover")
            || (self.family() == "v1"
                && self.name().is_some_and(|name| name.ends_with(".received") || name.ends_with(".sent")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_form_has_a_family_and_every_family_a_form() {
        let named: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        let used: BTreeSet<_> = Form::all().into_iter().map(Form::family).collect();
        assert_eq!(named, used);
        assert!(GROUPS.iter().all(|(_, members)| members.iter().all(|member| named.contains(member))));
    }

    #[test]
    fn every_event_of_the_catalogue_has_a_form_in_each_version() {
        let forms = Form::all();
        for event in &EVENTS {
            for version in event.versions {
                assert!(forms.contains(&Form::Event(event, *version)), "{}", event.name);
            }
        }
    }
}
