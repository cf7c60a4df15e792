//! What packets of each class do, and whom that lets in.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::class::{Class, Kind, classes};
use super::doors::Ways;
use super::survey::{Fact, Survey};
use super::walk::{At, Passed, Standing, Walker};
use crate::net::{Endpoint, Family};
use crate::program::{Hook, ListId, Verdict};

/// How a list lets its sources in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opening {
    /// To the gateway, with packets of this class.
    Here(usize),
    /// To a host behind, that packets of this class are sent on to.
    Via(usize, SocketAddr),
    /// To a host behind at its own address.
    Behind(usize, IpAddr),
}

impl Opening {
    pub fn class(self) -> usize {
        match self {
            Self::Here(class) | Self::Via(class, _) | Self::Behind(class, _) => class,
        }
    }
}

/// What a sequence is for: its grant, and a place that the grant lets in to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub list: ListId,
    pub opening: Opening,
}

/// A program as it looks to packets of one family.
pub(super) struct Scene<'w, 'p> {
    pub walker: &'w Walker<'p>,
    pub family: Family,
    pub classes: Vec<Class>,
    pub surveys: Vec<Survey>,
    /// What becomes of a stranger's packet of each class.
    pub strangers: Vec<Passed>,
    pub openings: BTreeMap<ListId, Vec<Opening>>,
    pub ways: Ways,
}

/// Hooks on the way of a packet to the gateway.
const INWARDS: &[Hook] = &[Hook::Raw, Hook::Prerouting, Hook::Input];

impl<'w, 'p> Scene<'w, 'p> {
    pub fn new(walker: &'w Walker<'p>, family: Family) -> Self {
        let classes = classes(walker.program, family);
        let surveys: Vec<Survey> = classes.iter().map(|class| walker.survey(class, INWARDS)).collect();
        let strangers =
            classes.iter().map(|class| walker.play(class, None, &mut Standing::default())).collect();
        let ways = Ways::of(walker, &surveys);
        let openings = BTreeMap::new();
        let mut scene = Self { walker, family, classes, surveys, strangers, openings, ways };
        scene.find_openings();
        scene.find_hosts();
        scene
    }

    pub fn play(&self, class: usize, standing: &mut Standing) -> Passed {
        self.walker.play(&self.classes[class], None, standing)
    }

    /// Where a source stands that has sent a packet of each class.
    pub fn after(&self, mut standing: Standing, sequence: &[usize]) -> Standing {
        for class in sequence {
            self.play(*class, &mut standing);
        }
        standing
    }

    /// Whether a source that stands so has reached it.
    pub fn reached(&self, goal: Goal, standing: &Standing) -> bool {
        standing.on.contains(&goal.list) && self.lets_in(goal.opening, standing)
    }

    /// Whether a source may pass there.
    pub fn lets_in(&self, opening: Opening, standing: &Standing) -> bool {
        self.entered(opening, standing).is_some()
    }

    /// The rules that a packet meets which may pass there.
    pub fn entered(&self, opening: Opening, standing: &Standing) -> Option<Vec<At>> {
        let class = &self.classes[opening.class()];
        let mut standing = standing.clone();
        let (to, target) = match opening {
            Opening::Here(_) => (None, None),
            Opening::Via(_, target) => (None, Some(target)),
            Opening::Behind(_, host) => (Some(host), None),
        };
        let passed = self.walker.play(class, to, &mut standing);
        (passed.is_in() && passed.redirected == target).then_some(passed.fired)
    }

    fn find_openings(&mut self) {
        for index in 0..self.classes.len() {
            if self.classes[index].kind == Kind::Ping {
                continue;
            }
            for list in &self.surveys[index].lists {
                let granted = self.play(index, &mut Standing::on(*list));
                // The last knock itself may be let in, on behalf of the list that it leads to.
                let behalf =
                    |other: ListId| other != *list && self.play(index, &mut Standing::on(other)).is_in();
                if granted.added.iter().any(|(other, _)| behalf(*other)) {
                    continue;
                }
                let stranger = &self.strangers[index];
                let opening = match granted.redirected {
                    Some(target) if granted.is_in() && stranger.redirected != Some(target) => {
                        Opening::Via(index, target)
                    }
                    None if granted.is_in() && !stranger.is_in() => Opening::Here(index),
                    _ => continue,
                };
                self.openings.entry(*list).or_default().push(opening);
            }
        }
    }

    fn find_hosts(&mut self) {
        for (index, class) in self.classes.iter().enumerate() {
            if class.kind == Kind::Ping {
                continue;
            }
            for found in self.walker.survey(class, &[Hook::Forward]).found {
                let accepts = self.walker.rule(found.at).verdict == Some(Verdict::Accept);
                let (true, Some(host), [Fact::Listed(list)]) = (accepts, found.host, &found.facts[..]) else {
                    continue;
                };
                let opening = Opening::Behind(index, host);
                let openings = self.openings.get(list).map_or(&[][..], Vec::as_slice);
                let halfway = openings.iter().any(
                    |via| matches!(via, Opening::Via(_, to) if to.ip() == host && to.port() == class.low),
                );
                if !halfway
                    && Family::of(host) == self.family
                    && !openings.contains(&opening)
                    && self.lets_in(opening, &Standing::on(*list))
                    && !self.lets_in(opening, &Standing::default())
                {
                    self.openings.entry(*list).or_default().push(opening);
                }
            }
        }
    }

    pub fn class_of(&self, endpoint: Endpoint) -> Option<usize> {
        self.classes.iter().position(|class| {
            class.kind.transport() == Some(endpoint.transport)
                && (class.low..=class.high).contains(&endpoint.port.number())
        })
    }

    /// The class of that kind with most packets: those that no rule has a word about.
    pub fn others(&self, kind: Kind) -> Option<usize> {
        let of_kind = self.classes.iter().enumerate().filter(|(_, class)| class.kind == kind);
        of_kind.max_by_key(|(_, class)| class.width()).map(|(index, _)| index)
    }
}
