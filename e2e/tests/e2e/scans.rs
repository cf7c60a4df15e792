//! How often scans in random order open a door of the kernel, against how often they should.
//!
//! Every scan has sources of its own, all ports of a range and an order of its own. What counts is
//! who is let in afterwards.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use knockgate::lab::{Gateway, Seen, wire};
use knockgate_compiler::audit::Shape;
use knockgate_compiler::audit::chance::{How, Order, Played, Scan, chance};
use knockgate_compiler::backend::nft;
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::policy::Policy;
use knockgate_compiler::random::Rng;
use knockgate_e2e::world::{self, OUTSIDE, own_address, syn};

use crate::able;

const SEED: u64 = 1;
const SCANS: usize = 5000;
/// Scans that are played side by side.
const PACED: usize = 2000;
/// More than any list gets.
const ROOM: usize = 10 * SCANS;
const KNOCKS: [u16; 3] = [2003, 2000, 2002];
/// The service, in no range that is scanned.
const SERVICE: u16 = 22;

/// One door, whose grants and bans outlast every scan.
fn policy(traps: &[u16], wrong: &str, window: &str) -> Policy {
    let list = |ports: &[u16]| format!("{:?}", ports.iter().map(|p| format!("{p}/tcp")).collect::<Vec<_>>());
    let traps = match traps {
        [] => String::new(),
        ports => {
            let ports = list(ports);
            format!("[traps]\nports = {ports}\nstrikes = 1\nmemory = '1d'\nban = '1d'\nban-max = '1d'\n")
        }
    };
    let text = format!(
        "outside = '{}'\nsources = {ROOM}\n{traps}[door.ssh]\nknock = {}\nopens = '{SERVICE}/tcp'\nwrong = '{wrong}'\nwindow = '{window}'\ngrant = '1d'\n",
        OUTSIDE[0],
        list(&KNOCKS),
    );
    let (policy, findings) = frontend::toml::parse(&text);
    policy.unwrap_or_else(|| panic!("{text}{findings:?}"))
}

fn gateway(policy: &Policy) -> Gateway {
    let ruleset = nft::print(&lower(policy)).expect("a policy");
    world::gateway(&ruleset.text).unwrap_or_else(|error| panic!("{error}"))
}

/// What an audit says of a sweep in random order, as fast as windows allow.
fn audited(policy: &Policy, sources: u32) -> f64 {
    let scan = Scan { order: Order::Random, tries: 1, rate: 1_000_000, sources };
    let shape = Shape::of(policy, &policy.doors()[0]);
    let found = chance(&shape, scan, &syn(source(0), 40_000, SERVICE), &mut Played::new(&lower(policy), 0));
    assert_eq!(found.how, How::Exact);
    found.probability
}

/// The address of a source, which has no other part in anything.
fn source(number: usize) -> IpAddr {
    let first = Ipv4Addr::new(198, 18, 0, 1).to_bits();
    Ipv4Addr::from_bits(first + u32::try_from(number).expect("few sources")).into()
}

fn touch(gateway: &Gateway, source: IpAddr, port: u16) {
    let packet = syn(source, 40_000, port);
    let bytes = wire::request(&packet, 1, own_address(&packet));
    gateway.send(OUTSIDE[0], &bytes).unwrap_or_else(|error| panic!("{error}"));
}

fn shuffled(rng: &mut Rng, ports: Range<u16>) -> Vec<u16> {
    let mut ports: Vec<u16> = ports.collect();
    rng.shuffle(&mut ports);
    ports
}

/// How many of these sources are let in.
fn opened(gateway: &Gateway, sources: Range<usize>) -> usize {
    let let_in = |number: &usize| {
        let packet = syn(source(*number), 50_000, SERVICE);
        let seen = gateway.play(&packet, 1, own_address(&packet)).unwrap_or_else(|error| panic!("{error}"));
        matches!(seen, Seen::LetIn(_))
    };
    sources.filter(let_in).count()
}

/// Plays scans of `ports`, one after another, each packet of them from any of `sharing` sources.
/// Returns how many scans have opened the door.
fn scan(gateway: &Gateway, ports: Range<u16>, sharing: usize) -> usize {
    let mut rng = Rng::new(SEED);
    for number in 0..SCANS {
        for port in shuffled(&mut rng, ports.clone()) {
            touch(gateway, source(number * sharing + rng.below(sharing)), port);
        }
    }
    opened(gateway, 0..SCANS * sharing)
}

fn expect_about(what: &str, chance: f64, opened: usize, scans: usize) {
    let expected = chance * scans as f64;
    let error = (expected * (1.0 - chance)).sqrt();
    let off = (opened as f64 - expected) / error;
    let told = format!(
        "{what}: {opened} of {scans} scans, {expected:.1} expected, {off:+.2} standard errors; seed {SEED}"
    );
    eprintln!("{told}");
    assert!(off.abs() <= 3.0, "{told}");
}

/// `n! / m!`, of `m` not less than `n`.
fn factorials(n: u32, m: u32) -> f64 {
    1.0 / (n + 1..=m).map(f64::from).product::<f64>()
}

#[test]
fn scans_open_a_door_that_ignores_wrong_knocks_as_often_as_computed() {
    if !able() {
        return;
    }
    let traps: [&[u16]; 3] = [&[], &[2001], &[2001, 2040]];
    for (count, traps) in (0..).zip(traps) {
        let policy = policy(traps, "ignore", "10m");
        // How many ports there are beside knocks and traps makes no difference.
        let chance = audited(&policy, 1);
        let counted = factorials(count, count + 3);
        assert!((chance / counted - 1.0).abs() < 1e-9, "{chance}, and {counted} by the formula");
        let opened = scan(&gateway(&policy), 2000..2048, 1);
        expect_about(&format!("{count} traps"), chance, opened, SCANS);
    }
}

#[test]
fn scans_open_a_door_that_resets_as_often_as_computed() {
    if !able() {
        return;
    }
    // The knocks stand together, in one of four places.
    let opened = scan(&gateway(&policy(&[], "reset", "10m")), 2000..2006, 1);
    expect_about("reset, six ports", factorials(4, 6), opened, SCANS);
}

#[test]
fn scans_shared_by_two_sources_open_a_door_as_often_as_computed() {
    if !able() {
        return;
    }
    let policy = policy(&[2001], "ignore", "10m");
    let opened = scan(&gateway(&policy), 2000..2048, 2);
    expect_about("two sources, one trap", audited(&policy, 2), opened, SCANS);
}

/// Between two packets of a paced scan.
const SLOT: Duration = Duration::from_millis(400);
/// How much later a packet may be sent: two slots still fit a window of a second, and three do not.
const LATE: Duration = Duration::from_millis(150);
const ATTEMPTS: usize = 5;

/// Plays scans of `ports` side by side, a packet of each in every slot. `None` if the machine is too
/// slow for it.
fn paced_scan(gateway: &Gateway, ports: Range<u16>) -> Option<usize> {
    let mut rng = Rng::new(SEED);
    let orders: Vec<Vec<u16>> = (0..PACED).map(|_| shuffled(&mut rng, ports.clone())).collect();
    let start = Instant::now();
    for slot in 0..ports.len() {
        let due = start + SLOT * u32::try_from(slot).expect("few ports");
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for (number, order) in orders.iter().enumerate() {
            touch(gateway, source(number), order[slot]);
        }
        if due.elapsed() > LATE {
            return None;
        }
    }
    Some(opened(gateway, 0..PACED))
}

#[test]
fn scans_too_slow_for_the_windows_open_a_door_as_often_as_computed() {
    if !able() {
        return;
    }
    let paced = || paced_scan(&gateway(&policy(&[], "ignore", "1s")), 2000..2008);
    let opened = (0..ATTEMPTS).find_map(|_| paced()).expect("a machine that is fast enough");
    // The first knock may be followed after one or two slots, and the second one too.
    let places: u32 = [2, 3, 3, 4].map(|span| 8 - span).iter().sum();
    expect_about("windows of two slots", f64::from(places) * factorials(5, 8), opened, PACED);
}
