//! What is done, one act after the other, each from addresses of its own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use knockgate_compiler::net::{Endpoint, Family, Packet, Port, Transport};
use knockgate_compiler::policy::{Door, Knock, Policy, Service};
use knockgate_compiler::program::ListId;
use knockgate_compiler::random::Rng;
use knockgate_compiler::sim::{Fate, Simulator};
use knockgate_compiler::time::Moment;

use super::packets::RawSocket;
use super::stage::{Session, Stage, open};
use super::{MOST_DOORS, Outcome, Piece, RehearsalError, Seen};
use crate::lab::Namespace;
use crate::target::nft;

/// Between two knocks of an act.
const GAP: Duration = Duration::from_millis(30);
/// Beyond an expiry, so that a busy machine does not blur it.
const MARGIN: Duration = Duration::from_millis(250);
/// Packets of a sweep that may be on their way at once.
const UNSEEN: u64 = 128;

/// In which order a sweep goes through the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Up,
    Down,
    Random,
}

/// One thing to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A stranger connects to a door's service.
    Strange(usize),
    /// The owner knocks with the real client, and connects.
    Knock(usize, Family),
    /// The owner knocks at the next service of a door that is open already.
    Further(usize, usize),
    /// The grant has run out: a new connection.
    Expired(usize),
    /// The connection from before goes on.
    GoesOn(usize),
    /// A wrong knock among the right ones.
    Wrong(usize),
    /// One knock too late.
    Slow(usize),
    /// A stranger says what it has overheard.
    Replay(usize),
    /// A public port.
    Public(Endpoint),
    /// Every TCP port, one packet each.
    Sweep(Order),
    /// What people scan with.
    Nmap,
    /// Enough traps for a ban, then the right knock.
    Trapped(usize),
    /// The ban has run out: the right knock.
    Forgiven(usize),
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strange(_) => f.write_str("a stranger connects"),
            Self::Knock(_, Family::V4) => f.write_str("the owner knocks and connects"),
            Self::Knock(_, Family::V6) => f.write_str("the owner knocks and connects over IPv6"),
            Self::Further(..) => f.write_str("the owner connects to the next service"),
            Self::Expired(_) => f.write_str("the grant has run out: the owner connects again"),
            Self::GoesOn(_) => f.write_str("the connection from before is used"),
            Self::Wrong(_) => f.write_str("a wrong knock among the right ones"),
            Self::Slow(_) => f.write_str("the right knocks, the last one too late"),
            Self::Replay(_) => f.write_str("a stranger repeats what it overheard"),
            Self::Public(endpoint) => write!(f, "a stranger connects to {endpoint}, which is public"),
            Self::Sweep(Order::Up) => f.write_str("a sweep from port 1 to 65535"),
            Self::Sweep(Order::Down) => f.write_str("a sweep from port 65535 to 1"),
            Self::Sweep(Order::Random) => f.write_str("a sweep in random order"),
            Self::Nmap => f.write_str("nmap over its thousand ports"),
            Self::Trapped(_) => f.write_str("enough traps for a ban, then the right knocks"),
            Self::Forgiven(_) => f.write_str("the ban has run out: the right knocks"),
        }
    }
}

/// What an act leaves for a later one.
#[derive(Debug)]
struct Held {
    session: Option<Session>,
    from: IpAddr,
    to: SocketAddr,
    /// When its grant is surely over.
    over: Instant,
}

/// A rehearsal that is going on.
pub(super) struct Play<'s> {
    stage: &'s Stage,
    policy: &'s Policy,
    /// The list of who is banned, and its set for IPv4.
    bans: Option<(ListId, String)>,
    simulator: Simulator<'s>,
    began: Instant,
    packets: u64,
    seed: u64,
    /// How many addresses were used up.
    used: u8,
    held: Option<Held>,
    /// Who was banned in the act before, and when that is surely over.
    banned: Option<(Ipv4Addr, Instant)>,
    /// Packets of the current act with what the simulator makes of them.
    played: Vec<(Packet, Fate)>,
}

impl<'s> Play<'s> {
    pub(super) fn new(stage: &'s Stage, piece: &'s Piece, seed: u64) -> Self {
        let Piece { doors: policy, program, bans } = piece;
        Self {
            stage,
            policy,
            bans: bans.and_then(|list| Some((list, format!("{}4", program[program[list].timed?.pool].name)))),
            simulator: Simulator::new(program),
            began: Instant::now(),
            packets: 0,
            seed,
            used: 0,
            held: None,
            banned: None,
            played: vec![],
        }
    }

    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    pub(super) fn has_nmap(&self) -> bool {
        Command::new("nmap").arg("--version").output().is_ok_and(|output| output.status.success())
    }

    /// All that this policy gives reason to try.
    pub(super) fn acts(&self) -> Vec<Act> {
        let mut acts = vec![];
        for (index, door) in self.policy.doors().iter().enumerate().take(MOST_DOORS) {
            if self.reach(door, Family::V4).is_some() {
                acts.push(Act::Strange(index));
                acts.push(Act::Knock(index, Family::V4));
                let further = (1..door.services.len().min(4))
                    .filter(|service| self.stage.reach(&door.services[*service], Family::V4).is_some());
                acts.extend(further.map(|service| Act::Further(index, service)));
                acts.extend([Act::Expired(index), Act::GoesOn(index), Act::Wrong(index)]);
                if door.sequence.steps().len() > 1 {
                    acts.push(Act::Slow(index));
                }
                acts.push(Act::Replay(index));
            }
            if self.reach(door, Family::V6).is_some() {
                acts.push(Act::Knock(index, Family::V6));
            }
        }
        acts.extend(self.policy.public().iter().take(4).map(|endpoint| Act::Public(*endpoint)));
        acts.extend([Order::Up, Order::Down, Order::Random].map(Act::Sweep));
        if self.has_nmap() {
            acts.push(Act::Nmap);
        }
        let doors = self.policy.doors();
        let first = doors.iter().position(|door| self.reach(door, Family::V4).is_some());
        if let (Some(_), Some(door)) = (self.policy.traps(), first) {
            acts.extend([Act::Trapped(door), Act::Forgiven(door)]);
        }
        acts
    }

    /// Does it, and says what came of it; nothing where the act before left nothing to go on with.
    pub(super) fn perform(&mut self, act: &Act) -> Result<Option<Outcome>, RehearsalError> {
        let (foretold, happened) = match act {
            Act::Strange(door) => {
                let from = self.next_stranger().into();
                self.try_door(*door, Family::V4, from, |stage| &stage.stranger)?
            }
            Act::Knock(door, family) => self.knock(*door, *family)?,
            Act::Further(door, service) => self.further(*door, *service)?,
            Act::Expired(_) => self.expired()?,
            Act::GoesOn(_) => self.goes_on()?,
            Act::Wrong(door) => self.wrong(*door)?,
            Act::Slow(door) => self.slow(*door)?,
            Act::Replay(door) => {
                let from = self.next_stranger();
                let knocks = self.policy.doors()[*door].sequence.knocks().collect();
                self.say(|stage| &stage.stranger, from, knocks)?;
                self.try_door(*door, Family::V4, from.into(), |stage| &stage.stranger)?
            }
            Act::Public(endpoint) => self.public(*endpoint)?,
            Act::Sweep(order) => self.sweep(*order)?,
            Act::Nmap => self.nmap()?,
            Act::Trapped(door) => self.trapped(*door)?,
            Act::Forgiven(door) => self.forgiven(*door)?,
        };
        let seen = foretold != Seen::default() || happened != Seen::default();
        let outcome =
            Outcome { scene: self.scene(act), act: act.to_string(), foretold, happened, note: note(act) };
        Ok(seen.then_some(outcome))
    }

    fn scene(&self, act: &Act) -> String {
        match act {
            Act::Strange(door)
            | Act::Knock(door, _)
            | Act::Further(door, _)
            | Act::Expired(door)
            | Act::GoesOn(door)
            | Act::Wrong(door)
            | Act::Slow(door)
            | Act::Replay(door) => format!("door {}", self.policy.doors()[*door].name),
            Act::Public(_) | Act::Sweep(_) | Act::Nmap => "strangers".to_owned(),
            Act::Trapped(_) | Act::Forgiven(_) => "traps".to_owned(),
        }
    }

    fn next_number(&mut self) -> u8 {
        self.used = self.used.wrapping_add(1);
        self.used
    }

    fn next_stranger(&mut self) -> Ipv4Addr {
        let number = self.next_number();
        self.stage.stranger_v4(number)
    }

    fn next_owner(&mut self) -> Ipv4Addr {
        let number = self.next_number();
        match self.stage.owner_address(Family::V4, number) {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => self.stage.gateway_v4(),
        }
    }

    fn reach(&self, door: &'s Door, family: Family) -> Option<(&'s Service, SocketAddr)> {
        door.services.iter().find_map(|service| Some((service, self.stage.reach(service, family)?)))
    }

    /// Plays to the simulator what has arrived since the last time.
    fn catch_up(&mut self) -> Result<(), RehearsalError> {
        let marker = self.stage.mark()?;
        for (at, packet) in self.stage.capture.up_to(marker)? {
            let now = self.moment(at);
            let fate = self.simulator.play(now, &packet).fate;
            self.packets += 1;
            self.played.push((packet, fate));
        }
        Ok(())
    }

    fn moment(&self, at: Instant) -> Moment {
        let elapsed = at.saturating_duration_since(self.began);
        Moment::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    /// What the simulator says of the last packet from `from` to that port.
    fn fate(&self, from: IpAddr, transport: Transport, port: u16) -> Option<bool> {
        let is_it = |packet: &Packet| packet.source == from && packet.endpoint() == Some((transport, port));
        self.played.iter().rev().find(|(packet, _)| is_it(packet)).map(|(_, fate)| *fate == Fate::Accept)
    }

    /// What the simulator says of the first packet of the last connection from `from` to that port.
    fn connects(
        &mut self,
        from: IpAddr,
        transport: Transport,
        port: u16,
    ) -> Result<Option<bool>, RehearsalError> {
        self.catch_up()?;
        let fate = self.fate(from, transport, port);
        self.played.clear();
        Ok(fate)
    }

    fn banned(&self, source: IpAddr) -> Result<(Option<bool>, Option<bool>), RehearsalError> {
        let Some((list, set)) = &self.bans else { return Ok((None, None)) };
        let now = self.moment(Instant::now());
        let foretold = self.simulator.members(*list, now).iter().any(|entry| entry.source == source);
        let set = set.clone();
        let (members, _) = self.stage.gateway.run(move || nft::some(&set, nft::Shape::Points, usize::MAX))?;
        let happened = members.iter().any(|element| element.first == source);
        Ok((Some(foretold), Some(happened)))
    }

    fn try_door(
        &mut self,
        door: usize,
        family: Family,
        from: IpAddr,
        actor: fn(&Stage) -> &Namespace,
    ) -> Result<(Seen, Seen), RehearsalError> {
        let policy = self.policy;
        let Some((service, to)) = self.reach(&policy.doors()[door], family) else {
            return Ok((Seen::default(), Seen::default()));
        };
        self.try_service(service.endpoint.transport, from, to, actor).map(|(seen, _)| seen)
    }

    fn try_service(
        &mut self,
        transport: Transport,
        from: IpAddr,
        to: SocketAddr,
        actor: fn(&Stage) -> &Namespace,
    ) -> Result<((Seen, Seen), Option<Session>), RehearsalError> {
        let session = open(actor(self.stage), from, to, transport)?;
        let happened = Seen { open: Some(session.is_some()), ..Seen::default() };
        let foretold = Seen { open: self.connects(from, transport, to.port())?, ..Seen::default() };
        Ok(((foretold, happened), session))
    }

    fn knock(&mut self, door: usize, family: Family) -> Result<(Seen, Seen), RehearsalError> {
        let policy = self.policy;
        let door = &policy.doors()[door];
        let Some((service, to)) = self.reach(door, family) else {
            return Ok((Seen::default(), Seen::default()));
        };
        let transport = service.endpoint.transport;
        let sequence = client_sequence(door)?;
        let target = self.stage.gateway_address(family);
        let said = self.stage.owner.run(move || knock::say(target, &sequence, &mut |_| ()));
        said.map_err(|error| RehearsalError::Knock(error.to_string()))?;
        let knocked = Instant::now();
        // The client leaves the choice of its address to the system, as clients do.
        let from = self.speaker(family)?;
        let (seen, session) = self.try_service(transport, from, to, |stage| &stage.owner)?;
        let over = knocked + door.grant.as_duration() + MARGIN;
        self.held = Some(Held { session, from, to, over });
        Ok(seen)
    }

    /// The address that the owner's system speaks to the gateway with.
    fn speaker(&self, family: Family) -> Result<IpAddr, RehearsalError> {
        let target = SocketAddr::new(self.stage.gateway_address(family), 9);
        let local = self.stage.owner.run(move || {
            let any: SocketAddr = match target {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = std::net::UdpSocket::bind(any)?;
            socket.connect(target)?;
            socket.local_addr()
        });
        local.map(|local| local.ip()).map_err(RehearsalError::Io)
    }

    fn further(&mut self, door: usize, service: usize) -> Result<(Seen, Seen), RehearsalError> {
        let policy = self.policy;
        let service = &policy.doors()[door].services[service];
        let from = self.held.as_ref().map(|held| held.from);
        let (Some(from), Some(to)) = (from, self.stage.reach(service, Family::V4)) else {
            return Ok((Seen::default(), Seen::default()));
        };
        let (seen, _) = self.try_service(service.endpoint.transport, from, to, |stage| &stage.owner)?;
        Ok(seen)
    }

    fn expired(&mut self) -> Result<(Seen, Seen), RehearsalError> {
        let Some(Held { from, to, over, .. }) = &self.held else {
            return Ok((Seen::default(), Seen::default()));
        };
        let (from, to) = (*from, *to);
        wait_until(*over);
        let transport = self.transport_at(to.port());
        let (seen, _) = self.try_service(transport, from, to, |stage| &stage.owner)?;
        Ok(seen)
    }

    /// Of the services that acts connect to, the one at `port`.
    fn transport_at(&self, port: u16) -> Transport {
        let services = self.policy.doors().iter().flat_map(|door| &door.services);
        let found = services.map(|service| service.endpoint).find(|endpoint| endpoint.port.number() == port);
        found.map_or(Transport::Tcp, |endpoint| endpoint.transport)
    }

    fn goes_on(&mut self) -> Result<(Seen, Seen), RehearsalError> {
        let Some(Held { session: Some(session), from, to, .. }) = self.held.take() else {
            return Ok((Seen::default(), Seen::default()));
        };
        let goes_on = session.is_answered()?;
        self.catch_up()?;
        let foretold = self.fate(from, self.transport_at(to.port()), to.port());
        self.played.clear();
        let seen = |goes_on| Seen { goes_on, ..Seen::default() };
        Ok((seen(foretold), seen(Some(goes_on))))
    }

    fn wrong(&mut self, door: usize) -> Result<(Seen, Seen), RehearsalError> {
        let from = self.next_owner();
        let mut knocks: Vec<Knock> = self.policy.doors()[door].sequence.knocks().collect();
        knocks.insert(knocks.len() - 1, self.unused_knock());
        self.say(|stage| &stage.owner, from, knocks)?;
        self.try_door(door, Family::V4, from.into(), |stage| &stage.owner)
    }

    /// A knock that has no meaning to the policy.
    fn unused_knock(&self) -> Knock {
        let mut ports = (1..=u16::MAX).rev().filter_map(Port::new);
        let doors = self.policy.doors();
        let is_used = |endpoint: Endpoint| {
            let knocks = doors.iter().any(|door| door.sequence.knocks().any(|k| k == Knock::Port(endpoint)));
            let services = doors.iter().flat_map(|d| &d.services).any(|s| s.on_gateway() == Some(endpoint));
            let traps = self.policy.traps().is_some_and(|traps| traps.ports.contains(&endpoint));
            knocks || services || traps || self.policy.public().contains(&endpoint)
        };
        let transport = doors
            .iter()
            .flat_map(|door| door.sequence.knocks())
            .find_map(|knock| match knock {
                Knock::Port(endpoint) => Some(endpoint.transport),
                Knock::Ping(_) => None,
            })
            .unwrap_or(Transport::Tcp);
        let endpoint = ports.find_map(|port| Some(Endpoint { transport, port }).filter(|e| !is_used(*e)));
        Knock::Port(endpoint.expect("a policy uses far fewer than 65,535 ports"))
    }

    fn slow(&mut self, door: usize) -> Result<(Seen, Seen), RehearsalError> {
        let from = self.next_owner();
        let steps = self.policy.doors()[door].sequence.steps();
        let (last, before) = steps.split_last().expect("a sequence has a knock");
        self.say(|stage| &stage.owner, from, before.iter().map(|step| step.knock).collect())?;
        wait_until(Instant::now() + last.window.as_duration() + MARGIN);
        self.say(|stage| &stage.owner, from, vec![last.knock])?;
        self.try_door(door, Family::V4, from.into(), |stage| &stage.owner)
    }

    /// Says knocks from an address, one after the other.
    fn say(
        &self,
        actor: fn(&Stage) -> &Namespace,
        from: Ipv4Addr,
        knocks: Vec<Knock>,
    ) -> Result<(), RehearsalError> {
        let to = self.stage.gateway_v4();
        actor(self.stage)
            .run(move || {
                let socket = RawSocket::open()?;
                for knock in knocks {
                    socket.knock(from, to, knock)?;
                    thread::sleep(GAP);
                }
                Ok(())
            })
            .map_err(RehearsalError::Socket)
    }

    fn public(&mut self, endpoint: Endpoint) -> Result<(Seen, Seen), RehearsalError> {
        let from = IpAddr::from(self.next_stranger());
        let to = SocketAddr::new(self.stage.gateway_v4().into(), endpoint.port.number());
        let (seen, _) = self.try_service(endpoint.transport, from, to, |stage| &stage.stranger)?;
        Ok(seen)
    }

    fn sweep(&mut self, order: Order) -> Result<(Seen, Seen), RehearsalError> {
        let from = self.next_stranger();
        let ports = Arc::new(ports_in(order, self.seed));
        let to = self.stage.gateway_v4();
        // Arrivals pace the sending, a slice of the ports at a time.
        let before = self.stage.capture.seen();
        let slice = usize::try_from(UNSEEN).unwrap_or(1);
        for start in (0..ports.len()).step_by(slice) {
            let ports = Arc::clone(&ports);
            let sent = self.stage.stranger.run(move || {
                let socket = RawSocket::open()?;
                let end = ports.len().min(start + slice);
                for port in &ports[start..end] {
                    let endpoint = Endpoint { transport: Transport::Tcp, port: *port };
                    socket.knock(from, to, Knock::Port(endpoint))?;
                }
                Ok(u64::try_from(end).unwrap_or(u64::MAX))
            });
            self.stage.capture.wait_for(before + sent.map_err(RehearsalError::Socket)?)?;
        }
        self.after_scan(from)
    }

    /// Whether a scanner has opened a door by accident, and whether it is banned.
    fn after_scan(&mut self, from: Ipv4Addr) -> Result<(Seen, Seen), RehearsalError> {
        self.catch_up()?;
        let (banned_foretold, banned) = self.banned(from.into())?;
        let doors = self.policy.doors();
        let door = doors.iter().position(|door| self.reach(door, Family::V4).is_some());
        let (mut foretold, mut happened) = match door {
            Some(door) => self.try_door(door, Family::V4, from.into(), |stage| &stage.stranger)?,
            None => (Seen::default(), Seen::default()),
        };
        foretold.banned = banned_foretold;
        happened.banned = banned;
        self.played.clear();
        Ok((foretold, happened))
    }

    fn nmap(&mut self) -> Result<(Seen, Seen), RehearsalError> {
        let from = self.next_stranger();
        let to = self.stage.gateway_v4();
        let mut nmap = Command::new("nmap");
        nmap.args(["-n", "-Pn", "-sS", "-T4", "--max-retries", "1", "-oG", "-", "-S"]);
        nmap.args([from.to_string(), "-e".to_owned(), "eth0".to_owned(), to.to_string()]);
        let report = self.stage.stranger.output(nmap, "")?;
        let found = report.matches("/open/tcp").count();
        self.catch_up()?;
        let mut accepted: Vec<_> = self
            .played
            .iter()
            .filter(|(packet, fate)| packet.source == IpAddr::from(from) && *fate == Fate::Accept)
            .filter_map(|(packet, _)| packet.endpoint())
            .collect();
        accepted.sort_unstable();
        accepted.dedup();
        let (foretold, happened) = self.after_scan(from)?;
        // Nmap takes longer than a hurried ban lasts: whether one is over says nothing.
        let seen = |seen: Seen, found| Seen { found: Some(found), banned: None, ..seen };
        Ok((seen(foretold, accepted.len()), seen(happened, found)))
    }

    fn trapped(&mut self, door: usize) -> Result<(Seen, Seen), RehearsalError> {
        let Some(traps) = self.policy.traps() else { return Ok((Seen::default(), Seen::default())) };
        let from = self.next_owner();
        let strikes = usize::try_from(traps.strikes.get()).unwrap_or(usize::MAX);
        let touched = traps.ports.iter().take(strikes).map(|endpoint| Knock::Port(*endpoint)).collect();
        self.say(|stage| &stage.owner, from, touched)?;
        self.banned = Some((from, Instant::now() + traps.ban_max.as_duration() + MARGIN));
        self.say(|stage| &stage.owner, from, self.policy.doors()[door].sequence.knocks().collect())?;
        self.catch_up()?;
        let (banned_foretold, banned) = self.banned(from.into())?;
        let (mut foretold, mut happened) =
            self.try_door(door, Family::V4, from.into(), |stage| &stage.owner)?;
        foretold.banned = banned_foretold;
        happened.banned = banned;
        Ok((foretold, happened))
    }

    fn forgiven(&mut self, door: usize) -> Result<(Seen, Seen), RehearsalError> {
        let Some((from, over)) = self.banned.take() else { return Ok((Seen::default(), Seen::default())) };
        wait_until(over);
        self.say(|stage| &stage.owner, from, self.policy.doors()[door].sequence.knocks().collect())?;
        self.try_door(door, Family::V4, from.into(), |stage| &stage.owner)
    }
}

fn note(act: &Act) -> Option<&'static str> {
    match act {
        Act::Replay(_) => Some("a plain sequence opens to whoever overheard it"),
        _ => None,
    }
}

fn wait_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// What the owner's client is told to knock.
fn client_sequence(door: &Door) -> Result<knock::Sequence, RehearsalError> {
    let knocks = door.sequence.knocks().map(|knock| knock.to_string().parse::<knock::Knock>());
    let knocks: Vec<knock::Knock> =
        knocks.collect::<Result<_, _>>().map_err(|error| RehearsalError::Knock(error.to_string()))?;
    // A ping that is not answered takes its second; two would outlast a short grant.
    let copies = if knocks.iter().any(|knock| matches!(knock, knock::Knock::Ping(_))) { 1 } else { 2 };
    knock::Sequence::new(knocks, GAP * 2, copies).map_err(|error| RehearsalError::Knock(error.to_string()))
}

/// Ports 1 to 65535.
fn ports_in(order: Order, seed: u64) -> Vec<Port> {
    let mut ports: Vec<Port> = (1..=u16::MAX).filter_map(Port::new).collect();
    match order {
        Order::Up => {}
        Order::Down => ports.reverse(),
        Order::Random => Rng::new(seed).shuffle(&mut ports),
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_order_has_every_port_once_and_depends_on_the_seed_alone() {
        let (one, again, other) =
            (ports_in(Order::Random, 1), ports_in(Order::Random, 1), ports_in(Order::Random, 2));
        assert_eq!(one, again);
        assert_ne!(one, other);
        let mut sorted = one;
        sorted.sort_unstable();
        assert_eq!(sorted, ports_in(Order::Up, 0));
    }
}
