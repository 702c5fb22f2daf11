//! A policy that can be replaced while it is used.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::gate::Gate;

/// A place that holds the current [`Gate`]. Clones are the same place.
///
/// A request that began with one gate ends with it: [`SharedGate::load`] once, then use what it gave.
#[derive(Clone)]
pub struct SharedGate {
    current: Arc<ArcSwap<Gate>>,
}

impl SharedGate {
    /// A place that holds `gate`.
    pub fn new(gate: Gate) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(gate)) }
    }

    /// The current gate.
    pub fn load(&self) -> Arc<Gate> {
        self.current.load_full()
    }

    /// Puts another gate in and gives back the one before.
    pub fn swap(&self, gate: Gate) -> Arc<Gate> {
        self.current.swap(Arc::new(gate))
    }
}
