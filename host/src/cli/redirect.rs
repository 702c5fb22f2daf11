//! A browser that came back from a setup link, as far as a command shows it.

use serde::Serialize;

use super::gate::Loaded;
use super::message::{by_name, named};
use crate::types::{Connection, Onward, Redirect, RedirectOutcome, Relay};

/// What the browser says, and where it is sent on to.
#[derive(Serialize)]
pub(super) struct Redirected {
    pub(super) setup_link: String,
    /// Always false: whoever holds a browser can write anything into its address.
    signed: bool,
    pub(super) setup_link_id: String,
    pub(super) outcome: &'static str,
    pub(super) error_code: Option<String>,
    #[serde(flatten)]
    pub(super) connection: Option<Connection>,
    pub(super) location: Option<String>,
    pub(super) request: Option<Request>,
    #[serde(skip)]
    pub(super) status: Option<u16>,
}

/// The request that a target would get.
#[derive(Serialize)]
pub(super) struct Request {
    pub(super) target: String,
    pub(super) url: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) drop_headers: Vec<String>,
    #[serde(serialize_with = "by_name")]
    pub(super) set_headers: Vec<(String, String)>,
}

impl Redirected {
    pub(super) fn of(loaded: &Loaded, redirect: Redirect) -> Self {
        let (outcome, error_code, connection) = match redirect.outcome {
            RedirectOutcome::Completed(connection) => ("completed", None, Some(connection)),
            RedirectOutcome::Failed(error) => ("failed", Some(error.code().to_owned()), None),
        };
        let mut redirected = Self {
            setup_link: redirect.setup_link,
            signed: false,
            setup_link_id: redirect.setup_link_id,
            outcome,
            error_code,
            connection,
            location: None,
            request: None,
            status: None,
        };
        match redirect.onward {
            Onward::Page(page) => {
                let location = page.headers.into_iter().find(|header| header.name == "location").map(named);
                redirected.location = location.map(|(_, location)| location);
                redirected.status = Some(page.status);
            }
            Onward::Target(relay) => redirected.request = Some(Request::of(loaded, relay)),
        }
        redirected
    }
}

impl Request {
    fn of(loaded: &Loaded, relay: Relay) -> Self {
        let settings = loaded.gate.settings().targets.iter().find(|settings| settings.name == relay.target);
        Self {
            target: relay.target,
            url: settings.and_then(|settings| settings.url.clone()),
            cluster: settings.and_then(|settings| settings.cluster.clone()),
            drop_headers: relay.drop_headers,
            set_headers: relay.set_headers.into_iter().map(named).collect(),
        }
    }
}
