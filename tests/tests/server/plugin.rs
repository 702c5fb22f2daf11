//! A plugin that fails, or is used up.

use std::num::NonZeroU64;
use std::time::Duration;

use hookgate::server::{Config, Policy};
use hookgate::{Cache, Instances, Options, Plugin, Secrets};
use hookgate_tests::client::Client;
use hookgate_tests::hooked::{Hooked, SECRET, TARGET_SECRET, free_ports};
use hookgate_tests::upstream::{Reply, Upstream};
use hookgate_tests::{Delivery, misbehaving};
use serde_json::json;
use tokio::time::sleep;

use crate::answers::all_to;

#[tokio::test]
async fn out_of_memory_is_500_nothing_is_sent_and_the_next_delivery_is_served() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let options = Options { memory_per_instance: 3 << 20, ..Options::default() };
    let plugin = Plugin::new(&options).expect("the built component");
    let mut policy = all_to(&upstream);
    policy["sources"][0].as_object_mut().unwrap().remove("verify_token");
    policy["limits"] = json!({"body_bytes": 4 << 20});
    let policy = Policy::json(policy.to_string()).with_secrets(Secrets::from([("SECRET", SECRET)]));
    let hooked = Hooked::start(free_ports(Config::new(plugin, policy))).await;

    let large = Delivery::new("whatsapp.message.received", " ".repeat(3 << 20)).signed(SECRET);
    assert_eq!(hooked.status(&large).await, 500);
    assert!(upstream.rest().is_empty());
    let reason = r#"hookgate_undecided_total{source="whatsapp",reason="plugin-out-of-memory"}"#;
    assert_eq!(hooked.metric(reason).await, 1.0);

    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    upstream.next().await;
}

#[tokio::test]
async fn a_call_that_traps_or_never_ends_is_500_and_the_next_is_answered() {
    let options = Options { cache: Cache::Off, ..Options::default() };
    let plugin = Plugin::from_bytes(&misbehaving_by_path(), &options).expect("a plugin");
    let hooked = Hooked::start(free_ports(Config::new(plugin, Policy::json("{}")))).await;
    let client = Client::new();
    // Without a body, so that `decide` is all that is asked.
    let status = async |path: &str| client.get(&hooked.url(path)).await.status;
    for (path, reason) in [("/never-ends", "plugin-timed-out"), ("/traps", "plugin-failed")] {
        assert_eq!(status(path).await, 500, "{path}");
        let undecided = format!(r#"hookgate_undecided_total{{source="",reason="{reason}"}}"#);
        assert_eq!(hooked.metric(&undecided).await, 1.0, "{path}");
        assert_eq!(status("/").await, 404, "{path}");
    }
}

/// The plugin of `plugins/misbehaving.wat`, for a server, which says what time it is by itself: `decide` goes by how long the path
/// is.
fn misbehaving_by_path() -> Vec<u8> {
    let when = |text: &str, now: u8, path: &str| {
        let by_time = format!("(i64.eq (local.get $now) (i64.const {now}))");
        assert!(text.contains(&by_time), "{by_time}");
        text.replace(&by_time, &format!("(i32.eq (local.get $path_len) (i32.const {}))", path.len()))
    };
    let text = when(&when(&misbehaving::text(), 1, "/never-ends"), 2, "/traps");
    misbehaving::component(&text, &misbehaving::contract())
}

#[tokio::test]
async fn instances_that_are_worn_out_are_replaced_before_they_are_needed() {
    let upstream = Upstream::answering(Reply::Status(200)).await;
    let options = Options { instances: Instances::Reuse { max_calls: NonZeroU64::MIN }, ..Options::default() };
    let plugin = Plugin::new(&options).expect("the built component");
    let secrets = Secrets::from([("SECRET", SECRET), ("TARGET_SECRET", TARGET_SECRET)]);
    let policy = Policy::json(all_to(&upstream).to_string()).with_secrets(secrets);
    let hooked = Hooked::start(free_ports(Config::new(plugin, policy))).await;
    for number in 0..2 * options.max_concurrency.get() {
        assert_eq!(hooked.status(&Delivery::message(&format!("wamid.{number}"), SECRET)).await, 200);
    }
    let all = options.max_concurrency.get() as f64;
    while hooked.metric("hookgate_plugin_instances").await < all {
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_new_instance_for_each_call_gives_the_same_answers() {
    let mut upstream = Upstream::answering(Reply::Status(200)).await;
    let options = Options { instances: Instances::Fresh, ..Options::default() };
    let plugin = Plugin::new(&options).expect("the built component");
    let secrets = Secrets::from([("SECRET", SECRET), ("TARGET_SECRET", TARGET_SECRET)]);
    let policy = Policy::json(all_to(&upstream).to_string()).with_secrets(secrets);
    let hooked = Hooked::start(free_ports(Config::new(plugin, policy))).await;
    let batch = Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "image")], SECRET);
    assert_eq!(hooked.status(&Delivery::message("wamid.1", "another secret")).await, 401);
    assert_eq!(hooked.status(&Delivery::message("wamid.1", SECRET)).await, 200);
    assert_eq!(hooked.status(&batch).await, 200);
    upstream.next().await;
    assert_eq!(upstream.next().await.json()["data"].as_array().map(Vec::len), Some(1));
}
