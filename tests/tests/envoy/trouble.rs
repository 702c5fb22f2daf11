//! Wrong configurations, updates, and a filter that dies.

use hookgate_tests::client::{Client, Raw, head};
use hookgate_tests::upstream::Reply;
use hookgate_tests::{Delivery, artifact};
use serde_json::json;
use std::time::Instant;

use crate::edge::{Edge, PATH, SECRET, TARGET_SECRET, message, to};

#[tokio::test]
async fn without_the_switch_deliveries_are_refused_in_time() {
    let mut edge = Edge::with(&to(&["bot"]), |mut settings| {
        settings.plugin().as_object_mut().expect("an object").remove("allow_on_headers_stop_iteration");
        settings
    })
    .await;
    let start = Instant::now();
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 503);
    assert!(start.elapsed().as_secs() < 9, "{:?}", start.elapsed());
    edge.envoy.logged("allow_on_headers_stop_iteration: true").await;
    assert!(edge.bot.rest().is_empty());
    assert_eq!(edge.get("/other").await.status, 404);
}

#[tokio::test]
async fn a_policy_may_be_text() {
    let edge = Edge::with(&to(&["bot"]), |mut settings| {
        let text = format!("\n{:#}", to(&["bot"]));
        settings.plugin()["configuration"] =
            json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text});
        settings
    })
    .await;
    assert_eq!(edge.post(&message("wamid.A1")).await.status, 200);
}

#[tokio::test]
async fn a_bad_update_leaves_the_policy_before_it_in_force() {
    let mut edge = Edge::with_listener_file(&to(&["bot"])).await;
    assert_eq!(edge.post(&message("wamid.1")).await.status, 200);
    edge.bot.next().await;
    let mut bad = to(&["crm"]);
    bad["rules"] = json!([{"name": "x", "when": {"event": "x"}, "to": ["nobody"]}]);
    edge.envoy.replace_listener(Edge::settings(&bad, &edge.bot, &edge.crm), 1);
    edge.envoy.logged("policy refused: /rules/0/to").await;
    edge.counted("listener_manager.lds.update_rejected", 1).await;
    assert_eq!(edge.post(&message("wamid.2")).await.status, 200);
    edge.bot.next().await;

    edge.envoy.replace_listener(Edge::settings(&to(&["bot", "crm"]), &edge.bot, &edge.crm), 2);
    edge.counted("listener_manager.listener_modified", 1).await;
    // New connections go to the new listener once its workers have it. Envoy resets what came in on the one that it is about to
    // close.
    let updated = Instant::now();
    for number in 3.. {
        let answer = Client::new().try_post(&edge.envoy.url(PATH), &message(&format!("wamid.{number}"))).await;
        assert!(answer.is_none_or(|answer| answer.status == 200));
        if !edge.crm.rest().is_empty() {
            break;
        }
        assert!(updated.elapsed().as_secs() < 60, "the update never came into force");
    }
    // What was delivered before the update is remembered: only who has never got it gets it.
    edge.bot.rest();
    assert_eq!(Client::new().post(&edge.envoy.url(PATH), &message("wamid.1")).await.status, 200);
    assert_eq!(edge.crm.next().await.json()["message"]["id"], "wamid.1");
    assert!(edge.bot.rest().is_empty());
}

#[tokio::test]
async fn what_an_update_breaks_off_can_be_sent_again_at_once() {
    let policy = to(&["bot", "crm"]);
    let mut edge = Edge::with_listener_file(&policy).await;
    edge.crm.now(Reply::Hang);
    let delivery = message("wamid.1");
    let mut sender = Raw::connect(edge.envoy.address()).await;
    sender.write(head(&delivery, PATH, &format!("Content-Length: {}\r\n", delivery.body.len()))).await;
    sender.write(&delivery.body).await;
    edge.crm.next().await;
    let called = Instant::now();
    drop(sender);
    edge.counted("http.webhooks.downstream_cx_destroy_remote_active_rq", 1).await;
    edge.crm.now(Reply::Status(200));
    let mut other = policy;
    other["limits"] = json!({"events": 999});
    edge.envoy.replace_listener(Edge::settings(&other, &edge.bot, &edge.crm), 1);
    edge.envoy.logged("details=the policy was replaced").await;
    let again = async || Client::new().try_post(&edge.envoy.url(PATH), &delivery).await.map(|answer| answer.status);
    while again().await != Some(200) {
        assert!(called.elapsed().as_secs() < 14, "its lease is over in 15 s");
    }
}

#[tokio::test]
async fn a_secret_changes_with_an_update() {
    let edge = Edge::with_listener_file(&to(&["bot"])).await;
    assert_eq!(edge.post(&message("wamid.1")).await.status, 200);
    let mut settings = Edge::settings(&to(&["bot"]), &edge.bot, &edge.crm);
    settings.plugin()["vm_config"]["environment_variables"]["key_values"]["SECRET"] = json!("whsec_new");
    edge.envoy.replace_listener(settings, 1);
    edge.counted("listener_manager.listener_modified", 1).await;
    let updated = Instant::now();
    for number in 2.. {
        let delivery = Delivery::message(&format!("wamid.{number}"), "whsec_new");
        let answer = Client::new().try_post(&edge.envoy.url(PATH), &delivery).await;
        if answer.is_some_and(|answer| answer.status == 200) {
            break;
        }
        assert!(updated.elapsed().as_secs() < 60, "the new secret never came into force");
    }
    assert_eq!(Client::new().post(&edge.envoy.url(PATH), &message("wamid.x")).await.status, 401);
}

#[tokio::test]
async fn a_missing_secret_keeps_envoy_from_starting() {
    let bot = hookgate_tests::upstream::Upstream::answering(Reply::Status(200)).await;
    let mut settings = Edge::settings(&to(&["bot"]), &bot, &bot);
    settings.plugin()["vm_config"]["environment_variables"]["key_values"] = json!({"TARGET_SECRET": TARGET_SECRET});
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("envoy.json");
    std::fs::write(&file, settings.config.to_string()).expect("a file");
    let (taken, log) = hookgate_tests::envoy::validate(&file, folder.path(), &[]).await;
    assert!(!taken);
    assert!(log.contains("SECRET"), "{log}");
}

/// The built filter, but whose answer to a call is to trap.
fn mortal() -> Vec<u8> {
    let bytes = std::fs::read(artifact("hookgate-envoy.wasm")).expect("the filter");
    trap_in(&bytes, "proxy_on_http_call_response")
}

#[tokio::test]
async fn a_filter_that_dies_lets_nothing_pass_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mortal.wasm");
    std::fs::write(&file, mortal()).expect("a file");
    let mut policy = to(&["bot"]);
    policy["rules"] = json!([{"name": "deadly", "when": {"message_type": "image"}, "to": ["bot", "crm"]}]);
    let mut edge = Edge::with(&policy, |mut settings| {
        settings.plugin()["vm_config"]["code"]["local"]["filename"] = json!(file);
        settings
    })
    .await;
    // Held, half of it forged already.
    let forged = Delivery::message("wamid.forged", "forged");
    let (first, second) = forged.body.split_at(100);
    let mut held = Raw::connect(edge.envoy.address()).await;
    let length = format!("Connection: close\r\nContent-Length: {}\r\n", forged.body.len());
    held.write([head(&forged, PATH, &length).as_bytes(), first].concat()).await;
    edge.counted("http.webhooks.downstream_rq_active", 1).await;
    // The answer to the call to crm kills the filter.
    let deadly = Delivery::batch(&[("wamid.1", "image")], SECRET);
    let answer = edge.post(&deadly).await;
    assert_eq!(answer.status, 503, "what was on its way when the filter died");
    edge.envoy.logged("unreachable").await;
    held.try_write(second).await;
    let answer = held.rest().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
    edge.bot.next().await;
    assert!(edge.bot.rest().is_empty(), "the forgery went on");
    // Envoy starts it anew; until then, 503.
    let start = Instant::now();
    loop {
        let status = edge.post(&Delivery::message("wamid.A2", "forged")).await.status;
        if status == 401 {
            break;
        }
        assert_eq!(status, 503);
        assert!(start.elapsed().as_secs() < 10, "it never came back");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(edge.post(&message("wamid.A3")).await.status, 200);
    assert!(edge.bot.rest().len() == 1);
}

/// A module in which an exported function is replaced by one that traps.
fn trap_in(module: &[u8], export: &str) -> Vec<u8> {
    use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
    use wasm_encoder::{CodeSection, Function, Module, RawSection};
    use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

    let mut index = None;
    let mut imported = 0;
    for payload in Parser::new(0).parse_all(module) {
        match payload.expect("the filter is well-formed") {
            Payload::ImportSection(section) => {
                let imports = section.into_imports().map(|import| import.expect("well-formed").ty);
                imported = imports.filter(|ty| matches!(ty, TypeRef::Func(_))).count() as u32;
            }
            Payload::ExportSection(section) => {
                let found = section.into_iter().map(|found| found.expect("well-formed"));
                index = found.into_iter().find(|found| found.name == export && found.kind == ExternalKind::Func);
            }
            _ => {}
        }
    }
    let target = index.expect("the filter exports it").index - imported;
    let mut changed = Module::new();
    let mut code = CodeSection::new();
    let mut number = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.expect("well-formed");
        match &payload {
            Payload::CodeSectionEntry(body) => {
                if number == target {
                    let mut function = Function::new([]);
                    function.instructions().unreachable().end();
                    code.function(&function);
                } else {
                    RoundtripReencoder.parse_function_body(&mut code, body.clone()).expect("well-formed");
                }
                number += 1;
                if number == code_count(module) {
                    changed.section(&code);
                }
            }
            _ => {
                if let Some((id, range)) = payload.as_section()
                    && id != 10
                {
                    changed.section(&RawSection { id, data: &module[range.start as usize..range.end as usize] });
                }
            }
        }
    }
    changed.finish()
}

fn code_count(module: &[u8]) -> u32 {
    wasmparser::Parser::new(0)
        .parse_all(module)
        .find_map(|payload| match payload.ok()? {
            wasmparser::Payload::CodeSectionStart { count, .. } => Some(count),
            _ => None,
        })
        .expect("the filter has code")
}
