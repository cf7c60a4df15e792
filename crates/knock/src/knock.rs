//! What one knock is, and how people write it.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// The most payload bytes of a [`Knock::Ping`]: with the IPv6 and ICMPv6 headers it fills an Ethernet frame of 1500
/// bytes. A larger request travels in fragments, and a fragment is no knock.
pub const LONGEST_PING: u16 = 1452;

/// One knock: the packet that a gateway counts.
///
/// Written `333`, `333/tcp`, `333:tcp`, `777/udp`, `100/ping` or `ping/100`; the protocol may stand on either side and
/// in either case. Shown as `333/tcp`, `777/udp` and `100/ping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Knock {
    /// A TCP SYN to this port.
    Tcp(NonZeroU16),
    /// An empty UDP datagram to this port.
    Udp(NonZeroU16),
    /// An ICMP echo request with this many bytes of payload.
    Ping(u16),
}

/// How a knock travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP, the protocol of a knock that names none.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or ICMPv6 echo.
    Ping,
}

impl Knock {
    /// Reads a knock; one that names no protocol gets `otherwise`.
    ///
    /// # Errors
    /// [`KnockError`] when the text is not a knock.
    pub fn parse(text: &str, otherwise: Protocol) -> Result<Self, KnockError> {
        let Some((left, right)) = text.split_once([':', '/']) else {
            return Self::from_number(otherwise, text);
        };
        match (Protocol::named(left), Protocol::named(right)) {
            (None, Some(protocol)) => Self::from_number(protocol, left),
            (Some(protocol), None) => Self::from_number(protocol, right),
            _ => Err(KnockError::UnknownProtocol { text: text.to_owned() }),
        }
    }

    fn from_number(protocol: Protocol, number: &str) -> Result<Self, KnockError> {
        match protocol {
            Protocol::Tcp => port(number).map(Self::Tcp),
            Protocol::Udp => port(number).map(Self::Udp),
            Protocol::Ping => ping_size(number).map(Self::Ping),
        }
    }

    /// How this knock travels.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Tcp(_) => Protocol::Tcp,
            Self::Udp(_) => Protocol::Udp,
            Self::Ping(_) => Protocol::Ping,
        }
    }

    /// The port, or the payload bytes of a ping.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Tcp(port) | Self::Udp(port) => port.get(),
            Self::Ping(size) => size,
        }
    }
}

impl Protocol {
    fn named(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Ping]
            .into_iter()
            .find(|protocol| text.eq_ignore_ascii_case(protocol.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Ping => "ping",
        }
    }
}

fn port(text: &str) -> Result<NonZeroU16, KnockError> {
    if !is_integer(text) {
        return Err(KnockError::NotANumber { text: text.to_owned() });
    }
    text.parse().map_err(|_| KnockError::NoSuchPort { text: text.to_owned() })
}

fn ping_size(text: &str) -> Result<u16, KnockError> {
    if !is_integer(text) {
        return Err(KnockError::NotANumber { text: text.to_owned() });
    }
    match text.parse() {
        Ok(size) if size <= LONGEST_PING => Ok(size),
        _ => Err(KnockError::NoSuchPing { text: text.to_owned() }),
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl FromStr for Knock {
    type Err = KnockError;

    fn from_str(text: &str) -> Result<Self, KnockError> {
        Self::parse(text, Protocol::Tcp)
    }
}

impl fmt::Display for Knock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.protocol())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is not a knock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnockError {
    /// A word where a number should be, such as the name of a service.
    NotANumber {
        /// What stood there.
        text: String,
    },
    /// A number that no port has.
    NoSuchPort {
        /// What stood there.
        text: String,
    },
    /// A ping whose size is negative or larger than [`LONGEST_PING`].
    NoSuchPing {
        /// What stood there.
        text: String,
    },
    /// Not exactly one of the two halves names a protocol.
    UnknownProtocol {
        /// The whole knock.
        text: String,
    },
}

impl fmt::Display for KnockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber { text } => write!(
                f,
                "`{text}` is not a number: service names are not looked up, write the port, as in 8000/tcp"
            ),
            Self::NoSuchPort { text } => write!(f, "`{text}` is not a port: ports are 1 to 65535"),
            Self::NoSuchPing { text } => {
                write!(f, "`{text}` is not the size of a ping: sizes are 0 to {LONGEST_PING} bytes")
            }
            Self::UnknownProtocol { text } => {
                write!(f, "`{text}` is not a knock: write 333/tcp, 777/udp or 100/ping")
            }
        }
    }
}

impl std::error::Error for KnockError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_shown_in_one_way() {
        for (text, shown) in [
            ("333", "333/tcp"),
            ("333/tcp", "333/tcp"),
            ("333:TCP", "333/tcp"),
            ("0333", "333/tcp"),
            ("65535:udp", "65535/udp"),
            ("udp/1", "1/udp"),
            ("100:ping", "100/ping"),
            ("ping/0", "0/ping"),
            ("1452/ping", "1452/ping"),
        ] {
            let knock: Knock = text.parse().unwrap();
            assert_eq!(knock.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(knock));
        }
    }

    #[test]
    fn a_knock_without_a_protocol_takes_the_one_it_is_given() {
        assert_eq!(Knock::parse("53", Protocol::Udp).unwrap().to_string(), "53/udp");
        assert_eq!(Knock::parse("53/tcp", Protocol::Udp).unwrap().to_string(), "53/tcp");
    }

    #[test]
    fn what_is_no_knock_is_refused_by_its_reason() {
        for (text, reason) in [
            ("0", "`0` is not a port"),
            ("65536/udp", "`65536` is not a port"),
            ("-1", "`-1` is not a port"),
            ("ssh", "service names are not looked up"),
            ("+333", "`+333` is not a number"),
            ("", "`` is not a number"),
            ("333/", "`333/` is not a knock"),
            ("333/sctp", "`333/sctp` is not a knock"),
            ("tcp/udp", "`tcp/udp` is not a knock"),
            ("333/tcp/udp", "`333/tcp/udp` is not a knock"),
            ("1453/ping", "sizes are 0 to 1452"),
        ] {
            let error = text.parse::<Knock>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
