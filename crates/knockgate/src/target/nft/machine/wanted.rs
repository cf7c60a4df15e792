//! The packets that a policy wants to arrive.

use std::fmt;
use std::net::IpAddr;

use knockgate_compiler::lift::Lifted;
use knockgate_compiler::net::Endpoint;
use knockgate_compiler::policy::{Host, Knock, Policy};

/// What a packet is for. Knocks and traps are told by their place, for their ports are secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// It connects to a service.
    Service {
        /// The door that opens it.
        door: String,
    },
    /// It connects to a port that is open to everybody.
    Public,
    /// It is a knock.
    Knock {
        /// The door it is for.
        door: String,
        /// Which one, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// It touches a trap.
    Trap,
}

impl Purpose {
    /// Whether the packet only has to reach our rules, which drop it.
    pub fn ends_with_us(&self) -> bool {
        matches!(self, Self::Knock { .. } | Self::Trap)
    }
}

/// A packet that is to arrive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// What for.
    pub purpose: Purpose,
    /// What it is, as it was sent.
    pub knock: Knock,
    /// Who is to have it.
    pub host: Host,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.host {
            Host::At(address) => format!(" at {address}"),
            Host::Gateway | Host::Via(..) => String::new(),
        };
        match &self.purpose {
            Purpose::Service { door } => write!(f, "{}{host} (door {door})", self.knock),
            Purpose::Public => write!(f, "{} (public)", self.knock),
            Purpose::Knock { door, number, of } => write!(f, "knock {number} of {of} of door {door}"),
            Purpose::Trap => f.write_str("a trap"),
        }
    }
}

impl Wanted {
    fn port(purpose: Purpose, endpoint: Endpoint, host: Host) -> Self {
        Self { purpose, knock: Knock::Port(endpoint), host }
    }

    /// The port, unless it is a ping.
    pub fn endpoint(&self) -> Option<Endpoint> {
        match self.knock {
            Knock::Port(endpoint) => Some(endpoint),
            Knock::Ping(_) => None,
        }
    }

    /// Where the gateway passes it on to, if it does.
    pub fn behind(&self) -> Option<(IpAddr, Endpoint)> {
        let endpoint = self.endpoint()?;
        match self.host {
            Host::Gateway => None,
            Host::At(address) => Some((address, endpoint)),
            Host::Via(address, port) => Some((address, Endpoint { port, ..endpoint })),
        }
    }
}

/// What `policy` wants to arrive.
pub fn of_policy(policy: &Policy) -> Vec<Wanted> {
    let mut wanted = vec![];
    for door in policy.doors() {
        let services = door.services.iter().map(|service| (service.endpoint, service.host));
        put_door(&mut wanted, &door.name, door.sequence.knocks(), services);
    }
    put_ports(&mut wanted, policy.public(), policy.traps().into_iter().flat_map(|traps| &traps.ports));
    wanted
}

/// The same of a program that was no policy.
pub fn of_lifted(lifted: &Lifted) -> Vec<Wanted> {
    let mut wanted = vec![];
    for door in &lifted.doors {
        let services = door.services.iter().map(|service| (service.endpoint, service.host));
        put_door(&mut wanted, &door.name, door.knocks.iter().map(|knock| knock.knock), services);
    }
    put_ports(&mut wanted, &lifted.public, lifted.traps.iter().flat_map(|traps| &traps.ports));
    wanted
}

fn put_door(
    wanted: &mut Vec<Wanted>,
    door: &str,
    knocks: impl Iterator<Item = Knock>,
    services: impl Iterator<Item = (Endpoint, Host)>,
) {
    let knocks: Vec<Knock> = knocks.collect();
    for (endpoint, host) in services {
        wanted.push(Wanted::port(Purpose::Service { door: door.to_owned() }, endpoint, host));
    }
    for (index, knock) in knocks.iter().enumerate() {
        let purpose = Purpose::Knock { door: door.to_owned(), number: index + 1, of: knocks.len() };
        wanted.push(Wanted { purpose, knock: *knock, host: Host::Gateway });
    }
}

fn put_ports<'e>(
    wanted: &mut Vec<Wanted>,
    public: impl IntoIterator<Item = &'e Endpoint>,
    traps: impl IntoIterator<Item = &'e Endpoint>,
) {
    wanted.extend(public.into_iter().map(|port| Wanted::port(Purpose::Public, *port, Host::Gateway)));
    wanted.extend(traps.into_iter().map(|port| Wanted::port(Purpose::Trap, *port, Host::Gateway)));
}
