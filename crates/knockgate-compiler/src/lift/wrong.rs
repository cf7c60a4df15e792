//! What a wrong knock costs.

use std::collections::BTreeSet;

use super::Doubt;
use super::class::Kind;
use super::doors::bounded;
use super::scene::{Goal, Scene};
use super::walk::{At, Standing};
use crate::policy::{Wrong, limit};
use crate::program::{Effect, Origin};
use crate::time::Lifetime;

impl Scene<'_, '_> {
    /// What a wrong knock does, told by trying some at every stage.
    pub fn wrong(
        &self,
        sequence: &[usize],
        goal: Goal,
        origin: &Origin,
        used: &mut BTreeSet<At>,
        doubts: &mut Vec<Doubt>,
    ) -> Wrong {
        let kinds: BTreeSet<Kind> = sequence.iter().map(|class| self.classes[*class].kind).collect();
        let others: Vec<usize> = kinds.into_iter().filter_map(|kind| self.others(kind)).collect();
        let mut costs: BTreeSet<Option<Lifetime>> = BTreeSet::new();
        let mut free = false;
        for made in 1..sequence.len() {
            let before = self.after(Standing::default(), &sequence[..made]);
            let opens = |standing| self.reached(goal, &self.after(standing, &sequence[made..]));
            let is_wrong = |class: &&usize| **class != sequence[made] && **class != sequence[made - 1];
            for class in others.iter().chain(sequence).filter(is_wrong) {
                let mut standing = before.clone();
                let passed = self.play(*class, &mut standing);
                if opens(standing.clone()) {
                    // One of the door's own knocks may be the right one at another door.
                    free |= others.contains(class);
                    continue;
                }
                used.extend(passed.fired);
                for next in &sequence[made..] {
                    used.extend(self.play(*next, &mut standing).fired);
                }
                let new = passed.added.iter().filter(|(list, _)| !before.on.contains(list));
                let blamed = new.filter(|(list, _)| {
                    let mut standing = before.clone();
                    standing.on.insert(*list);
                    !opens(standing)
                });
                costs.insert(blamed.map(|(_, lifetime)| *lifetime).max());
            }
        }
        if sequence.len() == 1 && !self.walker.program.tracks().is_empty() && self.forgets(sequence[0]) {
            return Wrong::Reset;
        }
        let early = sequence.iter().skip(1).any(|class| {
            let standing = self.after(Standing::default(), &[*class]);
            !self.reached(goal, &self.after(standing, sequence))
        });
        if early {
            let what = "in the script a later knock costs the same before the first one too; here it costs nothing then";
            doubts.push(Doubt::at(what, origin));
        }
        if free && !costs.is_empty() {
            let what = "in the script only some wrong knocks cost something; here all of them do";
            doubts.push(Doubt::at(what, origin));
        }
        match costs.last() {
            None => Wrong::Ignore,
            Some(None) => Wrong::Reset,
            Some(Some(lifetime)) => {
                Wrong::Cooldown(bounded("a cooldown", *lifetime, limit::COOLDOWN, origin, doubts))
            }
        }
    }

    fn forgets(&self, class: usize) -> bool {
        let fired = self.play(class, &mut Standing::default()).fired;
        fired.iter().any(|at| self.walker.rule(*at).then.iter().any(|e| matches!(e, Effect::Forget(_))))
    }
}
