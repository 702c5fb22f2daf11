//! Stopping without losing anything.

use std::sync::Arc;
use std::time::Duration;

use hookgate::server::Server;
use hookgate::server::store::memory::MemoryStore;
use hookgate::server::store::{Held, Store};
use hookgate_tests::Delivery;
use hookgate_tests::client::{Client, Raw, head};
use hookgate_tests::hooked::{SECRET, config};
use hookgate_tests::upstream::{Reply, Upstream};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::answers::all_to;

/// The sender of a delivery that its target has and has not answered.
async fn under_way(server: &Server, upstream: &mut Upstream) -> Raw {
    let delivery = Delivery::message("wamid.1", SECRET);
    let mut sender = Raw::connect(server.address()).await;
    sender.write(head(&delivery, "/hook", &format!("Content-Length: {}\r\n", delivery.body.len()))).await;
    sender.write(&delivery.body).await;
    upstream.next().await;
    sender
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_is_taken() {
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let server = Server::start(config(&all_to(&upstream))).await.expect("it starts");
    let (address, admin) = (server.address(), server.admin_address().expect("an admin address"));
    let url = format!("http://{address}/hook");
    let sender =
        tokio::spawn(async move { Client::new().post(&url, &Delivery::message("wamid.1", SECRET)).await.status });
    upstream.next().await;

    let stopping = tokio::spawn(server.stop());
    while Client::new().get(&format!("http://{admin}/readyz")).await.status == 200 {
        tokio::task::yield_now().await;
    }
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished(), "a delivery is under way");
    permits.add_permits(1);
    assert_eq!(sender.await.unwrap(), 200);
    assert!(stopping.await.unwrap(), "all was finished");
    assert!(TcpStream::connect(admin).await.is_err(), "the admin address goes last");
}

#[tokio::test]
async fn a_delivery_whose_sender_hung_up_is_waited_for() {
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let store = Arc::new(MemoryStore::new());
    let mut config = config(&all_to(&upstream));
    config.store = store.clone();
    let server = Server::start(config).await.expect("it starts");
    let sender = under_way(&server, &mut upstream).await;
    drop(sender);
    let address = server.address();
    let stopping = tokio::spawn(server.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    permits.add_permits(1);
    stopping.await.unwrap();
    assert_eq!(store.held(), Held { in_flight: 0, delivered: 1 });
}

#[tokio::test]
async fn what_is_under_way_ends_in_its_own_time_when_it_is_dropped() {
    let permits = Arc::new(Semaphore::new(0));
    let mut upstream = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let store = Arc::new(MemoryStore::new());
    let mut config = config(&all_to(&upstream));
    config.store = store.clone();
    let server = Server::start(config).await.expect("it starts");
    let _sender = under_way(&server, &mut upstream).await;
    drop(server);
    permits.add_permits(1);
    let delivered = async {
        while store.held() != (Held { in_flight: 0, delivered: 1 }) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), delivered).await.expect("it is finished");
}

#[tokio::test]
async fn it_does_not_wait_for_ever() {
    let mut upstream = Upstream::answering(Reply::Hang).await;
    let mut config = config(&all_to(&upstream));
    config.limits.stop_time = Duration::from_millis(200);
    let server = Server::start(config).await.expect("it starts");
    let url = format!("http://{}/hook", server.address());
    let sender =
        tokio::spawn(async move { Client::new().post(&url, &Delivery::message("wamid.1", SECRET)).await.status });
    upstream.next().await;
    assert!(!timeout(Duration::from_secs(5), server.stop()).await.expect("it stops"), "a delivery was not finished");
    sender.abort();
}
