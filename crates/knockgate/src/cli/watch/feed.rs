//! What the machine tells: by events, and by being looked at.

use std::time::{Duration, Instant, SystemTime};

use knockgate::target::nft::TargetError;
use knockgate::target::nft::events::Events;

use super::happening::Happening;
use super::look::Lookout;
use super::model::{Model, Source};

/// How soon events are tried for again.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Feed {
    lookout: Lookout,
    events: Option<Events>,
    /// When they were tried for last.
    tried: Instant,
}

impl Feed {
    /// With what is to be seen at first.
    pub fn open() -> anyhow::Result<(Self, Model)> {
        let lookout = Lookout::new()?;
        let (events, source) = listen(&lookout);
        let model = Model::new(lookout.look(None)?, source);
        Ok((Self { lookout, events, tried: Instant::now() }, model))
    }

    /// What happens within `timeout`, or has happened; nothing where events cannot be had.
    pub fn events(&mut self, model: &mut Model, timeout: Duration) -> Vec<Happening> {
        let Some(events) = &mut self.events else {
            std::thread::sleep(timeout);
            return vec![];
        };
        match events.next(timeout) {
            Ok(told) => {
                model.source = Source::Live { missed: events.missed() };
                told.into_iter().map(Happening::from).collect()
            }
            Err(error) => {
                self.events = None;
                model.source = paging(&error);
                vec![]
            }
        }
    }

    /// Looks at the machine. Returns what the model was told of, events and others.
    pub fn look(&mut self, model: &mut Model) -> anyhow::Result<Vec<Happening>> {
        if self.lookout.turn()?
            && let (Some(events), Some(program)) = (&mut self.events, self.lookout.program())
        {
            events.follow(program);
        }
        if self.events.is_none() && self.tried.elapsed() >= AGAIN {
            (self.events, model.source) = listen(&self.lookout);
            self.tried = Instant::now();
        }
        let snapshot = self.lookout.look(model.wanted())?;
        // An event is told before its effect can be seen.
        let mut told = self.events(model, Duration::ZERO);
        model.hear(told.clone());
        told.extend(model.see(snapshot, SystemTime::now()));
        Ok(told)
    }
}

/// Events, if they can be had.
fn listen(lookout: &Lookout) -> (Option<Events>, Source) {
    let Some(program) = lookout.program() else {
        return (None, Source::Paging("no policy is in force".to_owned()));
    };
    match Events::open(program) {
        Ok(events) => (Some(events), Source::Live { missed: 0 }),
        Err(error) => (None, paging(&error)),
    }
}

fn paging(error: &TargetError) -> Source {
    Source::Paging(format!("events are seen by looking alone: {error}"))
}
