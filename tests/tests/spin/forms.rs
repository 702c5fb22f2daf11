//! The sample app: the gate as a component in front, and as a dependency of somebody else's.

use hookgate_tests::Delivery;
use hookgate_tests::client::Client;
use hookgate_tests::spin::{App, Runtime};

use crate::SECRET;

#[tokio::test(flavor = "multi_thread")]
async fn an_app_asks_the_gate_by_itself() {
    for runtime in Runtime::all() {
        let running = runtime.run(&App::sample().variable("kapso_secret", SECRET)).await;
        let url = running.url("/inbox");
        let client = Client::new();
        let answer = client.post(&url, &Delivery::batch(&[("wamid.1", "text"), ("wamid.2", "text")], SECRET)).await;
        let lines = "whatsapp.message.received: Hello wamid.1\nwhatsapp.message.received: Hello wamid.2\n";
        assert_eq!((answer.status, answer.text()), (200, lines));
        assert_eq!(client.post(&url, &Delivery::message("wamid.3", "another")).await.status, 401);
        assert_eq!(client.get(&url).await.status, 405);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_app_is_nobodys_business() {
    for runtime in Runtime::all() {
        let running = runtime.run(&App::sample().variable("kapso_secret", "")).await;
        let answer = Client::new().post(&running.url("/inbox"), &Delivery::message("wamid.1", SECRET)).await;
        assert_eq!((answer.status, answer.text()), (500, "internal server error\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_may_be_a_component_of_the_same_app() {
    for runtime in Runtime::all() {
        let running = runtime.run(&App::sample().variable("kapso_secret", SECRET)).await;
        let url = running.url("/webhooks/whatsapp");
        let client = Client::new();
        let delivery = Delivery::message("wamid.1", SECRET);
        assert_eq!(client.post(&url, &delivery).await.status, 200);
        assert_eq!(client.post(&url, &delivery).await.status, 200);
        assert_eq!(client.post(&url, &delivery.signed("another")).await.status, 401);
        let log = running.log();
        assert!(log.contains("inbox=200") && log.contains("inbox=duplicate"), "{log}");
    }
}
