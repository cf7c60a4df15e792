//! From rules as a program has them to rules as RouterOS has them: one line of conditions, one
//! action.

use std::collections::{BTreeSet, HashMap};

use super::actions::{add, added, changed, is_return, verdicts};
use super::guard::Guard;
use super::line::{Both, Line, list_of};
use super::refusals::{self, Refusals};
use super::sketch::{Action, Place, Sketch, Step, ours, passes_on};
use super::table::{Table, names};
use super::ways::{Split, holds, split, without_lists};
use super::{Note, Options};
use crate::net::Family;
use crate::program::{Chain, ChainId, Condition, Hook, ListId, Origin, Program, Rule, Switch, Verdict};

struct Shaper<'p> {
    program: &'p Program,
    options: Options,
    sketch: Sketch,
    places: HashMap<(Table, ChainId), Place>,
    refusals: Refusals,
    notes: Vec<Note>,
}

/// A rule on its way to one or more of them.
struct Wanted<'r> {
    when: &'r [Condition],
    /// What is done in order, each for those packets that its line fits too.
    steps: Vec<(Line, Action)>,
    /// No packet fits two of the steps.
    exclusive: bool,
    /// Nothing follows in the chain.
    last: bool,
    origin: &'r Origin,
}

/// The shaped chains, and what is said less exactly; or what cannot be said at all.
pub(super) fn draw(program: &Program, options: Options) -> Result<(Sketch, Vec<Note>), Refusals> {
    let refusals = refusals::of(program);
    let (sketch, notes) = (Sketch::default(), Note::of(program));
    let mut shaper = Shaper { program, options, sketch, places: HashMap::new(), refusals, notes };
    for hook in [Hook::Raw, Hook::Prerouting, Hook::Input, Hook::Forward] {
        if let Some(chain) = program.hooked(hook) {
            shaper.hook(hook, chain);
        }
    }
    shaper.sketch.tidy();
    refusals::of_tables(&shaper.sketch, options, &mut shaper.refusals);
    if shaper.refusals.is_empty() { Ok((shaper.sketch, shaper.notes)) } else { Err(shaper.refusals) }
}

impl Shaper<'_> {
    /// The hook's own chain has nothing but the way into one of ours, so that it can be taken out,
    /// and put before the rules of others, as one rule.
    fn hook(&mut self, hook: Hook, chain: ChainId) {
        let (table, (name, of_router)) = (Table::of(hook), names(hook));
        let entered = self.sketch.chain(table, name, Some(hook));
        let program = self.program;
        let passes_on = passes_on(&program[chain]);
        let inner = match passes_on {
            Some(target) => self.place(table, target),
            None => {
                let inner = self.sketch.chain(table, &format!("{} {}", table.name(), ours(of_router)), None);
                let rules = self.behind_hook(&program[chain]);
                self.rules(table, inner, &rules);
                inner
            }
        };
        let enters = |family: &Family| passes_on.is_none() || enters(&program[chain], *family);
        for family in Family::BOTH.into_iter().filter(enters) {
            let origin = Origin { what: format!("enter {of_router}").into(), span: None };
            self.sketch.push(entered, Step { line: Line::of(family), action: Action::Jump(inner), origin });
        }
    }

    /// The rules of a hook's chain as they stand in one of ours. What does not come from outside
    /// goes on to the owner's rules, for accepting it would take it from them.
    fn behind_hook(&mut self, chain: &Chain) -> Vec<Rule> {
        let mut rules = chain.rules.clone();
        if rules.last().is_some_and(|last| is_final_drop(last, self.program)) {
            if self.options.final_drop {
                self.note(Note::FinalDrop);
            } else {
                rules.pop();
                self.note(Note::NoFinalDrop);
            }
        }
        for rule in &mut rules {
            let inside = rule.when.contains(&outside(self.program).negated())
                && rule.when.iter().all(is_family_or_from);
            if inside && rule.then.is_empty() && rule.verdict == Some(Verdict::Accept) {
                rule.verdict = Some(Verdict::Return);
            }
        }
        rules
    }

    fn note(&mut self, note: Note) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Where a chain that is jumped to stands in the table.
    fn place(&mut self, table: Table, chain: ChainId) -> Place {
        if let Some(place) = self.places.get(&(table, chain)) {
            return *place;
        }
        let name = &*self.program[chain].name;
        let prefix = format!("{} ", table.name());
        let place = match name.starts_with(&prefix) {
            true => self.sketch.chain(table, name, None),
            false => self.sketch.chain(table, &format!("{prefix}{}", ours(name)), None),
        };
        self.places.insert((table, chain), place);
        let program = self.program;
        self.rules(table, place, &program[chain].rules);
        place
    }

    fn rules(&mut self, table: Table, place: Place, rules: &[Rule]) {
        let mut guard = Guard::open();
        let mut changed = BTreeSet::new();
        for (nth, rule) in rules.iter().enumerate() {
            let last = nth + 1 == rules.len();
            let returns = rule.verdict == Some(Verdict::Return);
            let rule = &if last && returns { Rule { verdict: None, ..rule.clone() } } else { rule.clone() };
            if !guard.is_open() {
                // A rule that is said in several cases must not take a packet from one to another.
                if guard.cases().len() > 1 && rule.verdict != Some(Verdict::Return) {
                    self.changes(rule, &mut changed);
                }
                if !guard.lists().is_disjoint(&changed) {
                    return self.refuse(TWO_LISTS, &rule.origin, None);
                }
            }
            match self.leaves(rule) {
                Leaves::No => self.rule(table, place, rule, &guard, last),
                // Whom the rules behind a return are not for, they may as well leave by another one.
                Leaves::AsOneLine if rule.then.is_empty() || guard.is_open() => {
                    self.rule(table, place, rule, &Guard::open(), last);
                }
                Leaves::OnLists(lists) => match guard.except(&lists) {
                    Some(less) => {
                        guard = less;
                        changed.clear();
                    }
                    None => return self.refuse(TOO_MANY_CASES, &rule.origin, Some(FEWER_DOORS)),
                },
                Leaves::AsOneLine | Leaves::Unsayable => self.refuse(RETURN, &rule.origin, None),
            }
            self.changes(rule, &mut changed);
        }
    }

    fn refuse(&mut self, what: &str, origin: &Origin, hint: Option<&str>) {
        self.refusals.add(what, origin, hint);
    }

    /// How a rule that returns from its chain can be said.
    fn leaves(&self, rule: &Rule) -> Leaves {
        if rule.verdict != Some(Verdict::Return) {
            return Leaves::No;
        }
        let splits: Option<Vec<Split>> = Family::BOTH
            .into_iter()
            .filter_map(|family| split(&rule.when, family).transpose())
            .collect::<Result<_, _>>()
            .ok();
        let Some(splits) = splits else { return Leaves::Unsayable };
        if splits.iter().all(|split| split.unless.is_empty()) {
            return Leaves::AsOneLine;
        }
        match rule.when.iter().all(|c| list_of(c).is_some()) && rule.then.is_empty() {
            true => Leaves::OnLists(rule.when.clone()),
            false => Leaves::Unsayable,
        }
    }

    /// The lists that a rule may change, in chains that it leads to as well.
    fn changes(&self, rule: &Rule, changed: &mut BTreeSet<ListId>) {
        changed.extend(rule.then.iter().filter_map(added));
        let targets = match &rule.verdict {
            Some(Verdict::Jump(target)) => vec![*target],
            Some(Verdict::Switch(switch)) => switch.targets(),
            _ => vec![],
        };
        for target in targets {
            self.program[target].rules.iter().for_each(|rule| self.changes(rule, changed));
        }
    }

    fn rule(&mut self, table: Table, place: Place, rule: &Rule, guard: &Guard, last: bool) {
        if rule.when.contains(&Condition::NoExtensionHeaders) {
            self.note(Note::ExtensionHeaders);
        }
        let cases = guard.cases().len();
        for (nth, case) in guard.cases().iter().enumerate() {
            let when: Vec<Condition> = rule.when.iter().chain(case).cloned().collect();
            let exclusive = matches!(rule.verdict, Some(Verdict::Switch(_)));
            let last = last && nth + 1 == cases;
            let mut body = None;
            for (family, steps) in self.actions(table, rule) {
                let (when, origin) = (&when, &rule.origin);
                self.say(place, family, Wanted { when, steps, exclusive, last, origin }, &mut body);
            }
        }
        if let (Some(Verdict::Switch(switch)), false) = (&rule.verdict, last) {
            self.leave_switch(place, rule, switch);
        }
    }

    /// What the rule does to packets of each family.
    fn actions(&mut self, table: Table, rule: &Rule) -> [(Family, Vec<(Line, Action)>); 2] {
        let mut targets = HashMap::new();
        let jumps = match &rule.verdict {
            Some(Verdict::Jump(target)) => vec![*target],
            Some(Verdict::Switch(switch)) => switch.targets(),
            _ => vec![],
        };
        for target in jumps {
            targets.insert(target, self.place(table, target));
        }
        let of = |family| {
            let effects = rule.then.iter().map(|effect| add(effect, family));
            let verdict = rule.verdict.iter().flat_map(|verdict| verdicts(verdict, family, &targets));
            (family, effects.chain(verdict).collect())
        };
        Family::BOTH.map(of)
    }

    /// After an arm, a packet leaves the switch's own chain.
    fn leave_switch(&mut self, place: Place, rule: &Rule, switch: &Switch) {
        if rule.when.iter().any(|c| list_of(c).is_some() || matches!(c, Condition::Opaque(_))) {
            return self.refuse(SWITCH, &rule.origin, None);
        }
        for family in Family::BOTH {
            let ways: Vec<Line> = match switch {
                Switch::Port(arms) => {
                    holds(&Condition::To(arms.keys().copied().collect()), family).unwrap_or_default()
                }
                Switch::Echo(arms) => arms
                    .keys()
                    .filter_map(|data| holds(&Condition::Echo(Some(*data)), family))
                    .flatten()
                    .collect(),
                // Refused before.
                Switch::TrackPort(..) | Switch::TrackEcho(..) => vec![],
            };
            let steps = ways.into_iter().map(|way| (way, Action::Verdict(Verdict::Return))).collect();
            let (when, origin) = (&rule.when, &rule.origin);
            let wanted = Wanted { when, steps, exclusive: true, last: false, origin };
            self.say(place, family, wanted, &mut None);
        }
    }

    /// Writes what is wanted: beside each other, if it can be said so, else in a chain of its own
    /// behind returns for the packets that it is not for. Both families share that `body`.
    fn say(&mut self, place: Place, family: Family, wanted: Wanted<'_>, body: &mut Option<Place>) {
        let Split { lines, unless } = match split(wanted.when, family) {
            Ok(Some(split)) if !wanted.steps.is_empty() => split,
            Ok(_) => return,
            Err(clash) => return self.refuse(clash, wanted.origin, None),
        };
        if lines.iter().any(Line::is_opaque) && (lines.len() > 1 || wanted.exclusive) {
            return self.refuse(COUNTED_TWICE, wanted.origin, None);
        }
        if unless.is_empty() && wanted.fits(&lines) {
            return self.write(place, &lines, wanted.steps, wanted.origin);
        }
        if wanted.last && wanted.steps.iter().all(|(_, action)| !is_return(action)) {
            let (lines, lists) = without_lists(&lines);
            let unless = unless.iter().cloned().chain(lists).collect();
            if wanted.fits(&lines) {
                self.write_returns(place, unless, wanted.origin);
                return self.write(place, &lines, wanted.steps, wanted.origin);
            }
        }
        if wanted.steps.iter().any(|(_, action)| is_return(action)) {
            return self.refuse(RETURN, wanted.origin, None);
        }
        let body = *body.get_or_insert_with(|| self.sketch.body(place));
        self.write(place, &lines, vec![(Line::of(family), Action::Jump(body))], wanted.origin);
        self.write_returns(body, unless, wanted.origin);
        self.write(body, &[Line::of(family)], wanted.steps, wanted.origin);
    }

    fn write_returns(&mut self, place: Place, unless: Vec<Line>, origin: &Origin) {
        for line in unless {
            let action = Action::Verdict(Verdict::Return);
            self.sketch.push(place, Step { line, action, origin: origin.clone() });
        }
    }

    fn write(&mut self, place: Place, lines: &[Line], steps: Vec<(Line, Action)>, origin: &Origin) {
        for (when, action) in steps {
            for line in lines {
                if let Both::Line(line) = line.and(&when) {
                    self.sketch.push(place, Step { line, action: action.clone(), origin: origin.clone() });
                }
            }
        }
    }
}

/// How a rule leaves its chain.
enum Leaves {
    /// Not by returning.
    No,
    /// A single rule says it.
    AsOneLine,
    /// When all of these hold, which is more than a rule can ask.
    OnLists(Vec<Condition>),
    Unsayable,
}

const RETURN: &str = "a return under more conditions than one rule can have";
const SWITCH: &str = "a switch on ports under a list, with rules behind it";
const TWO_LISTS: &str = "a rule behind a return on two lists, which others before it change";
const TOO_MANY_CASES: &str = "a knock at so many doors with a cooldown";
const FEWER_DOORS: &str = "let fewer doors with `wrong = \"cooldown ..\"` share a knock, or write `ignore`";
const COUNTED_TWICE: &str = "a condition that counts packets, in several rules";

impl Wanted<'_> {
    /// Whether each of the lines can do all steps by itself: none changes what the next one is
    /// asked, and nothing is asked twice that counts.
    fn fits(&self, lines: &[Line]) -> bool {
        let changes: Vec<ListId> = match self.steps.split_last() {
            Some((_, but_last)) if !self.exclusive => {
                but_last.iter().filter_map(|(_, action)| changed(action)).collect()
            }
            _ => vec![],
        };
        let counts_once = |line: &Line| !line.is_opaque() || self.steps.len() == 1;
        lines.iter().all(|line| {
            let says = |when: &Line| !matches!(line.and(when), Both::Clash);
            counts_once(line) && !line.asks_for(&changes) && self.steps.iter().all(|(when, _)| says(when))
        })
    }
}

fn outside(program: &Program) -> Condition {
    Condition::From(program.outside().to_vec())
}

fn is_family_or_from(condition: &Condition) -> bool {
    match condition {
        Condition::Not(inner) => is_family_or_from(inner),
        condition => matches!(condition, Condition::Family(_) | Condition::From(_)),
    }
}

/// Whether it takes away all that comes from outside.
fn is_final_drop(rule: &Rule, program: &Program) -> bool {
    let wide =
        |condition: &Condition| matches!(condition, Condition::Family(_)) || *condition == outside(program);
    rule.verdict == Some(Verdict::Drop) && rule.then.is_empty() && rule.when.iter().all(wide)
}

fn enters(chain: &Chain, family: Family) -> bool {
    let other = |condition: &Condition| matches!(condition, Condition::Family(wanted) if *wanted != family);
    chain.rules.iter().any(|rule| !rule.when.iter().any(other))
}
