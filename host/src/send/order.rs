//! Order within a conversation: what was received and sent goes out one after the other, in the order of its sequence numbers.
//!
//! Kapso lets an item wait up to 30 s for the one before it, then gives the order up. Statuses are not ordered.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::time::timeout;

/// How long an item waits for its predecessor.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The last item of each conversation. No larger than the number of conversations.
#[derive(Debug, Default)]
pub(crate) struct Order {
    last: HashMap<u32, Receiver<()>>,
}

/// An item's place in its conversation. When it is dropped the next item may go.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    before: Option<Receiver<()>>,
    done: Option<Sender<()>>,
}

impl Order {
    /// Puts an item behind all that its conversation had before.
    pub(crate) fn queue(&mut self, conversation: u32) -> Turn {
        let (done, next) = oneshot::channel();
        Turn { before: self.last.insert(conversation, next), done: Some(done) }
    }
}

impl Turn {
    /// Waits until the predecessor is done with, but no longer than `patience`. Says whether the order was kept.
    pub(crate) async fn come(&mut self, patience: Duration) -> bool {
        match self.before.take() {
            // Whether it was sent or dropped, it is over.
            Some(before) => timeout(patience, before).await.is_ok(),
            None => true,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            // There may be no successor.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_item_goes_when_the_one_before_it_is_done() {
        let mut order = Order::default();
        let (mut first, mut second, mut other) = (order.queue(1), order.queue(1), order.queue(2));
        let start = Instant::now();
        assert!(first.come(PATIENCE).await);
        assert!(other.come(PATIENCE).await, "another conversation does not wait");
        assert_eq!(start.elapsed(), Duration::ZERO);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(12)).await;
            drop(first);
        });
        assert!(second.come(PATIENCE).await);
        assert_eq!(start.elapsed(), Duration::from_secs(12));
    }

    #[tokio::test(start_paused = true)]
    async fn after_30_s_the_order_is_given_up() {
        let mut order = Order::default();
        let (_first, mut second) = (order.queue(1), order.queue(1));
        let start = Instant::now();
        assert!(!second.come(PATIENCE).await);
        assert_eq!(start.elapsed(), Duration::from_secs(30));
        assert!(second.come(PATIENCE).await, "it waits once");
    }

    #[test]
    fn a_conversation_leaves_one_trace_however_long_it_is() {
        let mut order = Order::default();
        for turn in 0..10_000 {
            drop(order.queue(turn % 3));
        }
        assert_eq!(order.last.len(), 3);
    }
}
