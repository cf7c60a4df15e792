//! A gateway in a namespace: its interfaces are ours to send on and to listen at.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use knockgate_compiler::net::{Destination, Family, Packet, Payload, echo_packet_size, echo_request_type};
use knockgate_compiler::sim::Fate;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

use super::tun::Tun;
use super::wire::{self, Heard};
use super::{LabError, Namespace};

/// A sender's window is not what is tested, and no connection is to be forgotten meanwhile. The
/// kernel's answers are told apart one by one, so it must not leave any out.
const SETTINGS: [(&str, &str); 24] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/default/router_solicitations", "0"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_ratemask", "0"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv6/icmp/ratemask", "200"),
    ("netfilter/nf_conntrack_tcp_be_liberal", "1"),
    ("netfilter/nf_conntrack_tcp_loose", "1"),
    ("netfilter/nf_conntrack_tcp_timeout_close", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_syn_recv", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_fin_wait", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_close_wait", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_last_ack", "600"),
    ("netfilter/nf_conntrack_tcp_timeout_time_wait", "600"),
    ("netfilter/nf_conntrack_udp_timeout", "600"),
    ("netfilter/nf_conntrack_udp_timeout_stream", "600"),
    ("netfilter/nf_conntrack_icmp_timeout", "600"),
];

/// Keeps the kernel's own answers out of connection tracking: whether a connection is answered is
/// our business.
const MUTE: &str = "
table inet lab {
    chain out {
        type filter hook output priority raw; policy accept;
        ip dscp 46 accept
        ip6 dscp 46 accept
        notrack
    }
}
";

/// What is let in to the gateway itself is copied to these raw sockets behind the packet filter
/// (ip_input.c, `ip_local_deliver`; ip6_input.c, `ip6_input`).
const WITNESSES: [(AddressFamily, Protocol); 6] = [
    (AddressFamily::INET, ipproto::TCP),
    (AddressFamily::INET, ipproto::UDP),
    (AddressFamily::INET, ipproto::ICMP),
    (AddressFamily::INET6, ipproto::TCP),
    (AddressFamily::INET6, ipproto::UDP),
    (AddressFamily::INET6, ipproto::ICMPV6),
];

/// An interface of a gateway.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Addresses of the gateway's own on it, with the bits of their networks.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Link {
    fn batch(&self) -> String {
        let Self { name, addresses } = self;
        let mut lines = format!("link set dev {name} addrgenmode none mtu 65535\nlink set dev {name} up\n");
        for (address, bits) in addresses {
            // Without it an IPv6 address waits for duplicates to object (RFC 4862, section 5.4).
            let nodad = if address.is_ipv6() { " nodad" } else { "" };
            lines += &format!("address add {address}/{bits} dev {name}{nodad}\n");
        }
        lines
    }
}

/// What became of a packet, as far as it can be seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The gateway itself took it in; as it was sent.
    LetIn(Heard),
    /// It was passed on; as it came out.
    PassedOn(Heard),
    /// Its sender was told that it was refused.
    Refused,
    /// Nothing was seen of it. A refusal that [is not told](wire::tells) looks the same.
    Vanished,
}

impl Seen {
    /// What it means for the packet.
    pub fn fate(&self) -> Fate {
        match self {
            Self::LetIn(_) | Self::PassedOn(_) => Fate::Accept,
            Self::Refused => Fate::Reject,
            Self::Vanished => Fate::Drop,
        }
    }

    /// The packet as its receiver has it.
    pub fn received(&self) -> Option<&Heard> {
        match self {
            Self::LetIn(heard) | Self::PassedOn(heard) => Some(heard),
            Self::Refused | Self::Vanished => None,
        }
    }
}

/// A link that is up.
#[derive(Debug)]
struct Device {
    link: Link,
    index: u32,
    tun: Tun,
}

/// A gateway that runs a ruleset.
#[derive(Debug)]
pub struct Gateway {
    namespace: Namespace,
    devices: Vec<Device>,
    senders: [OwnedFd; 2],
    witnesses: Vec<OwnedFd>,
}

impl Gateway {
    /// One with these interfaces that runs `ruleset`. It reaches by the first of them whatever is in
    /// no network of its own.
    pub fn running(links: Vec<Link>, ruleset: &str) -> Result<Self, LabError> {
        let namespace = Namespace::new()?;
        for (key, value) in SETTINGS {
            namespace.set(key, value)?;
        }
        let devices = plug(&namespace, links)?;
        let senders = namespace.run(|| {
            let open = |family| raw_socket(family, ipproto::RAW);
            Ok::<_, io::Error>([open(AddressFamily::INET)?, open(AddressFamily::INET6)?])
        })?;
        let witnesses = namespace.run(|| {
            let open = |(family, protocol)| raw_socket(family, protocol);
            WITNESSES.into_iter().map(open).collect::<io::Result<Vec<_>>>()
        })?;
        let gateway = Self { namespace, devices, senders, witnesses };
        gateway.wait_until_reachable()?;
        gateway.namespace.nft(MUTE)?;
        gateway.namespace.nft(ruleset)?;
        Ok(gateway)
    }

    /// Where it is.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The kernel finishes some of what `ip` was told when it has time. While it answers no ping,
    /// it would pass on what is sent to it.
    fn wait_until_reachable(&self) -> Result<(), LabError> {
        for at in &self.devices {
            for (own, _) in &at.link.addresses {
                let local = matches!(own, IpAddr::V6(v6) if v6.is_unicast_link_local());
                let by = |device: &&Device| !local || device.index == at.index;
                for device in self.devices.iter().filter(by) {
                    self.wait_for_echo(&device.link.name, *own)?;
                }
            }
        }
        Ok(())
    }

    fn wait_for_echo(&self, interface: &str, own: IpAddr) -> Result<(), LabError> {
        let ping = ping_to(own, interface);
        let bytes = wire::request(&ping, 1, own);
        for _ in 0..1000 {
            self.send(interface, &bytes)?;
            if self.heard()?.iter().any(|heard| heard.source == own && heard.to == ping.source) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(LabError::Unreachable(own))
    }

    /// Lets the gateway receive `packet`, sent to the address `to` and known by `number`, and says
    /// what became of it.
    pub fn play(&self, packet: &Packet, number: u16, to: IpAddr) -> Result<Seen, LabError> {
        let bytes = wire::request(packet, number, to);
        drop((self.heard()?, self.let_in()?));
        self.send(&packet.interface, &bytes)?;
        let heard = self.heard()?;
        if self.let_in()?.contains(&packet.source) {
            return Ok(Seen::LetIn(Heard::of(&bytes).expect("it was just written")));
        }
        let refused = heard.iter().any(|heard| heard.refusal && !heard.answer && heard.to == packet.source);
        let passed = heard.into_iter().find(|heard| heard.source == packet.source && heard.number == number);
        Ok(match passed {
            Some(passed) => Seen::PassedOn(passed),
            None if refused => Seen::Refused,
            None => Seen::Vanished,
        })
    }

    /// Lets the gateway receive a packet by an interface of its own. It has dealt with it when this
    /// returns.
    pub fn send(&self, interface: &str, packet: &[u8]) -> Result<(), LabError> {
        Ok(self.device(interface).tun.send(packet)?)
    }

    fn device(&self, interface: &str) -> &Device {
        let found = self.devices.iter().find(|device| device.link.name == interface);
        found.expect("packets come by an interface that was asked for")
    }

    /// Everything that the gateway has sent since last asked.
    fn heard(&self) -> Result<Vec<Heard>, LabError> {
        let mut heard = vec![];
        for device in &self.devices {
            while let Some(packet) = device.tun.receive()? {
                heard.extend(Heard::of(&packet));
            }
        }
        Ok(heard)
    }

    /// Where the packets came from that the gateway itself has taken in since last asked.
    fn let_in(&self) -> Result<Vec<IpAddr>, LabError> {
        let mut sources = vec![];
        for socket in &self.witnesses {
            while let Some(source) = witnessed(socket)? {
                sources.push(source);
            }
        }
        Ok(sources)
    }

    /// Answers a packet that came by `interface`, as the host does that has received it.
    pub fn answer(&self, interface: &str, received: &Heard) -> Result<(), LabError> {
        let (packet, flags) = (received.answered(), SendFlags::empty());
        let sent = match received.source {
            IpAddr::V4(to) => {
                rustix::net::sendto(&self.senders[0], &packet, flags, &SocketAddrV4::new(to, 0))
            }
            IpAddr::V6(to) => {
                let scope = if to.is_unicast_link_local() { self.device(interface).index } else { 0 };
                rustix::net::sendto(&self.senders[1], &packet, flags, &SocketAddrV6::new(to, 0, 0, scope))
            }
        };
        sent.map_err(io::Error::from)?;
        Ok(())
    }
}

fn plug(namespace: &Namespace, links: Vec<Link>) -> Result<Vec<Device>, LabError> {
    let mut batch: String = links.iter().map(Link::batch).collect();
    if let Some(Link { name, .. }) = links.first() {
        batch += &format!("route add default dev {name}\nroute add ::/0 dev {name}\n");
    }
    let opened = namespace.run(move || {
        let open = |link: Link| match Tun::open(&link.name) {
            Ok(tun) => Ok((link, tun)),
            Err(error) => Err(LabError::NoInterface { name: link.name, error }),
        };
        links.into_iter().map(open).collect::<Result<Vec<_>, _>>()
    })?;
    let mut ip = Command::new("ip");
    ip.args(["-batch", "-"]);
    namespace.output(ip, &batch)?;
    let socket = namespace.run(|| UdpSocket::bind("[::]:0"))?;
    let numbered = |(link, tun): (Link, Tun)| {
        let index = rustix::net::netdevice::name_to_index(&socket, &link.name).map_err(io::Error::from)?;
        Ok(Device { link, index, tun })
    };
    opened.into_iter().map(numbered).collect()
}

fn raw_socket(family: AddressFamily, protocol: Protocol) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::RAW, flags, Some(protocol))?)
}

/// Where the next packet at a raw socket came from, if there is one.
fn witnessed(socket: &OwnedFd) -> io::Result<Option<IpAddr>> {
    let received = rustix::net::recvfrom(socket, &mut [0; 1][..], RecvFlags::empty());
    match received {
        Ok((_, _, from)) => {
            let from = from.and_then(|from| std::net::SocketAddr::try_from(from).ok());
            Ok(from.map(|from| from.ip()))
        }
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An echo request to an address of the gateway's own.
fn ping_to(own: IpAddr, interface: &str) -> Packet {
    let source: IpAddr = match own {
        IpAddr::V4(_) => Ipv4Addr::new(198, 51, 100, 250).into(),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x250).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0x250, 0, 0, 0, 0, 1).into(),
    };
    let family = Family::of(source);
    Packet {
        source,
        destination: Destination::Gateway,
        interface: interface.into(),
        payload: Payload::Icmp { kind: echo_request_type(family) },
        size: echo_packet_size(family, 0),
        hop_limit: 64,
        fragment: false,
        extension_headers: false,
    }
}
