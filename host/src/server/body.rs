//! A request's body, read under limits.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Why there is no body.
pub(crate) enum Unread {
    TooLarge,
    TooSlow,
    /// Shorter than declared, or badly framed.
    Broken,
    /// All requests together hold as much as they may.
    NoRoom,
}

/// A whole body, and its place among the bytes that may be held at a time.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most `limit` bytes. It takes `room` for what has come, not for what is announced, so that nobody occupies
/// it without sending.
pub(crate) async fn read(
    mut body: Incoming,
    limit: u64,
    deadline: Instant,
    room: &Arc<Semaphore>,
) -> Result<Held, Unread> {
    const FIRST: u64 = 64 * 1024;
    let declared = body.size_hint().lower();
    if declared > limit {
        return Err(Unread::TooLarge);
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(declared.min(FIRST)).unwrap_or_default());
    let mut taken: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = timeout_at(deadline, body.frame()).await.map_err(|_| Unread::TooSlow)? {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if (bytes.len() + data.len()) as u64 > limit {
            return Err(Unread::TooLarge);
        }
        let size = u32::try_from(data.len()).map_err(|_| Unread::TooLarge)?;
        let more = room.clone().try_acquire_many_owned(size).map_err(|_| Unread::NoRoom)?;
        match &mut taken {
            Some(taken) => taken.merge(more),
            None => taken = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: bytes.freeze(), _room: taken })
}
