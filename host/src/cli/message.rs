//! One request that a target would get.

use serde::Serialize;

use super::gate::Loaded;
use crate::types::{BodyOut, Dispatch, HeaderOut, MessageOut, TargetSettings};

#[derive(Serialize)]
pub(super) struct Message {
    pub(super) target: String,
    pub(super) url: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) events: Vec<u32>,
    pub(super) body: Body,
    pub(super) drop_headers: Vec<String>,
    #[serde(serialize_with = "by_name")]
    pub(super) set_headers: Vec<(String, String)>,
}

#[derive(Serialize)]
#[serde(tag = "form", rename_all = "kebab-case")]
pub(super) enum Body {
    AsReceived { len: usize },
    Part { start: u32, len: u32 },
    Rewritten { len: usize, text: String },
}

impl Message {
    pub(super) fn all(loaded: &Loaded, dispatches: Vec<Dispatch>, body: &[u8]) -> Vec<Self> {
        let targets = &loaded.gate.settings().targets;
        let messages = dispatches.into_iter().flat_map(|Dispatch { target, messages, .. }| {
            let settings = targets.iter().find(|settings| settings.name == target);
            messages.into_iter().map(move |message| Self::new(target.clone(), settings, message, body))
        });
        messages.collect()
    }

    fn new(target: String, settings: Option<&TargetSettings>, message: MessageOut, received: &[u8]) -> Self {
        Self {
            target,
            url: settings.and_then(|settings| settings.url.clone()),
            cluster: settings.and_then(|settings| settings.cluster.clone()),
            events: message.events,
            body: match message.body {
                BodyOut::AsReceived => Body::AsReceived { len: received.len() },
                BodyOut::Part(span) => Body::Part { start: span.start, len: span.len },
                BodyOut::Rewritten(body) => {
                    Body::Rewritten { len: body.len(), text: String::from_utf8_lossy(&body).into_owned() }
                }
            },
            drop_headers: message.drop_headers,
            set_headers: message.set_headers.into_iter().map(named).collect(),
        }
    }
}

pub(super) fn named(HeaderOut { name, value }: HeaderOut) -> (String, String) {
    (name, String::from_utf8_lossy(&value).into_owned())
}

pub(super) fn by_name<S: serde::Serializer>(headers: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, value)| (name, value)))
}
