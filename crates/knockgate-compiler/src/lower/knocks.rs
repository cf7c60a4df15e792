//! The knock machine.
//!
//! Doors where a wrong knock resets share a [track](crate::program::Track): since a wrong knock
//! takes back every one of them, where a source stands at all of them follows from its last few
//! knocks, and one position says it. So a knock costs the same however many doors there are.
//! The other doors have a list for each stage; nothing is ever taken off those.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::meaning::how_far;
use super::services::dashed;
use super::{ADDRESS, Lowering, always, knock_of};
use crate::net::Endpoint;
use crate::policy::{Door, Knock, Wrong};
use crate::program::{
    ChainId, Condition, Effect, Expiry, ListId, PoolId, Position, Switch, TrackId, Verdict,
};
use crate::time::Lifetime;

impl Lowering<'_> {
    /// What a packet goes through that counts as a knock.
    pub(super) fn knocks(&mut self) -> Vec<Machinery> {
        let mut resetting: BTreeMap<Option<Lifetime>, Vec<usize>> = BTreeMap::new();
        let mut keeping: BTreeMap<Option<Lifetime>, Vec<usize>> = BTreeMap::new();
        for (index, door) in self.policy.doors().iter().enumerate() {
            match door.wrong {
                Wrong::Reset => resetting.entry(common_window(door)).or_default().push(index),
                Wrong::Cooldown(lifetime) => keeping.entry(Some(lifetime)).or_default().push(index),
                Wrong::Ignore => keeping.entry(None).or_default().push(index),
            }
        }
        let mut chains = vec![];
        for (window, doors) in resetting {
            match window {
                Some(window) => self.tracks(&format!("progress-{window}"), &doors, &mut chains),
                // A door whose windows differ stands alone: a position has one expiry.
                None => {
                    for door in doors {
                        let name = format!("progress-door-{}", self.policy.doors()[door].name);
                        self.tracks(&name, &[door], &mut chains);
                    }
                }
            }
        }
        if !keeping.is_empty() {
            let pool = self.builder.pool("stages", self.policy.sources(), true);
            for (cooldown, doors) in keeping {
                chains.push(self.staged(cooldown, &doors, pool));
            }
        }
        chains
    }

    /// One track for all of `doors`, or several where their sequences interlock so much that a
    /// single one would have too many positions.
    fn tracks(&mut self, name: &str, doors: &[usize], chains: &mut Vec<Machinery>) {
        let sequences: Vec<&Door> = doors.iter().map(|door| &self.policy.doors()[*door]).collect();
        match Machine::of(&sequences) {
            Some(machine) => chains.push(self.track(name, doors, &machine)),
            None => {
                let (left, right) = doors.split_at(doors.len() / 2);
                self.tracks(&format!("{name}-a"), left, chains);
                self.tracks(&format!("{name}-b"), right, chains);
            }
        }
    }

    fn track(&mut self, name: &str, doors: &[usize], machine: &Machine) -> Machinery {
        let track = self.builder.track(name, self.policy.sources());
        let positions: HashMap<&Progress, Position> =
            machine.arms.keys().map(|progress| (progress, self.position(track, doors, progress))).collect();
        let (chains, used_up) = (HashMap::new(), HashMap::new());
        let mut writer =
            ArmWriter { lowering: self, track, name, doors, positions: &positions, chains, used_up };
        let mut by_port = BTreeMap::new();
        let mut by_echo = BTreeMap::new();
        for (progress, arms) in &machine.arms {
            for (knock, outcome) in arms {
                let chain = writer.chain(outcome);
                match knock {
                    Knock::Port(endpoint) => by_port.insert((positions[progress], *endpoint), chain),
                    Knock::Ping(data) => by_echo.insert((positions[progress], *data), chain),
                };
            }
        }
        let mut first = vec![];
        for (knock, outcome) in &machine.first {
            first.push((*knock, writer.chain(outcome)));
        }
        let chain = self.builder.chain(name, None);
        let mut switch = |what: &str, switch: Switch| {
            self.rule(chain, always(what), vec![], vec![], Some(Verdict::Switch(switch)));
        };
        if !by_port.is_empty() {
            switch("next knocks", Switch::TrackPort(track, by_port));
        }
        if !by_echo.is_empty() {
            switch("next pings", Switch::TrackEcho(track, by_echo));
        }
        for (what, arms) in split_by_kind(first) {
            switch(what, arms);
        }
        let (what, then) = ("a wrong knock: reset", Effect::Forget(track));
        self.rule(chain, always(what), vec![], vec![then.clone()], None);
        let wrong = WrongKnock { heeds: Condition::OnTrack(track), what: what.into(), when: vec![], then };
        Machinery { chain, wrong: Some(wrong) }
    }

    fn position(&mut self, track: TrackId, doors: &[usize], progress: &Progress) -> Position {
        let mut identity = String::new();
        let mut what = vec![];
        for (member, stage) in progress {
            let door = &self.policy.doors()[doors[*member]];
            let made: Vec<String> =
                door.sequence.knocks().take(*stage).map(|knock| knock.to_string()).collect();
            identity += &format!("{}\0{}\0", door.name, made.join(" "));
            what.push(how_far(&door.name, *stage, door.sequence.steps().len()));
        }
        self.builder.position(track, &identity, &what.join(", "))
    }

    /// The chain for doors that keep their stages, with a cooldown or without.
    fn staged(&mut self, cooldown: Option<Lifetime>, doors: &[usize], pool: PoolId) -> Machinery {
        let name = match cooldown {
            Some(lifetime) => format!("cooldown-{lifetime}"),
            None => "ignore".to_owned(),
        };
        let penalty = cooldown.map(|lifetime| self.penalty(lifetime, &name, doors));
        let stages: HashMap<usize, Vec<ListId>> =
            doors.iter().map(|door| (*door, self.stage_lists(*door, pool))).collect();
        let mut by_knock: BTreeMap<Knock, Vec<(usize, usize)>> = BTreeMap::new();
        for door in doors {
            for (index, knock) in self.policy.doors()[*door].sequence.knocks().enumerate() {
                by_knock.entry(knock).or_default().push((*door, index));
            }
        }
        let chain = self.builder.chain(&name, None);
        let mut arms = vec![];
        for (knock, mut uses) in by_knock {
            // The last stage first, or one packet would make two knocks.
            uses.sort_by_key(|(door, index)| (*door, usize::MAX - index));
            let arm = self.builder.chain(&format!("{name}-{}", knock_name(knock)), None);
            if let Some(penalty) = &penalty {
                let right = self.builder.chain(&format!("{name}-{}-right", knock_name(knock)), None);
                self.judge(right, &uses, &stages, penalty);
                self.rule(arm, always("is it the right knock"), vec![], vec![], Some(Verdict::Jump(right)));
            }
            for (door, index) in uses {
                self.advance(arm, door, index, &stages[&door], penalty.as_ref());
            }
            arms.push((knock, arm));
        }
        for (what, switch) in split_by_kind(arms) {
            self.rule(chain, always(what), vec![], vec![], Some(Verdict::Switch(switch)));
        }
        if let Some(penalty) = &penalty {
            self.punish(chain, penalty);
        }
        Machinery { chain, wrong: penalty.as_ref().map(Penalty::wrong_knock) }
    }

    fn stage_lists(&mut self, door: usize, pool: PoolId) -> Vec<ListId> {
        let door = &self.policy.doors()[door];
        (1..door.sequence.steps().len())
            .map(|stage| self.builder.timed_list(&format!("stage {} {stage}", door.name), pool, ADDRESS))
            .collect()
    }

    fn penalty(&mut self, lifetime: Lifetime, name: &str, doors: &[usize]) -> Penalty {
        let windows = doors.iter().flat_map(|door| self.policy.doors()[*door].sequence.steps());
        let longest = windows.map(|step| step.window).max().unwrap_or(lifetime);
        let mut list = |name: &str| {
            let pool = self.builder.pool(name, self.policy.sources(), false);
            self.builder.timed_list(name, pool, ADDRESS)
        };
        let (begun, done) = (list(&format!("begun-{lifetime}")), list(&format!("done-{lifetime}")));
        Penalty { lifetime, cooling: list(name), begun, done, longest }
    }

    /// Returns from `chain` when a knock is the next one of a door, or the last one again; else the
    /// source must wait.
    fn judge(
        &mut self,
        chain: ChainId,
        uses: &[(usize, usize)],
        stages: &HashMap<usize, Vec<ListId>>,
        penalty: &Penalty,
    ) {
        for (door, index) in uses {
            let lists = &stages[door];
            let origin = || knock_of(&self.policy.doors()[*door], *index);
            let not = |list: Option<&ListId>| list.map(|list| Condition::not_listed(*list));
            let expected: Vec<Condition> = match index.checked_sub(1) {
                Some(before) => {
                    [Condition::Listed(lists[before])].into_iter().chain(not(lists.get(*index))).collect()
                }
                None => lists.iter().map(|list| Condition::not_listed(*list)).collect(),
            };
            let (next, again) = (origin(), origin());
            self.rule(chain, next, expected, vec![], Some(Verdict::Return));
            if let Some(made) = lists.get(*index) {
                let when = [Condition::Listed(*made)].into_iter().chain(not(lists.get(index + 1))).collect();
                self.rule(chain, again, when, vec![], Some(Verdict::Return));
            }
        }
        self.punish(chain, penalty);
    }

    fn punish(&mut self, chain: ChainId, penalty: &Penalty) {
        let WrongKnock { what, when, then, .. } = penalty.wrong_knock();
        self.rule(chain, always(&what), when, vec![then], None);
    }

    /// One knock of one door: the next stage, or the grant.
    fn advance(
        &mut self,
        chain: ChainId,
        door: usize,
        index: usize,
        lists: &[ListId],
        penalty: Option<&Penalty>,
    ) {
        let steps = self.policy.doors()[door].sequence.steps();
        let mut when: Vec<Condition> =
            penalty.map(|penalty| Condition::not_listed(penalty.cooling)).into_iter().collect();
        if let Some(before) = index.checked_sub(1) {
            when.push(Condition::Listed(lists[before]));
        }
        let mut then = match lists.get(index) {
            Some(stage) => {
                // The same knock again must not prolong the window.
                when.push(Condition::not_listed(*stage));
                let lifetime = steps[index + 1].window;
                vec![Effect::Add { list: *stage, lifetime, expiry: Expiry::Keep }]
            }
            None => self.granted_at_once(door),
        };
        if let Some(Penalty { begun, done, longest, .. }) = penalty {
            let list = if index + 1 == steps.len() { *done } else { *begun };
            then.insert(0, Effect::Add { list, lifetime: *longest, expiry: Expiry::Refresh });
        }
        let origin = knock_of(&self.policy.doors()[door], index);
        self.rule(chain, origin, when, then, None);
    }
}

/// The chain of some doors' knocks.
pub(super) struct Machinery {
    pub(super) chain: ChainId,
    /// What a packet to a port that no knock has does, if anything.
    pub(super) wrong: Option<WrongKnock>,
}

/// What a wrong knock does.
pub(super) struct WrongKnock {
    /// The sources to which it may do something.
    pub(super) heeds: Condition,
    pub(super) what: Box<str>,
    pub(super) when: Vec<Condition>,
    pub(super) then: Effect,
}

/// What a wrong knock costs at doors with a cooldown.
struct Penalty {
    lifetime: Lifetime,
    /// Sources that make no progress.
    cooling: ListId,
    /// Sources that have made a right knock lately: only they can make a wrong one.
    begun: ListId,
    /// Sources that have made all of them lately. Their stages run out by themselves, and until
    /// then the first knock of another sequence looks wrong without being it.
    done: ListId,
    /// How long a source counts as having begun: the longest window.
    longest: Lifetime,
}

impl Penalty {
    fn wrong_knock(&self) -> WrongKnock {
        let Self { lifetime, cooling, begun, done, .. } = *self;
        WrongKnock {
            heeds: Condition::Listed(begun),
            what: format!("a wrong knock: cooldown {lifetime}").into(),
            when: vec![Condition::Listed(begun), Condition::not_listed(done)],
            then: Effect::Add { list: cooling, lifetime, expiry: Expiry::Refresh },
        }
    }
}

/// The window of every knock but the first, where they are all the same.
fn common_window(door: &Door) -> Option<Lifetime> {
    let mut windows = door.sequence.steps().iter().skip(1).map(|step| step.window);
    let first = windows.next().unwrap_or(door.sequence.steps()[0].window);
    windows.all(|window| window == first).then_some(first)
}

fn knock_name(knock: Knock) -> String {
    match knock {
        Knock::Port(endpoint) => dashed(endpoint),
        Knock::Ping(data) => format!("ping-{data}"),
    }
}

fn split_by_kind(arms: Vec<(Knock, ChainId)>) -> Vec<(&'static str, Switch)> {
    let mut ports: BTreeMap<Endpoint, ChainId> = BTreeMap::new();
    let mut echoes: BTreeMap<u16, ChainId> = BTreeMap::new();
    for (knock, chain) in arms {
        match knock {
            Knock::Port(endpoint) => ports.insert(endpoint, chain),
            Knock::Ping(data) => echoes.insert(data, chain),
        };
    }
    let mut found = vec![];
    if !ports.is_empty() {
        found.push(("which knock", Switch::Port(ports)));
    }
    if !echoes.is_empty() {
        found.push(("which ping", Switch::Echo(echoes)));
    }
    found
}

/// How many knocks a source has made in time, for each door where it has made any.
type Progress = BTreeMap<usize, usize>;

/// What a knock leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    /// The last knock again: nothing, but for doors that it is the only knock of.
    Again { opened: Vec<usize> },
    /// Doors that open, and where the source stands then.
    Step { opened: Vec<usize>, progress: Progress },
}

/// All that doors with one window can do, seen together. Doors are named by their place.
#[derive(Debug)]
struct Machine {
    /// From each progress, the knocks that lead elsewhere than from nowhere.
    arms: BTreeMap<Progress, BTreeMap<Knock, Outcome>>,
    /// The knocks that lead somewhere from nowhere.
    first: BTreeMap<Knock, Outcome>,
}

impl Machine {
    /// `None` when there are far more positions than stages. A single door never has.
    fn of(doors: &[&Door]) -> Option<Self> {
        let sequences: Vec<Vec<Knock>> = doors.iter().map(|door| door.sequence.knocks().collect()).collect();
        let stages: usize = sequences.iter().map(Vec::len).sum();
        let mut starts: HashMap<Knock, Vec<usize>> = HashMap::new();
        for (door, sequence) in sequences.iter().enumerate() {
            starts.entry(sequence[0]).or_default().push(door);
        }
        let mut machine = Self { arms: BTreeMap::new(), first: BTreeMap::new() };
        let mut found = VecDeque::new();
        for knock in starts.keys() {
            let outcome = step(&sequences, &starts, &Progress::new(), *knock);
            found.extend(reached(&outcome));
            machine.first.insert(*knock, outcome);
        }
        while let Some(progress) = found.pop_front() {
            if machine.arms.contains_key(&progress) {
                continue;
            }
            if machine.arms.len() >= 64 + 4 * stages && doors.len() > 1 {
                return None;
            }
            let mut arms = BTreeMap::new();
            for (door, stage) in &progress {
                let knock = sequences[*door][stage - 1];
                let begun = starts.get(&knock).into_iter().flatten();
                let opened = begun.copied().filter(|door| sequences[*door].len() == 1).collect();
                arms.insert(knock, Outcome::Again { opened });
            }
            for (door, stage) in &progress {
                let knock = sequences[*door][*stage];
                let outcome = step(&sequences, &starts, &progress, knock);
                found.extend(reached(&outcome));
                arms.insert(knock, outcome);
            }
            machine.arms.insert(progress, arms);
        }
        Some(machine)
    }
}

fn reached(outcome: &Outcome) -> Option<Progress> {
    match outcome {
        Outcome::Step { progress, .. } if !progress.is_empty() => Some(progress.clone()),
        _ => None,
    }
}

/// What `knock`, which is not the last one again, does: a door that expects it advances, one that
/// does not goes back to nowhere, and from there a first knock starts anew.
fn step(
    sequences: &[Vec<Knock>],
    starts: &HashMap<Knock, Vec<usize>>,
    progress: &Progress,
    knock: Knock,
) -> Outcome {
    let mut opened = vec![];
    let mut next = Progress::new();
    let mut advance = |door: usize, stage: usize| {
        if stage == sequences[door].len() {
            opened.push(door);
        } else {
            next.insert(door, stage);
        }
    };
    for (door, stage) in progress {
        if sequences[*door][*stage] == knock {
            advance(*door, stage + 1);
        }
    }
    for door in starts.get(&knock).into_iter().flatten() {
        let expected = progress.get(door).is_some_and(|stage| sequences[*door][*stage] == knock);
        if !expected {
            advance(*door, 1);
        }
    }
    Outcome::Step { opened, progress: next }
}

/// Writes the chains of a track's outcomes, each once.
struct ArmWriter<'a, 'p> {
    lowering: &'a mut Lowering<'p>,
    track: TrackId,
    name: &'a str,
    /// Each of the machine's doors in the policy.
    doors: &'a [usize],
    positions: &'a HashMap<&'a Progress, Position>,
    chains: HashMap<Outcome, ChainId>,
    /// What follows last knocks, by the lengths of the grants that they make.
    used_up: HashMap<BTreeSet<Lifetime>, ChainId>,
}

impl ArmWriter<'_, '_> {
    fn chain(&mut self, outcome: &Outcome) -> ChainId {
        if let Some(chain) = self.chains.get(outcome) {
            return *chain;
        }
        let name = format!("{}-{}", self.name, self.chains.len() + 1);
        let chain = self.lowering.builder.chain(&name, None);
        match outcome {
            Outcome::Again { opened } => self.write_again(chain, opened),
            Outcome::Step { opened, progress } => self.write_step(chain, opened, progress),
        }
        self.chains.insert(outcome.clone(), chain);
        chain
    }

    fn write_again(&mut self, chain: ChainId, opened: &[usize]) {
        let guests = self.write_grants(chain, opened);
        self.write_guests(chain, &guests);
        self.lowering.rule(chain, always("the last knock again"), vec![], vec![], Some(Verdict::Return));
    }

    fn write_step(&mut self, chain: ChainId, opened: &[usize], progress: &Progress) {
        let policy = self.lowering.policy;
        let guests = self.write_grants(chain, opened);
        match progress.iter().next() {
            Some((member, stage)) => {
                let door = &policy.doors()[self.doors[*member]];
                let lifetime = door.sequence.steps()[*stage].window;
                let then =
                    vec![Effect::Move { track: self.track, position: self.positions[progress], lifetime }];
                self.lowering.rule(chain, knock_of(door, stage - 1), vec![], then, None);
                self.write_guests(chain, &guests);
            }
            None => {
                let used_up = self.used_up(guests);
                self.lowering.rule(chain, always(USED_UP), vec![], vec![], Some(Verdict::Jump(used_up)));
            }
        }
    }

    /// Opens doors. Returns the lengths of their grants of which there are lists of guests.
    fn write_grants(&mut self, chain: ChainId, opened: &[usize]) -> BTreeSet<Lifetime> {
        let policy = self.lowering.policy;
        let mut guests = BTreeSet::new();
        for member in opened {
            let index = self.doors[*member];
            let door = &policy.doors()[index];
            let grant = self.lowering.grant(index);
            let origin = knock_of(door, door.sequence.steps().len() - 1);
            self.lowering.rule(chain, origin, vec![], vec![grant], None);
            guests.extend(self.lowering.guests.contains_key(&door.grant).then_some(door.grant));
        }
        guests
    }

    fn write_guests(&mut self, chain: ChainId, guests: &BTreeSet<Lifetime>) {
        for guest in guests.iter().filter_map(|lifetime| self.lowering.guest(*lifetime)).collect::<Vec<_>>() {
            self.lowering.rule(chain, always(GUEST), vec![], vec![guest], None);
        }
    }

    /// The chain for what follows the last knock at any door with grants of these lengths. There are as many
    /// last knocks as doors, and hardly ever more than one length.
    fn used_up(&mut self, guests: BTreeSet<Lifetime>) -> ChainId {
        if let Some(chain) = self.used_up.get(&guests) {
            return *chain;
        }
        let name = format!("{}-used-up-{}", self.name, self.used_up.len() + 1);
        let chain = self.lowering.builder.chain(&name, None);
        self.write_guests(chain, &guests);
        self.lowering.rule(chain, always(USED_UP), vec![], vec![Effect::Forget(self.track)], None);
        self.used_up.insert(guests, chain);
        chain
    }
}

const GUEST: &str = "who holds a grant is never banned";
const USED_UP: &str = "the sequence is used up";
