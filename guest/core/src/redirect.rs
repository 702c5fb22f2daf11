//! A browser that Kapso sends back from a setup link, to the link's success or failure URL.
//!
//! The parameters are those that Kapso documents under "Connection detection" (platform/setup-links/detect-connection), the
//! older pages' among them. Nothing here is signed: whoever holds the browser can write anything, so all of it is a hint for
//! what to show and never proof. The proof is the project webhook `whatsapp.phone_number.created`.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::answer::{self, header};
use crate::compose::{Headers, drop_forgeable};
use crate::decide::Refusal;
use crate::gate::End;
use crate::http::{Head, HeaderOut, Response, text};
use crate::policy::SetupLink;
use crate::query::pairs;
use crate::verify::{Rejection, SIGNATURE_HEADERS};

/// The longest id or error code, in bytes.
const MAX_ID: usize = 64;

/// How many parameters Kapso documents.
const KNOWN: usize = 8;

/// Their names.
const PARAMETERS: [&str; KNOWN] = [
    "setup_link_id",
    "status",
    "error_code",
    "phone_number_id",
    "business_account_id",
    "provisioned_phone_number_id",
    "whatsapp_config_id",
    "display_phone_number",
];

/// The headers that bring them to a target.
const HEADERS: [&str; KNOWN] = [
    "x-hookgate-setup-link-id",
    "x-hookgate-status",
    "x-hookgate-error-code",
    "x-hookgate-phone-number-id",
    "x-hookgate-business-account-id",
    "x-hookgate-provisioned-phone-number-id",
    "x-hookgate-whatsapp-config-id",
    "x-hookgate-display-phone-number",
];

/// The one of them that is no id and no code.
const DISPLAY_PHONE_NUMBER: usize = 7;

/// What a redirect says, in the order of the parameters.
type Said = [Option<String>; KNOWN];

/// A browser that came back from a setup link. Unsigned: a hint, never proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect<'g> {
    /// The policy's name for the setup link.
    pub setup_link: &'g str,
    /// Kapso's id of the setup link.
    pub setup_link_id: String,
    /// How the setup ended, as the browser has it.
    pub outcome: RedirectOutcome,
    /// Where the browser is sent on to.
    pub onward: Onward<'g>,
}

/// How a setup ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectOutcome {
    /// The browser came to the success path with `status=completed`.
    Completed(Connection),
    /// It came to the failure path.
    Failed(SetupError),
}

/// What a completed setup is said to have connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// WhatsApp's id of the phone number, Kapso's primary identifier. The oldest redirects have none.
    pub phone_number_id: Option<String>,
    /// The WhatsApp business account's id.
    pub business_account_id: Option<String>,
    /// Kapso's id of the number, where it was provisioned.
    pub provisioned_phone_number_id: Option<String>,
    /// The number in E.164 form, with its `+`.
    pub display_phone_number: Option<String>,
    /// The identifier of older versions.
    pub whatsapp_config_id: Option<String>,
}

/// Why a setup failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// `facebook_auth_failed`: the login at Facebook was cancelled.
    FacebookAuthFailed,
    /// `phone_verification_failed`: the number could not be verified.
    PhoneVerificationFailed,
    /// `waba_limit_reached`: there are too many WhatsApp accounts.
    WabaLimitReached,
    /// `token_exchange_failed`: OAuth failed.
    TokenExchangeFailed,
    /// `link_expired`: the link was older than 30 days.
    LinkExpired,
    /// `already_used`: the link was used before.
    AlreadyUsed,
    /// A code that this version does not know.
    Other(String),
}

/// Where a browser is sent on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onward<'g> {
    /// To the policy's page: answer this.
    Page(Response),
    /// To a target, whose answer is the browser's.
    Target(Relay<'g>),
}

/// One request to a target: the received one with the received query, its body left out, to be answered as the target does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay<'g> {
    /// The target's name.
    pub target: &'g str,
    /// Names, in lower case, of received headers to leave out.
    pub drop_headers: Vec<String>,
    /// Headers to set after that, replacing any of the same name.
    pub set_headers: Vec<HeaderOut>,
    /// Headers to give the target's answer where it has none of the name.
    pub answer_headers: Vec<HeaderOut>,
}

impl Relay<'_> {
    /// A target's own path and query, with the received query behind them.
    pub fn path(own: &str, query: &str) -> String {
        let separator = if own.contains('?') { "&" } else { "?" };
        [own, separator, query].concat()
    }
}

impl SetupLink {
    /// What becomes of a browser that came to one of the link's paths.
    pub(crate) fn redirect(&self, end: End, head: &Head<'_>) -> Result<Redirect<'_>, Refusal<'_>> {
        if !matches!(head.method, "GET" | "HEAD") {
            return Err(self.refuse(Rejection::WrongMethod));
        }
        self.read(end, head).ok_or_else(|| self.refuse(Rejection::BadRedirect))
    }

    fn refuse(&self, rejection: Rejection) -> Refusal<'_> {
        let response = answer::refusal(rejection, "GET, HEAD");
        Refusal { response, source: Some(&self.name.0), rejection: Some(rejection) }
    }

    fn read(&self, end: End, head: &Head<'_>) -> Option<Redirect<'_>> {
        let success = end == End::Success;
        // Browsers send no body here, and nobody would read it.
        let has_body = text(head.headers, "content-length").is_some_and(|length| length != "0");
        if has_body || text(head.headers, "transfer-encoding").is_some() {
            return None;
        }
        let mut said = parameters(head.query())?;
        let [_, status, error, connected @ ..] = &mut said;
        let completed = status.as_deref() == Some("completed");
        if completed != success || error.is_none() != success || !success && connected.iter().any(Option::is_some) {
            return None;
        }
        if !success {
            *status = None;
        }
        let onward = match &self.page {
            Some(page) => Onward::Page(see(&page.0, &said)),
            None => Onward::Target(self.relay(&said, head)?),
        };
        let [setup_link_id, _, error, number, account, provisioned, config, display] = said;
        let outcome = match error {
            Some(code) => RedirectOutcome::Failed(SetupError::of(code)),
            None => RedirectOutcome::Completed(Connection {
                phone_number_id: number,
                business_account_id: account,
                provisioned_phone_number_id: provisioned,
                display_phone_number: display,
                whatsapp_config_id: config,
            }),
        };
        Some(Redirect { setup_link: &self.name.0, setup_link_id: setup_link_id?, outcome, onward })
    }

    fn relay(&self, said: &Said, head: &Head<'_>) -> Option<Relay<'_>> {
        let mut headers = Headers::default();
        drop_forgeable(head, &mut headers);
        for name in SIGNATURE_HEADERS {
            headers.replace(name, None);
        }
        headers.set("x-hookgate-setup-link", Some(&self.name.0));
        headers.set("x-hookgate-signed", Some("false"));
        for (name, value) in HEADERS.iter().zip(said) {
            headers.set(name, value.as_deref());
        }
        let target = &self.to.as_ref()?.0;
        Some(Relay { target, drop_headers: headers.drop, set_headers: headers.set, answer_headers: private().into() })
    }
}

/// Sends a browser to a page, with what was said and nothing else of what it brought.
fn see(page: &str, said: &Said) -> Response {
    let mut location = page.to_owned();
    let mut separator = if page.contains('?') { '&' } else { '?' };
    for (name, value) in PARAMETERS.iter().zip(said) {
        let Some(value) = value else { continue };
        location.push(separator);
        location.push_str(name);
        location.push('=');
        // Of all that ids and numbers are made of, only the plus means something else in a query.
        let number = value.strip_prefix('+');
        location.push_str(if number.is_some() { "%2B" } else { "" });
        location.push_str(number.unwrap_or(value));
        separator = '&';
    }
    let mut response = Response::plain(303);
    response.headers.push(header("location", &location));
    response.headers.extend(private());
    response
}

/// The query names a customer's number: it is to be kept nowhere and told to nobody.
fn private() -> [HeaderOut; 2] {
    [header("cache-control", "no-store"), header("referrer-policy", "no-referrer")]
}

/// What a query says; none when it is not one that Kapso makes. Parameters that nobody knows are let be, but nothing in them
/// may be broken or steer anything either.
fn parameters(query: &str) -> Option<Said> {
    let mut said = Said::default();
    let mut seen = [false; KNOWN];
    for (name, value) in &pairs(query)? {
        let Some(known) = PARAMETERS.iter().position(|known| known == name) else { continue };
        let value = if known == DISPLAY_PHONE_NUMBER { e164(value)? } else { id(value)? };
        if core::mem::replace(seen.get_mut(known)?, true) {
            return None;
        }
        if !value.is_empty() {
            *said.get_mut(known)? = Some(value);
        }
    }
    Some(said)
}

/// An id or a code, or nothing where it was left empty: UUIDs, digits, words.
fn id(text: &str) -> Option<String> {
    let is_made_so = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (text.len() <= MAX_ID && text.bytes().all(is_made_so)).then(|| text.to_owned())
}

/// A phone number, with the plus that it begins with whether that came as `%2B`, bare (which in a query means a blank) or not
/// at all, or nothing where it was left empty.
fn e164(text: &str) -> Option<String> {
    let mut number = String::from("+");
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => number.push(byte.into()),
            b'+' if index == 0 => {}
            b' ' | b'-' | b'(' | b')' | b'.' => {}
            _ => return None,
        }
    }
    match number.len() {
        1 => Some(String::new()),
        8..=16 => Some(number),
        _ => None,
    }
}

impl RedirectOutcome {
    /// `completed`, or Kapso's error code.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(error) => error.as_str(),
        }
    }
}

impl SetupError {
    /// Kapso's code.
    pub fn as_str(&self) -> &str {
        match self {
            Self::FacebookAuthFailed => "facebook_auth_failed",
            Self::PhoneVerificationFailed => "phone_verification_failed",
            Self::WabaLimitReached => "waba_limit_reached",
            Self::TokenExchangeFailed => "token_exchange_failed",
            Self::LinkExpired => "link_expired",
            Self::AlreadyUsed => "already_used",
            Self::Other(code) => code,
        }
    }

    fn of(code: String) -> Self {
        match code.as_str() {
            "facebook_auth_failed" => Self::FacebookAuthFailed,
            "phone_verification_failed" => Self::PhoneVerificationFailed,
            "waba_limit_reached" => Self::WabaLimitReached,
            "token_exchange_failed" => Self::TokenExchangeFailed,
            "link_expired" => Self::LinkExpired,
            "already_used" => Self::AlreadyUsed,
            _ => Self::Other(code),
        }
    }
}
