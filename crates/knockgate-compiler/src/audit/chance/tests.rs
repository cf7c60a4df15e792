use std::collections::BTreeMap;

use super::*;
use crate::frontend;
use crate::lower::lower;
use crate::net::{Destination, Endpoint, Payload, TcpFlags};
use crate::policy::Policy;
use crate::random::Rng;
use layout::Touch;

const FAST: u32 = 100_000;

fn policy(doors: &str) -> Policy {
    let text = format!("outside = \"wan0\"\n{doors}");
    let (policy, findings) = frontend::toml::parse(&text);
    policy.unwrap_or_else(|| panic!("{findings:?}\n{text}"))
}

/// The first door of a policy.
fn shape(policy: &Policy) -> Shape {
    Shape::of(policy, &policy.doors()[0])
}

fn service() -> Packet {
    Packet {
        source: "198.51.100.7".parse().unwrap(),
        destination: Destination::Gateway,
        interface: "wan0".into(),
        payload: Payload::Tcp { from: 40_000, to: 22, flags: TcpFlags::SYN },
        size: 60,
        hop_limit: 64,
        fragment: false,
        extension_headers: false,
    }
}

/// A door with knocks and the rest, and traps that ban for a day.
fn door(knocks: &str, rest: &str, traps: &str) -> String {
    let traps = match traps {
        "" => String::new(),
        ports => format!("traps = {{ ports = [{ports}], ban = \"1d\", memory = \"1d\", strikes = 1 }}\n"),
    };
    format!("{traps}[door.a]\nopens = \"22/tcp\"\nknock = [{knocks}]\n{rest}\n")
}

const THREE: &str = r#""333/tcp", "777/tcp", "888/tcp""#;

fn traps(count: u32) -> String {
    (0..count).map(|index| format!("\"{}/tcp\", ", 40_000 + 7 * index)).collect()
}

fn random(tries: u8, rate: u32, sources: u32) -> Scan {
    Scan { order: Order::Random, tries, rate, sources }
}

fn chance_of(text: &str, scan: Scan) -> Chance {
    let policy = policy(text);
    let program = lower(&policy);
    chance(&shape(&policy), scan, &service(), &mut Played::new(&program, 1_000_000))
}

/// What playing scans as they come makes of it, whatever can be counted.
fn played(text: &str, scan: Scan, budget: u64) -> (f64, f64) {
    let policy = policy(text);
    let (shape, program) = (shape(&policy), lower(&policy));
    let case = Case::of(&shape, scan, Field::of(&shape, scan.order).unwrap());
    let found = case.drawn(&service(), &mut Played::new(&program, 16 * budget));
    let How::Played { error, .. } = found.how else { panic!("{found:?}") };
    assert!(error < found.probability / 2.0, "hardly any scan opens the door: {found:?}\n{text}");
    (found.probability, error)
}

fn assert_near(found: f64, expected: f64, part: f64, what: &str) {
    assert!((found - expected).abs() <= part * expected, "{what}: {found}, not {expected}");
}

fn assert_exact(text: &str, scan: Scan, expected: f64, part: f64) {
    let found = chance_of(text, scan);
    assert_eq!(found.how, How::Exact, "{found:?}\n{text}");
    assert_near(found.probability, expected, part, &format!("{scan:?}\n{text}"));
}

#[test]
fn where_wrong_knocks_do_nothing_a_sweep_opens_with_the_odds_of_the_order() {
    for (count, odds) in [(0, 6.0), (1, 24.0), (2, 60.0), (5, 336.0), (10, 1716.0)] {
        let text = door(THREE, "wrong = \"ignore\"\nwindow = \"30s\"", &traps(count));
        assert_exact(&text, random(1, FAST, 1), 1.0 / odds, 1e-9);
    }
}

#[test]
fn windows_lower_the_odds_of_slow_sweeps() {
    for (rate, count, odds) in [
        (1000, 0, 0.1136),
        (1000, 1, 0.0345),
        (1000, 2, 0.0150),
        (100, 0, 2.0e-3),
        (100, 1, 9.5e-4),
        (100, 2, 6.1e-4),
    ] {
        let text = door(THREE, "wrong = \"ignore\"\nwindow = \"30s\"", &traps(count));
        assert_exact(&text, random(1, rate, 1), odds, 0.02);
    }
}

#[test]
fn where_a_wrong_knock_takes_all_back_the_knocks_must_come_one_after_another() {
    let three = 65_535.0_f64 * 65_534.0;
    for wrong in ["reset", "cooldown 10s"] {
        let rest = format!("wrong = \"{wrong}\"");
        assert_exact(&door(THREE, &rest, ""), random(1, FAST, 1), 1.0 / three, 1e-9);
        assert_exact(&door(THREE, &rest, ""), random(1, 1000, 1), 1.0 / three, 1e-9);
        assert_exact(&door(THREE, &rest, &traps(1)), random(1, FAST, 1), 0.5 / three, 1e-9);
        // Twice as many packets, and two of each knock.
        let twice = 8.0 / (131_070.0_f64 * 131_069.0);
        let again = if wrong == "reset" { twice } else { twice / 2.0 };
        assert_exact(&door(THREE, &rest, ""), random(2, FAST, 1), again, 1e-4);
    }
}

#[test]
fn sources_that_share_a_sweep_seldom_have_all_knocks_from_one() {
    let keeping = |traps: &str| door(THREE, "wrong = \"ignore\"", traps);
    assert_exact(&keeping(""), random(1, FAST, 100), 1e-4 / 6.0, 1e-9);
    // A trap is the source's own once in a hundred.
    let odds = 1e-4 * (0.99 / 6.0 + 0.01 / 24.0);
    assert_exact(&keeping(&traps(1)), random(1, FAST, 100), odds, 1e-9);
    // Each source has some 655 of the others, in any order: the mean of 1 / (c + 3) (c + 2).
    let (others, mut mean) = (65_532.0, 0.0);
    let mut weight = 0.99_f64.powf(others);
    for own in (0..2000).map(f64::from) {
        mean += weight / ((own + 3.0) * (own + 2.0));
        weight *= (others - own) / (own + 1.0) / 99.0;
    }
    assert_exact(&door(THREE, "wrong = \"reset\"", ""), random(1, FAST, 100), 1e-4 * mean, 1e-6);
}

#[test]
fn ports_that_are_open_to_all_do_not_come_between() {
    let public: String = (0..200).map(|index| format!("\"{}/tcp\", ", 100 + index)).collect();
    let text = format!("public = [{public}]\n{}", door(THREE, "wrong = \"reset\"", &traps(1)));
    assert_exact(&text, random(1, FAST, 1), 0.5 / (65_335.0 * 65_334.0), 1e-9);
    let text = format!("public = [{public}]\n{}", door(THREE, "wrong = \"ignore\"", &traps(1)));
    assert_exact(&text, random(1, FAST, 1), 1.0 / 24.0, 1e-9);
}

#[test]
fn a_scan_that_leaves_a_knock_out_opens_nothing() {
    let thousand = Scan { order: Order::Thousand, ..random(1, 1000, 1) };
    let keeping = |knocks: &str| door(knocks, "wrong = \"ignore\"\nwindow = \"30s\"", "");
    assert_exact(&keeping(THREE), thousand, 0.0, 0.0);
    assert_exact(&keeping(r#""22/udp", "777/tcp", "888/tcp""#), thousand, 0.0, 0.0);
    assert_exact(&keeping(r#""ping/100", "777/tcp", "888/tcp""#), random(1, FAST, 1), 0.0, 0.0);
    assert_exact(&keeping(r#""777/tcp", "888/tcp", "777/tcp""#), random(1, FAST, 1), 0.0, 0.0);
    assert_exact(&keeping(r#""111/tcp", "777/tcp", "888/tcp""#), thousand, 1.0 / 6.0, 1e-9);
}

#[test]
fn ascending_sweeps_open_an_ascending_sequence_unless_a_trap_stands_before() {
    let article = r#"
        traps = { ports = "666/tcp", strikes = 1, ban = "16h40m" }
        [door.admin]
        knock = ["333/tcp", "777/tcp", "888/tcp"]
        opens = "22/tcp"
        window = "30s"
        wrong = "ignore"
    "#;
    assert_exact(article, random(1, FAST, 1), 1.0 / 24.0, 1e-9);
    for (order, rate, opens) in [
        (Order::Up, 1000, 0.0),
        (Order::UpWithoutTraps, 1000, 1.0),
        (Order::UpWithoutTraps, 10, 0.0),
        (Order::Down, 1000, 0.0),
    ] {
        assert_exact(article, Scan { order, ..random(1, rate, 1) }, opens, 0.0);
    }
    let down = article.replace("333", "999").replace("888", "700");
    assert_exact(&down, Scan { order: Order::Down, ..random(1, 1000, 1) }, 1.0, 0.0);
    let reset = article.replace("ignore", "reset");
    assert_exact(&reset, Scan { order: Order::UpWithoutTraps, ..random(1, 1000, 1) }, 0.0, 0.0);
    let row = reset.replace("333", "776").replace("888", "778");
    assert_exact(&row, Scan { order: Order::UpWithoutTraps, ..random(1, 1000, 1) }, 1.0, 0.0);
}

#[test]
fn what_is_played_agrees_with_what_is_counted() {
    let three = r#""533/tcp", "477/tcp", "588/tcp""#;
    let neighbourhood =
        |tries, rate, sources| Scan { order: Order::Neighbourhood, ..random(tries, rate, sources) };
    let near = r#""401/tcp", "690/tcp""#;
    let keeping = "wrong = \"ignore\"\nwindow = \"10s\"";
    let two = door(three, keeping, &format!("{near}, \"450/tcp\"")).replace("strikes = 1", "strikes = 2");
    let pair = r#""533/tcp", "477/tcp""#;
    for (text, scan) in [
        (door(THREE, keeping, ""), random(1, FAST, 1)),
        (door(THREE, keeping, &traps(3)), random(1, 1000, 1)),
        (door(THREE, keeping, &traps(2)), random(2, FAST, 1)),
        (door(three, keeping, near), neighbourhood(1, 20, 1)),
        (two.clone(), neighbourhood(1, 1000, 1)),
        (two, neighbourhood(2, 1000, 1)),
        (door(three, keeping, near), neighbourhood(1, 1000, 2)),
        (door(pair, "wrong = \"reset\"", near), neighbourhood(1, 1000, 1)),
        (door(pair, "wrong = \"reset\"", near), neighbourhood(1, 1000, 10)),
        (door(pair, "wrong = \"reset\"\nwindow = \"1s\"", ""), neighbourhood(1, 20, 20)),
        (door(pair, "wrong = \"cooldown 1m\"", near), neighbourhood(1, 1000, 10)),
        (door(pair, "wrong = \"cooldown 10s\"", near), neighbourhood(1, 1000, 1)),
        (door(pair, "wrong = \"cooldown 10s\"", near), neighbourhood(2, 1000, 1)),
    ] {
        let counted = chance_of(&text, scan);
        assert_eq!(counted.how, How::Exact, "{scan:?}\n{text}");
        let (found, error) = played(&text, scan, 60_000);
        let apart = (found - counted.probability).abs() / error;
        assert!(apart < 3.0, "{found} +- {error}, not {}: {scan:?}\n{text}", counted.probability);
    }
}

#[test]
fn where_bans_end_early_lucky_sweeps_have_the_odds_of_all() {
    let three = r#""533/tcp", "477/tcp", "588/tcp""#;
    let short = |text: String| {
        text.replace("ban = \"1d\", memory = \"1d\"", "ban = \"3s\", ban-max = \"6s\", memory = \"4s\"")
    };
    let scan = |sources| Scan { order: Order::Neighbourhood, ..random(1, 20, sources) };
    let near = r#""401/tcp", "690/tcp", "450/tcp""#;
    let keeping = door(three, "wrong = \"ignore\"\nwindow = \"5s\"", near);
    let strict = door(r#""533/tcp", "477/tcp""#, "wrong = \"reset\"", near);
    for (text, scan) in [
        (short(keeping.clone()), scan(1)),
        (short(keeping.replace("strikes = 1", "strikes = 2")), scan(1)),
        (short(keeping), scan(2)),
        (short(strict), scan(1)),
    ] {
        let lucky = chance_of(&text, scan);
        let How::Played { error: first, .. } = lucky.how else { panic!("{lucky:?}") };
        let (found, second) = played(&text, scan, 60_000);
        let apart = (found - lucky.probability).abs() / first.hypot(second);
        assert!(apart < 3.0, "{found} +- {second}, not {lucky:?}\n{text}");
    }
}

/// A scan of all ports in an order, packet by packet, and what is played of it.
#[test]
fn what_is_left_out_of_a_scan_changes_nothing() {
    let three = r#""433/tcp", "450/tcp", "437/tcp""#;
    let near = r#""420/tcp", "460/tcp""#;
    let mut opened = 0;
    for (index, wrong) in
        ["ignore", "reset", "cooldown 2s", "cooldown 3s", "cooldown 9s"].into_iter().enumerate()
    {
        let rest = format!("wrong = \"{wrong}\"\nwindow = \"4s\"");
        let text = format!("public = [\"440/tcp\", \"470/tcp\"]\n{}", door(three, &rest, near));
        let text = text.replace("ban = \"1d\"", "ban = \"2s\", ban-max = \"4s\"");
        let (policy, mut rng) = (policy(&text), Rng::new(index as u64));
        let (shape, program) = (shape(&policy), lower(&policy));
        let case = Case::of(
            &shape,
            Scan { order: Order::Neighbourhood, ..random(2, 1, 1) },
            Field::of(&shape, Order::Neighbourhood).unwrap(),
        );
        for round in 0..200 {
            let rate = [1, 3, 20, 1000][round % 4];
            let service = service();
            let target = Target { rate, ..case.target(&service) };
            let all = around(&mut rng, &case);
            let named: Vec<Touch> = all.iter().copied().filter(|touch| special(&case, touch.port)).collect();
            let opens =
                |target: &Target<'_>, touches: &[Touch]| Played::new(&program, 0).opens(target, touches);
            let whole = opens(&Target { filling: None, ..target }, &all);
            assert_eq!(opens(&target, &named), whole, "{wrong} at {rate}, round {round}: {named:?}");
            opened += usize::from(whole);
        }
    }
    assert!(opened > 30, "{opened} scans opened the door");
}

fn special(case: &Case<'_>, port: Endpoint) -> bool {
    let named = |ports: &[Endpoint]| ports.contains(&port);
    named(&case.field.knocks) || named(&case.field.traps) || case.shape.neutral.contains(&port)
}

/// Two packets to each of the ports, some of them with few packets between the knocks.
fn around(rng: &mut Rng, case: &Case<'_>) -> Vec<Touch> {
    let port = |number: u16| format!("{number}/tcp").parse::<Endpoint>().unwrap();
    let mut ports: Vec<Endpoint> = (333..=550).chain(333..=550).map(port).collect();
    rng.shuffle(&mut ports);
    let (start, apart) = (30 + rng.below(ports.len() - 70), 1 + rng.below(2));
    for (index, knock) in case.field.knocks.iter().enumerate() {
        if rng.chance(95) {
            let from = ports.iter().position(|port| port == knock).unwrap();
            ports.swap(from, start + apart * index);
        }
    }
    // The other first knock a little earlier: what it begins ends about when the rest comes.
    let again = ports.iter().rposition(|port| *port == case.field.knocks[0]).unwrap();
    ports.swap(again, start - 1 - rng.below(12));
    (0..).zip(ports).map(|(place, port)| Touch { place, port }).collect()
}

/// A sweep over a few ports, to be counted by hand.
fn few_ports(ports: u32, gaps: &[u32], quiet: u32) -> Sweep {
    Sweep { ports, gaps: gaps.to_vec(), strict: quiet > 0, quiet, traps: 0, strikes: 1, sources: 1 }
}

/// Each case came about as often as is its due.
fn assert_fair(found: &BTreeMap<Vec<u32>, u32>, due: &BTreeMap<Vec<u32>, f64>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), due.keys().collect::<Vec<_>>());
    let (draws, all) = (f64::from(found.values().sum::<u32>()), due.values().sum::<f64>());
    for (places, part) in due {
        let (share, times) = (part / all, f64::from(found[places]));
        let spread = (draws * share * (1.0 - share)).sqrt();
        assert!(
            (times - draws * share).abs() < 4.5 * spread,
            "{places:?}: {times} times, not {}",
            draws * share
        );
    }
}

fn drawn_places(case: &Case<'_>, sweep: &Sweep) -> BTreeMap<Vec<u32>, u32> {
    let (lucky, mut rng) = (Lucky::of(&case.field, sweep), Rng::new(7));
    let mut found = BTreeMap::new();
    for _ in 0..40_000 {
        let touches = lucky.draw(&mut rng);
        let place = |knock: &Endpoint| touches.iter().find(|touch| touch.port == *knock).unwrap().place;
        *found.entry(case.field.knocks.iter().map(place).collect()).or_default() += 1;
    }
    found
}

#[test]
fn lucky_sweeps_are_drawn_with_equal_odds() {
    let three = shape(&policy(&door(THREE, "", "")));
    let case = Case::of(&three, random(1, 1000, 1), Field::of(&three, Order::Random).unwrap());
    let mut due = BTreeMap::new();
    for (a, b, c) in (0..7).flat_map(|a| (0..7).flat_map(move |b| (0..7).map(move |c| (a, b, c)))) {
        if a < b && b < c && b - a <= 2 && c - b <= 3 {
            due.insert(vec![a, b, c], 1.0);
        }
    }
    let sweep = few_ports(7, &[2, 3], 0);
    assert_near(sweep.probability(), due.len() as f64 / (7.0 * 6.0 * 5.0), 1e-9, "seven ports");
    assert_fair(&drawn_places(&case, &sweep), &due);
}

#[test]
fn lucky_strict_sweeps_have_quiet_ports_between_as_often_as_they_come() {
    let text = format!("public = [\"80/tcp\", \"443/tcp\"]\n{}", door(r#""333/tcp", "777/tcp""#, "", ""));
    let two = shape(&policy(&text));
    let case = Case::of(&two, random(1, 1000, 1), Field::of(&two, Order::Random).unwrap());
    // Of the six ports two are quiet: none, one or both of them may be between the knocks.
    let mut due = BTreeMap::new();
    for (first, gap, ways) in (0..6).flat_map(|a| [(a, 1, 6.0), (a, 2, 3.0), (a, 3, 1.0)]) {
        if first + gap < 6 {
            due.insert(vec![first, first + gap], ways);
        }
    }
    let sweep = few_ports(6, &[5], 2);
    assert_near(sweep.probability(), due.values().sum::<f64>() / (6.0 * 6.0 * 5.0), 1e-9, "six ports");
    assert_fair(&drawn_places(&case, &sweep), &due);
}

#[test]
fn another_trap_or_window_never_helps_a_sweep() {
    for wrong in ["ignore", "reset", "cooldown 10s"] {
        let policy = policy(&door(THREE, &format!("wrong = \"{wrong}\""), &traps(1)));
        let curves = curves(&shape(&policy), &mut Played::new(&lower(&policy), 0));
        assert_eq!(curves.iter().map(|curve| curve.rate).collect::<Vec<_>>(), RATES);
        for curve in &curves {
            assert_eq!(curve.by_traps.len(), 11);
            assert!(curve.by_traps.is_sorted_by(|fewer, more| fewer > more), "{wrong}: {curve:?}");
        }
        assert!(curves.is_sorted_by(|fast, slow| fast.by_traps[3] >= slow.by_traps[3]), "{wrong}");
    }
}

#[test]
fn sixteen_knocks_and_sixty_four_traps_are_counted_too() {
    let knocks: String = (0..16).map(|index| format!("\"{}/tcp\", ", 2000 + index * 37)).collect();
    let text = door(&knocks, "wrong = \"ignore\"", &traps(64));
    // 64! 16! / 80! / 16!
    let odds: f64 = (65..=80).map(|n| 1.0 / f64::from(n)).product();
    assert_exact(&text, random(1, FAST, 1), odds, 1e-6);
}

#[test]
fn the_same_door_has_the_same_numbers_each_time() {
    let text = door(THREE, "wrong = \"ignore\"", &traps(3)).replace("1d", "60s");
    let numbers = || {
        let policy = policy(&text);
        chances(&shape(&policy), &service(), &mut Played::new(&lower(&policy), 200_000))
    };
    let found = numbers();
    assert_eq!(found, numbers());
    assert_eq!(found.len(), TOLD.len());
}
