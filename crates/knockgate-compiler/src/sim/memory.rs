//! What lists and tracks hold.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use crate::net::Family;
use crate::program::{Expiry, PoolId, Position, Program, TrackId};
use crate::time::Moment;

/// A source on a list or track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// Its address, or the first one of its network.
    pub source: IpAddr,
    /// When it expires.
    pub until: Moment,
}

/// Entries of one address family, under a bound.
#[derive(Debug)]
struct Bounded<K, V> {
    capacity: usize,
    entries: HashMap<K, (V, Moment)>,
    /// Before this, looking for expired entries finds none.
    prune_at: Moment,
}

impl<K: Eq + std::hash::Hash, V: Copy> Bounded<K, V> {
    fn new(capacity: NonZeroU32) -> Self {
        Self { capacity: capacity.get() as usize, entries: HashMap::new(), prune_at: Moment::default() }
    }

    fn live(&self, key: &K, now: Moment) -> Option<(V, Moment)> {
        self.entries.get(key).copied().filter(|(_, until)| now < *until)
    }

    /// Whether there was room.
    fn put(&mut self, key: K, value: V, now: Moment, until: Moment) -> bool {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.prune(now);
            if self.entries.len() >= self.capacity {
                return false;
            }
        }
        self.prune_at = self.prune_at.min(until);
        self.entries.insert(key, (value, until));
        true
    }

    fn prune(&mut self, now: Moment) {
        if now >= self.prune_at {
            self.entries.retain(|_, (_, until)| now < *until);
            let next = self.entries.values().map(|(_, until)| *until).min();
            self.prune_at = next.unwrap_or_default();
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.prune_at = Moment::default();
    }

    /// Whether it was there.
    fn take(&mut self, key: &K, now: Moment) -> bool {
        self.entries.remove(key).is_some_and(|(_, until)| now < until)
    }
}

/// The same for both families.
#[derive(Debug)]
struct Both<K, V> {
    v4: Bounded<K, V>,
    v6: Bounded<K, V>,
}

impl<K: Eq + std::hash::Hash, V: Copy> Both<K, V> {
    fn new(capacity: NonZeroU32) -> Self {
        Self { v4: Bounded::new(capacity), v6: Bounded::new(capacity) }
    }

    fn of(&self, source: IpAddr) -> &Bounded<K, V> {
        match Family::of(source) {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    fn of_mut(&mut self, source: IpAddr) -> &mut Bounded<K, V> {
        match Family::of(source) {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    fn live(&self, now: Moment) -> impl Iterator<Item = (&K, &V, Moment)> {
        let all = self.v4.entries.iter().chain(&self.v6.entries);
        all.filter(move |(_, (_, until))| now < *until).map(|(key, (value, until))| (key, value, *until))
    }
}

/// What became of an addition.
pub(super) enum Added {
    Until(Moment),
    Already,
    Full,
}

#[derive(Debug)]
pub(super) struct Memory {
    pools: Vec<Both<(IpAddr, NonZeroU32), ()>>,
    tracks: Vec<Both<IpAddr, Position>>,
}

impl Memory {
    pub(super) fn new(program: &Program) -> Self {
        Self {
            pools: program.pools().iter().map(|pool| Both::new(pool.capacity)).collect(),
            tracks: program.tracks().iter().map(|track| Both::new(track.capacity)).collect(),
        }
    }

    pub(super) fn clear(&mut self) {
        for Both { v4, v6 } in &mut self.pools {
            v4.clear();
            v6.clear();
        }
        for Both { v4, v6 } in &mut self.tracks {
            v4.clear();
            v6.clear();
        }
    }

    pub(super) fn holds(&self, pool: PoolId, tag: NonZeroU32, source: IpAddr, now: Moment) -> bool {
        self.pools[pool.index()].of(source).live(&(source, tag), now).is_some()
    }

    pub(super) fn add(
        &mut self,
        pool: PoolId,
        tag: NonZeroU32,
        source: IpAddr,
        now: Moment,
        until: Moment,
        expiry: Expiry,
    ) -> Added {
        let entries = self.pools[pool.index()].of_mut(source);
        if expiry == Expiry::Keep && entries.live(&(source, tag), now).is_some() {
            return Added::Already;
        }
        if entries.put((source, tag), (), now, until) { Added::Until(until) } else { Added::Full }
    }

    pub(super) fn remove(&mut self, pool: PoolId, tag: NonZeroU32, source: IpAddr, now: Moment) -> bool {
        self.pools[pool.index()].of_mut(source).take(&(source, tag), now)
    }

    pub(super) fn position(&self, track: TrackId, source: IpAddr, now: Moment) -> Option<Position> {
        self.tracks[track.index()].of(source).live(&source, now).map(|(position, _)| position)
    }

    pub(super) fn move_to(
        &mut self,
        track: TrackId,
        source: IpAddr,
        position: Position,
        now: Moment,
        until: Moment,
    ) -> bool {
        self.tracks[track.index()].of_mut(source).put(source, position, now, until)
    }

    pub(super) fn forget(&mut self, track: TrackId, source: IpAddr, now: Moment) -> bool {
        self.tracks[track.index()].of_mut(source).take(&source, now)
    }

    pub(super) fn members(&self, pool: PoolId, tag: NonZeroU32, now: Moment) -> Vec<Entry> {
        self.pools[pool.index()]
            .live(now)
            .filter(|((_, of), (), _)| *of == tag)
            .map(|((source, _), (), until)| Entry { source: *source, until })
            .collect()
    }

    pub(super) fn positions(&self, track: TrackId, now: Moment) -> Vec<(Entry, Position)> {
        let live = self.tracks[track.index()].live(now);
        live.map(|(source, position, until)| (Entry { source: *source, until }, *position)).collect()
    }
}
