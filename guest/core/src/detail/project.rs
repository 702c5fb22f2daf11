//! Everything but messages: conversations, contacts, numbers, accounts, workflows, custom events, agent runs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Detail;
use super::message::{Conversation, Message};
use crate::event::Span;
use crate::json::{JsonStr, Reader, Result};
use crate::record::{self, Read, record};
use crate::write::written;

written! {
    /// `whatsapp.conversation.*`.
    pub struct ConversationEvent<'a> {
        /// The conversation.
        pub conversation: Conversation<'a>,
        /// The minutes without a message.
        pub inactive_minutes: Option<u32>,
        /// WhatsApp's id of the message since when.
        pub since_message_id: Option<JsonStr<'a>>,
    }
}

record! {
    /// `whatsapp.contact.*`.
    pub struct ContactEvent<'a> {
        /// Kapso's id of the contact.
        pub id: Option<JsonStr<'a>> = "id",
        /// The Kapso customer.
        pub customer_id: Option<JsonStr<'a>> = "customer_id",
        /// The WhatsApp id.
        pub wa_id: Option<JsonStr<'a>> = "wa_id",
        /// The name that the contact chose.
        pub profile_name: Option<JsonStr<'a>> = "profile_name",
        /// The name that Kapso shows.
        pub display_name: Option<JsonStr<'a>> = "display_name",
        /// Includes the `@`.
        pub username: Option<JsonStr<'a>> = "username",
        /// The business-scoped user id.
        pub business_scoped_user_id: Option<JsonStr<'a>> = "business_scoped_user_id",
        /// That of the portfolio's parent, where there is one.
        pub parent_business_scoped_user_id: Option<JsonStr<'a>> = "parent_business_scoped_user_id",
        /// What it was before.
        pub previous_business_scoped_user_id: Option<JsonStr<'a>>,
        /// What that of the parent was before.
        pub previous_parent_business_scoped_user_id: Option<JsonStr<'a>>,
        /// `whatsapp.contact.marketing_preference_changed`.
        pub marketing: Option<MarketingPreference<'a>>,
    }
}

record! {
    /// A contact's wish. Unordered and at least once: apply only a `sequence` greater than the last.
    pub struct MarketingPreference<'a> {
        /// `stopped` or `resumed`.
        pub status: Option<JsonStr<'a>> = "status",
        /// None the first time.
        pub previous_status: Option<JsonStr<'a>> = "previous_status",
        /// In words.
        pub detail: Option<JsonStr<'a>> = "detail",
        /// Whole seconds.
        pub occurred_at: Option<JsonStr<'a>> = "occurred_at",
        /// Grows with every change.
        pub sequence: Option<u64> = "sequence",
    }
}

written! {
    /// `whatsapp.phone_number.*`.
    pub struct PhoneNumberEvent<'a> {
        /// Stable per number and Meta event.
        pub id: Option<JsonStr<'a>>,
        /// ISO 8601.
        pub occurred_at: Option<JsonStr<'a>>,
        /// The Kapso project.
        pub project_id: Option<JsonStr<'a>>,
        /// The customer's id in your system.
        pub external_customer_id: Option<JsonStr<'a>>,
        /// `dedicated` or `coexistence`.
        pub connection_type: Option<JsonStr<'a>>,
        /// Why it was disconnected.
        pub disconnection_reason: Option<JsonStr<'a>>,
        /// Who did it.
        pub initiated_by: Option<JsonStr<'a>>,
    }
}

written! {
    /// `whatsapp.account.*`.
    pub struct AccountEvent<'a> {
        /// The event's id.
        pub id: Option<JsonStr<'a>>,
        /// ISO 8601.
        pub occurred_at: Option<JsonStr<'a>>,
        /// The Kapso project.
        pub project_id: Option<JsonStr<'a>>,
        /// The numbers of the account.
        pub phone_number_ids: Vec<JsonStr<'a>>,
        /// What is restricted.
        pub restrictions: Vec<Restriction<'a>>,
        /// What was violated.
        pub violation_type: Option<JsonStr<'a>>,
        /// What Meta asks to be done about it.
        pub violation_remediation: Option<JsonStr<'a>>,
        /// `DISABLE` or `REINSTATE`.
        pub ban_state: Option<JsonStr<'a>>,
    }
}

record! {
    /// Something an account may not do.
    pub struct Restriction<'a> {
        /// Meta's name for it.
        pub r#type: Option<JsonStr<'a>> = "type",
        /// ISO 8601.
        pub expires_at: Option<JsonStr<'a>> = "expires_at",
    }
}

written! {
    /// `workflow.execution.*`.
    pub struct WorkflowEvent<'a> {
        /// The execution.
        pub execution_id: Option<JsonStr<'a>>,
        /// The workflow.
        pub workflow_id: Option<JsonStr<'a>>,
        /// The Kapso project.
        pub project_id: Option<JsonStr<'a>>,
        /// `handoff`, `failed` …
        pub status: Option<JsonStr<'a>>,
        /// For support.
        pub tracking_id: Option<JsonStr<'a>>,
        /// `whatsapp` …
        pub channel: Option<JsonStr<'a>>,
        /// ISO 8601.
        pub occurred_at: Option<JsonStr<'a>>,
        /// Why a human is needed.
        pub handoff_reason: Option<JsonStr<'a>>,
        /// `agent_tool` or `action_step`.
        pub handoff_source: Option<JsonStr<'a>>,
        /// What went wrong.
        pub error_message: Option<JsonStr<'a>>,
    }
}

written! {
    /// `project.event`.
    pub struct ProjectEvent<'a> {
        /// The event's id.
        pub id: Option<JsonStr<'a>>,
        /// The customer's own name for what happened.
        pub name: Option<JsonStr<'a>>,
        /// The Kapso project.
        pub project_id: Option<JsonStr<'a>>,
        /// ISO 8601.
        pub occurred_at: Option<JsonStr<'a>>,
        /// The raw JSON.
        pub properties: Option<Span>,
    }
}

written! {
    /// `kapso_agent.run.*`, and the older agents' `agent.execution.*`.
    pub struct AgentRun<'a> {
        /// The event's id; the execution's for the older agents.
        pub id: Option<JsonStr<'a>>,
        /// The run.
        pub run_id: Option<JsonStr<'a>>,
        /// The session.
        pub session_id: Option<JsonStr<'a>>,
        /// The agent's name or id.
        pub agent: Option<JsonStr<'a>>,
        /// `completed`, `failed` …
        pub status: Option<JsonStr<'a>>,
        /// `run_failed` or `run_cancelled`.
        pub error_code: Option<JsonStr<'a>>,
        /// What went wrong.
        pub error_message: Option<JsonStr<'a>>,
        /// ISO 8601.
        pub created_at: Option<JsonStr<'a>>,
        /// ISO 8601.
        pub started_at: Option<JsonStr<'a>>,
        /// ISO 8601.
        pub finished_at: Option<JsonStr<'a>>,
        /// Where Kapso's API tells how it goes.
        pub status_url: Option<JsonStr<'a>>,
        /// The raw JSON of the result.
        pub result: Option<Span>,
        /// The raw JSON of what a human is to approve.
        pub pending_approval: Option<Span>,
        /// The raw JSON of what was attached to the run.
        pub metadata: Option<Span>,
    }
}

written! {
    /// v1's `whatsapp.config.*`.
    pub struct ConfigEvent<'a> {
        /// The configuration's id.
        pub config_id: Option<JsonStr<'a>>,
        /// Its name.
        pub name: Option<JsonStr<'a>>,
        /// As shown to people.
        pub display_phone_number: Option<JsonStr<'a>>,
        /// The Kapso project.
        pub project_id: Option<JsonStr<'a>>,
        /// The customer's id in your system.
        pub external_customer_id: Option<JsonStr<'a>>,
        /// The setup link that was used.
        pub setup_link_id: Option<JsonStr<'a>>,
        /// Shared with the WhatsApp Business App.
        pub is_coexistence: Option<bool>,
    }
}

record! {
    /// An item as bodies have it, whatever its family.
    struct Raw<'a> {
        id: Option<JsonStr<'a>> = "id",
        name: Option<JsonStr<'a>> = "name",
        occurred_at: Option<JsonStr<'a>> = "occurred_at",
        timestamp: Option<JsonStr<'a>> = "timestamp",
        created_at: Option<JsonStr<'a>> = "created_at",
        started_at: Option<JsonStr<'a>> = "started_at",
        finished_at: Option<JsonStr<'a>> = "finished_at",
        status_url: Option<JsonStr<'a>> = "status_url",
        status: Option<JsonStr<'a>> = "status",
        bare_project_id: Option<JsonStr<'a>> = "project_id",
        connection_type: Option<JsonStr<'a>> = "connection_type",
        workflow_id: Option<JsonStr<'a>> = "workflow_id",
        workflow_execution_id: Option<JsonStr<'a>> = "workflow_execution_id",
        tracking_id: Option<JsonStr<'a>> = "tracking_id",
        channel: Option<JsonStr<'a>> = "channel",
        properties: Option<Span> = "properties",
        run_id: Option<JsonStr<'a>> = "run_id",
        session_id: Option<JsonStr<'a>> = "session_id",
        agent: Option<JsonStr<'a>> = "agent" or "name",
        result: Option<Span> = "result",
        results: Option<Span> = "results",
        pending_approval: Option<Span> = "pending_approval",
        metadata: Option<Span> = "metadata",
        message: Option<Box<Message<'a>>> = "message",
        conversation: Option<Conversation<'a>> = "conversation",
        contact: Option<ContactEvent<'a>> = "contact",
        previous: ContactEvent<'a> = "previous",
        marketing_preference: Option<MarketingPreference<'a>> = "marketing_preference",
        since_message_id: Option<JsonStr<'a>> = "since_message" . "whatsapp_message_id",
        inactive_minutes: Option<JsonStr<'a>> = "inactivity" . "minutes",
        whatsapp_config: Option<Config<'a>> = "whatsapp_config",
        project_id: Option<JsonStr<'a>> = "project" . "id",
        customer: Customer<'a> = "customer",
        setup_link_id: Option<JsonStr<'a>> = "setup_link" . "id",
        disconnection: Disconnection<'a> = "disconnection",
        phone_numbers: Vec<Named<'a>> = "phone_numbers",
        restrictions: Vec<Restriction<'a>> = "restrictions",
        violation: Violation<'a> = "violation",
        ban_state: Option<JsonStr<'a>> = "ban" . "state",
        handoff: Handoff<'a> = "handoff",
        error: Failure<'a> = "error",
    }
}

record! {
    struct Violation<'a> {
        r#type: Option<JsonStr<'a>> = "type",
        remediation: Option<JsonStr<'a>> = "remediation",
    }
}

record! { struct Named<'a> { id: Option<JsonStr<'a>> = "id", } }

record! {
    struct Config<'a> {
        id: Option<JsonStr<'a>> = "id",
        name: Option<JsonStr<'a>> = "name",
        display_phone_number: Option<JsonStr<'a>> = "display_phone_number",
        is_coexistence: Option<bool> = "is_coexistence",
    }
}

record! {
    struct Customer<'a> {
        external_id: Option<JsonStr<'a>> = "external_id",
        external_customer_id: Option<JsonStr<'a>> = "external_customer_id",
    }
}

record! {
    struct Disconnection<'a> {
        reason: Option<JsonStr<'a>> = "reason",
        initiated_by: Option<JsonStr<'a>> = "initiated_by",
    }
}

record! {
    struct Handoff<'a> {
        reason: Option<JsonStr<'a>> = "reason",
        source: Option<JsonStr<'a>> = "source",
    }
}

record! {
    struct Failure<'a> {
        code: Option<JsonStr<'a>> = "code",
        message: Option<JsonStr<'a>> = "message",
    }
}

/// A single delivery or an item, with what stands in its `data`, if that is an object.
pub(super) struct Payload<'a> {
    root: Raw<'a>,
    data: Option<Raw<'a>>,
}

/// What makes a detail of a payload.
type Family<'a> = fn(Payload<'a>) -> Detail<'a>;

impl<'a> Payload<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let mut payload = Self { root: Raw::default(), data: None };
        reader.object(&mut |reader, key| match key {
            b"data" => payload.data.read(reader),
            _ => record::member(&mut payload.root, Raw::KEYS, key, reader),
        })?;
        Ok(payload)
    }

    pub(super) fn by_family(mut self, name: &str) -> Detail<'a> {
        let families: [(&str, Family<'a>); 7] = [
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

    pub(super) fn by_shape(&mut self) -> Detail<'a> {
        let raw = match &mut self.data {
            Some(data) if data.message.is_some() || data.conversation.is_some() || data.whatsapp_config.is_some() => {
                data
            }
            _ => &mut self.root,
        };
        if let Some(mut message) = raw.message.take() {
            let beside = raw.conversation.as_ref().and_then(Conversation::contact_name);
            message.contact_name = message.contact_name.or(beside);
            message.conversation = raw.conversation.take();
            return Detail::Message(message);
        }
        if let Some(contact) = raw.contact.take() {
            return Detail::Contact(ContactEvent {
                previous_business_scoped_user_id: raw.previous.business_scoped_user_id,
                previous_parent_business_scoped_user_id: raw.previous.parent_business_scoped_user_id,
                marketing: raw.marketing_preference.take(),
                ..contact
            });
        }
        if let Some(conversation) = raw.conversation.take() {
            return Detail::Conversation(ConversationEvent {
                conversation,
                inactive_minutes: raw.inactive_minutes.and_then(|minutes| minutes.text().parse().ok()),
                since_message_id: raw.since_message_id,
            });
        }
        if let Some(config) = raw.whatsapp_config.take() {
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
            started_at: data.started_at,
            finished_at: data.finished_at,
            status_url: data.status_url,
            result: data.result.or(root.results),
            pending_approval: data.pending_approval,
            metadata: data.metadata,
        })
    }

    /// A project's payload, which some pages of the documentation have in `data`. All of them name their project.
    fn project_payload(self) -> Raw<'a> {
        match self.data {
            Some(data) if self.root.project_id.or(self.root.bare_project_id).is_none() => data,
            _ => self.root,
        }
    }

    fn phone_number(self) -> Detail<'a> {
        let raw = self.project_payload();
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
        let raw = self.project_payload();
        Detail::Account(AccountEvent {
            id: raw.id,
            occurred_at: raw.occurred_at,
            project_id: raw.project_id,
            phone_number_ids: raw.phone_numbers.into_iter().filter_map(|number| number.id).collect(),
            restrictions: raw.restrictions,
            violation_type: raw.violation.r#type,
            violation_remediation: raw.violation.remediation,
            ban_state: raw.ban_state,
        })
    }

    fn workflow(self) -> Detail<'a> {
        let raw = self.project_payload();
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
        let raw = self.project_payload();
        Detail::Project(ProjectEvent {
            id: raw.id,
            name: raw.name,
            project_id: raw.bare_project_id,
            occurred_at: raw.occurred_at,
            properties: raw.properties,
        })
    }
}
