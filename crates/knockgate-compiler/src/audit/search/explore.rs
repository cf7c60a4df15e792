//! Looking through all states of a source for the first in which a packet is let in.
//!
//! A state is what is remembered and a [`Zone`] of the moments at which that can be so. What is remembered
//! may have expired meanwhile: that is decided only where a packet asks. A state in which nothing is
//! possible that is not in another one with as few packets and as little time is left out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::class::ClassId;
use super::guide::{Deeds, Guide};
use super::step::{CellId, Held, Outcome, Stepper};
use super::zone::Zone;
use crate::time::Lifetime;

/// A packet on the way.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub class: ClassId,
    /// What it finds, and finds expired, of what packets before it brought about.
    pub finds: Vec<(CellId, bool)>,
    /// What is remembered from it on.
    pub sets: Vec<(CellId, Lifetime)>,
    /// What it does: the rule's own words.
    pub what: String,
}

/// What came of looking.
pub(super) struct Found {
    /// For each goal, the packets with the one that is let in, if there is a way.
    pub ways: Vec<Option<Vec<Leg>>>,
    /// States that were looked at.
    pub states: usize,
    /// Whether there were no more.
    pub exhausted: bool,
}

/// What is looked for, and with what.
pub(super) struct Quest<'a> {
    pub goals: &'a [ClassId],
    pub moves: &'a [ClassId],
    /// Packets that bring no goal nearer by themselves, so that they cost one more than the rest.
    pub detours: &'a [ClassId],
    /// For each cell, whether it matters.
    pub cone: &'a [bool],
    pub deeds: &'a [Deeds],
    /// For a single goal.
    pub guide: Option<&'a Guide>,
    /// Packets that may be tried.
    pub steps: usize,
    /// States that may be kept.
    pub states: usize,
}

struct Node {
    parent: Option<usize>,
    leg: Option<Leg>,
    held: Held,
    zone: Zone,
    packets: u32,
    /// A goal that is let in here.
    goal: Option<usize>,
}

struct Explorer<'a, 's, 'p> {
    quest: &'a Quest<'a>,
    stepper: &'a mut Stepper<'s, 'p>,
    nodes: Vec<Node>,
    /// Nodes by what is remembered.
    seen: HashMap<Held, Vec<usize>>,
    /// Packets at the least, time at the least, the node, and whether only its detours are left.
    open: BinaryHeap<Reverse<(u32, i64, usize, bool)>>,
    /// The fewest packets and the least time in which each goal was let in.
    best: Vec<Option<(u32, i64)>>,
    ways: Vec<Option<Vec<Leg>>>,
}

pub(super) fn explore(quest: &Quest<'_>, stepper: &mut Stepper<'_, '_>) -> Found {
    let goals = quest.goals.len();
    let mut explorer = Explorer {
        quest,
        stepper,
        nodes: vec![],
        seen: HashMap::new(),
        open: BinaryHeap::new(),
        best: vec![None; goals],
        ways: vec![None; goals],
    };
    let exhausted = explorer.run();
    Found { states: explorer.nodes.len(), ways: explorer.ways, exhausted }
}

impl Explorer<'_, '_, '_> {
    /// Whether there is nothing more to look at, for the goals that were not reached.
    fn run(&mut self) -> bool {
        let last = self.stepper.steps.saturating_add(self.quest.steps);
        let start = Node { parent: None, leg: None, held: vec![], zone: Zone::new(), packets: 0, goal: None };
        self.push(start);
        let mut missing = self.quest.goals.len();
        while let Some(Reverse((packets, elapsed, node, is_late))) = self.open.pop() {
            match self.nodes[node].goal {
                Some(goal) if self.ways[goal].is_none() => {
                    self.ways[goal] = Some(self.way_to(node));
                    missing -= 1;
                    if missing == 0 {
                        return true;
                    }
                }
                Some(_) => {}
                None if self.stepper.steps > last || self.nodes.len() > self.quest.states => return false,
                None if is_late => self.try_moves(node, self.quest.detours),
                None => {
                    self.expand(node);
                    if !self.quest.detours.is_empty() {
                        self.open.push(Reverse((packets + 1, elapsed, node, true)));
                    }
                }
            }
        }
        true
    }

    fn expand(&mut self, node: usize) {
        for goal in 0..self.quest.goals.len() {
            if self.ways[goal].is_none() {
                self.try_goal(node, goal);
            }
        }
        self.try_moves(node, self.quest.moves);
    }

    fn try_moves(&mut self, node: usize, moves: &[ClassId]) {
        for class in moves {
            for split in self.splits(node, *class) {
                let outcome = self.stepper.step(*class, split.touched.clone());
                self.go(node, *class, split, &outcome);
            }
        }
    }

    fn try_goal(&mut self, node: usize, goal: usize) {
        let class = self.quest.goals[goal];
        for split in self.splits(node, class) {
            if !self.stepper.step(class, split.touched.clone()).let_in {
                continue;
            }
            let cost = (self.nodes[node].packets + 1, split.zone.elapsed());
            if self.best[goal].is_some_and(|best| best <= cost) {
                continue;
            }
            self.best[goal] = Some(cost);
            let leg = Leg { class, finds: split.finds, sets: vec![], what: String::new() };
            let (held, zone, packets) = (split.held, split.zone, cost.0);
            let next = Node { parent: Some(node), leg: Some(leg), held, zone, packets, goal: Some(goal) };
            self.push(next);
        }
    }

    /// What a packet of `class` may find.
    fn splits(&self, node: usize, class: ClassId) -> Vec<Split> {
        let Node { held, zone, .. } = &self.nodes[node];
        let start = Split { held: held.clone(), zone: zone.clone(), finds: vec![], touched: vec![] };
        let touches = &self.quest.deeds[class.index()].touches;
        held.iter()
            .filter(|(cell, _)| touches.binary_search(cell).is_ok())
            .fold(vec![start], |splits, (cell, _)| splits.iter().flat_map(|split| split.on(*cell)).collect())
    }

    fn go(&mut self, node: usize, class: ClassId, split: Split, outcome: &Outcome<'_>) {
        let Split { mut held, mut zone, finds, .. } = split;
        let mut leg = Leg { class, finds, sets: vec![], what: String::new() };
        let matter: Vec<_> =
            outcome.effects.iter().filter(|done| self.quest.cone[done.cell as usize]).collect();
        if matter.is_empty() {
            return;
        }
        for done in matter {
            let place = held.binary_search_by_key(&done.cell, |(cell, _)| *cell);
            if let Ok(nth) = place {
                held.remove(nth);
                zone.forget(nth);
            }
            leg.sets.retain(|(cell, _)| *cell != done.cell);
            if let Some((value, lifetime)) = done.now {
                let nth = place.unwrap_or_else(|nth| nth);
                held.insert(nth, (done.cell, value));
                zone.remember(nth, lifetime);
                leg.sets.push((done.cell, lifetime));
            }
            if leg.what.is_empty() {
                leg.what = done.origin.what.to_string();
            }
        }
        zone.go_on();
        for nth in (0..held.len()).rev() {
            if zone.is_past(nth) {
                held.remove(nth);
                zone.forget(nth);
            }
        }
        let packets = self.nodes[node].packets + 1;
        self.push(Node { parent: Some(node), leg: Some(leg), held, zone, packets, goal: None });
    }

    fn push(&mut self, node: Node) {
        let left = match (self.quest.guide, node.goal) {
            (Some(guide), None) => match guide.least(&node.held) {
                Some(packets) => packets + 1,
                None => return,
            },
            (None, None) => 1,
            (_, Some(_)) => 0,
        };
        let place = self.nodes.len();
        if node.goal.is_none() {
            let alike = self.seen.entry(node.held.clone()).or_default();
            let better = |other: &usize| {
                let other = &self.nodes[*other];
                other.packets <= node.packets && other.zone.includes(&node.zone)
            };
            if alike.iter().any(better) {
                return;
            }
            alike.push(place);
        }
        self.open.push(Reverse((node.packets + left, node.zone.elapsed(), place, false)));
        self.nodes.push(node);
    }

    fn way_to(&self, node: usize) -> Vec<Leg> {
        let mut way = vec![];
        let mut at = Some(node);
        while let Some(node) = at.map(|node| &self.nodes[node]) {
            way.extend(node.leg.clone());
            at = node.parent;
        }
        way.reverse();
        way
    }
}

/// One way in which what a packet asks for can have expired or not.
struct Split {
    held: Held,
    zone: Zone,
    finds: Vec<(CellId, bool)>,
    /// What the packet finds.
    touched: Held,
}

impl Split {
    fn on(&self, cell: CellId) -> Vec<Self> {
        let nth = self.held.binary_search_by_key(&cell, |(held, _)| *held).expect("it is held");
        let finds = |live: bool| self.finds.iter().copied().chain([(cell, live)]).collect();
        let mut splits = vec![];
        if let Some(zone) = self.zone.with_live(nth) {
            let touched = self.touched.iter().copied().chain([self.held[nth]]).collect();
            splits.push(Self { held: self.held.clone(), zone, finds: finds(true), touched });
        }
        if let Some(zone) = self.zone.with_expired(nth) {
            let mut held = self.held.clone();
            held.remove(nth);
            splits.push(Self { held, zone, finds: finds(false), touched: self.touched.clone() });
        }
        splits
    }
}
