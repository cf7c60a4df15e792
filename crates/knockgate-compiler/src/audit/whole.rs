//! All questions about all doors.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::chance::{Played, chances, curves};
use super::company::{Granted, company, granted, listener};
use super::cost::attack;
use super::doors::{Plan, connection, doors, family, promised};
use super::fill::{Memory, fills};
use super::numbers::rate;
use super::play::{Owner, Player, Tape};
use super::search::{Class, ClassId, Search};
use super::{Audit, Beat, Door, Fill, Finding, Level, Risk, Subject, WayIn, advice, judge, lockout, reach};
use crate::diag::Code;
use crate::net::{Destination, Family};
use crate::policy::ServiceDraft;
use crate::sim::Fate;

/// Packets of scans that are played for all doors together.
const BUDGET: u64 = 400_000;

/// Everything there is to say about `subject`. Takes bounded time.
pub fn audit(subject: &Subject<'_>) -> Audit {
    let search = Search::new(subject.program);
    let plans = doors(subject);
    let goals: Vec<Vec<Goal>> = plans.iter().map(|plan| goals(subject, &search, plan)).collect();
    let known: Vec<ClassId> = goals.iter().flatten().flat_map(|goal| &goal.classes).copied().collect();
    let mut ways = search.ways_in(&known).into_iter();
    let mut view = View::new(subject, &search, &plans);
    let mut all = vec![];
    for (plan, goals) in plans.iter().zip(goals) {
        let ways = goals.into_iter().map(|goal| best(goal, &mut ways)).collect();
        all.push(view.door(plan, ways));
    }
    all.extend(view.unnamed());
    let exposed = reach::exposed(&search);
    let fills = view.fills();
    let mut findings = reach::open_to_all(&exposed);
    findings.extend(fills.iter().filter_map(easily_filled));
    if subject.policy.is_none() {
        findings.extend(reach::unreached(subject.program));
    }
    findings.extend(reach::unplayed(subject.program));
    findings.extend(search.is_tangled().then(tangled));
    findings.sort_by_key(|finding| finding.risk);
    Audit { doors: all, exposed, fills, findings, limits: limits(subject, &plans) }
}

/// A service of a door, with the classes of the packets that begin connections to it.
struct Goal {
    service: String,
    classes: Vec<ClassId>,
}

/// What the door is to open, over each family.
fn goals(subject: &Subject<'_>, search: &Search<'_>, plan: &Plan) -> Vec<Goal> {
    let class = |service: &ServiceDraft, over: Family| {
        let tape = Tape::of(search.stranger(over)).then(&connection(service));
        search.class_of(&tape.first_packet(subject.program)?)
    };
    let goal = |service: &ServiceDraft| {
        let families = Family::BOTH.into_iter().filter(|of| family(service).is_none_or(|only| only == *of));
        Goal { service: service.to_string(), classes: families.filter_map(|of| class(service, of)).collect() }
    };
    plan.services.iter().map(goal).collect()
}

/// A service with the way in to it, and the class that it leads to.
type Way = (String, Option<ClassId>, WayIn);

/// The way in over the family where there is one; [`WayIn::Never`] only if there is none over any.
fn best(goal: Goal, ways: &mut impl Iterator<Item = WayIn>) -> Way {
    let rank = |way: &WayIn| match way {
        WayIn::Steps { .. } => 0,
        WayIn::Open(_) => 1,
        WayIn::NotFound { .. } => 2,
        WayIn::Never => 3,
    };
    let found: Vec<(ClassId, WayIn)> = goal.classes.into_iter().zip(ways).collect();
    match found.into_iter().min_by_key(|(_, way)| rank(way)) {
        Some((class, way)) => (goal.service, Some(class), way),
        None => (goal.service, None, WayIn::NotFound { states: 0 }),
    }
}

/// What is asked of door after door.
struct View<'v, 'p> {
    subject: &'v Subject<'p>,
    search: &'v Search<'p>,
    plans: &'v [Plan],
    player: Player<'p>,
    played: Played<'p>,
    /// What the owners' knocks take room in.
    rooms: BTreeSet<Memory>,
    /// Packets that some door's knocks open, in the words of a trace.
    opened: BTreeSet<String>,
    /// Packets that may shut an owner out, for each family.
    telling: BTreeMap<Family, Vec<String>>,
}

impl<'v, 'p> View<'v, 'p> {
    fn new(subject: &'v Subject<'p>, search: &'v Search<'p>, plans: &'v [Plan]) -> Self {
        Self {
            subject,
            search,
            plans,
            player: Player::new(subject.program),
            played: Played::new(subject.program, BUDGET),
            rooms: BTreeSet::new(),
            opened: BTreeSet::new(),
            telling: BTreeMap::new(),
        }
    }

    fn door(&mut self, plan: &Plan, ways: Vec<Way>) -> Door {
        let mut ways = ways.into_iter();
        let (_, goal, way_in) = ways.next().unwrap_or((String::new(), None, WayIn::NotFound { states: 0 }));
        let mut door = self.drawn(plan.name.clone(), way_in);
        door.span = plan.span;
        door.services = plan.services.iter().map(ToString::to_string).collect();
        let owner = self.owner(&door.way_in);
        // A door that never opens has no strength.
        if door.way_in != WayIn::Never {
            self.measure(&mut door, plan, goal);
        }
        if let Some(owner) = &owner {
            self.owned(&mut door, owner, &plan.services.iter().map(connection).collect::<Vec<_>>());
        }
        if let Some(shape) = &door.shape {
            door.advice = advice::advice(shape, &door.lockouts, &mut self.played);
        }
        let unreached = ways.filter(|(_, _, way)| *way == WayIn::Never && door.way_in != WayIn::Never);
        let unreached: Vec<Finding> =
            unreached.map(|(service, ..)| judge::never_reached(&door, &service)).collect();
        door.findings.extend(unreached);
        door.findings.extend(judge::findings(&door, owner.as_ref()));
        door.findings.extend(reach::around(self.search, &door, &plan.services));
        let doubts: Vec<Finding> = plan.doubts.iter().map(|doubt| judge::doubt(&door, doubt)).collect();
        door.findings.extend(doubts);
        door.findings.sort_by_key(|finding| finding.risk);
        door
    }

    /// What follows from the shape of the door.
    fn measure(&mut self, door: &mut Door, plan: &Plan, goal: Option<ClassId>) {
        let shape = plan.shape.clone();
        if let Some(service) = goal.map(|goal| self.search.classes()[goal.index()].packet().clone()) {
            door.chances = chances(&shape, &service, &mut self.played);
        }
        door.curves = curves(&shape, &mut self.played);
        door.attack = Some(attack(&shape));
        door.shape = Some(shape);
    }

    /// A door of which only the way in is known.
    fn drawn(&self, name: String, way_in: WayIn) -> Door {
        let level = if matches!(way_in, WayIn::Open(_)) { Level::Open } else { Level::Hidden };
        Door {
            name,
            span: None,
            services: vec![],
            shape: None,
            level,
            way_in,
            chances: vec![],
            curves: vec![],
            attack: None,
            lockouts: vec![],
            company: vec![],
            listener: vec![],
            findings: vec![],
            advice: vec![],
        }
    }

    fn owner(&self, way_in: &WayIn) -> Option<Owner> {
        match way_in {
            WayIn::Steps { claim, .. } => Owner::of(claim, self.subject.program),
            _ => None,
        }
    }

    /// What is so because `owner` gets in.
    fn owned(&mut self, door: &mut Door, owner: &Owner, own: &[String]) {
        let kinds = self.telling(owner.source);
        door.lockouts = lockout::lockouts(&mut self.player, owner, &kinds);
        let asked = self.asked(Family::of(owner.source));
        let words: Vec<String> = asked.iter().map(|class| class.words()).collect();
        let granted = granted(&mut self.player, self.subject.program, owner, &words);
        let grant = door.shape.as_ref().map(|shape| shape.grant);
        door.company = company(&granted, self.subject.program, &door.services.join(", "), grant);
        door.listener = listener(owner);
        door.findings.extend(self.more(door, owner, own, &asked, &granted));
        self.opened.extend(granted.opened);
        self.rooms.extend(granted.rooms);
    }

    /// What the grant opens besides the door's own services.
    fn more(
        &mut self,
        door: &Door,
        owner: &Owner,
        own: &[String],
        asked: &[&Class],
        granted: &Granted,
    ) -> Vec<Finding> {
        let mut found = vec![];
        let knocked = owner.knocked();
        for other in self.plans.iter().filter(|other| may_open(door, other, self.plans.len())) {
            let here =
                |service: &&ServiceDraft| family(service).is_none_or(|of| of == Family::of(owner.source));
            let services = other.services.iter().filter(here).map(connection);
            for service in services.filter(|service| !own.contains(service)) {
                if self.player.ends_well(&knocked.clone().then(&service)) {
                    found.push(judge::opens_another(door, &other.name, &service, knocked.clone()));
                }
            }
        }
        let opened = asked.iter().filter(|class| granted.opened.contains(&class.words()));
        let services: Vec<&ServiceDraft> = self.plans.iter().flat_map(|plan| &plan.services).collect();
        let more = |class: &Class| {
            let own = services.iter().filter(|service| reach::leads(class, service)).count();
            class.width().saturating_sub(u32::try_from(own).unwrap_or(u32::MAX))
        };
        let wide: Vec<(&Class, u32)> = opened.map(|class| (*class, more(class))).collect();
        // A door that is only known by what it opens has no other service than that.
        let least = if door.shape.is_some() { 0 } else { 1 };
        let wide: Vec<(&Class, u32)> = wide.into_iter().filter(|(_, width)| *width > least).collect();
        found.extend(judge::opens_more(door, &wide, knocked));
        found
    }

    /// Those of [`Self::kinds`] that may shut an owner out.
    fn telling(&mut self, source: IpAddr) -> Vec<String> {
        let family = Family::of(source);
        if !self.telling.contains_key(&family) {
            let kinds = self.kinds(family);
            let found = lockout::telling(&mut self.player, self.subject.program, source, &kinds);
            self.telling.insert(family, found);
        }
        self.telling[&family].clone()
    }

    /// Packets of every kind that anybody may send in a source's name, the commonest first, each with
    /// whether it may change anything.
    fn kinds(&self, family: Family) -> Vec<(String, bool)> {
        let search = self.search;
        let ids = search.ids().map(|id| (id, &search.classes()[id.index()]));
        let mut kinds: Vec<(ClassId, &Class)> =
            ids.filter(|(_, class)| class.family() == family && !class.comes_from_elsewhere()).collect();
        kinds.sort_by_key(|(_, class)| (!class.begins(), u32::MAX - class.width()));
        kinds.into_iter().map(|(id, class)| (class.words(), search.may_change(id))).collect()
    }

    /// Classes that some source may be let in with, and strangers are not.
    fn asked(&self, family: Family) -> Vec<&'v Class> {
        let search = self.search;
        let ids = search.ids().filter(|id| search.may_enter(*id) && !reach::is_open(search, *id));
        let classes = ids.map(|id| &search.classes()[id.index()]);
        let asked: Vec<&Class> = classes.filter(|class| class.begins() && is_direct(class, family)).collect();
        // Many single ports are many doors' services, which are asked about by their names.
        let few = asked.len() <= ASKED;
        asked.into_iter().filter(|class| few || class.width() > 1).collect()
    }

    fn direct(&self, family: Family) -> impl Iterator<Item = &'v Class> + use<'v, 'p> {
        self.search.classes().iter().filter(move |class| is_direct(class, family))
    }

    fn changing(&self, family: Family) -> Vec<String> {
        let kinds = self.kinds(family).into_iter();
        kinds.filter(|(_, changes)| *changes).map(|(words, _)| words).collect()
    }

    fn fills(&mut self) -> Vec<Fill> {
        let families = [Family::V4, Family::V6];
        let packets: Vec<(IpAddr, Vec<String>)> =
            families.map(|family| (self.search.stranger(family), self.changing(family))).into();
        let rooms: Vec<Memory> = self.rooms.iter().copied().collect();
        fills(&mut self.player, self.subject.program, &packets, &rooms)
    }

    /// Ways in that belong to no door with a sequence, as doors without a shape.
    fn unnamed(&mut self) -> Vec<Door> {
        if self.subject.policy.is_some() {
            return vec![];
        }
        let search = self.search;
        let promised: Vec<ClassId> = self.broken().collect();
        let goals: BTreeSet<ClassId> = search
            .ids()
            .filter(|id| self.is_unnamed(*id))
            .chain(promised.iter().copied())
            .take(UNNAMED)
            .collect();
        let goals: Vec<ClassId> = goals.into_iter().collect();
        let mut doors: Vec<Door> = vec![];
        for (goal, way_in) in goals.iter().zip(search.ways_in(&goals)) {
            let service = search.classes()[goal.index()].range();
            match doors.iter_mut().find(|door| is_same(&door.way_in, &way_in)) {
                Some(door) => door.services.push(service),
                None => {
                    let mut door = self.drawn(service.clone(), way_in);
                    door.services = vec![service];
                    doors.push(door);
                }
            }
        }
        // What may be let in by the looks of single rules, and is not, is no door.
        let is_promised = |door: &Door| {
            promised.iter().any(|id| door.services.contains(&search.classes()[id.index()].range()))
        };
        doors.retain(|door| matches!(door.way_in, WayIn::Steps { .. }) || is_promised(door));
        for door in &mut doors {
            if let Some(owner) = self.owner(&door.way_in) {
                self.owned(door, &owner, &[]);
            }
            door.findings.extend(judge::findings(door, None));
            door.findings.extend(self.in_order(door));
            door.findings.sort_by_key(|finding| finding.risk);
        }
        doors
    }

    /// Whether a packet of each kind, in the order of their ports, opens a door of no known shape.
    fn in_order(&mut self, door: &Door) -> Option<Finding> {
        let owner = self.owner(&door.way_in)?;
        if owner.knocks.len() < 2 {
            return None;
        }
        let direct = self.direct(Family::of(owner.source)).filter(|class| class.begins());
        let ends = direct.flat_map(|class| class.spans().iter().map(move |span| (span.start(), class)));
        let mut ports: Vec<(u16, String)> = ends.map(|(port, class)| (*port, class.words())).collect();
        ports.sort_unstable();
        let up: Vec<String> = ports.into_iter().map(|(_, words)| words).collect();
        let down: Vec<String> = up.iter().rev().cloned().collect();
        for (what, packets) in [("an ascending scan", up), ("a descending scan", down)] {
            let tape = Tape::of(owner.source).all(&packets).then(&owner.connection);
            if self.player.ends_well(&tape) {
                let claim = tape.claim(format!("{what} opens door {}", door.name), Fate::Accept);
                return Some(judge::opened_in_order(door, what, claim));
            }
        }
        None
    }

    /// Classes that rules say a list is let in with, and that belong to no door.
    fn broken(&self) -> impl Iterator<Item = ClassId> {
        let search = self.search;
        let source = search.stranger(Family::V4);
        let promised = promised(self.subject.program).into_iter();
        let program = self.subject.program;
        let classes = promised
            .filter_map(move |words| search.class_of(&Tape::of(source).then(&words).first_packet(program)?));
        classes.filter(|id| !self.is_named(*id) && !reach::is_open(search, *id))
    }

    /// Whether a source may be let in with it that a stranger is not, and no door says so.
    fn is_unnamed(&self, id: ClassId) -> bool {
        let class = &self.search.classes()[id.index()];
        class.begins()
            && !class.comes_from_elsewhere()
            && self.search.may_enter(id)
            && !reach::is_open(self.search, id)
            && !self.is_named(id)
    }

    /// Whether some door opens it.
    fn is_named(&self, id: ClassId) -> bool {
        let class = &self.search.classes()[id.index()];
        let mut services = self.plans.iter().flat_map(|plan| &plan.services);
        services.any(|service| reach::leads(class, service)) || self.opened.contains(&class.words())
    }
}

/// Whether both are the same packets, or none.
fn is_same(one: &WayIn, other: &WayIn) -> bool {
    match (one, other) {
        (WayIn::Steps { steps, .. }, WayIn::Steps { steps: others, .. }) => steps == others,
        _ => false,
    }
}

/// Whether the knocks of `door` may open `other`. Of many doors, only those are tried whose knocks are
/// all among them.
fn may_open(door: &Door, other: &Plan, plans: usize) -> bool {
    const FEW: usize = 64;
    let contained = || {
        let own = |beat: &Beat| {
            door.shape.iter().flat_map(|shape| &shape.knocks).any(|known| known.knock == beat.knock)
        };
        other.shape.knocks.iter().all(own)
    };
    other.name != door.name && (plans <= FEW || contained())
}

/// Ways in without a door that are looked for.
const UNNAMED: usize = 64;

/// Classes that are asked about whatever their width.
const ASKED: usize = 256;

/// Whether its packets come to the gateway itself by an outside interface.
fn is_direct(class: &Class, family: Family) -> bool {
    class.family() == family && class.destination() == Destination::Gateway && !class.comes_from_elsewhere()
}

fn easily_filled(fill: &Fill) -> Option<Finding> {
    const EASILY: f64 = 1000.0;
    const AT_ONCE: f64 = 20_000.0;
    if fill.rate >= AT_ONCE {
        return None;
    }
    Some(Finding {
        code: Code::EasilyFilled,
        risk: if fill.rate < EASILY { Risk::Medium } else { Risk::Low },
        says: format!(
            "{} fill list {} (packets to {}, each from another address): {}",
            rate(fill.rate),
            fill.list,
            fill.packet,
            fill.means
        ),
        span: None,
        claim: None,
    })
}

/// That there was too much to look at.
fn tangled() -> Finding {
    Finding {
        code: Code::NotAudited,
        risk: Risk::High,
        says: "the rules are too many to follow packets through them: what is open, and how to get in, is not known"
            .to_owned(),
        span: None,
        claim: None,
    }
}

/// What was not looked at.
fn limits(subject: &Subject<'_>, plans: &[Plan]) -> Vec<String> {
    let mut limits = vec![];
    let outside: Vec<&str> = subject.program.outside().iter().map(|interface| interface.as_str()).collect();
    limits.push(format!("packets that come in by {} were played, and no others", outside.join(", ")));
    if subject.policy.is_none() && plans.is_empty() {
        limits.push(
            "no sequence of knocks was recognised in the rules, so there are no probabilities".to_owned(),
        );
    }
    limits.push("lists are taken to have room, but where filling them is told".to_owned());
    limits
}
