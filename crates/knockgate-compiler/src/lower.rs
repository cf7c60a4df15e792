//! From a policy to the program that carries it out. Total: every policy has one.
//!
//! Three chains are entered by packets. `input` decides over packets for the gateway, in this
//! order: what does not come from outside; connections cut by hand; established ones; what keeps the
//! link alive; allowed and granted sources to their services; sources banned by hand; public ports;
//! who tries the policy out; banned sources; then traps and knocks, for packets that count as such;
//! and the end, where everything else from outside vanishes, knocks too. Most packets of strangers go
//! to ports that mean nothing, so one look-up by port comes first, and what costs more is asked only
//! where it can make a difference. `prerouting` and `forward` exist only for services on hosts behind,
//! and `early` only where the policy has connections to closed ports dropped before they are tracked.

mod early;
mod knocks;
mod meaning;
mod services;
mod traps;

use std::collections::BTreeMap;

use crate::diag::Span;
use crate::net::{Endpoint, Family, Port, Prefix, TcpFlags, Transport};
use crate::policy::{Door, Knock, Policy, Traps};
use crate::program::{
    Builder, ChainId, Condition, Effect, Expiry, Hook, ListId, Origin, PortEnd, Program, Rule, State, States,
    Verdict,
};
use crate::time::Lifetime;
pub use meaning::{Meaning, What, is_worth_telling, meanings};

use knocks::Machinery;

/// The program of `policy`.
pub fn lower(policy: &Policy) -> Program {
    let mut lowering = Lowering::begin(policy);
    lowering.input();
    lowering.behind();
    lowering.builder.seal().expect("every chain is jumped to once, and only from earlier ones")
}

/// The list of what people let in while a policy is in force.
pub const ALLOWED_BY_HAND: &str = "allowed-by-hand";
/// The list of what people keep out while a policy is in force.
pub const BANNED_BY_HAND: &str = "banned-by-hand";

/// The chain of packets that belong to connections.
pub const KNOWN: &str = "known";
/// The chain of packets to ports that are open to everybody.
pub const PUBLIC: &str = "public";

/// The chain of what may be dropped before connections are tracked.
pub const EARLY: &str = "early";

/// What the list of a door's grants is called.
pub fn grant_list(door: &str) -> String {
    format!("grant {door}")
}

/// What the list of those is called that hold any grant of this length, where many doors have that.
pub fn guest_list(length: Lifetime) -> String {
    format!("guest {length}")
}

struct Lowering<'p> {
    policy: &'p Policy,
    builder: Builder,
    allow: Option<ListId>,
    exempt: Option<ListId>,
    /// What people allow and ban by hand while the policy is in force.
    allowed_by_hand: ListId,
    banned_by_hand: ListId,
    /// The grant list of each door, in the policy's order.
    grants: Vec<ListId>,
    /// For each length of grant that more than a few doors have, the sources that hold any of that length.
    guests: BTreeMap<Lifetime, ListId>,
}

impl<'p> Lowering<'p> {
    fn begin(policy: &'p Policy) -> Self {
        let mut builder = Builder::new(policy.outside().to_vec());
        let mut static_list = |name: &str, members: &[Prefix]| {
            (!members.is_empty()).then(|| builder.static_list(name, members.to_vec()))
        };
        let allow = static_list("allow", policy.allow());
        let exempt = static_list("exempt", policy.exempt());
        let allowed_by_hand = builder.managed_list(ALLOWED_BY_HAND, policy.sources());
        let banned_by_hand = builder.managed_list(BANNED_BY_HAND, policy.sources());
        let pool = builder.pool("grants", policy.sources(), true);
        let grants = policy
            .doors()
            .iter()
            .map(|door| builder.timed_list(&grant_list(&door.name), pool, ADDRESS))
            .collect();
        let mut guests = BTreeMap::new();
        if policy.traps().is_some() {
            let mut doors: BTreeMap<Lifetime, usize> = BTreeMap::new();
            for door in policy.doors() {
                *doors.entry(door.grant).or_default() += 1;
            }
            doors.retain(|_, number| *number > FEW_DOORS);
            if !doors.is_empty() {
                let pool = builder.pool("guests", policy.sources(), true);
                let list = |length| (length, builder.timed_list(&guest_list(length), pool, ADDRESS));
                guests = doors.into_keys().map(list).collect();
            }
        }
        Self { policy, builder, allow, exempt, allowed_by_hand, banned_by_hand, grants, guests }
    }

    fn rule(
        &mut self,
        chain: ChainId,
        origin: Origin,
        when: Vec<Condition>,
        then: Vec<Effect>,
        verdict: Option<Verdict>,
    ) {
        self.builder.rule(chain, Rule { when, then, verdict, origin });
    }

    fn input(&mut self) {
        let input = self.builder.chain("input", Some(Hook::Input));
        self.pass_inside(input);
        let known = self.known();
        let states = vec![known_states()];
        self.rule(input, always("packets of connections"), states, vec![], Some(Verdict::Jump(known)));
        let ports = self.ports();
        self.rule(input, always("what begins something"), vec![], vec![], Some(Verdict::Jump(ports)));
        self.rule(input, always("everything else from outside"), vec![], vec![], Some(Verdict::Drop));
    }

    /// The chain for what belongs to no connection. Whoever sends to a port that means nothing here, and
    /// whom no wrong knock can cost anything, comes back soon.
    fn ports(&mut self) -> ChainId {
        let ports = self.builder.chain("ports", None);
        let machines = self.knocks();
        let banned = self.policy.traps().map(|_| self.ban_list());
        let rescue = self.rescue();
        let guard = Guard { rescue, banned };
        let knocking = self.knocking(&machines, &guard);
        let trapped = match self.policy.traps() {
            Some(traps) => self.trapped(traps, &machines, &guard),
            None => knocking,
        };
        let wrong = self.wrong(&machines, &guard);
        self.by_port(ports, Arms { trapped, knocking, wrong });
        if self.policy.early_drop() {
            self.early(&machines);
        }
        let over_v6 = self.over_v6();
        let v6 = vec![Condition::Family(Family::V6)];
        self.rule(ports, always("packets over IPv6"), v6, vec![], Some(Verdict::Jump(over_v6)));
        if let Some(ping) = pings(self.policy) {
            self.rule(ports, always("pings"), vec![ping], vec![], Some(Verdict::Jump(knocking)));
        }
        // Each family where only its own packets come by.
        for (chain, family) in [(over_v6, Family::V6), (ports, Family::V4)] {
            for heeds in
                machines.iter().filter_map(|machine| machine.wrong.as_ref()).map(|wrong| &wrong.heeds)
            {
                let when = vec![Condition::Family(family), heeds.clone()];
                let jump = Some(Verdict::Jump(wrong));
                self.rule(chain, always("what may be a wrong knock"), when, vec![], jump);
            }
        }
        // Last, so that it need not be there while nobody does.
        self.rule(ports, always(WHO_TRIES), vec![], vec![], Some(Verdict::Jump(rescue)));
        ports
    }

    fn over_v6(&mut self) -> ChainId {
        let chain = self.builder.chain("over-v6", None);
        for (what, when) in neighbours() {
            self.rule(chain, always(what), when, vec![], Some(Verdict::Accept));
        }
        chain
    }

    /// What comes from inside is never looked at further.
    fn pass_inside(&mut self, chain: ChainId) {
        let inside = vec![Condition::From(self.policy.outside().to_vec()).negated()];
        self.rule(chain, always("not from outside"), inside, vec![], Some(Verdict::Accept));
    }

    /// Nor is what belongs to a connection.
    fn known(&mut self) -> ChainId {
        let chain = self.builder.chain(KNOWN, None);
        let cut = vec![Condition::Cut];
        self.rule(chain, always("connections cut by hand"), cut, vec![], Some(Verdict::Drop));
        self.rule(chain, always("established connections"), vec![], vec![], Some(Verdict::Accept));
        chain
    }

    /// The chain that lets those in who try the policy out. A ban by hand outranks that.
    fn rescue(&mut self) -> ChainId {
        let chain = self.builder.chain("rescue", None);
        let begins = Condition::State(States::of(&[State::New]));
        let when = vec![Condition::not_listed(self.banned_by_hand), begins, Condition::ToGateway];
        self.rule(chain, always(WHO_TRIES), when, vec![], Some(Verdict::Rescue));
        chain
    }

    /// What becomes of a packet to a port of a trap, but for its end: it is dropped like any other.
    fn trapped(&mut self, traps: &Traps, machines: &[Machinery], guard: &Guard) -> ChainId {
        let trapped = self.builder.chain("trapped", None);
        self.guard(trapped, guard);
        if let Some(banned) = guard.banned {
            let target = self.traps(traps, banned);
            for when in counts_as_knock(self.policy) {
                let jump = Some(Verdict::Jump(target));
                self.rule(trapped, made("traps", traps.span), when, vec![], jump);
            }
        }
        self.play_on(trapped, machines);
        trapped
    }

    /// What becomes of a packet to a port of a knock, but for its end.
    fn knocking(&mut self, machines: &[Machinery], guard: &Guard) -> ChainId {
        let knocking = self.builder.chain("knocking", None);
        self.guard(knocking, guard);
        self.play_on(knocking, machines);
        knocking
    }

    fn play_on(&mut self, chain: ChainId, machines: &[Machinery]) {
        for machine in machines {
            for when in counts_as_knock(self.policy) {
                self.rule(chain, always("knocks"), when, vec![], Some(Verdict::Jump(machine.chain)));
            }
        }
    }

    /// What becomes of a packet to any other port, but for its end. Coming here twice changes no more than
    /// coming once. Pings that count have been in `knocking`.
    fn wrong(&mut self, machines: &[Machinery], guard: &Guard) -> ChainId {
        let chain = self.builder.chain("wrong", None);
        self.guard(chain, guard);
        for wrong in machines.iter().filter_map(|machine| machine.wrong.as_ref()) {
            let counts = counts_as_knock(self.policy).into_iter();
            for mut when in counts.filter(|when| !when.contains(&Condition::Echo(None))) {
                when.extend_from_slice(&wrong.when);
                self.rule(chain, always(&wrong.what), when, vec![wrong.then.clone()], None);
            }
        }
        chain
    }

    /// What is no knock, whatever port it is sent to, goes no further.
    fn guard(&mut self, chain: ChainId, guard: &Guard) {
        self.keep_out(chain);
        self.rule(chain, always(WHO_TRIES), vec![], vec![], Some(Verdict::Jump(guard.rescue)));
        if let Some(banned) = guard.banned {
            let when = vec![Condition::Listed(banned)];
            self.rule(chain, always("banned sources"), when, vec![], Some(Verdict::Drop));
        }
        for condition in [Condition::State(States::of(&[State::New])), Condition::ToGateway] {
            let origin = always("what counts as no knock");
            self.rule(chain, origin, vec![condition.negated()], vec![], Some(Verdict::Return));
        }
    }

    fn keep_out(&mut self, chain: ChainId) {
        let banned_by_hand = vec![Condition::Listed(self.banned_by_hand)];
        self.rule(chain, always("sources banned by hand"), banned_by_hand, vec![], Some(Verdict::Drop));
    }

    /// Lets a source in that has made all knocks of the door.
    fn grant(&self, door: usize) -> Effect {
        let lifetime = self.policy.doors()[door].grant;
        Effect::Add { list: self.grants[door], lifetime, expiry: Expiry::Refresh }
    }

    /// The lists of those that hold grants, who are never banned: a few lists of doors, or one for many.
    fn holders(&self) -> Vec<ListId> {
        let doors = self.policy.doors().iter().zip(&self.grants);
        let few = doors.filter(|(door, _)| !self.guests.contains_key(&door.grant)).map(|(_, list)| *list);
        few.chain(self.guests.values().copied()).collect()
    }

    /// Keeps who holds a grant of this length from being banned, where grants alone do not.
    fn guest(&self, lifetime: Lifetime) -> Option<Effect> {
        let list = *self.guests.get(&lifetime)?;
        Some(Effect::Add { list, lifetime, expiry: Expiry::Refresh })
    }

    /// Both.
    fn granted_at_once(&self, door: usize) -> Vec<Effect> {
        let guest = self.guest(self.policy.doors()[door].grant);
        std::iter::once(self.grant(door)).chain(guest).collect()
    }
}

/// The chains that packets to certain ports go to.
struct Arms {
    /// To those of traps.
    trapped: ChainId,
    /// To those of knocks.
    knocking: ChainId,
    /// To those of services, for who may not use them.
    wrong: ChainId,
}

/// Who is let in or kept out before a packet can count for anything.
struct Guard {
    /// The chain of those who try the policy out.
    rescue: ChainId,
    banned: Option<ListId>,
}

/// A trap looks for grants at so many doors of one length. To note on a list of its own who holds one costs each
/// last knock as much as half of all else that its rules do.
const FEW_DOORS: usize = 2;

const WHO_TRIES: &str = "who tries this policy out";

/// IPv6 bits of a list that tells single addresses apart.
const ADDRESS: u8 = 128;
/// IPv6 bits of a list of networks: who has one address of a /64 has them all (RFC 6177).
const NETWORK: u8 = 64;

/// The states of packets that belong to a connection.
fn known_states() -> Condition {
    Condition::State(States::of(&[State::Established, State::Related]))
}

/// Pings have no port by which they are told apart.
fn pings(policy: &Policy) -> Option<Condition> {
    let mut knocks = policy.doors().iter().flat_map(|door| door.sequence.knocks());
    knocks.any(|knock| matches!(knock, Knock::Ping(_))).then_some(Condition::Echo(None))
}

fn always(what: &str) -> Origin {
    Origin { what: what.into(), span: None }
}

fn made(what: impl Into<Box<str>>, span: Span) -> Origin {
    Origin { what: what.into(), span: Some(span) }
}

/// `knock 2 of 3 of door ssh`.
fn knock_of(door: &Door, index: usize) -> Origin {
    let steps = door.sequence.steps();
    let what = format!("door {}: knock {} of {}", door.name, index + 1, steps.len());
    made(what, steps[index].span)
}

/// What an IPv6 link needs to stay up, which connection tracking does not know as related.
fn neighbours() -> [(&'static str, Vec<Condition>); 2] {
    [
        // RFC 4861, section 6.1 and 7.1: a hop limit of 255 shows that it never crossed a router.
        (
            "IPv6 neighbour discovery",
            vec![Condition::Icmp(Family::V6, 133..=136, 0..=0), Condition::HopLimit(255)],
        ),
        // RFC 2710, section 3: queries have a link-local source and a hop limit of 1.
        (
            "IPv6 multicast listener queries",
            vec![
                Condition::Icmp(Family::V6, 130..=130, 0..=0),
                Condition::HopLimit(1),
                Condition::Source(vec![written("fe80::/10")]),
            ],
        ),
    ]
}

/// Answers that give the gateway its addresses, and the ports that they are sent to.
fn leases() -> [(&'static str, Endpoint, Vec<Condition>); 2] {
    let udp =
        |number| Endpoint { transport: Transport::Udp, port: Port::new(number).expect("a port of DHCP") };
    let from = |number| Condition::Ports(Transport::Udp, PortEnd::Source, vec![number..=number]);
    [
        // RFC 8415, section 7.2: servers answer a client's multicast from a link-local source.
        ("DHCPv6 answers", udp(546), vec![from(547), Condition::Source(vec![written("fe80::/10")])]),
        // RFC 2131, section 4.1: a client without an address is answered by broadcast.
        ("DHCP answers", udp(68), vec![from(67), Condition::Destination(vec![written("255.255.255.255")])]),
    ]
}

fn written(text: &str) -> Prefix {
    text.parse().expect("a prefix of the RFC")
}

/// The flags of what opens a TCP connection (RFC 9293, section 3.5).
fn opening() -> Condition {
    let handshake = TcpFlags::FIN.with(TcpFlags::SYN).with(TcpFlags::RST).with(TcpFlags::ACK);
    Condition::Flags { mask: handshake, set: TcpFlags::SYN }
}

/// Which packets count as knocks, of those that begin something with the gateway. Only protocols that
/// a knock or a trap has are looked at, so that the rest of what a client sends never upsets a sequence.
fn counts_as_knock(policy: &Policy) -> Vec<Vec<Condition>> {
    let knocks = || policy.doors().iter().flat_map(|door| door.sequence.knocks());
    let traps = || policy.traps().into_iter().flat_map(|traps| &traps.ports);
    let uses = |transport| {
        let on = |endpoint: &Endpoint| endpoint.transport == transport;
        knocks().any(|knock| matches!(knock, Knock::Port(endpoint) if on(&endpoint))) || traps().any(on)
    };
    let mut found = vec![];
    if uses(Transport::Tcp) {
        found.push(vec![Condition::Transport(Transport::Tcp), opening(), Condition::NoExtensionHeaders]);
    }
    if uses(Transport::Udp) {
        found.push(vec![Condition::Transport(Transport::Udp), Condition::NoExtensionHeaders]);
    }
    if pings(policy).is_some() {
        found.push(vec![Condition::Echo(None), Condition::NoExtensionHeaders]);
    }
    found
}
