//! Saying a sequence: each knock on the wire, in order.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroU16;
use std::thread::sleep;
use std::time::Duration;

use crate::knock::Knock;
use crate::ping::{self, PingError};
use crate::sequence::Sequence;

/// How long a TCP knock keeps its socket. The SYN leaves at once, and Linux, macOS and Windows repeat it after a second
/// (RFC 6298, section 2.1), so a socket closed by then has put exactly one SYN on the wire.
const SYN_LIFETIME: Duration = Duration::from_millis(1);

/// Says the knocks of a sequence to a target, in order, and returns as soon as the last copy has left.
///
/// `tell` is called once for each knock, just before its first copy. Whether a knock arrived cannot be known: a gateway
/// that hides its ports answers none of them, and an answer (a refusal, say) is no error.
///
/// # Errors
/// [`SayError`] when a knock could not be sent. Those after it have not been said then.
pub fn say(target: IpAddr, sequence: &Sequence, tell: &mut dyn FnMut(Knock)) -> Result<(), SayError> {
    for (index, &knock) in sequence.knocks().iter().enumerate() {
        if index > 0 {
            sleep(sequence.rest());
        }
        tell(knock);
        say_copies(target, knock, sequence)?;
    }
    Ok(())
}

fn say_copies(target: IpAddr, knock: Knock, sequence: &Sequence) -> Result<(), SayError> {
    for copy in 0..sequence.copies() {
        if copy > 0 {
            sleep(sequence.spread());
        }
        let unsent = |error| SayError::Unsent { knock, target, error };
        match knock {
            Knock::Tcp(port) => send_syn(target, port).map_err(unsent)?,
            Knock::Udp(port) => send_datagram(target, port).map_err(unsent)?,
            Knock::Ping(size) => match ping::ping(target, size)? {
                ping::Outcome::Answered => break,
                ping::Outcome::Silent => {}
            },
        }
    }
    Ok(())
}

fn send_syn(target: IpAddr, port: NonZeroU16) -> io::Result<()> {
    match TcpStream::connect_timeout(&SocketAddr::new(target, port.get()), SYN_LIFETIME) {
        Ok(_) => Ok(()),
        Err(error) if may_be_an_answer(target, error.kind()) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A host on the same wire can answer within the SYN's lifetime: with a RST, or with an ICMP refusal, which Linux reports
/// as an unreachable host, or over IPv6 as a denied permission (icmp(7); `icmpv6_err_convert` in the kernel).
fn may_be_an_answer(target: IpAddr, kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, PermissionDenied, TimedOut, WouldBlock,
    };
    match kind {
        TimedOut | WouldBlock | ConnectionRefused | ConnectionReset | HostUnreachable => true,
        PermissionDenied => target.is_ipv6(),
        _ => false,
    }
}

fn send_datagram(target: IpAddr, port: NonZeroU16) -> io::Result<()> {
    let any: IpAddr = match target {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0))?.send_to(&[], (target, port.get())).map(|_| ())
}

/// Why a knock could not be sent.
#[derive(Debug)]
pub enum SayError {
    /// The system did not send it: there is no route, or a local rule forbids it.
    Unsent {
        /// The knock that was not sent.
        knock: Knock,
        /// Where it should have gone.
        target: IpAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system's `ping` did not send it.
    Ping(PingError),
}

impl From<PingError> for SayError {
    fn from(error: PingError) -> Self {
        Self::Ping(error)
    }
}

impl fmt::Display for SayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent { knock, target, error } => write!(f, "cannot send {knock} to {target}: {error}"),
            Self::Ping(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SayError {}
