//! The meaning of a program: what becomes of a packet at a moment.
//!
//! What surrounds the rules is modelled after Linux 6.x: reassembly before the first hook,
//! connection tracking with its default settings (`nf_conntrack_tcp_loose` on), destination
//! rewriting for the first packet of a connection. A connection that was accepted is taken to be
//! answered, so later packets of it are established.

mod conntrack;
mod memory;
pub(crate) mod reach;
pub mod trace;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::net::{
    Destination, Endpoint, Family, Packet, Payload, Transport, echo_packet_size, echo_request_type,
};
use crate::program::{
    ChainId, Condition, Effect, Expiry, Hook, ListId, Origin, PortEnd, Position, Program, Refusal, Rule,
    State, Switch, TrackId, Verdict,
};
use crate::time::{Lifetime, Moment};
use conntrack::Connections;
use memory::Memory;

pub use memory::Entry;

/// What happened to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was let through.
    Accept,
    /// It vanished.
    Drop,
    /// It was refused, and its sender told so.
    Reject,
}

impl Fate {
    /// `accept`, `drop` or `reject`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider<'p> {
    /// This rule.
    Rule {
        /// Its chain.
        chain: ChainId,
        /// Its place in the chain, from 0.
        index: usize,
        /// Where it came from.
        origin: &'p Origin,
    },
    /// No rule: the packet left the chain of this hook at its end, or there is none.
    End(Hook),
    /// No rule ever saw it: it waits for the rest of its fragments.
    Reassembly,
    /// No rule for packets that are passed on saw it, for no router would pass it on: its hop limit
    /// is used up, or its source is known on the link alone.
    Routing,
}

/// Something a packet changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The source is on the list until then.
    Added(ListId, Moment),
    /// The destination is.
    DestinationAdded(ListId, Moment),
    /// The source is no longer on the list.
    Removed(ListId),
    /// The list's pool is full, so nothing was added.
    Full(ListId),
    /// The source is at this position of the track until then.
    Moved(TrackId, Position, Moment),
    /// The source is no longer on the track.
    Forgotten(TrackId),
    /// The track is full, so the source is not on it.
    TrackFull(TrackId),
    /// The connection goes to this address and port instead.
    Redirected(SocketAddr),
}

/// What became of one packet, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    /// What happened to it.
    pub fate: Fate,
    /// Who decided.
    pub decider: Decider<'p>,
    /// How connection tracking saw it; `None` when it did not.
    pub state: Option<State>,
    /// What it changed, in order.
    pub changes: Vec<Change>,
    /// Where the rule of each change came from, in the same order.
    pub causes: Vec<&'p Origin>,
}

/// Plays packets through a program, in the order of their moments.
#[derive(Debug)]
pub struct Simulator<'p> {
    program: &'p Program,
    raw: Option<ChainId>,
    prerouting: Option<ChainId>,
    input: Option<ChainId>,
    forward: Option<ChainId>,
    arms: HashMap<(ChainId, usize), Arms>,
    memory: Memory,
    connections: Connections,
}

/// A switch as a table.
#[derive(Debug)]
enum Arms {
    Port(HashMap<(Transport, u16), ChainId>),
    Echo(HashMap<u16, ChainId>),
    TrackPort(TrackId, HashMap<(u32, Transport, u16), ChainId>),
    TrackEcho(TrackId, HashMap<(u32, u16), ChainId>),
}

impl Arms {
    fn of(switch: &Switch) -> Self {
        let port = |endpoint: &Endpoint| (endpoint.transport, endpoint.port.number());
        match switch {
            Switch::Port(arms) => Self::Port(arms.iter().map(|(e, chain)| (port(e), *chain)).collect()),
            Switch::Echo(arms) => Self::Echo(arms.iter().map(|(data, chain)| (*data, *chain)).collect()),
            Switch::TrackPort(track, arms) => {
                let flat = |((position, endpoint), chain): (&(Position, Endpoint), &ChainId)| {
                    let (transport, number) = port(endpoint);
                    ((position.number(), transport, number), *chain)
                };
                Self::TrackPort(*track, arms.iter().map(flat).collect())
            }
            Switch::TrackEcho(track, arms) => Self::TrackEcho(
                *track,
                arms.iter().map(|((position, data), chain)| ((position.number(), *data), *chain)).collect(),
            ),
        }
    }
}

/// A packet on its way through the hooks.
struct Passage<'a, 'p> {
    packet: &'a Packet,
    now: Moment,
    /// How connection tracking sees it; nothing before it has looked.
    state: Option<State>,
    /// Where its connection was redirected to.
    redirect: Option<SocketAddr>,
    /// Where it goes now, which a redirect may have changed.
    destination: Destination,
    port: Option<u16>,
    hop_limit: u8,
    changes: Vec<Change>,
    causes: Vec<&'p Origin>,
}

/// How a chain was left.
enum Exit {
    Decided(Fate, Option<Refusal>, ChainId, usize),
    Returned,
}

impl<'p> Simulator<'p> {
    /// A gateway that has just begun to run `program`: every list empty, no connection open.
    pub fn new(program: &'p Program) -> Self {
        let mut arms = HashMap::new();
        for (id, chain) in program.chains_with_ids() {
            for (index, rule) in chain.rules.iter().enumerate() {
                if let Some(Verdict::Switch(switch)) = &rule.verdict {
                    arms.insert((id, index), Arms::of(switch));
                }
            }
        }
        Self {
            program,
            raw: program.hooked(Hook::Raw),
            prerouting: program.hooked(Hook::Prerouting),
            input: program.hooked(Hook::Input),
            forward: program.hooked(Hook::Forward),
            arms,
            memory: Memory::new(program),
            connections: Connections::default(),
        }
    }

    /// Goes on as a gateway whose lists and tracks hold this and nothing else, with no connection open.
    /// What is beyond their capacity is left out.
    pub fn restart(
        &mut self,
        listed: &[(ListId, Entry)],
        placed: &[(TrackId, Position, Entry)],
        now: Moment,
    ) {
        self.connections = Connections::default();
        self.memory.clear();
        for (list, entry) in listed {
            if let Some(timed) = self.program[*list].timed {
                let address = kept(entry.source, timed.v6_bits);
                self.memory.add(timed.pool, timed.tag, address, now, entry.until, Expiry::Refresh);
            }
        }
        for (track, position, entry) in placed {
            self.memory.move_to(*track, entry.source, *position, now, entry.until);
        }
    }

    /// What becomes of `packet` when it arrives at `now`. Moments never go back.
    pub fn play(&mut self, now: Moment, packet: &Packet) -> Decision<'p> {
        if packet.fragment {
            let (fate, decider) = (Fate::Drop, Decider::Reassembly);
            return Decision { fate, decider, state: None, changes: vec![], causes: vec![] };
        }
        let mut passage = Passage::of(packet, now);
        if let Some(chain) = self.raw
            && let Exit::Decided(fate @ (Fate::Drop | Fate::Reject), _, chain, index) =
                self.run(chain, &mut passage)
        {
            return self.decision(fate, chain, index, passage);
        }
        let (state, redirect) = self.connections.look_up(packet);
        passage.state = Some(state);
        if let Some(target) = redirect {
            passage.redirect(target);
        }
        if let (State::New, Some(chain)) = (state, self.prerouting)
            && let Exit::Decided(fate @ (Fate::Drop | Fate::Reject), _, chain, index) =
                self.run(chain, &mut passage)
        {
            return self.decision(fate, chain, index, passage);
        }
        let hook = match passage.destination {
            Destination::Gateway => Hook::Input,
            Destination::Other(address) if is_group(address) => Hook::Input,
            Destination::Other(_) => Hook::Forward,
        };
        if hook == Hook::Forward {
            if packet.hop_limit <= 1 || stays_on_link(packet.source) {
                let (fate, decider) = (Fate::Drop, Decider::Routing);
                return passage.ends(fate, decider);
            }
            // It is counted down before the hook (ip_forward.c, ip6_output.c).
            passage.hop_limit -= 1;
        }
        let chain = if hook == Hook::Input { self.input } else { self.forward };
        let exit = chain.map_or(Exit::Returned, |chain| self.run(chain, &mut passage));
        match exit {
            Exit::Returned | Exit::Decided(Fate::Accept, ..) => {
                self.connections.accept(packet, state, passage.redirect);
            }
            Exit::Decided(Fate::Reject, Some(Refusal::Closed | Refusal::Reset), ..) => {
                self.connections.reject(packet, state);
            }
            Exit::Decided(..) => {}
        }
        match exit {
            Exit::Decided(fate, _, chain, index) => self.decision(fate, chain, index, passage),
            Exit::Returned => passage.ends(Fate::Accept, Decider::End(hook)),
        }
    }

    fn decision(&self, fate: Fate, chain: ChainId, index: usize, passage: Passage<'_, 'p>) -> Decision<'p> {
        let program: &'p Program = self.program;
        let origin = &program[chain].rules[index].origin;
        let decider = Decider::Rule { chain, index, origin };
        passage.ends(fate, decider)
    }

    /// Who was put on `list` by rules and is on it at `now`, in no order.
    pub fn members(&self, list: ListId, now: Moment) -> Vec<Entry> {
        let timed = self.program[list].timed;
        timed.map_or(vec![], |timed| self.memory.members(timed.pool, timed.tag, now))
    }

    /// Who is where on `track` at `now`, in no order.
    pub fn positions(&self, track: TrackId, now: Moment) -> Vec<(Entry, Position)> {
        self.memory.positions(track, now)
    }

    fn run(&mut self, chain: ChainId, passage: &mut Passage<'_, 'p>) -> Exit {
        let program: &'p Program = self.program;
        for (index, rule) in program[chain].rules.iter().enumerate() {
            if !self.holds(rule, passage) {
                continue;
            }
            for effect in &rule.then {
                self.carry_out(effect, &rule.origin, passage);
            }
            let exit = match &rule.verdict {
                None => continue,
                Some(Verdict::Accept) => return Exit::Decided(Fate::Accept, None, chain, index),
                Some(Verdict::Drop) => return Exit::Decided(Fate::Drop, None, chain, index),
                Some(Verdict::Reject(how)) if !passage.can_be_told(*how) => continue,
                Some(Verdict::Reject(how)) => return Exit::Decided(Fate::Reject, Some(*how), chain, index),
                Some(Verdict::Return) => return Exit::Returned,
                // Nobody tries a program out in a simulator.
                Some(Verdict::Rescue) => continue,
                Some(Verdict::Redirect(target)) => {
                    if passage.port.is_none() || passage.packet.family() != Family::of(target.ip()) {
                        continue;
                    }
                    passage.redirect(*target);
                    passage.note(Change::Redirected(*target), &rule.origin);
                    return Exit::Decided(Fate::Accept, None, chain, index);
                }
                Some(Verdict::Jump(target)) => self.run(*target, passage),
                Some(Verdict::Switch(_)) => match self.arm(chain, index, passage) {
                    Some(target) => return self.run(target, passage),
                    None => continue,
                },
            };
            if let Exit::Decided(..) = exit {
                return exit;
            }
        }
        Exit::Returned
    }

    fn arm(&self, chain: ChainId, index: usize, passage: &Passage<'_, 'p>) -> Option<ChainId> {
        let endpoint = || Some((passage.transport()?, passage.port?));
        let at = |track: TrackId| self.memory.position(track, passage.packet.source, passage.now);
        match self.arms.get(&(chain, index))? {
            Arms::Port(arms) => arms.get(&endpoint()?).copied(),
            Arms::Echo(arms) => arms.get(&passage.echo()?).copied(),
            Arms::TrackPort(track, arms) => {
                let (transport, port) = endpoint()?;
                arms.get(&(at(*track)?.number(), transport, port)).copied()
            }
            Arms::TrackEcho(track, arms) => arms.get(&(at(*track)?.number(), passage.echo()?)).copied(),
        }
    }

    fn holds(&self, rule: &Rule, passage: &Passage<'_, 'p>) -> bool {
        rule.when.iter().all(|condition| self.condition(condition, passage))
    }

    fn condition(&self, condition: &Condition, passage: &Passage<'_, 'p>) -> bool {
        passage.shows(condition).unwrap_or_else(|| self.recalls(condition, passage))
    }

    /// Whether it holds by what lists hold.
    fn recalls(&self, condition: &Condition, passage: &Passage<'_, 'p>) -> bool {
        match condition {
            Condition::Not(inner) => !self.recalls(inner, passage),
            Condition::Listed(list) => self.listed(*list, passage.packet.source, passage.now),
            Condition::DestinationListed(list) => match passage.destination {
                Destination::Other(address) => self.listed(*list, address, passage.now),
                Destination::Gateway => false,
            },
            Condition::OnTrack(track) => {
                self.memory.position(*track, passage.packet.source, passage.now).is_some()
            }
            _ => false,
        }
    }

    fn listed(&self, list: ListId, address: IpAddr, now: Moment) -> bool {
        let list = &self.program[list];
        list.fixed.iter().any(|prefix| prefix.contains(address))
            || list.timed.is_some_and(|timed| {
                self.memory.holds(timed.pool, timed.tag, kept(address, timed.v6_bits), now)
            })
    }

    fn carry_out(&mut self, effect: &Effect, origin: &'p Origin, passage: &mut Passage<'_, 'p>) {
        let (source, now) = (passage.packet.source, passage.now);
        let change = match effect {
            Effect::Add { list, lifetime, expiry } => {
                match self.add(*list, source, now, *lifetime, *expiry) {
                    memory::Added::Until(moment) => Change::Added(*list, moment),
                    memory::Added::Already => return,
                    memory::Added::Full => Change::Full(*list),
                }
            }
            Effect::AddDestination { list, lifetime, expiry } => {
                let Destination::Other(address) = passage.destination else { return };
                match self.add(*list, address, now, *lifetime, *expiry) {
                    memory::Added::Until(moment) => Change::DestinationAdded(*list, moment),
                    memory::Added::Already => return,
                    memory::Added::Full => Change::Full(*list),
                }
            }
            Effect::Remove(list) => {
                // A sealed program takes nobody off a list that is fixed.
                let Some(timed) = self.program[*list].timed else { return };
                if !self.memory.remove(timed.pool, timed.tag, kept(source, timed.v6_bits), now) {
                    return;
                }
                Change::Removed(*list)
            }
            Effect::Move { track, position, lifetime } => {
                let until = now.after(*lifetime);
                if self.memory.move_to(*track, source, *position, now, until) {
                    Change::Moved(*track, *position, until)
                } else {
                    Change::TrackFull(*track)
                }
            }
            Effect::Forget(track) => {
                if !self.memory.forget(*track, source, now) {
                    return;
                }
                Change::Forgotten(*track)
            }
            Effect::Log(_) => return,
        };
        passage.note(change, origin);
    }

    fn add(
        &mut self,
        list: ListId,
        address: IpAddr,
        now: Moment,
        lifetime: Lifetime,
        expiry: Expiry,
    ) -> memory::Added {
        let list = &self.program[list];
        // A sealed program adds nobody to a list that is fixed.
        let Some(timed) = list.timed else { return memory::Added::Already };
        if list.fixed.iter().any(|prefix| prefix.contains(address)) {
            return memory::Added::Already;
        }
        let address = kept(address, timed.v6_bits);
        self.memory.add(timed.pool, timed.tag, address, now, now.after(lifetime), expiry)
    }
}

impl<'a, 'p> Passage<'a, 'p> {
    fn of(packet: &'a Packet, now: Moment) -> Self {
        Self {
            packet,
            now,
            state: None,
            redirect: None,
            destination: packet.destination,
            port: packet.endpoint().map(|(_, port)| port),
            hop_limit: packet.hop_limit,
            changes: vec![],
            causes: vec![],
        }
    }

    /// Whether it holds by what the packet is; `None` where lists decide.
    fn shows(&self, condition: &Condition) -> Option<bool> {
        let packet = self.packet;
        let holds = match condition {
            Condition::From(interfaces) => interfaces.iter().any(|i| i.matches(&packet.interface)),
            Condition::Not(inner) if matches!(**inner, Condition::Opaque(_)) => false,
            Condition::Not(inner) => !self.shows(inner)?,
            Condition::State(states) => self.state.is_some_and(|state| states.has(state)),
            Condition::Redirected => self.redirect.is_some(),
            // Nobody is there to do it.
            Condition::Cut => false,
            Condition::Family(family) => packet.family() == *family,
            Condition::Transport(transport) => self.transport() == Some(*transport),
            Condition::To(endpoints) => endpoints.iter().any(|endpoint| {
                self.transport() == Some(endpoint.transport) && self.port == Some(endpoint.port.number())
            }),
            Condition::Protocol(number) => packet.protocol() == *number,
            Condition::Ports(transport, end, ranges) => {
                let within =
                    |port: Option<u16>| port.is_some_and(|port| ranges.iter().any(|r| r.contains(&port)));
                self.transport() == Some(*transport)
                    && match end {
                        PortEnd::Source => within(packet.source_port()),
                        PortEnd::Destination => within(self.port),
                        PortEnd::Either => within(packet.source_port()) || within(self.port),
                    }
            }
            Condition::Flags { mask, set } => match packet.payload {
                Payload::Tcp { flags, .. } => flags.masked(*mask) == *set,
                _ => false,
            },
            Condition::Echo(data) => {
                let wanted = data.map(|data| echo_packet_size(packet.family(), data));
                self.is_echo() && wanted.is_none_or(|size| packet.size == size)
            }
            Condition::Icmp(family, kinds, codes) => match packet.payload {
                Payload::Icmp { kind } => {
                    packet.family() == *family && kinds.contains(&kind) && codes.contains(&ICMP_CODE)
                }
                _ => false,
            },
            Condition::Size(sizes) => sizes.contains(&packet.size),
            Condition::HopLimit(limit) => self.hop_limit == *limit,
            Condition::Source(prefixes) => prefixes.iter().any(|prefix| prefix.contains(packet.source)),
            Condition::Destination(prefixes) => match self.destination {
                Destination::Other(address) => prefixes.iter().any(|prefix| prefix.contains(address)),
                Destination::Gateway => false,
            },
            Condition::ToGateway => self.destination == Destination::Gateway,
            Condition::NoExtensionHeaders => !packet.extension_headers,
            Condition::Listed(_) | Condition::DestinationListed(_) | Condition::OnTrack(_) => return None,
            Condition::Opaque(_) => false,
        };
        Some(holds)
    }

    fn note(&mut self, change: Change, origin: &'p Origin) {
        self.changes.push(change);
        self.causes.push(origin);
    }

    fn ends(self, fate: Fate, decider: Decider<'p>) -> Decision<'p> {
        let Self { state, changes, causes, .. } = self;
        Decision { fate, decider, state, changes, causes }
    }

    fn transport(&self) -> Option<Transport> {
        self.packet.endpoint().map(|(transport, _)| transport)
    }

    fn can_be_told(&self, refusal: Refusal) -> bool {
        match refusal {
            Refusal::Closed => true,
            Refusal::Reset | Refusal::Tarpit => self.transport() == Some(Transport::Tcp),
            Refusal::Unreachable(family, _) => self.packet.family() == family,
        }
    }

    fn is_echo(&self) -> bool {
        matches!(self.packet.payload, Payload::Icmp { kind } if kind == echo_request_type(self.packet.family()))
    }

    /// What `ping -s` would have been told to send this echo request.
    fn echo(&self) -> Option<u16> {
        let header = echo_packet_size(self.packet.family(), 0);
        self.is_echo().then(|| self.packet.size.checked_sub(header)).flatten()
    }

    fn redirect(&mut self, target: SocketAddr) {
        self.destination = Destination::Other(target.ip());
        self.port = Some(target.port());
        self.redirect = Some(target);
    }
}

fn kept(source: IpAddr, v6_bits: u8) -> IpAddr {
    match Family::of(source) {
        Family::V4 => source,
        Family::V6 => crate::net::truncate(source, v6_bits),
    }
}

/// The code of every ICMP message that is played: echo requests and what a link needs have no other.
const ICMP_CODE: u8 = 0;

/// RFC 4291, section 2.5.6.
fn stays_on_link(source: IpAddr) -> bool {
    matches!(source, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Multicast and broadcast packets are for everybody on the link, so also for the gateway.
fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}
