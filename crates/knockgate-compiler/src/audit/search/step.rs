//! What one packet does to what is remembered, as the simulator says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::class::{Class, ClassId};
use crate::net::Destination;
use crate::program::{ListId, Origin, Position, Program};
use crate::sim::reach::Cell;
use crate::sim::{Change, Entry, Fate, Simulator};
use crate::time::{Lifetime, Moment};

/// A cell, by its place in [`Cells`].
pub(super) type CellId = u32;

/// What is remembered, in the order of the cells: where on a track, or that it is on a list.
pub(super) type Held = Vec<(CellId, Option<Position>)>;

/// The cells of a program that some class reads or writes.
#[derive(Default)]
pub(super) struct Cells {
    all: Vec<Cell>,
    places: HashMap<Cell, CellId>,
}

impl Cells {
    pub fn id(&mut self, cell: Cell) -> CellId {
        *self.places.entry(cell).or_insert_with(|| {
            self.all.push(cell);
            u32::try_from(self.all.len() - 1).expect("there are few lists and hosts")
        })
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }
}

/// What a packet does.
pub(super) struct Outcome<'p> {
    pub let_in: bool,
    /// In order.
    pub effects: Vec<Done<'p>>,
}

/// A change of a cell.
pub(super) struct Done<'p> {
    pub cell: CellId,
    /// What it holds from now on, and for how long; `None` if nothing.
    pub now: Option<(Option<Position>, Lifetime)>,
    /// The rule.
    pub origin: &'p Origin,
}

/// Plays single packets, each kind of packet once for each thing that it can find.
pub(super) struct Stepper<'s, 'p> {
    simulator: Simulator<'p>,
    program: &'p Program,
    classes: &'s [Class],
    cells: &'s Cells,
    known: HashMap<(ClassId, Held), Rc<Outcome<'p>>>,
    /// Packets that were asked for.
    pub steps: usize,
}

impl<'s, 'p> Stepper<'s, 'p> {
    pub fn new(program: &'p Program, classes: &'s [Class], cells: &'s Cells) -> Self {
        let simulator = Simulator::new(program);
        Self { simulator, program, classes, cells, known: HashMap::new(), steps: 0 }
    }

    /// What a packet of `class` does that finds this; of `held`, it is what the class may touch.
    pub fn step(&mut self, class: ClassId, held: Held) -> Rc<Outcome<'p>> {
        self.steps += 1;
        if let Some(known) = self.known.get(&(class, held.clone())) {
            return Rc::clone(known);
        }
        let outcome = Rc::new(self.play(class, &held));
        self.known.insert((class, held), Rc::clone(&outcome));
        outcome
    }

    fn play(&mut self, class: ClassId, held: &Held) -> Outcome<'p> {
        let packet = self.classes[class.index()].packet();
        let now = Moment::default();
        let until = now.after(Lifetime::from_secs(Lifetime::MAX.as_secs()));
        let (mut listed, mut placed) = (vec![], vec![]);
        for (cell, position) in held {
            match (self.cells.all[*cell as usize], position) {
                (Cell::List(list, source), _) => listed.push((list, Entry { source, until })),
                (Cell::Track(track), Some(position)) => {
                    placed.push((track, *position, Entry { source: packet.source, until }));
                }
                (Cell::Track(_), None) => {}
            }
        }
        self.simulator.restart(&listed, &placed, now);
        let decision = self.simulator.play(now, packet);
        let mut destination = packet.destination;
        let mut effects = vec![];
        for (change, origin) in decision.changes.iter().zip(&decision.causes) {
            let stays = |until: &Moment| Lifetime::from_millis(until.as_millis());
            let (cell, now) = match change {
                Change::Added(list, until) => {
                    (self.list(*list, packet.source), stays(until).map(|t| (None, t)))
                }
                Change::DestinationAdded(list, until) => {
                    let Destination::Other(host) = destination else { continue };
                    (self.list(*list, host), stays(until).map(|t| (None, t)))
                }
                Change::Removed(list) => (self.list(*list, packet.source), None),
                Change::Moved(track, position, until) => {
                    (Cell::Track(*track), stays(until).map(|t| (Some(*position), t)))
                }
                Change::Forgotten(track) => (Cell::Track(*track), None),
                Change::Redirected(target) => {
                    destination = Destination::Other(target.ip());
                    continue;
                }
                Change::Full(_) | Change::TrackFull(_) => continue,
            };
            if let Some(cell) = self.cells.places.get(&cell) {
                effects.push(Done { cell: *cell, now, origin });
            }
        }
        Outcome { let_in: decision.fate == Fate::Accept, effects }
    }

    fn list(&self, list: ListId, address: IpAddr) -> Cell {
        let bits = self.program[list].timed.map_or(128, |timed| timed.v6_bits);
        let kept = if address.is_ipv6() { crate::net::truncate(address, bits) } else { address };
        Cell::List(list, kept)
    }
}
