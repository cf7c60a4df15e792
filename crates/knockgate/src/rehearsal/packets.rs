//! Packets by hand: written to a raw socket, and read off a wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use knockgate_compiler::net::{Destination, Packet, Payload, TcpFlags, Transport};
use knockgate_compiler::policy::Knock;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, ipproto, sendto, socket};

/// Sends IPv4 packets from any address (`man 7 raw`: with IPPROTO_RAW the header is ours).
#[derive(Debug)]
pub(super) struct RawSocket {
    fd: OwnedFd,
}

impl RawSocket {
    /// In the namespace of the calling thread.
    pub(super) fn open() -> Result<Self, Errno> {
        let fd = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))?;
        Ok(Self { fd })
    }

    /// One knock, as any client would send it.
    pub(super) fn knock(&self, from: Ipv4Addr, to: Ipv4Addr, knock: Knock) -> Result<(), Errno> {
        let packet = match knock {
            Knock::Port(endpoint) => match endpoint.transport {
                Transport::Tcp => tcp_syn(from, to, endpoint.port.number()),
                Transport::Udp => udp(from, to, endpoint.port.number()),
            },
            Knock::Ping(data) => ping(from, to, data),
        };
        let target = SocketAddr::V4(SocketAddrV4::new(to, 0));
        sendto(&self.fd, &packet, SendFlags::empty(), &target).map(|_| ())
    }
}

const SOURCE_PORT: u16 = 40_123;

fn tcp_syn(from: Ipv4Addr, to: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[0..2].copy_from_slice(&SOURCE_PORT.to_be_bytes());
    segment[2..4].copy_from_slice(&port.to_be_bytes());
    segment[12] = 5 << 4;
    segment[13] = TcpFlags::SYN.bits();
    segment[14..16].copy_from_slice(&64_240_u16.to_be_bytes());
    let sum = checksum(&[&pseudo_header(from, to, 6, segment.len()), &segment]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    with_header(from, to, 6, &segment)
}

/// Without a checksum, which IPv4 allows (RFC 768).
fn udp(from: Ipv4Addr, to: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut datagram = vec![0; 8];
    datagram[0..2].copy_from_slice(&SOURCE_PORT.to_be_bytes());
    datagram[2..4].copy_from_slice(&port.to_be_bytes());
    datagram[4..6].copy_from_slice(&8_u16.to_be_bytes());
    with_header(from, to, 17, &datagram)
}

fn ping(from: Ipv4Addr, to: Ipv4Addr, data: u16) -> Vec<u8> {
    let mut message = vec![0; 8 + usize::from(data)];
    message[0] = 8;
    message[4..6].copy_from_slice(&SOURCE_PORT.to_be_bytes());
    let sum = checksum(&[&message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    with_header(from, to, 1, &message)
}

/// The kernel fills in length, identification and checksum (`man 7 raw`).
fn with_header(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet[0] = 0x45;
    packet[8] = 64;
    packet[9] = protocol;
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet.extend_from_slice(payload);
    packet
}

fn pseudo_header(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, len: usize) -> Vec<u8> {
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    let mut header = [from.octets(), to.octets()].concat();
    header.extend([0, protocol]);
    header.extend(len.to_be_bytes());
    header
}

/// The Internet checksum (RFC 1071) of the parts, each of even length but the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 =
        words.map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

/// Listens to every frame of the namespace of the calling thread (`man 7 packet`).
pub(super) fn listen_to_frames() -> Result<OwnedFd, Errno> {
    const ETH_P_ALL: u16 = 3;
    let protocol = Protocol::from_raw(
        std::num::NonZeroU32::new(u32::from(ETH_P_ALL.to_be())).expect("the protocol number is not zero"),
    );
    socket(AddressFamily::PACKET, SocketType::RAW, Some(protocol))
}

/// The packet in `frame`, when it came to the interface with the address `mac`.
pub(super) fn read_frame(frame: &[u8], mac: [u8; 6], interface: &str, gateway: &[IpAddr]) -> Option<Packet> {
    let (to, rest) = frame.split_at_checked(6)?;
    let (_, rest) = rest.split_at_checked(6)?;
    let (kind, packet) = rest.split_at_checked(2)?;
    if to != mac {
        return None;
    }
    let (source, destination, header) = match kind {
        [0x08, 0x00] => read_v4(packet)?,
        [0x86, 0xdd] => read_v6(packet)?,
        _ => return None,
    };
    let Header { protocol, hop_limit, size, fragment, payload } = header;
    let word = |at: usize| Some(u16::from_be_bytes([*payload.get(at)?, *payload.get(at + 1)?]));
    let payload = match protocol {
        6 => Payload::Tcp { from: word(0)?, to: word(2)?, flags: TcpFlags::from_bits(*payload.get(13)?) },
        17 => Payload::Udp { from: word(0)?, to: word(2)? },
        1 | 58 => Payload::Icmp { kind: *payload.first()? },
        _ => return None,
    };
    let destination =
        if gateway.contains(&destination) { Destination::Gateway } else { Destination::Other(destination) };
    Some(Packet {
        source,
        destination,
        interface: interface.into(),
        payload,
        size,
        hop_limit,
        fragment,
        extension_headers: false,
    })
}

struct Header<'f> {
    protocol: u8,
    hop_limit: u8,
    size: u16,
    fragment: bool,
    payload: &'f [u8],
}

fn read_v4(packet: &[u8]) -> Option<(IpAddr, IpAddr, Header<'_>)> {
    let fixed: &[u8; 20] = packet.first_chunk()?;
    let size = u16::from_be_bytes([fixed[2], fixed[3]]);
    let header = Header {
        protocol: fixed[9],
        hop_limit: fixed[8],
        size,
        fragment: u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0,
        payload: packet.get(usize::from(fixed[0] & 0xf) * 4..usize::from(size))?,
    };
    let address = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
    Some((address(12).into(), address(16).into(), header))
}

/// Extension headers do not occur in a rehearsal; a packet with them is passed over.
fn read_v6(packet: &[u8]) -> Option<(IpAddr, IpAddr, Header<'_>)> {
    let fixed: &[u8; 40] = packet.first_chunk()?;
    let size = u16::from_be_bytes([fixed[4], fixed[5]]).checked_add(40)?;
    let header = Header {
        protocol: fixed[6],
        hop_limit: fixed[7],
        size,
        fragment: false,
        payload: packet.get(40..usize::from(size))?,
    };
    let address = |at: usize| <[u8; 16]>::try_from(&fixed[at..at + 16]).ok().map(Ipv6Addr::from);
    Some((address(8)?.into(), address(24)?.into(), header))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn framed(packet: &[u8]) -> Vec<u8> {
        [&MAC[..], &[2, 0, 0, 0, 0, 2], &[0x08, 0x00], packet].concat()
    }

    /// What the kernel fills in.
    fn completed(mut packet: Vec<u8>) -> Vec<u8> {
        let len = u16::try_from(packet.len()).unwrap();
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (from, to) = (Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(198, 51, 100, 1));
        let frame = framed(&completed(tcp_syn(from, to, 333)));
        let packet = read_frame(&frame, MAC, "wan0", &[to.into()]).unwrap();
        assert_eq!(packet.source, IpAddr::from(from));
        assert_eq!(packet.destination, Destination::Gateway);
        assert_eq!(packet.payload, Payload::Tcp { from: SOURCE_PORT, to: 333, flags: TcpFlags::SYN });
        let frame = framed(&completed(ping(from, to, 100)));
        assert_eq!(read_frame(&frame, MAC, "wan0", &[to.into()]).unwrap().size, 128);
    }

    #[test]
    fn frames_of_others_and_broken_ones_are_passed_over() {
        let (from, to) = (Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(198, 51, 100, 1));
        let frame = framed(&completed(udp(from, to, 9)));
        assert!(read_frame(&frame, [9; 6], "wan0", &[]).is_none());
        for len in 0..frame.len() - 4 {
            assert!(read_frame(&frame[..len], MAC, "wan0", &[]).is_none(), "{len}");
        }
    }

    #[test]
    fn a_checksum_over_data_and_itself_is_zero() {
        let message = ping(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, 33);
        assert_eq!(checksum(&[&message[20..]]), 0);
    }
}
