//! The document's shape. The doc comments are what an editor shows.

use alloc::vec::Vec;

use super::json::Json;
use super::read::{At, Context, Field, Read, object};
use super::terms::{
    AnyOf, ByName, ByPhoneNumber, Cluster, EventPattern, NamedSecret, NonEmpty, RuleName, SourceName, SourcePath,
    SourceRef, Status, TargetName, Targets, Term, True, Url, Whole,
};
use super::{BodyForm, Scheme};
use crate::event::Kind;
use crate::verify::{Key, Token};

/// Derives what reading and the schema need of an object.
macro_rules! described {
    ($($item:item)+) => {
        $(
            #[derive(Default)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
            $item
        )+
    };
}

described! {
    /// A Hookgate policy: which webhooks are taken, how they are verified, and where their events go.
    ///
    /// It names secrets and never holds them.
    pub(crate) struct Policy {
        /// The webhook URLs that are answered. Requests to other paths are not Hookgate's.
        pub(crate) sources: NonEmpty<Source>,
        /// The paths that Kapso sends browsers back to from its setup links.
        pub(crate) setup_links: Option<Vec<SetupLink>>,
        /// Where events go. The first rule that matches an event decides; rules after it are not asked.
        pub(crate) rules: Option<Vec<Rule>>,
        /// What becomes of events that no rule matches, and of genuine bodies that cannot be read. Left out: dropped, which
        /// is answered 200 and counted.
        pub(crate) otherwise: Option<Otherwise>,
        /// The places that events can go to, by name.
        pub(crate) targets: Option<ByName<Target>>,
        /// The memory of what was delivered, so that nothing is delivered to a target twice.
        pub(crate) dedupe: Option<Dedupe>,
        /// What is too large.
        pub(crate) limits: Option<Limits>,
    }

    /// One webhook URL and the secrets that make its deliveries genuine: `secrets`, `secrets_by_phone_number` or both.
    #[cfg_attr(feature = "schema", schemars(extend("anyOf" = [
        {"required": ["secrets"], "properties": {"secrets": {"minItems": 1}}},
        {"required": ["secrets_by_phone_number"], "properties": {"secrets_by_phone_number": {"minProperties": 1}}}
    ])))]
    pub(crate) struct Source {
        /// The name that rules, logs and the `x-hookgate-source` header use.
        pub(crate) name: SourceName,
        /// The path, compared exactly and without the query.
        pub(crate) path: SourcePath,
        /// Where the signature is: `kapso` is `X-Webhook-Signature`, `meta` is `X-Hub-Signature-256`, `any` is either.
        #[cfg_attr(feature = "schema", schemars(extend("default" = "kapso")))]
        pub(crate) scheme: Option<Scheme>,
        /// Names of secrets, tried in turn: the new one first, then the one that is being replaced. Beside
        /// `secrets_by_phone_number` they serve deliveries none of whose `phone_number_id`s is listed there, and the project's
        /// events about those that are.
        pub(crate) secrets: Option<Vec<NamedSecret<Key>>>,
        /// Names of secrets by `phone_number_id`, for many tenants on one path. The phone number in the body selects
        /// the secrets to try; every number in the body must list the secret that matched.
        pub(crate) secrets_by_phone_number: Option<ByPhoneNumber<NonEmpty<NamedSecret<Key>>>>,
        /// The name of the secret with the token of Meta's GET handshake. Left out: GET is refused.
        pub(crate) verify_token: Option<NamedSecret<Token>>,
        /// Refuses a delivery if every event in it that has a timestamp is older than this, in seconds. Allow for
        /// Kapso's retries, which arrive up to 150 seconds late: refusals count towards pausing the webhook. The age of
        /// imported history is not checked. Default: any age is accepted.
        pub(crate) max_age_s: Option<Whole<1, 31_536_000>>,
        /// Whether `X-Kapso-Signature`, an early name, is read where `X-Webhook-Signature` is missing.
        #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
        pub(crate) accept_x_kapso_signature: Option<bool>,
    }

    /// Where Kapso sends a customer's browser back to when they have gone through a setup link, and where it is sent on to:
    /// exactly one of `to` and `page`.
    ///
    /// What browsers bring is not signed. It is a hint for what to show, never proof that a number is connected: that is the
    /// event `whatsapp.phone_number.created`.
    #[derive(Debug)]
    #[cfg_attr(feature = "schema", schemars(extend("oneOf" = [{"required": ["to"]}, {"required": ["page"]}])))]
    pub(crate) struct SetupLink {
        /// The name that logs and the `x-hookgate-setup-link` header use. No source may have it too.
        pub(crate) name: SourceName,
        /// The path of the links' `success_redirect_url`, compared exactly and without the query.
        pub(crate) success_path: SourcePath,
        /// The path of the links' `failure_redirect_url`, compared exactly and without the query.
        pub(crate) failure_path: SourcePath,
        /// The name of the target that gets the browser's request, and whose answer the browser gets.
        pub(crate) to: Option<TargetName>,
        /// The page to redirect the browser to, with the query parameters that Kapso documents. An `http` or `https`
        /// URL without user info or fragment.
        pub(crate) page: Option<Url>,
    }

    /// Sends the events that it matches to targets, or drops them: exactly one of `to` and `drop`.
    #[cfg_attr(feature = "schema", schemars(extend("oneOf" = [{"required": ["to"]}, {"required": ["drop"]}])))]
    pub(crate) struct Rule {
        /// The name that logs and the `x-hookgate-rule` header use.
        pub(crate) name: RuleName,
        /// What an event must be. Left out: any event.
        pub(crate) when: Option<Conditions>,
        /// What an event must not be.
        #[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
        pub(crate) unless: Option<Conditions>,
        /// The names of the targets; each gets the event.
        pub(crate) to: Option<Targets>,
        /// The event goes nowhere. It is answered 200 and counted.
        pub(crate) drop: Option<True>,
    }

    /// Conditions on an event. All fields given must match; a list matches if any of its values does. A field that the
    /// event does not have never matches.
    pub(crate) struct Conditions {
        /// The event's name, such as `whatsapp.message.received`, or the beginning of names, such as `whatsapp.message.*`.
        #[cfg_attr(feature = "schema", schemars(extend("examples" = [
            "whatsapp.message.received", "whatsapp.message.*", "whatsapp.conversation.*", "workflow.execution.handoff"
        ])))]
        pub(crate) event: Option<AnyOf<EventPattern>>,
        /// The kind of webhook.
        pub(crate) kind: Option<AnyOf<Kind>>,
        /// The name of the source that it came by.
        pub(crate) source: Option<AnyOf<SourceRef>>,
        /// The phone number's id.
        pub(crate) phone_number_id: Option<AnyOf<Term>>,
        /// The WhatsApp business account's id.
        pub(crate) business_account_id: Option<AnyOf<Term>>,
        /// The Kapso customer's id.
        pub(crate) customer_id: Option<AnyOf<Term>>,
        /// The conversation's id.
        pub(crate) conversation_id: Option<AnyOf<Term>>,
        /// `inbound` or `outbound`.
        #[cfg_attr(feature = "schema", schemars(extend("examples" = ["inbound", "outbound"])))]
        pub(crate) direction: Option<AnyOf<Term>>,
        /// Where a message came from: `cloud_api`, `business_app` or `history_sync`.
        #[cfg_attr(feature = "schema", schemars(extend("examples" = ["cloud_api", "business_app", "history_sync"])))]
        pub(crate) origin: Option<AnyOf<Term>>,
        /// The message's type, such as `text` or `image`.
        #[cfg_attr(feature = "schema", schemars(extend("examples" = [
            "text", "image", "video", "audio", "document", "sticker", "location", "contacts", "interactive", "button",
            "reaction", "order", "template", "system", "unsupported"
        ])))]
        pub(crate) message_type: Option<AnyOf<Term>>,
        /// What became of a message: `received`, `sent`, `delivered`, `read` or `failed`.
        #[cfg_attr(feature = "schema", schemars(extend("examples" = ["received", "sent", "delivered", "read", "failed"])))]
        pub(crate) status: Option<AnyOf<Term>>,
        /// Whether the message opens its conversation.
        pub(crate) new_conversation: Option<bool>,
        /// Whether it is a test sent from Kapso's dashboard or API.
        pub(crate) test: Option<bool>,
        /// The shape of the body: `v1` or `v2`. Meta forwards have none.
        #[cfg_attr(feature = "schema", schemars(extend("examples" = ["v1", "v2"])))]
        pub(crate) payload_version: Option<AnyOf<Term>>,
        /// The message's text: a text body, caption, button or list title, or transcript.
        #[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
        pub(crate) text: Option<TextConditions>,
    }

    /// Conditions on a message's text, compared case-sensitively. If both fields are given, both must match.
    pub(crate) struct TextConditions {
        /// What it begins with.
        pub(crate) prefix: Option<AnyOf<Term>>,
        /// What stands anywhere in its first 64 KiB.
        pub(crate) contains: Option<AnyOf<Term>>,
    }

    /// What becomes of events that no rule matches: exactly one of `to` and `drop`.
    #[cfg_attr(feature = "schema", schemars(extend("oneOf" = [{"required": ["to"]}, {"required": ["drop"]}])))]
    pub(crate) struct Otherwise {
        /// The names of the targets; each gets the event.
        pub(crate) to: Option<Targets>,
        /// The event goes nowhere. It is answered 200 and counted.
        pub(crate) drop: Option<True>,
    }

    /// A place that events can go to. The host and Spin need its `url`, Envoy its `cluster`; at least one must be there.
    #[cfg_attr(feature = "schema", schemars(extend("anyOf" = [{"required": ["url"]}, {"required": ["cluster"]}])))]
    pub(crate) struct Target {
        /// Where the host and Spin send it: `http` or `https`, without user information and fragment.
        pub(crate) url: Option<Url>,
        /// The Envoy cluster that it goes to.
        pub(crate) cluster: Option<Cluster>,
        /// How long the target may take for one message, in milliseconds. Kapso waits 10 seconds for the whole answer.
        #[cfg_attr(feature = "schema", schemars(extend("default" = TIMEOUT_MS)))]
        pub(crate) timeout_ms: Option<Whole<1, 9_000>>,
        /// The name of the secret that everything sent here is signed with. Left out: a body as received keeps the signature
        /// that it came with, and a rewritten one has none.
        pub(crate) sign_with: Option<NamedSecret<Key>>,
        /// `as-received`: the body as it came, or a batch of just this target's items. `one-per-event`: one request for each
        /// event, unless those of a Meta forward would come to more than twice `limits.body_bytes`, with one byte more in
        /// each for every event of the forward. `normalized`: one shape for v1, v2, batches and Meta forwards.
        #[cfg_attr(feature = "schema", schemars(extend("default" = "as-received")))]
        pub(crate) body: Option<BodyForm>,
        /// Status codes with which the target refuses a message for good: it is counted as rejected and not sent again.
        pub(crate) give_up_on: Option<Vec<Status>>,
    }

    /// The memory of what was delivered. Protection against replays lasts as long as this window.
    pub(crate) struct Dedupe {
        /// How long a delivered event is remembered, in seconds. Longer than Kapso goes on trying, which is 150 seconds.
        #[cfg_attr(feature = "schema", schemars(extend("default" = WINDOW_S)))]
        pub(crate) window_s: Option<Whole<180, 2_592_000>>,
        /// How many are remembered at the most, counting an event once for each of its targets.
        #[cfg_attr(feature = "schema", schemars(extend("default" = MAX_KEYS)))]
        pub(crate) max_keys: Option<Whole<1, 100_000_000>>,
    }

    /// What is too large.
    pub(crate) struct Limits {
        /// The largest body, in bytes. Meta sends up to 3 MB.
        #[cfg_attr(feature = "schema", schemars(extend("default" = BODY_BYTES)))]
        pub(crate) body_bytes: Option<Whole<1, 67_108_864>>,
        /// The most events in one delivery. Meta sends up to 1000. A delivery with more goes whole to `otherwise`; where secrets
        /// are looked up by phone number, no tenant's secret speaks for it.
        #[cfg_attr(feature = "schema", schemars(extend("default" = EVENTS)))]
        pub(crate) events: Option<Whole<1, 100_000>>,
    }
}

/// `timeout_ms` where it is left out.
pub(crate) const TIMEOUT_MS: u32 = 8_000;
/// `window_s` where it is left out.
pub(crate) const WINDOW_S: u32 = 900;
/// `max_keys` where it is left out.
pub(crate) const MAX_KEYS: u32 = 100_000;
/// `body_bytes` where it is left out.
pub(crate) const BODY_BYTES: u32 = 4_194_304;
/// `events` where it is left out.
pub(crate) const EVENTS: u32 = 1_000;

object!(Policy { sources, setup_links, rules, otherwise, targets, dedupe, limits });
object!(Source {
    name, path, scheme, secrets, secrets_by_phone_number, verify_token, max_age_s, accept_x_kapso_signature
} checked by has_secrets);
object!(SetupLink { name, success_path, failure_path, to, page } checked by leads_somewhere);
object!(Rule { name, when, unless, to, drop } checked by is_rule);
object!(Conditions {
    event,
    kind,
    source,
    phone_number_id,
    business_account_id,
    customer_id,
    conversation_id,
    direction,
    origin,
    message_type,
    status,
    new_conversation,
    test,
    payload_version,
    text
});
object!(TextConditions { prefix, contains } checked by says_something);
object!(Otherwise { to, drop } checked by goes_one_way);
object!(Target { url, cluster, timeout_ms, sign_with, body, give_up_on } checked by is_somewhere);
object!(Dedupe { window_s, max_keys });
object!(Limits { body_bytes, events });

fn has_secrets(source: &Json, at: &At<'_>, context: &mut Context<'_>) {
    let holds = |name| match source.member(name) {
        Some(Json::List(values)) => !values.is_empty(),
        Some(Json::Object(members)) => !members.is_empty(),
        // Of the wrong type, which is an error of its own.
        Some(_) => true,
        None => false,
    };
    if !holds("secrets") && !holds("secrets_by_phone_number") {
        context.note(at, &"expected at least one secret, in `secrets` or `secrets_by_phone_number`");
    }
}

fn leads_somewhere(link: &Json, at: &At<'_>, context: &mut Context<'_>) {
    if link.member("to").is_some() == link.member("page").is_some() {
        context.note(at, &"expected exactly one of `to` with the name of a target and `page` with a URL");
    }
}

fn is_rule(rule: &Json, at: &At<'_>, context: &mut Context<'_>) {
    goes_one_way(rule, at, context);
    if let Some(unless @ Json::Object(_)) = rule.member("unless") {
        says_something(unless, &At::Member(at, "unless"), context);
    }
}

fn goes_one_way(rule: &Json, at: &At<'_>, context: &mut Context<'_>) {
    match (rule.member("to"), rule.member("drop")) {
        (Some(_), None) | (None, Some(_)) => {}
        (None, None) => {
            context.note(at, &"expected `to` with the names of targets, or `drop`: true");
        }
        (Some(_), Some(_)) => {
            context.note(at, &"expected only one of `to` and `drop`, found both");
        }
    }
}

fn says_something(conditions: &Json, at: &At<'_>, context: &mut Context<'_>) {
    if matches!(conditions, Json::Object(members) if members.is_empty()) {
        context.note(at, &"expected at least one field, found none");
    }
}

fn is_somewhere(target: &Json, at: &At<'_>, context: &mut Context<'_>) {
    if target.member("url").is_none() && target.member("cluster").is_none() {
        context.note(at, &"expected `url`, `cluster` or both");
    }
}
