//! The few addresses, ports and packets that random cases are made of: few, so that they meet.

use std::net::IpAddr;

use knockgate::lab::wire::to_group;
use knockgate::lab::{Gateway, LabError, Link};
use knockgate_compiler::net::{
    Destination, Endpoint, Family, Packet, Payload, Port, TcpFlags, Transport, echo_packet_size,
    echo_request_type,
};
use knockgate_compiler::random::Rng;

/// Interfaces that face strangers.
pub const OUTSIDE: [&str; 2] = ["out0", "out1"];
/// The interface that hosts behind are at.
pub const INSIDE: &str = "in0";

/// Unicast addresses of the gateway's own.
const OWN: [&str; 6] =
    ["203.0.113.1", "203.0.113.2", "10.9.0.1", "2001:db8:f::1", "2001:db8:9::1", "fe80::1"];

/// The gateway's interfaces, with networks.
const LINKS: [(&str, &[&str]); 3] = [
    (OUTSIDE[0], &["203.0.113.1/24", "203.0.113.2/24", "2001:db8:f::1/64", "fe80::1/64"]),
    (OUTSIDE[1], &["fe80::1/64"]),
    (INSIDE, &["10.9.0.1/24", "2001:db8:9::1/64", "fe80::1/64"]),
];

/// Strangers. Some share a network, and one is on the link itself.
pub const STRANGERS: [&str; 9] = [
    "198.51.100.1",
    "198.51.100.2",
    "198.51.100.129",
    "192.0.2.9",
    "2001:db8:1::1",
    "2001:db8:1::2",
    "2001:db8:1:1::1",
    "2001:db8:2::1",
    "fe80::5",
];
/// Hosts that use the gateway from inside.
pub const INSIDERS: [&str; 2] = ["10.9.0.50", "2001:db8:9::50"];
/// Hosts behind that packets are sent or redirected to.
pub const BEHIND: [&str; 4] = ["10.9.0.5", "10.9.0.6", "2001:db8:9::5", "2001:db8:9::6"];
/// Hosts far outside.
const FAR: [&str; 2] = ["192.0.2.77", "2001:db8:77::1"];
/// Groups that every host belongs to.
const GROUPS: [&str; 3] = ["224.0.0.1", "255.255.255.255", "ff02::1"];

/// Ports that rules and packets name.
pub const PORTS: [u16; 7] = [22, 80, 333, 777, 888, 4444, 51820];
/// Ports that packets come from again and again; two of them are those of DHCP servers.
pub const SOURCE_PORTS: [u16; 4] = [40_000, 40_001, 67, 547];
/// Data of echo requests.
pub const ECHOES: [u16; 4] = [0, 56, 100, 1400];
/// Types of ICMP messages: errors, queries, answers, and unknown ones.
pub const ICMP_TYPES: [u8; 12] = [0, 3, 5, 8, 11, 12, 13, 14, 15, 17, 18, 40];
/// The same for ICMPv6, with listeners and neighbours.
pub const ICMPV6_TYPES: [u8; 15] = [1, 2, 4, 128, 129, 130, 131, 133, 134, 135, 136, 137, 139, 143, 200];

/// The gateway of these interfaces, with this ruleset.
pub fn gateway(ruleset: &str) -> Result<Gateway, LabError> {
    let parsed = |text: &&str| {
        let (address, bits) = text.split_once('/').expect("a network written here");
        (address.parse().expect("the same"), bits.parse().expect("the same"))
    };
    let link = |(name, addresses): (&str, &[&str])| Link {
        name: name.to_owned(),
        addresses: addresses.iter().map(parsed).collect(),
    };
    Gateway::running(LINKS.into_iter().map(link).collect(), ruleset)
}

/// One of these addresses.
pub fn address(rng: &mut Rng, of: &[&str]) -> IpAddr {
    rng.pick(of).parse().expect("an address written here")
}

fn address_of(rng: &mut Rng, family: Family, of: &[&str]) -> IpAddr {
    let same = |text: &&str| Family::of(text.parse().expect("an address written here")) == family;
    let fitting: Vec<&str> = of.iter().copied().filter(same).collect();
    address(rng, &fitting)
}

/// One of the ports, of TCP or UDP.
pub fn endpoint(rng: &mut Rng) -> Endpoint {
    let transport = rng.pick(&[Transport::Tcp, Transport::Udp]);
    Endpoint { transport, port: Port::new(rng.pick(&PORTS)).expect("no port here is 0") }
}

/// The gateway's address that a packet is sent to. It is the same for all packets of a connection.
pub fn own_address(packet: &Packet) -> IpAddr {
    let choice = match packet.payload {
        Payload::Tcp { from, to, .. } | Payload::Udp { from, to } => usize::from(from ^ to),
        Payload::Icmp { .. } => 0,
    };
    let own: Vec<IpAddr> = OWN
        .iter()
        .map(|text| text.parse().expect("an address written here"))
        .filter(|address| Family::of(*address) == packet.family())
        .collect();
    own[choice % own.len()]
}

/// The first segment of a TCP connection to the gateway.
pub fn syn(source: IpAddr, from: u16, to: u16) -> Packet {
    plain(source, Payload::Tcp { from, to, flags: TcpFlags::SYN })
}

/// An ordinary packet from a stranger to the gateway.
pub fn plain(source: IpAddr, payload: Payload) -> Packet {
    let packet = Packet {
        source,
        destination: Destination::Gateway,
        interface: OUTSIDE[0].into(),
        payload,
        size: 0,
        hop_limit: 64,
        fragment: false,
        extension_headers: false,
    };
    Packet { size: least_size(&packet), ..packet }
}

/// An echo request as `ping -s data` sends it.
pub fn ping(source: IpAddr, data: u16) -> Packet {
    let family = Family::of(source);
    let packet = plain(source, Payload::Icmp { kind: echo_request_type(family) });
    Packet { size: echo_packet_size(family, data), ..packet }
}

/// Bytes of the packet without any data.
pub fn least_size(packet: &Packet) -> u16 {
    let ip = match packet.family() {
        Family::V4 => 20,
        Family::V6 if packet.extension_headers || packet.fragment => 48,
        Family::V6 => 40,
    };
    let payload = match packet.payload {
        Payload::Tcp { .. } => 20,
        Payload::Udp { .. } | Payload::Icmp { .. } => 8,
    };
    ip + payload
}

/// Any packet: of a connection that was begun, again, or another one. Packets to groups are each of
/// their own: nobody answers, so the kernel would take a second one for the first one again.
pub fn packet(rng: &mut Rng, before: &[Packet]) -> Packet {
    let earlier = match rng.below(100) {
        0..35 if !before.is_empty() => Some(&before[rng.below(before.len())]),
        35..42 => before.last(),
        _ => None,
    };
    match earlier.filter(|earlier| !to_group(earlier)) {
        Some(earlier) if rng.chance(80) => follow_up(rng, earlier),
        Some(earlier) => earlier.clone(),
        None => fresh(rng, before.len()),
    }
}

/// The group that every host on the link belongs to.
pub fn all_nodes(family: Family) -> IpAddr {
    let group = match family {
        Family::V4 => "224.0.0.1",
        Family::V6 => "ff02::1",
    };
    group.parse().expect("an address written here")
}

fn follow_up(rng: &mut Rng, earlier: &Packet) -> Packet {
    let mut packet = Packet { fragment: false, extension_headers: false, ..earlier.clone() };
    if let Payload::Tcp { flags, .. } = &mut packet.payload {
        *flags = tcp_flags(rng);
    }
    packet.size = packet.size.max(least_size(&packet));
    if packet.destination == Destination::Gateway && rng.chance(10) {
        packet.interface = rng.pick(&OUTSIDE).into();
    }
    packet
}

fn tcp_flags(rng: &mut Rng) -> TcpFlags {
    let usual = [
        TcpFlags::SYN,
        TcpFlags::ACK,
        TcpFlags::SYN.with(TcpFlags::ACK),
        TcpFlags::FIN.with(TcpFlags::ACK),
        TcpFlags::RST,
        TcpFlags::RST.with(TcpFlags::ACK),
    ];
    if rng.chance(75) { rng.pick(&usual) } else { TcpFlags::from_bits(rng.below(256) as u8) }
}

fn fresh(rng: &mut Rng, nth: usize) -> Packet {
    let inside = rng.chance(12);
    let interface = if inside { INSIDE } else { rng.pick(&[OUTSIDE[0], OUTSIDE[0], OUTSIDE[1]]) };
    let source = address(rng, if inside { &INSIDERS } else { &STRANGERS });
    let family = Family::of(source);
    let destination = match rng.below(100) {
        0..72 => Destination::Gateway,
        72..80 => Destination::Other(address_of(rng, family, &GROUPS)),
        80..94 if !inside => Destination::Other(address_of(rng, family, &BEHIND)),
        _ if interface == OUTSIDE[0] => Destination::Other(address_of(rng, family, &BEHIND)),
        _ => Destination::Other(address_of(rng, family, &FAR)),
    };
    let unused = 50_000 + u16::try_from(nth).expect("traces are short");
    let grouped =
        matches!(destination, Destination::Other(address) if GROUPS.contains(&&*address.to_string()));
    let from = if grouped || rng.chance(40) { unused } else { rng.pick(&SOURCE_PORTS) };
    let to = rng.pick(&PORTS);
    let payload = match rng.below(100) {
        0..45 => {
            let flags = if rng.chance(60) { TcpFlags::SYN } else { tcp_flags(rng) };
            Payload::Tcp { from, to, flags }
        }
        45..75 => Payload::Udp { from, to },
        75..88 => Payload::Icmp { kind: echo_request_type(family) },
        _ => Payload::Icmp {
            kind: match family {
                Family::V4 => rng.pick(&ICMP_TYPES),
                Family::V6 => rng.pick(&ICMPV6_TYPES),
            },
        },
    };
    let mut packet = Packet {
        destination,
        interface: interface.into(),
        hop_limit: rng.pick(&[1, 2, 3, 64, 64, 64, 65, 255]),
        fragment: rng.chance(3),
        extension_headers: family == Family::V6 && rng.chance(8),
        ..plain(source, payload)
    };
    packet.extension_headers &= !packet.fragment;
    packet.size = match rng.below(3) {
        0 => echo_packet_size(family, rng.pick(&ECHOES)),
        1 => least_size(&packet) + rng.below(64) as u16,
        _ => least_size(&packet),
    };
    packet.size = packet.size.max(least_size(&packet));
    if packet.fragment {
        // Whole units of eight bytes (RFC 791 and RFC 8200, section 4.5).
        packet.size = least_size(&packet).next_multiple_of(8) + 24 + if family == Family::V4 { 4 } else { 0 };
    }
    packet
}
