//! Names of targets, looked up.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::vec;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower::Service;

/// Maximum concurrent lookups of one name. A lookup that hangs blocks a thread until the system gives up, even if the
/// caller has stopped waiting, and the number of threads is limited.
const AT_A_TIME: usize = 4;

/// Asks the system, as hyper's own does, but of no name too often at a time.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    ask: fn(&str) -> io::Result<vec::IntoIter<SocketAddr>>,
    /// By name: those of targets, so there are few.
    places: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self::asking(|name| (name, 0).to_socket_addrs())
    }

    fn asking(ask: fn(&str) -> io::Result<vec::IntoIter<SocketAddr>>) -> Self {
        Resolver { ask, places: Arc::default() }
    }

    fn places(&self, name: &str) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(AT_A_TIME))).clone()
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (places, ask) = (self.places(name.as_str()), self.ask);
        async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            let work = tokio::task::spawn_blocking(move || {
                let _place = place;
                ask(name.as_str())
            });
            work.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static OVER: AtomicBool = AtomicBool::new(false);

    fn hang(name: &str) -> io::Result<vec::IntoIter<SocketAddr>> {
        if name == "hangs" {
            ASKED.fetch_add(1, Ordering::Relaxed);
            while !OVER.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))].into_iter())
    }

    /// Lets what hangs go, however the test ends: the runtime waits for it.
    struct Released;

    impl Drop for Released {
        fn drop(&mut self) {
            OVER.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_name_that_hangs_keeps_no_other_waiting() {
        let released = Released;
        let mut resolver = Resolver::asking(hang);
        let mut look_up = async |name: &str| {
            let answer = resolver.call(name.parse().expect("a name"));
            timeout(Duration::from_millis(20), answer).await.is_ok()
        };
        for _ in 0..2 * AT_A_TIME {
            assert!(!look_up("hangs").await);
        }
        while ASKED.load(Ordering::Relaxed) < AT_A_TIME {
            thread::yield_now();
        }
        while !look_up("answers").await {}
        assert_eq!(ASKED.load(Ordering::Relaxed), AT_A_TIME);
        drop(released);
        while !look_up("hangs").await {}
    }
}
