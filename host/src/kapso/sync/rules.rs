//! Which events a policy's rules ask for.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::kapso::catalogue::{self, Event, PayloadVersion};
use crate::kapso::webhook::Scope;

/// A rule, as far as it matters here. The gate has checked the document.
#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    #[serde(default)]
    when: Map<String, Value>,
    #[serde(default)]
    unless: Map<String, Value>,
    #[serde(default)]
    drop: bool,
}

/// What tells one event from another. A rule with none of these takes whatever comes, and asks for nothing.
const TELLING: [&str; 8] =
    ["event", "kind", "status", "direction", "message_type", "origin", "text", "new_conversation"];

/// The events whose name says the status of what they are about.
const MESSAGES: &str = "whatsapp.message.";
/// Those whose body says it.
const WITH_STATUS: [&str; 4] =
    ["whatsapp.conversation.", "workflow.execution.", "kapso_agent.run.", "agent_execution_"];

/// Who is asking: a source's webhook of a scope.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) source: &'a str,
    pub(super) scope: &'a Scope,
}

/// Whether a condition, or all of a rule's, hold for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    Never,
    Sometimes,
    Always,
}

use Holds::{Always, Never, Sometimes};

impl Rule {
    /// Whether it is for this source alone.
    pub(super) fn names_source(&self, source: &str) -> bool {
        self.when.get("source").is_some_and(|names| any(names).any(|name| name == source))
    }

    /// The phone numbers that it sends something on of.
    pub(super) fn numbers(&self) -> impl Iterator<Item = &str> {
        self.when.get("phone_number_id").filter(|_| !self.drop).into_iter().flat_map(any)
    }

    /// The events that it names, not by a beginning.
    pub(super) fn events(&self) -> impl Iterator<Item = &str> {
        self.when.get("event").into_iter().flat_map(any).filter(|name| !name.ends_with('*'))
    }

    /// Whether it sends this event anywhere, and says by what it matches that it is about such events.
    pub(super) fn asks_for(&self, asker: Asker<'_>, event: &Event) -> bool {
        // The legacy form of another event, and one that not every plan has, are not asked for by the way.
        let special = event.versions == [PayloadVersion::V1] || event.name == "project.event";
        !self.drop && self.asks(event.name) && self.holds(asker, event.name) != Never && (!special || self.names(event))
    }

    /// A status alone is a message's: that others have one too is no reason to have all of them come.
    fn asks(&self, event: &str) -> bool {
        let tells = |field: &str| field != "status" || event.starts_with(MESSAGES);
        TELLING.iter().any(|field| tells(field) && self.when.contains_key(*field))
    }

    fn holds(&self, asker: Asker<'_>, event: &str) -> Holds {
        let all = |conditions: &Map<String, Value>| {
            conditions.iter().map(|(field, value)| holds(field, value, asker, event)).min().unwrap_or(Always)
        };
        let unless = if self.unless.is_empty() { Never } else { all(&self.unless) };
        match (all(&self.when), unless) {
            (Never, _) | (_, Always) => Never,
            (Always, Never) => Always,
            _ => Sometimes,
        }
    }

    /// Whether it names the event itself, not a beginning that many have.
    fn names(&self, event: &Event) -> bool {
        self.when.get("event").is_some_and(|names| any(names).any(|name| name == event.name))
    }
}

/// Whether the rules send this event anywhere, and ask for it, so that it is worth having. A rule that takes whatever comes is no
/// reason to have more come, and none against what a later rule asks for.
pub(super) fn ask_for(rules: &[Rule], asker: Asker<'_>, event: &Event) -> bool {
    for rule in rules {
        if rule.drop && rule.holds(asker, event.name) == Always {
            return false;
        }
        if rule.asks_for(asker, event) {
            return true;
        }
    }
    false
}

/// Whether the rules may send an event of this name on, asked for or not, and known here or not. None if no rule is about it.
pub(super) fn take(rules: &[Rule], asker: Asker<'_>, event: &str) -> Option<bool> {
    let decides = |rule: &&Rule| match rule.holds(asker, event) {
        Never => false,
        Sometimes => !rule.drop,
        Always => true,
    };
    rules.iter().find(decides).map(|rule| !rule.drop)
}

fn holds(field: &str, value: &Value, asker: Asker<'_>, event: &str) -> Holds {
    let decided = |holds: bool| if holds { Always } else { Never };
    let known = catalogue::find(event);
    let message = event.strip_prefix(MESSAGES);
    match field {
        "source" => decided(any(value).any(|name| name == asker.source)),
        "event" => decided(any(value).any(|pattern| matches(pattern, event))),
        // What becomes of an event that is not known here is not known either.
        "kind" | "status" | "direction" if known.is_none() => Sometimes,
        "kind" => {
            let kind = match known.map(|event| event.scope) {
                Some(catalogue::Scope::Project) => "project",
                _ => "whatsapp",
            };
            decided(any(value).any(|name| name == kind))
        }
        "phone_number_id" => match asker.scope {
            Scope::Number(number) => decided(any(value).any(|name| name == number)),
            Scope::Project => Sometimes,
        },
        "status" if WITH_STATUS.iter().any(|beginning| event.starts_with(beginning)) => Sometimes,
        "status" => decided(message.is_some_and(|status| any(value).any(|name| name == status))),
        "direction" => {
            let direction = message.map(|status| if status == "received" { "inbound" } else { "outbound" });
            decided(direction.is_some_and(|direction| any(value).any(|name| name == direction)))
        }
        "message_type" | "origin" | "text" | "new_conversation" => {
            if message.is_some() {
                Sometimes
            } else {
                Never
            }
        }
        // Tests are sent when somebody asks for one.
        "test" => decided(value == &Value::Bool(false)),
        _ => Sometimes,
    }
}

/// One value or a list of them.
fn any(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kapso::catalogue::EVENTS;

    /// What these rules ask for, without `whatsapp.` in front.
    fn asked_for(rules: &Value, scope: &Scope) -> Vec<&'static str> {
        let rules: Vec<Rule> = serde_json::from_value(rules.clone()).unwrap();
        let asker = Asker { source: "a", scope };
        let owner = match scope {
            Scope::Number(_) => catalogue::Scope::PhoneNumber,
            Scope::Project => catalogue::Scope::Project,
        };
        let events = EVENTS.iter().filter(|event| event.scope == owner && ask_for(&rules, asker, event));
        events.map(|event| event.name.strip_prefix("whatsapp.").unwrap_or(event.name)).collect()
    }

    fn of_number(rules: &Value) -> Vec<&'static str> {
        asked_for(rules, &Scope::Number("1".into()))
    }

    #[test]
    fn names_and_beginnings_ask() {
        let rules = json!([
            {"when": {"event": "whatsapp.message.received"}, "to": ["t"]},
            {"when": {"event": ["whatsapp.contact.*"]}, "to": ["t"]},
        ]);
        assert_eq!(
            of_number(&rules),
            ["message.received", "contact.identity_changed", "contact.marketing_preference_changed"]
        );
        assert!(asked_for(&rules, &Scope::Project).is_empty());
    }

    #[test]
    fn what_is_said_of_messages_asks_for_messages() {
        let when = |conditions: Value| of_number(&json!([{"when": conditions, "to": ["t"]}]));
        assert_eq!(when(json!({"direction": "inbound"})), ["message.received"]);
        assert_eq!(when(json!({"status": ["read", "failed"]})), ["message.read", "message.failed"]);
        assert_eq!(when(json!({"direction": "outbound", "status": "sent"})), ["message.sent"]);
        assert_eq!(when(json!({"message_type": "image"})).len(), 5);
        assert_eq!(when(json!({"event": "whatsapp.message.received", "phone_number_id": ["1", "2"]})).len(), 1);
        assert!(when(json!({"event": "whatsapp.message.received", "phone_number_id": "2"})).is_empty());
        assert!(when(json!({"event": "whatsapp.message.received", "source": "b"})).is_empty());
    }

    #[test]
    fn a_status_in_the_body_may_be_any() {
        let ended = json!([{"when": {"event": "whatsapp.conversation.*", "status": "ended"}, "to": ["t"]}]);
        assert!(of_number(&ended).contains(&"conversation.ended"), "{ended}");
        let failed = json!([{"when": {"event": "workflow.execution.*", "status": "failed"}, "to": ["t"]}]);
        assert!(asked_for(&failed, &Scope::Project).contains(&"workflow.execution.failed"), "{failed}");
        assert!(asked_for(&json!([{"when": {"status": "failed"}, "to": ["t"]}]), &Scope::Project).is_empty());
        let rules: Vec<Rule> = serde_json::from_value(ended).unwrap();
        let asker = Asker { source: "a", scope: &Scope::Number("1".into()) };
        assert_eq!(take(&rules, asker, "whatsapp.conversation.ended"), Some(true));
        assert_eq!(take(&rules, asker, "whatsapp.contact.identity_changed"), None);
    }

    #[test]
    fn what_is_dropped_before_is_not_asked_for() {
        let rules = |first: Value| {
            of_number(
                &json!([first, {"when": {"event": ["whatsapp.message.received", "whatsapp.message.read"]}, "to": ["t"]}]),
            )
        };
        assert_eq!(rules(json!({"when": {"event": "whatsapp.message.read"}, "drop": true})), ["message.received"]);
        // Only some of them are dropped.
        assert_eq!(rules(json!({"when": {"message_type": "image"}, "drop": true})).len(), 2);
        let unless =
            json!({"when": {"kind": "whatsapp"}, "unless": {"event": "whatsapp.message.received"}, "drop": true});
        assert_eq!(rules(unless), ["message.received"]);
        assert_eq!(rules(json!({"when": {"test": true}, "drop": true})).len(), 2);
    }

    #[test]
    fn who_takes_anything_asks_for_nothing() {
        for when in [json!({}), json!({"phone_number_id": "1"}), json!({"source": "a"}), json!({"test": true})] {
            assert!(of_number(&json!([{"when": when, "to": ["t"]}])).is_empty(), "{when}");
        }
        let later = json!([{"when": {"phone_number_id": "1"}, "to": ["t"]}, {"when": {"status": "read"}, "to": ["t"]}]);
        assert_eq!(of_number(&later), ["message.read"]);
    }

    #[test]
    fn what_rules_may_send_on_is_taken_whether_it_is_asked_for_or_not() {
        let taken = |rules: Value, source: &str, event: &str| {
            let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
            take(&rules, Asker { source, scope: &Scope::Project }, event)
        };
        let project = || json!([{"when": {"kind": "project"}, "to": ["t"]}]);
        assert_eq!(taken(project(), "a", "project.event"), Some(true));
        assert_eq!(taken(project(), "a", "of.next.year"), Some(true));
        assert_eq!(taken(project(), "a", "whatsapp.message.read"), None);
        let messages = json!([{"when": {"event": "whatsapp.message.*"}, "to": ["t"]}]);
        assert_eq!(taken(messages, "a", "whatsapp.message.edited"), Some(true));
        let anything = || json!([{"when": {"source": "a"}, "to": ["t"]}]);
        assert_eq!((taken(anything(), "a", "x"), taken(anything(), "b", "x")), (Some(true), None));
        let dropped = json!([{"when": {"event": "x"}, "drop": true}, {"to": ["t"]}]);
        assert_eq!((taken(dropped.clone(), "a", "x"), taken(dropped, "a", "y")), (Some(false), Some(true)));
    }

    #[test]
    fn a_rule_for_the_project_does_not_ask_for_what_not_everybody_has() {
        let all = asked_for(&json!([{"when": {"kind": "project"}, "to": ["t"]}]), &Scope::Project);
        assert!(all.contains(&"phone_number.created") && all.contains(&"workflow.execution.failed"), "{all:?}");
        assert!(!all.contains(&"config.created") && !all.contains(&"project.event"), "{all:?}");
        let named = json!([{"when": {"event": ["project.event", "whatsapp.config.created"]}, "to": ["t"]}]);
        assert_eq!(asked_for(&named, &Scope::Project), ["project.event", "config.created"]);
    }
}
