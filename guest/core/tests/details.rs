//! What is said of an event in full, wherever bodies have it.
#![allow(missing_docs)]

use hookgate_core::detail::{Detail, Message};
use hookgate_core::{Gate, Header, JsonStr, Secret};
use serde_json::{Value, json};

const POLICY: &str = r#"{"sources": [{"name": "hook", "path": "/hook", "secrets": ["S"]}]}"#;

/// The detail of the one event of this body, which came under this name.
fn detail<R>(name: &str, body: &Value, read: impl FnOnce(&Detail<'_>) -> R) -> R {
    let gate = Gate::compile(POLICY, &[Secret { name: "S", value: "secret" }]).unwrap();
    let body = body.to_string();
    let headers = [Header { name: "x-webhook-event", value: name.as_bytes() }];
    let parsed = gate.parse(&headers, body.as_bytes()).unwrap();
    let [detail] = &parsed.details[..] else { panic!("{:?}", parsed.details) };
    read(detail)
}

fn message<R>(name: &str, body: &Value, read: impl FnOnce(&Message<'_>) -> R) -> R {
    detail(name, body, |detail| match detail {
        Detail::Message(message) => read(message),
        other => panic!("{other:?}"),
    })
}

fn text(found: Option<JsonStr<'_>>) -> Option<String> {
    found.map(|text| text.text().into_owned())
}

fn received(kapso: Value, conversation: Value) -> Value {
    json!({
        "message": {"id": "wamid.1", "type": "text", "text": {"body": "hi"}, "kapso": kapso},
        "conversation": conversation,
    })
}

#[test]
fn a_null_is_nothing() {
    let mut body = received(json!({"direction": "inbound"}), json!({}));
    body["message"]["referral"] = Value::Null;
    assert!(message("whatsapp.message.received", &body, |message| message.referral.is_none()));
    body["message"]["referral"] = json!({"source_type": "ad"});
    assert!(message("whatsapp.message.received", &body, |message| message.referral.is_some()));
}

#[test]
fn ids_of_a_parent_and_what_to_do_about_a_violation_are_said() {
    let contact = json!({
        "contact": {"id": "c", "parent_business_scoped_user_id": "US.ENT.2"},
        "previous": {"parent_business_scoped_user_id": "US.ENT.1"},
    });
    detail("whatsapp.contact.identity_changed", &contact, |detail| {
        let Detail::Contact(contact) = detail else { panic!("{detail:?}") };
        assert_eq!(text(contact.parent_business_scoped_user_id).as_deref(), Some("US.ENT.2"));
        assert_eq!(text(contact.previous_parent_business_scoped_user_id).as_deref(), Some("US.ENT.1"));
    });
    let account = json!({"event": "whatsapp.account.violation", "project": {"id": "p"},
        "violation": {"type": "SCAM", "remediation": "appeal"}});
    detail("whatsapp.account.violation", &account, |detail| {
        let Detail::Account(account) = detail else { panic!("{detail:?}") };
        assert_eq!(text(account.violation_remediation).as_deref(), Some("appeal"));
    });
    let mut body = received(json!({"direction": "inbound"}), json!({"parent_business_scoped_user_id": "US.ENT.3"}));
    body["message"]["from_parent_user_id"] = json!("US.ENT.3");
    message("whatsapp.message.received", &body, |message| {
        assert_eq!(text(message.from_parent_user_id).as_deref(), Some("US.ENT.3"));
        let conversation = message.conversation.as_ref().unwrap();
        assert_eq!(text(conversation.parent_business_scoped_user_id).as_deref(), Some("US.ENT.3"));
    });
}

#[test]
fn a_contacts_name_is_found_in_each_of_its_places() {
    let kapso = || json!({"direction": "inbound", "status": "received"});
    let beside = json!({"direction": "inbound", "status": "received", "contact_name": "Ana"});
    for (body, expected) in [
        (received(kapso(), json!({"id": "c", "contact_name": "Ana"})), Some("Ana")),
        (received(kapso(), json!({"id": "c", "kapso": {"contact_name": "Ana"}})), Some("Ana")),
        (received(beside, json!({"id": "c", "contact_name": "Another"})), Some("Ana")),
        (received(kapso(), json!({"id": "c"})), None),
    ] {
        let found = message("whatsapp.message.received", &body, |message| text(message.contact_name));
        assert_eq!(found.as_deref(), expected, "{body}");
    }
}

#[test]
fn a_meta_forward_has_its_contacts_beside_its_messages() {
    let contact = |id: &str, name: &str| json!({"wa_id": id, "profile": {"name": name}});
    for (contacts, from, expected) in [
        (json!([contact("2", "Bo"), contact("1", "Ana")]), "1", Some("Ana")),
        (json!([contact("2", "Bo")]), "1", Some("Bo")),
        (json!([contact("2", "Bo"), contact("3", "Cy")]), "1", None),
        (json!([]), "1", None),
        (json!("none"), "1", None),
    ] {
        let value = json!({
            "metadata": {"phone_number_id": "9"},
            "messages": [{"id": "wamid.1", "from": from, "type": "text", "text": {"body": "hi"}}],
            "contacts": contacts,
        });
        let body = json!({
            "object": "whatsapp_business_account",
            "entry": [{"id": "8", "changes": [{"field": "messages", "value": value}]}],
        });
        let found = message("", &body, |message| text(message.contact_name));
        assert_eq!(found.as_deref(), expected, "{body}");
    }
}

#[test]
fn what_failed_says_why_in_its_history_too() {
    let failed = |kapso: Value| received(kapso, json!({"id": "c"}));
    let status =
        |status: &str, code: i64| json!({"status": status, "errors": [{"code": code, "href": "https://e.test"}]});
    let kapso = |now: &str, statuses: Value| json!({"direction": "outbound", "status": now, "statuses": statuses});
    for (kapso, expected) in [
        (kapso("failed", json!([status("sent", 1), status("failed", 131_047)])), &[Some(131_047)][..]),
        (kapso("failed", json!([])), &[]),
        (kapso("delivered", json!([status("failed", 1)])), &[]),
    ] {
        let codes = message("whatsapp.message.failed", &failed(kapso.clone()), |message| {
            message.errors.iter().map(|error| error.code).collect::<Vec<_>>()
        });
        assert_eq!(codes, expected, "{kapso}");
    }
}

#[test]
fn a_stored_file_and_a_conversations_activity_are_told() {
    let kapso = json!({
        "direction": "inbound", "status": "received", "transcription": {"text": "said"},
        "media_data": {"filename": "a.ogg", "content_type": "audio/ogg", "byte_size": 12_345},
    });
    let activity = json!({"messages_count": 3, "last_inbound_at": "2026-09-14T14:25:01Z"});
    let body = received(kapso, json!({"id": "c", "kapso": activity}));
    message("whatsapp.message.received", &body, |message| {
        let file = message.media_data.clone().unwrap();
        assert_eq!((text(file.filename).as_deref(), file.byte_size), (Some("a.ogg"), Some(12_345)));
        assert_eq!(text(message.transcript).as_deref(), Some("said"));
        let activity = message.conversation.clone().unwrap().activity.unwrap();
        assert_eq!(activity.messages_count, Some(3));
        assert_eq!(text(activity.last_inbound_at).as_deref(), Some("2026-09-14T14:25:01Z"));
    });
}

#[test]
fn what_a_human_is_to_approve_is_told() {
    let approval = json!({"id": "a1", "tool": "send_message"});
    let body = json!({
        "id": "e1", "event": "kapso_agent.run.approval_required", "created_at": "2026-09-14T14:25:01Z",
        "data": {"run_id": "r1", "status": "waiting", "pending_approval": approval, "started_at": "2026-09-14T14:25:00Z"},
    });
    let text_of = body.to_string();
    detail("kapso_agent.run.approval_required", &body, |detail| {
        let Detail::AgentRun(run) = detail else { panic!("{detail:?}") };
        let span = run.pending_approval.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(span.of(text_of.as_bytes())).unwrap(), approval);
        assert_eq!(text(run.started_at).as_deref(), Some("2026-09-14T14:25:00Z"));
    });
}

#[test]
fn a_projects_payload_is_read_in_data_as_well() {
    let payload = json!({"phone_number_id": "1", "project": {"id": "p"}, "customer": {"id": "c", "external_id": "x"}});
    for body in [payload.clone(), json!({"event": "whatsapp.phone_number.created", "data": payload})] {
        detail("whatsapp.phone_number.created", &body, |detail| {
            let Detail::PhoneNumber(event) = detail else { panic!("{detail:?}") };
            assert_eq!(text(event.project_id).as_deref(), Some("p"), "{body}");
            assert_eq!(text(event.external_customer_id).as_deref(), Some("x"), "{body}");
        });
    }
}
