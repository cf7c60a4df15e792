//! Everything that a program does, together.

use std::collections::{BTreeMap, BTreeSet};

use super::class::Kind;
use super::doors::{Found, merge};
use super::rest::rest;
use super::scene::{Opening, Scene};
use super::traps::out_of_the_way;
use super::walk::{At, End, Standing, Walker};
use super::{Doubt, Lifted};
use crate::net::{Endpoint, Family, Prefix};
use crate::policy::{Knock, limit};
use crate::program::{Condition, Program};

/// What `program` does, in the words of a policy.
pub(super) fn whole(program: &Program) -> Lifted {
    let walker = &Walker::new(program);
    let mut lifted = Lifted {
        outside: program.outside().to_vec(),
        public: BTreeSet::new(),
        allow: vec![],
        exempt: vec![],
        traps: None,
        doors: vec![],
        doubts: vec![],
        rest: vec![],
    };
    // Rules that what was found stands for.
    let mut used = BTreeSet::new();
    for family in families(program) {
        let scene = Scene::new(walker, family);
        let found = scene.doors(&mut used, &mut lifted.doubts);
        if family == Family::V6 && lifted.doors.is_empty() && !found.is_empty() {
            lifted.doubts.push(Doubt::of("the rules are for IPv6 alone; the policy is for both"));
        }
        merge(&mut lifted.doors, found.iter().map(|found| found.door.clone()));
        if let Some(first) = found.first()
            && lifted.traps.is_none()
        {
            lifted.traps = scene.traps(first, &found, &mut used);
        }
        public(&scene, &mut lifted, &mut used);
        friends(&scene, &found, &mut lifted, &mut used);
    }
    if walker.is_tangled() {
        let what = "the rules are too tangled to follow all their ways: something may be missing here";
        lifted.doubts.push(Doubt::of(what));
    }
    not_knocks(&mut lifted);
    out_of_the_way(&mut lifted);
    bound(program, &mut lifted);
    lifted.rest = rest(walker, &used, &lifted);
    lifted
}

/// Takes ports out of `public` that are knocks too.
fn not_knocks(lifted: &mut Lifted) {
    let knocks: BTreeSet<Knock> = lifted.knocks().collect();
    let Lifted { public, doubts, .. } = lifted;
    let both: Vec<Endpoint> =
        public.iter().copied().filter(|endpoint| knocks.contains(&Knock::Port(*endpoint))).collect();
    for endpoint in both {
        public.remove(&endpoint);
        let what = format!("{endpoint} is open to everybody, and a knock; a policy has it as a knock");
        doubts.push(Doubt::of(what));
    }
}

/// Keeps what a policy can hold, and says what is beyond it.
fn bound(program: &Program, lifted: &mut Lifted) {
    let Lifted { outside, public, allow, exempt, doors, doubts, .. } = lifted;
    let mut cut = |what: &str, found: usize, most: usize| {
        if found > most {
            doubts.push(Doubt::of(format!("{found} {what} were found, of which a policy holds {most}")));
        }
    };
    cut("public ports", public.len(), limit::PUBLIC);
    cut("prefixes that need no knock", allow.len(), limit::PREFIXES);
    cut("prefixes that are never banned", exempt.len(), limit::PREFIXES);
    cut("doors", doors.len(), limit::DOORS);
    *public = public.iter().take(limit::PUBLIC).copied().collect();
    allow.truncate(limit::PREFIXES);
    exempt.truncate(limit::PREFIXES);
    doors.truncate(limit::DOORS);
    for door in doors {
        cut("services of one door", door.services.len(), limit::SERVICES);
        door.services.truncate(limit::SERVICES);
    }
    let named = |condition: &Condition| match condition {
        Condition::From(interfaces) => interfaces.iter().any(|i| outside.contains(i)),
        Condition::Not(inner) => matches!(**inner, Condition::From(_)),
        _ => false,
    };
    let mut rules = program.chains().iter().flat_map(|chain| &chain.rules);
    if !rules.any(|rule| rule.when.iter().any(named)) {
        let what = "no rule names the interface that strangers come in by: write it in `outside`";
        doubts.push(Doubt::of(what));
    }
}

/// IPv4, and IPv6 where the program says something of it alone.
fn families(program: &Program) -> Vec<Family> {
    fn is_v6(condition: &Condition) -> bool {
        match condition {
            Condition::Not(inner) => is_v6(inner),
            Condition::Family(family) => *family == Family::V6,
            Condition::Destination(prefixes) => prefixes.iter().any(|p| p.family() == Family::V6),
            _ => false,
        }
    }
    let mut rules = program.chains().iter().flat_map(|chain| &chain.rules);
    let both = rules.any(|rule| rule.when.iter().any(is_v6));
    Family::BOTH.into_iter().filter(|family| both || *family == Family::V4).collect()
}

/// Ports that let strangers in.
fn public(scene: &Scene<'_, '_>, lifted: &mut Lifted, used: &mut BTreeSet<At>) {
    let mut accepting: BTreeMap<At, Vec<usize>> = BTreeMap::new();
    let mut open_end = false;
    let classes = scene.strangers.iter().enumerate();
    for (index, stranger) in classes.filter(|(index, _)| scene.classes[*index].kind != Kind::Ping) {
        match stranger.end {
            _ if stranger.redirected.is_some() => {}
            End::Accepted(at) => accepting.entry(at).or_default().push(index),
            End::Undecided => open_end = true,
            End::Dropped(_) => {}
        }
    }
    for (at, classes) in accepting {
        let width: usize = classes.iter().map(|class| scene.classes[*class].width()).sum();
        let origin = &scene.walker.rule(at).origin;
        if width > limit::PUBLIC {
            let what = format!("this lets everybody in to {width} ports; a policy does not");
            lifted.doubts.push(Doubt::at(what, origin));
            continue;
        }
        used.extend(classes.iter().flat_map(|class| &scene.strangers[*class].fired));
        lifted.public.extend(classes.iter().flat_map(|class| scene.classes[*class].endpoints()));
    }
    if open_end && scene.family == Family::V4 {
        let what = "no rule drops the rest, so the script lets it in; the policy drops it";
        lifted.doubts.push(Doubt::of(what));
    }
}

/// Sources that pass without a knock, and sources that are spared.
fn friends(scene: &Scene<'_, '_>, doors: &[Found], lifted: &mut Lifted, used: &mut BTreeSet<At>) {
    for prefixes in written_prefixes(scene) {
        let Some(first) = prefixes.iter().find(|prefix| prefix.family() == scene.family) else { continue };
        let friend = Standing { address: Some(first.network()), ..Standing::default() };
        let openings: Vec<Opening> = doors.iter().flat_map(|door| door.chosen.iter().copied()).collect();
        let entered: Vec<_> = openings.iter().map(|opening| scene.entered(*opening, &friend)).collect();
        let mut new = prefixes.iter().filter(|prefix| !lifted.allow.contains(prefix)).copied();
        if !entered.is_empty() && entered.iter().all(Option::is_some) {
            used.extend(entered.into_iter().flatten().flatten());
            let new: Vec<Prefix> = new.collect();
            lifted.allow.extend(new);
        } else if scene.spares(&friend, lifted.traps.as_ref(), used) {
            let new: Vec<Prefix> = new.by_ref().filter(|prefix| !lifted.exempt.contains(prefix)).collect();
            lifted.exempt.extend(new);
        }
    }
}

/// Prefixes that stand together in a rule or on a list.
fn written_prefixes<'p>(scene: &Scene<'_, 'p>) -> BTreeSet<&'p [Prefix]> {
    fn of<'p>(program: &'p Program, condition: &'p Condition) -> Option<&'p [Prefix]> {
        match condition {
            Condition::Not(inner) => of(program, inner),
            Condition::Source(prefixes) => Some(prefixes),
            Condition::Listed(list) => Some(&program[*list].fixed),
            _ => None,
        }
    }
    let program = scene.walker.program;
    let rules = program.chains().iter().flat_map(|chain| &chain.rules);
    let groups = rules.flat_map(|rule| &rule.when).filter_map(|condition| of(program, condition));
    groups.filter(|group| !group.is_empty() && group.iter().all(|prefix| prefix.len() > 0)).collect()
}
