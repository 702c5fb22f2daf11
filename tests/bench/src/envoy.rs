//! Envoy with one worker: what a filter costs beside what one would put there instead.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use hookgate_tests::artifact;
use hookgate_tests::envoy::{Envoy, Settings, cluster};
use serde_json::{Map, Value, json};

use crate::chart::{Bar, Panel};
use crate::delivery::{PATH, SECRET, Size};
use crate::effort::Effort;
use crate::goal::Goal;
use crate::load::{Sender, memory, on_this_thread};
use crate::peers::{Duty, Peer, upstream};
use crate::report::{Findings, Measure, Table, amount, with_spread};
use crate::series::Series;
use crate::side_by_side::{self, Contender, Fared};

/// What stands in front of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    /// The body is buffered, and that is all.
    Buffer,
    /// A WebAssembly filter that does nothing, behind that.
    Noop,
    /// A WebAssembly filter that does nothing, with no wait for the body: what is answered by a route closes the connection, as every
    /// answer does that Envoy gives before the body.
    NoopAtHead,
    /// A WebAssembly filter that verifies the signature.
    Hmac,
    Hookgate,
    /// Hookgate that sends everything to two targets, which claims every event twice.
    HookgateTwice,
    /// A Lua filter that verifies the signature.
    Lua,
    /// A native server that is asked.
    ExtAuthz(Duty),
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Genuine(Filter),
    /// Hookgate, asked for a path that is no source.
    Elsewhere,
    /// Hookgate, given a malformed signature.
    Malformed,
}

/// The last one needs somebody to send to.
const CASES: [Case; 11] = [
    Case::Genuine(Filter::Buffer),
    Case::Genuine(Filter::Noop),
    Case::Genuine(Filter::Hmac),
    Case::Genuine(Filter::Hookgate),
    Case::Genuine(Filter::Lua),
    Case::Genuine(Filter::ExtAuthz(Duty::Check)),
    Case::Genuine(Filter::ExtAuthz(Duty::Decide)),
    Case::Genuine(Filter::NoopAtHead),
    Case::Elsewhere,
    Case::Malformed,
    Case::Genuine(Filter::HookgateTwice),
];

const SIZES: [Size; 2] = [Size::Message, Size::Batch];

impl Filter {
    const ALL: [Self; 9] = [
        Self::Buffer,
        Self::Noop,
        Self::Hmac,
        Self::Hookgate,
        Self::Lua,
        Self::ExtAuthz(Duty::Check),
        Self::ExtAuthz(Duty::Decide),
        Self::NoopAtHead,
        Self::HookgateTwice,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Buffer => "bare, body buffered",
            Self::Noop => "wasm filter that does nothing",
            Self::NoopAtHead => "wasm filter that does nothing, body not awaited",
            Self::Hmac => "wasm filter, HMAC only",
            Self::Hookgate => "Hookgate, complete",
            Self::HookgateTwice => "Hookgate, to two targets",
            Self::Lua => "Lua, HMAC only",
            Self::ExtAuthz(Duty::Decide) => "ext_authz to native Rust, Hookgate's decision",
            Self::ExtAuthz(_) => "ext_authz to native Rust, HMAC only",
        }
    }
}

impl Case {
    fn name(self) -> &'static str {
        match self {
            Self::Genuine(filter) => filter.name(),
            Self::Elsewhere => "Hookgate, path that is no source",
            Self::Malformed => "Hookgate, malformed signature",
        }
    }

    fn filter(self) -> Filter {
        match self {
            Self::Genuine(filter) => filter,
            Self::Elsewhere | Self::Malformed => Filter::Hookgate,
        }
    }
}

/// Measures.
pub(crate) fn run(effort: &Effort) -> anyhow::Result<Findings> {
    let scratch = tempfile::tempdir()?;
    let noop = scratch.path().join("noop.wasm");
    std::fs::write(&noop, wat::parse_str(include_str!("../peers/noop.wat"))?)?;
    let authz = [Duty::Check, Duty::Decide].into_iter().map(|duty| Ok((duty, Peer::receiver(duty, None)?)));
    let authz: Vec<_> = authz.collect::<anyhow::Result<_>>()?;
    let hmac = artifact("bench-hmac-filter.wasm");
    let mut found = Vec::new();
    let mut sizes = Vec::new();
    on_this_thread(async {
        let parts = Parts { noop: &noop, hmac: &hmac, upstream: upstream().await?, authz: &authz };
        for hop in [false, true] {
            let mut envoys = Vec::new();
            let cases = cases(hop);
            for filter in Filter::ALL.into_iter().filter(|filter| cases.contains(&Case::Genuine(*filter))) {
                envoys.push((filter, Envoy::start(parts.settings(filter, hop)?).await));
            }
            for size in SIZES {
                eprintln!("Envoy: {size}, {}, {} rounds.", hops(hop), effort.load_rounds);
                let contenders = cases.iter().map(|&case| {
                    let (_, envoy) = envoys.iter().find(|(filter, _)| *filter == case.filter())?;
                    let address = envoy.address();
                    let helper = parts.asked(case.filter()).map(Peer::id);
                    Some(Contender {
                        name: case.name().to_owned(),
                        sender: match case {
                            Case::Genuine(_) => Sender::new(address, size),
                            Case::Elsewhere => Sender::elsewhere(address, size),
                            Case::Malformed => Sender::malformed(address, size),
                        },
                        processes: [envoy.id()].into_iter().chain(helper).collect(),
                    })
                });
                let contenders = contenders.collect::<Option<Vec<_>>>().context("all of them run")?;
                let fared = side_by_side::run(effort, &contenders).await?;
                found.push(Found { hop, size, fared });
            }
            for (filter, envoy) in &envoys {
                sizes.push((*filter, hop, memory(envoy.id())?));
            }
        }
        Ok(())
    })?;
    Ok(Results { found, sizes }.findings())
}

fn cases(hop: bool) -> &'static [Case] {
    if hop { &CASES } else { &CASES[..CASES.len() - 1] }
}

fn hops(hop: bool) -> &'static str {
    if hop { "with a service behind" } else { "answered at once" }
}

/// What Hookgate decides by. Without a service behind it is Hookgate that answers: an answer of Envoy's own is nobody's.
pub(crate) fn policy(targets: &[&str]) -> Value {
    let mut inbound = json!({"name": "inbound", "when": {"event": "whatsapp.message.received"},
        "unless": {"origin": "history_sync"}});
    if targets.is_empty() {
        inbound["drop"] = json!(true);
    } else {
        inbound["to"] = json!(targets);
    }
    let targets: Map<_, _> = targets.iter().map(|name| (String::from(*name), json!({"cluster": "service"}))).collect();
    json!({
        "sources": [{"name": "whatsapp", "path": PATH, "secrets": ["SECRET"]}],
        "rules": [{"name": "tests", "when": {"test": true}, "drop": true}, inbound],
        "targets": targets,
    })
}

/// What configurations are made of.
struct Parts<'a> {
    noop: &'a Path,
    hmac: &'a Path,
    upstream: SocketAddr,
    authz: &'a [(Duty, Peer)],
}

impl Parts<'_> {
    /// Whom the filter asks.
    fn asked(&self, filter: Filter) -> Option<&Peer> {
        self.authz.iter().find(|(duty, _)| filter == Filter::ExtAuthz(*duty)).map(|(_, peer)| peer)
    }

    /// The `envoy.yaml` that people get, without its access log, and with this filter in place of Hookgate's.
    fn settings(&self, filter: Filter, hop: bool) -> anyhow::Result<Settings> {
        let clusters = [("service", self.upstream)];
        let targets: &[&str] = match (hop, filter) {
            (false, _) => &[],
            (true, Filter::HookgateTwice) => &["service", "archive"],
            (true, _) => &["service"],
        };
        let mut settings = Settings::new(&policy(targets), &[("SECRET", SECRET)], &clusters);
        if let Some(asked) = self.asked(filter) {
            let clusters = settings.at("/static_resources/clusters").as_array_mut().context("a list")?;
            clusters.push(cluster("authz", asked.address));
        }
        let manager = settings.manager();
        manager.as_object_mut().context("a manager")?.remove("access_log");
        let filters = manager["http_filters"].as_array_mut().context("filters")?;
        let hookgate = filters.remove(0);
        let buffer = json!({
            "name": "envoy.filters.http.buffer",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
                "max_request_bytes": 5 << 20},
        });
        let wasm = |name: &str, file: &Path, configuration: &str| {
            let mut filter = hookgate.clone();
            let config = &mut filter["typed_config"]["config"];
            config["name"] = json!(name);
            config["vm_config"] = json!({
                "vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": file}},
            });
            config["configuration"] =
                json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration});
            filter
        };
        let ours = match filter {
            Filter::Buffer => vec![buffer],
            Filter::Noop => vec![buffer, wasm("noop", self.noop, "")],
            Filter::NoopAtHead => vec![wasm("noop", self.noop, "")],
            Filter::Hmac => vec![wasm("hmac", self.hmac, SECRET)],
            Filter::Hookgate | Filter::HookgateTwice => vec![hookgate],
            Filter::Lua => vec![lua()],
            Filter::ExtAuthz(duty) => vec![ext_authz(duty)],
        };
        filters.splice(0..0, ours);
        let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().context("routes")?;
        let answered = json!({"status": 200});
        for route in routes {
            let is_delivery = route["match"].get("headers").is_some();
            if !hop {
                let route = route.as_object_mut().context("a route")?;
                route.remove("route");
                route.insert("direct_response".to_owned(), answered.clone());
            } else if !is_delivery {
                let route = route.as_object_mut().context("a route")?;
                route.remove("direct_response");
                route.insert("route".to_owned(), json!({"cluster": "service"}));
            }
        }
        Ok(settings)
    }
}

fn lua() -> Value {
    let code = include_str!("../peers/hmac.lua").replace("THE SECRET", SECRET);
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code}},
    })
}

fn ext_authz(duty: Duty) -> Value {
    let headers = if duty == Duty::Check { json!({"exact": "x-webhook-signature"}) } else { json!({"prefix": "x-"}) };
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "http_service": {"server_uri": {"uri": "http://authz", "cluster": "authz", "timeout": "5s"}},
            "allowed_headers": {"patterns": [headers]},
            "with_request_body": {"max_request_bytes": 5 << 20, "allow_partial_message": false, "pack_as_bytes": true},
        },
    })
}

struct Found {
    hop: bool,
    size: Size,
    /// In the order of [`CASES`].
    fared: Vec<Fared>,
}

struct Results {
    found: Vec<Found>,
    /// Resident memory in the end.
    sizes: Vec<(Filter, bool, u64)>,
}

impl Results {
    fn of(&self, case: Case, size: Size, hop: bool) -> &Fared {
        let place = CASES.iter().position(|other| *other == case).unwrap_or_default();
        let found = self.found.iter().find(|found| (found.size, found.hop) == (size, hop));
        &found.unwrap_or(&self.found[0]).fared[place]
    }

    fn cpu(&self, filter: Filter, size: Size, hop: bool) -> &Series {
        &self.of(Case::Genuine(filter), size, hop).cpu
    }

    fn findings(&self) -> Findings {
        let mut findings = Findings { goals: self.goals(), tables: vec![self.memory()], ..Findings::default() };
        for found in &self.found {
            let (size, hop) = (found.size, hops(found.hop));
            for (case, fared) in CASES.iter().zip(&found.fared) {
                findings.measures.push(Measure {
                    name: format!("Envoy: {}, {size}, {hop}", case.name()),
                    unit: "us",
                    series: fared.cpu.clone(),
                });
            }
            findings.tables.push(self.costs(found));
            findings.panels.push(Panel {
                title: format!("Envoy, {size}, {hop}"),
                unit: "µs of CPU time a request",
                bars: CASES
                    .iter()
                    .zip(&found.fared)
                    .map(|(case, fared)| Bar {
                        label: case.name().to_owned(),
                        value: fared.cpu.median(),
                        ours: matches!(case.filter(), Filter::Hookgate | Filter::HookgateTwice),
                    })
                    .collect(),
            });
        }
        findings
    }

    fn costs(&self, found: &Found) -> Table {
        let floor = &found.fared[0].cpu;
        let rows = CASES.iter().zip(&found.fared).map(|(case, fared)| {
            let quantile = |part| amount(fared.latency.value_at_quantile(part) as f64);
            vec![
                case.name().to_owned(),
                with_spread(&fared.cpu),
                with_spread(&fared.cpu.over(floor)),
                quantile(0.5),
                quantile(0.99),
            ]
        });
        Table {
            title: format!("Envoy: {}, {}", found.size, hops(found.hop)),
            about: "Microseconds of CPU time a request, of Envoy and what it asks, with one worker and 8 connections; how many \
                    times the bare one; and how long answers took at full load, in microseconds."
                .to_owned(),
            columns: ["", "CPU", "x bare", "p50", "p99"].map(str::to_owned).into(),
            rows: rows.collect(),
        }
    }

    fn memory(&self) -> Table {
        let rows = Filter::ALL.map(|filter| {
            let megabytes = |hop| {
                let size = self.sizes.iter().find(|size| (size.0, size.1) == (filter, hop));
                size.map_or_else(|| "-".to_owned(), |size| amount(size.2 as f64 / 1e6))
            };
            vec![filter.name().to_owned(), megabytes(false), megabytes(true)]
        });
        Table {
            title: "Envoy: memory".to_owned(),
            about: "Megabytes resident when the rounds were over, of the whole Envoy.".to_owned(),
            columns: ["", hops(false), hops(true)].map(str::to_owned).into(),
            rows: rows.into(),
        }
    }

    fn goals(&self) -> Vec<Goal> {
        let ratio = |size, hop, other| self.cpu(Filter::Hookgate, size, hop).over(self.cpu(other, size, hop)).median();
        let (message, batch) = (Size::Message, Size::Batch);
        let p99 = |filter, size| self.of(Case::Genuine(filter), size, false).latency.value_at_quantile(0.99) as f64;
        let [deciding, checking] = [Duty::Decide, Duty::Check].map(Filter::ExtAuthz);
        let slower = |size, other| p99(Filter::Hookgate, size) / p99(other, size);
        // What a second target adds, less what that adds to a delivery of one event.
        let second = |size| self.cpu(Filter::HookgateTwice, size, true).minus(self.cpu(Filter::Hookgate, size, true));
        let claim = second(batch).minus(&second(message)).times(1.0 / (Size::MESSAGES - 1) as f64);
        let refused = self.of(Case::Malformed, message, false).cpu.over(self.cpu(Filter::NoopAtHead, message, false));
        vec![
            Goal::at_most("T4", "Envoy, 1.1 KB: Hookgate / bare", 1.9, 1.6)
                .measured(ratio(message, false, Filter::Buffer))
                .note("with nobody to send to nothing is claimed"),
            Goal::at_most("T4", "Envoy, 1.1 KB with a service behind: Hookgate / bare", 1.35, 1.2).measured(ratio(
                message,
                true,
                Filter::Buffer,
            )),
            Goal::at_most("T5", "Envoy, 1.1 KB: Hookgate / Lua with HMAC only", 0.85, 0.75).measured(ratio(
                message,
                false,
                Filter::Lua,
            )),
            Goal::at_most("T5", "Envoy, 57 KB: Hookgate / Lua with HMAC only", 0.55, 0.42).measured(ratio(
                batch,
                false,
                Filter::Lua,
            )),
            Goal::at_most("T6", "Envoy, 1.1 KB: Hookgate / ext_authz to native Rust", 0.45, 0.36)
                .measured(ratio(message, false, deciding))
                .note("the native server decides by Hookgate's own code"),
            Goal::at_most("T6", "Envoy, 57 KB: Hookgate / ext_authz to native Rust", 1.2, 1.0)
                .measured(ratio(batch, false, deciding))
                .note("SHA-NI beats WebAssembly on large bodies"),
            Goal::at_most("T6", "Envoy, 1.1 KB: p99, Hookgate / ext_authz", 1.0, 0.5)
                .measured(slower(message, deciding)),
            Goal::at_most("T6", "Envoy, 57 KB: p99, Hookgate / ext_authz", 1.0, 0.5).measured(slower(batch, deciding)),
            Goal::at_most("T6", "Envoy, 1.1 KB: Hookgate / ext_authz with HMAC only", 0.45, 0.36)
                .measured(ratio(message, false, checking))
                .note("the target's server reads as well"),
            Goal::at_most("T6", "Envoy, 57 KB: Hookgate / ext_authz with HMAC only", 1.2, 1.0)
                .measured(ratio(batch, false, checking))
                .note("the target's server reads as well"),
            Goal::at_most("T7", "Envoy, 57 KB: Hookgate / wasm filter with HMAC only", 1.7, 1.35).measured(ratio(
                batch,
                false,
                Filter::Hmac,
            )),
            Goal::at_most("T11", "Envoy: a claim in the workers' shared data, begun and committed", 5.0, 3.0)
                .unit(" µs")
                .measured(claim.median())
                .note("a batch of 50 to a second target"),
            Goal::at_most(
                "T13",
                "Envoy, 1.1 KB: malformed signature, at the head / wasm filter that does nothing, at the head",
                1.1,
                1.0,
            )
            .measured(refused.median()),
        ]
    }
}
