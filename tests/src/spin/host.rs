//! A small Spin: an app's components on wasmtime's own `wasi:http`.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};
use wasmtime::Engine;
use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower, ResourceTable};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView, default_send_request,
};

use super::keyvalue::{self, Open};
use super::manifest::{self, Manifest, Route};
use super::template::resolve;
use super::{App, Server};

/// More than a test's log can come to.
const LOG_BYTES: usize = 1 << 20;

/// A host name that means a component of the same app.
const CHAINING: &str = ".spin.internal";

/// A running app.
pub(super) struct Host {
    app: Arc<Running>,
    address: SocketAddr,
    work: JoinHandle<()>,
}

impl Host {
    pub(super) async fn start(path: &Path, app: &App) -> anyhow::Result<Self> {
        let manifest = Manifest::read(path)?;
        let value = |name: &str| {
            let given = app.variables.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.clone());
            given.or_else(|| manifest.variables.get(name)?.default.clone())
        };
        for name in manifest.variables.keys() {
            value(name).with_context(|| format!("no value for the required variable {name}"))?;
        }
        let store = app.store.open().await?;
        let log = MemoryOutputPipe::new(LOG_BYTES);
        let components = manifest.component.iter().map(|(id, component)| {
            let loaded = Loaded::new(component, &value, &store, &log).with_context(|| format!("component {id}"))?;
            Ok((id.clone(), loaded))
        });
        let components = components.collect::<anyhow::Result<_>>()?;
        let routes = manifest.trigger.http.into_iter().map(|trigger| (trigger.route, trigger.component)).collect();
        let app = Arc::new_cyclic(|this| Running { this: this.clone(), components, routes, log });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = app.clone();
        let work = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let app = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let app = app.clone();
                        async move { app.route(request, peer).await }
                    });
                    // A connection that breaks is part of the tests.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Host { app, address, work })
    }
}

impl Server for Host {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&self.app.log.contents()).into_owned()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.work.abort();
    }
}

struct Running {
    this: Weak<Running>,
    components: BTreeMap<String, Loaded>,
    routes: Vec<(Route, String)>,
    log: MemoryOutputPipe,
}

/// A component, ready to be instantiated for each request, with what it may use.
struct Loaded {
    pre: ProxyPre<State>,
    grants: Grants,
}

#[derive(Clone)]
struct Grants {
    variables: Arc<HashMap<String, String>>,
    hosts: Arc<[String]>,
    stores: Arc<[String]>,
    store: Open,
    log: MemoryOutputPipe,
}

impl Loaded {
    fn new(
        component: &manifest::Component,
        value: &dyn Fn(&str) -> Option<String>,
        store: &Open,
        log: &MemoryOutputPipe,
    ) -> anyhow::Result<Self> {
        let variables = component.variables.iter();
        let variables = variables.map(|(name, template)| Ok((name.clone(), resolve(template, value)?)));
        let hosts = component.allowed_outbound_hosts.iter().map(|template| resolve(template, value));
        let grants = Grants {
            variables: Arc::new(variables.collect::<anyhow::Result<_>>()?),
            hosts: hosts.collect::<anyhow::Result<_>>()?,
            stores: component.key_value_stores.clone().into(),
            store: store.clone(),
            log: log.clone(),
        };
        let component = compiled(component)?;
        let pre = linker().and_then(|linker| ProxyPre::new(linker.instantiate_pre(&component)?));
        Ok(Loaded { pre: pre.map_err(any)?, grants })
    }
}

/// Compiled once for all tests of a program.
fn compiled(component: &manifest::Component) -> anyhow::Result<Component> {
    static COMPILED: Mutex<BTreeMap<Vec<PathBuf>, Component>> = Mutex::new(BTreeMap::new());
    let dependencies = component.dependencies.values().map(|dependency| dependency.path.clone());
    let files: Vec<PathBuf> = [component.source.clone()].into_iter().chain(dependencies).collect();
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(component) = compiled.get(&files) {
        return Ok(component.clone());
    }
    let component = Component::new(engine(), compose(&files)?).map_err(any)?;
    compiled.insert(files, component.clone());
    Ok(component)
}

/// A component with its dependencies in it, as Spin composes them: what they import is not granted.
fn compose(files: &[PathBuf]) -> anyhow::Result<Vec<u8>> {
    let (source, dependencies) = files.split_first().context("a component has a source")?;
    let source = std::fs::read(source)?;
    if dependencies.is_empty() {
        return Ok(source);
    }
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, bytes: Vec<u8>| {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut())?;
        anyhow::Ok(graph.register_package(package)?)
    };
    let socket = register("app:component", source)?;
    let mut plugs = Vec::new();
    for (index, file) in dependencies.iter().enumerate() {
        plugs.push(register(&format!("dependency:d{index}"), std::fs::read(file)?)?);
    }
    plug(&mut graph, plugs, socket)?;
    Ok(graph.encode(EncodeOptions::default())?)
}

fn any(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(Engine::default)
}

fn linker() -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine());
    wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
    keyvalue::link(&mut linker)?;
    linker.instance("fermyon:spin/variables@2.0.0")?.func_wrap("get", |context, (name,): (String,)| {
        let value = context.data().variables.get(&name).cloned();
        Ok((value.ok_or_else(|| VariableError::Undefined(format!("no variable for {name:?}"))),))
    })?;
    Ok(linker)
}

/// `fermyon:spin/variables.error`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "cases of the interface that nothing here needs")]
enum VariableError {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    Other(String),
}

impl Running {
    /// Answers a request from outside.
    async fn route(
        &self,
        mut request: Request<hyper::body::Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<HyperOutgoingBody>, wasmtime::Error> {
        let path = request.uri().path();
        let found = self.routes.iter().find(|(route, _)| match route {
            Route::Public(route) => route.strip_suffix("/...").map_or(route == path, |prefix| path.starts_with(prefix)),
            Route::Private(_) => false,
        });
        let Some((_, component)) = found else { return Ok(plain(404)) };
        // Spin tells components this about the request.
        let told = [("spin-path-info", path.to_owned()), ("spin-client-addr", peer.to_string())];
        for (name, value) in told {
            request.headers_mut().insert(name, HeaderValue::try_from(value).expect("visible text"));
        }
        Ok(self.call(component, request).await.unwrap_or_else(|error| {
            eprintln!("{component}: {error:?}");
            plain(500)
        }))
    }

    /// Answers a request with a fresh instance of a component.
    async fn call<B>(&self, component: &str, request: Request<B>) -> anyhow::Result<Response<HyperOutgoingBody>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Error>,
    {
        let loaded = self.components.get(component).with_context(|| format!("no component {component}"))?;
        let mut store = wasmtime::Store::new(engine(), State::new(&loaded.grants, &self.this));
        let (sender, receiver) = oneshot::channel();
        let incoming = store.data_mut().http().new_incoming_request(Scheme::Http, request).map_err(any)?;
        let response_out = store.data_mut().http().new_response_outparam(sender).map_err(any)?;
        let pre = loaded.pre.clone();
        let task = tokio::spawn(async move {
            let proxy = pre.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(&mut store, incoming, response_out).await
        });
        match receiver.await {
            Ok(response) => Ok(response.map_err(|code| anyhow!("{code:?}"))?),
            Err(_) => {
                task.await?.map_err(any)?;
                Err(anyhow!("the component did not answer"))
            }
        }
    }
}

/// What one instance has.
pub(super) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outgoing: Outgoing,
    variables: Arc<HashMap<String, String>>,
    pub(super) stores: Arc<[String]>,
    pub(super) store: Open,
}

impl State {
    fn new(grants: &Grants, app: &Weak<Running>) -> Self {
        State {
            wasi: WasiCtx::builder().stderr(grants.log.clone()).build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            outgoing: Outgoing { hosts: grants.hosts.clone(), app: app.clone() },
            variables: grants.variables.clone(),
            stores: grants.stores.clone(),
            store: grants.store.clone(),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

/// Outgoing requests: to allowed hosts only, and to other components of the app without a network.
struct Outgoing {
    hosts: Arc<[String]>,
    app: Weak<Running>,
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Io), Error>;

impl WasiHttpHooks for Outgoing {
    /// So that who does not read holds up who writes, long before a megabyte.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        64 * 1024
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let allowed = self.hosts.iter().any(|host| allows(host, request.uri()));
        let app = self.app.clone();
        Box::new(async move {
            if !allowed {
                return Err(Error::HttpRequestDenied);
            }
            let none: Io = Box::new(std::future::ready(Ok(())));
            let component = request.uri().host().and_then(|host| host.strip_suffix(CHAINING)).map(str::to_owned);
            let Some(component) = component else {
                let (response, io) = default_send_request(request, options).await?;
                return Ok((response.map(BodyExt::boxed_unsync), Box::new(io) as Io));
            };
            let app = app.upgrade().ok_or(Error::DestinationNotFound)?;
            let response = app.call(&component, request).await;
            Ok((response.map_err(|error| Error::InternalError(Some(error.to_string())))?, none))
        })
    }
}

/// Whether an entry of `allowed_outbound_hosts` covers a URL.
fn allows(entry: &str, url: &Uri) -> bool {
    let Some((scheme, rest)) = entry.split_once("://") else { return false };
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
    let default = if url.scheme_str() == Some("https") { 443 } else { 80 };
    let wanted = url.host().unwrap_or_default();
    let host_fits = host == "*"
        || host == wanted
        || host.strip_prefix('*').is_some_and(|suffix| suffix.starts_with('.') && wanted.ends_with(suffix));
    let port_fits = match port {
        "*" => true,
        "" => url.port_u16().is_none_or(|port| port == default),
        port => port.parse() == Ok(url.port_u16().unwrap_or(default)),
    };
    (scheme == "*" || url.scheme_str() == Some(scheme)) && host_fits && port_fits
}

fn plain(status: u16) -> Response<HyperOutgoingBody> {
    let mut response = Response::new(Full::new(Bytes::new()).map_err(Error::from).boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    response
}
