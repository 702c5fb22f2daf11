//! The shipped Spin app on wasmtime's own `wasi:http`, a process of its own for the bench to send to.
//! `hookgate-bench-spin POLICY SECRET TARGET`.

use anyhow::Context;
use hookgate_tests::spin::{App, Runtime};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("POLICY SECRET TARGET");
    let (policy, secret, target) = (next()?, next()?, next()?);
    let app = App::shipped()
        .variable("policy", policy)
        .variable("kapso_secret", "unused")
        .secret("SECRET", &secret)
        .allow(&target);
    tokio::runtime::Runtime::new()?.block_on(async {
        let running = Runtime::Wasmtime.run(&app).await;
        println!("listening on http://{}", running.address());
        std::future::pending().await
    })
}
