//! `hookgate setup-links`, with the bodies and paths of the documentation's own examples.

use hookgate_tests::kapso::Kapso;
use serde_json::json;

use super::hookgate;

const CUSTOMER: &str = "3f2e1d0c-9b8a-7f6e-5d4c-3b2a1f0e9d8c";

/// "Create and configure" in the documentation of setup links.
#[tokio::test(flavor = "multi_thread")]
async fn the_documentations_link_is_created() {
    let kapso = Kapso::start().await;
    let mut create = vec!["setup-links", "create", "--customer-id", CUSTOMER, "--billing-mode", "partner_managed"];
    create.extend(["--success-redirect-url", "https://your-app.com/whatsapp/success"]);
    create.extend(["--failure-redirect-url", "https://your-app.com/whatsapp/failed"]);
    let ran = hookgate(&kapso, &create);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(ran.out.trim_end(), kapso.links()[0]["url"], "the URL is all that a pipe gets");
    let [asked] = kapso.asked().try_into().unwrap();
    assert_eq!(asked.line(), format!("POST /platform/v1/customers/{CUSTOMER}/setup_links"));
    assert_eq!(
        asked.body,
        json!({"setup_link": {
            "success_redirect_url": "https://your-app.com/whatsapp/success",
            "failure_redirect_url": "https://your-app.com/whatsapp/failed",
            "meta_billing_mode": "partner_managed",
        }})
    );
}

/// "Create setup link" in the reference: nothing but defaults.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_needs_nothing_but_a_customer() {
    let kapso = Kapso::start().await;
    let ran = hookgate(&kapso, &["setup-links", "create", "--customer-id", CUSTOMER, "--json"]);
    assert_eq!((ran.status, &ran.lines()[0]["token"]), (0, &json!("browser-token")), "{}", ran.err);
    assert_eq!(kapso.asked()[0].body, json!({"setup_link": {}}));

    let ran = hookgate(&kapso, &["setup-links", "create", "--customer-id", CUSTOMER, "--legacy"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(kapso.asked()[0].line(), format!("POST /api/v1/customers/{CUSTOMER}/setup_links"));
    assert_eq!(hookgate(&kapso, &["setup-links", "create"]).status, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_field_is_sent() {
    let kapso = Kapso::start().await;
    let mut create = vec!["setup-links", "create", "--customer-id", CUSTOMER];
    create.extend([
        "--connection-type",
        "dedicated",
        "--language",
        "es",
        "--allowed-origin",
        "https://app.example.com",
    ]);
    create.extend(["--theme", "primary_color=#3b82f6", "--theme", "text_color=#0f172a"]);
    create.extend(["--provision-phone-number", "--area-code", "415", "--country", "US,CL"]);
    let ran = hookgate(&kapso, &create);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert_eq!(
        kapso.asked()[0].body,
        json!({"setup_link": {
            "allowed_connection_types": ["dedicated"],
            "allowed_origins": ["https://app.example.com"],
            "language": "es",
            "theme_config": {"primary_color": "#3b82f6", "text_color": "#0f172a"},
            "provision_phone_number": true,
            "phone_number_area_code": "415",
            "phone_number_country_isos": ["US", "CL"],
        }})
    );
    let reconnect = ["setup-links", "create", "--customer-id", CUSTOMER, "--reconnect-phone-number", "15551234567"];
    assert_eq!(hookgate(&kapso, &reconnect).status, 0);
    assert_eq!(kapso.asked()[0].body, json!({"setup_link": {"reconnect_phone_number": "15551234567"}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kapso_would_refuse_is_never_sent() {
    let kapso = Kapso::start().await;
    for (more, why) in [
        (["--theme", "primary=#3b82f6"], "no colour is called"),
        (["--theme", "text_color=blue"], "six hexadecimal digits"),
        (["--allowed-origin", "http://app.example.com"], "HTTPS origin"),
        (["--success-redirect-url", "success"], "redirect URL"),
        (["--country", "USA"], "provision-phone-number"),
        (["--language", "de"], "en, es, pt, hi, id, ar"),
    ] {
        let mut create = vec!["setup-links", "create", "--customer-id", CUSTOMER];
        create.extend(more);
        let ran = hookgate(&kapso, &create);
        assert!(ran.status == 2 && ran.err.contains(why), "{why}\n{}", ran.err);
    }
    assert_eq!(kapso.asked(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_listed_and_revoked_after_a_yes() {
    let kapso = Kapso::start().await;
    kapso.with_pages_of(1);
    let used = kapso.has_link(CUSTOMER, json!({"status": "used"}));
    let active = kapso.has_link(CUSTOMER, json!({}));
    kapso.has_link("another", json!({}));
    let list = ["setup-links", "list", "--customer-id", CUSTOMER, "--json"];
    let ids: Vec<_> = hookgate(&kapso, &list).lines().iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, [active.as_str(), used.as_str()]);
    let mut only = list.to_vec();
    only.extend(["--status", "active"]);
    assert_eq!(hookgate(&kapso, &only).lines().len(), 1);
    assert!(kapso.asked().last().unwrap().query.starts_with("status=active&"));
    assert!(hookgate(&kapso, &list[..4]).out.contains("https://app.kapso.ai/whatsapp/setup/"));
    kapso.asked();

    let revoke = ["setup-links", "revoke", &active, "--customer-id", CUSTOMER];
    let ran = hookgate(&kapso, &revoke);
    assert!(ran.status == 1 && ran.err.contains("--yes"), "{}", ran.err);
    assert_eq!(kapso.asked(), []);
    let mut yes = revoke.to_vec();
    yes.push("--yes");
    assert_eq!(hookgate(&kapso, &yes).status, 0);
    let [asked] = kapso.asked().try_into().unwrap();
    assert_eq!(asked.line(), format!("PATCH /platform/v1/customers/{CUSTOMER}/setup_links/{active}"));
    assert_eq!(asked.body, json!({"setup_link": {"status": "revoked"}}));
    assert_eq!(kapso.links()[1]["status"], "revoked");
}
