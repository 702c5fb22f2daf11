//! A webhook registered with Kapso for as long as this runs.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use super::state::{Entry, Noted, left};
use crate::Secrets;
use crate::cli::gate;
use crate::cli::kapso::{note, refuse};
use crate::kapso::{Client, Error, Names, Reason, Scope, SecretKey, Settings};

/// What is to be registered, checked before anything is started.
pub(super) struct Plan {
    client: Client,
    api_url: Option<String>,
    scope: Scope,
    events: Vec<String>,
    secret: SecretKey,
    /// The source that the webhook sends to.
    source: Source,
}

/// A source of the policy, as far as registering goes.
struct Source {
    path: String,
    /// The name of the secret that is replaced.
    secret: String,
}

impl Plan {
    pub(super) fn new(
        client: Client,
        api_url: Option<&str>,
        scope: Scope,
        events: Vec<String>,
        policy: Option<&Path>,
        source: Option<&str>,
    ) -> anyhow::Result<Self> {
        let document = gate::document(policy)?;
        let source = Source::of(&serde_json::from_str(document.json())?, source, &scope)?;
        let events = if events.is_empty() { usual(&scope) } else { events };
        let secret = SecretKey::generate().map_err(|error| anyhow!("there is no randomness: {error}"))?;
        let plan = Plan { client, api_url: api_url.map(str::to_owned), scope, events, secret, source };
        refuse(&plan.settings("https://tunnel.example").problems(&plan.scope, Names::Known))?;
        Ok(plan)
    }

    /// The secret that the gate is to use.
    pub(super) fn secrets(&self) -> Secrets {
        Secrets::from([(self.source.secret.as_str(), self.secret.expose())])
    }

    fn settings(&self, public: &str) -> Settings {
        Settings {
            url: Some(format!("{public}{}", self.source.path)),
            events: Some(self.events.clone()),
            secret_key: Some(self.secret.clone()),
            active: Some(true),
            ..Settings::default()
        }
    }

    /// Registers it. Noted before, so that whatever happens from here on the next start removes it.
    pub(super) async fn register(self, folder: &Path, public: &str) -> anyhow::Result<Registration> {
        let settings = self.settings(public);
        let url = settings.url.as_deref().unwrap_or_default();
        let entry = Entry::new(self.api_url.as_deref(), &self.client, &self.scope, url, &self.secret);
        let mut noted = Noted::new(folder, entry)?;
        match self.client.create_webhook(&self.scope, &settings).await {
            Ok(webhook) => {
                let changed = noted.change(|entry| entry.id = Some(webhook.id().to_owned()));
                let registration = Registration { plan: self, noted };
                match changed {
                    Ok(()) => Ok(registration),
                    Err(error) => {
                        registration.remove().await?;
                        Err(error)
                    }
                }
            }
            Err(error) => {
                if error.unsure {
                    // It may come into being later still: the note stays.
                    let _ = remove(&self.client, &noted.entry).await;
                } else {
                    noted.forget()?;
                }
                Err(error.into())
            }
        }
    }
}

/// What is asked for where nothing is said: what a bot needs, or when a customer connects.
fn usual(scope: &Scope) -> Vec<String> {
    let events: &[&str] = match scope {
        Scope::Number(_) => &["whatsapp.message.received"],
        Scope::Project => &["whatsapp.phone_number.created", "whatsapp.phone_number.deleted"],
    };
    events.iter().map(|event| (*event).to_owned()).collect()
}

impl Source {
    fn of(policy: &Value, wanted: Option<&str>, scope: &Scope) -> anyhow::Result<Self> {
        let sources: Vec<_> = policy.get("sources").and_then(Value::as_array).into_iter().flatten().collect();
        let text = |source: &Value, field: &str| source.get(field).and_then(Value::as_str).map(str::to_owned);
        let source = match (wanted, sources.as_slice()) {
            (None, [only]) => only,
            (Some(wanted), sources) => sources
                .iter()
                .find(|source| source.get("name").and_then(Value::as_str) == Some(wanted))
                .ok_or_else(|| anyhow!("the policy has no source {wanted:?}"))?,
            (None, _) => bail!("the policy has several sources: say with --source which one the webhook sends to"),
        };
        if text(source, "scheme").as_deref() == Some("meta") {
            bail!(
                "the source takes Meta's signatures, and Kapso's webhooks are signed by Kapso: its scheme must be kapso or any"
            );
        }
        let secret = gate::secret_of(source, scope.number()).map(str::to_owned);
        let secret = secret.ok_or_else(|| match scope {
            Scope::Number(id) => anyhow!("the source has no secret for the phone number {id}"),
            Scope::Project => anyhow!("the source has no `secrets`, which project webhooks are verified with"),
        })?;
        Ok(Source { path: text(source, "path").context("the source has no path")?, secret })
    }
}

/// A webhook that is there.
pub(super) struct Registration {
    plan: Plan,
    noted: Noted,
}

impl Registration {
    /// What was registered, for people.
    pub(super) fn describe(&self) -> String {
        let of = match &self.plan.scope {
            Scope::Project => "the project".to_owned(),
            Scope::Number(id) => format!("the phone number {id}"),
        };
        format!("{} of {of}, removed when this ends", self.plan.events.join(", "))
    }

    /// Lets it send to another address.
    pub(super) async fn moved(&mut self, public: &str) -> anyhow::Result<()> {
        let url = format!("{public}{}", self.plan.source.path);
        let Some(id) = self.noted.entry.id.clone() else { bail!("the webhook has no id") };
        let settings = Settings { url: Some(url.clone()), ..Settings::default() };
        self.plan.client.update_webhook(&self.plan.scope, &id, &settings).await?;
        self.noted.change(|entry| entry.url = url)
    }

    /// Removes it.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        remove(&self.plan.client, &self.noted.entry)
            .await
            .context("the webhook is still registered; the next start of `hookgate listen` removes it")?;
        Ok(self.noted.forget()?)
    }
}

/// Removes a webhook if it is there. Where its id is not known it is looked for.
async fn remove(client: &Client, entry: &Entry) -> Result<(), Error> {
    let scope = entry.scope();
    let ids = match &entry.id {
        Some(id) => vec![id.clone()],
        None => {
            let webhooks = client.webhooks(&scope).await?;
            let ours = webhooks.iter().filter(|webhook| {
                webhook.url() == entry.url && webhook.secret_key().is_some_and(|secret| entry.has_secret(&secret))
            });
            ours.map(|webhook| webhook.id().to_owned()).collect()
        }
    };
    for id in ids {
        match client.delete_webhook(&scope, &id).await {
            Err(error) if !matches!(error.reason, Reason::NotFound(_)) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Removes what others left that were killed.
pub(super) async fn tidy(folder: &Path, api_url: Option<&str>, client: impl FnOnce() -> anyhow::Result<Client>) {
    let (ours, others): (Vec<_>, Vec<_>) =
        left(folder).into_iter().partition(|noted| noted.entry.api_url.as_deref() == api_url);
    for noted in others {
        let at = noted.entry.api_url.as_deref().unwrap_or("Kapso's own address");
        note(format_args!("a webhook of an earlier run is still registered, by the API at {at}: {}", noted.entry.url));
    }
    if ours.is_empty() {
        return;
    }
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            note(format_args!("{} of an earlier run are still registered: {error:#}", ours.len()));
            return;
        }
    };
    for noted in ours {
        let url = noted.entry.url.clone();
        if !noted.entry.is_of(&client) {
            note(format_args!(
                "a webhook of an earlier run is still registered, with another API key than this one: {url}"
            ));
            continue;
        }
        let removed = match remove(&client, &noted.entry).await {
            Ok(()) => noted.forget().map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        match removed {
            Ok(()) => note(format_args!("removed the webhook of an earlier run: {url}")),
            Err(error) => note(format_args!("the webhook of an earlier run is still registered, {url}: {error:#}")),
        }
    }
}
