//! How what is registered differs from what there should be, and how that is mended.

use std::collections::BTreeSet;

use reqwest::Url;

use super::sources::{Expected, Wanted, same_address};
use crate::Secrets;
use crate::kapso::client::Client;
use crate::kapso::error::Error;
use crate::kapso::key::SecretKey;
use crate::kapso::webhook::{Kind, Scope, Settings, Webhook};

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    /// Secrets that would be needed to compare or to register, and have no value.
    pub(crate) missing: BTreeSet<String>,
}

/// One thing to do, or to leave.
#[derive(Debug)]
pub(crate) enum Action {
    /// Nothing is registered for it.
    Create(Expected),
    /// It is registered, and differs.
    Change(Box<Webhook>, Expected, Change),
    /// It is registered as it should be.
    Keep(Box<Webhook>, Expected),
    /// It is registered behind the public address, and the policy knows nothing of it.
    Delete(Box<Webhook>, Why),
    /// The same, and it stays, because nobody asked for it to go, or it may be of use.
    Leave(Box<Webhook>, Why),
}

/// Why the policy does not need a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Second,
    NoSource,
    OtherKind,
}

impl Why {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Second => "a second one for the same: each event is sent twice",
            Self::NoSource => "no source has this path",
            Self::OtherKind => "of another kind than the source needs: if both work, each message comes twice",
        }
    }

    /// Whether it goes when asked for. What Kapso signs a webhook of another kind with, nobody says for sure.
    pub(crate) fn is_pruned(self) -> bool {
        self != Self::OtherKind
    }
}

/// How a webhook differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Events that it should ask for, and does not.
    pub(crate) add: Vec<String>,
    /// Events that it asks for, and no rule sends on.
    pub(crate) remove: Vec<String>,
    /// The name of the secret that it should sign with, and does not.
    pub(crate) secret: Option<String>,
    /// Whether it is paused.
    pub(crate) resume: bool,
}

impl Plan {
    /// What is to be done. `prune` is whether what the policy does not know goes, behind the public address alone.
    pub(crate) fn of(wanted: Wanted, registered: Vec<Webhook>, base: &Url, secrets: &Secrets, prune: bool) -> Self {
        let mut plan = Self::default();
        let mut rest = registered;
        for expected in wanted.webhooks {
            let found = rest.iter().enumerate().filter(|(_, webhook)| expected.is(webhook));
            // Of several, one that is not paused.
            let at = found.max_by_key(|(at, webhook)| (webhook.is_active(), usize::MAX - at)).map(|(at, _)| at);
            match at.map(|at| rest.remove(at)) {
                Some(webhook) => plan.compare(webhook, expected, secrets),
                None => plan.create(expected, secrets),
            }
        }
        let known: BTreeSet<_> = wanted.addresses;
        for webhook in rest.into_iter().filter(|webhook| is_behind(base, webhook.url())) {
            let here = plan.actions.iter().any(|action| action.expected().is_some_and(|one| one.is(&webhook)));
            let ours =
                plan.actions.iter().filter_map(Action::expected).any(|one| same_address(&one.url, webhook.url()));
            let why = if here {
                Why::Second
            } else if ours {
                Why::OtherKind
            } else if known.iter().any(|address| same_address(address, webhook.url())) {
                // Of a source that is left out this time.
                continue;
            } else {
                Why::NoSource
            };
            let webhook = Box::new(webhook);
            plan.actions.push(if prune && why.is_pruned() {
                Action::Delete(webhook, why)
            } else {
                Action::Leave(webhook, why)
            });
        }
        plan
    }

    /// Whether there is anything to do.
    pub(crate) fn is_done(&self) -> bool {
        self.actions.iter().all(|action| matches!(action, Action::Keep(..) | Action::Leave(..)))
    }

    /// Does it all, and tells after each step what was done.
    pub(crate) async fn carry_out(
        &self,
        client: &Client,
        secrets: &Secrets,
        mut done: impl FnMut(&Action, &str),
    ) -> Result<(), Error> {
        for action in &self.actions {
            match action {
                Action::Create(expected) => {
                    let made = client.create_webhook(&expected.scope, &expected.settings(secrets)).await?;
                    done(action, made.id());
                }
                Action::Change(webhook, expected, change) => {
                    let settings = change.settings(webhook, secrets);
                    client.update_webhook(&expected.scope, webhook.id(), &settings).await?;
                    done(action, webhook.id());
                }
                Action::Delete(webhook, _) => {
                    client.delete_webhook(&webhook.scope(), webhook.id()).await?;
                    done(action, webhook.id());
                }
                Action::Keep(..) | Action::Leave(..) => {}
            }
        }
        Ok(())
    }

    fn create(&mut self, expected: Expected, secrets: &Secrets) {
        self.missing.extend(expected.secrets.first().filter(|name| !secrets.contains(name)).cloned());
        self.actions.push(Action::Create(expected));
    }

    fn compare(&mut self, webhook: Webhook, expected: Expected, secrets: &Secrets) {
        let mut change = Change { resume: !webhook.is_active(), ..Change::default() };
        let there: BTreeSet<_> = webhook.events().into_iter().collect();
        if expected.kind == Kind::Kapso && !expected.events.is_empty() {
            change.add = expected.events.iter().filter(|event| !there.contains(event.as_str())).cloned().collect();
            let wanted = |event: &str| expected.events.contains(event) || expected.stay.contains(event);
            change.remove = there.iter().filter(|event| !wanted(event)).map(|event| (*event).to_owned()).collect();
        }
        if let Some(name) = expected.secrets.first() {
            match secrets.get(name).map(SecretKey::from) {
                None => drop(self.missing.insert(name.clone())),
                value if value != webhook.secret_key() => change.secret = Some(name.clone()),
                _ => {}
            }
        }
        let webhook = Box::new(webhook);
        self.actions.push(if change == Change::default() {
            Action::Keep(webhook, expected)
        } else {
            Action::Change(webhook, expected, change)
        });
    }
}

impl Action {
    /// What there should be, where it is about that.
    pub(crate) fn expected(&self) -> Option<&Expected> {
        match self {
            Self::Create(expected) | Self::Change(_, expected, _) | Self::Keep(_, expected) => Some(expected),
            Self::Delete(..) | Self::Leave(..) => None,
        }
    }
}

impl Expected {
    /// Whether this webhook is the one.
    fn is(&self, webhook: &Webhook) -> bool {
        same_address(webhook.url(), &self.url) && webhook.scope() == self.scope && webhook.kind() == self.kind.name()
    }

    /// What to register.
    pub(crate) fn settings(&self, secrets: &Secrets) -> Settings {
        Settings {
            url: Some(self.url.clone()),
            kind: Some(self.kind),
            events: (self.kind == Kind::Kapso).then(|| self.events.iter().cloned().collect()),
            secret_key: self.secrets.first().and_then(|name| secrets.get(name)).map(SecretKey::from),
            ..Settings::default()
        }
    }
}

impl Change {
    fn settings(&self, webhook: &Webhook, secrets: &Secrets) -> Settings {
        let stay = webhook.events().into_iter().filter(|event| !self.remove.iter().any(|gone| gone == event));
        let events = stay.map(str::to_owned).chain(self.add.iter().cloned()).collect();
        Settings {
            events: (!self.add.is_empty() || !self.remove.is_empty()).then_some(events),
            secret_key: self.secret.as_deref().and_then(|name| secrets.get(name)).map(SecretKey::from),
            active: self.resume.then_some(true),
            ..Settings::default()
        }
    }
}

/// Whether a URL is behind the public address: the same scheme, host and port, and its path.
fn is_behind(base: &Url, url: &str) -> bool {
    let path = base.path().trim_end_matches('/');
    Url::parse(url).is_ok_and(|url| {
        let rest = url.path().strip_prefix(path);
        url.origin() == base.origin() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

impl Scope {
    /// For people: `number 123` or `project`.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Number(id) => format!("number {id}"),
            Self::Project => "project".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const URL: &str = "https://hooks.example.com/a";

    fn base() -> Url {
        Url::parse("https://hooks.example.com").unwrap()
    }

    fn expected() -> Expected {
        Expected {
            source: "a".into(),
            url: URL.into(),
            scope: Scope::Number("1".into()),
            kind: Kind::Kapso,
            events: ["whatsapp.message.received", "whatsapp.message.sent"].map(str::to_owned).into(),
            stay: BTreeSet::new(),
            secrets: vec!["NEW".into(), "OLD".into()],
        }
    }

    fn registered(id: &str, more: &Value) -> Webhook {
        let right = json!({
            "id": id,
            "url": URL,
            "phone_number_id": "1",
            "kind": "kapso",
            "active": true,
            "events": ["whatsapp.message.received", "whatsapp.message.sent"],
            "secret_key": "new",
        });
        let Value::Object(mut fields) = right else { unreachable!() };
        fields.extend(more.as_object().unwrap().clone());
        Webhook::new(fields)
    }

    fn secrets() -> Secrets {
        Secrets::from([("NEW", "new"), ("OLD", "old")])
    }

    fn plan(expected: Expected, registered: Vec<Webhook>, prune: bool) -> Plan {
        let addresses = [URL, "https://hooks.example.com/other"].map(str::to_owned).into();
        let wanted = Wanted { webhooks: vec![expected], addresses, ..Wanted::default() };
        Plan::of(wanted, registered, &base(), &secrets(), prune)
    }

    #[test]
    fn what_is_right_is_kept() {
        let plan = plan(expected(), vec![registered("w", &json!({}))], true);
        assert!(plan.is_done() && matches!(plan.actions.as_slice(), [Action::Keep(..)]), "{plan:?}");
    }

    #[test]
    fn what_differs_is_changed_and_nothing_else() {
        let differs = |more: Value, expected: Expected| match plan(expected, vec![registered("w", &more)], false)
            .actions
            .remove(0)
        {
            Action::Change(webhook, _, change) => change.settings(&webhook, &secrets()).fields(),
            other => panic!("{other:?}"),
        };
        let fields = |value: Value| value.as_object().unwrap().clone();
        assert_eq!(differs(json!({"active": false}), expected()), fields(json!({"active": true})));
        assert_eq!(differs(json!({"secret_key": "old"}), expected()), fields(json!({"secret_key": "new"})));
        assert_eq!(differs(json!({"secret_key": null}), expected()), fields(json!({"secret_key": "new"})));
        let read = json!({"events": ["whatsapp.message.read", "whatsapp.message.sent"]});
        assert_eq!(
            differs(read.clone(), expected()),
            fields(json!({"events": ["whatsapp.message.sent", "whatsapp.message.received"]}))
        );
        assert_eq!(
            differs(read, Expected { stay: ["whatsapp.message.read".to_owned()].into(), ..expected() }),
            fields(json!({"events": ["whatsapp.message.read", "whatsapp.message.sent", "whatsapp.message.received"]}))
        );
    }

    #[test]
    fn what_is_missing_is_created_whatever_else_is_at_its_address() {
        for more in
            [json!({"phone_number_id": "2"}), json!({"kind": "meta"}), json!({"url": "https://hooks.example.com/b"})]
        {
            let plan = plan(expected(), vec![registered("w", &more)], false);
            assert!(matches!(plan.actions.as_slice(), [Action::Create(_), Action::Leave(..)]), "{plan:?}");
            assert!(!plan.is_done());
        }
        let pruned = plan(expected(), vec![registered("w", &json!({"kind": "meta"}))], true);
        assert!(matches!(pruned.actions.as_slice(), [_, Action::Leave(_, Why::OtherKind)]), "{pruned:?}");
        let query = plan(expected(), vec![registered("w", &json!({"url": format!("{URL}?tenant=7")}))], true);
        assert!(matches!(query.actions.as_slice(), [Action::Keep(..)]), "{query:?}");
        let settings = expected().settings(&secrets());
        assert!(settings.problems(&expected().scope, crate::kapso::Names::Known).is_empty());
    }

    #[test]
    fn of_two_the_one_that_works_is_kept() {
        let twice = vec![registered("paused", &json!({"active": false})), registered("works", &json!({}))];
        let plan = plan(expected(), twice, true);
        let [Action::Keep(kept, _), Action::Delete(gone, why)] = plan.actions.as_slice() else { panic!("{plan:?}") };
        assert_eq!((kept.id(), gone.id()), ("works", "paused"));
        assert_eq!(*why, Why::Second);
    }

    #[test]
    fn nothing_elsewhere_is_touched_and_no_source_left_out() {
        let others = [
            "https://hooks.example.com/other",
            "https://hooks.example.org/a",
            "https://hooks.example.com:8443/a",
            "http://hooks.example.com/a",
            "https://hooks.example.com.evil.example/a",
            "not a URL",
        ];
        let mut all: Vec<_> = others.iter().map(|url| registered("w", &json!({"url": url}))).collect();
        all.push(registered("right", &json!({})));
        let plan = plan(expected(), all, true);
        assert!(plan.is_done() && plan.actions.len() == 1, "{plan:?}");
    }

    #[test]
    fn an_address_with_a_path_ends_at_a_slash() {
        let base = Url::parse("https://example.com/hooks/").unwrap();
        assert!(is_behind(&base, "https://example.com/hooks") && is_behind(&base, "https://example.com/hooks/a"));
        assert!(!is_behind(&base, "https://example.com/hooksandmore") && !is_behind(&base, "https://example.com/"));
    }

    #[test]
    fn a_secret_without_a_value_is_named() {
        let wanted = Wanted { webhooks: vec![expected()], ..Wanted::default() };
        let plan = Plan::of(wanted, vec![registered("w", &json!({}))], &base(), &Secrets::new(), false);
        assert_eq!(plan.missing, BTreeSet::from(["NEW".to_owned()]));
    }
}
