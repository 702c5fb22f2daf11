//! What can go wrong between here and Kapso, in sentences that say what to do.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// Why there is no [`Client`](super::Client).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The base URL is none that the key may be sent to.
    #[error("the API's URL cannot be used: {0}")]
    Url(
        /// Why. The URL is left out: there may be a password in it.
        &'static str,
    ),
    /// The API key is empty, or holds what cannot stand in a header.
    #[error(
        "the API key is empty or holds characters that no key has: copy it from the project's settings in Kapso's dashboard"
    )]
    Key,
    /// The certificates to check the API with cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::server::Error),
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Http(String),
}

/// A call that failed. Shown, it says which call, what happened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{call}: {reason}{}", if *.unsure { UNSURE } else { "" })]
pub struct Error {
    /// Method and path: `GET /whatsapp/webhooks`.
    pub call: String,
    /// What happened.
    pub reason: Reason,
    /// Whether Kapso may have carried the call out all the same.
    pub unsure: bool,
}

impl Error {
    /// Whether the call was never made, because what was asked for cannot be.
    pub fn is_usage(&self) -> bool {
        matches!(self.reason, Reason::NotAnId(_))
    }

    /// Whether the same call may succeed later, without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        matches!(
            self.reason,
            Reason::Unreachable(_)
                | Reason::TimedOut(_)
                | Reason::BrokenOff(_)
                | Reason::TooMany { .. }
                | Reason::Failed { .. }
        )
    }
}

const UNSURE: &str = ". Kapso may have carried it out all the same: look before you try again";

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// An id that cannot be one; nothing was sent.
    NotAnId(String),
    /// No connection.
    Unreachable(String),
    /// No answer in time.
    TimedOut(Duration),
    /// The connection broke off before the answer was whole.
    BrokenOff(String),
    /// 401: the key is wrong.
    KeyRefused(Option<String>),
    /// 402: the plan does not include it.
    Unpaid(Option<String>),
    /// 403: the key may not do this.
    Forbidden(Option<String>),
    /// 404: something in the path does not exist.
    NotFound(Option<String>),
    /// 400, 409 or 422: what was asked for is wrong. Nothing was saved.
    Refused(u16, Option<String>),
    /// 429: too many calls.
    TooMany {
        /// What `Retry-After` says, if anything.
        wait: Option<Duration>,
    },
    /// 5xx: Kapso's trouble.
    Failed {
        /// The status.
        status: u16,
        /// What the answer says.
        message: Option<String>,
        /// What `Retry-After` says, if anything.
        wait: Option<Duration>,
    },
    /// A redirect, which is never followed, so that the key goes nowhere else.
    Redirected(u16),
    /// Any other status.
    Unexpected(u16, Option<String>),
    /// The answer is not JSON.
    NotJson(String),
    /// The answer is JSON of another shape.
    Shape(&'static str),
    /// The answer is longer than this many bytes.
    TooLong(usize),
    /// The list has more than this many pages.
    TooManyPages(u32),
}

impl Reason {
    /// Whether it may be about what was asked for alone, so that the same may work for another id.
    pub(crate) fn is_about_one(&self) -> bool {
        let refused = matches!(self, Self::NotAnId(_) | Self::NotFound(_) | Self::Refused(..));
        refused || matches!(self, Self::Failed { .. } | Self::Unexpected(..))
    }

    /// How long the other side asks to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::TooMany { wait } | Self::Failed { wait, .. } => *wait,
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |f: &mut fmt::Formatter<'_>, text: &str, message: &Option<String>| match message {
            Some(message) => write!(f, "{text}. It says: {message}"),
            None => f.write_str(text),
        };
        match self {
            Self::NotAnId(id) => write!(f, "{id:?} is no id: ids have letters, digits, - and _"),
            Self::Unreachable(why) => write!(f, "cannot reach the API: {why}. Check the network and --api-url"),
            Self::TimedOut(after) => {
                write!(f, "no answer within {} s. --timeout allows more", after.as_secs_f32())
            }
            Self::BrokenOff(why) => write!(f, "the answer broke off: {why}"),
            Self::KeyRefused(message) => said(
                f,
                "Kapso does not accept the API key (401). Check KAPSO_API_KEY: a key belongs to one project, and --api-url \
                 and --legacy decide which API it is shown to",
                message,
            ),
            Self::Unpaid(message) => said(f, "the project's plan does not include this (402)", message),
            Self::Forbidden(message) => said(f, "the API key may not do this (403)", message),
            Self::NotFound(message) => said(
                f,
                "Kapso does not know it (404). Check the ids, that they belong to this key's project, and --api-url",
                message,
            ),
            Self::Refused(status, message) => {
                said(f, &format!("Kapso refuses it ({status}), and nothing was saved"), message)
            }
            Self::TooMany { wait: Some(wait) } => {
                write!(f, "too many calls (429): try again in {} s", wait.as_secs())
            }
            Self::TooMany { wait: None } => f.write_str("too many calls (429): try again later"),
            Self::Failed { status, message, .. } => {
                said(f, &format!("Kapso failed ({status}): try again later"), message)
            }
            Self::Redirected(status) => write!(
                f,
                "it is redirected ({status}), and redirects are not followed, because the key would go with them. Check --api-url"
            ),
            Self::Unexpected(status, message) => said(f, &format!("an unexpected answer ({status})"), message),
            Self::NotJson(why) => write!(f, "the answer is not JSON ({why}). Is --api-url that of Kapso's API?"),
            Self::Shape(expected) => write!(f, "the answer has another shape than documented: expected {expected}"),
            Self::TooLong(bytes) => write!(f, "the answer is longer than {bytes} bytes"),
            Self::TooManyPages(pages) => write!(f, "the list has more than {pages} pages: narrow it down"),
        }
    }
}
