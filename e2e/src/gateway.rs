//! A gateway in a namespace: its interfaces are ours to send on and to listen at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use knockgate::lab::{LabError, Namespace};
use knockgate_compiler::net::Family;
use knockgate_compiler::time::Lifetime;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto};

use crate::tun::Tun;
use crate::wire::{self, Heard};
use crate::world;

/// Interfaces that face strangers.
pub const OUTSIDE: [&str; 2] = ["out0", "out1"];
/// The interface that hosts behind are at.
pub const INSIDE: &str = "in0";

/// Unicast addresses of the gateway's own.
pub const OWN: [&str; 6] =
    ["203.0.113.1", "203.0.113.2", "10.9.0.1", "2001:db8:f::1", "2001:db8:9::1", "fe80::1"];

const INTERFACES: &str = "
link set out0 addrgenmode none mtu 9000
link set out1 addrgenmode none mtu 9000
link set in0 addrgenmode none mtu 9000
link set out0 up
link set out1 up
link set in0 up
address add 203.0.113.1/24 dev out0
address add 203.0.113.2/24 dev out0
address add 10.9.0.1/24 dev in0
address add 2001:db8:f::1/64 dev out0 nodad
address add 2001:db8:9::1/64 dev in0 nodad
address add fe80::1/64 dev out0 nodad
address add fe80::1/64 dev out1 nodad
address add fe80::1/64 dev in0 nodad
route add default dev out0
route add ::/0 dev out0
";

/// A sender's window is not what is tested, and no connection is to be forgotten meanwhile. The
/// kernel's answers are told apart one by one, so it must not leave any out.
const SETTINGS: [(&str, &str); 19] = [
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
    ("netfilter/nf_conntrack_udp_timeout", "600"),
    ("netfilter/nf_conntrack_icmp_timeout", "600"),
];

/// Sees what was accepted, and keeps the kernel's own answers out of connection tracking: whether a
/// connection is answered is our business.
const WITNESS: &str = "
table inet witness {
    set seen4 { typeof ip id; size 65535; flags dynamic; }
    set seen6 { typeof ip6 flowlabel; size 65535; flags dynamic; }
    chain in {
        type filter hook input priority 100; policy accept;
        meta nfproto ipv4 add @seen4 { ip id }
        meta nfproto ipv6 add @seen6 { ip6 flowlabel }
    }
    chain out {
        type filter hook output priority raw; policy accept;
        ip dscp 46 accept
        ip6 dscp 46 accept
        notrack
    }
}
";

/// What went wrong with the machine, not with what is tested.
#[derive(Debug)]
pub enum Trouble {
    /// In the namespace.
    Lab(LabError),
    /// With a device or a socket.
    Io(io::Error),
    /// The gateway does not answer at this address of its own.
    Unreachable(IpAddr),
    /// The kernel's list cannot be read.
    Listing(String),
}

impl From<LabError> for Trouble {
    fn from(error: LabError) -> Self {
        Self::Lab(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lab(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Unreachable(address) => write!(f, "no answer from {address}"),
            Self::Listing(text) => write!(f, "cannot read this listing: {text}"),
        }
    }
}

impl std::error::Error for Trouble {}

/// An element that the kernel holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// Its set or map.
    pub set: String,
    /// Its key, as nft prints it.
    pub key: String,
    /// Its data, for a map.
    pub data: Option<String>,
}

/// A gateway that runs a ruleset.
#[derive(Debug)]
pub struct Gateway {
    namespace: Namespace,
    devices: Vec<(&'static str, u32, Tun)>,
    raw: [OwnedFd; 2],
}

impl Gateway {
    /// One that runs `ruleset`.
    pub fn running(ruleset: &str) -> Result<Self, Trouble> {
        let namespace = Namespace::new()?;
        for (key, value) in SETTINGS {
            namespace.set(key, value)?;
        }
        let names = [OUTSIDE[0], OUTSIDE[1], INSIDE];
        let devices = namespace.run(move || {
            let open = |name: &'static str| Ok::<_, io::Error>((name, Tun::open(name)?));
            names.into_iter().map(open).collect::<Result<Vec<_>, _>>()
        })?;
        let mut batch = Command::new("ip");
        batch.args(["-batch", "-"]);
        namespace.output(batch, INTERFACES)?;
        let raw = namespace.run(|| {
            let open = |family| {
                let raw = Some(ipproto::RAW);
                rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, raw)
            };
            Ok::<_, io::Error>([open(AddressFamily::INET)?, open(AddressFamily::INET6)?])
        })?;
        let socket = namespace.run(|| std::net::UdpSocket::bind("[::]:0"))?;
        let index = |name: &str| rustix::net::netdevice::name_to_index(&socket, name);
        let indexed = |(name, tun)| Ok::<_, io::Error>((name, index(name)?, tun));
        let devices = devices.into_iter().map(indexed).collect::<Result<Vec<_>, _>>()?;
        let gateway = Self { namespace, devices, raw };
        gateway.wait_until_reachable()?;
        gateway.namespace.nft(WITNESS)?;
        gateway.namespace.nft(ruleset)?;
        Ok(gateway)
    }

    /// The kernel finishes some of what `ip` was told when it has time. While it answers no ping,
    /// it would pass on what is sent to it.
    fn wait_until_reachable(&self) -> Result<(), Trouble> {
        for own in OWN {
            let own: IpAddr = own.parse().expect("an address written here");
            let from: IpAddr = match own {
                IpAddr::V4(_) => [198, 51, 100, 250].into(),
                IpAddr::V6(v6) if v6.is_unicast_link_local() => "fe80::250".parse().expect("the same"),
                IpAddr::V6(_) => "2001:db8:250::1".parse().expect("the same"),
            };
            let ping = wire::request(&world::ping(from, 0), 1, own);
            for interface in [OUTSIDE[0], OUTSIDE[1], INSIDE] {
                let mut patience = 1000;
                loop {
                    self.send(interface, &ping)?;
                    if self.heard()?.iter().any(|heard| heard.source == own && heard.to == from) {
                        break;
                    }
                    patience -= 1;
                    if patience == 0 {
                        return Err(Trouble::Unreachable(own));
                    }
                    thread::sleep(Duration::from_millis(2));
                }
            }
        }
        Ok(())
    }

    /// Lets the gateway receive a packet by an interface of its own.
    pub fn send(&self, interface: &str, packet: &[u8]) -> Result<(), Trouble> {
        let (_, _, tun) = self.device(interface);
        Ok(tun.send(packet)?)
    }

    fn device(&self, interface: &str) -> &(&'static str, u32, Tun) {
        let found = self.devices.iter().find(|(name, ..)| *name == interface);
        found.expect("packets come by one of three interfaces")
    }

    /// Everything that the gateway has sent since last asked.
    pub fn heard(&self) -> Result<Vec<Heard>, Trouble> {
        let mut heard = vec![];
        for (_, _, tun) in &self.devices {
            while let Some(packet) = tun.receive()? {
                heard.extend(Heard::of(&packet));
            }
        }
        Ok(heard)
    }

    /// Sends an answer to a packet that came by `interface`, as from the host that was reached.
    pub fn answer(&self, interface: &str, to: IpAddr, packet: &[u8]) -> Result<(), Trouble> {
        let flags = SendFlags::empty();
        let sent = match to {
            IpAddr::V4(to) => rustix::net::sendto(&self.raw[0], packet, flags, &SocketAddrV4::new(to, 0)),
            IpAddr::V6(to) => {
                let scope = if to.is_unicast_link_local() { self.device(interface).1 } else { 0 };
                rustix::net::sendto(&self.raw[1], packet, flags, &SocketAddrV6::new(to, 0, 0, scope))
            }
        };
        sent.map_err(io::Error::from)?;
        Ok(())
    }

    /// The numbers of packets that were let through to the gateway itself.
    pub fn let_in(&self) -> Result<BTreeSet<(Family, u16)>, Trouble> {
        let mut numbers = BTreeSet::new();
        for element in self.elements("inet witness")?.into_keys() {
            let family = if element.set == "seen4" { Family::V4 } else { Family::V6 };
            let number = element.key.parse().map_err(|_| Trouble::Listing(element.key.clone()))?;
            numbers.insert((family, number));
        }
        Ok(numbers)
    }

    /// Everything in the sets and maps of `table`, with the milliseconds that are left.
    pub fn elements(&self, table: &str) -> Result<BTreeMap<Element, Option<u64>>, Trouble> {
        let mut list = Command::new("nft");
        list.args(["list", "table"]).args(table.split(' '));
        let text = self.namespace.output(list, "")?;
        read_elements(&text).ok_or(Trouble::Listing(text))
    }
}

fn read_elements(text: &str) -> Option<BTreeMap<Element, Option<u64>>> {
    let mut found = BTreeMap::new();
    for kind in ["\tset ", "\tmap "] {
        for block in text.split(kind).skip(1) {
            let (name, rest) = block.split_once(" {")?;
            let own = rest.split_once("\n\t}")?.0;
            let Some((_, elements)) = own.split_once("elements = {") else { continue };
            for element in elements.split_once('}')?.0.split(',') {
                let (key, rest) = match element.trim().split_once(" timeout ") {
                    Some((key, rest)) => (key, Some(rest)),
                    None => (element.trim(), None),
                };
                let expires = rest.and_then(|rest| rest.split_once("expires "));
                let left = expires.map(|(_, left)| left.split(' ').next().unwrap_or(left));
                let data = rest.and_then(|rest| rest.split_once(" : ")).map(|(_, data)| data.to_owned());
                let element = Element { set: name.to_owned(), key: key.to_owned(), data };
                let left = match left {
                    Some(text) => Some(milliseconds(text)?),
                    None => None,
                };
                found.insert(element, left);
            }
        }
    }
    Some(found)
}

/// `1m2s30ms`, as nft prints it; what is about to expire has `0s` left.
fn milliseconds(text: &str) -> Option<u64> {
    match text {
        "0s" | "0ms" => Some(0),
        _ => text.parse::<Lifetime>().ok().map(Lifetime::as_millis),
    }
}
