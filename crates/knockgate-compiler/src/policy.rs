//! Doors as their owner thinks of them.
//!
//! A front end writes a [`Draft`]; [`Draft::check`] is the only way to a [`Policy`], so a policy
//! that exists has no contradiction in it.

mod check;
mod upkeep;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use crate::diag::{At, Span};
use crate::net::{Endpoint, Interface, Port, Prefix};
use crate::time::Lifetime;

pub use upkeep::{AfterRestart, Fate, IfChanged, Listen, Log, LogTo, Metrics, UpkeepDraft};

use upkeep::Upkeep;

/// What a policy may hold at most, so that neither a compiler nor a kernel is asked too much.
pub mod limit {
    use std::ops::RangeInclusive;

    use crate::time::Lifetime;

    /// Doors in a policy.
    pub const DOORS: usize = 4096;
    /// Knocks in a sequence.
    pub const KNOCKS: usize = 16;
    /// Services behind a door.
    pub const SERVICES: usize = 64;
    /// Trap ports.
    pub const TRAPS: usize = 64;
    /// Public ports.
    pub const PUBLIC: usize = 256;
    /// Prefixes in `allow` and in `exempt`.
    pub const PREFIXES: usize = 1024;
    /// Outside interfaces.
    pub const INTERFACES: usize = 64;
    /// Bytes of a door's name.
    pub const NAME: usize = 32;
    /// How long the next knock may take.
    pub const WINDOW: RangeInclusive<Lifetime> = SECOND..=Lifetime::from_secs(600);
    /// How long a grant lasts.
    pub const GRANT: RangeInclusive<Lifetime> = SECOND..=DAY;
    /// How long a wrong knock keeps a source from making progress.
    pub const COOLDOWN: RangeInclusive<Lifetime> = SECOND..=DAY;
    /// How long a ban lasts, and how long a strike is remembered.
    pub const BAN: RangeInclusive<Lifetime> = SECOND..=DAY;
    /// Sources that may be knocking, granted or banned at a time.
    pub const SOURCES: RangeInclusive<u32> = 16..=4_000_000;
    /// Lines a second that are written of what happened.
    pub const LOG_RATE: RangeInclusive<u32> = 1..=10_000;

    const SECOND: Lifetime = Lifetime::from_secs(1);
    const DAY: Lifetime = Lifetime::from_secs(86_400);
}

/// What holds where the owner says nothing.
pub mod default {
    use std::num::NonZeroU32;

    use super::{Fate, IfChanged, LogTo, Wrong};
    use crate::time::Lifetime;

    /// How long the next knock may take.
    pub const WINDOW: Lifetime = Lifetime::from_secs(10);
    /// How long a grant lasts: long enough to connect.
    pub const GRANT: Lifetime = Lifetime::from_secs(30);
    /// What a wrong knock does.
    pub const WRONG: Wrong = Wrong::Reset;
    /// Different traps that make a ban.
    pub const STRIKES: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");
    /// How long a strike is remembered.
    pub const MEMORY: Lifetime = Lifetime::from_secs(600);
    /// The first ban.
    pub const BAN: Lifetime = Lifetime::from_secs(60);
    /// The longest ban.
    pub const BAN_MAX: Lifetime = Lifetime::from_secs(600);
    /// Sources that may be knocking, granted or banned at a time.
    pub const SOURCES: NonZeroU32 = NonZeroU32::new(65_536).expect("a power of two is not zero");
    /// What becomes of bans at a restart: who is banned gains nothing by waiting for one.
    pub const BANS_AFTER_RESTART: Fate = Fate::Keep;
    /// What becomes of grants: no connection outlives a restart, and knocking again is quick.
    pub const GRANTS_AFTER_RESTART: Fate = Fate::Drop;
    /// What is done when another program changes the rules.
    pub const IF_CHANGED: IfChanged = IfChanged::Repair;
    /// Where it is written what happened.
    pub const LOG_TO: LogTo = LogTo::System;
    /// Lines a second that are written of it.
    pub const LOG_RATE: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
}

/// One packet that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Knock {
    /// A packet to a port.
    Port(Endpoint),
    /// An ICMP echo request with so many bytes of data, as `ping -s` sends it.
    Ping(u16),
}

impl Knock {
    /// The most data an echo request carries without being fragmented on Ethernet, in either
    /// family: 1500 bytes less 40 of IPv6 header and 8 of ICMPv6.
    pub const MAX_PING: u16 = 1452;
}

impl fmt::Display for Knock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(endpoint) => endpoint.fmt(f),
            Self::Ping(data) => write!(f, "ping/{data}"),
        }
    }
}

/// A knock and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The knock.
    pub knock: Knock,
    /// How long after the knock before it; of no meaning for the first.
    pub window: Lifetime,
    /// Where it was written.
    pub span: Span,
}

/// The knocks of a door: 1 to [`limit::KNOCKS`], none twice running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence(Vec<Step>);

impl Sequence {
    /// First to last; never empty.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The knocks alone.
    pub fn knocks(&self) -> impl Iterator<Item = Knock> {
        self.0.iter().map(|step| step.knock)
    }
}

/// What a wrong knock does to a source that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// Its progress is lost.
    Reset,
    /// It makes no progress for so long.
    Cooldown(Lifetime),
    /// Nothing.
    Ignore,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset"),
            Self::Cooldown(lifetime) => write!(f, "cooldown {lifetime}"),
            Self::Ignore => f.write_str("ignore"),
        }
    }
}

/// A port that a grant opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Protocol and port, as the client connects to it.
    pub endpoint: Endpoint,
    /// Who answers.
    pub host: Host,
    /// Where it was written.
    pub span: Span,
}

/// Who answers at a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// The gateway itself.
    Gateway,
    /// A host behind, at its own address, which clients connect to.
    At(IpAddr),
    /// A host behind; clients connect to the gateway, which translates the destination.
    Via(IpAddr, Port),
}

impl Service {
    /// The port that a client sees on the gateway itself, if it does.
    pub fn on_gateway(&self) -> Option<Endpoint> {
        match self.host {
            Host::Gateway | Host::Via(..) => Some(self.endpoint),
            Host::At(_) => None,
        }
    }

    /// Where packets go that the gateway passes on, if it does.
    pub fn behind(&self) -> Option<(IpAddr, Endpoint)> {
        match self.host {
            Host::Gateway => None,
            Host::At(address) => Some((address, self.endpoint)),
            Host::Via(address, port) => Some((address, Endpoint { port, ..self.endpoint })),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ServiceDraft { endpoint: self.endpoint, host: self.host }.fmt(f)
    }
}

/// A name, what it opens, how to knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Unique; lower-case letters, digits and `-`.
    pub name: Box<str>,
    /// How to knock.
    pub sequence: Sequence,
    /// What a wrong knock does.
    pub wrong: Wrong,
    /// What a grant opens; never empty.
    pub services: Vec<Service>,
    /// How long a grant lasts.
    pub grant: Lifetime,
    /// Where it was named.
    pub span: Span,
}

/// Ports whose touch counts towards a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traps {
    /// Never empty.
    pub ports: BTreeSet<Endpoint>,
    /// Different traps that make a ban: at most as many as there are.
    pub strikes: NonZeroU32,
    /// How long a touch is remembered.
    pub memory: Lifetime,
    /// The first ban.
    pub ban: Lifetime,
    /// Bans double up to this.
    pub ban_max: Lifetime,
    /// Where they were written.
    pub span: Span,
}

/// Everything a gateway is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    outside: Vec<Interface>,
    public: BTreeSet<Endpoint>,
    allow: Vec<Prefix>,
    exempt: Vec<Prefix>,
    sources: NonZeroU32,
    early_drop: bool,
    traps: Option<Traps>,
    doors: Vec<Door>,
    upkeep: Upkeep,
}

impl Policy {
    /// Interfaces that face strangers; never empty.
    pub fn outside(&self) -> &[Interface] {
        &self.outside
    }

    /// Ports open to everybody.
    pub fn public(&self) -> &BTreeSet<Endpoint> {
        &self.public
    }

    /// Sources that need no knock, and are never banned.
    pub fn allow(&self) -> &[Prefix] {
        &self.allow
    }

    /// Sources that are never banned.
    pub fn exempt(&self) -> &[Prefix] {
        &self.exempt
    }

    /// Entries each list may have in an address family.
    pub fn sources(&self) -> NonZeroU32 {
        self.sources
    }

    /// Whether TCP connections to closed ports are dropped before the kernel tracks connections.
    pub fn early_drop(&self) -> bool {
        self.early_drop
    }

    /// The same with everything dropped where all else is decided.
    #[must_use]
    pub fn without_early_drop(self) -> Self {
        Self { early_drop: false, ..self }
    }

    /// Traps, if any.
    pub fn traps(&self) -> Option<&Traps> {
        self.traps.as_ref()
    }

    /// In the order they were written; never empty.
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// What comes back after a restart.
    pub fn after_restart(&self) -> AfterRestart {
        self.upkeep.after_restart
    }

    /// What is done when another program changes the rules.
    pub fn if_changed(&self) -> IfChanged {
        self.upkeep.if_changed
    }

    /// How it is told what happened.
    pub fn log(&self) -> &Log {
        &self.upkeep.log
    }

    /// How numbers are given to a monitoring system.
    pub fn metrics(&self) -> &Metrics {
        &self.upkeep.metrics
    }

    /// The same with no window, cooldown or grant longer than `most`, and no ban longer than
    /// `most_ban`, for a rehearsal that cannot wait as long as life does.
    #[must_use]
    pub fn hurried(mut self, most: Lifetime, most_ban: Lifetime) -> Self {
        for door in &mut self.doors {
            door.grant = door.grant.min(most);
            if let Wrong::Cooldown(lifetime) = &mut door.wrong {
                *lifetime = most.min(*lifetime);
            }
            for step in &mut door.sequence.0 {
                step.window = step.window.min(most);
            }
        }
        if let Some(traps) = &mut self.traps {
            traps.ban = traps.ban.min(most_ban);
            traps.ban_max = traps.ban_max.min(most_ban);
        }
        self
    }
}

/// A policy as it was written, before anything was held against anything else.
/// `None` and empty lists stand for what was left out.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Where the text ends: what is missing is said to be missing there.
    pub end: usize,
    /// See [`Policy::outside`].
    pub outside: Option<At<Vec<At<Interface>>>>,
    /// See [`Policy::public`].
    pub public: Vec<At<Endpoint>>,
    /// See [`Policy::allow`].
    pub allow: Vec<At<Prefix>>,
    /// See [`Policy::exempt`].
    pub exempt: Vec<At<Prefix>>,
    /// See [`Policy::sources`].
    pub sources: Option<At<u32>>,
    /// See [`Policy::early_drop`].
    pub early_drop: bool,
    /// See [`Policy::traps`].
    pub traps: Option<TrapsDraft>,
    /// What doors have that do not say otherwise.
    pub defaults: Terms,
    /// See [`Policy::doors`].
    pub doors: Vec<DoorDraft>,
    /// What is done around the rules.
    pub upkeep: UpkeepDraft,
}

/// [`Traps`] as they were written.
#[derive(Clone, Debug)]
pub struct TrapsDraft {
    /// Where they were named.
    pub span: Span,
    /// See [`Traps::ports`].
    pub ports: Vec<At<Endpoint>>,
    /// See [`Traps::strikes`].
    pub strikes: Option<At<u32>>,
    /// See [`Traps::memory`].
    pub memory: Option<At<Lifetime>>,
    /// See [`Traps::ban`].
    pub ban: Option<At<Lifetime>>,
    /// See [`Traps::ban_max`].
    pub ban_max: Option<At<Lifetime>>,
}

/// What a door can say or leave to the defaults.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// How long the next knock may take.
    pub window: Option<At<Lifetime>>,
    /// See [`Door::grant`].
    pub grant: Option<At<Lifetime>>,
    /// See [`Door::wrong`].
    pub wrong: Option<At<Wrong>>,
}

/// [`Door`] as it was written.
#[derive(Clone, Debug)]
pub struct DoorDraft {
    /// See [`Door::name`].
    pub name: At<String>,
    /// The knocks, each with its own window where it has one.
    pub knock: Option<At<Vec<At<StepDraft>>>>,
    /// See [`Door::services`].
    pub opens: Option<At<Vec<At<ServiceDraft>>>>,
    /// The rest.
    pub terms: Terms,
}

/// [`Step`] as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepDraft {
    /// See [`Step::knock`].
    pub knock: Knock,
    /// See [`Step::window`].
    pub within: Option<Lifetime>,
}

/// [`Service`] as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceDraft {
    /// See [`Service::endpoint`].
    pub endpoint: Endpoint,
    /// See [`Service::host`].
    pub host: Host,
}

impl fmt::Display for ServiceDraft {
    /// As a policy says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Gateway => self.endpoint.fmt(f),
            Host::At(address) => write!(f, "{} at {address}", self.endpoint),
            Host::Via(address, port) => {
                write!(f, "{} to {}", self.endpoint, SocketAddr::new(address, port.number()))
            }
        }
    }
}
