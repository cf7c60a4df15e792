//! A door as an attacker meets it.

use std::collections::BTreeSet;

use crate::net::{Endpoint, Transport};
use crate::policy::{Knock, Wrong};
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
