//! Packets as bytes.
//!
//! Segments of a TCP connection all have the same few sequence numbers, so that any order of any
//! of them is inside the windows.

use std::net::IpAddr;

use knockgate_compiler::net::{Destination, Family, Packet, Payload, TcpFlags, echo_request_type};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// RFC 8200, sections 4.5 and 4.6.
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

const ECHO_IDENTIFIER: u16 = 0x4b67;
const CLIENT_START: u32 = 1000;
const SERVER_START: u32 = 5000;

/// The DSCP of answers that are ours, not the kernel's.
pub const ANSWER_DSCP: u8 = 46;

/// `packet`, whose number can be read off wherever it comes out again, sent to `to`.
pub fn request(packet: &Packet, number: u16, to: IpAddr) -> Vec<u8> {
    let mut headers = vec![];
    let (mut protocol, header_len) = match packet.payload {
        Payload::Tcp { .. } => (TCP, 20),
        Payload::Udp { .. } => (UDP, 8),
        Payload::Icmp { .. } => (icmp(packet.family()), 8),
    };
    let mut first = protocol;
    if packet.family() == Family::V6 {
        if packet.fragment {
            headers.extend([protocol, 0, 0, 1, 0, 0]);
            headers.extend(number.to_be_bytes());
            first = FRAGMENT;
        } else if packet.extension_headers {
            // PadN over the rest of eight bytes.
            headers.extend([protocol, 0, 1, 4, 0, 0, 0, 0]);
            first = DESTINATION_OPTIONS;
        }
    }
    let ip_len = if packet.family() == Family::V4 { 20 } else { 40 + headers.len() };
    let mut body = vec![0; usize::from(packet.size).saturating_sub(ip_len).max(header_len)];
    match packet.payload {
        Payload::Tcp { from, to, flags } => {
            let opening = flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::ACK);
            let sequence = if opening { CLIENT_START } else { CLIENT_START + 1 };
            let acknowledged = if flags.has(TcpFlags::ACK) { SERVER_START + 1 } else { 0 };
            write_tcp(&mut body, (from, to), flags, sequence, acknowledged);
        }
        Payload::Udp { from, to } => write_udp(&mut body, (from, to)),
        Payload::Icmp { kind } => {
            body[0] = kind;
            // Each message is of its own, as it is to the simulator, but for echoes that are answered.
            let echo = kind == echo_request_type(packet.family()) && !to_group(packet);
            let identifier = if echo { ECHO_IDENTIFIER } else { number };
            body[4..6].copy_from_slice(&identifier.to_be_bytes());
        }
    }
    write_checksum(&mut body, protocol, packet.source, to);
    protocol = first;
    headers.extend(body);
    let header = Header { source: packet.source, to, protocol, number, dscp: 0, hop_limit: packet.hop_limit };
    header.before(headers, packet.fragment)
}

/// Whether it is for everybody on the link.
pub fn to_group(packet: &Packet) -> bool {
    match packet.destination {
        Destination::Other(IpAddr::V4(v4)) => v4.is_multicast() || v4.is_broadcast(),
        Destination::Other(IpAddr::V6(v6)) => v6.is_multicast(),
        Destination::Gateway => false,
    }
}

/// Whether the sender is told when the packet is refused (nf_reject_ipv4.c, nf_reject_ipv6.c;
/// RFC 1122, section 3.2.2: never about an error or a group).
pub fn tells(packet: &Packet) -> bool {
    let kind_tells = match packet.payload {
        Payload::Tcp { flags, .. } => !flags.has(TcpFlags::RST),
        Payload::Udp { .. } => true,
        Payload::Icmp { kind } => match packet.family() {
            Family::V4 => matches!(kind, 0 | 8 | 13..=18),
            Family::V6 => kind >= 128,
        },
    };
    kind_tells && !to_group(packet)
}

/// Whether the first packet of a connection has an answer.
pub fn answers(packet: &Packet) -> bool {
    let echo = |kind| kind == echo_request_type(packet.family());
    !to_group(packet) && !matches!(packet.payload, Payload::Icmp { kind } if !echo(kind))
}

struct Header {
    source: IpAddr,
    to: IpAddr,
    protocol: u8,
    number: u16,
    dscp: u8,
    hop_limit: u8,
}

impl Header {
    fn before(&self, payload: Vec<u8>, fragment: bool) -> Vec<u8> {
        let mut bytes = vec![];
        match (self.source, self.to) {
            (IpAddr::V4(source), IpAddr::V4(to)) => {
                bytes.extend([0x45, self.dscp << 2]);
                bytes.extend(len16(payload.len() + 20).to_be_bytes());
                bytes.extend(self.number.to_be_bytes());
                bytes.extend([if fragment { 0x20 } else { 0 }, 0, self.hop_limit, self.protocol, 0, 0]);
                bytes.extend(source.octets());
                bytes.extend(to.octets());
                let sum = checksum(&bytes);
                bytes[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(to)) => {
                let first = 6 << 28 | u32::from(self.dscp) << 22 | u32::from(self.number);
                bytes.extend(first.to_be_bytes());
                bytes.extend(len16(payload.len()).to_be_bytes());
                bytes.extend([self.protocol, self.hop_limit]);
                bytes.extend(source.octets());
                bytes.extend(to.octets());
            }
            _ => unreachable!("a packet goes to an address of its own family"),
        }
        bytes.extend(payload);
        bytes
    }
}

fn icmp(family: Family) -> u8 {
    match family {
        Family::V4 => ICMP,
        Family::V6 => ICMPV6,
    }
}

fn len16(len: usize) -> u16 {
    u16::try_from(len).expect("packets here are shorter than 65536 bytes")
}

fn write_tcp(body: &mut [u8], (from, to): (u16, u16), flags: TcpFlags, sequence: u32, acknowledged: u32) {
    body[0..2].copy_from_slice(&from.to_be_bytes());
    body[2..4].copy_from_slice(&to.to_be_bytes());
    body[4..8].copy_from_slice(&sequence.to_be_bytes());
    body[8..12].copy_from_slice(&acknowledged.to_be_bytes());
    body[12] = 5 << 4;
    body[13] = flags.bits();
    body[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
}

fn write_udp(body: &mut [u8], (from, to): (u16, u16)) {
    let len = len16(body.len());
    body[0..2].copy_from_slice(&from.to_be_bytes());
    body[2..4].copy_from_slice(&to.to_be_bytes());
    body[4..6].copy_from_slice(&len.to_be_bytes());
}

fn write_checksum(body: &mut [u8], protocol: u8, source: IpAddr, to: IpAddr) {
    let place = match protocol {
        TCP => 16,
        UDP => 6,
        _ => 2,
    };
    let mut summed = vec![];
    if protocol != ICMP {
        // RFC 9293, section 3.1, and RFC 8200, section 8.1.
        for address in [source, to] {
            match address {
                IpAddr::V4(v4) => summed.extend(v4.octets()),
                IpAddr::V6(v6) => summed.extend(v6.octets()),
            }
        }
        summed.extend(u32::from(len16(body.len())).to_be_bytes());
        summed.extend([0, 0, 0, protocol]);
    }
    summed.extend(&*body);
    let sum = match checksum(&summed) {
        0 if protocol == UDP => u16::MAX,
        sum => sum,
    };
    body[place..place + 2].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| (*low).into()));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A packet that the kernel let out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub to: IpAddr,
    /// Source and destination port, where there are any.
    pub ports: Option<(u16, u16)>,
    /// The number of the request, if it is one.
    pub number: u16,
    /// Whether we sent it as an answer.
    pub answer: bool,
    /// Whether it refuses something: a TCP reset, or an ICMP error that a rule asked for.
    pub refusal: bool,
    protocol: u8,
    body: Vec<u8>,
}

impl Heard {
    /// `None` for what is no IP packet of ours.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (source, to, number, dscp, mut protocol, mut start): (IpAddr, IpAddr, u16, u8, u8, usize);
        match bytes.first()? >> 4 {
            4 => {
                source = <[u8; 4]>::try_from(bytes.get(12..16)?).ok()?.into();
                to = <[u8; 4]>::try_from(bytes.get(16..20)?).ok()?.into();
                number = be16(bytes, 4)?;
                dscp = bytes[1] >> 2;
                protocol = bytes[9];
                start = usize::from(bytes[0] & 0xf) * 4;
            }
            _ => {
                source = <[u8; 16]>::try_from(bytes.get(8..24)?).ok()?.into();
                to = <[u8; 16]>::try_from(bytes.get(24..40)?).ok()?.into();
                number = be16(bytes, 2)?;
                dscp = (be16(bytes, 0)? >> 6 & 0x3f) as u8;
                protocol = bytes[6];
                start = 40;
                if protocol == DESTINATION_OPTIONS {
                    protocol = *bytes.get(start)?;
                    start += 8;
                }
            }
        }
        let body = bytes.get(start..)?.to_vec();
        let ports = [TCP, UDP].contains(&protocol).then(|| Some((be16(&body, 0)?, be16(&body, 2)?)));
        let refusal = match protocol {
            TCP => TcpFlags::from_bits(*body.get(13)?).has(TcpFlags::RST),
            // Port unreachable, or prohibited, which only rules say: RFC 792, RFC 1812, section 5.2.7.1,
            // and RFC 4443, section 3.1.
            ICMP => [[3, 3], [3, 13]].contains(body.first_chunk()?),
            ICMPV6 => [[1, 4], [1, 1]].contains(body.first_chunk()?),
            _ => false,
        };
        let answer = dscp == ANSWER_DSCP;
        Some(Self { source, to, ports: ports.flatten(), number, answer, refusal, protocol, body })
    }

    /// What its receiver answers to the first packet of a connection.
    pub fn answered(&self) -> Vec<u8> {
        let mut body = vec![0; if self.protocol == TCP { 20 } else { 8 }];
        let ports = self.ports.map(|(from, to)| (to, from)).unwrap_or_default();
        match self.protocol {
            TCP => {
                let opening = TcpFlags::from_bits(self.body[13]).has(TcpFlags::SYN);
                let (flags, sequence) = if opening {
                    (TcpFlags::SYN.with(TcpFlags::ACK), SERVER_START)
                } else {
                    (TcpFlags::ACK, SERVER_START + 1)
                };
                write_tcp(&mut body, ports, flags, sequence, CLIENT_START + 1);
            }
            UDP => write_udp(&mut body, ports),
            _ => {
                body[..8].copy_from_slice(&self.body[..8]);
                body[2..4].fill(0);
                // RFC 792 and RFC 4443, section 4.2: an echo reply.
                body[0] = if self.protocol == ICMP { 0 } else { 129 };
            }
        }
        write_checksum(&mut body, self.protocol, self.to, self.source);
        let header = Header {
            source: self.to,
            to: self.source,
            protocol: self.protocol,
            number: 0,
            dscp: ANSWER_DSCP,
            hop_limit: 64,
        };
        header.before(body, false)
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}
