//! Packets played for one question after another.

use std::fmt::Write;
use std::net::IpAddr;

use super::Claim;
use crate::net::Packet;
use crate::program::Program;
use crate::sim::trace::{self, Event};
use crate::sim::{Change, Decision, Fate, Simulator};
use crate::time::{Lifetime, Moment};

/// Plays one trace after another, each from the beginning.
#[derive(Debug)]
pub(super) struct Player<'p> {
    program: &'p Program,
    simulator: Simulator<'p>,
}

impl<'p> Player<'p> {
    pub fn new(program: &'p Program) -> Self {
        Self { program, simulator: Simulator::new(program) }
    }

    /// What becomes of each packet.
    pub fn play(&mut self, tape: &Tape) -> Vec<Decision<'p>> {
        self.simulator.restart(&[], &[], Moment::default());
        let events = tape.events(self.program);
        events.iter().map(|event| self.simulator.play(event.at, &event.packet)).collect()
    }

    /// Whether the last packet is let in.
    pub fn ends_well(&mut self, tape: &Tape) -> bool {
        self.play(tape).last().is_some_and(|decision| decision.fate == Fate::Accept)
    }

    /// When what the packets changed is over, each moment once.
    pub fn expiries(&mut self, tape: &Tape) -> Vec<Moment> {
        let changes = self.play(tape).into_iter().flat_map(|decision| decision.changes);
        let mut moments: Vec<Moment> = changes.filter_map(|change| until(&change)).collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}

/// Until when a change lasts.
pub(super) fn until(change: &Change) -> Option<Moment> {
    match change {
        Change::Added(_, until) | Change::DestinationAdded(_, until) | Change::Moved(_, _, until) => {
            Some(*until)
        }
        _ => None,
    }
}

/// A trace that is being written.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    source: IpAddr,
    now: Moment,
    text: String,
}

impl Tape {
    /// Without a packet; all of them will come from `source`.
    pub fn of(source: IpAddr) -> Self {
        Self { source, now: Moment::default(), text: String::new() }
    }

    /// The same with another packet, in the words of a trace.
    #[must_use]
    pub fn then(mut self, words: &str) -> Self {
        writeln!(self.text, "{} {} {words}", self.now, self.source)
            .expect("a string takes all that memory holds");
        self
    }

    /// The same with all of these.
    #[must_use]
    pub fn all<'a>(self, packets: impl IntoIterator<Item = &'a String>) -> Self {
        packets.into_iter().fold(self, |tape, words| tape.then(words))
    }

    /// The same some time later.
    #[must_use]
    pub fn wait(mut self, time: Option<Lifetime>) -> Self {
        self.now = time.map_or(self.now, |time| self.now.after(time));
        self
    }

    /// The same at `moment`, if that is not over.
    #[must_use]
    pub fn until(mut self, moment: Moment) -> Self {
        self.now = self.now.max(moment);
        self
    }

    /// How late it is.
    pub fn now(&self) -> Moment {
        self.now
    }

    fn events(&self, program: &Program) -> Vec<Event> {
        let (events, findings) = trace::parse(&self.text, &program.outside()[0]);
        debug_assert!(findings.is_empty(), "{findings:?} in {}", self.text);
        events
    }

    /// Its first packet.
    pub fn first_packet(&self, program: &Program) -> Option<Packet> {
        self.events(program).into_iter().next().map(|event| event.packet)
    }

    /// That the last packet ends so.
    pub fn claim(self, says: impl Into<String>, fate: Fate) -> Claim {
        Claim { says: says.into(), trace: self.text, fate }
    }
}

/// What the owner of a door sends.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub source: IpAddr,
    /// The knocks, each with the time before it.
    pub knocks: Vec<(Option<Lifetime>, String)>,
    /// The first packet of a connection.
    pub connection: String,
}

impl Owner {
    /// Who sends the packets of a way in; `None` if it has none.
    pub fn of(way_in: &Claim, program: &Program) -> Option<Self> {
        let (events, _) = trace::parse(&way_in.trace, &program.outside()[0]);
        let (last, knocks) = events.split_last()?;
        let mut before = Moment::default();
        let mut timed = vec![];
        for event in knocks {
            timed
                .push((Lifetime::from_millis(event.at.as_millis() - before.as_millis()), event.text.clone()));
            before = event.at;
        }
        Some(Self { source: last.packet.source, knocks: timed, connection: last.text.clone() })
    }

    /// `tape` with some of the knocks.
    pub fn knock(&self, tape: Tape, which: std::ops::Range<usize>) -> Tape {
        self.knocks[which].iter().fold(tape, |tape, (wait, words)| tape.wait(*wait).then(words))
    }

    /// All knocks, and nothing else yet.
    pub fn knocked(&self) -> Tape {
        self.knock(Tape::of(self.source), 0..self.knocks.len())
    }

    /// `tape` with all knocks and the connection.
    pub fn enter(&self, tape: Tape) -> Tape {
        self.knock(tape, 0..self.knocks.len()).then(&self.connection)
    }

    /// A later packet of the connection.
    pub fn connected(&self) -> String {
        let is_tcp = self.connection.split(' ').next().is_some_and(|knock| knock.ends_with("/tcp"));
        if is_tcp { format!("{} ack", self.connection) } else { self.connection.clone() }
    }
}
