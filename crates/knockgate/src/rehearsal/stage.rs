//! A gateway, an owner, a stranger and the hosts behind, in namespaces of their own.
//!
//! ```text
//! owner ──┐
//!         ├── wire (a bridge) ── outside [gateway] inside ── [hosts behind]
//! stranger┘
//! ```

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use knockgate_compiler::net::{Endpoint, Family, Prefix, Transport};
use knockgate_compiler::policy::{Host, Policy, Service};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use super::RehearsalError;
use super::capture::Capture;
use crate::lab::{Namespace, Plug, connect};

/// The gateway's Ethernet address outside, by which packets for it are told.
const MAC: [u8; 6] = [0x02, 0x6b, 0x67, 0, 0, 1];

/// Addresses that an actor may use up, one an act.
const ADDRESSES: u8 = 80;

/// How long a client waits for an answer. No packet is sent again in that time (RFC 6298).
const ANSWER: Duration = Duration::from_millis(400);

/// Everything that takes part.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) gateway: Namespace,
    pub(super) owner: Namespace,
    pub(super) stranger: Namespace,
    wire: Namespace,
    _behind: Namespace,
    net: Ipv4Addr,
    pub(super) capture: Capture,
}

/// Networks for documentation and tests (RFC 5737, RFC 6890): nobody's.
const NETWORKS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(198, 51, 100, 0),
    Ipv4Addr::new(203, 0, 113, 0),
    Ipv4Addr::new(192, 0, 2, 0),
    Ipv4Addr::new(198, 18, 77, 0),
];
/// The same for IPv6 (RFC 3849).
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x6b67, 0, 0, 0, 0, 0);

fn v6(host: u16) -> Ipv6Addr {
    Ipv6Addr::from_bits(V6.to_bits() | u128::from(host))
}

impl Stage {
    /// Built for `policy`, with something to connect to at each of its services.
    pub(super) fn build(policy: &Policy) -> Result<Self, RehearsalError> {
        let net = free_network(policy).ok_or(RehearsalError::NoFreeNetwork)?;
        let outside = policy.outside()[0].as_str().replace('*', "0");
        let (gateway, owner) = (Namespace::new()?, Namespace::new()?);
        let (stranger, wire, behind) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        let address = |host: u8| Ipv4Addr::from_bits(net.to_bits() | u32::from(host));
        let (gateway4, gateway6) = (format!("{}/24", address(1)), format!("{}/64", v6(1)));
        let to_wire = |namespace, interface, addresses, port| {
            let one = Plug { namespace, interface, addresses };
            connect(one, Plug { namespace: &wire, interface: port, addresses: &[] })
        };
        let addresses = [gateway4.as_str(), gateway6.as_str()];
        to_wire(&gateway, outside.as_str(), &addresses, "gateway")?;
        to_wire(&owner, "eth0", &[], "owner")?;
        to_wire(&stranger, "eth0", &[], "stranger")?;
        wire.ip(&["link", "add", "switch", "type", "bridge"])?;
        for port in ["gateway", "owner", "stranger"] {
            wire.ip(&["link", "set", port, "master", "switch"])?;
        }
        wire.ip(&["address", "add", &format!("{}/24", address(MARKER)), "dev", "switch"])?;
        wire.ip(&["link", "set", "switch", "up"])?;
        let mac = MAC.map(|byte| format!("{byte:02x}")).join(":");
        gateway.ip(&["link", "set", &outside, "address", &mac])?;
        for (first, actor) in [(OWNER, &owner), (STRANGER, &stranger)] {
            let lines: String = (first..first + ADDRESSES)
                .map(|host| {
                    let (v4, v6) = (address(host), v6(host.into()));
                    format!("address add {v4}/24 dev eth0\naddress add {v6}/64 dev eth0 nodad\n")
                })
                .collect();
            let mut batch = std::process::Command::new("ip");
            batch.args(["-batch", "-"]);
            actor.output(batch, &lines)?;
            actor.ip(&["route", "add", "default", "via", &address(1).to_string()])?;
            actor.ip(&["-6", "route", "add", "default", "via", &v6(1).to_string()])?;
        }
        for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            gateway.set(key, "1")?;
        }
        house(policy, &gateway, &behind)?;
        listen(policy, &gateway, &behind)?;
        let addresses = vec![address(1).into(), v6(1).into()];
        let capture = Capture::start(&gateway, MAC, &outside, addresses)?;
        Ok(Self { gateway, owner, stranger, wire, _behind: behind, net, capture })
    }

    fn address(&self, family: Family, host: u8) -> IpAddr {
        match family {
            Family::V4 => self.v4(host).into(),
            Family::V6 => v6(host.into()).into(),
        }
    }

    fn v4(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.net.to_bits() | u32::from(host))
    }

    /// The gateway's own address outside.
    pub(super) fn gateway_address(&self, family: Family) -> IpAddr {
        self.address(family, 1)
    }

    /// The gateway's own IPv4 address outside.
    pub(super) fn gateway_v4(&self) -> Ipv4Addr {
        self.v4(1)
    }

    /// An address of the owner's.
    pub(super) fn owner_address(&self, family: Family, number: u8) -> IpAddr {
        self.address(family, OWNER + number % ADDRESSES)
    }

    /// An IPv4 address of the stranger's.
    pub(super) fn stranger_v4(&self, number: u8) -> Ipv4Addr {
        self.v4(STRANGER + number % ADDRESSES)
    }

    /// Where a client reaches `service`.
    pub(super) fn reach(&self, service: &Service, family: Family) -> Option<SocketAddr> {
        let address = match service.host {
            Host::Gateway => self.gateway_address(family),
            Host::Via(target, _) => (Family::of(target) == family).then(|| self.gateway_address(family))?,
            Host::At(address) => (Family::of(address) == family).then_some(address)?,
        };
        Some(SocketAddr::new(address, service.endpoint.port.number()))
    }

    /// Sends the packet that tells that all before it has arrived, and returns its source.
    pub(super) fn mark(&self) -> Result<IpAddr, RehearsalError> {
        let (from, to) = (self.v4(MARKER), self.gateway_v4());
        self.wire
            .run(move || UdpSocket::bind((from, 0))?.send_to(&[], (to, 9)))
            .map_err(RehearsalError::Io)?;
        Ok(from.into())
    }
}

/// Hosts of the outside network: marker, owner's and stranger's first.
const MARKER: u8 = 2;
const OWNER: u8 = 10;
const STRANGER: u8 = 100;

/// A network where nobody has a privilege by the policy, and no host is.
fn free_network(policy: &Policy) -> Option<Ipv4Addr> {
    let services = policy.doors().iter().flat_map(|door| &door.services);
    let hosts = services.filter_map(|service| service.behind().map(|(address, _)| Prefix::host(address)));
    let taken: Vec<Prefix> = policy.allow().iter().chain(policy.exempt()).copied().chain(hosts).collect();
    NETWORKS.into_iter().find(|net| {
        let net = Prefix::holding((*net).into(), 24).expect("an IPv4 address has 24 bits");
        !taken.iter().any(|prefix| prefix.covers(net) || net.covers(*prefix))
    })
}

/// Gives the hosts behind their addresses, and the gateway a way to them.
fn house(policy: &Policy, gateway: &Namespace, behind: &Namespace) -> Result<(), RehearsalError> {
    connect(
        Plug { namespace: gateway, interface: "kg-inside", addresses: &["169.254.107.1/30", "fe80::1/64"] },
        Plug { namespace: behind, interface: "eth0", addresses: &["169.254.107.2/30", "fe80::2/64"] },
    )?;
    behind.ip(&["route", "add", "default", "via", "169.254.107.1"])?;
    behind.ip(&["-6", "route", "add", "default", "via", "fe80::1", "dev", "eth0"])?;
    let mut hosts: Vec<IpAddr> = policy
        .doors()
        .iter()
        .flat_map(|door| &door.services)
        .filter_map(|service| service.behind().map(|(address, _)| address))
        .collect();
    hosts.sort();
    hosts.dedup();
    for host in hosts {
        let host = Prefix::host(host);
        let (family, prefix) = match host.family() {
            Family::V4 => ("-4", format!("{host}/32")),
            Family::V6 => ("-6", format!("{host}/128")),
        };
        behind.ip(&[family, "address", "add", &prefix, "dev", "lo"])?;
        let via = if family == "-4" { "169.254.107.2" } else { "fe80::2" };
        gateway.ip(&[family, "route", "add", &prefix, "via", via, "dev", "kg-inside"])?;
    }
    Ok(())
}

/// Starts an answer at every service and public port, each once.
fn listen(policy: &Policy, gateway: &Namespace, behind: &Namespace) -> Result<(), RehearsalError> {
    let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let mut places: Vec<(bool, IpAddr, Endpoint)> =
        policy.public().iter().map(|endpoint| (false, any, *endpoint)).collect();
    for service in policy.doors().iter().flat_map(|door| &door.services) {
        places.push(match service.behind() {
            Some((address, endpoint)) => (true, address, endpoint),
            None => (false, any, service.endpoint),
        });
    }
    places.sort();
    places.dedup();
    for (is_behind, address, endpoint) in places {
        let at = SocketAddr::new(address, endpoint.port.number());
        let host = if is_behind { behind } else { gateway };
        host.run(move || match endpoint.transport {
            Transport::Tcp => TcpListener::bind(at).map(|listener| {
                thread::spawn(move || answer_connections(&listener));
            }),
            Transport::Udp => UdpSocket::bind(at).map(|socket| {
                thread::spawn(move || answer_datagrams(&socket));
            }),
        })
        .map_err(|error| RehearsalError::NoListener(at, error))?;
    }
    Ok(())
}

fn answer_connections(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            let (mut stream, mut byte) = (stream, [0]);
            while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
        });
    }
}

fn answer_datagrams(socket: &UdpSocket) {
    let mut datagram = [0; 64];
    while let Ok((len, from)) = socket.recv_from(&mut datagram) {
        // An answer that cannot be sent is for the client to miss.
        drop(socket.send_to(&datagram[..len], from));
    }
}

/// A client's side of what was opened to it.
#[derive(Debug)]
pub(super) struct Session {
    socket: OwnedFd,
}

/// Connects from an address of `actor`'s, and has a byte answered.
pub(super) fn open(
    actor: &Namespace,
    from: IpAddr,
    to: SocketAddr,
    transport: Transport,
) -> Result<Option<Session>, RehearsalError> {
    let session = actor.run(move || start(from, to, transport)).map_err(RehearsalError::Socket)?;
    match session {
        Some(session) if session.is_answered()? => Ok(Some(session)),
        _ => Ok(None),
    }
}

fn start(from: IpAddr, to: SocketAddr, transport: Transport) -> rustix::io::Result<Option<Session>> {
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::DGRAM,
    };
    let socket = socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(from, 0))?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(_) => return Ok(None),
    }
    let session = Session { socket };
    let connected = session.waits_for(PollFlags::OUT)? && sockopt::socket_error(&session.socket)?.is_ok();
    Ok(connected.then_some(session))
}

impl Session {
    /// Whether a byte comes back.
    pub(super) fn is_answered(&self) -> Result<bool, RehearsalError> {
        let answered = || -> rustix::io::Result<bool> {
            if rustix::io::write(&self.socket, b"?").is_err() || !self.waits_for(PollFlags::IN)? {
                return Ok(false);
            }
            let mut byte = [0; 1];
            Ok(matches!(rustix::io::read(&self.socket, &mut byte), Ok(1)))
        };
        answered().map_err(RehearsalError::Socket)
    }

    fn waits_for(&self, flags: PollFlags) -> rustix::io::Result<bool> {
        let timeout = Timespec::try_from(ANSWER).map_err(|_| rustix::io::Errno::INVAL)?;
        Ok(poll(&mut [PollFd::new(&self.socket, flags)], Some(&timeout))? > 0)
    }
}
