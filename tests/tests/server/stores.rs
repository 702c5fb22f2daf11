//! What was delivered, remembered elsewhere than in this process's memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hookgate::server::Server;
use hookgate::server::store::file::FileStore;
use hookgate::server::store::redis::RedisStore;
use hookgate::server::store::{Begun, Held, Key, Owner, Store, StoreError};
use hookgate::types::DedupeSettings;
use hookgate_tests::Delivery;
use hookgate_tests::hooked::{Hooked, SECRET, config};
use hookgate_tests::redis::Redis;
use hookgate_tests::upstream::{Reply, Upstream};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::answers::all_to;

const WINDOW: DedupeSettings = DedupeSettings { window_s: 900, max_keys: 1000 };

const PATIENCE: Duration = Duration::from_secs(60);

async fn redis(redis: &Redis) -> RedisStore {
    connected(&redis.url()).await
}

async fn connected(url: &str) -> RedisStore {
    let store = loop {
        // On a busy machine the half second that it may take is not always enough.
        if let Ok(store) = RedisStore::connect(url).await {
            break store;
        }
    };
    store.configure(WINDOW);
    store
}

/// What a store says when it can be asked again.
async fn begun_in_time(store: &RedisStore, keys: &[Key]) -> Vec<Begun> {
    in_time(async |_| store.begin(Owner::unique(), keys).await).await
}

/// What comes of asking once nothing of it fails. What failed may have been done all the same, so each try has a number to make other
/// keys of.
async fn in_time<T>(ask: impl AsyncFn(u32) -> Result<T, StoreError>) -> T {
    let asked = async {
        let mut number = 0;
        loop {
            match ask(number).await {
                Ok(said) => break said,
                Err(_) => tokio::task::yield_now().await,
            }
            number += 1;
        }
    };
    timeout(PATIENCE, asked).await.expect("it can be asked again")
}

async fn with(store: impl Store, upstream: &Upstream) -> Hooked {
    let mut config = config(&all_to(upstream));
    config.store = Arc::new(store);
    Hooked::start(config).await
}

#[tokio::test]
async fn redis_begins_commits_and_releases() {
    let server = Redis::start().await;
    let (one, other) = (redis(&server).await, redis(&server).await);
    let (owner, stranger) = (Owner::unique(), Owner::unique());
    let begun = in_time(async |number| {
        let keys = ["a", "b", "c"].map(|name| Key::new("bot", &format!("{name}{number}")));
        let first = one.begin(owner, &keys).await?;
        let second = other.begin(stranger, &keys).await?;
        one.commit(owner, &keys[..1]).await?;
        one.release(owner, &keys[1..2]).await?;
        other.release(stranger, &keys).await?;
        Ok::<_, StoreError>([first, second, other.begin(stranger, &keys).await?])
    });
    let [first, second, third] = begun.await;
    assert_eq!(first, [Begun::Ours; 3]);
    assert_eq!(second, [Begun::InFlight; 3]);
    assert_eq!(third, [Begun::Delivered, Begun::Ours, Begun::InFlight]);
}

/// A server that dies in the middle of a delivery leaves what it had begun.
#[tokio::test]
async fn what_was_begun_in_redis_is_free_again_by_itself() {
    let server = Redis::start().await;
    let store = redis(&server).await;
    begun_in_time(&store, &["a", "b"].map(|name| Key::new("bot", name))).await;
    let longest = "local most = 0 for _, key in ipairs(redis.call('KEYS', '*')) do local left = redis.call('PTTL', key) \
                   if left < 0 then return -1 end most = math.max(most, left) end return most";
    let longest = server.ask(&format!("EVAL \"{longest}\" 0")).await;
    assert!(longest.strip_prefix(':').is_some_and(|ms| (1..=30_000).contains(&ms.parse().unwrap_or(-1))), "{longest}");
}

#[tokio::test]
async fn redis_forgets_after_the_window() {
    let server = Redis::start().await;
    let store = redis(&server).await;
    store.configure(DedupeSettings { window_s: 3, max_keys: 1000 });
    let (key, owner) = ([Key::new("bot", "a")], Owner::unique());
    in_time(async |_| store.begin(owner, &key).await).await;
    in_time(async |_| store.commit(owner, &key).await).await;
    assert_eq!(begun_in_time(&store, &key).await, [Begun::Delivered]);
    while begun_in_time(&store, &key).await == [Begun::Delivered] {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_lets_one_of_many_begin() {
    let server = Redis::start().await;
    let stores = Arc::new([redis(&server).await, redis(&server).await]);
    for round in 0..50 {
        let begun = in_time(async |number| {
            let key = Key::new("bot", &format!("{round} {number}"));
            let racers: Vec<_> = (0..8)
                .map(|racer| {
                    let stores = stores.clone();
                    tokio::spawn(async move { stores[racer % 2].begin(Owner::unique(), &[key]).await })
                })
                .collect();
            let mut begun = Vec::new();
            for racer in racers {
                begun.extend(racer.await.unwrap()?);
            }
            Ok::<_, StoreError>(begun)
        });
        let winners = begun.await.into_iter().filter(|begun| *begun == Begun::Ours).count();
        assert_eq!(winners, 1);
    }
}

#[tokio::test]
async fn two_servers_share_a_redis() {
    let server = Redis::start().await;
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let one = with(redis(&server).await, &upstream).await;
    let other = with(redis(&server).await, &upstream).await;
    let delivery = Delivery::message("wamid.1", SECRET);
    let first = tokio::spawn({
        let delivery = delivery.clone();
        async move { one.status(&delivery).await }
    });
    upstream.next().await;
    assert_eq!(other.status(&delivery).await, 503);
    permits.add_permits(1);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(other.status(&delivery).await, 200);
    assert!(upstream.rest().is_empty());
}

#[tokio::test]
async fn without_its_redis_everything_is_sent_and_counted() {
    let server = Redis::start().await;
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = with(redis(&server).await, &upstream).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    drop(server);
    for number in 2..=5 {
        let began = Instant::now();
        assert_eq!(hooked.status(&Delivery::message(&format!("wamid.{number}"), SECRET)).await, 200);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "the time of the targets is not Redis' to use: {took:?}");
    }
    assert_eq!(upstream.rest().len(), 5);
    assert!(hooked.metric(r#"hookgate_store_failures_total{operation="begin"}"#).await >= 1.0);
}

/// A way to `to`, and what makes its connections go silent, but no new ones.
async fn way(to: String) -> (String, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let silence = watch::Sender::new(());
    let heard = silence.clone();
    tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let (to, mut silent) = (to.clone(), heard.subscribe());
            tokio::spawn(async move {
                let mut there = TcpStream::connect(to).await.expect("Redis");
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                    _ = silent.changed() => std::future::pending().await,
                }
            });
        }
    });
    (address, silence)
}

#[tokio::test]
async fn a_connection_to_redis_that_goes_silent_is_left_for_another() {
    let server = Redis::start().await;
    let (address, silence) = way(server.url().trim_start_matches("redis://").trim_end_matches('/').to_owned()).await;
    let store = connected(&format!("redis://{address}")).await;
    let key = [Key::new("bot", "a")];
    begun_in_time(&store, &key).await;
    silence.send_replace(());
    // Until nobody answers any more.
    while store.begin(Owner::unique(), &key).await.is_ok() {}
    assert_eq!(begun_in_time(&store, &key).await, [Begun::InFlight], "over another connection");
}

#[tokio::test]
async fn a_redis_that_refused_the_login_for_a_while_is_asked_again() {
    for query in ["", "/?protocol=resp3"] {
        let server = Redis::start().await;
        assert_eq!(server.ask("ACL SETUSER hook on >hush ~* +@all").await, "+OK");
        let store = connected(&format!("{}{query}", server.url().replace("redis://", "redis://hook:hush@"))).await;
        let key = [Key::new("bot", "a")];
        assert_eq!(server.ask("ACL SETUSER hook off").await, "+OK");
        assert_eq!(server.ask("CLIENT KILL USER hook").await, ":1");
        // The first finds the connection gone, those that follow are told that they may not log in.
        for _ in 0..3 {
            store.begin(Owner::unique(), &key).await.expect_err("nobody may ask");
        }
        assert_eq!(server.ask("ACL SETUSER hook on").await, "+OK");
        assert_eq!(begun_in_time(&store, &key).await, [Begun::Ours], "it may again");
    }
}

#[tokio::test]
async fn a_redis_that_has_no_room_is_not_asked_over_ever_new_connections() {
    let server = Redis::start().await;
    let store = redis(&server).await;
    let received = async || {
        server
            .ask("EVAL \"return tonumber(redis.call('INFO','stats'):match('total_connections_received:(%d+)'))\" 0")
            .await
    };
    let number = |line: String| line.trim_start_matches(':').parse::<u32>().expect("a number");
    assert_eq!(server.ask("CONFIG SET maxmemory 1").await, "+OK");
    let before = number(received().await);
    for _ in 0..10 {
        store.begin(Owner::unique(), &[Key::new("bot", "a")]).await.expect_err("there is no room");
    }
    assert!(number(received().await) <= before + 2, "one for this question, and one for luck");
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_an_error_without_its_password() {
    let server = Redis::start().await;
    let url = server.url().replace("redis://", "redis://:hush@");
    drop(server);
    let Err(error) = RedisStore::connect(&url).await else {
        panic!("nobody is there");
    };
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[tokio::test]
async fn a_file_outlives_its_server() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("delivered");
    let mut upstream = Upstream::scripted(vec![Reply::Status(200), Reply::Status(500)], Reply::Status(200)).await;
    let (taken, failed) = (Delivery::message("wamid.1", SECRET), Delivery::message("wamid.2", SECRET));

    let hooked = with(FileStore::open(&file).expect("a new file"), &upstream).await;
    assert_eq!(hooked.status(&taken).await, 200);
    assert_eq!(hooked.status(&failed).await, 502);
    assert!(FileStore::open(&file).is_err(), "one process at a time");
    let Hooked { server, .. } = hooked;
    Server::stop(server).await;

    let hooked = with(FileStore::open(&file).expect("the server let go of it"), &upstream).await;
    assert_eq!(hooked.status(&taken).await, 200);
    assert_eq!(upstream.rest().len(), 2);
    assert_eq!(hooked.status(&failed).await, 200);
    assert_eq!(upstream.rest().len(), 1);
}

#[tokio::test]
async fn what_is_no_store_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("delivered");
    std::fs::write(&file, "something else").expect("a file");
    assert!(FileStore::open(&file).is_err());
    assert!(FileStore::open(folder.path().join("nowhere/delivered")).is_err());
}

/// A store that cannot be asked.
struct Broken;

impl Store for Broken {
    fn configure(&self, _: DedupeSettings) {}

    fn begin<'a>(&'a self, _: Owner, _: &'a [Key]) -> BoxFuture<'a, Result<Vec<Begun>, StoreError>> {
        Box::pin(async { Err(StoreError("as the test says".into())) })
    }

    fn commit<'a>(&'a self, _: Owner, _: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn release<'a>(&'a self, _: Owner, _: &'a [Key]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn held(&self) -> Held {
        Held::default()
    }
}

#[tokio::test]
async fn a_store_of_ones_own_that_fails_loses_nothing() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let hooked = with(Broken, &upstream).await;
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    upstream.next().await;
}
