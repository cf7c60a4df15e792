//! Traces on a real kernel.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use knockgate_compiler::backend::nft;
use knockgate_compiler::net::{Destination, Family, Packet};
use knockgate_compiler::program::{Program, State};
use knockgate_compiler::sim::trace::Event;
use knockgate_compiler::sim::{Fate, Simulator};
use knockgate_compiler::time::{Lifetime, Moment};

use super::gateway::{Gateway, Link, Seen};
use super::{LabError, wire};

/// The longest trace that is played, from its first packet to its last.
pub const LONGEST: Lifetime = Lifetime::from_secs(120);
/// The most packets that a trace may have: each has a number of 16 bits.
pub const MOST_PACKETS: usize = 65_535;

/// What became of a packet of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// When it was sent: at its moment, or later where the machine was busy.
    pub at: Moment,
    /// What was seen of it. [`Fate::Drop`] is also what is seen of a refusal that nobody is told of
    /// ([`wire::tells`]).
    pub fate: Fate,
}

/// Plays a trace to a gateway that runs `program` in a namespace of its own, in real time, and says
/// of each packet what became of it. A packet that is let through is answered where the simulator
/// takes it to begin a connection, since all that it says of connections holds for answered ones.
///
/// Takes `nft`, `ip`, `/dev/net/tun`, and root, or a user namespace of ours (`unshare --user
/// --map-root-user`).
pub fn replay(program: &Program, events: &[Event]) -> Result<Vec<Played>, LabError> {
    check(events)?;
    let ruleset = nft::print(program).map_err(|mut refused| LabError::Unsayable(refused.swap_remove(0)))?;
    let site = Site::of(events);
    let gateway = Gateway::running(site.links, &ruleset.text)?;
    let mut simulator = Simulator::new(program);
    let first = events.first().map_or(0, |event| event.at.as_millis());
    let start = Instant::now();
    let mut played = vec![];
    for (number, Event { at, packet, .. }) in (1..).zip(events) {
        let due = start + Duration::from_millis(at.as_millis() - first);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let passed = u64::try_from(start.elapsed().as_millis()).expect("traces are short");
        let at = Moment::from_millis(first + passed);
        let seen = gateway.play(packet, number, site.own.reached_by(packet))?;
        if simulator.play(at, packet).state == Some(State::New) {
            answer(&gateway, packet, &seen)?;
        }
        played.push(Played { at, fate: seen.fate() });
    }
    Ok(played)
}

fn check(events: &[Event]) -> Result<(), LabError> {
    if events.len() > MOST_PACKETS {
        return Err(LabError::TooMany(events.len()));
    }
    let lasts = match events {
        [first, .., last] => last.at.as_millis() - first.at.as_millis(),
        _ => 0,
    };
    if lasts > LONGEST.as_millis() {
        return Err(LabError::TooLong(lasts.div_ceil(1000)));
    }
    Ok(())
}

fn answer(gateway: &Gateway, packet: &Packet, seen: &Seen) -> Result<(), LabError> {
    match seen.received().filter(|_| wire::answers(packet)) {
        Some(received) => gateway.answer(&packet.interface, received),
        None => Ok(()),
    }
}

/// The gateway that a trace is for.
struct Site {
    links: Vec<Link>,
    own: Own,
}

/// Addresses of the gateway's own.
#[derive(Clone, Copy)]
struct Own {
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Own {
    /// Addresses that no packet of the trace names, in networks for tests (RFC 2544, RFC 5180).
    fn beside(events: &[Event]) -> Self {
        const V4: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 1);
        const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0x77, 0, 0, 0, 1);
        let named: HashSet<IpAddr> = events.iter().flat_map(|event| addresses(&event.packet)).collect();
        let mut v4 = (V4.to_bits()..).map(Ipv4Addr::from_bits);
        let mut v6 = (V6.to_bits()..).map(Ipv6Addr::from_bits);
        Self {
            v4: v4.find(|v4| !named.contains(&IpAddr::V4(*v4))).expect("a trace names fewer addresses"),
            v6: v6.find(|v6| !named.contains(&IpAddr::V6(*v6))).expect("a trace names fewer addresses"),
        }
    }

    /// Where a packet is sent to.
    fn reached_by(self, packet: &Packet) -> IpAddr {
        match (packet.destination, packet.family()) {
            (Destination::Other(address), _) => address,
            (Destination::Gateway, Family::V4) => self.v4.into(),
            (Destination::Gateway, Family::V6) => self.v6.into(),
        }
    }
}

fn addresses(packet: &Packet) -> impl Iterator<Item = IpAddr> {
    let to = match packet.destination {
        Destination::Other(address) => Some(address),
        Destination::Gateway => None,
    };
    [packet.source].into_iter().chain(to)
}

impl Site {
    /// A link for each interface that packets come by, behind one that leads everywhere else: no
    /// packet comes by that, and all hosts are there.
    fn of(events: &[Event]) -> Self {
        let own = Own::beside(events);
        let used: BTreeSet<&str> = events.iter().map(|event| &*event.packet.interface).collect();
        let free = |name: &String| !used.contains(name.as_str());
        let away = (0..).map(|n: u32| format!("behind{n}")).find(free).expect("a trace has fewer interfaces");
        let addresses = vec![(IpAddr::V4(own.v4), 32), (IpAddr::V6(own.v6), 128)];
        let mut links = vec![Link { name: away, addresses }];
        links.extend(used.into_iter().map(|name| Link { name: name.to_owned(), addresses: vec![] }));
        Self { links, own }
    }
}
