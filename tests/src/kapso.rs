//! Kapso's Platform API as its reference describes it, kept in memory: webhooks, their deliveries, setup links; the legacy
//! paths too. What must go wrong goes wrong by script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The key that the server takes.
pub const KEY: &str = "kapso_test_key_5d41402abc4b";

/// What becomes of a request instead of its answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// None: the request is answered.
    Pass,
    /// This status with this body.
    Status(u16, String),
    /// This status with `Retry-After`.
    RetryAfter(u16, String),
    /// This status with `Location`.
    Redirect(u16, String),
    /// No answer ever.
    Hang,
    /// 200, and a body that is cut off within its JSON.
    BrokenJson,
    /// The request is carried out, and the answer is this status without a body.
    Silent(u16),
}

/// A request that came.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its query, if any.
    pub query: String,
    /// Its body; null if it has none.
    pub body: Value,
    /// Its user agent.
    pub user_agent: String,
}

impl Asked {
    /// `METHOD PATH`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// A server that runs until dropped.
pub struct Kapso {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    work: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    webhooks: Vec<Map<String, Value>>,
    links: Vec<Map<String, Value>>,
    deliveries: Vec<Value>,
    faults: VecDeque<Fault>,
    asked: Vec<Asked>,
    page_size: Option<usize>,
    uncounted: bool,
    silent_changes: bool,
    made: u32,
}

impl Kapso {
    /// An empty project.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let service = Router::new().fallback(answer).with_state(shared.clone());
        let work = tokio::spawn(async move { axum::serve(socket, service).await.expect("it serves") });
        Kapso { address, shared, work }
    }

    /// Where it is, for `--api-url` and `KAPSO_API_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Registers a webhook: what `fields` say, over an active one of kind kapso.
    pub fn has_webhook(&self, fields: Value) -> String {
        let mut shared = self.shared();
        let fields = object(fields);
        shared.make_webhook(fields)
    }

    /// Has a setup link of this customer.
    pub fn has_link(&self, customer_id: &str, fields: Value) -> String {
        self.shared().make_link(customer_id, object(fields))
    }

    /// Has a delivery in its log, as the youngest.
    pub fn has_delivery(&self, record: Value) {
        self.shared().deliveries.insert(0, record);
    }

    /// Changes a delivery in its log.
    pub fn delivery_becomes(&self, id: &str, record: Value) {
        let mut shared = self.shared();
        shared
            .deliveries
            .iter_mut()
            .filter(|delivery| delivery["id"] == id)
            .for_each(|delivery| *delivery = record.clone());
    }

    /// The next requests end so, one after the other.
    pub fn fails(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared().faults.extend(faults);
    }

    /// No page has more than this many items.
    pub fn with_pages_of(&self, items: usize) {
        self.shared().page_size = Some(items);
    }

    /// Lists do not say how many pages they have.
    pub fn with_uncounted_pages(&self) {
        self.shared().uncounted = true;
    }

    /// Changes are answered 204 without a body.
    pub fn with_silent_changes(&self) {
        self.shared().silent_changes = true;
    }

    /// What was asked until now, and forgets it.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared().asked)
    }

    /// The webhooks that are registered, secrets and all.
    pub fn webhooks(&self) -> Vec<Value> {
        self.shared().webhooks.iter().cloned().map(Value::Object).collect()
    }

    /// The setup links that there are.
    pub fn links(&self) -> Vec<Value> {
        self.shared().links.iter().cloned().map(Value::Object).collect()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("nobody panicked")
    }
}

impl Drop for Kapso {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn answer(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        user_agent: header("user-agent"),
    };
    let fault = {
        let mut shared = shared.lock().expect("nobody panicked");
        shared.asked.push(asked.clone());
        shared.faults.pop_front()
    };
    let with = |status: u16, name: &str, value: &str| {
        Response::builder().status(status).header(name, value).body(Body::from(r#"{"error":"Try later"}"#))
    };
    match fault {
        Some(Fault::Status(status, body)) => respond(status, Some(body)),
        Some(Fault::RetryAfter(status, after)) => with(status, "retry-after", &after).expect("a response"),
        Some(Fault::Redirect(status, to)) => with(status, "location", &to).expect("a response"),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::BrokenJson) => respond(200, Some(r#"{"data":[{"id":"9e8d"#.into())),
        fault => {
            let (status, body) = if header("x-api-key") == KEY {
                shared.lock().expect("nobody panicked").carry_out(&head.method, &asked)
            } else {
                (StatusCode::UNAUTHORIZED, error("Invalid API key"))
            };
            match fault {
                Some(Fault::Silent(status)) => respond(status, None),
                _ if status == StatusCode::NO_CONTENT => respond(204, None),
                _ => respond(status.as_u16(), Some(body.to_string())),
            }
        }
    }
}

fn respond(status: u16, body: Option<String>) -> Response {
    let response = Response::builder().status(status);
    match body {
        Some(body) => response.header("content-type", "application/json").body(Body::from(body)),
        None => response.body(Body::empty()),
    }
    .expect("a response")
}

type Answered = (StatusCode, Value);

fn error(message: &str) -> Value {
    json!({"error": message})
}

fn missing(what: &str) -> Answered {
    (StatusCode::NOT_FOUND, error(&format!("{what} not found")))
}

fn refused(message: &str) -> Answered {
    (StatusCode::UNPROCESSABLE_ENTITY, error(message))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// What Kapso accepts in a webhook's `events`.
fn is_event(name: &str) -> bool {
    hookgate::kapso::catalogue::find(name).is_some()
}

impl Shared {
    fn carry_out(&mut self, method: &Method, asked: &Asked) -> Answered {
        let path: Vec<_> = asked.path.split('/').skip(1).collect();
        let (legacy, path) = match path.as_slice() {
            ["platform", "v1", rest @ ..] => (false, rest),
            ["api", "v1", rest @ ..] => (true, rest),
            _ => return missing("Page"),
        };
        match (legacy, path) {
            (false, ["whatsapp", "webhooks", rest @ ..]) => self.webhook_call(method, asked, None, rest),
            (false, ["whatsapp", "phone_numbers", number, "webhooks", rest @ ..]) => {
                self.webhook_call(method, asked, Some(("phone_number_id", number)), rest)
            }
            (true, ["whatsapp_webhooks", rest @ ..]) => self.webhook_call(method, asked, None, rest),
            (true, ["whatsapp_configs", config, "whatsapp_webhooks", rest @ ..]) => {
                self.webhook_call(method, asked, Some(("whatsapp_config_id", config)), rest)
            }
            (_, ["customers", customer, "setup_links", rest @ ..]) => self.link_call(method, asked, customer, rest),
            (false, ["webhook_deliveries"]) if method == Method::GET => self.log(&asked.query),
            _ => missing("Page"),
        }
    }

    fn webhook_call(&mut self, method: &Method, asked: &Asked, owner: Option<(&str, &str)>, rest: &[&str]) -> Answered {
        let owned =
            |webhook: &Map<String, Value>| owner.is_none_or(|(field, id)| webhook.get(field) == Some(&json!(id)));
        let place = |id: &str, webhooks: &[Map<String, Value>]| {
            webhooks.iter().position(|webhook| webhook["id"] == id && owned(webhook))
        };
        match (method.as_str(), rest) {
            ("GET", []) => {
                self.page(self.webhooks.iter().filter(|webhook| owned(webhook)).cloned().collect(), &asked.query)
            }
            ("POST", []) => {
                let Some(Value::Object(fields)) = asked.body.get("whatsapp_webhook") else {
                    return (StatusCode::BAD_REQUEST, error("missing_parameter: whatsapp_webhook"));
                };
                let mut fields = fields.clone();
                if let Some((field, id)) = owner {
                    fields.insert(field.into(), json!(id));
                }
                if let Some(problem) = problem(&fields, true) {
                    return refused(&problem);
                }
                let id = self.make_webhook(fields);
                let made = self.webhooks.iter().find(|webhook| webhook["id"] == id.as_str());
                (StatusCode::CREATED, json!({"data": made}))
            }
            (_, [id]) => {
                let Some(at) = place(id, &self.webhooks) else { return missing("Webhook") };
                match method.as_str() {
                    "GET" => (StatusCode::OK, json!({"data": self.webhooks[at]})),
                    "DELETE" => {
                        self.webhooks.remove(at);
                        (StatusCode::NO_CONTENT, Value::Null)
                    }
                    "PATCH" => {
                        let Some(Value::Object(fields)) = asked.body.get("whatsapp_webhook") else {
                            return (StatusCode::BAD_REQUEST, error("missing_parameter: whatsapp_webhook"));
                        };
                        if let Some(problem) = problem(fields, false) {
                            return refused(&problem);
                        }
                        self.webhooks[at].extend(fields.clone());
                        self.changed(json!({"data": self.webhooks[at]}))
                    }
                    _ => missing("Page"),
                }
            }
            ("POST", [id, "test"]) => {
                let Some(at) = place(id, &self.webhooks) else { return missing("Webhook") };
                let events = self.webhooks[at]["events"].as_array().expect("a list");
                match asked.body.get("event_type") {
                    Some(event) if !events.contains(event) => refused("Event type is not configured on this webhook"),
                    _ => (StatusCode::OK, json!({"data": {"success": true}})),
                }
            }
            _ => missing("Page"),
        }
    }

    fn link_call(&mut self, method: &Method, asked: &Asked, customer: &str, rest: &[&str]) -> Answered {
        match (method.as_str(), rest) {
            ("GET", []) => {
                let status = parameter(&asked.query, "status");
                let fits = |link: &&Map<String, Value>| {
                    link["customer_id"] == customer && status.is_none_or(|status| link["status"] == status)
                };
                self.page(self.links.iter().filter(fits).cloned().collect(), &asked.query)
            }
            ("POST", []) => {
                let Some(Value::Object(fields)) = asked.body.get("setup_link") else {
                    return (StatusCode::BAD_REQUEST, error("missing_parameter: setup_link"));
                };
                for link in
                    self.links.iter_mut().filter(|link| link["customer_id"] == customer && link["status"] == "active")
                {
                    link.insert("status".into(), json!("revoked"));
                }
                let id = self.make_link(customer, fields.clone());
                let mut made = self.links.iter().find(|link| link["id"] == id.as_str()).cloned().expect("it was made");
                made.insert("token".into(), json!("browser-token"));
                (StatusCode::CREATED, json!({"data": made}))
            }
            ("PATCH", [id]) => {
                let found = self.links.iter_mut().find(|link| link["customer_id"] == customer && link["id"] == *id);
                let Some(link) = found else { return missing("Setup link") };
                let Some(Value::Object(fields)) = asked.body.get("setup_link") else {
                    return (StatusCode::BAD_REQUEST, error("missing_parameter: setup_link"));
                };
                if fields.get("status").is_some_and(|status| status != "revoked") {
                    return refused("Status can only be changed to revoked");
                }
                link.extend(fields.clone());
                let link = link.clone();
                self.changed(json!({"data": link}))
            }
            _ => missing("Page"),
        }
    }

    fn changed(&self, answer: Value) -> Answered {
        if self.silent_changes { (StatusCode::NO_CONTENT, Value::Null) } else { (StatusCode::OK, answer) }
    }

    fn page(&self, items: Vec<Map<String, Value>>, query: &str) -> Answered {
        let number =
            |name: &str, default: usize| parameter(query, name).map_or(default, |text| text.parse().expect("a number"));
        let per_page = number("per_page", 20).min(100).min(self.page_size.unwrap_or(100));
        let page = number("page", 1);
        let mut meta = json!({"page": page, "per_page": per_page});
        if !self.uncounted {
            meta["total_pages"] = items.len().div_ceil(per_page).into();
            meta["total_count"] = items.len().into();
        }
        let data: Vec<_> = items.into_iter().skip((page - 1) * per_page).take(per_page).collect();
        (StatusCode::OK, json!({"data": data, "meta": meta}))
    }

    /// The log with cursors: the number of the first record that is not on the page.
    fn log(&self, query: &str) -> Answered {
        let wanted = |record: &&Value| {
            let same = |name: &str, field: &str| parameter(query, name).is_none_or(|value| record[field] == value);
            same("status", "status")
                && same("event", "event")
                && same("webhook_id", "webhook_id")
                && (parameter(query, "errors_only") != Some("true") || record["status"] == "failed")
        };
        let records: Vec<_> = self.deliveries.iter().filter(wanted).cloned().collect();
        let limit = parameter(query, "limit").map_or(20, |limit| limit.parse().expect("a number"));
        let limit: usize = limit.min(100).min(self.page_size.unwrap_or(100));
        let cursor = |name: &str| parameter(query, name).map(|at| at.parse::<usize>().expect("one of our cursors"));
        let start = cursor("after").or(cursor("before").map(|before| before.saturating_sub(limit))).unwrap_or(0);
        let end = records.len().min(start + limit);
        let next = (end < records.len()).then(|| end.to_string());
        let previous = (start > 0).then(|| start.to_string());
        let paging = json!({
            "cursors": {"after": end.to_string(), "before": start.to_string()},
            "next": next,
            "previous": previous,
        });
        (StatusCode::OK, json!({"data": records[start..end], "paging": paging}))
    }

    fn next_id(&mut self) -> String {
        self.made += 1;
        format!("9e8d7c6b-5a4f-3e2d-1c0b-{:012}", self.made)
    }

    fn make_webhook(&mut self, fields: Map<String, Value>) -> String {
        let id = self.next_id();
        let mut webhook = object(json!({
            "id": id,
            "kind": "kapso",
            "events": [],
            "active": true,
            "headers": {},
            "buffer_enabled": false,
            "buffer_window_seconds": null,
            "max_buffer_size": null,
            "buffer_events": [],
            "inactivity_minutes": 60,
            "payload_version": "v2",
            "project_id": "1d6ca0a3-91c2-4f13-8a94-28ddb0d5f2f3",
            "phone_number_id": null,
            "created_at": "2025-07-14T15:00:00Z",
            "updated_at": "2025-07-14T15:00:00Z",
        }));
        webhook.extend(fields);
        self.webhooks.insert(0, webhook);
        id
    }

    fn make_link(&mut self, customer: &str, fields: Map<String, Value>) -> String {
        let id = self.next_id();
        let mut link = object(json!({
            "id": id,
            "customer_id": customer,
            "status": "active",
            "created_at": "2025-01-15T10:00:00Z",
            "expires_at": "2025-02-14T10:00:00Z",
            "url": format!("https://app.kapso.ai/whatsapp/setup/aBcD{}", self.made),
            "allowed_connection_types": ["coexistence", "dedicated"],
            "meta_billing_mode": "customer_managed",
            "provision_phone_number": false,
            "phone_number_area_code": null,
            "phone_number_country_isos": ["US"],
            "whatsapp_setup_status": "pending",
            "whatsapp_setup_error": null,
        }));
        link.extend(fields);
        self.links.insert(0, link);
        id
    }
}

/// What is wrong with a webhook's fields, in the words that Kapso is known to use.
fn problem(fields: &Map<String, Value>, new: bool) -> Option<String> {
    let events: Vec<_> = fields.get("events").and_then(Value::as_array).into_iter().flatten().collect();
    let unknown: Vec<_> = events
        .iter()
        .filter_map(|event| event.as_str())
        .filter(|name| !is_event(name))
        .map(|name| format!("{name:?}"))
        .collect();
    let meta = fields.get("kind").is_some_and(|kind| kind == "meta");
    let blank = |name: &str| fields.get(name).and_then(Value::as_str).is_none_or(str::is_empty);
    if !unknown.is_empty() {
        return Some(format!("Events contains unsupported events: {}", unknown.join(", ")));
    }
    if new && blank("url") {
        return Some("Url can't be blank".into());
    }
    if new && blank("secret_key") {
        return Some("Secret key can't be blank".into());
    }
    if new && !meta && events.is_empty() {
        return Some("Events can't be blank".into());
    }
    None
}
