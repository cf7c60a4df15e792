//! Ports whose touch keeps a source from every door.

use std::collections::{BTreeMap, BTreeSet};

use super::class::Kind;
use super::doors::{Found, bounded};
use super::scene::Scene;
use super::walk::{At, Passed, Standing};
use super::{Doubt, Lifted, LiftedTraps};
use crate::net::Endpoint;
use crate::policy::{Knock, limit};
use crate::program::{Effect, ListId};
use crate::time::Lifetime;

impl Scene<'_, '_> {
    /// Traps, as they keep a source from `door`.
    pub fn traps(&self, door: &Found, doors: &[Found], used: &mut BTreeSet<At>) -> Option<LiftedTraps> {
        let touched: Vec<usize> =
            (0..self.classes.len()).filter(|class| self.is_touch(*class, doors)).collect();
        let mut bans: BTreeMap<(Lifetime, ListId), Vec<usize>> = BTreeMap::new();
        for class in &touched {
            if let Some((ban, _)) = self.bans(door, Standing::default(), *class) {
                bans.entry(ban).or_default().push(*class);
            }
        }
        match bans.pop_last() {
            Some(((ban, list), classes)) => {
                for class in &classes {
                    used.extend(self.play(*class, &mut Standing::default()).fired);
                    used.extend(self.play(*class, &mut Standing::on(list)).fired);
                }
                let mut traps = self.written(&classes, 1, None, ban, list)?;
                let others: BTreeSet<String> =
                    bans.keys().map(|(length, other)| self.ban_named(*length, *other)).collect();
                if !others.is_empty() {
                    let others: Vec<String> = others.into_iter().collect();
                    let what = format!("a policy has bans of one length; left out: {}", others.join(", "));
                    traps.doubts.push(Doubt::of(what));
                }
                Some(traps)
            }
            None => self.strikes(door, &touched, used),
        }
    }

    fn ban_named(&self, length: Lifetime, list: ListId) -> String {
        format!("those of {length} by list `{}`", self.walker.program[list].name)
    }

    /// Whether its packets put strangers on a list, and are neither a knock nor let in.
    fn is_touch(&self, class: usize, doors: &[Found]) -> bool {
        let Some(stranger) = self.strangers.get(class) else { return false };
        let knock = || doors.iter().any(|door| door.sequence.contains(&class));
        self.classes[class].kind != Kind::Ping
            && self.classes[class].width() <= limit::TRAPS
            && !stranger.added.is_empty()
            && !matches!(stranger.end, super::walk::End::Accepted(_))
            && !knock()
    }

    /// The list that a packet of `class` puts a source on, so that it can no longer open the door, and
    /// for how long.
    fn bans(
        &self,
        door: &Found,
        mut standing: Standing,
        class: usize,
    ) -> Option<((Lifetime, ListId), Passed)> {
        let opens = |standing: Standing| self.reached(door.goal, &self.after(standing, &door.sequence));
        let before = standing.clone();
        let passed = self.play(class, &mut standing);
        if opens(standing) {
            return None;
        }
        let blamed = passed.added.iter().filter(|(list, _)| {
            let mut standing = before.clone();
            standing.on.insert(*list);
            !opens(standing)
        });
        let ban = blamed.map(|(list, lifetime)| (*lifetime, *list)).max()?;
        Some((ban, passed))
    }

    /// Traps of which it takes several different ones.
    fn strikes(&self, door: &Found, touched: &[usize], used: &mut BTreeSet<At>) -> Option<LiftedTraps> {
        let mut standing = Standing::default();
        let mut fired = vec![];
        let mut memory = None;
        for (nth, class) in touched.iter().enumerate() {
            if let Some(((ban, list), passed)) = self.bans(door, standing.clone(), *class) {
                let again = vec![touched[0]; nth + 1];
                let same = self.after(Standing::default(), &again);
                if same.on.contains(&list) {
                    return None;
                }
                used.extend(fired);
                used.extend(passed.fired);
                used.extend(self.play(*class, &mut Standing::on(list)).fired);
                // What counts the touches stands for all traps together.
                let found = touched.iter().flat_map(|class| &self.surveys[*class].found);
                used.extend(found.map(|found| found.at).filter(|at| !self.walker.rule(*at).then.is_empty()));
                return self.written(touched, nth + 1, memory, ban, list);
            }
            let passed = self.play(*class, &mut standing);
            memory = memory.or(passed.added.first().map(|(_, lifetime)| *lifetime));
            fired.extend(passed.fired);
        }
        None
    }

    fn written(
        &self,
        classes: &[usize],
        strikes: usize,
        memory: Option<Lifetime>,
        ban: Lifetime,
        list: ListId,
    ) -> Option<LiftedTraps> {
        let ports = classes.iter().flat_map(|class| self.classes[*class].endpoints()).collect();
        let found = classes.iter().flat_map(|class| &self.surveys[*class].found);
        let rules = found.map(|found| self.walker.rule(found.at));
        let adding = rules.flat_map(|rule| {
            rule.then.iter().filter_map(move |effect| match effect {
                Effect::Add { list: to, lifetime, .. } if *to == list => Some((*lifetime, &rule.origin)),
                _ => None,
            })
        });
        let (longest, origin) = adding.max_by_key(|(lifetime, _)| *lifetime)?;
        let mut doubts = vec![];
        let ban = bounded("a ban", ban, limit::BAN, origin, &mut doubts);
        let ban_max = longest.clamp(ban, *limit::BAN.end());
        let memory = memory.map(|memory| bounded("a memory", memory, limit::BAN, origin, &mut doubts));
        Some(LiftedTraps {
            ports,
            strikes: u32::try_from(strikes).ok()?,
            memory,
            ban,
            ban_max,
            doubts,
            left_out: None,
        })
    }

    /// Whether the traps put strangers on a list, and not such a source.
    pub fn spares(&self, friend: &Standing, traps: Option<&LiftedTraps>, used: &mut BTreeSet<At>) -> bool {
        let Some(traps) = traps else { return false };
        let classes: Vec<usize> = traps.ports.iter().filter_map(|port| self.class_of(*port)).collect();
        let touch = |standing: &Standing| {
            let mut standing = standing.clone();
            let mut passed = vec![];
            for class in &classes {
                passed.push(self.play(*class, &mut standing));
            }
            (standing.on.is_empty(), passed)
        };
        let (spared, passed) = touch(friend);
        let spared = spared && !touch(&Standing::default()).0;
        if spared {
            used.extend(passed.into_iter().flat_map(|passed| passed.fired));
        }
        spared
    }
}

/// Takes traps out that are something else in the policy too.
pub(super) fn out_of_the_way(lifted: &mut Lifted) {
    let knocks: BTreeSet<Knock> = lifted.knocks().collect();
    let services: BTreeSet<Endpoint> = lifted
        .doors
        .iter()
        .flat_map(|door| &door.services)
        .filter(|service| !matches!(service.host, crate::policy::Host::At(_)))
        .map(|service| service.endpoint)
        .collect();
    let Some(traps) = &mut lifted.traps else { return };
    let doubts = &mut traps.doubts;
    let public = &lifted.public;
    traps.ports.retain(|port| {
        let other = match port {
            _ if knocks.contains(&Knock::Port(*port)) => "a knock",
            _ if services.contains(port) => "a service behind a door",
            _ if public.contains(port) => "open to everybody",
            _ => return true,
        };
        doubts.push(Doubt::of(format!("{port} is a trap, and {other}; a policy has it as the latter alone")));
        false
    });
    if traps.ports.is_empty() {
        lifted.traps = None;
    }
}
