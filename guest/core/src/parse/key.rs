//! The identity of an event for deduplication, derived from signed bytes only.

use alloc::string::String;

use hmac::digest::Digest;
use hookgate_sha256::Sha256;

use crate::event::{Event, Text};
use crate::json::is_visible_without;

/// The longest key that is written out; a longer one is hashed.
const MAX_LEN: usize = 200;

/// What a key can be made of beside the event itself.
pub(super) struct Parts<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) occurred_at: Option<Text<'a>>,
    pub(super) contact_id: Option<Text<'a>>,
    pub(super) sequence: Option<Text<'a>>,
    /// The name, where the body itself says it.
    pub(super) signed_name: Option<Text<'a>>,
}

/// The key of one of Kapso's own items.
pub(super) fn of_item(event: &Event<'_>, parts: &Parts<'_>, bytes: &[u8]) -> String {
    // Every test of Kapso's bears the same message id.
    if event.test {
        return of_bytes(bytes);
    }
    let number = event.phone_number_id.as_deref().unwrap_or("-");
    // What became of a message of the business is told by its status alone.
    let is_inbound = event.direction.as_deref() == Some("inbound");
    let status = event.status.as_deref().or(is_inbound.then_some("-"));
    if let (Some(id), Some(direction), Some(status)) = (&event.message_id, &event.direction, status) {
        return join(&["message", number, id, direction, status]);
    }
    if let (Some(contact), Some(sequence)) = (&parts.contact_id, &parts.sequence) {
        return join(&["marketing", number, contact, sequence]);
    }
    if let (Some(name), Some(id)) = (&parts.signed_name, &parts.id) {
        let status = event.status.as_deref().unwrap_or("-");
        return join(&["event", number, name, id, status, parts.occurred_at.as_deref().unwrap_or("-")]);
    }
    of_bytes(bytes)
}

/// The key of a message, echo or status in Meta's own shape, or of another change in the entry of this id and time. A status is of a
/// recipient, and where that is a group, of one of its participants.
pub(super) fn of_meta(
    event: &Event<'_>,
    recipients: Option<[Option<Text<'_>>; 2]>,
    entry: [&str; 2],
    bytes: &[u8],
) -> String {
    match (recipients, &event.phone_number_id, &event.message_id, &event.direction) {
        (Some([recipient, participant]), Some(number), Some(id), Some(direction)) => {
            let status = event.status.as_deref().unwrap_or("-");
            let recipient = recipient.as_deref().unwrap_or("-");
            match participant {
                Some(participant) => join(&["meta", number, id, direction, status, recipient, &participant]),
                None => join(&["meta", number, id, direction, status, recipient]),
            }
        }
        // The same change may happen to another account, or again.
        _ => of_hash(entry.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part).chain_update("\n")), bytes),
    }
}

/// The key of what says nothing to tell it by.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    of_hash(Sha256::new(), bytes)
}

fn of_hash(before: Sha256, bytes: &[u8]) -> String {
    let mut key = String::from("sha256:");
    key.push_str(&hex::encode(before.chain_update(bytes).finalize()));
    key
}

/// Joins the parts with colons; if that is not short and visible, its hash stands for it.
fn join(parts: &[&str]) -> String {
    let mut key = String::with_capacity(MAX_LEN.min(parts.iter().map(|part| part.len().saturating_add(1)).sum()));
    for part in parts {
        if !key.is_empty() {
            key.push(':');
        }
        key.push_str(part);
    }
    if key.len() <= MAX_LEN && is_visible_without(&key, b' ') { key } else { of_bytes(key.as_bytes()) }
}
