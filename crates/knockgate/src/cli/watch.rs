//! `knockgate watch`.

mod feed;
mod happening;
mod keys;
mod look;
mod model;
mod plain;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use knockgate_compiler::time::{Lifetime, LifetimeError};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::output::{Answer, Output};
use feed::Feed;
use screen::Screen;
use view::Paint;

/// How long a key, an event or a signal may have to wait.
const TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub struct Options {
    /// Print a line for each thing that happens, also on a terminal
    ///
    /// With `--format json`, each is a JSON value.
    #[arg(long)]
    plain: bool,
    /// How often lists and counters are looked at, at least 100ms
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Lifetime,
}

fn interval(text: &str) -> Result<Lifetime, String> {
    let lifetime: Lifetime = text.parse().map_err(|error: LifetimeError| error.to_string())?;
    if lifetime.as_duration() < TICK { Err("at least 100ms".to_owned()) } else { Ok(lifetime) }
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let stop = Stop::new().context("minding signals")?;
    let (feed, model) = Feed::open()?;
    let interval = options.interval.as_duration();
    if options.plain || output.is_json() || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        plain::run(feed, model, output.is_json(), interval, &stop)?;
    } else {
        let paint = Paint::new(output.is_coloured());
        Screen::new(feed, model, paint, interval).run(&stop)?;
    }
    Ok(Answer::Fine)
}

/// Whether somebody asked us to end, from outside the terminal.
#[derive(Debug)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn new() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self(asked))
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
