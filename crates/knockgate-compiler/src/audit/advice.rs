//! What would raise the strength of a door, with the number that each edit gives.

use std::collections::BTreeSet;

use super::chance::{Played, curves};
use super::cost::attack;
use super::numbers::{count, probability};
use super::{Advice, Beat, Lockout, Shape, Trapping};
use crate::net::{Endpoint, Port, Transport};
use crate::policy::{self, Knock, Wrong};
use crate::time::Lifetime;

/// Edits that give something, the ones that give most first.
pub(super) fn advice(shape: &Shape, lockouts: &[Lockout], played: &mut Played<'_>) -> Vec<Advice> {
    let now = Strength::of(shape, played);
    let mut worth: Vec<(f64, Advice)> = edits(shape)
        .into_iter()
        .filter_map(|(edit, changed)| gain(edit, now, Strength::of(&changed, played)))
        .collect();
    worth.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let mut all: Vec<Advice> = worth.into_iter().map(|(_, advice)| advice).collect();
    all.extend(order(shape));
    all.extend(strikes(shape, lockouts));
    all.extend(grant(shape));
    all
}

/// The numbers that an edit can raise.
#[derive(Clone, Copy, Debug)]
struct Strength {
    /// That one sweep in random order opens it, as fast as windows allow.
    sweep: f64,
    /// The same at the rate of [`SLOW`].
    slow: f64,
    /// Packets that open it for certain.
    certain: f64,
}

/// Packets a second of a scan that wants to be quick, but gets through.
const SLOW: u32 = 1000;

impl Strength {
    fn of(shape: &Shape, played: &mut Played<'_>) -> Self {
        let traps = shape.traps.as_ref().map_or(0, |traps| traps.ports.len());
        let curves = curves(shape, played);
        let at = |rate: Option<u32>| {
            let curve = curves.iter().find(|curve| curve.rate == rate);
            curve
                .and_then(|curve| curve.by_traps.get(traps).or(curve.by_traps.last()))
                .copied()
                .unwrap_or(0.0)
        };
        Self { sweep: at(None), slow: at(Some(SLOW)), certain: attack(shape).certain }
    }
}

/// How much better is worth telling.
const WORTH: f64 = 1.5;

/// What an edit gives, and how many times over; `None` if next to nothing.
fn gain(edit: String, now: Strength, then: Strength) -> Option<(f64, Advice)> {
    let times = |now: f64, then: f64| if now > 0.0 { now / then.max(f64::MIN_POSITIVE) } else { 1.0 };
    let (rarer, slower) = (times(now.sweep, then.sweep), times(now.slow, then.slow));
    let dearer = then.certain / now.certain;
    let sweep = || {
        let (then, now) = (probability(then.sweep), probability(now.sweep));
        format!("a random sweep opens it: {then} instead of {now}")
    };
    let slow = || {
        let (then, now) = (probability(then.slow), probability(now.slow));
        format!("a random sweep at {SLOW} packets a second opens it: {then} instead of {now}")
    };
    let certain = || {
        format!(
            "opening it for certain takes {} packets instead of {}",
            count(then.certain),
            count(now.certain)
        )
    };
    let rarely = if rarer > WORTH { Some(sweep()) } else { (slower > WORTH).then(slow) };
    let parts = [rarely, (dearer > WORTH).then(certain)];
    let gives = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    (!gives.is_empty()).then(|| (rarer.max(slower).max(1.0) * dearer.max(1.0), Advice { edit, gives }))
}

/// Changed doors, with what was changed.
fn edits(shape: &Shape) -> Vec<(String, Shape)> {
    let mut found = vec![];
    if shape.wrong == Wrong::Ignore {
        let edit = "`wrong = \"reset\"`, which RouterOS cannot do";
        found.push((edit.to_owned(), Shape { wrong: Wrong::Reset, ..shape.clone() }));
        let windows = shape.knocks.iter().skip(1).map(|beat| beat.window);
        let lasts = windows.max().unwrap_or(COOLDOWN).max(COOLDOWN);
        let cooldown = Wrong::Cooldown(lasts);
        let edit = format!("`wrong = \"cooldown {lasts}\"`, which RouterOS can do as well");
        found.push((edit, Shape { wrong: cooldown, ..shape.clone() }));
    }
    if shape.knocks.len() < policy::limit::KNOCKS {
        found.extend(one_more_knock(shape).map(|changed| ("one more knock".to_owned(), changed)));
    }
    found.extend(more_traps(shape));
    if shape.knocks.iter().skip(1).any(|beat| beat.window > policy::default::WINDOW) {
        let mut changed = shape.clone();
        changed.knocks.iter_mut().for_each(|beat| beat.window = beat.window.min(policy::default::WINDOW));
        found.push((format!("windows of {}", policy::default::WINDOW), changed));
    }
    found
}

/// A cooldown that a sweep cannot wait out at every port. It must outlast the windows.
const COOLDOWN: Lifetime = Lifetime::from_secs(10);

/// The same door with a knock that is none of its ports yet.
fn one_more_knock(shape: &Shape) -> Option<Shape> {
    let last = shape.knocks.last()?;
    let transport = match last.knock {
        Knock::Port(endpoint) => endpoint.transport,
        Knock::Ping(_) => Transport::Tcp,
    };
    let endpoint = free_ports(shape, transport).next()?;
    let mut changed = shape.clone();
    changed.knocks.push(Beat { knock: Knock::Port(endpoint), window: last.window });
    Some(changed)
}

/// The same door with two traps more, or with its first two.
fn more_traps(shape: &Shape) -> Option<(String, Shape)> {
    let transport = shape.counted.first().copied().unwrap_or(Transport::Tcp);
    let new: BTreeSet<Endpoint> = free_ports(shape, transport).take(2).collect();
    let known = shape.traps.clone();
    let edit = if known.is_some() { "two more traps" } else { "two traps, each of which bans" };
    let mut traps = known.unwrap_or(Trapping {
        ports: BTreeSet::new(),
        strikes: 1,
        memory: policy::default::MEMORY,
        ban: policy::default::BAN,
        ban_max: policy::default::BAN_MAX,
    });
    traps.ports.extend(new);
    Some((edit.to_owned(), Shape { traps: Some(traps), ..shape.clone() }))
}

/// Ports that mean nothing yet. Which of them it is changes no number.
fn free_ports(shape: &Shape, transport: Transport) -> impl Iterator<Item = Endpoint> {
    let ports = (1..=u16::MAX).filter_map(Port::new).map(move |port| Endpoint { transport, port });
    ports.filter(move |endpoint| {
        let knock = |beat: &Beat| beat.knock == Knock::Port(*endpoint);
        !shape.knocks.iter().any(knock)
            && !shape.neutral.contains(endpoint)
            && !shape.traps.as_ref().is_some_and(|traps| traps.ports.contains(endpoint))
    })
}

/// Another order, where ports lie in one that scans have.
fn order(shape: &Shape) -> Option<Advice> {
    let ports: Vec<Endpoint> = shape.ports().collect();
    let sorted = ports.is_sorted_by(|one, next| one.port < next.port)
        || ports.is_sorted_by(|one, next| one.port > next.port);
    let harmful = shape.wrong == Wrong::Ignore && shape.knocks.len() > 2 && ports.len() == shape.knocks.len();
    (sorted && harmful).then(|| Advice {
        edit: "another order of the knocks, neither ascending nor descending".to_owned(),
        gives: "no ordered scan makes all of them in one pass".to_owned(),
    })
}

/// More strikes, where one packet bans the owner.
fn strikes(shape: &Shape, lockouts: &[Lockout]) -> Option<Advice> {
    let traps = shape.traps.as_ref().filter(|traps| traps.strikes == 1)?;
    let banned = lockouts.iter().any(|lockout| lockout.packets == 1 && lockout.lasts == Some(traps.ban));
    banned.then(|| Advice {
        edit: if traps.ports.len() > 1 { "`strikes = 2`" } else { "`strikes = 2`, with a second trap" }
            .to_owned(),
        gives: "it takes 2 forged packets instead of 1 to ban the owner, and a stray one bans nobody"
            .to_owned(),
    })
}

/// A shorter grant, where it is longer than it takes to connect.
fn grant(shape: &Shape) -> Option<Advice> {
    let enough = policy::default::GRANT;
    (shape.grant > enough).then(|| Advice {
        edit: format!("`grant = \"{enough}\"`"),
        gives: format!(
            "others at the owner's address have {enough} instead of {} to connect; connections go on after it",
            shape.grant
        ),
    })
}
