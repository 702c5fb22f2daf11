//! Everything but messages: conversations, contacts, numbers, accounts, workflows, custom events, agent runs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::Serialize;

use super::Detail;
use super::message::{Conversation, Message};
use crate::event::{Span, Text};
use crate::json::{ParseError, Reader};
use crate::record::{Read, record};

/// `whatsapp.conversation.*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ConversationEvent<'a> {
    /// The conversation.
    pub conversation: Conversation<'a>,
    /// The minutes without a message.
    pub inactive_minutes: Option<u32>,
    /// The message since when.
    pub since_message_id: Option<Text<'a>>,
}

record! {
    /// `whatsapp.contact.*`.
    pub struct ContactEvent<'a> {
        /// Kapso's id of the contact.
        pub id: Option<Text<'a>> = "id",
        /// The Kapso customer.
        pub customer_id: Option<Text<'a>> = "customer_id",
        /// The WhatsApp id.
        pub wa_id: Option<Text<'a>> = "wa_id",
        /// The name that the contact chose.
        pub profile_name: Option<Text<'a>> = "profile_name",
        /// The name that Kapso shows.
        pub display_name: Option<Text<'a>> = "display_name",
        /// Includes the `@`.
        pub username: Option<Text<'a>> = "username",
        /// The business-scoped user id.
        pub business_scoped_user_id: Option<Text<'a>> = "business_scoped_user_id",
        /// What it was before.
        pub previous_business_scoped_user_id: Option<Text<'a>>,
        /// `whatsapp.contact.marketing_preference_changed`.
        pub marketing: Option<MarketingPreference<'a>>,
    }
}

record! {
    /// A contact's wish. Unordered and at least once: apply only a `sequence` greater than the last.
    pub struct MarketingPreference<'a> {
        /// `stopped` or `resumed`.
        pub status: Option<Text<'a>> = "status",
        /// None the first time.
        pub previous_status: Option<Text<'a>> = "previous_status",
        /// In words.
        pub detail: Option<Text<'a>> = "detail",
        /// Whole seconds.
        pub occurred_at: Option<Text<'a>> = "occurred_at",
        /// Grows with every change.
        pub sequence: Option<u64> = "sequence",
    }
}

/// `whatsapp.phone_number.*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PhoneNumberEvent<'a> {
    /// Stable per number and Meta event.
    pub id: Option<Text<'a>>,
    /// ISO 8601.
    pub occurred_at: Option<Text<'a>>,
    /// The Kapso project.
    pub project_id: Option<Text<'a>>,
    /// The customer's id in your system.
    pub external_customer_id: Option<Text<'a>>,
    /// `dedicated` or `coexistence`.
    pub connection_type: Option<Text<'a>>,
    /// Why it was disconnected.
    pub disconnection_reason: Option<Text<'a>>,
    /// Who did it.
    pub initiated_by: Option<Text<'a>>,
}

/// `whatsapp.account.*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AccountEvent<'a> {
    /// The event's id.
    pub id: Option<Text<'a>>,
    /// ISO 8601.
    pub occurred_at: Option<Text<'a>>,
    /// The Kapso project.
    pub project_id: Option<Text<'a>>,
    /// The numbers of the account.
    pub phone_number_ids: Vec<Text<'a>>,
    /// What is restricted.
    pub restrictions: Vec<Restriction<'a>>,
    /// What was violated.
    pub violation_type: Option<Text<'a>>,
    /// `DISABLE` or `REINSTATE`.
    pub ban_state: Option<Text<'a>>,
}

record! {
    /// Something an account may not do.
    pub struct Restriction<'a> {
        /// Meta's name for it.
        pub r#type: Option<Text<'a>> = "type",
        /// ISO 8601.
        pub expires_at: Option<Text<'a>> = "expires_at",
    }
}

/// `workflow.execution.*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkflowEvent<'a> {
    /// The execution.
    pub execution_id: Option<Text<'a>>,
    /// The workflow.
    pub workflow_id: Option<Text<'a>>,
    /// The Kapso project.
    pub project_id: Option<Text<'a>>,
    /// `handoff`, `failed` …
    pub status: Option<Text<'a>>,
    /// For support.
    pub tracking_id: Option<Text<'a>>,
    /// `whatsapp` …
    pub channel: Option<Text<'a>>,
    /// ISO 8601.
    pub occurred_at: Option<Text<'a>>,
    /// Why a human is needed.
    pub handoff_reason: Option<Text<'a>>,
    /// `agent_tool` or `action_step`.
    pub handoff_source: Option<Text<'a>>,
    /// What went wrong.
    pub error_message: Option<Text<'a>>,
}

/// `project.event`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProjectEvent<'a> {
    /// The event's id.
    pub id: Option<Text<'a>>,
    /// The customer's own name for what happened.
    pub name: Option<Text<'a>>,
    /// The Kapso project.
    pub project_id: Option<Text<'a>>,
    /// ISO 8601.
    pub occurred_at: Option<Text<'a>>,
    /// The raw JSON.
    #[serde(skip)]
    pub properties: Option<Span>,
}

/// `kapso_agent.run.*`, and the older agents' `agent.execution.*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AgentRun<'a> {
    /// The event's id; the execution's for the older agents.
    pub id: Option<Text<'a>>,
    /// The run.
    pub run_id: Option<Text<'a>>,
    /// The session.
    pub session_id: Option<Text<'a>>,
    /// The agent's name or id.
    pub agent: Option<Text<'a>>,
    /// `completed`, `failed` …
    pub status: Option<Text<'a>>,
    /// `run_failed` or `run_cancelled`.
    pub error_code: Option<Text<'a>>,
    /// What went wrong.
    pub error_message: Option<Text<'a>>,
    /// ISO 8601.
    pub created_at: Option<Text<'a>>,
    /// ISO 8601.
    pub finished_at: Option<Text<'a>>,
    /// The raw JSON of the result.
    #[serde(skip)]
    pub result: Option<Span>,
}

/// v1's `whatsapp.config.*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ConfigEvent<'a> {
    /// The configuration's id.
    pub config_id: Option<Text<'a>>,
    /// Its name.
    pub name: Option<Text<'a>>,
    /// As shown to people.
    pub display_phone_number: Option<Text<'a>>,
    /// The Kapso project.
    pub project_id: Option<Text<'a>>,
    /// The customer's id in your system.
    pub external_customer_id: Option<Text<'a>>,
    /// The setup link that was used.
    pub setup_link_id: Option<Text<'a>>,
    /// Shared with the WhatsApp Business App.
    pub is_coexistence: Option<bool>,
}

record! {
    /// An item as bodies have it, whatever its family.
    struct Raw<'a> {
        id: Option<Text<'a>> = "id",
        name: Option<Text<'a>> = "name",
        occurred_at: Option<Text<'a>> = "occurred_at",
        timestamp: Option<Text<'a>> = "timestamp",
        created_at: Option<Text<'a>> = "created_at",
        finished_at: Option<Text<'a>> = "finished_at",
        status: Option<Text<'a>> = "status",
        bare_project_id: Option<Text<'a>> = "project_id",
        connection_type: Option<Text<'a>> = "connection_type",
        workflow_id: Option<Text<'a>> = "workflow_id",
        workflow_execution_id: Option<Text<'a>> = "workflow_execution_id",
        tracking_id: Option<Text<'a>> = "tracking_id",
        channel: Option<Text<'a>> = "channel",
        #[serde(skip)]
        properties: Option<Span> = "properties",
        run_id: Option<Text<'a>> = "run_id",
        session_id: Option<Text<'a>> = "session_id",
        agent: Option<Text<'a>> = "agent" with agent,
        #[serde(skip)]
        result: Option<Span> = "result",
        #[serde(skip)]
        results: Option<Span> = "results",
        message: Option<Message<'a>> = "message",
        conversation: Option<Conversation<'a>> = "conversation",
        contact: Option<ContactEvent<'a>> = "contact",
        previous: ContactEvent<'a> = "previous",
        marketing_preference: Option<MarketingPreference<'a>> = "marketing_preference",
        since_message_id: Option<Text<'a>> = "since_message" with id,
        inactive_minutes: Option<Text<'a>> = "inactivity" with minutes,
        whatsapp_config: Option<Config<'a>> = "whatsapp_config",
        project_id: Option<Text<'a>> = "project" with id,
        customer: Customer<'a> = "customer",
        setup_link_id: Option<Text<'a>> = "setup_link" with id,
        disconnection: Disconnection<'a> = "disconnection",
        phone_numbers: Vec<Named<'a>> = "phone_numbers",
        restrictions: Vec<Restriction<'a>> = "restrictions",
        violation: Restriction<'a> = "violation",
        ban_state: Option<Text<'a>> = "ban" with state,
        handoff: Handoff<'a> = "handoff",
        error: Failure<'a> = "error",
    }
}

record! { struct Named<'a> { id: Option<Text<'a>> = "id", } }

record! {
    struct Config<'a> {
        id: Option<Text<'a>> = "id",
        name: Option<Text<'a>> = "name",
        display_phone_number: Option<Text<'a>> = "display_phone_number",
        is_coexistence: Option<bool> = "is_coexistence",
    }
}

record! {
    struct Customer<'a> {
        external_id: Option<Text<'a>> = "external_id",
        external_customer_id: Option<Text<'a>> = "external_customer_id",
    }
}

record! {
    struct Disconnection<'a> {
        reason: Option<Text<'a>> = "reason",
        initiated_by: Option<Text<'a>> = "initiated_by",
    }
}

record! {
    struct Handoff<'a> {
        reason: Option<Text<'a>> = "reason",
        source: Option<Text<'a>> = "source",
    }
}

record! {
    struct Failure<'a> {
        code: Option<Text<'a>> = "code",
        message: Option<Text<'a>> = "message",
    }
}

type Member<'a> = Result<Option<Text<'a>>, ParseError>;

fn id<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    reader.member("id")
}

fn state<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    reader.member("state")
}

fn minutes<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    reader.member("minutes")
}

/// An agent's name: itself, or in an object.
fn agent<'a>(reader: &mut Reader<'a>) -> Member<'a> {
    if reader.at_string() { reader.string() } else { reader.member("name") }
}

/// A single delivery or an item, with what stands in its `data`, if that is an object.
pub(super) struct Payload<'a> {
    root: Raw<'a>,
    data: Option<Raw<'a>>,
}

impl<'a> Read<'a> for Payload<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let (mut root, mut data) = (Raw::default(), None);
        reader.object(|reader, key| match key {
            "data" => Read::read(reader).map(|read| data = read),
            _ => root.member(reader, key),
        })?;
        Ok(Self { root, data })
    }
}

impl<'a> Payload<'a> {
    pub(super) fn into_detail(self, name: &str) -> Detail<'a> {
        let families: [(&str, fn(Self) -> Detail<'a>); 7] = [
            ("kapso_agent.", Self::agent_run),
            ("agent.", Self::agent_run),
            ("agent_execution_", Self::agent_run),
            ("whatsapp.phone_number.", Self::phone_number),
            ("whatsapp.account.", Self::account),
            ("workflow.", Self::workflow),
            ("project.", Self::project),
        ];
        match families.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            Some((_, family)) => family(self),
            None => self.by_shape(),
        }
    }

    fn by_shape(self) -> Detail<'a> {
        let raw = match self.data {
            Some(data) if data.message.is_some() || data.conversation.is_some() || data.whatsapp_config.is_some() => {
                data
            }
            _ => self.root,
        };
        if let Some(mut message) = raw.message {
            message.conversation = raw.conversation;
            return Detail::Message(Box::new(message));
        }
        if let Some(contact) = raw.contact {
            return Detail::Contact(ContactEvent {
                previous_business_scoped_user_id: raw.previous.business_scoped_user_id,
                marketing: raw.marketing_preference,
                ..contact
            });
        }
        if let Some(conversation) = raw.conversation {
            return Detail::Conversation(ConversationEvent {
                conversation,
                inactive_minutes: raw.inactive_minutes.and_then(|minutes| minutes.parse().ok()),
                since_message_id: raw.since_message_id,
            });
        }
        if let Some(config) = raw.whatsapp_config {
            return Detail::Config(ConfigEvent {
                config_id: config.id,
                name: config.name,
                display_phone_number: config.display_phone_number,
                project_id: raw.project_id,
                external_customer_id: raw.customer.external_customer_id.or(raw.customer.external_id),
                setup_link_id: raw.setup_link_id,
                is_coexistence: config.is_coexistence,
            });
        }
        Detail::Other
    }

    fn agent_run(self) -> Detail<'a> {
        let root = self.root;
        let data = self.data.unwrap_or_default();
        Detail::AgentRun(AgentRun {
            id: root.id,
            run_id: data.run_id,
            session_id: data.session_id,
            agent: data.agent.or(root.agent),
            status: data.status.or(root.status),
            error_code: data.error.code.or(root.error.code),
            error_message: data.error.message.or(root.error.message),
            created_at: data.created_at.or(root.created_at).or(root.timestamp),
            finished_at: data.finished_at,
            result: data.result.or(root.results),
        })
    }

    fn phone_number(self) -> Detail<'a> {
        let raw = self.root;
        Detail::PhoneNumber(PhoneNumberEvent {
            id: raw.id,
            occurred_at: raw.occurred_at,
            project_id: raw.project_id,
            external_customer_id: raw.customer.external_id.or(raw.customer.external_customer_id),
            connection_type: raw.connection_type,
            disconnection_reason: raw.disconnection.reason,
            initiated_by: raw.disconnection.initiated_by,
        })
    }

    fn account(self) -> Detail<'a> {
        let raw = self.root;
        Detail::Account(AccountEvent {
            id: raw.id,
            occurred_at: raw.occurred_at,
            project_id: raw.project_id,
            phone_number_ids: raw.phone_numbers.into_iter().filter_map(|number| number.id).collect(),
            restrictions: raw.restrictions,
            violation_type: raw.violation.r#type,
            ban_state: raw.ban_state,
        })
    }

    fn workflow(self) -> Detail<'a> {
        let raw = self.root;
        Detail::Workflow(WorkflowEvent {
            execution_id: raw.workflow_execution_id,
            workflow_id: raw.workflow_id,
            project_id: raw.bare_project_id,
            status: raw.status,
            tracking_id: raw.tracking_id,
            channel: raw.channel,
            occurred_at: raw.occurred_at,
            handoff_reason: raw.handoff.reason,
            handoff_source: raw.handoff.source,
            error_message: raw.error.message,
        })
    }

    fn project(self) -> Detail<'a> {
        let raw = self.root;
        Detail::Project(ProjectEvent {
            id: raw.id,
            name: raw.name,
            project_id: raw.bare_project_id,
            occurred_at: raw.occurred_at,
            properties: raw.properties,
        })
    }
}
