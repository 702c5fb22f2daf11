//! A policy in force: the gate, and what carrying its decisions out needs.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use hookgate_core::Gate;

use crate::claims::{Envoy, Table};
use crate::configuration;
use crate::environment::secrets;
use crate::headers::Address;
use crate::refusals::Refusals;
use crate::stats::Stats;

/// A checked policy.
pub(crate) struct Policy {
    pub(crate) gate: Gate,
    /// One for each of the gate's targets, in the same order.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) table: Table<Envoy>,
    pub(crate) stats: Rc<Stats>,
    pub(crate) refusals: Refusals,
}

/// Where a target is.
pub(crate) struct Endpoint {
    pub(crate) target: String,
    pub(crate) cluster: String,
    pub(crate) address: Option<Address>,
    /// In nanoseconds.
    pub(crate) timeout: u64,
}

impl Policy {
    /// Reads a plugin's configuration. `stats` are the VM's.
    ///
    /// # Errors
    /// Every problem, as a line to log.
    pub(crate) fn read(configuration: &[u8], environment: &[u8], stats: Rc<Stats>) -> Result<Self, Vec<String>> {
        let document = configuration::document(configuration)
            .ok_or_else(|| vec!["the configuration is neither a google.protobuf.Struct nor text".to_owned()])?;
        let gate = Gate::compile(&document, &secrets(environment))
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let endpoints = endpoints(&gate)?;
        let remembered = gate.dedupe();
        let table = Table::new(Envoy, remembered.max_keys, remembered.window_s);
        Ok(Self { gate, endpoints, table, stats, refusals: Refusals::default() })
    }

    /// The place of a target's endpoint.
    pub(crate) fn endpoint(&self, target: &str) -> Option<usize> {
        self.endpoints.iter().position(|endpoint| endpoint.target == target)
    }
}

fn endpoints(gate: &Gate) -> Result<Vec<Endpoint>, Vec<String>> {
    let mut endpoints = Vec::new();
    let mut problems = Vec::new();
    for target in gate.targets() {
        match target.cluster() {
            Some(cluster) => endpoints.push(Endpoint {
                target: target.name().to_owned(),
                cluster: cluster.to_owned(),
                address: target.url().and_then(Address::of),
                timeout: u64::from(target.timeout_ms()) * 1_000_000,
            }),
            None => problems.push(format!(
                "{}: expected \"cluster\", the name of the Envoy cluster that the target is",
                target.pointer()
            )),
        }
    }
    if problems.is_empty() { Ok(endpoints) } else { Err(problems) }
}
