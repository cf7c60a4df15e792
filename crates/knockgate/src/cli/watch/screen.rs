//! The view in a terminal, from the first key to the last.

use std::io;
use std::process;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

use super::feed::Feed;
use super::happening::Happening;
use super::keys::{Action, Status, Ui, Wish};
use super::model::Model;
use super::view::{Now, Paint, draw};
use super::{Stop, TICK};

/// How often what is left is counted down.
const REDRAW: Duration = Duration::from_millis(500);
/// Happenings that are kept while the view is paused.
const HELD: usize = 1000;

#[derive(Debug)]
pub struct Screen {
    feed: Feed,
    ui: Ui,
    /// The first line of the list that is in view.
    top: usize,
    paint: Paint,
    interval: Duration,
    /// When the machine is looked at next.
    due: Instant,
    /// What happened while the view is paused, and when it was.
    held: Vec<Happening>,
    paused: Option<Now>,
}

impl Screen {
    pub fn new(feed: Feed, model: Model, paint: Paint, interval: Duration) -> Self {
        Self {
            feed,
            ui: Ui::new(model),
            top: 0,
            paint,
            interval,
            due: Instant::now() + interval,
            held: vec![],
            paused: None,
        }
    }

    /// Until somebody quits or asks us to end. The terminal is as before then, also after a panic.
    pub fn run(mut self, stop: &Stop) -> anyhow::Result<()> {
        end_with_the_terminal();
        let mut terminal = ratatui::try_init().context("taking the terminal")?;
        let watched = self.watch(&mut terminal, stop);
        ratatui::restore();
        watched
    }

    fn watch(&mut self, terminal: &mut DefaultTerminal, stop: &Stop) -> anyhow::Result<()> {
        while !stop.is_asked() {
            let now = self.paused.unwrap_or_else(now);
            terminal.draw(|frame| draw(frame, &self.ui, &mut self.top, self.paint, now))?;
            let drawn = Instant::now();
            let mut news = false;
            while !news && drawn.elapsed() < REDRAW && !stop.is_asked() {
                if event::poll(TICK)? {
                    if !self.keys(terminal)? {
                        return Ok(());
                    }
                    news = true;
                }
                news |= self.listen() | self.look();
            }
        }
        Ok(())
    }

    /// Takes the keys that were pressed. `false` if one of them quits.
    fn keys(&mut self, terminal: &mut DefaultTerminal) -> anyhow::Result<bool> {
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match self.ui.press(key, Instant::now()) {
                Wish::Quit => return Ok(false),
                Wish::Suspend => suspend(terminal)?,
                Wish::Act(action) => self.act(&action),
                Wish::Look => self.due = Instant::now(),
                Wish::Nothing => {}
            }
            self.pause();
        }
        Ok(true)
    }

    fn act(&mut self, action: &Action) {
        self.ui.told(action.carry_out());
        self.due = Instant::now();
    }

    /// Stops the clock, or lets it go on.
    fn pause(&mut self) {
        match (self.ui.paused, self.paused) {
            (true, None) => self.paused = Some(now()),
            (false, Some(_)) => {
                self.paused = None;
                self.ui.model.hear(std::mem::take(&mut self.held));
            }
            _ => {}
        }
    }

    /// Whether something has happened that is to be shown.
    fn listen(&mut self) -> bool {
        let told = self.feed.events(&mut self.ui.model, Duration::ZERO);
        let news = !told.is_empty();
        if self.ui.paused {
            self.held.extend(told);
            let surplus = self.held.len().saturating_sub(HELD);
            self.held.drain(..surplus);
            return false;
        }
        self.ui.model.hear(told);
        news
    }

    /// Looks at the machine, if it is time. Of a machine that cannot be looked at, the last look stays.
    fn look(&mut self) -> bool {
        if self.ui.paused || Instant::now() < self.due {
            return false;
        }
        let looked = self.feed.look(&mut self.ui.model);
        if let Err(error) = looked {
            self.ui.status = Status::Failed(format!("{error:#}"));
        }
        self.due = Instant::now() + self.interval;
        true
    }
}

/// Ends the program when its terminal is gone: whoever asks crossterm for a key of one that is gets no answer,
/// and it reads on and on.
fn end_with_the_terminal() {
    thread::spawn(|| {
        let stdout = io::stdout();
        let mut terminal = [PollFd::new(&stdout, PollFlags::empty())];
        while poll(&mut terminal, None) == Err(Errno::INTR) {}
        process::exit(1)
    });
}

fn now() -> Now {
    Now { at: Instant::now(), clock: SystemTime::now() }
}

/// Leaves the terminal to the shell until that lets us go on.
fn suspend(terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
    ratatui::restore();
    kill_process(getpid(), Signal::TSTP)?;
    *terminal = ratatui::try_init().context("taking the terminal again")?;
    Ok(())
}
