//! The connection that somebody works over, and the connections that this host has.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// A TCP connection, by its two ends. IPv4 is told as such, whatever socket it arrived at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// Our end.
    pub local: SocketAddr,
    /// The other one.
    pub remote: SocketAddr,
}

impl Connection {
    /// Whether it never left this machine.
    pub fn is_inside(&self) -> bool {
        self.remote.ip().is_loopback() || self.remote.ip() == self.local.ip()
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.local, self.remote)
    }
}

impl FromStr for Connection {
    type Err = ();

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (local, remote) = text.split_once(" from ").ok_or(())?;
        Ok(Self { local: local.parse().map_err(drop)?, remote: remote.parse().map_err(drop)? })
    }
}

/// What sshd tells the programs of a session: client, its port, server, its port (`man 1 ssh`,
/// ENVIRONMENT).
const VARIABLE: &str = "SSH_CONNECTION";

/// Ancestors that are looked at. A process tree deeper than that is no shell of anybody's.
const MOST_ANCESTORS: usize = 256;

/// The connection of the ssh session that this process belongs to, as its environment tells or that of
/// the nearest ancestor which knows: sudo takes the variable away, but had it itself. Whether that
/// connection still stands is another question.
pub fn of_this_process() -> Option<Connection> {
    let mut process = std::process::id();
    for _ in 0..MOST_ANCESTORS {
        // What cannot be read is not ours to know; an ancestor above it may still be.
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        if let Some(told) = told(&environment) {
            return Some(told);
        }
        process = parent(process)?;
    }
    None
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    parent.trim().parse().ok().filter(|parent| *parent != 0)
}

/// The connection that an environment, as in `/proc/PID/environ`, tells.
fn told(environment: &[u8]) -> Option<Connection> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables
        .find_map(|variable| std::str::from_utf8(variable).ok()?.strip_prefix(VARIABLE)?.strip_prefix('='))?;
    let words: Vec<&str> = value.split(' ').collect();
    let [client, client_port, server, server_port] = words[..] else { return None };
    Some(Connection { local: end(server, server_port)?, remote: end(client, client_port)? })
}

fn end(address: &str, port: &str) -> Option<SocketAddr> {
    // A link-local address comes with its interface.
    let address = address.split_once('%').map_or(address, |(address, _)| address);
    Some(SocketAddr::new(address.parse::<IpAddr>().ok()?.to_canonical(), port.parse().ok()?))
}

/// Whether something is a connection that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Established,
    /// It is being made or ended.
    Other,
}

/// States of `/proc/net/tcp` (tcp_states.h).
const ESTABLISHED: &str = "01";
const TIME_WAIT: &str = "06";
const LISTEN: &str = "0A";

/// Every TCP connection of the network namespace, whatever state it is in. A port that waits for
/// connections is none, nor is one that only remembers its end.
pub fn connections() -> io::Result<BTreeSet<Connection>> {
    Ok(all()?.into_iter().map(|(connection, _)| connection).collect())
}

/// Whether a connection stands in this network namespace.
pub fn stands(connection: &Connection) -> io::Result<bool> {
    Ok(all()?.contains(&(*connection, State::Established)))
}

fn all() -> io::Result<Vec<(Connection, State)>> {
    let mut found = vec![];
    for table in ["tcp", "tcp6"] {
        let path = PathBuf::from("/proc/thread-self/net").join(table);
        match fs::read_to_string(path) {
            Ok(text) => found.extend(text.lines().skip(1).filter_map(row)),
            // Of a kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// `0: 0100007F:0016 0100007F:A1B2 01 ...` (`man 5 proc`, /proc/net/tcp).
fn row(line: &str) -> Option<(Connection, State)> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
    let state = match state {
        LISTEN | TIME_WAIT => return None,
        ESTABLISHED => State::Established,
        _ => State::Other,
    };
    Some((Connection { local: hex(local)?, remote: hex(remote)? }, state))
}

fn hex(end: &str) -> Option<SocketAddr> {
    let (address, port) = end.split_once(':')?;
    // Words of 32 bits as they lie in memory.
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_sshd_tells_is_read_from_an_environment() {
        let read = |value: &str| told(format!("HOME=/root\0SSH_CONNECTION={value}\0TERM=dumb\0").as_bytes());
        let says = |local: &str, remote: &str| {
            Some(Connection { local: local.parse().unwrap(), remote: remote.parse().unwrap() })
        };
        assert_eq!(read("192.0.2.5 4242 192.0.2.1 22"), says("192.0.2.1:22", "192.0.2.5:4242"));
        assert_eq!(read("2001:db8::5 4242 2001:db8::1 22"), says("[2001:db8::1]:22", "[2001:db8::5]:4242"));
        assert_eq!(read("fe80::5%eth0 4242 fe80::1%eth0 22"), says("[fe80::1]:22", "[fe80::5]:4242"));
        assert_eq!(read("::ffff:192.0.2.5 4242 192.0.2.1 22"), says("192.0.2.1:22", "192.0.2.5:4242"));
        for odd in ["", "UNKNOWN 65535 UNKNOWN 65535", "192.0.2.5 4242 192.0.2.1", "a b c d"] {
            assert_eq!(read(odd), None, "{odd}");
        }
        assert_eq!(told(b"NOT_SSH_CONNECTION=1 2 3 4\0"), None);
    }

    #[test]
    fn a_connection_stands_over_either_family_until_it_is_closed() {
        for (listen, connect) in [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("[::1]:0", "::1")] {
            let listener = TcpListener::bind(listen).expect("a free port of loopback");
            let port = listener.local_addr().expect("it is bound").port();
            let client = TcpStream::connect((connect, port)).expect("somebody listens");
            let connection = Connection {
                local: SocketAddr::new(connect.parse().unwrap(), port),
                remote: client.local_addr().expect("it is connected"),
            };
            assert!(stands(&connection).unwrap() && connections().unwrap().contains(&connection), "{listen}");
            assert_eq!(connection.to_string().parse(), Ok(connection));
            let other = Connection { local: connection.remote, ..connection };
            assert!(!stands(&other).unwrap());
            drop((client, listener));
            assert!(!stands(&connection).unwrap(), "{listen}");
        }
    }
}
