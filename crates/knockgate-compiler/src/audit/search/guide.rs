//! How many packets it takes at the least, from anywhere.
//!
//! Counted as if nothing ever expired, nothing were taken away and no rule stood in the way of another.
//! That is never more than it really takes, and says at once where there is no way at all.

use std::collections::HashMap;

use super::class::ClassId;
use super::step::{CellId, Held};
use crate::program::Position;

/// That a cell holds this.
pub(super) type Fact = (CellId, Option<Position>);

/// What a class may do, in the numbers of a search.
#[derive(Clone, Debug, Default)]
pub(super) struct Deeds {
    pub reads: Vec<CellId>,
    /// What it reads or changes, in order.
    pub touches: Vec<CellId>,
    pub writes: Vec<CellId>,
    pub gains: Vec<(Fact, Vec<Fact>)>,
    pub entrances: Vec<Vec<Fact>>,
}

/// A packet that brings a fact about where others are.
struct Gain {
    fact: usize,
    needs: Vec<usize>,
}

/// What matters for one goal.
pub(super) struct Guide {
    facts: HashMap<Fact, usize>,
    gains: Vec<Gain>,
    entrances: Vec<Vec<usize>>,
}

impl Guide {
    /// For packets of `goal` that are to be let in, with `moves` as the packets before.
    pub fn new(goal: ClassId, moves: &[ClassId], deeds: &[Deeds]) -> Self {
        let mut by_fact: HashMap<Fact, Vec<&Vec<Fact>>> = HashMap::new();
        for id in moves {
            for (fact, needs) in &deeds[id.index()].gains {
                by_fact.entry(*fact).or_default().push(needs);
            }
        }
        let mut guide = Self { facts: HashMap::new(), gains: vec![], entrances: vec![] };
        let mut open = vec![];
        for needs in &deeds[goal.index()].entrances {
            let needs = guide.places(needs, &mut open);
            guide.entrances.push(needs);
        }
        while let Some(fact) = open.pop() {
            let place = guide.facts[&fact];
            for needs in by_fact.get(&fact).into_iter().flatten() {
                let needs = guide.places(needs, &mut open);
                guide.gains.push(Gain { fact: place, needs });
            }
        }
        guide
    }

    fn places(&mut self, facts: &[Fact], open: &mut Vec<Fact>) -> Vec<usize> {
        let mut place = |fact: &Fact| {
            let next = self.facts.len();
            *self.facts.entry(*fact).or_insert_with(|| {
                open.push(*fact);
                next
            })
        };
        facts.iter().map(&mut place).collect()
    }

    /// Whether a packet that does this can bring the goal nearer.
    pub fn wants(&self, deeds: &Deeds) -> bool {
        deeds.gains.iter().any(|(fact, _)| self.facts.contains_key(fact))
    }

    /// Packets before the goal's own; `None` if no number will do.
    pub fn least(&self, held: &Held) -> Option<u32> {
        let mut costs = vec![None; self.facts.len()];
        for fact in held {
            if let Some(place) = self.facts.get(fact) {
                costs[*place] = Some(0);
            }
        }
        let dearest = |costs: &[Option<u32>], needs: &[usize]| {
            needs.iter().try_fold(0, |most: u32, need| Some(most.max(costs[*need]?)))
        };
        // Costs only fall, and none is more than the number of facts.
        loop {
            let mut changed = false;
            for gain in &self.gains {
                let Some(before) = dearest(&costs, &gain.needs) else { continue };
                if costs[gain.fact].is_none_or(|cost| before + 1 < cost) {
                    costs[gain.fact] = Some(before + 1);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        self.entrances.iter().filter_map(|needs| dearest(&costs, needs)).min()
    }
}
