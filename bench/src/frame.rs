//! Frames with one small packet each, changed in place.

use std::net::Ipv4Addr;

/// The Ethernet addresses of a [`Lane`](crate::lane::Lane)'s two ends.
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const SENDER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

const ETHERNET: usize = 14;
const IP: usize = 20;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a packet says but for addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first segment of a TCP connection, with the options that Linux sends.
    Syn,
    /// A UDP datagram of so many letters.
    Datagram(u8),
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub source: Ipv4Addr,
    pub from: u16,
    pub destination: Ipv4Addr,
    pub to: u16,
}

/// A frame from the sender's end to the gateway's.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    kind: Kind,
}

impl Frame {
    pub fn new(kind: Kind) -> Self {
        let (protocol, body) = match kind {
            Kind::Syn => (TCP, syn()),
            Kind::Datagram(letters) => (UDP, datagram(letters)),
        };
        let mut bytes = vec![];
        bytes.extend(GATEWAY_MAC);
        bytes.extend(SENDER_MAC);
        bytes.extend([0x08, 0x00]);
        let length = u16::try_from(IP + body.len()).expect("a small packet");
        bytes.extend([0x45, 0]);
        bytes.extend(length.to_be_bytes());
        // No identification, do not fragment; 64 hops; checksum and addresses to come.
        bytes.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        bytes.extend([0; 8]);
        bytes.extend(body);
        Self { bytes, kind }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes it a packet of `flow`, checksums and all.
    pub fn address(&mut self, flow: &Flow) {
        let (ip, body) = self.bytes[ETHERNET..].split_at_mut(IP);
        ip[12..16].copy_from_slice(&flow.source.octets());
        ip[16..20].copy_from_slice(&flow.destination.octets());
        ip[10..12].fill(0);
        let sum = checksum(ip, 0);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        body[0..2].copy_from_slice(&flow.from.to_be_bytes());
        body[2..4].copy_from_slice(&flow.to.to_be_bytes());
        let (protocol, place) = match self.kind {
            Kind::Syn => (TCP, 16),
            Kind::Datagram(_) => (UDP, 6),
        };
        body[place..place + 2].fill(0);
        let length = u32::try_from(body.len()).expect("a small packet");
        let pseudo = length + u32::from(protocol) + words(&ip[12..20]);
        let sum = checksum(body, pseudo);
        body[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// RFC 9293, section 3.1: sequence number 1, SYN, a window of 64240, and as options the largest
/// segment, SACK permitted, a timestamp, and the window's scale.
fn syn() -> Vec<u8> {
    let mut header = vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xa0, 0x02, 0xfa, 0xf0, 0, 0, 0, 0];
    header.extend([2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);
    header
}

fn datagram(letters: u8) -> Vec<u8> {
    let length = 8 + u16::from(letters);
    let mut datagram = vec![0; 8];
    datagram[4..6].copy_from_slice(&length.to_be_bytes());
    datagram.resize(usize::from(length), b'A');
    datagram
}

/// The smallest that fills a frame.
pub const SMALL: Kind = Kind::Datagram(18);

/// RFC 1071.
fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start + words(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it was folded to 16 bits")
}

fn words(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: Flow = Flow {
        source: Ipv4Addr::new(10, 1, 2, 3),
        from: 40_000,
        destination: Ipv4Addr::new(198, 51, 100, 1),
        to: 333,
    };

    #[test]
    fn checksums_come_out_as_zero_when_added_up_with_the_rest() {
        for kind in [Kind::Syn, SMALL, Kind::Datagram(200)] {
            let mut frame = Frame::new(kind);
            // Twice: what was there before must not count.
            frame.address(&Flow { to: 9, ..FLOW });
            frame.address(&FLOW);
            let (ip, body) = frame.bytes()[ETHERNET..].split_at(IP);
            assert_eq!(checksum(ip, 0), 0, "{kind:?}");
            let pseudo = u32::try_from(body.len()).unwrap() + u32::from(ip[9]) + words(&ip[12..20]);
            assert_eq!(checksum(body, pseudo), 0, "{kind:?}");
        }
    }
}
