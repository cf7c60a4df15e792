//! What the command line and the profiles together ask for.

use std::fmt;
use std::time::Duration;

use knock::{
    AmbiguousHost, DEFAULT_GAP, Family, Knock, KnockError, Profile, ProfileError, Profiles, Protocol,
    Sequence, SequenceError, WaitPort, WaitPortError,
};

use crate::cli::Cli;

/// One, unlike in a profile: this command line is knockd's too, and knockd takes a repeat for a wrong knock.
const DEFAULT_COPIES: u8 = 1;
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// What to do, with nothing left to look up but the host's address.
#[derive(Debug)]
pub struct Request {
    pub host: String,
    pub family: Family,
    pub sequence: Sequence,
    pub errand: Errand,
}

/// What to do beyond knocking.
#[derive(Debug, Clone, Copy)]
pub enum Errand {
    Knock,
    Wait { port: WaitPort, limit: Duration },
    Proxy { port: WaitPort, limit: Duration },
}

impl Request {
    /// Joins the command line with the profile it names, if it does; `profiles` is called only when no knocks are given.
    pub fn new(
        cli: &Cli,
        profiles: impl FnOnce() -> Result<Profiles, ProfileError>,
    ) -> Result<Self, RequestError> {
        let host = cli.host.as_deref().unwrap_or_default();
        let (proxy_port, knocks) = if cli.proxy {
            let (port, knocks) = cli.knocks.split_first().ok_or(RequestError::NoProxyPort)?;
            (Some(port.parse().map_err(RequestError::Port)?), knocks)
        } else {
            (None, &cli.knocks[..])
        };
        if !knocks.is_empty() {
            return Self::spelled_out(cli, host, knocks, proxy_port);
        }
        let profiles = profiles().map_err(RequestError::Profiles)?;
        let profile = choose(&profiles, host, proxy_port)?;
        Self::from_profile(cli, profile, proxy_port)
    }

    fn spelled_out(
        cli: &Cli,
        host: &str,
        knocks: &[String],
        proxy_port: Option<WaitPort>,
    ) -> Result<Self, RequestError> {
        let otherwise = if cli.udp { Protocol::Udp } else { Protocol::Tcp };
        let knocks = knocks
            .iter()
            .map(|text| Knock::parse(text, otherwise))
            .collect::<Result<_, _>>()
            .map_err(RequestError::Knock)?;
        let gap = gap(cli).unwrap_or(DEFAULT_GAP);
        let sequence = Sequence::new(knocks, gap, cli.copies.unwrap_or(DEFAULT_COPIES))
            .map_err(RequestError::Sequence)?;
        let family = family(cli).unwrap_or_default();
        Ok(Self { host: host.to_owned(), family, sequence, errand: errand(cli, cli.wait, proxy_port)? })
    }

    fn from_profile(
        cli: &Cli,
        profile: &Profile,
        proxy_port: Option<WaitPort>,
    ) -> Result<Self, RequestError> {
        if cli.udp {
            return Err(RequestError::UdpWithProfile { name: profile.name.clone() });
        }
        let theirs = &profile.sequence;
        let sequence = Sequence::new(
            theirs.knocks().to_vec(),
            gap(cli).unwrap_or(theirs.gap()),
            cli.copies.unwrap_or(theirs.copies()),
        )
        .map_err(RequestError::Sequence)?;
        Ok(Self {
            host: profile.host.clone(),
            family: family(cli).unwrap_or(profile.family),
            sequence,
            errand: errand(cli, cli.wait.or(profile.wait), proxy_port)?,
        })
    }
}

fn choose<'a>(
    profiles: &'a Profiles,
    host: &str,
    proxy_port: Option<WaitPort>,
) -> Result<&'a Profile, RequestError> {
    let by_host = match (profiles.named(host), proxy_port) {
        (Some(profile), _) => return Ok(profile),
        (None, None) => None,
        (None, Some(port)) => profiles.for_host(host, port.port()).map_err(RequestError::Ambiguous)?,
    };
    by_host.ok_or_else(|| RequestError::NoKnocks { host: host.to_owned() })
}

fn gap(cli: &Cli) -> Option<Duration> {
    cli.delay.map(Duration::from_millis)
}

fn family(cli: &Cli) -> Option<Family> {
    match (cli.ipv4, cli.ipv6) {
        (true, _) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        (false, false) => None,
    }
}

fn errand(cli: &Cli, wait: Option<WaitPort>, proxy_port: Option<WaitPort>) -> Result<Errand, RequestError> {
    let limit = cli.limit.unwrap_or(DEFAULT_LIMIT);
    match (proxy_port, wait) {
        (Some(port), _) => Ok(Errand::Proxy { port, limit }),
        (None, Some(port)) => Ok(Errand::Wait { port, limit }),
        (None, None) if cli.limit.is_some() => Err(RequestError::NothingToLimit),
        (None, None) => Ok(Errand::Knock),
    }
}

/// Why a command line asks for nothing that can be done.
#[derive(Debug)]
pub enum RequestError {
    NoKnocks { host: String },
    NoProxyPort,
    NothingToLimit,
    UdpWithProfile { name: String },
    Knock(KnockError),
    Port(WaitPortError),
    Sequence(SequenceError),
    Profiles(ProfileError),
    Ambiguous(AmbiguousHost),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKnocks { host } => write!(f, "no knocks are given, and there is no profile for `{host}`"),
            Self::NoProxyPort => f.write_str("--proxy needs the port to connect to after the host"),
            Self::NothingToLimit => f.write_str("--limit bounds --wait or --proxy, and neither is given"),
            Self::UdpWithProfile { name } => {
                write!(f, "--udp is for knocks on the command line: profile `{name}` has its own")
            }
            Self::Knock(error) => error.fmt(f),
            Self::Port(error) => error.fmt(f),
            Self::Sequence(error) => error.fmt(f),
            Self::Profiles(error) => error.fmt(f),
            Self::Ambiguous(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}
