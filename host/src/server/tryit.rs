//! Try-it mode: a server without a policy, that shows what it would decide and sends nothing on.

use std::io::Write;
use std::net::SocketAddr;

use super::log::unreadable;
use super::report::{Report, Story};
use super::{Policy, unix_time};
use crate::Secrets;
use crate::kapso::SecretKey;
use crate::policy::TRY_IT;
use crate::printable::{clean, tail};
use crate::secrets::SecretError;
use crate::types::{Deliver, Event, NameOrigin, Rejection};

const SECRET: &str = "KAPSO_WEBHOOK_SECRET";
const PATH: &str = "/webhooks/whatsapp";

/// The secret of a try-it server.
pub(crate) struct Trial {
    secret: String,
    generated: bool,
}

impl Trial {
    /// With the secret that is given, else that of the environment, else a new one.
    pub(crate) fn new(mut secrets: Secrets) -> Result<Self, SecretError> {
        secrets.add_from_env([SECRET])?;
        let given = secrets.get(SECRET).filter(|value| !value.is_empty()).map(str::to_owned);
        let generated = given.is_none();
        Ok(Trial { secret: given.unwrap_or_else(generate), generated })
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy::json(TRY_IT).with_secrets(Secrets::from([(SECRET, self.secret.as_str())]))
    }

    /// Says what this is and how to send it something.
    pub(crate) fn introduce(&self, scheme: &str, address: SocketAddr) {
        let url = format!("{scheme}://{address}{PATH}");
        print("");
        print("Try-it mode: every delivery is shown here and nothing is sent on. With --policy FILE it routes.");
        print("");
        print(&format!("  webhook   {url}"));
        if self.generated {
            print(&format!("  secret    {}   (made for this run; set {SECRET} to use your own)", self.secret));
        } else {
            print(&format!("  secret    as {SECRET} says"));
        }
        print("");
        print("Send it a first delivery from another terminal:");
        print("");
        print(&curl(&url, &self.secret, unix_time()));
        print("");
    }
}

/// Without randomness nobody can sign, which is safe: the empty secret refuses the policy.
fn generate() -> String {
    SecretKey::generate().map_or_else(|_| String::new(), |secret| secret.expose().to_owned())
}

/// One line for a shell, that sends a signed delivery. Nothing in the body needs quoting within single quotes.
fn curl(url: &str, secret: &str, now: u64) -> String {
    let body = format!(
        concat!(
            r#"{{"message":{{"id":"wamid.TRY{now}","timestamp":"{now}","type":"text","from":"15550100001","#,
            r#""text":{{"body":"Hello, Hookgate"}},"kapso":{{"direction":"inbound","status":"received","#,
            r#""origin":"cloud_api","has_media":false,"content":"Hello, Hookgate"}}}},"#,
            r#""conversation":{{"id":"00000000-0000-4000-8000-000000000001","phone_number":"15550100001","#,
            r#""status":"active","phone_number_id":"100000000000001"}},"#,
            r#""is_new_conversation":true,"phone_number_id":"100000000000001"}}"#,
        ),
        now = now
    );
    format!(
        "curl -i {url} -H 'Content-Type: application/json' -H 'X-Webhook-Event: whatsapp.message.received' \
         -H 'X-Webhook-Payload-Version: v2' -H 'X-Webhook-Signature: {}' --data-raw '{body}'",
        crate::sign(secret, body.as_bytes())
    )
}

/// Shows a decision to whoever sits in front of the terminal.
pub(crate) fn show(report: &Report<'_>) {
    let status = report.status;
    let took = report.took.as_secs_f64() * 1000.0;
    match &report.story {
        Story::NotOurs => print(&format!("- not a webhook here: the path is not {PATH}")),
        Story::Refused(None) => print("- a handshake"),
        Story::Refused(Some(rejection)) => {
            print(&format!("x rejected: {}{}", rejection.name(), hint(*rejection)));
        }
        Story::Trouble(trouble) => print(&format!("! not decided: {}", trouble.name())),
        Story::Genuine { delivery, .. } => genuine(delivery),
        Story::Redirect { redirect, .. } => {
            print(&format!("- a browser back from a setup link, unsigned: {}", clean(redirect.outcome.name())));
        }
    }
    print(&format!("    answered {status} in {took:.1} ms\n"));
}

fn genuine(genuine: &Deliver) {
    let delivery = &genuine.delivery;
    let name = delivery.name.as_deref().map_or_else(|| "an unnamed event".to_owned(), clean);
    print(&format!("+ genuine: {name}"));
    let origin = match delivery.name_origin {
        NameOrigin::Header => ", named by its header alone",
        NameOrigin::Body => ", named by its signed body",
        NameOrigin::None => "",
    };
    let version = delivery.payload_version.as_deref().map(|version| format!(" {}", clean(version))).unwrap_or_default();
    let batch = if delivery.batch.is_some() { ", a batch" } else { "" };
    let test = if delivery.test { ", a test from Kapso" } else { "" };
    print(&format!("    kind {}{version}{origin}{batch}{test}", delivery.kind.name()));
    if let Some(error) = &genuine.unreadable {
        print(&format!("    its body cannot be read: {}", unreadable(error)));
    }
    for found in &delivery.contradictions {
        let (claimed, actual) = (clean(&found.claimed), clean(&found.actual));
        print(&format!("    {} says {claimed:?}, but the signed body says {actual:?}", found.header));
    }
    for (number, event) in (1..).zip(&delivery.events) {
        print(&format!("    event {number}: {}", keys(event)));
    }
}

/// What rules can be written over.
fn keys(event: &Event) -> String {
    let cleaned = |name: &str, value: &Option<String>| value.as_deref().map(|value| format!("{name} {}", clean(value)));
    let keys = [
        cleaned("type", &event.message_type),
        cleaned("direction", &event.direction),
        cleaned("status", &event.status),
        cleaned("origin", &event.origin),
        event.phone_number_id.as_deref().map(|number| format!("number {}", tail(number))),
        cleaned("conversation", &event.conversation_id),
        cleaned("customer", &event.customer_id),
        cleaned("account", &event.business_account_id),
        event.new_conversation.and_then(|new| new.then(|| "new conversation".to_owned())),
        event.text.as_deref().map(|text| format!("text of {} characters", text.chars().count())),
    ];
    keys.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn hint(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::WrongSignature => {
            " (another secret, or a body that was changed on its way, such as JSON written anew)"
        }
        Rejection::MissingSignature => " (no X-Webhook-Signature or X-Hub-Signature-256)",
        Rejection::MalformedSignature => " (expected 64 hexadecimal digits)",
        Rejection::WrongMethod => " (webhooks are POST)",
        _ => "",
    }
}

/// A line on standard output; it does not matter if nobody reads it.
pub(crate) fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_needs_no_more_quoting() {
        let line = curl("http://127.0.0.1:8080/webhooks/whatsapp", "whsec_1", 1_800_000_000);
        assert!(!line.contains('\n'));
        let quotes = line.matches('\'').count();
        assert_eq!(quotes, 10, "five quoted words and no quote within");
        let body = line.split("--data-raw '").nth(1).and_then(|rest| rest.strip_suffix('\'')).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
        assert!(line.contains(&crate::sign("whsec_1", body.as_bytes())));
    }
}
