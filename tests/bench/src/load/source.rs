//! Deliveries that never repeat.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::delivery::{BEFORE_NUMBER, DIGITS, NUMBER, Signer, Size};

/// Deliveries of one size. Every message has an id of its own, so that none is taken for a repetition.
pub(crate) struct Source {
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Where the numbers of ids begin.
    places: Vec<usize>,
    signer: Signer,
}

impl Source {
    pub(crate) fn new(size: Size) -> Self {
        let delivery = size.delivery(NUMBER);
        let text = String::from_utf8_lossy(&delivery.body);
        let places = text.match_indices(BEFORE_NUMBER).map(|(place, before)| place + before.len()).collect();
        let headers = delivery.headers.into_iter().filter(|(name, _)| *name != "x-webhook-signature").collect();
        Source { headers, body: delivery.body, places, signer: Signer::new() }
    }

    /// Header fields that are the same for all; the signature is not among them.
    pub(crate) fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// A body, and its signature.
    pub(crate) fn next(&self) -> (Bytes, String) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut body = self.body.clone();
        let first = NEXT.fetch_add(self.places.len() as u64, Ordering::Relaxed);
        for (number, place) in (first..).zip(&self.places) {
            body[*place..place + DIGITS].copy_from_slice(format!("{number:0DIGITS$}").as_bytes());
        }
        let signature = self.signer.sign(&body);
        (body.into(), signature)
    }
}
