//! Whether the owner gets in while others send what they can.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::figure::Spread;
use crate::frame::Kind;
use crate::gate::{Gate, Kin};
use crate::lane::{Lane, keep_to_the_sender, to_port};
use crate::open::millis;
use crate::owner::Owner;
use crate::plot::{Bars, Group};
use crate::report::Report;
use crate::sender::{Order, Traffic};
use crate::service::Service;

const KINS: [Kin; 7] = [
    Kin::Knockgate,
    Kin::KnockgateRoomy,
    Kin::ByHand,
    Kin::ByHandRoomy,
    Kin::Recent,
    Kin::Knockd,
    Kin::Fwknopd,
];
const RATES: [u32; 4] = [2_500, 10_000, 50_000, 200_000];
/// Pauses between the owner's knocks, in milliseconds.
const PAUSES: [u64; 2] = [10, 1000];
/// From one try to the next.
const STAGGER: Duration = Duration::from_millis(250);
/// Longer than the second after which a client's kernel repeats its SYN.
const PATIENCE: Duration = Duration::from_millis(2500);

/// What is sent besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    Ports,
    FirstKnocks,
}

impl Flood {
    fn words(self) -> &'static str {
        match self {
            Self::Ports => "any ports",
            Self::FirstKnocks => "first knocks",
        }
    }

    fn traffic(self, kin: Kin) -> Traffic {
        match self {
            Self::Ports => {
                let any = to_port(Kind::Syn, Ipv4Addr::new(10, 16, 0, 0), 1 << 20, 1);
                Traffic { order: Order::ByChance, to: 1..=u16::MAX, ..any }
            }
            Self::FirstKnocks => kin.first_knocks(),
        }
    }
}

/// How the owner fared in a flood.
struct Cell {
    kin: Kin,
    flood: Flood,
    rate: u32,
    /// Packets a second that were sent, and how many of a hundred did not fit onto the cable.
    sent: f64,
    lost: f64,
    /// For each of [`PAUSES`].
    tries: Vec<Tries>,
}

struct Tries {
    pause: u64,
    all: usize,
    /// What the connections took that came about, in milliseconds.
    times: Vec<f64>,
}

impl Tries {
    fn percent(&self) -> f64 {
        self.times.len() as f64 * 100.0 / self.all as f64
    }
}

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    let (tries, rates) = if report.quick { (4, &RATES[2..3]) } else { (20, &RATES[..]) };
    let mut cells = vec![];
    for flood in [Flood::Ports, Flood::FirstKnocks] {
        for &rate in rates {
            eprintln!("  {} at {rate}/s", flood.words());
            for kin in KINS {
                cells.push(measure(kin, flood, rate, tries)?);
            }
        }
    }
    tell(report, &cells, tries);
    for (flood, name) in [(Flood::Ports, "floods-ports"), (Flood::FirstKnocks, "floods-first")] {
        plot(report, &cells, flood, name);
    }
    Ok(())
}

fn measure(kin: Kin, flood: Flood, rate: u32, tries: u32) -> anyhow::Result<Cell> {
    let lane = Lane::new()?;
    let _service = Service::start(&lane.cable)?;
    let gate = Gate::open(kin, &lane.cable)?;
    let owners = owners(&lane, &gate, tries)?;
    let (_, lost_before) = lane.dealt_with()?;
    let start = Instant::now();
    let (outcomes, sent) = in_a_flood(&lane, &flood.traffic(kin), rate, owners)?;
    let took = start.elapsed().as_secs_f64();
    let (_, lost) = lane.dealt_with()?;
    let of = |pause| {
        let mine = || outcomes.iter().filter(move |(of, _)| *of == pause);
        Tries {
            pause,
            all: mine().count(),
            times: mine().filter_map(|(_, time)| *time).map(millis).collect(),
        }
    };
    Ok(Cell {
        kin,
        flood,
        rate,
        sent: sent as f64 / took,
        lost: (lost - lost_before) as f64 * 100.0 / (sent as f64).max(1.0),
        tries: PAUSES.map(of).into(),
    })
}

/// So many with each pause, all at addresses of their own; with the place of each in the order.
fn owners(lane: &Lane, gate: &Gate, tries: u32) -> anyhow::Result<Vec<(u64, u32, Owner)>> {
    let first = Ipv4Addr::new(10, 200, 1, 0).to_bits();
    let mut owners = vec![];
    for source in (first..).map(Ipv4Addr::from_bits).take(usize::try_from(tries)? * PAUSES.len()) {
        let number = u32::try_from(owners.len() / PAUSES.len())?;
        let pause = PAUSES[owners.len() % PAUSES.len()];
        owners.push((pause, number, Owner::at(&lane.cable, source, gate.words(source)?)?));
    }
    Ok(owners)
}

/// A pause, and what the connection took that came about after knocks with it.
type Outcome = (u64, Option<Duration>);

/// How the owners fare, and how many packets were sent meanwhile.
fn in_a_flood(
    lane: &Lane,
    traffic: &Traffic,
    rate: u32,
    owners: Vec<(u64, u32, Owner)>,
) -> anyhow::Result<(Vec<Outcome>, u64)> {
    let mut sender = lane.cable.sender(1)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            keep_to_the_sender()?;
            sender.send_until(traffic, rate, &stop)
        });
        let trying: Vec<_> = owners
            .into_iter()
            .map(|(pause, number, owner)| scope.spawn(move || try_once(owner, pause, number)))
            .collect();
        let ended: Vec<_> = trying.into_iter().map(thread::ScopedJoinHandle::join).collect();
        // Before anything can fail, or the flood would never end.
        stop.store(true, Ordering::Relaxed);
        let sent = flooding.join().expect("sending does not panic")?;
        let outcomes = ended.into_iter().map(|outcome| outcome.expect("a try does not panic"));
        Ok((outcomes.collect::<anyhow::Result<Vec<_>>>()?, sent))
    })
}

fn try_once(mut owner: Owner, pause: u64, number: u32) -> anyhow::Result<Outcome> {
    thread::sleep(STAGGER * number);
    owner.say_all(Duration::from_millis(pause))?;
    Ok((pause, owner.connect(PATIENCE)?))
}

fn tell(report: &mut Report, cells: &[Cell], tries: u32) {
    report.heading("The owner in a flood");
    report.line(&format!(
        "Somebody sends packets from a million forged sources: to any ports, or first knocks (to fwknopd: datagrams as \
         long as its own). {tries} owners in turn knock, with 10 ms or with 1 s between knocks, and connect at \
         once. How many got in within {} s, and what their connections took in ms. *Lost*: packets of the flood that \
         found the cable full; an owner's may be among them then. A first knock is remembered for 30 s, so that lists with room \
         for 65,536 sources, which is the default, are full soon; other lists have room for all of the flood.\n",
        PATIENCE.as_secs_f64()
    ));
    report.line("| flood | a second | | lost | 10 ms: in | took, ms | 1 s: in | took, ms |\n|---|---|---|---|---|---|---|---|");
    for cell in cells {
        let columns: Vec<_> = cell.tries.iter().map(columns).collect();
        report.line(&format!(
            "| {} | {:.0} | {} | {:.0} % | {} |",
            cell.flood.words(),
            cell.sent,
            cell.kin.name(),
            cell.lost,
            columns.join(" | ")
        ));
    }
    report.line("");
}

fn columns(tries: &Tries) -> String {
    let time =
        if tries.times.is_empty() { "–".to_owned() } else { Spread::of(tries.times.clone()).to_string() };
    format!("{:.0} % | {time}", tries.percent())
}

fn plot(report: &mut Report, cells: &[Cell], flood: Flood, name: &str) {
    let mine: Vec<_> = cells.iter().filter(|cell| cell.flood == flood).collect();
    let mut groups = vec![];
    for &rate in RATES.iter().filter(|rate| mine.iter().any(|cell| cell.rate == **rate)) {
        for pause in PAUSES {
            let bar = |kin| {
                let cell = mine.iter().find(|cell| cell.kin == kin && cell.rate == rate)?;
                let tries = cell.tries.iter().find(|tries| tries.pause == pause)?;
                let percent = tries.percent();
                Some(Spread { low: percent, median: percent, high: percent })
            };
            groups.push(Group { name: format!("{rate}/s, {pause} ms"), bars: KINS.map(bar).into() });
        }
    }
    let bars = Bars {
        title: match flood {
            Flood::Ports => "Owners who get in during a flood to any ports",
            Flood::FirstKnocks => "Owners who get in during a flood of first knocks",
        },
        unit: "%",
        series: KINS.iter().map(|kin| kin.name().to_owned()).collect(),
        groups,
        logarithmic: false,
    };
    report.plot(name, &bars);
}
