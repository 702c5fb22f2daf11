//! Setup links: pages on which customers connect their WhatsApp numbers.

use std::collections::BTreeMap;

use http::Method;
use reqwest::Url;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::client::{Call, Client};
use super::error::Error;

/// How a number can be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionType {
    /// It goes on being used in the WhatsApp Business app as well; 5 messages a second.
    Coexistence,
    /// It is used through the API alone; up to 1000 messages a second.
    Dedicated,
}

/// The page's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    En,
    /// Spanish.
    Es,
    /// Portuguese.
    Pt,
    /// Hindi.
    Hi,
    /// Indonesian.
    Id,
    /// Arabic.
    Ar,
}

/// Who pays Meta's fees for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum BillingMode {
    /// The customer, by the payment method of its WhatsApp business account.
    CustomerManaged,
    /// The partner, through Kapso.
    PartnerManaged,
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum LinkStatus {
    /// It can be used.
    Active,
    /// A number was connected with it.
    Used,
    /// Its time is over: thirty days, unless told otherwise.
    Expired,
    /// It was revoked, or a younger link of the same customer took its place.
    Revoked,
}

impl LinkStatus {
    /// As Kapso writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// The colours that a page can be given, by the names of their fields.
pub const COLORS: [&str; 12] = [
    "primary_color",
    "primary_foreground_color",
    "background_color",
    "text_color",
    "muted_text_color",
    "card_color",
    "muted_color",
    "border_color",
    "secondary_color",
    "secondary_foreground_color",
    "destructive_color",
    "destructive_foreground_color",
];

/// What a new link is to be; what is none is as Kapso has it by default.
///
/// "Create setup link" in the reference of Kapso's Platform API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewSetupLink {
    /// Where the browser goes after success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_redirect_url: Option<String>,
    /// Where it goes after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_redirect_url: Option<String>,
    /// The ways to connect that are offered; one alone is chosen without asking. By default both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_connection_types: Option<Vec<ConnectionType>>,
    /// HTTPS origins of pages that may use the link with `@kapso/sdk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    /// The page's language; by default the browser's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Colours as `#rrggbb`, by the names of [`COLORS`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub theme_config: BTreeMap<String, String>,
    /// Whether a number is provided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provision_phone_number: Option<bool>,
    /// The provided number's area code, in the United States.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number_area_code: Option<String>,
    /// The provided number's countries, in two capital letters each; by default the United States.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number_country_isos: Option<Vec<String>>,
    /// The customer's number to connect again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_phone_number: Option<String>,
    /// Who pays Meta; cannot be changed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_billing_mode: Option<BillingMode>,
}

impl NewSetupLink {
    /// What is wrong with it, as sentences; Kapso would refuse it.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, url) in [("success", &self.success_redirect_url), ("failure", &self.failure_redirect_url)] {
            let parsed = url.as_deref().map(Url::parse);
            if parsed.is_some_and(|url| url.map_or(true, |url| !url.has_host())) {
                problems.push(format!("the {name} redirect URL {:?} is none", url.as_deref().unwrap_or_default()));
            }
        }
        for origin in self.allowed_origins.iter().flatten() {
            let parsed = Url::parse(origin).ok().filter(|url| url.scheme() == "https");
            if parsed.is_none_or(|url| url.origin().ascii_serialization() != origin.trim_end_matches('/')) {
                problems.push(format!("{origin:?} is no HTTPS origin: https://HOST, without a path"));
            }
        }
        for (name, color) in &self.theme_config {
            if !COLORS.contains(&name.as_str()) {
                problems.push(format!("no colour is called {name:?}; there are {}", COLORS.join(", ")));
            }
            let digits = color.strip_prefix('#').unwrap_or_default();
            if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                problems.push(format!("{name}: {color:?} is no colour: six hexadecimal digits after #, as in #22c55e"));
            }
        }
        for country in self.phone_number_country_isos.iter().flatten() {
            if country.len() != 2 || !country.bytes().all(|letter| letter.is_ascii_uppercase()) {
                problems.push(format!("{country:?} is no country: two capital letters, as in US"));
            }
        }
        if let Some(code) = &self.phone_number_area_code
            && (code.is_empty() || !code.bytes().all(|digit| digit.is_ascii_digit()))
        {
            problems.push(format!("{code:?} is no area code: digits alone, as in 415"));
        }
        if self.reconnect_phone_number.is_some() && self.provision_phone_number == Some(true) {
            problems.push("a link that connects a number again cannot provide a new one".into());
        }
        problems
    }
}

/// The calls. "Setup links" in the reference of Kapso's Platform API.
impl Client {
    /// A customer's links as Kapso sent them, the youngest first.
    ///
    /// # Errors
    /// The call failed.
    pub async fn setup_links(
        &self,
        customer_id: &str,
        status: Option<LinkStatus>,
    ) -> Result<Vec<Map<String, Value>>, Error> {
        let query: Vec<_> = status.map(|status| ("status", status.name().to_owned())).into_iter().collect();
        self.pages(&["customers", customer_id, "setup_links"], &query).await
    }

    /// Makes a link for a customer. The one that was active until then is revoked.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_setup_link(&self, customer_id: &str, link: &NewSetupLink) -> Result<Map<String, Value>, Error> {
        let body = json!({"setup_link": link});
        let path = ["customers", customer_id, "setup_links"];
        let call = Call::with_body(Method::POST, &path, &body);
        self.data(&call).await
    }

    /// Revokes a link. None where Kapso answers without saying what became of it, which is a success too.
    ///
    /// # Errors
    /// The call failed.
    pub async fn revoke_setup_link(&self, customer_id: &str, id: &str) -> Result<Option<Map<String, Value>>, Error> {
        let body = json!({"setup_link": {"status": LinkStatus::Revoked.name()}});
        let path = ["customers", customer_id, "setup_links", id];
        self.data_if_any(&Call::with_body(Method::PATCH, &path, &body)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(link: &NewSetupLink, why: &str) {
        let problems = link.problems();
        assert!(matches!(problems.as_slice(), [one] if one.contains(why)), "{problems:?}");
    }

    #[test]
    fn what_kapso_would_refuse_is_refused_here() {
        assert!(NewSetupLink::default().problems().is_empty());
        let some = |text: &str| Some(text.to_owned());
        refused(&NewSetupLink { success_redirect_url: some("success"), ..Default::default() }, "redirect URL");
        for origin in ["http://app.example", "https://app.example/x", "app.example"] {
            refused(&NewSetupLink { allowed_origins: Some(vec![origin.into()]), ..Default::default() }, "HTTPS origin");
        }
        for (name, color, why) in [
            ("primary", "#22c55e", "no colour is called"),
            ("text_color", "red", "six"),
            ("text_color", "#22c55", "six"),
        ] {
            let theme_config = BTreeMap::from([(name.to_owned(), color.to_owned())]);
            refused(&NewSetupLink { theme_config, ..Default::default() }, why);
        }
        for country in ["us", "USA", ""] {
            let countries = Some(vec![country.to_owned()]);
            refused(
                &NewSetupLink { phone_number_country_isos: countries, ..Default::default() },
                "two capital letters",
            );
        }
        refused(&NewSetupLink { phone_number_area_code: some("4a5"), ..Default::default() }, "area code");
        let provision_phone_number = Some(true);
        let reconnect_phone_number = some("15551234567");
        refused(
            &NewSetupLink { provision_phone_number, reconnect_phone_number, ..Default::default() },
            "cannot provide a new one",
        );
    }

    #[test]
    fn right_ones_are_taken() {
        let link = NewSetupLink {
            allowed_origins: Some(vec!["https://app.example".into(), "https://app.example:8443/".into()]),
            theme_config: BTreeMap::from([("primary_color".to_owned(), "#3B82f6".to_owned())]),
            phone_number_country_isos: Some(vec!["US".into(), "CL".into()]),
            ..Default::default()
        };
        assert_eq!(link.problems(), Vec::<String>::new());
    }
}
