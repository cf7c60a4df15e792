//! Knocks that are tried on the rules.

use std::fmt::Write;
use std::net::IpAddr;

use knockgate_compiler::diag::{Diagnostic, Source, has_errors};
use knockgate_compiler::net::Family;
use knockgate_compiler::program::{Hook, Program};
use knockgate_compiler::sim::trace::{Event, parse};
use knockgate_compiler::sim::{Change, Decider, Decision, Simulator};
use knockgate_compiler::time::Moment;

use super::live::Member;

/// Lines of a trace, which are played from the first on each time: that is quick, and keeps no
/// simulator beside the rules that it plays.
#[derive(Debug, Default)]
pub(super) struct Played {
    trace: String,
}

/// Bytes of knocks that are kept.
const MAX_TRACE: usize = 1 << 20;

/// What becomes of knocks.
pub(super) struct Outcome {
    /// Told for people.
    pub(super) text: String,
    /// What is wrong with the lines themselves, in the whole trace.
    pub(super) findings: Vec<Diagnostic>,
    pub(super) trace: String,
}

impl Played {
    /// Forgets all. Whether there was anything.
    pub(super) fn forget(&mut self) -> bool {
        !std::mem::take(&mut self.trace).is_empty()
    }

    /// When the last packet came.
    pub(super) fn last(&self, program: &Program) -> Option<Moment> {
        events(&self.trace, program).0.last().map(|event| event.at)
    }

    /// Plays more lines, and keeps them if nothing is wrong with them.
    pub(super) fn play(&mut self, program: &Program, lines: &str) -> Outcome {
        let start = self.trace.len();
        let trace = format!("{}{lines}", self.trace);
        let (events, findings) = events(&trace, program);
        if has_errors(&findings) || trace.len() > MAX_TRACE {
            return Outcome { text: String::new(), findings, trace };
        }
        let mut simulator = Simulator::new(program);
        let mut text = String::new();
        for event in &events {
            let decision = simulator.play(event.at, &event.packet);
            if event.span.start >= start {
                tell(&mut text, program, event, &decision);
            }
        }
        if let Some(last) = events.last() {
            standing(&mut text, program, &simulator, last.packet.source, last.at);
        }
        self.trace.clone_from(&trace);
        Outcome { text, findings, trace }
    }

    /// Who the simulator has on lists after the last packet, and when that was.
    pub(super) fn members(&self, program: &Program, v6: bool) -> Option<(Moment, Vec<Member>)> {
        let (events, _) = events(&self.trace, program);
        let now = events.last()?.at;
        let mut simulator = Simulator::new(program);
        events.iter().for_each(|event| drop(simulator.play(event.at, &event.packet)));
        let family = if v6 { Family::V6 } else { Family::V4 };
        let mut found = vec![];
        for (id, list) in program.lists_with_ids() {
            let mut entries = simulator.members(id, now);
            entries.retain(|entry| Family::of(entry.source) == family);
            entries.sort_unstable();
            found.extend(entries.into_iter().map(|entry| Member {
                list: list.name.to_string(),
                address: entry.source.to_string(),
                left_s: left(entry.until, now),
            }));
        }
        Some((now, found))
    }
}

fn events(trace: &str, program: &Program) -> (Vec<Event>, Vec<Diagnostic>) {
    parse(trace, &program.outside()[0])
}

/// Whole seconds, as nft counts them.
fn left(until: Moment, now: Moment) -> u64 {
    until.as_millis().saturating_sub(now.as_millis()) / 1000
}

fn tell(text: &mut String, program: &Program, event: &Event, decision: &Decision<'_>) {
    let who = match &decision.decider {
        Decider::Rule { origin, .. } => origin.what.to_string(),
        Decider::End(Hook::Raw | Hook::Prerouting) => "no rule before routing".to_owned(),
        Decider::End(Hook::Input) => "no rule of input: accepted by default".to_owned(),
        Decider::End(Hook::Forward) => "no rule of forward: accepted by default".to_owned(),
        Decider::Reassembly => "waits for its other fragments".to_owned(),
        Decider::Routing => "not passed on by any router".to_owned(),
    };
    let fate = decision.fate.as_str();
    put(text, format_args!("{:>6}  {:<14} {fate:<7} {who}\n", event.at.to_string(), event.text));
    for (change, cause) in decision.changes.iter().zip(&decision.causes) {
        let what = match change {
            Change::Added(list, until) | Change::DestinationAdded(list, until) => {
                format!("+ {} until {until}", program[*list].name)
            }
            Change::Removed(list) => format!("- {}", program[*list].name),
            Change::Full(list) => format!("! {} is full", program[*list].name),
            Change::Redirected(target) => format!("to {target}"),
            // Scripts have no tracks.
            Change::Moved(..) | Change::Forgotten(_) | Change::TrackFull(_) => continue,
        };
        put(text, format_args!("        \x1b[36m{what:<22}\x1b[0m {}\n", cause.what));
    }
}

/// The lists that the source is on in the end.
fn standing(text: &mut String, program: &Program, simulator: &Simulator<'_>, source: IpAddr, now: Moment) {
    let mut on = vec![];
    for (id, list) in program.lists_with_ids() {
        let entry = simulator.members(id, now).into_iter().find(|entry| entry.source == source);
        on.extend(entry.map(|entry| {
            let left = knockgate_compiler::frontend::rsc::table::time_left(left(entry.until, now));
            format!("{} for {left}", list.name)
        }));
    }
    let on = if on.is_empty() { "no list".to_owned() } else { on.join(", ") };
    put(text, format_args!("\x1b[1m{source} is on {on}\x1b[0m\n"));
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes all that memory holds");
}

impl Outcome {
    pub(super) fn source(&self) -> Source<'_> {
        Source::new("<knocks>", &self.trace)
    }
}
