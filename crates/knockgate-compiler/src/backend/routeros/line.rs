//! What one RouterOS rule can ask of a packet: at most one of each matcher.

use crate::net::{Endpoint, Family, Transport};
use crate::program::{Condition, ListId, PortEnd};

use super::meet::{Meeting, meet};

/// Conditions that one rule can have together. In a fixed order, so that the same ones are always
/// written the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    family: Family,
    /// No two at one place.
    conditions: Vec<Condition>,
}

/// The matcher that says a condition, in the order of rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Interface,
    State,
    Redirected,
    Protocol,
    SourcePort,
    DestinationPort,
    EitherPort,
    Flags,
    Icmp,
    HopLimit,
    Size,
    Source,
    Destination,
    ToGateway,
    Listed,
    DestinationListed,
    /// In words of its own; one rule has many of them.
    Opaque(Box<str>),
}

impl Place {
    fn of(condition: &Condition) -> Self {
        match condition {
            Condition::Not(inner) => Self::of(inner),
            Condition::From(_) => Self::Interface,
            Condition::State(_) => Self::State,
            Condition::Redirected | Condition::Cut => Self::Redirected,
            Condition::Transport(_) | Condition::Protocol(_) => Self::Protocol,
            Condition::Ports(_, PortEnd::Source, _) => Self::SourcePort,
            Condition::To(_) | Condition::Ports(_, PortEnd::Destination, _) => Self::DestinationPort,
            Condition::Ports(_, PortEnd::Either, _) => Self::EitherPort,
            Condition::Flags { .. } => Self::Flags,
            Condition::Icmp(..) | Condition::Echo(_) => Self::Icmp,
            Condition::HopLimit(_) => Self::HopLimit,
            Condition::Size(_) => Self::Size,
            Condition::Source(_) => Self::Source,
            Condition::Destination(_) => Self::Destination,
            Condition::ToGateway => Self::ToGateway,
            Condition::Listed(_) => Self::Listed,
            Condition::DestinationListed(_) => Self::DestinationListed,
            Condition::Opaque(words) => Self::Opaque(words.clone()),
            // Said by the menu, or not at all, so never part of a line.
            Condition::Family(_) | Condition::NoExtensionHeaders | Condition::OnTrack(_) => {
                Self::Opaque("".into())
            }
        }
    }
}

/// What a line says of the protocol of its packets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Any,
    Only(u8),
    AnyBut(u8),
}

/// Two lines, or a line and a condition, at once.
#[derive(Debug)]
pub(super) enum Both {
    /// One rule says both.
    Line(Line),
    /// No packet is both.
    Never,
    /// One rule cannot say both.
    Clash,
}

impl Line {
    /// Every packet of the family.
    pub(super) fn of(family: Family) -> Self {
        Self { family, conditions: vec![] }
    }

    /// Packets of the family that meet what one rule can say at once.
    pub(super) fn saying<const N: usize>(family: Family, conditions: [Condition; N]) -> Self {
        Self { family, conditions: conditions.into() }
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    pub(super) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// What both lines say.
    pub(super) fn and(&self, other: &Self) -> Both {
        let mut both = self.clone();
        for condition in &other.conditions {
            match both.with(condition) {
                Both::Line(line) => both = line,
                neither => return neither,
            }
        }
        Both::Line(both)
    }

    fn with(&self, condition: &Condition) -> Both {
        match (self.carries(), asks(condition, self.family)) {
            (Carries::Only(one), Carries::Only(other)) if one != other => return Both::Never,
            (Carries::Only(one), Carries::AnyBut(other)) | (Carries::AnyBut(other), Carries::Only(one))
                if one == other =>
            {
                return Both::Never;
            }
            (Carries::Only(_), _) if Place::of(condition) == Place::Protocol => {
                return Both::Line(self.clone());
            }
            _ => {}
        }
        let place = Place::of(condition);
        let held = self.conditions.iter().position(|held| Place::of(held) == place);
        let mut conditions = self.conditions.clone();
        match held.map(|at| (at, meet(&self.conditions[at], condition))) {
            None => {
                let at = conditions.partition_point(|held| Place::of(held) < place);
                conditions.insert(at, condition.clone());
            }
            Some((at, Meeting::One(one))) => conditions[at] = one,
            Some((_, Meeting::Never)) => return Both::Never,
            Some((_, Meeting::Clash)) => return Both::Clash,
        }
        Both::Line(Self { conditions, ..*self }.without_the_obvious())
    }

    /// A protocol that another matcher names anyway need not be named.
    fn without_the_obvious(mut self) -> Self {
        let named = |condition: &Condition| {
            Place::of(condition) != Place::Protocol && asks(condition, self.family) != Carries::Any
        };
        if self.conditions.iter().any(named) {
            self.conditions.retain(|condition| Place::of(condition) != Place::Protocol);
        }
        self
    }

    fn carries(&self) -> Carries {
        let asked = self.conditions.iter().map(|condition| asks(condition, self.family));
        asked.into_iter().find(|asked| *asked != Carries::Any).unwrap_or(Carries::Any)
    }

    /// The protocol of all packets that meet it, if it is one.
    pub(super) fn protocol(&self) -> Option<u8> {
        match self.carries() {
            Carries::Only(number) => Some(number),
            Carries::Any | Carries::AnyBut(_) => None,
        }
    }

    /// Whether it asks for one of `lists`.
    pub(super) fn asks_for(&self, lists: &[ListId]) -> bool {
        self.conditions.iter().filter_map(list_of).any(|list| lists.contains(&list))
    }

    /// The line without its lists, and those.
    pub(super) fn without_lists(&self) -> (Self, Vec<Condition>) {
        let (lists, conditions) =
            self.conditions.iter().cloned().partition(|condition| list_of(condition).is_some());
        (Self { conditions, ..*self }, lists)
    }

    /// Whether it holds in words that are not modelled, which may count packets.
    pub(super) fn is_opaque(&self) -> bool {
        self.conditions.iter().any(|condition| matches!(condition, Condition::Opaque(_)))
    }
}

/// The list that a condition is about.
pub(super) fn list_of(condition: &Condition) -> Option<ListId> {
    match condition {
        Condition::Listed(list) | Condition::DestinationListed(list) => Some(*list),
        Condition::Not(inner) => list_of(inner),
        _ => None,
    }
}

fn asks(condition: &Condition, family: Family) -> Carries {
    match condition {
        Condition::Transport(transport) | Condition::Ports(transport, ..) => {
            Carries::Only(number(*transport))
        }
        Condition::To(endpoints) => endpoints
            .first()
            .map_or(Carries::Any, |Endpoint { transport, .. }| Carries::Only(number(*transport))),
        Condition::Protocol(number) => Carries::Only(*number),
        Condition::Flags { .. } => Carries::Only(number(Transport::Tcp)),
        Condition::Echo(_) | Condition::Icmp(..) => Carries::Only(icmp(family)),
        Condition::Not(inner) => match **inner {
            Condition::Transport(transport) => Carries::AnyBut(number(transport)),
            Condition::Protocol(number) => Carries::AnyBut(number),
            _ => Carries::Any,
        },
        _ => Carries::Any,
    }
}

/// IANA, Protocol Numbers.
pub(super) fn number(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    }
}

/// The number of the family's ICMP.
pub(super) fn icmp(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 58,
    }
}
