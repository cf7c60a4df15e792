//! One walk through the hooks.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::super::{Passage, conntrack, is_group, kept};
use super::{Arm, Aspect, Cell, Fact, Key, Reach, Walker};
use crate::net::{Destination, Family, Packet, Payload, echo_request_type};
use crate::program::{ChainId, Condition, Effect, Hook, ListId, PortEnd, Rule, State, Switch, Verdict};
use crate::time::Moment;

/// Where a packet may go after a rule that held.
struct Way {
    /// On to the next rule.
    on: bool,
    /// Back from the chain.
    back: bool,
}

impl Way {
    const ON: Self = Self { on: true, back: false };
    const OUT: Self = Self { on: false, back: false };
}

/// What a condition comes to.
enum Answer {
    Always(bool),
    /// As the cell is, or as it is not.
    As(Cell, bool),
    /// One or the other, as the cell is.
    Either(Cell),
}

pub(super) struct Walk<'a, 'p> {
    walker: &'a Walker<'p>,
    passage: Passage<'a, 'p>,
    known: [bool; Aspect::COUNT],
    pub found: Reach,
    /// What must be so where the walk is.
    facts: Vec<Fact>,
    /// What the packet itself may have brought about by now.
    made: BTreeSet<Fact>,
    /// How packets may get through the present hook.
    passed: Vec<Passed>,
}

/// A way through a hook: where packets are sent on to, if they are, and what must be so.
type Passed = (Option<SocketAddr>, Vec<Fact>);

/// Ways to the same place need what each of them needs.
fn joined(ways: Vec<Passed>) -> Vec<Passed> {
    let mut joined: Vec<Passed> = vec![];
    for (redirect, facts) in ways {
        match joined.iter_mut().find(|(known, _)| *known == redirect) {
            Some((_, needed)) => needed.retain(|fact| facts.contains(fact)),
            None => joined.push((redirect, facts)),
        }
    }
    joined
}

/// Marks in a course, where no rule stands.
mod mark {
    pub const END: u64 = u64::MAX;
    pub const HOOK: u64 = u64::MAX - 1;
    pub const CANNOT: u64 = u64::MAX - 2;
    pub const ASKED: u64 = u64::MAX - 3;
}

impl<'a, 'p> Walk<'a, 'p> {
    pub fn new(walker: &'a Walker<'p>, packet: &'a Packet, known: [bool; Aspect::COUNT]) -> Self {
        let passage = Passage::of(packet, Moment::default());
        let found = Reach::default();
        Self { walker, passage, known, found, facts: vec![], made: BTreeSet::new(), passed: vec![] }
    }

    pub fn go(&mut self) -> Result<(), Aspect> {
        if self.hook(Hook::Raw)?.is_empty() {
            return Ok(());
        }
        let begins = if self.walker.program.hooked(Hook::Prerouting).is_some() {
            self.need(Aspect::Flags)?;
            conntrack::alone(self.passage.packet) == State::New
        } else {
            false
        };
        self.passage.state = Some(conntrack::alone(self.passage.packet));
        let ways = if begins { self.hook(Hook::Prerouting)? } else { vec![(None, vec![])] };
        for (redirect, facts) in joined(ways) {
            self.end(redirect, facts)?;
        }
        Ok(())
    }

    /// The last hook.
    fn end(&mut self, redirect: Option<SocketAddr>, facts: Vec<Fact>) -> Result<(), Aspect> {
        let before = (self.passage.destination, self.passage.port);
        if let Some(target) = redirect {
            self.passage.redirect(target);
        }
        let hook = match self.passage.destination {
            Destination::Gateway => Hook::Input,
            Destination::Other(address) if is_group(address) => Hook::Input,
            Destination::Other(_) => Hook::Forward,
        };
        let stays = hook == Hook::Forward && self.passage.hop_limit <= 1;
        if !stays {
            self.facts = facts;
            self.passage.hop_limit -= u8::from(hook == Hook::Forward);
            let entrances = self.hook(hook)?;
            self.found.entrances.extend(entrances.into_iter().map(|(_, facts)| facts));
            self.passage.hop_limit += u8::from(hook == Hook::Forward);
        }
        (self.passage.destination, self.passage.port) = before;
        self.passage.redirect = None;
        self.facts.clear();
        Ok(())
    }

    /// The ways through a hook.
    fn hook(&mut self, hook: Hook) -> Result<Vec<Passed>, Aspect> {
        self.found.course.extend([mark::HOOK, hook as u64]);
        let facts = self.facts.clone();
        let returns = match self.walker.program.hooked(hook) {
            Some(chain) => self.run(chain)?,
            None => true,
        };
        let mut ways = std::mem::take(&mut self.passed);
        if returns {
            ways.push((None, facts));
        }
        Ok(ways)
    }

    /// Whether packets may come back from the chain.
    fn run(&mut self, chain: ChainId) -> Result<bool, Aspect> {
        let program = self.walker.program;
        let mut returns = false;
        for (index, rule) in program[chain].rules.iter().enumerate() {
            if !self.walker.burn() {
                return Ok(true);
            }
            let depth = self.facts.len();
            let Some(always) = self.meet(chain, index, rule)? else { continue };
            for effect in &rule.then {
                self.carry_out(effect)?;
            }
            let way = self.follow(chain, index, rule)?;
            self.facts.truncate(depth);
            returns |= way.back;
            if always && !way.on {
                self.found.course.push(mark::END);
                return Ok(returns);
            }
        }
        self.found.course.push(mark::END);
        Ok(true)
    }

    /// Takes the rule's conditions along; `None` if they cannot hold, else whether they always do.
    fn meet(&mut self, chain: ChainId, index: usize, rule: &Rule) -> Result<Option<bool>, Aspect> {
        let (mut missing, mut cells) = (None, vec![]);
        for condition in &rule.when {
            match self.ask(condition) {
                Ok(Answer::Always(false)) => return Ok(None),
                Ok(Answer::Always(true)) => {}
                Ok(Answer::As(cell, wanted)) => cells.push((cell, wanted)),
                // What a position leads to asks for it again, and then it is known which.
                Ok(Answer::Either(cell)) => cells.push((cell, false)),
                Err(aspect) => missing = missing.or(Some(aspect)),
            }
        }
        if let Some(aspect) = missing {
            return Err(aspect);
        }
        self.found.course.push((chain.index() as u64) << 32 | index as u64);
        for (cell, wanted) in &cells {
            self.mark(*cell);
            self.found.reads.insert(*cell);
            if *wanted {
                self.need_fact((*cell, None));
            }
        }
        Ok(Some(cells.is_empty()))
    }

    fn need_fact(&mut self, fact: Fact) {
        if !self.made.contains(&fact) {
            self.facts.push(fact);
        }
    }

    /// Whose cell it is tells packets apart.
    fn mark(&mut self, cell: Cell) {
        if let Cell::List(_, address) = cell {
            let bits = match address {
                IpAddr::V4(v4) => u128::from(v4.to_bits()),
                IpAddr::V6(v6) => v6.to_bits(),
            };
            self.found.course.extend([mark::ASKED, (bits >> 64) as u64, bits as u64]);
        }
    }

    fn ask(&self, condition: &Condition) -> Result<Answer, Aspect> {
        if let Some(aspect) =
            self.aspects(condition).into_iter().flatten().find(|aspect| !self.knows(*aspect))
        {
            return Err(aspect);
        }
        Ok(match (self.passage.shows(condition), condition) {
            (Some(holds), _) => Answer::Always(holds),
            (None, Condition::Not(inner)) => match self.ask(inner)? {
                Answer::Always(holds) => Answer::Always(!holds),
                Answer::As(cell, wanted) => Answer::As(cell, !wanted),
                Answer::Either(cell) => Answer::Either(cell),
            },
            (None, Condition::Listed(list)) => self.listed(*list, self.passage.packet.source),
            (None, Condition::DestinationListed(list)) => match self.passage.destination {
                Destination::Other(address) => self.listed(*list, address),
                Destination::Gateway => Answer::Always(false),
            },
            (None, Condition::OnTrack(track)) => Answer::Either(Cell::Track(*track)),
            (None, _) => Answer::Always(false),
        })
    }

    fn listed(&self, list: ListId, address: IpAddr) -> Answer {
        if self.walker.program[list].fixed.iter().any(|prefix| prefix.contains(address)) {
            return Answer::Always(true);
        }
        self.cell(list, address).map_or(Answer::Always(false), |cell| Answer::As(cell, true))
    }

    /// `None` if no rule changes whether it is on the list.
    fn cell(&self, list: ListId, address: IpAddr) -> Option<Cell> {
        let program = self.walker.program;
        let timed =
            program[list].timed.filter(|_| !program[list].fixed.iter().any(|p| p.contains(address)))?;
        Some(Cell::List(list, kept(address, timed.v6_bits)))
    }

    fn knows(&self, aspect: Aspect) -> bool {
        self.known[aspect as usize]
    }

    fn need(&self, aspect: Aspect) -> Result<(), Aspect> {
        if self.knows(aspect) { Ok(()) } else { Err(aspect) }
    }

    /// What a condition asks of a packet that may not be known.
    fn aspects(&self, condition: &Condition) -> [Option<Aspect>; 2] {
        let (packet, sent_on) = (self.passage.packet, self.passage.redirect.is_some());
        let is_tcp = matches!(packet.payload, Payload::Tcp { .. });
        let transport = packet.endpoint().map(|(transport, _)| transport);
        let pings =
            matches!(packet.payload, Payload::Icmp { kind } if kind == echo_request_type(packet.family()));
        let port = Some(Aspect::Port).filter(|_| !sent_on);
        match condition {
            Condition::Not(inner) => self.aspects(inner),
            Condition::From(_) => [Some(Aspect::Interface), None],
            Condition::State(_) | Condition::Flags { .. } if is_tcp => [Some(Aspect::Flags), None],
            Condition::To(endpoints) if endpoints.iter().any(|e| transport == Some(e.transport)) => {
                [port, None]
            }
            Condition::Ports(of, end, _) if transport == Some(*of) => match end {
                PortEnd::Source => [Some(Aspect::From), None],
                PortEnd::Destination => [port, None],
                PortEnd::Either => [Some(Aspect::From), port],
            },
            Condition::Echo(Some(_)) if pings => [Some(Aspect::Port), None],
            Condition::Size(_) if pings => [Some(Aspect::Port), None],
            Condition::Size(_) => [Some(Aspect::Size), None],
            Condition::HopLimit(_) => [Some(Aspect::HopLimit), None],
            Condition::Destination(_) | Condition::DestinationListed(_) if !sent_on => {
                [Some(Aspect::Destination), None]
            }
            Condition::NoExtensionHeaders if packet.family() == Family::V6 => {
                [Some(Aspect::ExtensionHeaders), None]
            }
            _ => [None, None],
        }
    }

    fn carry_out(&mut self, effect: &Effect) -> Result<(), Aspect> {
        match effect {
            Effect::Add { list, .. } => {
                if let Some(cell) = self.cell(*list, self.passage.packet.source) {
                    self.gain((cell, None));
                }
            }
            Effect::AddDestination { list, .. } => {
                if self.passage.redirect.is_none() {
                    self.need(Aspect::Destination)?;
                }
                let Destination::Other(address) = self.passage.destination else { return Ok(()) };
                if let Some(cell) = self.cell(*list, address) {
                    self.mark(cell);
                    self.gain((cell, None));
                }
            }
            Effect::Remove(list) => {
                self.found.writes.extend(self.cell(*list, self.passage.packet.source));
            }
            Effect::Move { track, position, .. } => self.gain((Cell::Track(*track), Some(*position))),
            Effect::Forget(track) => {
                self.found.writes.insert(Cell::Track(*track));
            }
            Effect::Log(_) => {}
        }
        Ok(())
    }

    fn gain(&mut self, fact: Fact) {
        self.found.writes.insert(fact.0);
        self.found.gains.push((fact, self.facts.clone()));
        self.made.insert(fact);
    }

    fn follow(&mut self, chain: ChainId, index: usize, rule: &Rule) -> Result<Way, Aspect> {
        Ok(match &rule.verdict {
            // Nobody tries a program out here.
            None | Some(Verdict::Rescue) => Way::ON,
            Some(Verdict::Accept) => self.pass(None),
            Some(Verdict::Drop) => Way::OUT,
            Some(Verdict::Reject(how)) if self.passage.can_be_told(*how) => Way::OUT,
            Some(Verdict::Reject(_)) => self.cannot(),
            Some(Verdict::Return) => Way { on: false, back: true },
            Some(Verdict::Jump(target)) => Way { on: self.run(*target)?, back: false },
            Some(Verdict::Switch(switch)) => self.branch(chain, index, switch)?,
            Some(Verdict::Redirect(target)) => {
                let fits =
                    self.passage.port.is_some() && self.passage.packet.family() == Family::of(target.ip());
                if fits { self.pass(Some(*target)) } else { self.cannot() }
            }
        })
    }

    fn pass(&mut self, redirect: Option<SocketAddr>) -> Way {
        self.passed.push((redirect, self.facts.clone()));
        Way::OUT
    }

    fn cannot(&mut self) -> Way {
        self.found.course.push(mark::CANNOT);
        Way::ON
    }

    fn branch(&mut self, chain: ChainId, index: usize, switch: &Switch) -> Result<Way, Aspect> {
        let by_port = matches!(switch, Switch::Port(_) | Switch::TrackPort(..));
        let key = match self.passage.transport().zip(self.passage.port) {
            Some((transport, port)) if by_port => Key::Port(transport, port),
            None if !by_port => match self.passage.echo() {
                Some(data) => Key::Echo(data),
                None => return Ok(Way::ON),
            },
            _ => return Ok(Way::ON),
        };
        if self.passage.redirect.is_none() {
            self.need(Aspect::Port)?;
        }
        let walker = self.walker;
        let Some(arms) = walker.arms.get(&(chain, index, key)) else { return Ok(self.cannot()) };
        let mut way = Way::OUT;
        for Arm { position, target } in arms {
            let depth = self.facts.len();
            if let (Some(position), Switch::TrackPort(track, _) | Switch::TrackEcho(track, _)) =
                (position, switch)
            {
                let cell = Cell::Track(*track);
                self.found.reads.insert(cell);
                self.found.course.push(u64::from(position.number()));
                self.need_fact((cell, Some(*position)));
                way.on = true;
            }
            way.back |= self.run(*target)?;
            self.facts.truncate(depth);
        }
        Ok(way)
    }
}
