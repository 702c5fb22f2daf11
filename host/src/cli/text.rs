//! A report for people.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::gate::Loaded;
use super::message::{Body, Message};
use super::redirect::Redirected;
use super::report::{Line, Report, Said};
use crate::printable::clean;
use crate::server::log::unreadable;
use crate::types::{Event, Rejection, Route};

pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const NAME: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

pub(super) fn write(out: &mut impl Write, report: &Report, loaded: &Loaded) -> io::Result<()> {
    match &report.redirect {
        Some(redirect) => redirected(out, &report.delivery, redirect)?,
        None => verdict(out, report, loaded)?,
    }
    if let Some(error) = &report.unreadable {
        writeln!(out, "  {BAD}unreadable{BAD:#}  {}", unreadable(error))?;
    }
    if let Some(said) = &report.contents {
        contents(out, said)?;
        for line in &said.events {
            event(out, line, loaded)?;
        }
    }
    for message in report.messages.iter().flatten() {
        target(out, message)?;
    }
    if report.targets.as_ref().is_some_and(Vec::is_empty) {
        let answer = if report.is_rejected() { "" } else { ": it is answered 200 and counted" };
        writeln!(out, "  no target gets anything{answer}")?;
    } else if let (Some(targets), None) = (&report.targets, &report.messages) {
        for (target, events) in targets {
            writeln!(out, "  {NAME}{target}{NAME:#} gets {}", numbered(events))?;
        }
    }
    writeln!(out)
}

fn verdict(out: &mut impl Write, report: &Report, loaded: &Loaded) -> io::Result<()> {
    let found = clean(&report.delivery);
    match (report.genuine, report.rejection) {
        (Some(true), _) => {
            write!(out, "{found}: {GOOD}genuine{GOOD:#}")?;
            if let Some(secret) = &report.secret {
                write!(out, " by the secret {NAME}{secret}{NAME:#}")?;
            }
            if let Some(source) = &report.source {
                write!(out, " of the source {NAME}{source}{NAME:#}")?;
            }
            writeln!(out)?;
        }
        (Some(false), rejection) => {
            let name = rejection.as_ref().map_or("rejected", Rejection::name);
            writeln!(out, "{found}: {BAD}rejected{BAD:#}, {name}")?;
            if let Some(rejection) = rejection {
                writeln!(out, "  {}", rejection.message())?;
                writeln!(out, "  {DIM}{}{DIM:#}", advice(rejection, report, loaded))?;
            }
        }
        (None, _) => {
            let missing = loaded.missing();
            writeln!(out, "{found}: nobody knows whether it is genuine, because {missing} has no value")?;
        }
    }
    match report.status {
        Some(status) => writeln!(out, "  answered {status}"),
        None => Ok(()),
    }
}

fn redirected(out: &mut impl Write, found: &str, redirect: &Redirected) -> io::Result<()> {
    let link = &redirect.setup_link;
    writeln!(out, "{}: a browser back from the setup link {NAME}{link}{NAME:#}, {BAD}unsigned{BAD:#}", clean(found))?;
    writeln!(
        out,
        "  {DIM}A hint for what to show, never proof: that is the event whatsapp.phone_number.created.{DIM:#}"
    )?;
    let said = redirect.connection.iter().flat_map(|connection| {
        [
            ("phone_number_id", &connection.phone_number_id),
            ("business_account_id", &connection.business_account_id),
            ("provisioned_phone_number_id", &connection.provisioned_phone_number_id),
            ("display_phone_number", &connection.display_phone_number),
            ("whatsapp_config_id", &connection.whatsapp_config_id),
        ]
    });
    write!(out, "  {NAME}{}{NAME:#}: setup_link_id {}", redirect.outcome, redirect.setup_link_id)?;
    for (name, value) in said.chain([("error_code", &redirect.error_code)]) {
        if let Some(value) = value {
            write!(out, ", {name} {value}")?;
        }
    }
    writeln!(out)?;
    if let (Some(status), Some(location)) = (redirect.status, &redirect.location) {
        writeln!(out, "  answered {status}, on to {location}")?;
    }
    if let Some(request) = &redirect.request {
        let place = request.url.as_deref().or(request.cluster.as_deref()).unwrap_or_default();
        let target = &request.target;
        writeln!(
            out,
            "  {NAME}{target}{NAME:#} ({place}) gets the request with its query, and the browser its answer"
        )?;
        headers(out, &request.drop_headers, &request.set_headers)?;
    }
    Ok(())
}

/// What to look at next.
fn advice(rejection: Rejection, report: &Report, loaded: &Loaded) -> String {
    match rejection {
        Rejection::UnknownSource => {
            let links = loaded.setup_links();
            let links: Vec<_> = links.iter().flat_map(|link| [link.success_path.as_str(), &link.failure_path]).collect();
            let unsigned = if links.is_empty() {
                String::new()
            } else {
                format!(" At {} browsers come back from setup links, with nothing to verify.", links.join(", "))
            };
            let sources = loaded.gate.settings().sources.iter();
            let paths: Vec<_> = sources.map(|source| source.path.as_str()).collect();
            format!(
                "The policy's paths are {}. With --source NAME a delivery counts as sent to that one.{unsigned}",
                paths.join(", ")
            )
        }
        Rejection::WrongMethod => "Webhooks are POST; GET is for Meta's handshake, on a source with a verify_token.".into(),
        Rejection::TooLarge => "limits.body_bytes in the policy says how large a body may be.".into(),
        Rejection::MissingSignature => {
            "The source's scheme says which header is read: kapso X-Webhook-Signature, meta X-Hub-Signature-256, any either. \
             Was it lost on the way?"
                .into()
        }
        Rejection::RepeatedSignature => "Something on the way adds the header again.".into(),
        Rejection::MalformedSignature => "Something on the way changed or cut the header.".into(),
        Rejection::WrongSignature => format!(
            "Tried: {}. Either the webhook has another secret_key, or the body is not the one that was signed: these bytes \
             must be as they came, not parsed and written anew.",
            tried(report.source.as_deref(), loaded)
        ),
        Rejection::UnknownTenant => "secrets_by_phone_number in the policy says which numbers are known.".into(),
        Rejection::TooOld => "Is it an old capture? With --now SECONDS it is judged as of then.".into(),
        Rejection::BadRedirect => "Kapso sends setup_link_id with status=completed to the success path, and with error_code to the failure \
             path: each once, ids of at most 64 letters, digits, - and _, display_phone_number as in +15551234567."
            .into(),
        Rejection::WrongVerifyToken => "hub.verify_token must be the value of the source's verify_token secret.".into(),
    }
}

/// The secrets that a delivery to this source is tried with.
fn tried(source: Option<&str>, loaded: &Loaded) -> String {
    let mut sources = loaded.policy.get("sources").and_then(Value::as_array).into_iter().flatten();
    let source = sources.find(|found| found.get("name").and_then(Value::as_str) == source);
    let part = |name: &str| source.and_then(|source| source.get(name));
    let listed = part("secrets").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let listed = listed.collect::<Vec<_>>().join(", ");
    match part("secrets_by_phone_number") {
        None => listed,
        Some(_) if listed.is_empty() => "those of the body's phone number".into(),
        Some(_) => format!("those of the body's phone number, or {listed}"),
    }
}

fn contents(out: &mut impl Write, said: &Said) -> io::Result<()> {
    let name = said.event.as_deref().map_or_else(|| "no name".into(), clean);
    write!(out, "  {} webhook, {NAME}{name}{NAME:#}", said.kind)?;
    match said.event_from {
        "header" => write!(out, " (the header says so, which is not signed)")?,
        "body" => write!(out, " (the signed body says so)")?,
        _ => {}
    }
    if let Some(version) = &said.payload_version {
        write!(out, ", {}", clean(version))?;
    }
    if said.batch {
        write!(out, ", a batch of {}", said.events.len())?;
    }
    if said.test {
        write!(out, ", a test from Kapso's dashboard")?;
    }
    writeln!(out)?;
    for found in &said.contradictions {
        let (claimed, actual) = (clean(&found.claimed), clean(&found.actual));
        writeln!(out, "  {BAD}contradiction{BAD:#}: {} says {claimed:?}, the signed body {actual:?}", found.header)?;
    }
    Ok(())
}

fn event(out: &mut impl Write, line: &Line, loaded: &Loaded) -> io::Result<()> {
    writeln!(out, "  event {}: {}", line.index, keys(&line.event))?;
    match &line.route {
        Some(route) => why(out, route, loaded),
        None => Ok(()),
    }
}

/// What rules can be written over, in the policy's words.
fn keys(event: &Event) -> String {
    let keys = [
        ("direction", &event.direction),
        ("status", &event.status),
        ("message_type", &event.message_type),
        ("origin", &event.origin),
        ("phone_number_id", &event.phone_number_id),
        ("business_account_id", &event.business_account_id),
        ("customer_id", &event.customer_id),
        ("conversation_id", &event.conversation_id),
        ("message_id", &event.message_id),
        ("text", &event.text),
    ];
    let keys = keys.into_iter().filter_map(|(key, value)| Some(format!("{key} {}", clean(value.as_deref()?))));
    let new = event.new_conversation.map(|new| format!("new_conversation {new}"));
    keys.chain(new).collect::<Vec<_>>().join(", ")
}

fn why(out: &mut impl Write, route: &Route, loaded: &Loaded) -> io::Result<()> {
    match &route.rule {
        Some(rule) => {
            write!(out, "    rule {NAME}{rule}{NAME:#}")?;
            conditions(out, rule, loaded)?;
        }
        None => write!(out, "    no rule matches, so {NAME}otherwise{NAME:#} decides")?,
    }
    match route.targets.as_slice() {
        [] => writeln!(out, ": dropped"),
        targets => writeln!(out, ": to {}", targets.join(", ")),
    }
}

/// What the rule asks for, as the policy has it.
fn conditions(out: &mut impl Write, rule: &str, loaded: &Loaded) -> io::Result<()> {
    let rules = loaded.policy.get("rules").and_then(Value::as_array);
    let Some(rule) = rules.into_iter().flatten().find(|found| found.get("name") == Some(&rule.into())) else {
        return Ok(());
    };
    for part in ["when", "unless"] {
        if let Some(conditions) = rule.get(part) {
            write!(out, " {part} {conditions}")?;
        }
    }
    Ok(())
}

fn target(out: &mut impl Write, message: &Message) -> io::Result<()> {
    let Message { target, url, cluster, events, body, drop_headers, set_headers } = message;
    let place = url.as_deref().or(cluster.as_deref()).unwrap_or_default();
    write!(out, "  {NAME}{target}{NAME:#} ({place}) gets {}: ", numbered(events))?;
    match body {
        Body::AsReceived { len } => writeln!(out, "the body as received, {len} bytes")?,
        Body::Part { start, len } => writeln!(out, "{len} bytes of the body, from byte {start} on")?,
        Body::Rewritten { len, .. } => writeln!(out, "a new body of {len} bytes")?,
    }
    headers(out, drop_headers, set_headers)
}

fn headers(out: &mut impl Write, dropped: &[String], set: &[(String, String)]) -> io::Result<()> {
    if !dropped.is_empty() {
        writeln!(out, "    {DIM}without {}{DIM:#}", dropped.join(", "))?;
    }
    for (name, value) in set {
        writeln!(out, "    {DIM}{name}: {}{DIM:#}", clean(value))?;
    }
    Ok(())
}

fn numbered(events: &[u32]) -> String {
    let numbers: Vec<_> = events.iter().map(u32::to_string).collect();
    match numbers.as_slice() {
        [one] => format!("event {one}"),
        many => format!("events {}", many.join(", ")),
    }
}
