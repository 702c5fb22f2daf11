//! A request's body, read under limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
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
    pub(crate) _room: OwnedSemaphorePermit,
}

impl Held {
    /// The bytes, which keep their place as long as anybody has them.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body of which nothing or the first piece was read.
pub(crate) struct Arriving {
    body: Incoming,
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
}

impl Arriving {
    /// Nothing of it was asked for.
    pub(crate) fn unread(body: Incoming) -> Self {
        Arriving { body, first: None }
    }

    /// Takes what came together with the head and does not wait for more. hyper has nothing at the first poll even of a body that
    /// is there, so the next turn polls once more.
    pub(crate) async fn ahead(mut body: Incoming) -> Self {
        let mut asked = false;
        let first = poll_fn(|context| match Pin::new(&mut body).poll_frame(context) {
            Poll::Pending if !asked => {
                asked = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(None),
            ready => ready,
        });
        let first = first.await;
        Arriving { body, first }
    }

    /// Whether all of it has come.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.is_end_stream() && !matches!(self.first, Some(Err(_)))
    }

    /// Lets the rest come and go, up to so many bytes, beside the answer: closing a connection on a sender that is still sending
    /// would take the answer from it too.
    pub(crate) fn pass_over(mut self, most: u64, deadline: Instant) {
        let rest = async move {
            let mut passed = 0;
            while let Some(Ok(frame)) = self.next().await {
                passed += frame.data_ref().map_or(0, |data| data.len() as u64);
                if passed > most {
                    break;
                }
            }
        };
        tokio::spawn(timeout_at(deadline, rest));
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, hyper::Error>> {
        match self.first.take() {
            None => self.body.frame().await,
            first => first,
        }
    }
}

/// Reads a body of at most `limit` bytes. It takes `room` for what has come, a head of `head` bytes among it, and not for what is
/// announced, so that nobody occupies it without sending.
pub(crate) async fn read(
    body: &mut Arriving,
    limit: u64,
    deadline: Instant,
    head: usize,
    room: &Arc<Semaphore>,
) -> Result<Held, Unread> {
    const FIRST: u64 = 64 * 1024;
    let first = body.first.as_ref().and_then(|first| first.as_ref().ok()).and_then(Frame::data_ref);
    let declared = body.body.size_hint().lower() + first.map_or(0, |data| data.len() as u64);
    if declared > limit {
        return Err(Unread::TooLarge);
    }
    let mut bytes = BytesMut::with_capacity(usize::try_from(declared.min(FIRST)).unwrap_or_default());
    let take = |bytes: usize| {
        let bytes = u32::try_from(bytes).map_err(|_| Unread::TooLarge)?;
        room.clone().try_acquire_many_owned(bytes).map_err(|_| Unread::NoRoom)
    };
    let mut taken = take(head)?;
    while let Some(frame) = timeout_at(deadline, body.next()).await.map_err(|_| Unread::TooSlow)? {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if (bytes.len() + data.len()) as u64 > limit {
            return Err(Unread::TooLarge);
        }
        taken.merge(take(data.len())?);
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: bytes.freeze(), _room: taken })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_keeps_its_place_as_long_as_anybody_has_its_bytes() {
        let room = Arc::new(Semaphore::new(10));
        let held = Held { bytes: Bytes::from_static(b"four"), _room: room.clone().try_acquire_many_owned(4).unwrap() };
        let bytes = held.into_bytes();
        assert_eq!((&bytes[..], room.available_permits()), (&b"four"[..], 6));
        drop(bytes);
        assert_eq!(room.available_permits(), 10);
    }
}
