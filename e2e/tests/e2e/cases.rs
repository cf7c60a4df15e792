//! The folders of `cases/`: a policy, and a trace whose comments say what becomes of each packet.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use knockgate::lab::{Played, replay};
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::program::Program;
use knockgate_compiler::sim::Simulator;
use knockgate_compiler::sim::trace::{self, Event};
use knockgate_e2e::trial::{Shot, Verdict, Wait, play};

use crate::able;

/// Replays of a case that the machine was too slow for.
const ATTEMPTS: usize = 5;
/// How many milliseconds late a packet may be that is replayed: nothing in a case is nearer to an
/// expiry.
const LATE: u64 = 40;

struct Case {
    name: String,
    program: Program,
    trace: String,
    events: Vec<Event>,
}

impl Case {
    fn read(folder: &Path) -> Self {
        let name = folder.file_name().expect("a folder has a name").display().to_string();
        let read =
            |file| fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (policy, findings) = frontend::toml::parse(&read("policy.toml"));
        let program = lower(&policy.unwrap_or_else(|| panic!("{name}: {findings:#?}")));
        let trace = read("trace");
        let (events, findings) = trace::parse(&trace, &program.outside()[0]);
        assert!(findings.is_empty() && !events.is_empty(), "{name}: {findings:#?}");
        Self { name, program, trace, events }
    }

    /// What the comment behind a packet says.
    fn expected(&self, event: &Event) -> &str {
        let line = self.trace[event.span.start..].lines().next().unwrap_or_default();
        line.split_once('#').unwrap_or_else(|| panic!("{}: `{line}` expects nothing", self.name)).1.trim()
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = fs::read_dir(folder).expect("the folder of cases");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders.iter().map(|folder| Case::read(folder)).collect()
}

#[test]
fn the_simulator_says_of_every_case_what_it_expects() {
    for case in cases() {
        let mut simulator = Simulator::new(&case.program);
        for event in &case.events {
            let decision = simulator.play(event.at, &event.packet);
            let expected = case.expected(event);
            assert_eq!(decision.fate.as_str(), expected, "{}: {} {}", case.name, event.at, event.text);
        }
    }
}

#[test]
fn the_kernel_does_in_every_case_what_the_simulator_says() {
    if !able() {
        return;
    }
    let cases = cases();
    // Most of their time is waiting, so all of them are played at once.
    thread::scope(|scope| {
        for case in &cases {
            scope.spawn(move || play_case(case));
        }
    });
}

fn play_case(case: &Case) {
    let shot = |event: &Event| Shot { wait: Wait::Until(event.at.as_millis()), packet: event.packet.clone() };
    let shots: Vec<Shot> = case.events.iter().map(shot).collect();
    for _ in 0..ATTEMPTS {
        match play(&case.program, &shots).unwrap_or_else(|error| panic!("{}: {error:?}", case.name)) {
            Verdict::Agreed(_) => return,
            Verdict::Disagreed(found) => panic!("{}: {found}", case.name),
            Verdict::Inconclusive => {}
        }
    }
    panic!("{}: the machine is too slow for it", case.name);
}

#[test]
fn every_case_replayed_as_a_trace_is_what_it_expects() {
    if !able() {
        return;
    }
    let cases = cases();
    thread::scope(|scope| {
        for case in &cases {
            scope.spawn(move || replay_case(case));
        }
    });
}

fn replay_case(case: &Case) {
    let late = |(played, event): (&Played, &Event)| played.at.as_millis() > event.at.as_millis() + LATE;
    for _ in 0..ATTEMPTS {
        let played =
            replay(&case.program, &case.events).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        if played.iter().zip(&case.events).any(late) {
            continue;
        }
        for (played, event) in played.iter().zip(&case.events) {
            let expected = case.expected(event);
            assert_eq!(played.fate.as_str(), expected, "{}: {} {}", case.name, event.at, event.text);
        }
        return;
    }
    panic!("{}: the machine is too slow for it", case.name);
}
