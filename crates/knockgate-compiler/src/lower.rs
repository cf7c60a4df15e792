//! From a policy to the program that carries it out. Total: every policy has one.
//!
//! Three chains are entered by packets. `input` decides over packets for the gateway, in this
//! order: what does not come from outside; connections cut by hand; established ones; what keeps the
//! link alive; allowed and granted sources to their services; sources banned by hand; public ports;
//! who tries the policy out; banned sources; then traps and knocks, for packets that count as such;
//! and the end, where everything else from outside vanishes, knocks too. `prerouting` and `forward`
//! exist only for services on hosts behind.

mod knocks;
mod meaning;
mod services;
mod traps;

use std::collections::BTreeMap;

use crate::diag::Span;
use crate::net::{Endpoint, Family, Port, Prefix, TcpFlags, Transport};
use crate::policy::{Door, Knock, Policy};
use crate::program::{
    Builder, ChainId, Condition, Effect, Expiry, Hook, ListId, Origin, PortEnd, Program, Rule, State, States,
    Verdict,
};
use crate::time::Lifetime;
pub use meaning::{Meaning, What, meanings};

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

/// What the list of a door's grants is called.
pub fn grant_list(door: &str) -> String {
    format!("grant {door}")
}

/// What the list of those is called that hold any grant of this length.
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
    /// For each length of grant, the sources that hold any of that length: they are never banned.
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
            let pool = builder.pool("guests", policy.sources(), true);
            for door in policy.doors() {
                guests
                    .entry(door.grant)
                    .or_insert_with(|| builder.timed_list(&guest_list(door.grant), pool, ADDRESS));
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
        self.preamble(input);
        for (what, when) in link_upkeep() {
            self.rule(input, always(what), when, vec![], Some(Verdict::Accept));
        }
        let services = self.services();
        let to_gateway = vec![Condition::ToGateway];
        self.rule(input, always("services behind doors"), to_gateway, vec![], Some(Verdict::Jump(services)));
        let banned_by_hand = vec![Condition::Listed(self.banned_by_hand)];
        self.rule(input, always("sources banned by hand"), banned_by_hand, vec![], Some(Verdict::Drop));
        if !self.policy.public().is_empty() {
            let public = vec![Condition::To(self.policy.public().clone())];
            self.rule(input, always("public ports"), public, vec![], Some(Verdict::Accept));
        }
        let new = vec![Condition::State(States::of(&[State::New])), Condition::ToGateway];
        self.rule(input, always("who tries this policy out"), new, vec![], Some(Verdict::Rescue));
        let banned = self.policy.traps().map(|_| self.ban_list());
        if let Some(banned) = banned {
            let when = vec![Condition::Listed(banned)];
            self.rule(input, always("banned sources"), when, vec![], Some(Verdict::Drop));
        }
        let counted = self.counted(banned);
        for (what, when) in counts_as_knock(self.policy) {
            self.rule(input, always(what), when, vec![], Some(Verdict::Jump(counted)));
        }
        self.rule(input, always("everything else from outside"), vec![], vec![], Some(Verdict::Drop));
    }

    /// What comes from inside, and what belongs to a connection, is never looked at further.
    fn preamble(&mut self, chain: ChainId) {
        let inside = vec![Condition::From(self.policy.outside().to_vec()).negated()];
        self.rule(chain, always("not from outside"), inside, vec![], Some(Verdict::Accept));
        let cut = vec![Condition::Cut];
        self.rule(chain, always("connections cut by hand"), cut, vec![], Some(Verdict::Drop));
        let states = States::of(&[State::Established, State::Related]);
        let known = vec![Condition::State(states)];
        self.rule(chain, always("established connections"), known, vec![], Some(Verdict::Accept));
    }

    /// What becomes of a packet that counts as a knock.
    fn counted(&mut self, banned: Option<ListId>) -> ChainId {
        let counted = self.builder.chain("counted", None);
        if let Some((traps, banned)) = self.policy.traps().zip(banned) {
            let target = self.traps(traps, banned);
            let fixed = [self.allow, self.exempt].into_iter().flatten();
            let spared = fixed.chain([self.allowed_by_hand]).chain(self.guests.values().copied());
            let when = spared.map(Condition::not_listed).collect();
            self.rule(counted, made("traps", traps.span), when, vec![], Some(Verdict::Jump(target)));
        }
        for chain in self.knocks() {
            self.rule(counted, always("knocks"), vec![], vec![], Some(Verdict::Jump(chain)));
        }
        counted
    }

    /// What is done for a source that has made all knocks of the door.
    fn grant(&self, door: usize) -> Vec<Effect> {
        let lifetime = self.policy.doors()[door].grant;
        let add = |list| Effect::Add { list, lifetime, expiry: Expiry::Refresh };
        let guest = self.guests.get(&lifetime).copied();
        std::iter::once(self.grants[door]).chain(guest).map(add).collect()
    }
}

/// IPv6 bits of a list that tells single addresses apart.
const ADDRESS: u8 = 128;
/// IPv6 bits of a list of networks: who has one address of a /64 has them all (RFC 6177).
const NETWORK: u8 = 64;

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

/// What a link needs to stay up, which connection tracking does not know as related.
fn link_upkeep() -> [(&'static str, Vec<Condition>); 4] {
    let udp = |from, to| {
        let port = |number| Port::new(number).expect("a port of DHCP");
        let endpoint = Endpoint { transport: Transport::Udp, port: port(to) };
        let sent_from = Condition::Ports(Transport::Udp, PortEnd::Source, vec![from..=from]);
        [sent_from, Condition::To([endpoint].into())]
    };
    let prefix = |text: &str| text.parse::<Prefix>().expect("a prefix of the RFC");
    let link_local = Condition::Source(vec![prefix("fe80::/10")]);
    [
        // RFC 4861, section 6.1 and 7.1: a hop limit of 255 shows that it never crossed a router.
        (
            "IPv6 neighbour discovery",
            vec![Condition::Icmp(Family::V6, 133..=136, 0..=0), Condition::HopLimit(255)],
        ),
        // RFC 2710, section 3: queries have a link-local source and a hop limit of 1.
        (
            "IPv6 multicast listener queries",
            vec![Condition::Icmp(Family::V6, 130..=130, 0..=0), Condition::HopLimit(1), link_local.clone()],
        ),
        // RFC 8415, section 7.2: servers answer a client's multicast from a link-local source.
        ("DHCPv6 answers", udp(547, 546).into_iter().chain([link_local]).collect()),
        // RFC 2131, section 4.1: a client without an address is answered by broadcast.
        (
            "DHCP answers",
            udp(67, 68)
                .into_iter()
                .chain([Condition::Destination(vec![prefix("255.255.255.255")])])
                .collect(),
        ),
    ]
}

/// Which packets count as knocks. Only protocols that a knock or a trap has are looked at, so that
/// the rest of what a client sends never upsets a sequence.
fn counts_as_knock(policy: &Policy) -> Vec<(&'static str, Vec<Condition>)> {
    let knocks = || policy.doors().iter().flat_map(|door| door.sequence.knocks());
    let traps = || policy.traps().into_iter().flat_map(|traps| &traps.ports);
    let uses = |transport| {
        let on = |endpoint: &Endpoint| endpoint.transport == transport;
        knocks().any(|knock| matches!(knock, Knock::Port(endpoint) if on(&endpoint))) || traps().any(on)
    };
    let new =
        [Condition::State(States::of(&[State::New])), Condition::ToGateway, Condition::NoExtensionHeaders];
    let mut found = vec![];
    if uses(Transport::Tcp) {
        let handshake = TcpFlags::FIN.with(TcpFlags::SYN).with(TcpFlags::RST).with(TcpFlags::ACK);
        let opening = Condition::Flags { mask: handshake, set: TcpFlags::SYN };
        found.push((
            "TCP knocks",
            [Condition::Transport(Transport::Tcp), opening].into_iter().chain(new.clone()).collect(),
        ));
    }
    if uses(Transport::Udp) {
        let udp = Condition::Transport(Transport::Udp);
        found.push(("UDP knocks", std::iter::once(udp).chain(new.clone()).collect()));
    }
    if knocks().any(|knock| matches!(knock, Knock::Ping(_))) {
        found.push(("ping knocks", std::iter::once(Condition::Echo(None)).chain(new).collect()));
    }
    found
}
