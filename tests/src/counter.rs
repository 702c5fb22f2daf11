//! A target that counts which events it took, of any number of them: a byte for each.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What stands in the id of every event that `hookgate send` composes: a UUID whose second group this is and whose last one
/// counts up.
const MARK: &str = "-5eed-8";
/// From the mark to the last group of the UUID.
const TO_NUMBER: usize = "-5eed-8xxx-8xxx-".len();
const DIGITS: usize = 12;

/// A target that runs until dropped.
pub struct Counter {
    address: SocketAddr,
    counts: Arc<Counts>,
    work: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    /// How often the event of each number was taken, up to 255 times.
    events: Mutex<Vec<u8>>,
    requests: AtomicU64,
    /// Every so many requests one fails; none if 0.
    failing: u64,
}

impl Counter {
    /// Takes everything.
    pub async fn steady() -> Self {
        Self::start(0).await
    }

    /// Fails every third request, and then takes nothing of it.
    pub async fn shaky() -> Self {
        Self::start(3).await
    }

    async fn start(failing: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let counts = Arc::new(Counts { failing, ..Counts::default() });
        let counting = counts.clone();
        let work = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counts = counting.clone();
                let service = service_fn(move |request| answer(counts.clone(), request));
                // Clients close when they like.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Counter { address, counts, work }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How many events were taken how many times; those that were never taken are not in it.
    ///
    /// # Panics
    /// When counting has panicked.
    pub fn times(&self) -> BTreeMap<u8, u64> {
        let mut times = BTreeMap::new();
        for count in self.counts.events.lock().expect("nobody panicked").iter().filter(|count| **count > 0) {
            *times.entry(*count).or_default() += 1;
        }
        times
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// Forgets everything.
    ///
    /// # Panics
    /// When counting has panicked.
    pub fn forget(&self) {
        self.counts.events.lock().expect("nobody panicked").clear();
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn answer(counts: Arc<Counts>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = match request.into_body().collect().await {
        Ok(body) => counts.take(&body.to_bytes()),
        Err(_) => StatusCode::BAD_REQUEST,
    };
    Ok(response)
}

impl Counts {
    fn take(&self, body: &[u8]) -> StatusCode {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        if self.failing > 0 && number.is_multiple_of(self.failing) {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        let mut numbers = numbers(std::str::from_utf8(body).expect("every body is text"));
        // An event may say its id more than once.
        numbers.sort_unstable();
        numbers.dedup();
        assert!(!numbers.is_empty(), "a body without any event came");
        let mut events = self.events.lock().expect("nobody panicked");
        for number in numbers {
            if events.len() <= number {
                events.resize(number + 1, 0);
            }
            events[number] = events[number].saturating_add(1);
        }
        StatusCode::OK
    }
}

/// The numbers of all events in a body.
fn numbers(body: &str) -> Vec<usize> {
    let digits = body.match_indices(MARK).filter_map(|(at, _)| body.get(at + TO_NUMBER..at + TO_NUMBER + DIGITS));
    digits.map(|digits| usize::from_str_radix(digits, 16).expect("a number")).collect()
}
