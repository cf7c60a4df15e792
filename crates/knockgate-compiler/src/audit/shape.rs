//! A door as an attacker meets it.

use std::collections::BTreeSet;

use crate::net::{Endpoint, Transport};
use crate::policy::{Door, Knock, Policy, Wrong};
use crate::time::Lifetime;

/// A door by what it takes to open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The knocks, first to last; never empty.
    pub knocks: Vec<Beat>,
    /// What a wrong knock does.
    pub wrong: Wrong,
    /// Ports that ban who touches them.
    pub traps: Option<Trapping>,
    /// Ports whose packets are neither right knocks nor wrong ones: public services.
    pub neutral: BTreeSet<Endpoint>,
    /// Protocols whose other packets are wrong knocks.
    pub counted: Vec<Transport>,
    /// How long a grant lasts.
    pub grant: Lifetime,
}

impl Shape {
    /// A door of a policy.
    pub fn of(policy: &Policy, door: &Door) -> Self {
        let knocks = policy.doors().iter().flat_map(|door| door.sequence.knocks());
        let traps = policy.traps();
        let trap_ports = traps.iter().flat_map(|traps| &traps.ports).copied();
        let beats = door.sequence.steps().iter().map(|step| Beat { knock: step.knock, window: step.window });
        Self {
            knocks: beats.collect(),
            wrong: door.wrong,
            traps: traps.map(|traps| Trapping {
                ports: traps.ports.clone(),
                strikes: traps.strikes.get(),
                memory: traps.memory,
                ban: traps.ban,
                ban_max: traps.ban_max,
            }),
            neutral: policy.public().clone(),
            counted: counted(knocks, trap_ports),
            grant: door.grant,
        }
    }
}

impl Shape {
    /// The ports among the knocks, in their order.
    pub fn ports(&self) -> impl Iterator<Item = Endpoint> {
        self.knocks.iter().filter_map(|beat| match beat.knock {
            Knock::Port(endpoint) => Some(endpoint),
            Knock::Ping(_) => None,
        })
    }
}

/// Protocols that some knock or trap uses: only their packets can be wrong knocks.
pub(super) fn counted(
    knocks: impl Iterator<Item = Knock>,
    traps: impl Iterator<Item = Endpoint>,
) -> Vec<Transport> {
    let ports = knocks.filter_map(|knock| match knock {
        Knock::Port(endpoint) => Some(endpoint),
        Knock::Ping(_) => None,
    });
    let used: BTreeSet<Transport> = ports.chain(traps).map(|endpoint| endpoint.transport).collect();
    used.into_iter().collect()
}

/// A knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The packet.
    pub knock: Knock,
    /// How long after the knock before it; of no meaning for the first.
    pub window: Lifetime,
}

/// Traps that guard a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trapping {
    /// Never empty.
    pub ports: BTreeSet<Endpoint>,
    /// Different ones that make a ban.
    pub strikes: u32,
    /// How long a touch is remembered.
    pub memory: Lifetime,
    /// The first ban.
    pub ban: Lifetime,
    /// The longest.
    pub ban_max: Lifetime,
}
