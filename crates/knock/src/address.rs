//! From a host's name to the one address that every packet goes to.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// Which addresses of a host may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
    /// Whichever the resolver puts first.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    fn holds(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

impl FromStr for Family {
    type Err = UnknownFamily;

    fn from_str(text: &str) -> Result<Self, UnknownFamily> {
        match text {
            "any" => Ok(Self::Any),
            "4" => Ok(Self::V4),
            "6" => Ok(Self::V6),
            _ => Err(UnknownFamily { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "IPv4 or IPv6",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A text that names no [`Family`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFamily {
    text: String,
}

impl fmt::Display for UnknownFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an address family: write \"any\", \"4\" or \"6\"", self.text)
    }
}

impl std::error::Error for UnknownFamily {}

/// Looks a host up once: the first address of the family, in the resolver's order (RFC 6724).
///
/// `host` is a name or an address; an IPv6 address may stand in brackets. A link-local address with a zone is not
/// supported.
///
/// # Errors
/// [`ResolveError`] when the host is unknown or has no usable address of that family.
pub fn resolve(host: &str, family: Family) -> Result<IpAddr, ResolveError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<SocketAddr> = (bare, 0)
        .to_socket_addrs()
        .map_err(|error| ResolveError::UnknownHost { host: host.to_owned(), error })?
        .collect();
    let of_family = || addresses.iter().filter(|address| family.holds(address.ip()));
    if let Some(address) = of_family().find(|address| !has_zone(address)) {
        return Ok(address.ip());
    }
    Err(match of_family().next() {
        Some(_) => ResolveError::NeedsZone { host: host.to_owned() },
        None => ResolveError::NoAddress { host: host.to_owned(), family },
    })
}

fn has_zone(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0)
}

/// Why a host has no address to knock at.
#[derive(Debug)]
pub enum ResolveError {
    /// The resolver does not know the host, or could not be asked.
    UnknownHost {
        /// The host that was asked for.
        host: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// The host has link-local addresses only, and they are good on one interface each.
    NeedsZone {
        /// The host that was asked for.
        host: String,
    },
    /// The host is known, and has no address of this family.
    NoAddress {
        /// The host that was asked for.
        host: String,
        /// The family that was asked for.
        family: Family,
    },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHost { host, error } => write!(f, "cannot resolve host `{host}`: {error}"),
            Self::NeedsZone { host } => write!(f, "host `{host}` is link-local, which is not supported"),
            Self::NoAddress { host, family } => write!(f, "host `{host}` has no {family} address"),
        }
    }
}

impl std::error::Error for ResolveError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_own_name() {
        assert_eq!(resolve("192.0.2.7", Family::Any).unwrap().to_string(), "192.0.2.7");
        assert_eq!(resolve("[2001:db8::7]", Family::V6).unwrap().to_string(), "2001:db8::7");
    }

    #[test]
    fn an_address_of_the_other_family_is_refused() {
        let error = resolve("192.0.2.7", Family::V6).unwrap_err().to_string();
        assert!(error.contains("`192.0.2.7` has no IPv6 address"), "{error}");
        assert!(resolve("::1", Family::V4).is_err());
    }
}
