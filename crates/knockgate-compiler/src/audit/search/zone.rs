//! All moments at which something can have happened, as bounds on their differences.
//!
//! The moments are the beginning, the present, and those at which what is remembered expires, in
//! milliseconds. The beginning may be any moment up to the first packet's, the present any from the last
//! packet's on.

use crate::time::Lifetime;

/// The beginning.
const BEGINNING: usize = 0;
/// The present.
const NOW: usize = 1;
/// Where the first expiry stands.
const FIRST: usize = 2;

/// No bound.
const FAR: i64 = i64::MAX / 4;

/// A set of moments: the tightest bounds that hold for all in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    count: usize,
    /// At `[a * count + b]`, how far `a` may be after `b`.
    bounds: Vec<i64>,
}

impl Zone {
    /// Nothing is remembered yet.
    pub fn new() -> Self {
        Self { count: FIRST, bounds: vec![0, 0, FAR, 0] }
    }

    fn at(&self, a: usize, b: usize) -> i64 {
        self.bounds[a * self.count + b]
    }

    /// The least time from the beginning to the present.
    pub fn elapsed(&self) -> i64 {
        -self.at(BEGINNING, NOW)
    }

    /// Whether every moment of `other` is in this one.
    pub fn includes(&self, other: &Self) -> bool {
        self.count == other.count
            && self.bounds.iter().zip(&other.bounds).all(|(ours, theirs)| ours >= theirs)
    }

    /// Only those moments where the `nth` expiry is still to come; `None` if there are none.
    pub fn with_live(&self, nth: usize) -> Option<Self> {
        self.with_bound(NOW, FIRST + nth, -1)
    }

    /// Only those where it is not, and without it; `None` if there are none.
    pub fn with_expired(&self, nth: usize) -> Option<Self> {
        let mut zone = self.with_bound(FIRST + nth, NOW, 0)?;
        zone.forget(nth);
        Some(zone)
    }

    /// Whether the `nth` expiry is past for sure.
    pub fn is_past(&self, nth: usize) -> bool {
        self.at(FIRST + nth, NOW) <= 0
    }

    /// Only those moments where `a` is at most so much after `b`.
    fn with_bound(&self, a: usize, b: usize, most: i64) -> Option<Self> {
        if plus(self.at(b, a), most) < 0 {
            return None;
        }
        let mut zone = self.clone();
        if most < self.at(a, b) {
            for from in 0..self.count {
                for to in 0..self.count {
                    let over = plus(plus(self.at(from, a), most), self.at(b, to));
                    let bound = &mut zone.bounds[from * self.count + to];
                    *bound = over.min(*bound);
                }
            }
        }
        Some(zone)
    }

    /// Without the `nth` expiry.
    pub fn forget(&mut self, nth: usize) {
        let (gone, count) = (FIRST + nth, self.count);
        let kept = |place: &usize| place / count != gone && place % count != gone;
        self.bounds = (0..self.bounds.len()).filter(kept).map(|place| self.bounds[place]).collect();
        self.count -= 1;
    }

    /// Something is remembered from now on for so long: it becomes the `nth` expiry.
    pub fn remember(&mut self, nth: usize, lifetime: Lifetime) {
        let lifetime = i64::try_from(lifetime.as_millis()).expect("a lifetime is less than a year");
        let (new, old) = (FIRST + nth, self.clone());
        self.count += 1;
        let before = |place: usize| if place < new { place } else { place - 1 };
        self.bounds = (0..self.count * self.count)
            .map(|place| match (place / self.count, place % self.count) {
                (a, b) if a == new && b == new => 0,
                (a, b) if a == new => plus(old.at(NOW, before(b)), lifetime),
                (a, b) if b == new => plus(old.at(before(a), NOW), -lifetime),
                (a, b) => old.at(before(a), before(b)),
            })
            .collect();
    }

    /// The same and all that may follow while time passes.
    ///
    /// How long ago something expired is forgotten, or there would be no end of zones: where `a` is
    /// later than `b` by more than it has left, `b` is past, and may as well be past by any time.
    pub fn go_on(&mut self) {
        for to in (0..self.count).filter(|to| *to != NOW) {
            self.bounds[NOW * self.count + to] = FAR;
        }
        let mut widened = false;
        for a in FIRST..self.count {
            for b in (FIRST..self.count).filter(|b| *b != a) {
                let bound = self.at(a, b);
                if bound > self.at(a, NOW) && bound < FAR {
                    self.bounds[a * self.count + b] = FAR;
                    widened = true;
                }
            }
        }
        if widened {
            self.tighten();
        }
    }

    /// What follows from the bounds (Floyd and Warshall).
    fn tighten(&mut self) {
        for over in 0..self.count {
            for a in 0..self.count {
                for b in 0..self.count {
                    let way = plus(self.at(a, over), self.at(over, b));
                    let bound = &mut self.bounds[a * self.count + b];
                    *bound = way.min(*bound);
                }
            }
        }
    }
}

fn plus(a: i64, b: i64) -> i64 {
    if a >= FAR || b >= FAR { FAR } else { a + b }
}
