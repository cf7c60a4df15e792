//! Knocking until the door opens.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::knock::{Knock, KnockError};
use crate::say::{SayError, say};
use crate::sequence::Sequence;

/// The first try after each round. A gateway that runs a command to open the door needs a moment, and the SYN that came too
/// early is repeated only after a second; a short try and a new one is quicker.
const SHORT_TRY: Duration = Duration::from_millis(250);
/// The second try of the first round; it doubles with each round.
const FIRST_LONG_TRY: Duration = Duration::from_secs(1);
/// Where it stops doubling: longer than the cooldown that a wrong knock usually costs.
const LONGEST_TRY: Duration = Duration::from_secs(12);

/// The TCP port that shows whether the door is open. Written `22`, `22/tcp` or `22:tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitPort(NonZeroU16);

impl WaitPort {
    /// The port's number.
    #[must_use]
    pub fn port(self) -> NonZeroU16 {
        self.0
    }
}

impl FromStr for WaitPort {
    type Err = WaitPortError;

    fn from_str(text: &str) -> Result<Self, WaitPortError> {
        match text.parse().map_err(WaitPortError::NotAPort)? {
            Knock::Tcp(port) => Ok(Self(port)),
            Knock::Udp(_) | Knock::Ping(_) => Err(WaitPortError::NotTcp { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for WaitPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/tcp", self.0)
    }
}

/// Why a text names no port that can be waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitPortError {
    /// It is not a port.
    NotAPort(KnockError),
    /// It is a UDP port or a ping.
    NotTcp {
        /// What stood there.
        text: String,
    },
}

impl fmt::Display for WaitPortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPort(error) => error.fmt(f),
            Self::NotTcp { text } => write!(
                f,
                "`{text}` cannot be waited for, only a TCP port can: nothing tells an open UDP port from a closed one"
            ),
        }
    }
}

impl std::error::Error for WaitPortError {}

/// Knocks until a TCP connection to `door` succeeds, and returns the connection.
///
/// Each round says the sequence and then tries the door, for 1.25 s in the first round and about twice as long in each
/// further one. `tell` is called as in [`say`]. `limit` bounds the whole.
///
/// # Errors
/// [`WaitError::LimitTooShort`] before anything is sent, [`WaitError::Unsaid`] when a knock could not be sent, and
/// [`WaitError::NeverOpened`] when the limit is over.
pub fn wait_open(
    target: IpAddr,
    door: WaitPort,
    sequence: &Sequence,
    limit: Duration,
    tell: &mut dyn FnMut(Knock),
) -> Result<TcpStream, WaitError> {
    let started = Instant::now();
    let left = || limit.saturating_sub(started.elapsed());
    let round_needs = sequence.duration() + SHORT_TRY;
    if limit < round_needs {
        return Err(WaitError::LimitTooShort { limit, needed: round_needs });
    }
    let address = SocketAddr::new(target, door.port().get());
    let mut long_try = FIRST_LONG_TRY;
    let mut rounds = 0;
    loop {
        say(target, sequence, tell)?;
        rounds += 1;
        let error = match try_door(address, left().min(SHORT_TRY))
            .or_else(|_| try_door(address, left().min(long_try)))
        {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        if left() < round_needs {
            return Err(WaitError::NeverOpened { target, door, rounds, error });
        }
        long_try = (long_try * 2).min(LONGEST_TRY);
    }
}

/// Connects, and takes the whole time to fail: a door that refuses now may be opening.
fn try_door(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    if patience.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let started = Instant::now();
    TcpStream::connect_timeout(&address, patience)
        .inspect_err(|_| sleep(patience.saturating_sub(started.elapsed())))
}

/// Why no connection came about.
#[derive(Debug)]
pub enum WaitError {
    /// Not even one round fits into the limit.
    LimitTooShort {
        /// The limit that was given.
        limit: Duration,
        /// What one round needs.
        needed: Duration,
    },
    /// A knock could not be sent.
    Unsaid(SayError),
    /// The door stayed shut.
    NeverOpened {
        /// The address that was knocked at.
        target: IpAddr,
        /// The port that was tried.
        door: WaitPort,
        /// How often the sequence was said.
        rounds: u32,
        /// How the last try ended.
        error: io::Error,
    },
}

impl From<SayError> for WaitError {
    fn from(error: SayError) -> Self {
        Self::Unsaid(error)
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitTooShort { limit, needed } => {
                write!(
                    f,
                    "a limit of {limit:?} is too short: knocking once and trying the door takes {needed:?}"
                )
            }
            Self::Unsaid(error) => error.fmt(f),
            Self::NeverOpened { target, door, rounds, error } => {
                let times = if *rounds == 1 { "time" } else { "times" };
                write!(f, "{door} at {target} did not open after knocking {rounds} {times}: {error}")
            }
        }
    }
}

impl std::error::Error for WaitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tcp_port_can_be_waited_for() {
        assert_eq!("22".parse::<WaitPort>().unwrap().to_string(), "22/tcp");
        assert_eq!("22/tcp".parse::<WaitPort>().unwrap(), "22:tcp".parse().unwrap());
        let error = "53/udp".parse::<WaitPort>().unwrap_err().to_string();
        assert!(error.contains("only a TCP port can"), "{error}");
        assert!("ssh".parse::<WaitPort>().unwrap_err().to_string().contains("service names"));
    }

    #[test]
    fn a_limit_shorter_than_a_round_is_refused_before_anything_is_said() {
        let gap = Duration::from_secs(1);
        let knocks = vec!["9/udp".parse().unwrap(), "10/udp".parse().unwrap()];
        let sequence = Sequence::new(knocks, gap, 1).unwrap();
        let mut told = 0;
        let result = wait_open(
            IpAddr::from([127, 0, 0, 1]),
            "22".parse().unwrap(),
            &sequence,
            Duration::from_secs(1),
            &mut |_| told += 1,
        );
        assert!(matches!(result, Err(WaitError::LimitTooShort { .. })));
        assert_eq!(told, 0);
    }
}
