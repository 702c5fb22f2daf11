//! What a body can make the component do: no more than its size allows, whoever sent it.

use hookgate::types::{Decision, Head, Header, Rejection, Request};
use hookgate::{Gate, Secrets, sign};
use hookgate_tests::hooked::plugin;
use serde_json::{Value, json};

const SECRET: &str = "whsec_limits";
const NOW: u64 = 1_789_395_902;

fn gate(policy: &Value) -> Gate {
    plugin().compile(&policy.to_string(), &Secrets::from([("SECRET", SECRET)])).expect("a good policy")
}

fn decide(gate: &Gate, body: &str, signature: &str) -> Decision {
    let headers = [
        Header { name: "X-Webhook-Signature", value: signature.as_bytes() },
        Header { name: "X-Hub-Signature-256", value: signature.as_bytes() },
    ];
    let head = Head { method: "POST", path: "/hook", headers: &headers[usize::from(body.contains("entry"))..][..1] };
    gate.decide(&Request { head, body: body.as_bytes() }, NOW).expect("the component bears it")
}

/// A target that gets the events of Meta forwards one by one.
fn one_by_one() -> Gate {
    gate(&json!({
        "sources": [{"name": "meta", "path": "/hook", "scheme": "meta", "secrets": ["SECRET"]}],
        "otherwise": {"to": ["each"]},
        "targets": {"each": {"url": "http://127.0.0.1/", "body": "one-per-event"}},
    }))
}

fn repeated(item: &str, count: usize) -> String {
    vec![item; count].join(",")
}

fn meta(entries: &str) -> String {
    format!(r#"{{"object":"whatsapp_business_account","entry":[{entries}]}}"#)
}

/// Where secrets are looked up by phone number, bodies are read before anybody knows who sent them.
#[test]
fn a_body_that_nobody_signed_cannot_take_more_than_it_is_worth() {
    let gate = gate(&json!({
        "sources": [{"name": "tenants", "path": "/hook", "scheme": "any", "secrets_by_phone_number": {"1": ["SECRET"]}}],
        "otherwise": {"drop": true},
    }));
    let long = format!("\\u0041{}", "A".repeat(100_000));
    let update = format!(
        r#"{{"field":"{long}","value":{{"metadata":{{"phone_number_id":"{long}"}},"statuses":[{}]}}}}"#,
        repeated("{}", 999)
    );
    let lists =
        format!(r#"{{"value":{{"messages":[{0}],"message_echoes":[{0}],"statuses":[{0}]}}}}"#, repeated("{}", 999));
    for body in [
        format!(r#"{{"batch":true,"type":"{long}","data":[{}]}}"#, repeated("{}", 1000)),
        meta(&format!(r#"{{"id":"{long}","changes":[{update}]}}"#)),
        meta(&format!(r#"{{"changes":[{}]}}"#, repeated(&lists, 400))),
        format!(r#"{{"batch":true,{}}}"#, repeated(&format!(r#""data":[{}]"#, repeated("{}", 1000)), 1300)),
        meta(&repeated("{}", 1_300_000)),
        meta(&format!(r#"{{"changes":[{}]}}"#, repeated("{}", 1_300_000))),
    ] {
        let Decision::Respond(refusal) = decide(&gate, &body, &"0".repeat(64)) else { panic!("it is forged") };
        assert_eq!(refusal.rejection, Some(Rejection::UnknownTenant), "{}", &body[..60]);
    }
}

/// A forward of as many updates as Meta sends at once, each so many bytes longer than it must be.
fn updates(longer: usize) -> String {
    let filler = "x".repeat(longer);
    let status = |number: usize| {
        format!(
            r#"{{"id":"wamid.{number}","status":"read","timestamp":"1789395900","recipient_id":"16505551234","biz":"{filler}"}}"#
        )
    };
    let statuses: Vec<_> = (0..1000).map(status).collect();
    let change = format!(
        r#"{{"field":"messages","value":{{"metadata":{{"phone_number_id":"1"}},"statuses":[{}]}}}}"#,
        statuses.join(",")
    );
    meta(&format!(r#"{{"id":"1","time":1,"changes":[{change}]}}"#))
}

#[test]
fn as_many_updates_as_meta_sends_at_once_go_one_by_one() {
    let (gate, body) = (one_by_one(), updates(2500));
    let Decision::Deliver(delivery) = decide(&gate, &body, &sign(SECRET, body.as_bytes())) else { panic!("genuine") };
    assert_eq!(delivery.dispatches[0].messages.len(), 1000);
}

#[test]
fn as_many_updates_as_meta_sends_at_once_go_to_many_targets() {
    let body = updates(0);
    for (form, messages) in [("as-received", 1), ("normalized", 1), ("one-per-event", 1000)] {
        let names: Vec<_> = (0..8).map(|number| format!("t{number}")).collect();
        let target = |name: &String| (name.clone(), json!({"url": "http://127.0.0.1/", "body": form}));
        let gate = gate(&json!({
            "sources": [{"name": "meta", "path": "/hook", "scheme": "meta", "secrets": ["SECRET"]}],
            "otherwise": {"to": names},
            "targets": names.iter().map(target).collect::<serde_json::Map<_, _>>(),
        }));
        let decision = decide(&gate, &body, &sign(SECRET, body.as_bytes()));
        let Decision::Deliver(delivery) = decision else { panic!("genuine") };
        let sent: Vec<_> = delivery.dispatches.iter().map(|dispatch| dispatch.messages.len()).collect();
        assert_eq!(sent, [messages; 8], "{form}");
    }
}

/// Each message says whom it is from.
#[test]
fn the_name_of_one_contact_is_not_said_without_end() {
    let gate = gate(&json!({
        "sources": [{"name": "meta", "path": "/hook", "scheme": "meta", "secrets": ["SECRET"]}],
        "otherwise": {"to": ["all"]},
        "targets": {"all": {"url": "http://127.0.0.1/", "body": "normalized"}},
    }));
    let contact = format!(r#"{{"wa_id":"1","profile":{{"name":"{}"}}}}"#, "A".repeat(100_000));
    let messages = repeated(r#"{"id":"m","from":"1","type":"text"}"#, 1000);
    let value = format!(r#"{{"metadata":{{"phone_number_id":"1"}},"contacts":[{contact}],"messages":[{messages}]}}"#);
    let body = meta(&format!(r#"{{"changes":[{{"field":"messages","value":{value}}}]}}"#));
    let Decision::Deliver(delivery) = decide(&gate, &body, &sign(SECRET, body.as_bytes())) else { panic!("genuine") };
    assert_eq!(delivery.delivery.events.len(), 1000);
}

/// Each body of its own would repeat what stands around the events.
#[test]
fn events_that_would_repeat_too_much_go_together() {
    let gate = one_by_one();
    let (pad, messages) = ("x".repeat(3_900_000), repeated(r#"{"id":"m"}"#, 1000));
    let value = format!(r#"{{"metadata":{{"phone_number_id":"1"}},"messages":[{messages}],"pad":"{pad}"}}"#);
    let body = meta(&format!(r#"{{"changes":[{{"field":"messages","value":{value}}}]}}"#));
    let Decision::Deliver(delivery) = decide(&gate, &body, &sign(SECRET, body.as_bytes())) else { panic!("genuine") };
    let [message] = &delivery.dispatches[0].messages[..] else { panic!("one for all") };
    assert_eq!(message.events, delivery.dispatches[0].events);
}

/// The body is looked through once, however many events there are whose time stands in their history.
#[test]
fn the_age_of_many_statuses_is_found_in_one_pass() {
    let gate = gate(&json!({
        "sources": [{"name": "old", "path": "/hook", "secrets": ["SECRET"], "max_age_s": 300}],
        "otherwise": {"drop": true},
        "limits": {"events": 50_000},
    }));
    let delivered = r#"{"message":{"id":"m","kapso":{"direction":"outbound","status":"delivered"}}}"#;
    let body = format!(r#"{{"batch":true,"data":[{}]}}"#, repeated(delivered, 50_000));
    let Decision::Deliver(delivery) = decide(&gate, &body, &sign(SECRET, body.as_bytes())) else { panic!("genuine") };
    assert_eq!(delivery.delivery.events.len(), 50_000);
}
