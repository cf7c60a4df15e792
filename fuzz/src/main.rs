//! `make fuzz`: every parser for a while, all at a time. `fuzz NAME...` plays only these.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};
use std::{env, io, thread};

use knockgate_fuzz::campaign::{self, Bounds, Report};
use knockgate_fuzz::targets::{TARGETS, Target, named};

/// How long a campaign lasts that nobody said more about.
const SECONDS: u64 = 300;

fn main() -> ExitCode {
    let targets: Option<Vec<Target>> = match env::args().len() {
        1 => Some(TARGETS.to_vec()),
        _ => env::args().skip(1).map(|name| named(&name)).collect(),
    };
    let Some(targets) = targets else {
        eprintln!("usage: fuzz [{}]...", TARGETS.map(|target| target.name).join("|"));
        return ExitCode::from(2);
    };
    let bounds = bounds();
    println!("from seed {} on", bounds.first);
    let sound = thread::scope(|scope| {
        let play = |target| scope.spawn(move || tell(target, campaign::run(target, bounds)));
        let threads: Vec<_> = targets.iter().map(play).collect();
        // Each has something to tell, also after one that was not sound.
        let sound: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap_or(false)).collect();
        !sound.contains(&false)
    });
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Other cases each time, for as long as `KNOCKGATE_FUZZ_SECONDS` says; or those that are asked for.
fn bounds() -> Bounds {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut bounds = Bounds::from_environment(since.as_secs() << 20, u64::MAX);
    if bounds.cases == u64::MAX {
        let seconds = campaign::number("KNOCKGATE_FUZZ_SECONDS").unwrap_or(SECONDS);
        bounds.until = Some(Instant::now() + Duration::from_secs(seconds));
    }
    bounds
}

/// Says what was found, in one piece; `true` if nothing was.
fn tell(target: &Target, report: io::Result<Report>) -> bool {
    let name = target.name;
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{name}: {error}");
            return false;
        }
    };
    let mut told = format!("{name}: {} cases, {} crashed\n", report.cases, report.crashed);
    for crash in &report.crashes {
        told += &match crash.save(name) {
            Ok(path) => format!("{name}, {crash}\n  which is in {}\n", path.display()),
            Err(error) => format!("{name}, {crash}\n  which cannot be written to a file: {error}\n"),
        };
    }
    print!("{told}");
    report.crashes.is_empty()
}
