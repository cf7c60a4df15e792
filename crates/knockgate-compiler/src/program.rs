//! The intermediate representation: chains of rules over lists of sources.
//!
//! A [`Program`] is drafted with a [`Builder`] and then sealed. Only a sealed one reaches the
//! simulator or a back end, so neither has to think of loops, dangling names or switches in the
//! wrong place.

pub(crate) mod cuts;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use crate::diag::Span;
use crate::hash::fnv1a_32;
use crate::net::{Endpoint, Family, Interface, Prefix, TcpFlags, Transport};
use crate::time::Lifetime;

/// A list of sources, by its place in [`Program::lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(u32);

/// A pool, by its place in [`Program::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(u32);

/// A track, by its place in [`Program::tracks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(u32);

/// A chain, by its place in [`Program::chains`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(u32);

/// A position on a track. Its number depends on what it stands for, not on the rest of the
/// program, so it keeps its meaning when the policy around it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(NonZeroU32);

macro_rules! index {
    ($($id:ident),*) => {$(
        impl $id {
            /// The place as an index.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            fn of_next<T>(items: &[T]) -> Self {
                Self(u32::try_from(items.len()).expect("a program has fewer than 2^32 items of a kind"))
            }
        }
    )*};
}
index!(ListId, PoolId, TrackId, ChainId);

impl Position {
    /// The number that stands for it in a packet filter.
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

/// Memory that timed lists share: one bound for the entries of all of them together, in each
/// address family. Adding to a full pool does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Unique among pools and tracks; a valid nftables identifier.
    pub name: Box<str>,
    /// Entries an address family may have.
    pub capacity: NonZeroU32,
    /// Whether one pool serves many lists. One that does not is its list's alone.
    pub shared: bool,
}

/// A list of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Unique among lists.
    pub name: Box<str>,
    /// Members that are written in the program and never expire. Adding one of them does nothing.
    pub fixed: Vec<Prefix>,
    /// Where rules add members, each with an expiry; `None` if none may.
    pub timed: Option<Timed>,
    /// Addresses and prefixes that people may put on it while the program is in force, in each
    /// address family; `None` if nobody may. Rules never do, and it is empty at first.
    pub managed: Option<NonZeroU32>,
}

/// Where a list has those members that rules add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The pool that holds them.
    pub pool: PoolId,
    /// Tells the list from others of its pool. As stable as [`Position`].
    pub tag: NonZeroU32,
    /// Leading bits of an IPv6 address that are kept: 64 lists a whole /64 at once.
    pub v6_bits: u8,
}

/// A machine with one position for each source, which expires. Unlike lists it can be moved to
/// another position, or forgotten, in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Unique among pools and tracks; a valid nftables identifier.
    pub name: Box<str>,
    /// Sources an address family may have on it.
    pub capacity: NonZeroU32,
    /// What each position stands for.
    pub positions: BTreeMap<Position, Box<str>>,
}

/// Where a chain is entered by packets. A packet that leaves the end of such a chain is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Every packet, before connection tracking knows of it.
    Raw,
    /// The first packet of each connection, before routing; may rewrite its destination.
    Prerouting,
    /// Packets for the gateway itself.
    Input,
    /// Packets that the gateway passes on.
    Forward,
}

/// Rules in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Unique among chains.
    pub name: Box<str>,
    /// Where packets enter, unless it is only jumped to.
    pub hook: Option<Hook>,
    /// First to last.
    pub rules: Vec<Rule>,
}

/// Conditions that must all hold, then effects in order, then at most one verdict. Without a
/// verdict the packet goes on to the next rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All must hold; none means always.
    pub when: Vec<Condition>,
    /// What is changed, and seen by later rules for the same packet.
    pub then: Vec<Effect>,
    /// Where the packet goes.
    pub verdict: Option<Verdict>,
    /// Where the rule came from.
    pub origin: Origin,
}

/// Where a rule came from, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What the rule is for, such as `door ssh: knock 2 of 3`.
    pub what: Box<str>,
    /// The text that asked for it; `None` for what every program has.
    pub span: Option<Span>,
}

/// Something a packet or one of its addresses must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// This does not hold.
    Not(Box<Condition>),
    /// It came in by one of these interfaces.
    From(Vec<Interface>),
    /// Connection tracking puts it in one of these states.
    State(States),
    /// Connection tracking has rewritten the destination of its connection.
    Redirected,
    /// Its connection was cut by a person while the program is in force.
    Cut,
    /// It is of this family.
    Family(Family),
    /// It carries TCP or UDP.
    Transport(Transport),
    /// It carries the protocol of this number (IANA, Protocol Numbers).
    Protocol(u8),
    /// It is sent to one of these ports.
    To(BTreeSet<Endpoint>),
    /// It carries this protocol, and this port of it is in one of the ranges.
    Ports(Transport, PortEnd, Vec<RangeInclusive<u16>>),
    /// Of the TCP flags in `mask`, exactly those in `set` are set.
    Flags {
        /// Flags that are looked at.
        mask: TcpFlags,
        /// Those of them that are set.
        set: TcpFlags,
    },
    /// It is an ICMP echo request; with `Some(n)`, one of `ping -s n`.
    Echo(Option<u16>),
    /// It is an ICMP message of that family whose type and code are in the ranges.
    Icmp(Family, RangeInclusive<u8>, RangeInclusive<u8>),
    /// Its TTL or hop limit is this.
    HopLimit(u8),
    /// The whole IP packet has so many bytes.
    Size(RangeInclusive<u16>),
    /// Its source is in one of the prefixes.
    Source(Vec<Prefix>),
    /// Its destination is in one of the prefixes.
    Destination(Vec<Prefix>),
    /// Its destination is a unicast address of the gateway's own.
    ToGateway,
    /// No IPv6 extension header stands before its payload.
    NoExtensionHeaders,
    /// Its source is on the list.
    Listed(ListId),
    /// Its destination is on the list.
    DestinationListed(ListId),
    /// Its source is on the track, at whatever position.
    OnTrack(TrackId),
    /// Something that is not modelled, in the words of the rule's own language. The simulator takes
    /// it as never holding; a back end that does not know these words refuses the program.
    Opaque(Box<str>),
}

impl Condition {
    /// That it does not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// That its source is not on the list.
    pub fn not_listed(list: ListId) -> Self {
        Self::Listed(list).negated()
    }
}

/// Which of its two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortEnd {
    /// The one it is sent from.
    Source,
    /// The one it is sent to.
    Destination,
    /// One or the other.
    Either,
}

/// Connection-tracking states, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct States(u8);

/// A connection-tracking state (`man nft`, CONNTRACK EXPRESSIONS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Belongs to no connection, or is malformed.
    Invalid,
    /// Begins a connection.
    New,
    /// Belongs to a connection that was seen in both directions.
    Established,
    /// Belongs to a connection in another way, as an ICMP error does.
    Related,
    /// Is not tracked at all, as neighbour discovery.
    Untracked,
}

impl State {
    /// Every state with its nftables name.
    pub const NAMED: [(&'static str, Self); 5] = [
        ("invalid", Self::Invalid),
        ("new", Self::New),
        ("established", Self::Established),
        ("related", Self::Related),
        ("untracked", Self::Untracked),
    ];
}

impl States {
    /// These states.
    pub fn of(states: &[State]) -> Self {
        Self(states.iter().fold(0, |bits, state| bits | 1 << *state as u8))
    }

    /// Whether `state` is among them.
    pub fn has(self, state: State) -> bool {
        self.0 & 1 << state as u8 != 0
    }
}

/// Something a rule changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Put the source on a timed list.
    Add {
        /// The list.
        list: ListId,
        /// How long it stays.
        lifetime: Lifetime,
        /// What becomes of an entry that is there already.
        expiry: Expiry,
    },
    /// Put the destination on a timed list.
    AddDestination {
        /// The list.
        list: ListId,
        /// How long it stays.
        lifetime: Lifetime,
        /// What becomes of an entry that is there already.
        expiry: Expiry,
    },
    /// Take the source off a timed list.
    Remove(ListId),
    /// Put the source at a position of a track, for a time, wherever it was.
    Move {
        /// The track.
        track: TrackId,
        /// Its new position.
        position: Position,
        /// How long it stays there.
        lifetime: Lifetime,
    },
    /// Take the source off a track.
    Forget(TrackId),
    /// Write a line with this prefix to the log of the target, at a bounded rate.
    Log(Box<str>),
}

/// What adding does to the expiry of an entry that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// It starts again.
    Refresh,
    /// It is left alone.
    Keep,
}

/// Where a packet goes after a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is let through this hook.
    Accept,
    /// It vanishes.
    Drop,
    /// It is refused, and its sender told so.
    Reject(Refusal),
    /// On to another chain, and back.
    Jump(ChainId),
    /// Back to the chain that jumped here.
    Return,
    /// On to the chain of the arm that fits, and from its end back to where this chain was jumped
    /// to from; where no arm fits, on to the next rule.
    Switch(Switch),
    /// Its connection, of TCP or UDP and of the address's family, is sent to this address and port
    /// instead, and it is let through. Any other packet goes on.
    Redirect(SocketAddr),
    /// A TCP packet from where somebody tries the program out, to the port that their own session came
    /// in by, is let through, and the target notes which port it came from. Any other packet goes on,
    /// and so does every one where nobody tries anything out. Rules with this verdict have no effects, and
    /// stand in chains that have no others, so that a target may leave them out for as long.
    Rescue,
}

/// How a packet is refused. A packet that cannot be refused so goes on to the next rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// As a closed port does: a TCP reset, or an ICMP port unreachable.
    Closed,
    /// A TCP reset; for TCP alone.
    Reset,
    /// An ICMP message of its family that says it is unreachable, with this code (RFC 792, RFC 4443).
    Unreachable(Family, u8),
    /// A connection that is answered and then held without end. RouterOS alone has it.
    Tarpit,
}

/// A choice between chains, made in one look-up however many arms there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch {
    /// By destination port.
    Port(BTreeMap<Endpoint, ChainId>),
    /// By the size of an echo request, as `ping -s` counts it.
    Echo(BTreeMap<u16, ChainId>),
    /// By the source's position and the destination port.
    TrackPort(TrackId, BTreeMap<(Position, Endpoint), ChainId>),
    /// By the source's position and the size of an echo request.
    TrackEcho(TrackId, BTreeMap<(Position, u16), ChainId>),
}

impl Switch {
    /// The chains of all arms.
    pub fn targets(&self) -> Vec<ChainId> {
        match self {
            Self::Port(arms) => arms.values().copied().collect(),
            Self::Echo(arms) => arms.values().copied().collect(),
            Self::TrackPort(_, arms) => arms.values().copied().collect(),
            Self::TrackEcho(_, arms) => arms.values().copied().collect(),
        }
    }
}

/// A sealed program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    outside: Vec<Interface>,
    pools: Vec<Pool>,
    lists: Vec<List>,
    tracks: Vec<Track>,
    chains: Vec<Chain>,
}

impl Program {
    /// Interfaces that face strangers, at least one.
    pub fn outside(&self) -> &[Interface] {
        &self.outside
    }

    /// Every pool.
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Every list.
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// Every track.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Every chain.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The chain that packets enter at `hook`, if any.
    pub fn hooked(&self, hook: Hook) -> Option<ChainId> {
        self.chains_with_ids().find(|(_, chain)| chain.hook == Some(hook)).map(|(id, _)| id)
    }

    /// The same with what rules add to lists staying as long as `of` says of the list and of the
    /// time it stays now.
    #[must_use]
    pub fn with_lifetimes(mut self, of: impl Fn(ListId, Lifetime) -> Lifetime) -> Self {
        let rules = self.chains.iter_mut().flat_map(|chain| &mut chain.rules);
        for effect in rules.flat_map(|rule| &mut rule.then) {
            if let Effect::Add { list, lifetime, .. } | Effect::AddDestination { list, lifetime, .. } = effect
            {
                *lifetime = of(*list, *lifetime);
            }
        }
        self
    }

    /// The same for as long as no person puts anybody on a managed list or cuts a connection, without
    /// any question for that. Every id means what it did.
    #[must_use]
    pub fn left_alone(mut self) -> Self {
        let Self { lists, chains, .. } = &mut self;
        let managed = |condition: &Condition| match condition {
            Condition::Listed(list) | Condition::DestinationListed(list) => {
                lists[list.index()].managed.is_some()
            }
            Condition::Cut => true,
            _ => false,
        };
        for chain in chains {
            chain.rules.retain(|rule| !rule.when.iter().any(managed));
            for rule in &mut chain.rules {
                rule.when.retain(|condition| match condition {
                    Condition::Not(inner) => !managed(inner),
                    _ => true,
                });
            }
        }
        self
    }

    /// Every list with its id.
    pub fn lists_with_ids(&self) -> impl Iterator<Item = (ListId, &List)> {
        (0u32..).map(ListId).zip(&self.lists)
    }

    /// Every track with its id.
    pub fn tracks_with_ids(&self) -> impl Iterator<Item = (TrackId, &Track)> {
        (0u32..).map(TrackId).zip(&self.tracks)
    }

    /// Every chain with its id.
    pub fn chains_with_ids(&self) -> impl Iterator<Item = (ChainId, &Chain)> {
        (0u32..).map(ChainId).zip(&self.chains)
    }

    /// For each chain in [`chains`](Self::chains), the hooks that packets come to it from.
    pub fn hooks(&self) -> Vec<BTreeSet<Hook>> {
        let mut hooks = vec![BTreeSet::new(); self.chains.len()];
        for (id, chain) in self.chains_with_ids() {
            let Some(hook) = chain.hook else { continue };
            let mut open = vec![id];
            while let Some(id) = open.pop() {
                if !hooks[id.index()].insert(hook) {
                    continue;
                }
                for rule in &self[id].rules {
                    match &rule.verdict {
                        Some(Verdict::Jump(target)) => open.push(*target),
                        Some(Verdict::Switch(switch)) => open.extend(switch.targets()),
                        _ => {}
                    }
                }
            }
        }
        hooks
    }
}

macro_rules! lookup {
    ($($id:ident, $field:ident, $item:ident;)*) => {$(
        impl std::ops::Index<$id> for Program {
            type Output = $item;

            /// An id comes from the program's own builder, so it is always in range.
            fn index(&self, id: $id) -> &$item {
                &self.$field[id.index()]
            }
        }
    )*};
}
lookup! {
    PoolId, pools, Pool;
    ListId, lists, List;
    TrackId, tracks, Track;
    ChainId, chains, Chain;
}

/// Why a draft cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Two items of a kind have this name.
    DuplicateName(Box<str>),
    /// Two chains are entered at this hook.
    DuplicateHook(Hook),
    /// This chain can reach itself.
    Loop(Box<str>),
    /// Jumps go deeper than [`MAX_DEPTH`] from this chain.
    TooDeep(Box<str>),
    /// A packet that enters this chain may meet more than [`MAX_STEPS`] rules, for jumps fan out.
    TooLong(Box<str>),
    /// A switch or a return stands in this chain, which no chain jumps to.
    NothingToReturnTo(Box<str>),
    /// A rule of this chain has both effects and a switch.
    SwitchWithEffects(Box<str>),
    /// This chain redirects, but packets enter it elsewhere than at [`Hook::Prerouting`].
    RedirectOutsidePrerouting(Box<str>),
    /// A rule of this chain has [`Verdict::Rescue`], and effects, or others beside it, or packets enter it
    /// from a hook.
    RescueBesideOthers(Box<str>),
    /// A rule adds to or removes from this list, whose members are all fixed.
    StaticListChanged(Box<str>),
    /// A rule of this chain, or of one that it leads to, looks at destinations on lists, but packets
    /// enter it elsewhere than at [`Hook::Forward`]. Which of its own addresses the gateway is
    /// reached at is not modelled.
    DestinationOutsideForward(Box<str>),
    /// A rule of this chain, or of one that it leads to, asks connection tracking, but packets enter
    /// it at [`Hook::Raw`].
    StateBeforeTracking(Box<str>),
    /// Two lists share this pool, which is not for sharing.
    PoolNotShared(Box<str>),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName(name) => write!(f, "two items are called `{name}`"),
            Self::DuplicateHook(hook) => write!(f, "two chains are entered at {hook:?}"),
            Self::Loop(chain) => write!(f, "chain `{chain}` can reach itself"),
            Self::TooDeep(chain) => write!(f, "jumps from chain `{chain}` go deeper than {MAX_DEPTH}"),
            Self::TooLong(chain) => {
                write!(f, "jumps from chain `{chain}` lead through more than {MAX_STEPS} rules")
            }
            Self::NothingToReturnTo(chain) => {
                write!(f, "chain `{chain}` returns, but packets enter it from a hook")
            }
            Self::SwitchWithEffects(chain) => {
                write!(f, "a rule of chain `{chain}` has both effects and a switch")
            }
            Self::RedirectOutsidePrerouting(chain) => {
                write!(f, "chain `{chain}` redirects after routing was decided")
            }
            Self::RescueBesideOthers(chain) => {
                write!(f, "chain `{chain}` has more than rules for who tries the program out")
            }
            Self::StaticListChanged(list) => write!(f, "a rule changes the static list `{list}`"),
            Self::DestinationOutsideForward(chain) => {
                write!(f, "chain `{chain}` looks for destinations of the gateway's own on lists")
            }
            Self::StateBeforeTracking(chain) => {
                write!(f, "chain `{chain}` asks for connections before they are tracked")
            }
            Self::PoolNotShared(pool) => write!(f, "pool `{pool}` holds one list only"),
        }
    }
}

impl std::error::Error for Flaw {}

/// Jumps that may be pending at once. The kernel takes 16 (`NFT_JUMP_STACK_SIZE`); half of them
/// are left to back ends, which may put a chain of their own around a rule's effects.
pub const MAX_DEPTH: usize = 8;

/// Rules that a packet may meet, those of a chain as often as it is jumped to: a few jumps in each of a
/// few chains are soon more than any gateway can carry out.
pub const MAX_STEPS: u64 = 1_000_000;

/// A program being drafted.
#[derive(Debug)]
pub struct Builder {
    draft: Program,
    tags: HashMap<NonZeroU32, Box<str>>,
}

impl Builder {
    /// An empty program for a gateway with these outside interfaces.
    pub fn new(outside: Vec<Interface>) -> Self {
        let draft = Program { outside, pools: vec![], lists: vec![], tracks: vec![], chains: vec![] };
        Self { draft, tags: HashMap::new() }
    }

    /// A list whose members never change.
    pub fn static_list(&mut self, name: &str, members: Vec<Prefix>) -> ListId {
        self.list(name, members, None)
    }

    /// A list that people manage, of at most `capacity` addresses and prefixes of each family.
    pub fn managed_list(&mut self, name: &str, capacity: NonZeroU32) -> ListId {
        let id = self.list(name, vec![], None);
        self.draft.lists[id.index()].managed = Some(capacity);
        id
    }

    /// Memory for timed lists.
    pub fn pool(&mut self, name: &str, capacity: NonZeroU32, shared: bool) -> PoolId {
        let id = PoolId::of_next(&self.draft.pools);
        self.draft.pools.push(Pool { name: name.into(), capacity, shared });
        id
    }

    /// A list in `pool` that rules add to, keeping `v6_bits` leading bits of IPv6 sources.
    pub fn timed_list(&mut self, name: &str, pool: PoolId, v6_bits: u8) -> ListId {
        self.mixed_list(name, vec![], pool, v6_bits)
    }

    /// The same with members that are there from the beginning and for good.
    pub fn mixed_list(&mut self, name: &str, fixed: Vec<Prefix>, pool: PoolId, v6_bits: u8) -> ListId {
        let tag = self.tag(&format!("{}\0{name}", self.draft[pool].name));
        self.list(name, fixed, Some(Timed { pool, tag, v6_bits }))
    }

    fn list(&mut self, name: &str, fixed: Vec<Prefix>, timed: Option<Timed>) -> ListId {
        let id = ListId::of_next(&self.draft.lists);
        self.draft.lists.push(List { name: name.into(), fixed, timed, managed: None });
        id
    }

    /// A track without positions.
    pub fn track(&mut self, name: &str, capacity: NonZeroU32) -> TrackId {
        let id = TrackId::of_next(&self.draft.tracks);
        self.draft.tracks.push(Track { name: name.into(), capacity, positions: BTreeMap::new() });
        id
    }

    /// A position of `track`. `identity` tells it from every other position of any program;
    /// `what` is for people.
    pub fn position(&mut self, track: TrackId, identity: &str, what: &str) -> Position {
        let position = Position(self.tag(identity));
        self.draft.tracks[track.index()].positions.insert(position, what.into());
        position
    }

    /// A number for `identity`, the same in every program unless two identities of one program
    /// collide: then the later one takes the next free number.
    fn tag(&mut self, identity: &str) -> NonZeroU32 {
        let mut tag = NonZeroU32::new(fnv1a_32(identity.as_bytes())).unwrap_or(NonZeroU32::MIN);
        while self.tags.get(&tag).is_some_and(|holder| **holder != *identity) {
            tag = tag.checked_add(1).unwrap_or(NonZeroU32::MIN);
        }
        self.tags.insert(tag, identity.into());
        tag
    }

    /// A chain without rules. With a hook, packets enter it there.
    pub fn chain(&mut self, name: &str, hook: Option<Hook>) -> ChainId {
        let id = ChainId::of_next(&self.draft.chains);
        self.draft.chains.push(Chain { name: name.into(), hook, rules: vec![] });
        id
    }

    /// Appends a rule to `chain`.
    pub fn rule(&mut self, chain: ChainId, rule: Rule) {
        self.draft.chains[chain.index()].rules.push(rule);
    }

    /// The finished program, or the first flaw that keeps it from having one meaning everywhere.
    pub fn seal(self) -> Result<Program, Flaw> {
        let program = self.draft;
        check_names(&program)?;
        check_pools(&program)?;
        check_effects(&program)?;
        check_rescue(&program)?;
        check_flow(&program)?;
        Ok(program)
    }
}

fn check_names(program: &Program) -> Result<(), Flaw> {
    fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Flaw> {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                return Err(Flaw::DuplicateName(name.into()));
            }
        }
        Ok(())
    }
    let pools = program.pools.iter().map(|pool| &*pool.name);
    unique(pools.chain(program.tracks.iter().map(|track| &*track.name)))?;
    unique(program.lists.iter().map(|list| &*list.name))?;
    unique(program.chains.iter().map(|chain| &*chain.name))?;
    let mut hooks = BTreeSet::new();
    match program.chains.iter().filter_map(|chain| chain.hook).find(|hook| !hooks.insert(*hook)) {
        Some(hook) => Err(Flaw::DuplicateHook(hook)),
        None => Ok(()),
    }
}

fn check_pools(program: &Program) -> Result<(), Flaw> {
    let mut used = BTreeSet::new();
    for list in &program.lists {
        if let Some(Timed { pool, .. }) = list.timed
            && !used.insert(pool)
            && !program[pool].shared
        {
            return Err(Flaw::PoolNotShared(program[pool].name.clone()));
        }
    }
    Ok(())
}

fn check_effects(program: &Program) -> Result<(), Flaw> {
    let effects = program.chains.iter().flat_map(|c| &c.rules).flat_map(|rule| &rule.then);
    for effect in effects {
        if let Effect::Add { list, .. } | Effect::AddDestination { list, .. } | Effect::Remove(list) = effect
            && program[*list].timed.is_none()
        {
            return Err(Flaw::StaticListChanged(program[*list].name.clone()));
        }
    }
    Ok(())
}

fn check_rescue(program: &Program) -> Result<(), Flaw> {
    let rescues = |rule: &Rule| rule.verdict == Some(Verdict::Rescue);
    let alone = |chain: &Chain| {
        chain.hook.is_none() && chain.rules.iter().all(|rule| rescues(rule) && rule.then.is_empty())
    };
    match program.chains.iter().find(|chain| chain.rules.iter().any(rescues) && !alone(chain)) {
        Some(chain) => Err(Flaw::RescueBesideOthers(chain.name.clone())),
        None => Ok(()),
    }
}

/// What is known of a chain once everything it can reach has been looked at.
#[derive(Clone, Copy, Default)]
struct Reach {
    depth: usize,
    /// Rules that a packet may meet.
    steps: u64,
    redirects: bool,
    /// It looks at destinations on lists.
    destinations: bool,
    /// It asks connection tracking.
    states: bool,
}

impl Reach {
    fn of(rule: &Rule) -> Self {
        let redirects = matches!(rule.verdict, Some(Verdict::Redirect(_)));
        let adds = rule.then.iter().any(|effect| matches!(effect, Effect::AddDestination { .. }));
        let asks = |what: fn(&Condition) -> bool| {
            rule.when.iter().any(|condition| match condition {
                Condition::Not(inner) => what(inner),
                condition => what(condition),
            })
        };
        let destinations = adds || asks(|condition| matches!(condition, Condition::DestinationListed(_)));
        let states = asks(|condition| {
            matches!(condition, Condition::State(_) | Condition::Redirected | Condition::Cut)
        });
        Self { depth: 0, steps: 1, redirects, destinations, states }
    }

    fn and(self, other: Self) -> Self {
        Self {
            depth: self.depth.max(other.depth),
            steps: self.steps.saturating_add(other.steps),
            redirects: self.redirects || other.redirects,
            destinations: self.destinations || other.destinations,
            states: self.states || other.states,
        }
    }
}

fn check_flow(program: &Program) -> Result<(), Flaw> {
    let mut known = vec![None; program.chains.len()];
    let mut pending = vec![false; program.chains.len()];
    for (id, chain) in program.chains_with_ids() {
        let mixed = |rule: &Rule| !rule.then.is_empty() && matches!(rule.verdict, Some(Verdict::Switch(_)));
        if chain.rules.iter().any(mixed) {
            return Err(Flaw::SwitchWithEffects(chain.name.clone()));
        }
        let reach = explore(program, id, 0, &mut known, &mut pending)?;
        if reach.depth > MAX_DEPTH {
            return Err(Flaw::TooDeep(chain.name.clone()));
        }
        if reach.steps > MAX_STEPS {
            return Err(Flaw::TooLong(chain.name.clone()));
        }
        let Some(hook) = chain.hook else { continue };
        if reach.redirects && hook != Hook::Prerouting {
            return Err(Flaw::RedirectOutsidePrerouting(chain.name.clone()));
        }
        if reach.destinations && hook != Hook::Forward {
            return Err(Flaw::DestinationOutsideForward(chain.name.clone()));
        }
        if reach.states && hook == Hook::Raw {
            return Err(Flaw::StateBeforeTracking(chain.name.clone()));
        }
        let returns = |rule: &Rule| matches!(rule.verdict, Some(Verdict::Return | Verdict::Switch(_)));
        if chain.rules.iter().any(returns) {
            return Err(Flaw::NothingToReturnTo(chain.name.clone()));
        }
    }
    Ok(())
}

/// Recursion ends at [`MAX_DEPTH`], long before the stack does.
fn explore(
    program: &Program,
    id: ChainId,
    jumps: usize,
    known: &mut [Option<Reach>],
    pending: &mut [bool],
) -> Result<Reach, Flaw> {
    if let Some(reach) = known[id.index()] {
        return Ok(reach);
    }
    let chain = &program[id];
    if pending[id.index()] {
        return Err(Flaw::Loop(chain.name.clone()));
    }
    if jumps > MAX_DEPTH {
        return Err(Flaw::TooDeep(chain.name.clone()));
    }
    pending[id.index()] = true;
    let mut reach = Reach::default();
    for rule in &chain.rules {
        reach = reach.and(Reach::of(rule));
        let targets = match &rule.verdict {
            Some(Verdict::Jump(target)) => vec![*target],
            Some(Verdict::Switch(switch)) => switch.targets(),
            _ => continue,
        };
        // Of a switch, a packet meets one arm.
        let mut longest = 0;
        for target in targets {
            let inner = explore(program, target, jumps + 1, known, pending)?;
            longest = inner.steps.max(longest);
            reach = reach.and(Reach { depth: inner.depth + 1, steps: 0, ..inner });
        }
        reach.steps = reach.steps.saturating_add(longest);
    }
    pending[id.index()] = false;
    known[id.index()] = Some(reach);
    Ok(reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(verdict: Verdict) -> Rule {
        let origin = Origin { what: "test".into(), span: None };
        Rule { when: vec![], then: vec![], verdict: Some(verdict), origin }
    }

    fn builder() -> Builder {
        Builder::new(vec!["eth0".parse().unwrap()])
    }

    #[test]
    fn a_loop_is_not_sealed() {
        let mut draft = builder();
        let (a, b) = (draft.chain("a", None), draft.chain("b", None));
        draft.rule(a, to(Verdict::Jump(b)));
        draft.rule(b, to(Verdict::Jump(a)));
        assert_eq!(draft.seal(), Err(Flaw::Loop("a".into())));
    }

    #[test]
    fn jumps_deeper_than_the_kernel_allows_are_not_sealed() {
        let mut draft = builder();
        let chains: Vec<_> = (0..=MAX_DEPTH + 1).map(|i| draft.chain(&format!("c{i}"), None)).collect();
        for pair in chains.windows(2) {
            draft.rule(pair[0], to(Verdict::Jump(pair[1])));
        }
        assert!(matches!(draft.seal(), Err(Flaw::TooDeep(_))));
    }

    #[test]
    fn jumps_that_fan_out_beyond_measure_are_not_sealed() {
        let mut draft = builder();
        let chains: Vec<_> = (0..=MAX_DEPTH).map(|i| draft.chain(&format!("c{i}"), None)).collect();
        for pair in chains.windows(2) {
            (0..10).for_each(|_| draft.rule(pair[0], to(Verdict::Jump(pair[1]))));
        }
        assert!(matches!(draft.seal(), Err(Flaw::TooLong(_))));
    }

    #[test]
    fn a_chain_without_a_caller_does_not_return() {
        for verdict in [Verdict::Return, Verdict::Switch(Switch::Echo(BTreeMap::new()))] {
            let mut draft = builder();
            let input = draft.chain("input", Some(Hook::Input));
            draft.rule(input, to(verdict));
            assert_eq!(draft.seal(), Err(Flaw::NothingToReturnTo("input".into())));
        }
    }

    #[test]
    fn left_alone_a_program_asks_for_nothing_that_people_do() {
        let mut draft = builder();
        let (ours, theirs) =
            (draft.static_list("ours", vec![]), draft.managed_list("by hand", NonZeroU32::MIN));
        let input = draft.chain("input", Some(Hook::Input));
        for when in [
            vec![Condition::Listed(theirs)],
            vec![Condition::Cut],
            vec![Condition::Listed(ours), Condition::not_listed(theirs), Condition::Cut.negated()],
        ] {
            draft.rule(input, Rule { when, ..to(Verdict::Accept) });
        }
        let alone = draft.seal().expect("it has no flaw").left_alone();
        let left: Vec<_> = alone[input].rules.iter().map(|rule| rule.when.clone()).collect();
        assert_eq!(left, [vec![Condition::Listed(ours)]]);
    }

    #[test]
    fn a_redirect_is_sealed_only_before_routing() {
        let mut draft = builder();
        let input = draft.chain("input", Some(Hook::Input));
        let inner = draft.chain("inner", None);
        draft.rule(input, to(Verdict::Jump(inner)));
        draft.rule(inner, to(Verdict::Redirect("192.0.2.1:22".parse().unwrap())));
        assert_eq!(draft.seal(), Err(Flaw::RedirectOutsidePrerouting("input".into())));
    }

    #[test]
    fn a_static_list_is_never_changed_by_a_rule() {
        let mut draft = builder();
        let list = draft.static_list("friends", vec![]);
        let input = draft.chain("input", Some(Hook::Input));
        draft.rule(input, Rule { then: vec![Effect::Remove(list)], ..to(Verdict::Accept) });
        assert_eq!(draft.seal(), Err(Flaw::StaticListChanged("friends".into())));
    }

    #[test]
    fn who_tries_a_program_out_has_chains_of_their_own() {
        for (hook, beside) in [(None, None), (None, Some(Verdict::Accept)), (Some(Hook::Input), None)] {
            let mut draft = builder();
            let chain = draft.chain("rescue", hook);
            let alone = hook.is_none() && beside.is_none();
            for verdict in [Some(Verdict::Rescue), beside].into_iter().flatten() {
                draft.rule(chain, to(verdict));
            }
            let flaw = draft.seal().err();
            assert_eq!(flaw, (!alone).then(|| Flaw::RescueBesideOthers("rescue".into())));
        }
    }

    #[test]
    fn numbers_depend_on_names_and_differ_even_when_hashes_collide() {
        // A known pair of colliding 32-bit FNV-1a inputs.
        let (one, other) = ("costarring", "liquid");
        assert_eq!(fnv1a_32(one.as_bytes()), fnv1a_32(other.as_bytes()));
        let mut draft = builder();
        let (first, second) = (draft.tag(one), draft.tag(other));
        assert_ne!(first, second);
        assert_eq!(draft.tag(one), first);
        assert_eq!(builder().tag(one), first);
    }
}
