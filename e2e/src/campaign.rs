//! Many random cases, each of them repeatable.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, thread};

use knockgate::lab::LabError;
use knockgate_compiler::backend::nft;
use knockgate_compiler::program::Program;

use crate::trial::{Coverage, Disagreement, Shot, Verdict, play};

/// What is needed that is not there; `None` when a campaign can run.
pub fn lacking() -> Option<String> {
    let root = rustix::process::geteuid().is_root();
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = |tool: &str| env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let lacking = [
        ("root", root),
        ("nft", installed("nft")),
        ("ip", installed("ip")),
        ("/dev/net/tun", std::fs::exists("/dev/net/tun").unwrap_or(false)),
    ];
    let names: Vec<&str> = lacking.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// How often a case is played again because the machine was too slow.
const RETRIES: usize = 8;
/// How often a case is played again to find a shorter trace.
const SHORTENINGS: usize = 60;

/// Disagreements after which a campaign ends.
const ENOUGH: usize = 4;

/// What a campaign has found.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases played to their end.
    pub cases: u64,
    /// What they covered.
    pub coverage: Coverage,
    /// What disagrees, for people.
    pub disagreements: Vec<String>,
    /// Disagreements that were gone the next time, for people.
    pub unrepeated: Vec<String>,
    /// Seeds of cases that the machine was too slow for.
    pub inconclusive: Vec<u64>,
    /// What went wrong with the machine.
    pub troubles: Vec<String>,
}

/// Plays `cases` cases from `first` on. `KNOCKGATE_SEED` replays a single one, `KNOCKGATE_CASES`
/// says how many, `KNOCKGATE_JOBS` how many at a time.
pub fn run(first: u64, cases: u64, case: fn(u64) -> (Program, Vec<Shot>)) -> Report {
    let number =
        |key: &str| env::var(key).ok().map(|text| text.parse::<u64>().expect("a number in the environment"));
    let (first, cases) = match number("KNOCKGATE_SEED") {
        Some(seed) => (seed, number("KNOCKGATE_CASES").unwrap_or(1)),
        None => (first, number("KNOCKGATE_CASES").unwrap_or(cases)),
    };
    let jobs = number("KNOCKGATE_JOBS").unwrap_or(12);
    let next = AtomicU64::new(first);
    let report = Mutex::new(Report::default());
    let report = || report.lock().expect("no thread panics with it");
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while report().disagreements.len() < ENOUGH {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + cases {
                        break;
                    }
                    let (program, trace) = case(seed);
                    match conclude(&program, &trace, |once| {
                        report().unrepeated.push(format!("seed {seed}, {once}"));
                    }) {
                        Ok(Verdict::Agreed(coverage)) => {
                            let mut report = report();
                            report.cases += 1;
                            report.coverage += coverage;
                        }
                        Ok(Verdict::Inconclusive) => report().inconclusive.push(seed),
                        Ok(Verdict::Disagreed(found)) => {
                            eprintln!("seed {seed}: shortening the trace of a disagreement {found}");
                            let told = tell(seed, &program, trace, found);
                            report().disagreements.push(told);
                        }
                        Err(trouble) => report().troubles.push(format!("seed {seed}: {trouble}")),
                    }
                }
            });
        }
    });
    std::mem::take(&mut report())
}

/// What both say, for sure if the machine lets us. A disagreement must repeat itself: one that does
/// not is told as `unrepeated`.
fn conclude(
    program: &Program,
    trace: &[Shot],
    unrepeated: impl Fn(Disagreement),
) -> Result<Verdict, LabError> {
    let mut suspected = None;
    for _ in 0..RETRIES {
        match (play(program, trace)?, suspected.take()) {
            (Verdict::Inconclusive, before) => suspected = before,
            (Verdict::Disagreed(found), None) => suspected = Some(found),
            (Verdict::Disagreed(found), Some(_)) => return Ok(Verdict::Disagreed(found)),
            (agreed, before) => {
                before.into_iter().for_each(unrepeated);
                return Ok(agreed);
            }
        }
    }
    Ok(Verdict::Inconclusive)
}

/// The disagreement with the shortest trace that was found.
fn tell(seed: u64, program: &Program, trace: Vec<Shot>, found: Disagreement) -> String {
    let (trace, found) = shorten(program, trace, found);
    let mut told = format!("seed {seed}, {found}\ntrace:\n");
    for shot in &trace {
        told += &format!("  {:?} {:?}\n", shot.wait, shot.packet);
    }
    told + &nft::print(program).map_or(String::new(), |ruleset| ruleset.text)
}

fn shorten(program: &Program, mut trace: Vec<Shot>, mut found: Disagreement) -> (Vec<Shot>, Disagreement) {
    trace.truncate(found.at + 1);
    let mut budget = SHORTENINGS;
    let mut len = trace.len().div_ceil(2);
    while len > 0 {
        let mut start = 0;
        while start < trace.len() && budget > 0 {
            budget -= 1;
            let mut shorter = trace.clone();
            shorter.drain(start..(start + len).min(trace.len()));
            match conclude(program, &shorter, drop) {
                Ok(Verdict::Disagreed(still)) => (trace, found) = (shorter, still),
                _ => start += len,
            }
        }
        len /= 2;
    }
    (trace, found)
}
