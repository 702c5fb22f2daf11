//! nginx, with a receiver written for one of its script modules.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use hookgate_tests::server;

use crate::delivery::{PATH, SECRET};
use crate::peers::Peer;

/// What the receiver is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// nginx's own JavaScript, njs.
    Js,
    Lua,
}

impl Script {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Js => "nginx with njs",
            Self::Lua => "nginx with Lua",
        }
    }

    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Js => ("hook.js", include_str!("../peers/hook.js")),
            Self::Lua => ("hook.lua", include_str!("../peers/hook.lua")),
        }
    }

    /// The modules that nginx loads for it, in this order.
    fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Js => &["ngx_http_js_module"],
            Self::Lua => &["ndk_http_module", "ngx_http_lua_module"],
        }
    }
}

/// Starts one that passes on what is genuine to `target`, or answers by itself. It is one process.
pub(crate) fn start(script: Script, target: Option<SocketAddr>, scratch: &Path) -> anyhow::Result<Peer> {
    // nginx cannot tell which port it was given.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let folder = scratch.join(format!("nginx-{}", address.port()));
    fs::create_dir(&folder)?;
    let (name, text) = script.file();
    fs::write(folder.join(name), text)?;
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(script, address, target, &folder)?)?;
    let mut command = Command::new(server("nginx"));
    command.arg("-c").arg(file).args(["-e", "stderr"]).env("WEBHOOK_SECRET", SECRET);
    Peer::start_at(&mut command, address)
}

fn configuration(
    script: Script,
    address: SocketAddr,
    target: Option<SocketAddr>,
    folder: &Path,
) -> anyhow::Result<String> {
    let folder = folder.display();
    let mut text = String::new();
    for module in script.modules() {
        writeln!(text, "load_module modules/{module}.so;")?;
    }
    let (preparing, receiving) = match script {
        Script::Js => (format!("js_import hook from {folder}/hook.js;"), "js_content hook.receive;"),
        Script::Lua => {
            (format!("lua_package_path '{folder}/?.lua;;';"), "content_by_lua_block { require('hook').receive() }")
        }
    };
    let (upstream, next) = match target {
        None => (String::new(), "return 200;"),
        Some(target) => (
            format!("upstream service {{ server {target}; keepalive 16; }}"),
            "proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection '';",
        ),
    };
    write!(
        text,
        "daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
env WEBHOOK_SECRET;
events {{}}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 5m;
    client_body_buffer_size 5m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    {preparing}
    {upstream}
    server {{
        listen {address};
        location = {PATH} {{ {receiving} }}
        location @next {{ {next} }}
    }}
}}
"
    )?;
    Ok(text)
}
