//! The cheapest way in, found by playing packets.
//!
//! Nothing is assumed about the rules: they may be a policy's, a router's own, or any others. Packets
//! are told apart as far as rules do ([`Class`]); what one does is what [`crate::sim`] says; and all that
//! a source can bring about, at whatever moments, is looked through for the fewest packets, and among those
//! for the least time.
//!
//! It is one source that sends them all, by interfaces that face strangers, or all by one that nobody
//! names. Each packet begins a connection of its own, unless its flags say otherwise. Lists and tracks are
//! taken to have room. What goes to groups of hosts is left out.

mod aspects;
mod class;
mod explore;
mod guide;
mod schedule;
mod step;
mod zone;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Claim, Step, WayIn};
use crate::net::{Destination, Family, Packet};
use crate::program::Program;
use crate::sim::reach::Reach;
use crate::sim::{Decision, Fate, Simulator, trace};
use crate::time::{Lifetime, Moment};
use class::Classes;
use explore::{Leg, Quest, explore};
use guide::{Deeds, Guide};
use step::{CellId, Cells, Stepper};

pub(super) use class::merged;
pub use class::{Class, ClassId};

/// Packets that may be tried for one goal by itself.
const ALONE: usize = 50_000;
/// Packets that may be tried for goals together, in all.
const TOGETHER: usize = 500_000;
/// States that are kept at most.
const STATES: usize = 50_000;

/// A program as a stranger meets it.
pub struct Search<'p> {
    program: &'p Program,
    classes: Classes<'p>,
    cells: Cells,
    deeds: Vec<Deeds>,
    /// The classes that may change each cell.
    writers: Vec<Vec<ClassId>>,
    strangers: Vec<Decision<'p>>,
}

/// What matters for a goal.
struct Scope {
    cone: Vec<bool>,
    moves: Vec<ClassId>,
}

impl<'p> Search<'p> {
    /// Tells the packets apart that `program` tells apart.
    pub fn new(program: &'p Program) -> Self {
        let classes = Classes::of(program);
        let mut cells = Cells::default();
        let deeds: Vec<Deeds> = classes.all.iter().map(|class| deeds(&class.reach, &mut cells)).collect();
        let mut writers = vec![vec![]; cells.len()];
        for (index, deeds) in deeds.iter().enumerate() {
            for cell in &deeds.writes {
                writers[*cell as usize].push(ClassId::of(index));
            }
        }
        let mut simulator = Simulator::new(program);
        let mut fate = |class: &Class| {
            simulator.restart(&[], &[], Moment::default());
            simulator.play(Moment::default(), class.packet())
        };
        let strangers = classes.all.iter().map(&mut fate).collect();
        Self { program, classes, cells, deeds, writers, strangers }
    }

    /// Every class.
    pub fn classes(&self) -> &[Class] {
        &self.classes.all
    }

    /// Every class by its id.
    pub fn ids(&self) -> impl Iterator<Item = ClassId> + use<> {
        (0..self.classes.all.len()).map(ClassId::of)
    }

    /// The class of a packet, whoever sends it. `None` for what no class stands for: fragments,
    /// messages other than pings, packets to groups, and what comes from inside.
    pub fn class_of(&self, packet: &Packet) -> Option<ClassId> {
        self.classes.class_of(packet)
    }

    /// What becomes of its packets when their source is on no list and no track.
    pub fn fate_for_strangers(&self, class: ClassId) -> &Decision<'p> {
        &self.strangers[class.index()]
    }

    /// Whether its packets may change what is known of a source, wherever that stands.
    pub fn may_change(&self, class: ClassId) -> bool {
        !self.deeds[class.index()].writes.is_empty()
    }

    /// Whether there is a rule, or an end of rules, that could let it in.
    pub fn may_enter(&self, class: ClassId) -> bool {
        !self.deeds[class.index()].entrances.is_empty()
    }

    /// Whose packets the classes are: an address on no list and in no prefix that is written down, if
    /// there is one.
    pub fn stranger(&self, family: Family) -> IpAddr {
        aspects::stranger(self.program, family)
    }

    /// Whether the rules are too many to be looked at; then every way that needs more than one packet
    /// is [`WayIn::NotFound`].
    pub fn is_tangled(&self) -> bool {
        self.classes.are_tangled()
    }

    /// The cheapest way in for packets of each of these classes, in their order.
    pub fn ways_in(&self, goals: &[ClassId]) -> Vec<WayIn> {
        let mut stepper = Stepper::new(self.program, &self.classes.all, &self.cells);
        let mut ways: Vec<Option<WayIn>> = goals.iter().map(|goal| self.plain(*goal)).collect();
        let mut pending: BTreeMap<(Vec<bool>, Vec<ClassId>), Vec<usize>> = BTreeMap::new();
        for (nth, goal) in goals.iter().enumerate() {
            if ways[nth].is_none() {
                let scope = self.scope(*goal);
                ways[nth] = self.alone(*goal, &scope, &mut stepper);
                if ways[nth].is_none() {
                    pending.entry((scope.cone, scope.moves)).or_default().push(nth);
                }
            }
        }
        let mut left = TOGETHER;
        for ((cone, moves), members) in pending {
            let scope = Scope { cone, moves };
            let wanted: Vec<ClassId> = members.iter().map(|nth| goals[*nth]).collect();
            let before = stepper.steps;
            for (nth, way) in members.iter().zip(self.together(&wanted, &scope, left, &mut stepper)) {
                ways[*nth] = Some(way);
            }
            left = left.saturating_sub(stepper.steps - before);
        }
        ways.into_iter().map(|way| way.unwrap_or(WayIn::NotFound { states: 0 })).collect()
    }

    /// What can be said without looking far.
    fn plain(&self, goal: ClassId) -> Option<WayIn> {
        if self.strangers[goal.index()].fate == Fate::Accept {
            let says = format!("{} is open to everybody", self.classes()[goal.index()].range());
            let trace = self.trace(&[(Moment::default(), goal)]);
            return Some(WayIn::Open(Claim { says, trace, fate: Fate::Accept }));
        }
        if self.is_tangled() {
            return Some(WayIn::NotFound { states: 0 });
        }
        (!self.may_enter(goal)).then_some(WayIn::Never)
    }

    fn alone(&self, goal: ClassId, scope: &Scope, stepper: &mut Stepper<'_, 'p>) -> Option<WayIn> {
        let guide = Guide::new(goal, &scope.moves, &self.deeds);
        let (moves, detours): (Vec<ClassId>, Vec<ClassId>) =
            scope.moves.iter().partition(|id| guide.wants(&self.deeds[id.index()]));
        let quest = Quest {
            goals: &[goal],
            moves: &moves,
            detours: &detours,
            cone: &scope.cone,
            deeds: &self.deeds,
            guide: Some(&guide),
            steps: ALONE,
            states: STATES,
        };
        let mut found = explore(&quest, stepper);
        match found.ways.pop().flatten() {
            Some(way) => Some(self.steps(&way, found.states)),
            None => found.exhausted.then_some(WayIn::Never),
        }
    }

    fn together(
        &self,
        goals: &[ClassId],
        scope: &Scope,
        steps: usize,
        stepper: &mut Stepper<'_, 'p>,
    ) -> Vec<WayIn> {
        let quest = Quest {
            goals,
            moves: &scope.moves,
            detours: &[],
            cone: &scope.cone,
            deeds: &self.deeds,
            guide: None,
            steps,
            states: STATES,
        };
        let found = explore(&quest, stepper);
        let way = |way: Option<Vec<Leg>>| match way {
            Some(way) => self.steps(&way, found.states),
            None if found.exhausted => WayIn::Never,
            None => WayIn::NotFound { states: found.states },
        };
        found.ways.iter().cloned().map(way).collect()
    }

    /// The cells that can make a difference to a goal, and the classes that change them.
    fn scope(&self, goal: ClassId) -> Scope {
        let root = self.classes()[goal.index()].root;
        let mut cone = vec![false; self.cells.len()];
        let mut moves = vec![false; self.deeds.len()];
        let mut open = self.deeds[goal.index()].reads.clone();
        while let Some(cell) = open.pop() {
            if std::mem::replace(&mut cone[cell as usize], true) {
                continue;
            }
            for writer in &self.writers[cell as usize] {
                let theirs = self.classes()[writer.index()].root;
                let same = (theirs.family, theirs.elsewhere) == (root.family, root.elsewhere);
                if same && !std::mem::replace(&mut moves[writer.index()], true) {
                    open.extend(&self.deeds[writer.index()].reads);
                }
            }
        }
        let moves = self.ids().filter(|id| moves[id.index()]).collect();
        Scope { cone, moves }
    }

    /// The way as packets with moments, which must get in when they are played.
    fn steps(&self, way: &[Leg], states: usize) -> WayIn {
        let moments = schedule::earliest(way);
        let packets: Vec<(Moment, ClassId)> =
            moments.iter().zip(way).map(|(moment, leg)| (Moment::from_millis(*moment), leg.class)).collect();
        let trace = self.trace(&packets);
        if self.replay(&trace).last().map(|decision| decision.fate) != Some(Fate::Accept) {
            return WayIn::NotFound { states };
        }
        let steps: Vec<Step> = way[..way.len() - 1]
            .iter()
            .enumerate()
            .map(|(nth, leg)| Step {
                packet: self.classes()[leg.class.index()].words(),
                what: leg.what.clone(),
                width: self.classes()[leg.class.index()].width(),
                after: nth.checked_sub(1).and_then(|last| wait(&moments, last)),
            })
            .collect();
        let goal = self.classes()[way[way.len() - 1].class.index()].words();
        let sent: Vec<&str> = steps.iter().map(|step| step.packet.as_str()).collect();
        let says = format!("a stranger who sends {} is let in with {goal}", sent.join(", "));
        WayIn::Steps { steps, claim: Claim { says, trace, fate: Fate::Accept } }
    }

    /// Packets of the classes at these moments as a trace, each of a connection of its own.
    pub fn trace(&self, packets: &[(Moment, ClassId)]) -> String {
        let mut sent: HashMap<(Destination, Option<u16>), u16> = HashMap::new();
        let mut trace = String::new();
        for (moment, class) in packets {
            let class = &self.classes()[class.index()];
            let packet = class.packet();
            let before =
                sent.entry((packet.destination, packet.endpoint().map(|(_, port)| port))).or_default();
            writeln!(trace, "{moment} {} {}", packet.source, class.fresh_words(*before))
                .expect("a text takes everything");
            *before += 1;
        }
        trace
    }

    /// What becomes of packets of the classes at these moments, which never go back.
    pub fn play(&self, packets: &[(Moment, ClassId)]) -> Vec<Decision<'p>> {
        self.replay(&self.trace(packets))
    }

    /// Nothing, if it is no trace.
    fn replay(&self, text: &str) -> Vec<Decision<'p>> {
        let (events, findings) = trace::parse(text, &self.program.outside()[0]);
        if !findings.is_empty() {
            return vec![];
        }
        let mut simulator = Simulator::new(self.program);
        events.iter().map(|event| simulator.play(event.at, &event.packet)).collect()
    }
}

/// From the packet at `last` to the next one.
fn wait(moments: &[u64], last: usize) -> Option<Lifetime> {
    Lifetime::from_millis(moments[last + 1] - moments[last])
}

fn deeds(reach: &Reach, cells: &mut Cells) -> Deeds {
    let mut ids = |from: &std::collections::BTreeSet<_>| -> Vec<CellId> {
        from.iter().map(|cell| cells.id(*cell)).collect()
    };
    let (reads, writes) = (ids(&reach.reads), ids(&reach.writes));
    let mut touches = [reads.clone(), writes.clone()].concat();
    touches.sort_unstable();
    touches.dedup();
    let mut facts = |facts: &[crate::sim::reach::Fact]| -> Vec<guide::Fact> {
        facts.iter().map(|(cell, position)| (cells.id(*cell), *position)).collect()
    };
    let gains = reach.gains.iter().map(|(fact, needs)| (facts(&[*fact])[0], facts(needs))).collect();
    let entrances = reach.entrances.iter().map(|needs| facts(needs)).collect();
    Deeds { reads, touches, writes, gains, entrances }
}

#[cfg(test)]
mod tests;
