//! Audits made by hand, for tests.

use knockgate_compiler::audit::chance::{Chance, Curve, How, Order, Scan};
use knockgate_compiler::audit::cost::{Attack, Duration};
use knockgate_compiler::audit::{
    Advice, Audit, Beat, Claim, Door, Exposed, Fill, Finding, Hits, Level, Lockout, Risk, Shape, Step,
    Trapping, WayIn,
};
use knockgate_compiler::diag::{Code, Span};
use knockgate_compiler::net::{Endpoint, Transport};
use knockgate_compiler::policy::{Knock, Wrong};
use knockgate_compiler::sim::Fate;
use knockgate_compiler::time::Lifetime;

/// The policy that [`audit`] is of.
pub const POLICY: &str = r#"outside = "wan0"
public = "443/tcp"

[traps]
ports = "666/tcp"
strikes = 1

[door.admin]
knock = ["333/tcp", "777/tcp", "888/tcp"]
opens = ["8291/tcp", "22/tcp"]
window = "30s"
wrong = "ignore"

[door.files]
knock = ["7313/tcp", "24877/udp", "11090/tcp", "ping/613", "51120/tcp", "40111/udp"]
opens = "445/tcp"
wrong = "cooldown 10s"
"#;

/// Two doors of very different strength.
pub fn audit() -> Audit {
    Audit {
        doors: vec![admin(), files()],
        exposed: vec![Exposed {
            packets: "443/tcp".to_owned(),
            ports: 1,
            rule: "public ports".to_owned(),
            span: span_of("443/tcp"),
            meant: true,
            claim: claim("443/tcp is open to everybody", &["443/tcp"], Fate::Accept),
        }],
        fills: vec![Fill {
            list: "stages".to_owned(),
            capacity: 65_536,
            stays: seconds(30),
            packet: "333/tcp".to_owned(),
            entries: 1,
            rate: 65_536.0 / 30.0,
            means: "Nobody who is not knocking yet can begin".to_owned(),
        }],
        findings: vec![],
        limits: vec!["what answers behind the doors".to_owned()],
    }
}

/// `count` doors that differ in name alone.
pub fn many(count: usize) -> Audit {
    let doors = (0..count).map(|index| Door { name: format!("door-{index}"), ..files() });
    Audit { doors: doors.collect(), ..audit() }
}

/// A door with these knocks and nothing else to say of it.
pub fn shaped(name: &str, knocks: &[&str], wrong: Wrong, strikes: u32) -> Door {
    Door { shape: Some(shape(knocks, wrong, strikes)), ..bare(name) }
}

/// A door that only its cheapest way in is known of.
pub fn stepped(name: &str, packets: &[&str]) -> Door {
    let step = |packet: &&str| Step {
        packet: (*packet).to_owned(),
        what: "a rule without a comment".to_owned(),
        width: 1,
        after: Some(seconds(5)),
    };
    let claim = claim("it opens", packets, Fate::Accept);
    Door { way_in: WayIn::Steps { steps: packets.iter().map(step).collect(), claim }, ..bare(name) }
}

/// An audit of nothing but these doors.
pub fn only(doors: Vec<Door>) -> Audit {
    Audit { doors, exposed: vec![], fills: vec![], findings: vec![], limits: vec![] }
}

fn bare(name: &str) -> Door {
    Door {
        name: name.to_owned(),
        span: None,
        services: vec!["22/tcp".to_owned()],
        shape: None,
        level: Level::Hidden,
        way_in: WayIn::Never,
        chances: vec![],
        curves: vec![],
        attack: None,
        lockouts: vec![],
        company: vec![],
        listener: vec![],
        findings: vec![],
        advice: vec![],
    }
}

fn admin() -> Door {
    let knocks = ["333/tcp", "777/tcp", "888/tcp"];
    let way = ["333/tcp", "777/tcp", "888/tcp", "22/tcp"];
    Door {
        span: span_of("door.admin"),
        services: vec!["8291/tcp".to_owned(), "22/tcp".to_owned()],
        way_in: WayIn::Steps {
            steps: knocks.iter().enumerate().map(step).collect(),
            claim: claim("three knocks open door admin", &way, Fate::Accept),
        },
        chances: admin_chances(),
        curves: vec![
            curve(None, |traps| 6.0 / ((traps + 1.0) * (traps + 2.0) * (traps + 3.0) * 6.0)),
            curve(Some(1000), |traps| 0.1136 / (traps * 2.3 + 1.0)),
            curve(Some(100), |traps| 2.0e-3 / (traps * 1.1 + 1.0)),
        ],
        attack: Some(admin_attack()),
        lockouts: vec![Lockout {
            how: "anybody who sends one packet to the trap in the owner's name".to_owned(),
            packets: 1,
            lasts: Some(seconds(60)),
            hits: Hits::Knocking,
            between: false,
            claim: claim(
                "a ban keeps the knocks from opening",
                &["666/tcp", "333/tcp", "777/tcp", "888/tcp", "22/tcp"],
                Fate::Drop,
            ),
        }],
        company: vec!["everybody behind the same address, for 30s".to_owned()],
        listener: vec![
            "all knocks and what they open, from one knocking; they can be sent again at any time".to_owned(),
        ],
        findings: admin_findings(),
        advice: vec![
            Advice {
                edit: "`wrong = \"reset\"`".to_owned(),
                gives: "a random sweep opens it with 2.3e-10 instead of 1 in 24".to_owned(),
            },
            Advice { edit: "two more traps".to_owned(), gives: "1 in 120 instead of 1 in 24".to_owned() },
        ],
        shape: Some(shape(&knocks, Wrong::Ignore, 1)),
        ..bare("admin")
    }
}

fn admin_findings() -> Vec<Finding> {
    let finding = |code, risk, says: &str, place| Finding {
        code,
        risk,
        says: says.to_owned(),
        span: span_of(place),
        claim: None,
    };
    let sweep = ["333/tcp", "334/tcp", "777/tcp", "888/tcp", "22/tcp"];
    vec![
        Finding {
            claim: Some(claim("ports from 1 up without the trap open it", &sweep, Fate::Accept)),
            ..finding(
                Code::Ascending,
                Risk::High,
                "a sweep from 1 up that leaves out the trap opens it, always",
                "[\"333",
            )
        },
        finding(
            Code::WrongIgnored,
            Risk::Medium,
            "wrong knocks cost nothing, so three sweeps open it",
            "wrong = \"ig",
        ),
        finding(Code::OneStrike, Risk::Medium, "one packet in the owner's name bans the owner", "strikes"),
        finding(Code::FewKnocks, Risk::Low, "all knocks are below 1024, where scans look first", "[\"333"),
    ]
}

fn admin_chances() -> Vec<Chance> {
    let row = |order, tries, rate, sources, probability| Chance {
        scan: Scan { order, tries, rate, sources },
        probability,
        how: How::Exact,
    };
    vec![
        row(Order::Up, 1, 1000, 1, 0.0),
        row(Order::Down, 1, 1000, 1, 0.0),
        row(Order::UpWithoutTraps, 1, 1000, 1, 1.0),
        row(Order::Random, 1, 100, 1, 9.5e-4),
        row(Order::Random, 1, 1000, 1, 0.0345),
        row(Order::Random, 1, 100_000, 1, 1.0 / 24.0),
        Chance {
            how: How::Played { scans: 20_000, error: 0.0013 },
            ..row(Order::Random, 2, 1000, 1, 0.0312)
        },
        row(Order::Random, 1, 1000, 100, 3.5e-6),
        row(Order::Random, 1, 100_000, 100, 4.2e-6),
        row(Order::Thousand, 1, 1000, 1, 0.0417),
        row(Order::Neighbourhood, 1, 1000, 1, 0.0417),
    ]
}

fn admin_attack() -> Attack {
    let time = |rate, attackers, seconds| Duration { rate, attackers, seconds };
    Attack {
        informed: 4,
        certain: 196_605.0,
        likely: 98_302.5,
        needs_rate: Some(4369.0),
        sources: 9.48,
        with_traps: 1_397_900.0,
        times: vec![
            time(1000, 1, 1906.4),
            time(100_000, 1, 522.0),
            time(1_000_000, 1, 509.2),
            time(1000, 100_000, 1398.0),
            time(100_000, 100_000, 14.0),
            time(1_000_000, 100_000, 1.4),
        ],
        how: "As many sweeps as there are knocks, each over three quarters of the ports, then from another address."
            .to_owned(),
    }
}

fn files() -> Door {
    let knocks = ["7313/tcp", "24877/udp", "11090/tcp", "ping/613", "51120/tcp", "40111/udp"];
    let scan = Scan { order: Order::Random, tries: 1, rate: 1000, sources: 1 };
    Door {
        span: span_of("door.files"),
        services: vec!["445/tcp".to_owned()],
        shape: Some(shape(&knocks, Wrong::Cooldown(seconds(10)), 2)),
        way_in: WayIn::NotFound { states: 200_000 },
        chances: vec![Chance { scan, probability: 0.0, how: How::Exact }],
        attack: Some(Attack {
            informed: 7,
            certain: 8.1e28,
            likely: 4.0e28,
            needs_rate: None,
            sources: 1.0,
            with_traps: 8.1e28,
            times: vec![
                Duration { rate: 1000, attackers: 1, seconds: 8.1e25 },
                Duration { rate: 1_000_000, attackers: 1, seconds: 8.1e22 },
            ],
            how: "Every sequence in turn, each after the wait that the one before it cost.".to_owned(),
        }),
        ..bare("files")
    }
}

fn shape(knocks: &[&str], wrong: Wrong, strikes: u32) -> Shape {
    let beat = |knock: &&str| Beat { knock: self::knock(knock), window: seconds(30) };
    let traps = Trapping {
        ports: ["666/tcp", "6666/tcp", "667/tcp"]
            .iter()
            .take(strikes as usize)
            .map(|port| endpoint(port))
            .collect(),
        strikes,
        memory: seconds(600),
        ban: seconds(60),
        ban_max: seconds(600),
    };
    Shape {
        knocks: knocks.iter().map(beat).collect(),
        wrong,
        traps: (strikes > 0).then_some(traps),
        neutral: [endpoint("443/tcp")].into(),
        counted: vec![Transport::Tcp],
        grant: seconds(30),
    }
}

fn step((index, packet): (usize, &&str)) -> Step {
    Step {
        packet: (*packet).to_owned(),
        what: format!("knock {} of door admin", index + 1),
        width: 1,
        after: None,
    }
}

fn curve(rate: Option<u32>, probability: impl Fn(f64) -> f64) -> Curve {
    Curve { rate, by_traps: (0..=10).map(|traps| probability(f64::from(traps))).collect() }
}

fn claim(says: &str, packets: &[&str], fate: Fate) -> Claim {
    let lines = packets.iter().enumerate();
    let trace = lines.map(|(second, packet)| format!("{second}s 198.51.100.7 {packet}\n")).collect();
    Claim { says: says.to_owned(), trace, fate }
}

fn span_of(words: &str) -> Option<Span> {
    let start = POLICY.find(words)?;
    Some(Span { start, end: start + words.len() })
}

fn knock(text: &str) -> Knock {
    match text.strip_prefix("ping/") {
        Some(data) => Knock::Ping(data.parse().expect("a number")),
        None => Knock::Port(endpoint(text)),
    }
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

fn seconds(seconds: u64) -> Lifetime {
    Lifetime::from_secs(seconds)
}
