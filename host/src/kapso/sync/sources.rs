//! Which webhooks a policy's sources need.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::rules::{Asker, Rule, ask_for, take};
use crate::kapso::catalogue::{self, EVENTS};
use crate::kapso::webhook::{Kind, Scope, Webhook};

/// A policy, as far as it matters here. The gate has checked the document.
#[derive(Debug, Deserialize)]
struct Policy {
    sources: Vec<Source>,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    otherwise: Otherwise,
}

impl Policy {
    /// Events that rules send on by name, that the catalogue does not have, and that none of these webhooks asks for.
    fn unknown_events(&self, webhooks: &[Expected]) -> BTreeSet<String> {
        let is_left_out = |name: &str| {
            let takes = |one: &&Expected| {
                let asker = Asker { source: &one.source, scope: &one.scope };
                one.kind == Kind::Kapso && take(&self.rules, asker, name) == Some(true)
            };
            let has = |one: &Expected| one.events.contains(name) || one.stay.contains(name);
            let takers: Vec<_> = webhooks.iter().filter(takes).collect();
            !takers.is_empty() && !takers.into_iter().any(has)
        };
        // A name without a dot is a field of Meta's, or an event of the older agents, which no webhook here asks for.
        let names = self.rules.iter().flat_map(Rule::events).filter(|name| name.contains('.'));
        names
            .filter(|name| catalogue::find(name).is_none())
            .filter(|name| is_left_out(name))
            .map(str::to_owned)
            .collect()
    }

    /// What to say when no source gets the project's events, if rules ask for such.
    fn nobody_is_the_projects(&self) -> Option<String> {
        let able = self.sources.iter().filter(|source| source.scheme != Scheme::Meta);
        let able: Vec<_> = able.map(|source| source.name.as_str()).collect();
        let is_asked_for = |event: &catalogue::Event| {
            able.iter().any(|source| ask_for(&self.rules, Asker { source, scope: &Scope::Project }, event))
        };
        let asked = EVENTS.iter().any(|event| event.scope == catalogue::Scope::Project && is_asked_for(event));
        asked.then(|| {
            format!(
                "rules ask for the project's events, and nothing says which source gets them: give --project with one of {}, or \
                 name the sources that matter with --source",
                able.join(", ")
            )
        })
    }
}

#[derive(Debug, Deserialize)]
struct Source {
    name: String,
    path: String,
    #[serde(default)]
    scheme: Scheme,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    secrets_by_phone_number: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Scheme {
    #[default]
    Kapso,
    Meta,
    Any,
}

#[derive(Debug, Default, Deserialize)]
struct Otherwise {
    #[serde(default)]
    to: Vec<String>,
}

/// What people say besides the policy, by the names of sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    /// Only these sources; all if empty.
    pub(crate) sources: BTreeSet<String>,
    /// Phone numbers that a source is for.
    pub(crate) numbers: BTreeMap<String, BTreeSet<String>>,
    /// Sources that get the project's events.
    pub(crate) projects: BTreeSet<String>,
    /// Events besides those that the rules ask for.
    pub(crate) events: BTreeMap<String, BTreeSet<String>>,
}

/// A webhook that there should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) source: String,
    pub(crate) url: String,
    pub(crate) scope: Scope,
    pub(crate) kind: Kind,
    /// The events that are asked for. None where nobody says: then those that are registered stay.
    pub(crate) events: BTreeSet<String>,
    /// Events that are registered and stay though nothing asks for them, because the policy sends them on when they come.
    pub(crate) stay: BTreeSet<String>,
    /// The names of its secrets, the one to sign with first.
    pub(crate) secrets: Vec<String>,
}

/// All that there should be.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// In the order of the policy's sources.
    pub(crate) webhooks: Vec<Expected>,
    /// The addresses of all sources, those left out by choice too, each once.
    pub(crate) addresses: BTreeSet<String>,
    /// Events that rules send on by name and no webhook asks for, because the catalogue does not have them.
    pub(crate) unknown: BTreeSet<String>,
    /// What has to be said before anything can be done.
    pub(crate) problems: Vec<String>,
}

impl Wanted {
    /// What the policy's sources need behind this public address, given what is registered.
    pub(crate) fn of(
        policy: &Value,
        base: &Url,
        choices: &Choices,
        registered: &[Webhook],
    ) -> serde_json::Result<Self> {
        let policy: Policy = Policy::deserialize(policy)?;
        let mut wanted = Self::default();
        let names: BTreeSet<_> = policy.sources.iter().map(|source| &source.name).collect();
        let named =
            choices.sources.iter().chain(choices.numbers.keys()).chain(&choices.projects).chain(choices.events.keys());
        for name in named.collect::<BTreeSet<_>>().into_iter().filter(|name| !names.contains(name)) {
            let there: Vec<_> = policy.sources.iter().map(|source| source.name.as_str()).collect();
            wanted.problems.push(format!("the policy has no source {name:?}; it has {}", there.join(", ")));
        }
        for source in &policy.sources {
            let url = address(base, &source.path);
            wanted.addresses.insert(url.clone());
            if choices.sources.is_empty() || choices.sources.contains(&source.name) {
                let here = registered.iter().filter(|webhook| same_address(webhook.url(), &url)).collect();
                Needs { policy: &policy, source, url, choices, here }.add_to(&mut wanted);
            }
        }
        if choices.sources.is_empty() && wanted.webhooks.iter().all(|one| one.scope != Scope::Project) {
            wanted.problems.extend(policy.nobody_is_the_projects());
        }
        wanted.unknown = policy.unknown_events(&wanted.webhooks);
        Ok(wanted)
    }
}

/// One source, and all that says what it needs.
struct Needs<'a> {
    policy: &'a Policy,
    source: &'a Source,
    url: String,
    choices: &'a Choices,
    /// What is registered at its address.
    here: Vec<&'a Webhook>,
}

impl Needs<'_> {
    fn add_to(&self, wanted: &mut Wanted) {
        let name = &self.source.name;
        let numbers = self.numbers();
        let before = wanted.webhooks.len();
        for number in &numbers {
            let scope = Scope::Number(number.clone());
            let registered =
                |kind: Kind| self.here.iter().any(|webhook| webhook.scope() == scope && webhook.kind() == kind.name());
            // Where either will do, what is registered stays, and is not joined by the other: each message would come twice.
            let meta = match self.source.scheme {
                Scheme::Kapso => false,
                Scheme::Meta => true,
                Scheme::Any => registered(Kind::Meta),
            };
            if meta {
                self.add(wanted, &scope, Kind::Meta, BTreeSet::new());
            }
            if !meta || self.source.scheme == Scheme::Any && registered(Kind::Kapso) {
                let events = self.events(&scope);
                if !events.is_empty() || registered(Kind::Kapso) {
                    self.add(wanted, &scope, Kind::Kapso, events);
                } else {
                    wanted.problems.push(format!(
                        "{name}: no rule says which events the number {number} should send: say it with --event {name}=NAME"
                    ));
                }
            }
        }
        let project = self.is_project();
        if project {
            let events = self.events(&Scope::Project);
            if events.is_empty() && !self.here.iter().any(|webhook| webhook.scope() == Scope::Project) {
                wanted.problems.push(format!(
                    "{name}: no rule says which events the project should send: say it with --event {name}=NAME"
                ));
            } else {
                self.add(wanted, &Scope::Project, Kind::Kapso, events);
            }
        }
        let any_number = Scope::Number(String::new());
        let unknown =
            numbers.is_empty() && (self.source.scheme == Scheme::Meta || !self.events(&any_number).is_empty());
        let nothing = wanted.webhooks.len() == before && !project && numbers.is_empty();
        if unknown || nothing {
            wanted.problems.push(format!(
                "{name}: nothing says which phone numbers it is for: give --number {name}=ID{}, or leave it out with --source",
                if self.source.scheme == Scheme::Meta { "" } else { ", or --project if it gets the project's events alone" }
            ));
        }
    }

    fn add(&self, wanted: &mut Wanted, scope: &Scope, kind: Kind, events: BTreeSet<String>) {
        let by_number = scope.number().and_then(|number| self.source.secrets_by_phone_number.get(number));
        let secrets = by_number.unwrap_or(&self.source.secrets).clone();
        let owner = scope.number().map_or_else(|| "the project".into(), |number| format!("the number {number}"));
        if secrets.is_empty() {
            let name = &self.source.name;
            wanted
                .problems
                .push(format!("{name}: the policy has no secret for {owner}: add one to the source's \"secrets\""));
        }
        let asker = Asker { source: &self.source.name, scope };
        let sent_on =
            |event: &&str| take(&self.policy.rules, asker, event).unwrap_or(!self.policy.otherwise.to.is_empty());
        let registered =
            self.here.iter().filter(|webhook| webhook.scope() == *scope).flat_map(|webhook| webhook.events());
        let stay = registered.filter(sent_on).map(str::to_owned).collect();
        wanted.webhooks.push(Expected {
            source: self.source.name.clone(),
            url: self.url.clone(),
            scope: scope.clone(),
            kind,
            events,
            stay,
            secrets,
        });
    }

    /// As far as rules go that are surely for this source.
    fn numbers(&self) -> BTreeSet<String> {
        let name = &self.source.name;
        let mut numbers = self.choices.numbers.get(name).cloned().unwrap_or_default();
        numbers.extend(self.source.secrets_by_phone_number.keys().cloned());
        for rule in self.policy.rules.iter().filter(|rule| self.is_only_source() || rule.names_source(name)) {
            numbers.extend(rule.numbers().map(str::to_owned));
        }
        numbers.extend(self.here.iter().filter_map(|webhook| webhook.scope().number().map(str::to_owned)));
        numbers
    }

    /// Whether it gets the project's events. Of several sources that could, one must be chosen: each would get all of them.
    fn is_project(&self) -> bool {
        let name = &self.source.name;
        if self.source.scheme == Scheme::Meta {
            return false;
        }
        let asker = Asker { source: name, scope: &Scope::Project };
        let named = self.policy.rules.iter().filter(|rule| rule.names_source(name));
        let mut of_project = EVENTS.iter().filter(|event| event.scope == catalogue::Scope::Project);
        let asks = |event: &catalogue::Event| named.clone().any(|rule| rule.asks_for(asker, event));
        self.choices.projects.contains(name)
            || self.here.iter().any(|webhook| webhook.scope() == Scope::Project)
            || self.is_only_source() && !self.events(&Scope::Project).is_empty()
            || of_project.any(asks)
    }

    fn is_only_source(&self) -> bool {
        self.policy.sources.iter().filter(|source| source.scheme != Scheme::Meta).count() == 1
            && self.source.scheme != Scheme::Meta
    }

    /// Which events a webhook of this scope should ask for.
    fn events(&self, scope: &Scope) -> BTreeSet<String> {
        let owner = match scope {
            Scope::Number(_) => catalogue::Scope::PhoneNumber,
            Scope::Project => catalogue::Scope::Project,
        };
        let asker = Asker { source: &self.source.name, scope };
        let asked = EVENTS.iter().filter(|event| event.scope == owner && ask_for(&self.policy.rules, asker, event));
        let mut events: BTreeSet<_> = asked.map(|event| event.name.to_owned()).collect();
        let chosen = self.choices.events.get(&self.source.name).into_iter().flatten();
        events.extend(chosen.filter(|name| catalogue::scope_of(name) == owner).cloned());
        events
    }
}

/// A source's address behind a public one, which may have a path of its own.
fn address(base: &Url, path: &str) -> String {
    format!("{}{path}", base.as_str().trim_end_matches('/'))
}

/// Whether two URLs lead to the same source, for which a query does not count.
pub(super) fn same_address(one: &str, other: &str) -> bool {
    let address = |url| {
        let mut url = Url::parse(url).ok()?;
        url.set_query(None);
        Some(url)
    };
    match (address(one), address(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn registered(url: &str, number: Option<&str>, kind: &str) -> Webhook {
        let Value::Object(fields) = json!({"id": "w", "url": url, "phone_number_id": number, "kind": kind}) else {
            unreachable!()
        };
        Webhook::new(fields)
    }

    fn wanted(policy: &Value, choices: &Choices, here: &[Webhook]) -> Wanted {
        Wanted::of(policy, &Url::parse("https://hooks.example.com").unwrap(), choices, here).unwrap()
    }

    fn one(secrets: &Value) -> Value {
        let mut source = json!({"name": "a", "path": "/a"});
        source.as_object_mut().unwrap().extend(secrets.as_object().unwrap().clone());
        json!({
            "sources": [source],
            "rules": [
                {"name": "r", "when": {"event": "whatsapp.message.received"}, "to": ["t"]},
                {"name": "p", "when": {"event": "whatsapp.phone_number.created"}, "to": ["t"]},
            ],
        })
    }

    fn numbers(of: &str, ids: &[&str]) -> Choices {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Choices { numbers: BTreeMap::from([(of.to_owned(), ids)]), ..Choices::default() }
    }

    fn shown(wanted: &Wanted) -> Vec<(String, Scope, Kind, Vec<&str>)> {
        let secrets = wanted.webhooks.iter().map(|one| one.secrets.iter().map(String::as_str).collect());
        let shown = wanted.webhooks.iter().zip(secrets);
        shown.map(|(one, secrets)| (one.source.clone(), one.scope.clone(), one.kind, secrets)).collect()
    }

    fn number(id: &str) -> Scope {
        Scope::Number(id.into())
    }

    #[test]
    fn one_source_may_need_a_webhook_for_each_number_and_one_for_the_project() {
        let policy = one(&json!({"secrets": ["S", "OLD"], "secrets_by_phone_number": {"1": ["T"]}}));
        let wanted = wanted(&policy, &numbers("a", &["2"]), &[]);
        assert_eq!(wanted.problems, Vec::<String>::new());
        assert_eq!(
            shown(&wanted),
            [
                ("a".into(), number("1"), Kind::Kapso, vec!["T"]),
                ("a".into(), number("2"), Kind::Kapso, vec!["S", "OLD"]),
                ("a".into(), Scope::Project, Kind::Kapso, vec!["S", "OLD"]),
            ]
        );
        assert_eq!(wanted.webhooks[0].url, "https://hooks.example.com/a");
        assert_eq!(wanted.webhooks[0].events, BTreeSet::from(["whatsapp.message.received".into()]));
        assert_eq!(wanted.webhooks[2].events, BTreeSet::from(["whatsapp.phone_number.created".into()]));
    }

    #[test]
    fn what_is_registered_tells_the_numbers_too() {
        let policy = one(&json!({"secrets": ["S"]}));
        let here = [registered("https://HOOKS.example.com:443/a", Some("7"), "kapso")];
        let found = wanted(&policy, &Choices::default(), &here);
        assert_eq!(found.webhooks[0].scope, number("7"));
        let elsewhere = [registered("https://hooks.example.com/b", Some("7"), "kapso")];
        let found = wanted(&policy, &Choices::default(), &elsewhere);
        assert!(matches!(found.problems.as_slice(), [one] if one.contains("--number a=ID")), "{:?}", found.problems);
    }

    #[test]
    fn a_meta_source_forwards_and_the_others_must_say_who_is_the_projects() {
        let policy = json!({
            "sources": [
                {"name": "a", "path": "/a", "secrets": ["S"]},
                {"name": "b", "path": "/b", "secrets": ["S"]},
                {"name": "m", "path": "/m", "scheme": "meta", "secrets": ["M"]},
            ],
            "rules": [
                {"name": "s", "when": {"source": "a", "event": "whatsapp.message.read"}, "to": ["t"]},
                {"name": "r", "when": {"kind": ["whatsapp", "project"]}, "to": ["t"]},
            ],
        });
        // That a rule names a source for something else does not make it the project's.
        let mut choices = numbers("a", &["1"]);
        choices.numbers.extend(numbers("b", &["2"]).numbers);
        choices.numbers.extend(numbers("m", &["1"]).numbers);
        let scopes = |wanted: &Wanted| {
            shown(wanted).into_iter().map(|(source, scope, kind, _)| (source, scope, kind)).collect::<Vec<_>>()
        };
        let all = [
            ("a".to_owned(), number("1"), Kind::Kapso),
            ("b".to_owned(), number("2"), Kind::Kapso),
            ("m".to_owned(), number("1"), Kind::Meta),
        ];
        let open = wanted(&policy, &choices, &[]);
        assert_eq!(scopes(&open), all);
        assert!(matches!(open.problems.as_slice(), [one] if one.contains("--project with one of a, b")), "{open:?}");
        choices.projects.insert("b".into());
        choices.sources.insert("b".into());
        let chosen = wanted(&policy, &choices, &[]);
        assert_eq!(scopes(&chosen), [all[1].clone(), ("b".to_owned(), Scope::Project, Kind::Kapso)]);
        assert_eq!(chosen.addresses.len(), 3);
    }

    #[test]
    fn what_rules_name_and_nobody_knows_is_told() {
        let mut policy = one(&json!({"secrets": ["S"]}));
        let named = json!([
            "whatsapp.message.read",
            "whatsapp.message.of_next_year",
            "of.last.*",
            "whatsapp.message.there",
            "account_update"
        ]);
        policy["rules"] = json!([
            {"name": "d", "when": {"event": "whatsapp.message.dropped"}, "drop": true},
            {"name": "r", "when": {"event": named}, "to": ["t"]},
            {"name": "s", "when": {"event": "whatsapp.message.dropped"}, "to": ["t"]},
            {"name": "b", "when": {"source": "b", "event": "of.another"}, "to": ["t"]},
        ]);
        let mut there = registered("https://hooks.example.com/a", Some("1"), "kapso").fields().clone();
        there.insert("events".into(), json!(["whatsapp.message.there"]));
        let mut choices = Choices::default();
        let found = wanted(&policy, &choices, &[Webhook::new(there.clone())]);
        assert_eq!(found.unknown, BTreeSet::from(["whatsapp.message.of_next_year".to_owned()]));
        choices.events.insert("a".into(), BTreeSet::from(["whatsapp.message.of_next_year".into()]));
        assert!(wanted(&policy, &choices, &[Webhook::new(there)]).unknown.is_empty());
    }

    #[test]
    fn where_either_scheme_will_do_what_is_registered_stays() {
        let policy = one(&json!({"secrets": ["S"], "scheme": "any"}));
        let at = |kind| registered("https://hooks.example.com/a", Some("1"), kind);
        let kinds = |here: &[Webhook]| {
            let found = wanted(&policy, &numbers("a", &["1"]), here);
            let of_number = found.webhooks.iter().filter(|one| one.scope == number("1"));
            of_number.map(|one| one.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&[]), [Kind::Kapso]);
        assert_eq!(kinds(&[at("kapso")]), [Kind::Kapso]);
        assert_eq!(kinds(&[at("meta")]), [Kind::Meta]);
        assert_eq!(kinds(&[at("kapso"), at("meta")]), [Kind::Meta, Kind::Kapso]);
    }

    #[test]
    fn what_is_left_open_is_said() {
        let says = |policy: &Value, choices: &Choices, what: &str| {
            let problems = wanted(policy, choices, &[]).problems;
            assert!(problems.iter().any(|problem| problem.contains(what)), "{what}: {problems:?}");
        };
        let policy = one(&json!({"secrets": ["S"]}));
        says(&policy, &Choices::default(), "--number a=ID");
        says(&policy, &numbers("nobody", &["1"]), "no source \"nobody\"; it has a");
        says(&one(&json!({"secrets_by_phone_number": {"1": ["T"]}})), &Choices::default(), "no secret for the project");
        let bare = json!({"sources": [{"name": "a", "path": "/a", "secrets": ["S"]}], "otherwise": {"to": ["t"]}});
        says(&bare, &numbers("a", &["1"]), "--event a=NAME");
        says(&bare, &Choices::default(), "--number a=ID");
        let mut chosen = numbers("a", &["1"]);
        chosen.events.insert("a".into(), BTreeSet::from(["whatsapp.message.sent".into()]));
        let found = wanted(&bare, &chosen, &[]);
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        // What is there and goes to the rest stays, asked for or not.
        let there = json!({
            "id": "w", "url": "https://hooks.example.com/a", "phone_number_id": "1", "events": ["of.next.year"]
        });
        let Value::Object(there) = there else { unreachable!() };
        let found = wanted(&bare, &chosen, &[Webhook::new(there)]);
        assert_eq!(found.webhooks[0].stay, BTreeSet::from(["of.next.year".to_owned()]));
    }
}
