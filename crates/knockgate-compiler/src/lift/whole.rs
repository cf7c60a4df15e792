//! Everything that a program does, together.

use std::collections::{BTreeMap, BTreeSet};

use super::class::{Class, Kind};
use super::doors::{Found, merge};
use super::rest::rest;
use super::scene::{Opening, Scene};
use super::traps::out_of_the_way;
use super::walk::{At, End, Standing, Walker};
use super::{Doubt, Lifted, LiftedDoor, LiftedKnock};
use crate::net::{Endpoint, Family, Prefix};
use crate::policy::{Host, Knock, limit};
use crate::program::{Condition, Program};

/// A program for one family, with the doors that are there.
struct Side<'w, 'p> {
    scene: Scene<'w, 'p>,
    found: Vec<Found>,
}

impl Side<'_, '_> {
    fn name(&self) -> &'static str {
        match self.scene.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    /// Whether strangers get in there. Where not all ways were followed, only a rule makes sure of that.
    fn is_open(&self, endpoint: Endpoint) -> bool {
        let stranger = self.scene.class_of(endpoint).map(|class| &self.scene.strangers[class]);
        stranger.is_some_and(|stranger| {
            let sure = matches!(stranger.end, End::Accepted(_)) || !self.scene.walker.is_tangled();
            stranger.is_in() && stranger.redirected.is_none() && sure
        })
    }

    /// Whether these knocks get a source in there.
    fn opens(&self, knocks: &[LiftedKnock], endpoint: Endpoint) -> bool {
        let Some(class) = self.scene.class_of(endpoint) else { return false };
        let knocks = || knocks.iter().map(|step| step.knock);
        let mut same =
            self.found.iter().filter(|found| found.door.knocks.iter().map(|step| step.knock).eq(knocks()));
        same.any(|found| {
            let granted = self.scene.after(Standing::default(), &found.sequence);
            self.scene.lets_in(Opening::Here(class), &granted)
        })
    }
}

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
    let mut sides: Vec<Side<'_, '_>> = vec![];
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
        sides.push(Side { scene, found });
    }
    one_sided(&sides, &mut lifted.doors);
    public(&sides, &mut lifted, &mut used);
    for side in &sides {
        friends(side, &mut lifted, &mut used);
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

/// Says which services a grant opens over one family alone: a policy's opens them over both.
fn one_sided(sides: &[Side<'_, '_>], doors: &mut [LiftedDoor]) {
    let [first, second] = sides else { return };
    for door in doors {
        for (here, there) in [(first, second), (second, first)] {
            let alone = |endpoint: &Endpoint| {
                here.opens(&door.knocks, *endpoint)
                    && !there.opens(&door.knocks, *endpoint)
                    && !there.is_open(*endpoint)
            };
            let at_gateway = door.services.iter().filter(|service| service.host == Host::Gateway);
            let alone: Vec<Endpoint> = at_gateway.map(|service| service.endpoint).filter(alone).collect();
            if alone.is_empty() {
                continue;
            }
            let (here, there) = (here.name(), there.name());
            let ports: Vec<String> = alone.iter().map(ToString::to_string).collect();
            let what = format!(
                "in the script the grant opens {} over {here} alone; here it opens over {there} too",
                ports.join(", ")
            );
            door.doubts.push(Doubt { what, origin: door.knocks.last().map(|step| step.origin.clone()) });
        }
    }
}

/// Ports that let strangers in, over every family that the program is about.
fn public(sides: &[Side<'_, '_>], lifted: &mut Lifted, used: &mut BTreeSet<At>) {
    for (nth, side) in sides.iter().enumerate() {
        let other = sides.get(1 - nth);
        let scene = &side.scene;
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
            used.insert(at);
            let origin = &scene.walker.rule(at).origin;
            let width: usize = classes.iter().map(|class| scene.classes[*class].width()).sum();
            if width > limit::PUBLIC {
                let what = format!("this lets everybody in to {width} ports; a policy does not");
                lifted.doubts.push(Doubt::at(what, origin));
                continue;
            }
            let (narrow, wide): (Vec<_>, Vec<_>) =
                runs(scene, &classes).into_iter().partition(|run| run.width() <= MAX_RANGE);
            if !wide.is_empty() {
                let ranges = some(wide.iter().map(|run| {
                    let transport = run.kind.transport().map(|t| format!("/{t}")).unwrap_or_default();
                    format!("{}-{}{transport}", run.low, run.high)
                }));
                let what = format!(
                    "{ranges} is open to everybody in the script; a policy names each port, so more than {MAX_RANGE} in a row are left out, and closed"
                );
                lifted.doubts.push(Doubt::at(what, origin));
            }
            let (open, alone): (Vec<Endpoint>, Vec<Endpoint>) = narrow
                .iter()
                .flat_map(Class::endpoints)
                .partition(|endpoint| other.is_none_or(|other| other.is_open(*endpoint)));
            if let Some(other) = other.filter(|_| !alone.is_empty()) {
                let (here, there) = (side.name(), other.name());
                let ports = some(alone.iter().map(ToString::to_string));
                let what = format!(
                    "{ports} is open over {here} alone in the script: a policy would open it over {there} too, so it is closed"
                );
                lifted.doubts.push(Doubt::at(what, origin));
            }
            let classes = open.iter().filter_map(|endpoint| scene.class_of(*endpoint));
            used.extend(classes.flat_map(|class| &scene.strangers[class].fired));
            lifted.public.extend(open);
        }
        if open_end && scene.family == Family::V4 {
            let what = "no rule drops the rest, so the script lets it in; the policy drops it";
            lifted.doubts.push(Doubt::of(what));
        }
    }
}

/// Ports in a row that become public, each by its number.
const MAX_RANGE: usize = 16;

/// Classes with those that follow on them, as one.
fn runs(scene: &Scene<'_, '_>, classes: &[usize]) -> Vec<Class> {
    let mut runs: Vec<Class> = vec![];
    for class in classes.iter().map(|class| &scene.classes[*class]) {
        match runs.last_mut() {
            Some(run) if run.kind == class.kind && run.high.checked_add(1) == Some(class.low) => {
                run.high = class.high;
            }
            _ => runs.push(class.clone()),
        }
    }
    runs
}

/// The first few of them.
fn some(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(MAX_RANGE);
    items.truncate(MAX_RANGE);
    if more > 0 {
        items.push(format!("and {more} more"));
    }
    items.join(", ")
}

/// Sources that pass without a knock, and sources that are spared: those of the family alone.
fn friends(side: &Side<'_, '_>, lifted: &mut Lifted, used: &mut BTreeSet<At>) {
    let Side { scene, found } = side;
    let mut openings: Vec<Opening> = found.iter().flat_map(|door| door.chosen.iter().copied()).collect();
    if !openings.is_empty() {
        // What the other family's doors open is open to such sources in a policy too.
        let services = lifted.doors.iter().flat_map(|door| &door.services);
        let at_gateway = services.filter(|service| service.host == Host::Gateway);
        openings
            .extend(at_gateway.filter_map(|service| Some(Opening::Here(scene.class_of(service.endpoint)?))));
        openings.sort();
        openings.dedup();
    }
    for prefixes in written_prefixes(scene) {
        let own = || prefixes.iter().filter(|prefix| prefix.family() == scene.family);
        let Some(first) = own().next() else { continue };
        let friend = Standing { address: Some(first.network()), ..Standing::default() };
        let entered: Vec<_> = openings.iter().map(|opening| scene.entered(*opening, &friend)).collect();
        let new: Vec<Prefix> = own().filter(|prefix| !lifted.allow.contains(prefix)).copied().collect();
        if !entered.is_empty() && entered.iter().all(Option::is_some) {
            used.extend(entered.into_iter().flatten().flatten());
            lifted.allow.extend(new);
        } else if scene.spares(&friend, lifted.traps.as_ref(), used) {
            let new: Vec<Prefix> = new.into_iter().filter(|prefix| !lifted.exempt.contains(prefix)).collect();
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
