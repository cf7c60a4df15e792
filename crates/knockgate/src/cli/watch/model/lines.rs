//! The lines of a pane: which there are, in which order, and which is selected.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::Instant;

use knockgate::target::nft::Fill;
use knockgate_compiler::net::Prefix;

use super::super::super::listed::Row;
use super::super::happening::Happening;
use super::{Model, Pane, Rule};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// What ends first, is busiest or is fullest comes first.
    Left,
    Source,
    What,
}

impl Sort {
    pub fn next(self) -> Self {
        match self {
            Self::Left => Self::Source,
            Self::Source => Self::What,
            Self::What => Self::Left,
        }
    }

    /// By what the lines of a pane are in order.
    pub fn word(self, pane: Pane) -> &'static str {
        match (self, pane) {
            (_, Pane::Events) => "time",
            (Self::Left, Pane::Sets) => "how full they are",
            (Self::Left, Pane::Rules) => "packets a second",
            (_, Pane::Sets | Pane::Rules) => "name",
            (Self::Left, _) => "time left",
            (Self::Source, _) => "source",
            (Self::What, _) => "door or list",
        }
    }
}

/// A line of a pane.
#[derive(Clone, Copy, Debug)]
pub enum Line<'m> {
    /// Who is on a list, and the milliseconds that are left.
    Row(&'m Row, Option<u64>),
    /// With its number: lines of events look alike.
    Event(u64, &'m Happening),
    Set(&'m str, Fill),
    /// With its packets a second.
    Rule(&'m Rule, f64),
}

impl Line<'_> {
    /// What tells it from others, while it moves up and down.
    pub fn key(&self) -> String {
        match self {
            Self::Row(row, _) => format!("{} {}", row.addresses, row.what),
            Self::Event(number, _) => number.to_string(),
            Self::Set(name, _) => (*name).to_owned(),
            Self::Rule(rule, _) => rule.what.clone(),
        }
    }

    /// Whom it is about, in the words of the command line.
    pub fn who(&self) -> Option<&str> {
        match self {
            Self::Row(row, _) => Some(&row.addresses),
            Self::Event(_, happening) => (!happening.who.is_empty()).then_some(&happening.who),
            Self::Set(..) | Self::Rule(..) => None,
        }
    }

    fn shows(&self, filter: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(filter);
        match self {
            Self::Row(row, _) => {
                has(&row.addresses)
                    || has(&row.what)
                    || row.reason.as_deref().is_some_and(has)
                    || is_of(filter, &row.addresses)
            }
            Self::Event(_, happening) => has(&happening.who) || has(&happening.words()),
            Self::Set(name, _) => has(name),
            Self::Rule(rule, _) => has(&rule.what),
        }
    }
}

/// Whether an address is the same as another, or of a network.
pub fn is_of(address: &str, other: &str) -> bool {
    let of_network = || {
        let address = address.parse::<IpAddr>().ok();
        address.zip(other.parse::<Prefix>().ok()).is_some_and(|(address, prefix)| prefix.contains(address))
    };
    address == other || of_network()
}

impl Model {
    /// The lines of the pane that is shown, in order.
    pub fn lines(&self, now: Instant) -> Vec<Line<'_>> {
        let filter = self.filter.to_lowercase();
        let mut lines: Vec<Line<'_>> = match self.pane {
            Pane::Events => self.happenings.iter().map(|(number, one)| Line::Event(*number, one)).collect(),
            Pane::Sets => self.snapshot.sets.iter().map(|(name, fill)| Line::Set(name, *fill)).collect(),
            Pane::Rules => {
                let rules = self.snapshot.rules.iter();
                rules.map(|rule| Line::Rule(rule, self.rate_of(rule))).collect()
            }
            list => self.rows(list, now),
        };
        lines.retain(|line| filter.is_empty() || line.shows(&filter));
        if self.pane != Pane::Events {
            lines.sort_by(|one, other| self.order(one, other));
        }
        if self.reversed {
            lines.reverse();
        }
        lines
    }

    fn rows(&self, list: Pane, now: Instant) -> Vec<Line<'_>> {
        let rows = self.snapshot.list(list).map_or(&[][..], |table| &table.rows);
        let rows = rows.iter().map(|row| Line::Row(row, row.left_ms.map(|left| self.left(left, now))));
        // What has run out since is gone.
        rows.filter(|line| !matches!(line, Line::Row(_, Some(0)))).collect()
    }

    fn order(&self, one: &Line<'_>, other: &Line<'_>) -> Ordering {
        match (one, other) {
            (Line::Row(a, left_a), Line::Row(b, left_b)) => {
                let left = left_a.unwrap_or(u64::MAX).cmp(&left_b.unwrap_or(u64::MAX));
                match self.sort {
                    Sort::Left => left.then(a.first.cmp(&b.first)),
                    Sort::Source => a.first.cmp(&b.first),
                    Sort::What => a.what.cmp(&b.what).then(left),
                }
            }
            (Line::Rule(a, rate_a), Line::Rule(b, rate_b)) if self.sort == Sort::Left => {
                rate_b.total_cmp(rate_a).then(b.packets.cmp(&a.packets))
            }
            (Line::Set(_, a), Line::Set(_, b)) if self.sort == Sort::Left => {
                fullness(*b).total_cmp(&fullness(*a))
            }
            _ => one.key().cmp(&other.key()),
        }
    }

    /// The place of the selected line: where that line is now, or, if it is gone, where it was.
    pub fn selected(&self, lines: &[Line<'_>]) -> Option<usize> {
        let last = lines.len().checked_sub(1)?;
        let Some((key, place)) = &self.selected else { return Some(0) };
        let now = lines.iter().position(|line| line.key() == *key);
        Some(now.unwrap_or(*place).min(last))
    }

    /// Selects the line so many further down.
    pub fn select(&mut self, by: isize, now: Instant) {
        let lines = self.lines(now);
        let Some(place) = self.selected(&lines) else { return };
        let place = place.saturating_add_signed(by).min(lines.len() - 1);
        self.selected = Some((lines[place].key(), place));
    }

    /// Whom the selected line is about. From now on that line stays selected wherever it goes.
    pub fn chosen(&mut self, now: Instant) -> Option<String> {
        self.select(0, now);
        let lines = self.lines(now);
        self.selected(&lines).and_then(|place| lines[place].who()).map(str::to_owned)
    }
}

/// From 0 to 1; 0 where the kernel does not tell.
pub fn fullness(fill: Fill) -> f64 {
    match (fill.entries, fill.capacity) {
        (Some(entries), Some(capacity)) if capacity > 0 => f64::from(entries) / f64::from(capacity),
        _ => 0.0,
    }
}
