//! A line for each thing that happens, for pipes and files.

use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::feed::Feed;
use super::happening::Happening;
use super::model::{Model, Source};
use super::{Stop, TICK};

/// Prints what happens until nobody reads it any more.
pub fn run(
    mut feed: Feed,
    mut model: Model,
    json: bool,
    interval: Duration,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut told = greeting(&model);
    let mut next = Instant::now() + interval;
    let (mut missed, mut failed) = (0, None);
    while !stop.is_asked() && is_read()? {
        for happening in told.drain(..) {
            if !print(&happening, json)? {
                return Ok(());
            }
        }
        let wait = next.saturating_duration_since(Instant::now()).min(TICK);
        told = feed.events(&mut model, wait);
        model.hear(told.clone());
        if Instant::now() >= next {
            told.extend(look(&mut feed, &mut model, &mut failed));
            told.extend(more_missed(&model, &mut missed));
            next = Instant::now() + interval;
        }
    }
    Ok(())
}

/// What is in force, and how what happens is seen.
fn greeting(model: &Model) -> Vec<Happening> {
    let at = SystemTime::now();
    let how = match &model.source {
        Source::Live { .. } => "each knock is told".to_owned(),
        Source::Paging(why) => why.clone(),
    };
    vec![Happening::note(at, format!("{} is in force; {how}", model.snapshot.name))]
}

/// What a look tells. That it failed is told once, for somebody may be putting another policy in force.
fn look(feed: &mut Feed, model: &mut Model, failed: &mut Option<String>) -> Vec<Happening> {
    let error = match feed.look(model) {
        Ok(told) => {
            *failed = None;
            return told;
        }
        Err(error) => Some(format!("{error:#}")),
    };
    if *failed == error {
        return vec![];
    }
    failed.clone_from(&error);
    error.map(|error| Happening::note(SystemTime::now(), error)).into_iter().collect()
}

/// That events were missed since this was told last.
fn more_missed(model: &Model, told: &mut u64) -> Option<Happening> {
    let Source::Live { missed } = model.source else { return None };
    let more = missed.checked_sub(std::mem::replace(told, missed)).filter(|more| *more > 0)?;
    Some(Happening::note(SystemTime::now(), format!("{more} events came too fast and were missed")))
}

/// Says whether somebody reads it.
fn print(happening: &Happening, json: bool) -> io::Result<bool> {
    let line = if json { happening.json().to_string() } else { happening.line() };
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether standard output is a pipe that somebody reads, or no pipe.
fn is_read() -> io::Result<bool> {
    let stdout = io::stdout();
    let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
    match poll(&mut ends, Some(&Timespec::default())) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!ends[0].revents().contains(PollFlags::ERR)),
        Err(error) => Err(error.into()),
    }
}
