//! Addresses, ports, interfaces and packets, as far as a packet filter looks at them.

pub mod scanned;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Family {
    /// Both, in the order in which rules are printed.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// A TCP or UDP port that a packet can be sent to: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

impl Port {
    /// `None` for port 0.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The number, 1 to 65535.
    pub fn number(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not a [`Port`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortError {
    /// Not a number; service names are not looked up, for they differ between machines.
    NotANumber,
    /// A number outside 1 to 65535.
    OutOfRange,
}

impl FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PortError::NotANumber);
        }
        text.parse().ok().and_then(Self::new).ok_or(PortError::OutOfRange)
    }
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP, protocol number 6.
    Tcp,
    /// UDP, protocol number 17.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of a protocol, written `22/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The protocol.
    pub transport: Transport,
    /// The destination port.
    pub port: Port,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.transport)
    }
}

/// Why a text is not an [`Endpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// There is no `/tcp` or `/udp`.
    TransportMissing,
    /// What follows the slash is neither `tcp` nor `udp`.
    TransportUnknown,
    /// What precedes the slash is not a port.
    Port(PortError),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (port, transport) = text.split_once('/').unwrap_or((text, ""));
        let port = port.parse().map_err(EndpointError::Port)?;
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "" => return Err(EndpointError::TransportMissing),
            _ => return Err(EndpointError::TransportUnknown),
        };
        Ok(Self { transport, port })
    }
}

/// An address prefix with no host bits set, such as `192.0.2.0/24` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    network: IpAddr,
    len: u8,
}

impl Prefix {
    /// The prefix of length `len` that holds `address`; `None` when `len` exceeds 32 or 128.
    pub fn holding(address: IpAddr, len: u8) -> Option<Self> {
        let bits = width(address);
        (len <= bits).then(|| Self { network: truncate(address, len), len })
    }

    /// Just `address`.
    pub fn host(address: IpAddr) -> Self {
        Self { network: address, len: width(address) }
    }

    /// The first address.
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// Leading bits that are fixed, 0 to 32 or 128.
    #[expect(clippy::len_without_is_empty, reason = "a prefix length, not a number of items")]
    pub fn len(self) -> u8 {
        self.len
    }

    /// IPv4 or IPv6.
    pub fn family(self) -> Family {
        Family::of(self.network)
    }

    /// Whether `address` is inside.
    pub fn contains(self, address: IpAddr) -> bool {
        Family::of(address) == self.family() && truncate(address, self.len) == self.network
    }

    /// Whether every address of `other` is inside.
    pub fn covers(self, other: Self) -> bool {
        self.len <= other.len && self.contains(other.network)
    }
}

fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// `address` with all but its first `len` bits cleared; `len` beyond the width keeps all.
pub fn truncate(address: IpAddr, len: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(len.into())).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(len.into())).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for Prefix {
    /// A single address is printed without its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len == width(self.network) {
            self.network.fmt(f)
        } else {
            write!(f, "{}/{}", self.network, self.len)
        }
    }
}

/// Why a text is not a [`Prefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// Not an IPv4 or IPv6 address.
    Malformed,
    /// A zone (`fe80::1%eth0`): a list of sources holds addresses only.
    Zone,
    /// What follows the slash is no number, or more bits than the address has.
    BadLength,
    /// Bits set outside the prefix; what was probably meant is given.
    HostBits(Prefix),
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        if text.contains('%') {
            return Err(PrefixError::Zone);
        }
        let Some((address, len)) = text.split_once('/') else {
            return text.parse().map(Self::host).map_err(|_| PrefixError::Malformed);
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Malformed)?;
        // The standard library would take a sign too.
        let digits = len.bytes().all(|byte| byte.is_ascii_digit());
        let len: u8 = len.parse().ok().filter(|_| digits).ok_or(PrefixError::BadLength)?;
        let prefix = Self::holding(address, len).ok_or(PrefixError::BadLength)?;
        if prefix.network == address { Ok(prefix) } else { Err(PrefixError::HostBits(prefix)) }
    }
}

/// A network interface by name; a final `*` stands for any rest, as in `ppp*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface(Box<str>);

impl Interface {
    /// The longest name Linux takes: `IFNAMSIZ` (16) less the final zero byte (`linux/if.h`).
    pub const MAX_BYTES: usize = 15;

    /// The name, with its `*` where it has one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an interface called `name` is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => *self.0 == *name,
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not an [`Interface`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceError {
    /// No name at all, or only `*`, which would also be the loopback interface.
    Empty,
    /// More than [`Interface::MAX_BYTES`] bytes.
    TooLong,
    /// This character is in no interface name that a rule can carry safely.
    Character(char),
}

impl FromStr for Interface {
    type Err = InterfaceError;

    fn from_str(text: &str) -> Result<Self, InterfaceError> {
        let name = text.strip_suffix('*').unwrap_or(text);
        if let Some(bad) =
            name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | ':')))
        {
            return Err(InterfaceError::Character(bad));
        }
        // The `*` takes a byte of the name, for nft too.
        match (name.len(), text.len()) {
            (0, _) => Err(InterfaceError::Empty),
            (_, 1..=Self::MAX_BYTES) => Ok(Self(text.into())),
            _ => Err(InterfaceError::TooLong),
        }
    }
}

/// The eight flags of a TCP header (RFC 9293, section 3.1), as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// FIN.
    pub const FIN: Self = Self(0x01);
    /// SYN.
    pub const SYN: Self = Self(0x02);
    /// RST.
    pub const RST: Self = Self(0x04);
    /// PSH.
    pub const PSH: Self = Self(0x08);
    /// ACK.
    pub const ACK: Self = Self(0x10);
    /// URG.
    pub const URG: Self = Self(0x20);
    /// ECE.
    pub const ECE: Self = Self(0x40);
    /// CWR.
    pub const CWR: Self = Self(0x80);

    /// Every flag with its name, in header order.
    pub const NAMED: [(&'static str, Self); 8] = [
        ("fin", Self::FIN),
        ("syn", Self::SYN),
        ("rst", Self::RST),
        ("psh", Self::PSH),
        ("ack", Self::ACK),
        ("urg", Self::URG),
        ("ece", Self::ECE),
        ("cwr", Self::CWR),
    ];

    /// The flags of header byte 13.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Header byte 13.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// All flags of either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags that both have.
    #[must_use]
    pub const fn masked(self, mask: Self) -> Self {
        Self(self.0 & mask.0)
    }

    /// Whether every flag of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for TcpFlags {
    /// Names joined by `|`, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, flag) in Self::NAMED {
            if self.has(flag) {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        if *self == Self::NONE { f.write_str("none") } else { Ok(()) }
    }
}

/// What a packet carries above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// A TCP segment.
    Tcp {
        /// Source port.
        from: u16,
        /// Destination port.
        to: u16,
        /// Its flags.
        flags: TcpFlags,
    },
    /// A UDP datagram.
    Udp {
        /// Source port.
        from: u16,
        /// Destination port.
        to: u16,
    },
    /// An ICMP or ICMPv6 message of the packet's own family.
    Icmp {
        /// Type, as numbered in RFC 792 or RFC 4443.
        kind: u8,
    },
}

/// The type of an echo request: 8 (RFC 792) or 128 (RFC 4443).
pub const fn echo_request_type(family: Family) -> u8 {
    match family {
        Family::V4 => 8,
        Family::V6 => 128,
    }
}

/// Bytes of the whole IP packet that `ping -s data` sends: 20 (RFC 791) or 40 (RFC 8200) bytes of
/// header, and 8 of ICMP.
pub const fn echo_packet_size(family: Family, data: u16) -> u16 {
    match family {
        Family::V4 => data.saturating_add(28),
        Family::V6 => data.saturating_add(48),
    }
}

/// Where a packet is going, as routing sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A unicast address of the gateway's own.
    Gateway,
    /// Another address: a host behind, or a multicast or broadcast group.
    Other(IpAddr),
}

/// A packet as it arrives from the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Source address; its family is the packet's.
    pub source: IpAddr,
    /// Destination.
    pub destination: Destination,
    /// Name of the interface it came in by.
    pub interface: Box<str>,
    /// What it carries.
    pub payload: Payload,
    /// Bytes of the whole IP packet, header included.
    pub size: u16,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
    /// One fragment of a larger packet, whose other fragments never come.
    pub fragment: bool,
    /// IPv6 extension headers stand before the payload.
    pub extension_headers: bool,
}

impl Packet {
    /// IPv4 or IPv6.
    pub fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// Protocol and destination port, where there is one.
    pub fn endpoint(&self) -> Option<(Transport, u16)> {
        match self.payload {
            Payload::Tcp { to, .. } => Some((Transport::Tcp, to)),
            Payload::Udp { to, .. } => Some((Transport::Udp, to)),
            Payload::Icmp { .. } => None,
        }
    }

    /// Source port, where there is one.
    pub fn source_port(&self) -> Option<u16> {
        match self.payload {
            Payload::Tcp { from, .. } | Payload::Udp { from, .. } => Some(from),
            Payload::Icmp { .. } => None,
        }
    }

    /// The number of what it carries (IANA, Protocol Numbers).
    pub fn protocol(&self) -> u8 {
        match (self.payload, self.family()) {
            (Payload::Tcp { .. }, _) => 6,
            (Payload::Udp { .. }, _) => 17,
            (Payload::Icmp { .. }, Family::V4) => 1,
            (Payload::Icmp { .. }, Family::V6) => 58,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_host_bits_says_what_was_meant() {
        let meant = "192.0.2.0/24".parse().unwrap();
        assert_eq!("192.0.2.7/24".parse::<Prefix>(), Err(PrefixError::HostBits(meant)));
    }

    #[test]
    fn prefixes_hold_their_own_family_only() {
        let all4: Prefix = "0.0.0.0/0".parse().unwrap();
        let all6: Prefix = "::/0".parse().unwrap();
        let v4 = "198.51.100.7".parse().unwrap();
        let v6 = "2001:db8::7".parse().unwrap();
        assert!(all4.contains(v4) && !all4.contains(v6));
        assert!(all6.contains(v6) && !all6.contains(v4));
        let net: Prefix = "2001:db8::/64".parse().unwrap();
        assert!(net.contains(v6) && all6.covers(net) && !net.covers(all6));
    }

    #[test]
    fn what_is_not_a_prefix_is_refused_for_its_own_reason() {
        for (text, error) in [
            ("fe80::1%eth0", PrefixError::Zone),
            ("192.0.2.0/33", PrefixError::BadLength),
            ("192.0.2.0/+3", PrefixError::BadLength),
            ("192.0.2", PrefixError::Malformed),
            ("example.org", PrefixError::Malformed),
            ("::/x", PrefixError::BadLength),
        ] {
            assert_eq!(text.parse::<Prefix>(), Err(error), "{text}");
        }
    }

    #[test]
    fn ports_are_numbers_from_1_to_65535() {
        assert_eq!("22".parse::<Port>().unwrap().number(), 22);
        assert_eq!("65535".parse::<Port>().unwrap().number(), 65535);
        for text in ["0", "65536", "-1", "99999999999"] {
            assert_eq!(text.parse::<Port>(), Err(PortError::OutOfRange), "{text}");
        }
        for text in ["", "ssh", "+22", " 22", "-"] {
            assert_eq!(text.parse::<Port>(), Err(PortError::NotANumber), "{text}");
        }
    }

    #[test]
    fn interface_names_fit_the_kernel_and_cannot_leave_their_quotes() {
        assert!("eth0".parse::<Interface>().is_ok());
        assert!("ppp*".parse::<Interface>().unwrap().matches("ppp12"));
        assert!(!"ppp".parse::<Interface>().unwrap().matches("ppp12"));
        assert_eq!("*".parse::<Interface>(), Err(InterfaceError::Empty));
        for long in ["an-interface-too-long", "fifteen-letters*"] {
            assert_eq!(long.parse::<Interface>(), Err(InterfaceError::TooLong));
        }
        assert_eq!("eth0;".parse::<Interface>(), Err(InterfaceError::Character(';')));
        assert_eq!("eth0\"".parse::<Interface>(), Err(InterfaceError::Character('"')));
    }
}
