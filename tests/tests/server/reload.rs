//! Another policy while requests come in.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookgate::server::{Config, Policy};
use hookgate::{Options, Secrets};
use hookgate_tests::Delivery;
use hookgate_tests::hooked::{Hooked, SECRET, free_ports, plugin};
use hookgate_tests::upstream::{Reply, Upstream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::answers::all_to;

struct PolicyFile {
    folder: TempDir,
}

impl PolicyFile {
    fn new(policy: &Value) -> Self {
        let this = PolicyFile { folder: TempDir::new().expect("a folder") };
        this.write(&policy.to_string());
        this
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("policy.json")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("a file");
    }

    fn config(&self) -> Config {
        let secrets = Secrets::from([("SECRET", SECRET), ("TARGET_SECRET", "t")]);
        free_ports(Config::new(plugin(), Policy::file(self.path()).with_secrets(secrets)))
    }
}

#[tokio::test]
async fn a_new_policy_is_in_force_and_what_was_delivered_is_remembered() {
    let mut old = Upstream::answering(Reply::Status(200)).await;
    let mut new = Upstream::answering(Reply::Status(200)).await;
    let file = PolicyFile::new(&all_to(&old));
    let hooked = Hooked::start(file.config()).await;
    let first = Delivery::message("wamid.1", SECRET);
    assert_eq!(hooked.status(&first).await, 200);
    file.write(&all_to(&new).to_string());
    hooked.server.reload().await.expect("a good policy");
    assert_eq!(hooked.status(&first).await, 200);
    assert_eq!(hooked.status(&Delivery::message("wamid.2", SECRET)).await, 200);
    assert_eq!((old.rest().len(), new.rest().len()), (1, 1));
    assert_eq!(hooked.metric(r#"hookgate_policy_reloads_total{result="ok"}"#).await, 1.0);
}

#[tokio::test]
async fn a_policy_comes_into_force_with_the_instances_for_all_calls() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let file = PolicyFile::new(&all_to(&upstream));
    let hooked = Hooked::start(file.config()).await;
    let expected = Options::default().max_concurrency.get() as f64;
    assert_eq!(hooked.metric("hookgate_plugin_instances").await, expected);
    hooked.server.reload().await.expect("a good policy");
    assert_eq!(hooked.metric("hookgate_plugin_instances").await, expected);
}

#[tokio::test]
async fn a_bad_policy_is_reported_with_its_places_and_the_old_one_stays() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let file = PolicyFile::new(&all_to(&upstream));
    let hooked = Hooked::start(file.config()).await;
    let mut bad = all_to(&upstream);
    bad["rules"][0]["to"] = json!(["nobody"]);
    let mut secretless = all_to(&upstream);
    secretless["sources"][0]["secrets"] = json!(["NOT_THERE"]);
    for (policy, place) in [(bad, "/rules/0/to/0"), (secretless, "/sources/0/secrets/0")] {
        file.write(&serde_json::to_string_pretty(&policy).unwrap());
        let error = hooked.server.reload().await.expect_err("a bad policy").to_string();
        for part in ["policy.json:", place] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(!error.contains(SECRET));
    }
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    upstream.next().await;
    assert_eq!(hooked.metric(r#"hookgate_policy_reloads_total{result="refused"}"#).await, 2.0);
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_by_itself() {
    let old = Upstream::answering(Reply::Status(200)).await;
    let mut new = Upstream::answering(Reply::Status(200)).await;
    let file = PolicyFile::new(&all_to(&old));
    let hooked = Hooked::start(file.config()).await;
    let mut policy = all_to(&new);
    policy["limits"] = json!({"events": 17});
    file.write(&policy.to_string());
    while hooked.metric(r#"hookgate_policy_reloads_total{result="ok"}"#).await < 1.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    new.next().await;
}

#[tokio::test]
async fn a_request_ends_with_the_policy_it_began_with() {
    let permits = Arc::new(Semaphore::new(0));
    let mut old = Upstream::answering(Reply::Held(permits.clone(), 200)).await;
    let file = PolicyFile::new(&all_to(&old));
    let hooked = Arc::new(Hooked::start(file.config()).await);
    let sender = tokio::spawn({
        let hooked = hooked.clone();
        async move { hooked.status(&Delivery::message("wamid.1", SECRET)).await }
    });
    old.next().await;
    let mut without = all_to(&old);
    without["rules"] = json!([]);
    without["targets"] = json!({});
    file.write(&without.to_string());
    hooked.server.reload().await.expect("a good policy");
    permits.add_permits(1);
    assert_eq!(sender.await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_no_request_is_lost() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let file = PolicyFile::new(&all_to(&upstream));
    let hooked = Arc::new(Hooked::start(file.config()).await);
    let done = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let (hooked, done) = (hooked.clone(), done.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                while !done.load(Ordering::Relaxed) {
                    let delivery = Delivery::message(&format!("wamid.{sender}.{sent}"), SECRET);
                    assert_eq!(hooked.status(&delivery).await, 200);
                    sent += 1;
                }
                sent
            })
        })
        .collect();
    for round in 0..10 {
        upstream.next().await;
        let mut policy = all_to(&upstream);
        policy["limits"] = json!({"events": 100 + round});
        file.write(&policy.to_string());
        hooked.server.reload().await.expect("a good policy");
    }
    done.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.expect("every answer was 200");
    }
    assert_eq!(upstream.rest().len() + 10, sent, "each delivery came exactly once");
}

#[tokio::test]
async fn a_reload_that_nobody_waits_for_any_more_is_not_overtaken() {
    let old = Upstream::answering(Reply::Status(200)).await;
    let mut new = Upstream::answering(Reply::Status(200)).await;
    let file = PolicyFile::new(&all_to(&old));
    let hooked = Hooked::start(file.config()).await;
    let (pipe, next) = (file.folder.path().join("pipe"), file.folder.path().join("next"));
    assert!(Command::new("mkfifo").arg(&pipe).status().await.expect("mkfifo is there").success());
    std::fs::rename(&pipe, file.path()).expect("the same folder");
    let path = file.path();
    // Opened as soon as the server reads it.
    let opened = spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(path));
    let mut pipe = tokio::select! {
        _ = hooked.server.reload() => panic!("there is nothing to read yet"),
        opened = opened => opened.expect("no panic").expect("a pipe"),
    };
    std::fs::write(&next, all_to(&new).to_string()).expect("a file");
    std::fs::rename(&next, file.path()).expect("the same folder");
    let overtaking = timeout(Duration::from_secs(1), hooked.server.reload()).await;
    assert!(overtaking.is_err(), "the first one is still under way");
    pipe.write_all(all_to(&old).to_string().as_bytes()).expect("somebody reads");
    drop(pipe);
    hooked.server.reload().await.expect("a good policy");
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    new.next().await;
}
