//! Sequences that end in a grant.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use super::scene::{Goal, Opening, Scene};
use super::survey::{Fact, Survey};
use super::walk::{At, Standing, Walker};
use super::{Doubt, LiftedDoor, LiftedKnock};
use crate::policy::{ServiceDraft, limit};
use crate::program::{Condition, Effect, ListId, Origin};
use crate::time::Lifetime;

/// How a source comes to stand somewhere: by a packet of the class, if it stands at `facts`.
#[derive(Clone, Debug)]
struct Made {
    class: usize,
    at: At,
    facts: Vec<Fact>,
    /// Where it stands then.
    makes: Fact,
    lifetime: Lifetime,
}

/// How a source comes to stand anywhere.
#[derive(Debug, Default)]
pub(super) struct Ways(BTreeMap<Fact, Vec<Made>>);

impl Ways {
    pub fn of(walker: &Walker<'_>, surveys: &[Survey]) -> Self {
        let mut ways = Self::default();
        for (class, survey) in surveys.iter().enumerate() {
            for found in &survey.found {
                for effect in &walker.rule(found.at).then {
                    let (fact, lifetime) = match effect {
                        Effect::Add { list, lifetime, .. } => (Fact::Listed(*list), *lifetime),
                        Effect::Move { track, position, lifetime } => {
                            (Fact::At(*track, *position), *lifetime)
                        }
                        _ => continue,
                    };
                    let made =
                        Made { class, at: found.at, facts: found.facts.clone(), makes: fact, lifetime };
                    ways.0.entry(fact).or_default().push(made);
                }
            }
        }
        ways
    }

    fn to(&self, fact: Fact) -> &[Made] {
        self.0.get(&fact).map_or(&[], Vec::as_slice)
    }
}

/// A door with where it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub door: LiftedDoor,
    pub sequence: Vec<usize>,
    pub goal: Goal,
    /// What its grant opens in the policy.
    pub chosen: Vec<Opening>,
}

/// Steps of the search back from a grant.
const MAX_NODES: usize = 2048;
/// Sequences that are tried for one grant.
const MAX_SEQUENCES: usize = 64;

impl Scene<'_, '_> {
    pub fn doors(&self, used: &mut BTreeSet<At>, doubts: &mut Vec<Doubt>) -> Vec<Found> {
        let mut found: Vec<Found> = vec![];
        for (list, openings) in &self.openings {
            let name = &self.walker.program[*list].name;
            let (sequences, whole) = self.sequences(*list);
            if !whole {
                doubts
                    .push(Doubt::of(format!("the ways to list `{name}` are too tangled to follow them all")));
            }
            let goal = Goal { list: *list, opening: openings[0] };
            let mut valid: Vec<Vec<usize>> = vec![];
            for steps in sequences {
                let sequence: Vec<usize> = steps.iter().map(|step| step.class).collect();
                if valid.iter().any(|short| sequence.ends_with(short)) || !self.opens(&sequence, goal) {
                    continue;
                }
                found.push(self.door(goal, openings, &steps, used));
                valid.push(sequence);
            }
        }
        found
    }

    /// The ways of a stranger to the list, the shortest first, and whether that is all of them.
    fn sequences(&self, list: ListId) -> (Vec<Vec<Made>>, bool) {
        let mut found = vec![];
        let mut open: VecDeque<(Fact, Vec<Made>)> = [(Fact::Listed(list), vec![])].into();
        let mut passed: BTreeSet<Fact> = BTreeSet::new();
        let mut nodes = 0;
        while let Some((need, tail)) = open.pop_front() {
            // A position stands for the last knocks, so the first way to it is the shortest there is.
            if matches!(need, Fact::At(..)) && !passed.insert(need) {
                continue;
            }
            for made in self.ways.to(need) {
                nodes += 1;
                if nodes > MAX_NODES || found.len() == MAX_SEQUENCES {
                    return (found, false);
                }
                if self.classes[made.class].knock().is_none() || made.facts.contains(&need) {
                    continue;
                }
                let steps: Vec<Made> = std::iter::once(made.clone()).chain(tail.iter().cloned()).collect();
                if made.facts.is_empty() {
                    if !self.walker.program.tracks().is_empty() && matches!(need, Fact::At(..)) {
                        return (vec![steps], true);
                    }
                    found.push(steps);
                } else if steps.len() < limit::KNOCKS {
                    let circle = |fact: &&Fact| !tail.iter().any(|made| made.facts.contains(*fact));
                    open.extend(made.facts.iter().filter(circle).map(|fact| (*fact, steps.clone())));
                }
            }
        }
        (found, true)
    }

    /// Whether the sequence opens, and each of its knocks is needed for that.
    fn opens(&self, sequence: &[usize], goal: Goal) -> bool {
        let opens = |sequence: &[usize]| self.reached(goal, &self.after(Standing::default(), sequence));
        let without = |left_out: usize| {
            let kept = sequence.iter().enumerate().filter(|(nth, _)| *nth != left_out);
            kept.map(|(_, class)| *class).collect::<Vec<_>>()
        };
        opens(sequence) && (0..sequence.len()).all(|nth| !opens(&without(nth)))
    }

    fn door(&self, goal: Goal, openings: &[Opening], steps: &[Made], used: &mut BTreeSet<At>) -> Found {
        let sequence: Vec<usize> = steps.iter().map(|step| step.class).collect();
        let mut doubts = vec![];
        let mut standing = Standing::default();
        let mut stays = vec![];
        for step in steps {
            let passed = self.play(step.class, &mut standing);
            // Another rule may put it there too, for longer or shorter.
            let list = passed.added.iter().find(|(list, _)| Fact::Listed(*list) == step.makes);
            stays.push(list.map_or(step.lifetime, |(_, lifetime)| *lifetime));
            used.extend(passed.fired);
        }
        used.extend(self.entered(openings[0], &standing).into_iter().flatten());
        let last = &steps[steps.len() - 1];
        let origin = |step: &Made| &self.walker.rule(step.at).origin;
        let knocks = steps.iter().enumerate().filter_map(|(nth, step)| {
            let window = nth.checked_sub(1).map(|before| {
                bounded("a window", stays[before], limit::WINDOW, origin(&steps[before]), &mut doubts)
            });
            let knock = self.classes[step.class].knock()?;
            Some(LiftedKnock { knock, window, origin: origin(step).clone() })
        });
        let knocks: Vec<LiftedKnock> = knocks.collect();
        let grant = bounded("a grant", stays[steps.len() - 1], limit::GRANT, origin(last), &mut doubts);
        for step in steps {
            doubts.extend(loosened(&self.walker.rule(step.at).when, self.walker.program.outside()).map(
                |what| {
                    Doubt::at(
                        format!("this rule is only for {what}; the knock is for everybody"),
                        origin(step),
                    )
                },
            ));
        }
        let (services, chosen) = self.services(openings, &knocks, origin(last), &mut doubts);
        for opening in &chosen {
            used.extend(self.entered(*opening, &standing).into_iter().flatten());
        }
        let wrong = self.wrong(&sequence, goal, origin(last), used, &mut doubts);
        let name = self.name(goal.list, last.at);
        let door = LiftedDoor { name, knocks, services, grant, wrong, doubts, left_out: None };
        Found { door, sequence, goal, chosen }
    }

    /// From the names of the grant's list and of the chain where it is made.
    fn name(&self, list: ListId, at: At) -> String {
        let list = &self.walker.program[list].name;
        let list = list.strip_prefix("grant ").unwrap_or(list);
        let chain = &self.walker.program[at.0];
        let own = if chain.hook.is_none() { chain.name.rsplit(' ').next() } else { None };
        let named = [Some(list), own].into_iter().flatten().map(sanitized).find(|name| !name.is_empty());
        named.unwrap_or_else(|| "door".to_owned())
    }
}

pub(super) fn bounded(
    what: &str,
    lifetime: Lifetime,
    bounds: RangeInclusive<Lifetime>,
    origin: &Origin,
    doubts: &mut Vec<Doubt>,
) -> Lifetime {
    let kept = lifetime.clamp(*bounds.start(), *bounds.end());
    if kept != lifetime {
        let what = format!("{what} of {lifetime} in the script; a policy takes {kept}");
        doubts.push(Doubt::at(what, origin));
    }
    kept
}

/// Conditions of a rule that packets of no class show, and a policy cannot keep.
fn loosened<'r>(
    when: &'r [Condition],
    outside: &'r [crate::net::Interface],
) -> impl Iterator<Item = &'static str> + 'r {
    when.iter().filter_map(|condition| match condition {
        Condition::From(interfaces) if outside.iter().any(|one| !interfaces.contains(one)) => {
            Some("some of the outside interfaces")
        }
        Condition::Not(inner) if matches!(**inner, Condition::Source(_)) => {
            Some("sources outside some prefix")
        }
        _ => None,
    })
}

/// The name as that of a door; empty if nothing of it is left.
fn sanitized(name: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= limit::NAME && name.chars().all(fits) {
        return name.to_owned();
    }
    let lower = name.to_ascii_lowercase();
    let kept: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    shortened(kept.join("-"), limit::NAME)
}

fn shortened(mut name: String, most: usize) -> String {
    name.truncate(most);
    name.trim_end_matches('-').to_owned()
}

/// Adds doors, those of another family to what they are in the first, each under a name of its own.
pub(super) fn merge(doors: &mut Vec<LiftedDoor>, more: impl Iterator<Item = LiftedDoor>) {
    for mut door in more {
        let same = |known: &&mut LiftedDoor| {
            known.knocks.iter().map(|step| step.knock).eq(door.knocks.iter().map(|step| step.knock))
        };
        if let Some(known) = doors.iter_mut().find(same) {
            let new: Vec<ServiceDraft> =
                door.services.into_iter().filter(|service| !known.services.contains(service)).collect();
            known.services.extend(new);
            known.services.sort();
            if known.grant != door.grant {
                let what =
                    format!("the same knocks grant {} and {}; the shorter is taken", known.grant, door.grant);
                known.doubts.push(Doubt::of(what));
                known.grant = known.grant.min(door.grant);
            }
            continue;
        }
        let wanted = door.name.clone();
        let mut next = 2;
        while doors.iter().any(|known| known.name == door.name) {
            let ending = format!("-{next}");
            door.name = shortened(wanted.clone(), limit::NAME - ending.len()) + &ending;
            next += 1;
        }
        doors.push(door);
    }
}
