//! What it costs to open a door for someone who does not know its knocks.
//!
//! The attacker knows how many knocks there are and what a wrong one does. A packet says nothing of
//! whether it was right, so what is sent does not depend on what happens.

use super::{Shape, Trapping};
use crate::net::Transport;
use crate::policy::{Knock, Wrong};
use crate::time::Lifetime;

/// The cost of an attack, in packets, sources and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Attack {
    /// Packets for someone who has listened, the connection included.
    pub informed: u32,
    /// Packets that open it for certain, from sources that are never banned.
    pub certain: f64,
    /// Packets that open it with a probability of one half, in the same way, if the knocks were
    /// drawn by lot: half of `certain`.
    pub likely: f64,
    /// Packets a second below which windows make it dearer than `certain`; `None` where they do not.
    pub needs_rate: Option<f64>,
    /// Source addresses that traps use up, on average; 1 without traps.
    pub sources: f64,
    /// Packets of all these sources together, each sending all it is to send.
    pub with_traps: f64,
    /// How long `with_traps` takes, for each rate and number of sources.
    pub times: Vec<Duration>,
    /// How it is done, and what a cooldown makes of it, in a sentence or two.
    pub how: String,
}

/// How long an attack takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duration {
    /// Packets a second, of all sources together.
    pub rate: u32,
    /// Sources that attack at once. Each waits until its ban is over before it is of use again.
    pub attackers: u32,
    /// Seconds, on average.
    pub seconds: f64,
}

/// Packets a second of [`Attack::times`].
const RATES: [u32; 3] = [1000, 100_000, 1_000_000];
/// A single machine, and a botnet.
const ATTACKERS: [u32; 2] = [1, 100_000];

/// The cost of opening a door of that shape.
pub fn attack(shape: &Shape) -> Attack {
    let guess = Guess::of(shape);
    let certain = guess.packets(guess.ports, None);
    Attack {
        informed: shape.knocks.len() as u32 + 1,
        certain,
        likely: certain / 2.0,
        needs_rate: guess.needs_rate(),
        sources: guess.lives(),
        with_traps: guess.with_traps(None),
        times: guess.times(),
        how: guess.how(),
    }
}

/// What an attacker has to try.
struct Guess<'a> {
    shape: &'a Shape,
    knocks: i32,
    /// Packets that each knock could be.
    ports: f64,
    /// The part of them that one source tries.
    part: f64,
    /// The probability that this part has all knocks and too few traps for a ban.
    success: f64,
}

impl<'a> Guess<'a> {
    fn of(shape: &'a Shape) -> Self {
        let transports = transports(shape);
        let pings = shape.knocks.iter().any(|beat| matches!(beat.knock, Knock::Ping(_)));
        let sizes = if pings { f64::from(Knock::MAX_PING) + 1.0 } else { 0.0 };
        let ports = shape.traps.iter().flat_map(|traps| &traps.ports);
        let traps = ports.filter(|port| transports.contains(&port.transport)).count() as u32;
        let strikes = shape.traps.as_ref().map_or(1, |traps| traps.strikes);
        let knocks = shape.knocks.len() as i32;
        let (part, success) = best_part(knocks, traps, strikes);
        let ports = transports.len() as f64 * f64::from(u16::MAX) + sizes;
        Self { shape, knocks, ports, part, success }
    }

    /// Tries at the later knocks that a right first one is worth, at most: where a cooldown is shorter
    /// than a window, the progress outlives it.
    fn tries(&self) -> f64 {
        let Wrong::Cooldown(lifetime) = self.shape.wrong else { return 1.0 };
        let windows = self.shape.knocks.iter().skip(1).map(|beat| seconds(beat.window));
        windows.map(|window| (window / seconds(lifetime)).ceil().clamp(1.0, self.ports)).product()
    }

    /// Packets that find knocks which are among so many, at a rate or at any that windows allow.
    fn packets(&self, ports: f64, rate: Option<u32>) -> f64 {
        match self.shape.wrong {
            Wrong::Ignore => self.sweeps(ports, rate),
            // An order in which each sequence is there once (de Bruijn).
            Wrong::Reset => ports.powi(self.knocks) + f64::from(self.knocks - 1),
            // Every sequence by itself.
            Wrong::Cooldown(_) => f64::from(self.knocks) * ports.powi(self.knocks) / self.tries(),
        }
    }

    /// A sweep for each knock. From one sweep to the next there are up to `2n - 1` packets from a
    /// knock to its successor. Where no window is that long, sweeps go over parts of the ports,
    /// small enough for it, in an order where each sequence of parts is there once.
    fn sweeps(&self, ports: f64, rate: Option<u32>) -> f64 {
        let window = rate.zip(self.shortest_window()).map(|(rate, window)| seconds(window) * f64::from(rate));
        let part = window.map_or(ports, |packets| ports.min((packets + 1.0) / 2.0).max(1.0));
        let later = f64::from(self.knocks - 1);
        ports * (ports / part).powi(self.knocks - 1) + later * part
    }

    /// A window of the first knock means nothing.
    fn shortest_window(&self) -> Option<Lifetime> {
        self.shape.knocks.iter().skip(1).map(|beat| beat.window).min()
    }

    fn needs_rate(&self) -> Option<f64> {
        let window = self.shortest_window().filter(|_| self.shape.wrong == Wrong::Ignore)?;
        Some((2.0 * self.ports - 1.0) / seconds(window))
    }

    /// Sources that are used up until one succeeds, each banned once.
    fn lives(&self) -> f64 {
        1.0 / self.success
    }

    fn with_traps(&self, rate: Option<u32>) -> f64 {
        self.lives() * self.packets(self.part * self.ports, rate)
    }

    fn times(&self) -> Vec<Duration> {
        let each =
            |attackers| RATES.map(|rate| Duration { rate, attackers, seconds: self.time(rate, attackers) });
        ATTACKERS.into_iter().flat_map(each).collect()
    }

    fn time(&self, rate: u32, attackers: u32) -> f64 {
        let sending = self.with_traps(Some(rate)) / f64::from(rate);
        let waiting = self.cooling() * self.lives() / f64::from(attackers);
        let lives = self.lives() / f64::from(attackers);
        let banned = self.shape.traps.as_ref().map_or(0.0, |traps| waits(traps, lives - 1.0));
        sending.max(waiting) + banned
    }

    /// Seconds that a source spends waiting. After a first knock, it makes one try at the others,
    /// and then none for as long as a cooldown: so it takes as many cooldowns as the others have
    /// sequences, at whatever rate. All that can be the first are tried in each.
    fn cooling(&self) -> f64 {
        match self.shape.wrong {
            Wrong::Cooldown(lifetime) => {
                let windows = self.shape.knocks.iter().skip(1).map(|beat| seconds(beat.window));
                let longest = windows.fold(seconds(lifetime), f64::max);
                (self.part * self.ports).powi(self.knocks - 1) / self.tries() * longest
            }
            Wrong::Reset | Wrong::Ignore => 0.0,
        }
    }

    fn how(&self) -> String {
        let knocks = self.knocks;
        let mut how = match self.shape.wrong {
            _ if knocks == 1 => "One sweep over everything that the knock can be.".to_owned(),
            Wrong::Ignore => format!("{knocks} sweeps, one for each knock: wrong knocks do nothing."),
            Wrong::Reset => format!(
                "Every sequence of {knocks} knocks, interleaved so that each packet ends one: a wrong knock takes all back."
            ),
            Wrong::Cooldown(lifetime) if self.tries() > 1.0 => format!(
                "Every sequence of {knocks} knocks: a source waits {lifetime} after a wrong one, but its progress outlives that, so a right first knock is worth up to {:.0} tries at the rest; the cost is that much less at worst.",
                self.tries()
            ),
            Wrong::Cooldown(lifetime) => format!(
                "Every sequence of {knocks} knocks: after the right first knock a source has one try at the rest, and waits {lifetime} for the next, however fast it sends."
            ),
        };
        if self.lives() > 1.0 {
            let percent = 100.0 * self.part;
            how += &format!(
                " Each source tries {percent:.0} % of the ports before the next one does: more would meet the traps too often."
            );
        }
        how
    }
}

fn transports(shape: &Shape) -> Vec<Transport> {
    let mut found = vec![];
    for beat in &shape.knocks {
        if let Knock::Port(endpoint) = beat.knock
            && !found.contains(&endpoint.transport)
        {
            found.push(endpoint.transport);
        }
    }
    found
}

fn seconds(lifetime: Lifetime) -> f64 {
    lifetime.as_millis() as f64 / 1000.0
}

/// The part of all ports that a source does best to try, and the probability that it has all
/// knocks and fewer traps than make a ban.
///
/// The probability rises and then falls with the part: its logarithm is concave, being the sum of
/// that of a power and of a binomial tail.
fn best_part(knocks: i32, traps: u32, strikes: u32) -> (f64, f64) {
    let success = |part: f64| part.powi(knocks) * fewer_than(strikes, traps, part);
    if traps < strikes {
        return (1.0, 1.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    // A third is cut off each time: in the end they are less than 1e-10 apart.
    for _ in 0..60 {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if success(left) < success(right) {
            low = left;
        } else {
            high = right;
        }
    }
    (high, success(high))
}

/// That fewer than `strikes` of `traps` are in a `part` of all ports.
fn fewer_than(strikes: u32, traps: u32, part: f64) -> f64 {
    let mut term = (1.0 - part).powi(traps as i32);
    let mut sum = 0.0;
    for count in 0..strikes {
        sum += term;
        term *= f64::from(traps - count) / f64::from(count + 1) * part / (1.0 - part);
    }
    sum
}

/// Seconds that a source waits for the end of so many bans, one after another: they double. Where
/// it takes several traps, any is enough for another ban until the touches are forgotten. Bans
/// stay short if it waits until all of them are.
fn waits(traps: &Trapping, bans: f64) -> f64 {
    if bans <= 0.0 {
        return 0.0;
    }
    let fresh = bans * seconds(traps.ban) + bans * seconds(traps.memory);
    let touches = if traps.strikes > 1 { seconds(traps.memory) } else { 0.0 };
    let (mut left, mut length, mut total) = (bans, traps.ban, 0.0);
    while length < traps.ban_max && left > 1.0 {
        total += touches.max(seconds(length));
        left -= 1.0;
        length = length.doubled_up_to(traps.ban_max);
    }
    fresh.min(total + left * touches.max(seconds(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Beat;

    fn lifetime(secs: u64) -> Lifetime {
        Lifetime::from_millis(1000 * secs).unwrap()
    }

    fn shape(knocks: u16, wrong: Wrong, traps: u16, strikes: u32) -> Shape {
        let port = |number: u16| format!("{number}/tcp").parse().unwrap();
        let beat = |index| Beat { knock: Knock::Port(port(1000 + index)), window: lifetime(10) };
        let trapping = |ports| Trapping {
            ports,
            strikes,
            memory: lifetime(600),
            ban: lifetime(60),
            ban_max: lifetime(600),
        };
        Shape {
            knocks: (0..knocks).map(beat).collect(),
            wrong,
            traps: (traps > 0).then(|| trapping((0..traps).map(|index| port(1 + index)).collect())),
            neutral: [].into(),
            counted: vec![Transport::Tcp],
            grant: lifetime(30),
        }
    }

    fn near(found: f64, expected: f64) -> bool {
        (found / expected - 1.0).abs() < 1e-3
    }

    fn time(attack: &Attack, rate: u32, attackers: u32) -> f64 {
        let of = |time: &&Duration| (time.rate, time.attackers) == (rate, attackers);
        attack.times.iter().find(of).unwrap().seconds
    }

    #[test]
    fn where_wrong_knocks_do_nothing_three_sweeps_are_enough() {
        let found = attack(&shape(3, Wrong::Ignore, 0, 1));
        assert_eq!((found.informed, found.certain, found.with_traps), (4, 196_605.0, 196_605.0));
        assert_eq!(found.sources, 1.0);
        assert!(near(found.needs_rate.unwrap(), 13_106.9));
        assert!(near(time(&found, 100_000, 1), 1.966));
        // 10,000 packets in a window: 5,000 ports of each knock at a time.
        assert!(near(time(&found, 1000, 1), 65_535_f64.powi(3) / 5000.5_f64.powi(2) / 1000.0));
    }

    #[test]
    fn where_a_wrong_knock_takes_all_back_all_sequences_must_be_tried() {
        let found = attack(&shape(3, Wrong::Reset, 0, 1));
        assert!(near(found.certain, 2.8146e14) && near(found.likely, 1.4073e14));
        assert_eq!(found.needs_rate, None);
        assert!(near(time(&found, 1_000_000, 1), 2.8146e8));
    }

    #[test]
    fn a_cooldown_takes_its_time_at_any_rate_unless_many_sources_share_it() {
        let found = attack(&shape(3, Wrong::Cooldown(lifetime(10)), 0, 1));
        let waiting = 65_535_f64.powi(2) * 10.0;
        assert!(near(time(&found, 1_000_000, 1), waiting));
        assert!(near(found.certain, 3.0 * 65_535_f64.powi(3)));
        assert!(near(time(&found, 1_000_000, 100_000), found.certain / 1e6));
        assert!(found.how.contains("waits 10s"), "{}", found.how);
    }

    #[test]
    fn a_trap_uses_up_nine_sources_for_three_knocks() {
        let found = attack(&shape(3, Wrong::Ignore, 1, 1));
        assert!(near(found.sources, 256.0 / 27.0));
        assert!(near(found.with_traps, 0.75 * 196_605.0 * 256.0 / 27.0));
        assert!(found.how.contains("75 %"), "{}", found.how);
        // Bans of one, two, four and eight minutes, and then of ten.
        let waited = 60.0 + 120.0 + 240.0 + 480.0 + (256.0 / 27.0 - 5.0) * 600.0;
        assert!(near(time(&found, 1_000_000, 1), found.with_traps / 1e6 + waited));
        assert!(near(time(&found, 1_000_000, 100_000), found.with_traps / 1e6));
        let reset = attack(&shape(3, Wrong::Reset, 1, 1));
        assert!(near(reset.with_traps, 4.0 * reset.certain));
    }

    #[test]
    fn more_strikes_than_traps_ban_nobody_and_two_are_milder_than_one() {
        let lives = |traps, strikes| attack(&shape(3, Wrong::Ignore, traps, strikes)).sources;
        assert_eq!(lives(2, 3), 1.0);
        assert!(1.0 < lives(3, 3) && lives(3, 3) < lives(3, 2) && lives(3, 2) < lives(3, 1));
        // x^3 (1 - x)^2 + 2 x^4 (1 - x) = x^3 - x^5, the most of which is where 3 = 5 x^2.
        let best = 0.6_f64.sqrt();
        assert!(near(lives(2, 2), 1.0 / (best.powi(3) - best.powi(5))));
    }

    #[test]
    fn knocks_of_several_kinds_must_each_be_looked_for_in_all() {
        let mut mixed = shape(3, Wrong::Ignore, 0, 1);
        mixed.knocks[1].knock = Knock::Port("53/udp".parse().unwrap());
        mixed.knocks[2].knock = Knock::Ping(100);
        assert_eq!(attack(&mixed).certain, 3.0 * (2.0 * 65_535.0 + 1453.0));
    }

    #[test]
    fn traps_knocks_and_slowness_never_make_it_cheaper() {
        for wrong in [Wrong::Ignore, Wrong::Reset, Wrong::Cooldown(lifetime(10))] {
            for strikes in 1..=3 {
                let by_traps: Vec<Attack> =
                    (0..20).map(|traps| attack(&shape(3, wrong, traps, strikes))).collect();
                let by_knocks: Vec<Attack> =
                    (1..=16).map(|knocks| attack(&shape(knocks, wrong, 4, strikes))).collect();
                for row in [by_traps, by_knocks] {
                    assert!(row.is_sorted_by(|less, more| less.sources <= more.sources * (1.0 + 1e-9)));
                    assert!(row.is_sorted_by(|less, more| less.certain <= more.certain));
                    for (rate, attackers) in [(1000, 1), (1_000_000, 1), (1_000_000, 100_000)] {
                        let times: Vec<f64> = row.iter().map(|found| time(found, rate, attackers)).collect();
                        let rises = times.is_sorted_by(|less, more| *less <= more * (1.0 + 1e-9));
                        assert!(
                            rises && times.iter().all(|time| time.is_finite()),
                            "{wrong} {strikes}: {times:?}"
                        );
                    }
                }
            }
        }
    }
}
