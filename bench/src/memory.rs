//! What a source that has begun costs in memory.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::figure::Spread;
use crate::frame::{Kind, SMALL};
use crate::lane::{GATEWAY, Lane, to_port};
use crate::owner::UDP_SERVICE;
use crate::report::Report;
use crate::rules::{self, Rules};
use crate::sender::{Sender, Traffic};

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 32, 0, 0);
/// Room for as many as are tried.
const ROOM: &str = "1100000";
/// So many sources at each of so many gateways. What else goes on in the kernel is the less the more
/// there are of them together.
type Size = (u32, usize);

const SIZES: [Size; 3] = [(10_000, 20), (100_000, 3), (1_000_000, 1)];

/// What a source may cost.
const MOST: f64 = 115.0;

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    let rounds = report.rounds(5);
    let sizes: &[Size] = if report.quick { &SIZES[1..2] } else { &SIZES };
    report.heading("Memory");
    report.line(
        "Bytes of kernel memory for a source that has made a first knock, beyond those of the ruleset: what \
         `SUnreclaim`, `VmallocUsed` and `Percpu` of `/proc/meminfo` grow by while packets fill the set, in gateways in \
         turn.\n",
    );
    report.line("| sources | Knockgate | by hand |\n|---|---|---|");
    let by_hand = rules::BY_HAND.replace("65536", ROOM).replace("timeout 30s", "timeout 10m");
    let ours = rules::policy(1, &format!("sources = {ROOM}")).replace("window = \"30s\"", "window = \"10m\"");
    let kinds = [Rules::Policy(ours), Rules::Nft(by_hand)];
    let mut last = None;
    for &(sources, gateways) in sizes {
        let mut samples = [vec![], vec![]];
        // The kernel gives back what a gateway had some time after its end, so none ends in between.
        let mut lanes = vec![];
        at_rest()?;
        for _ in 0..rounds {
            for (rules, samples) in kinds.iter().zip(&mut samples) {
                let (filled, bytes) = measure(rules, sources, gateways)?;
                lanes.extend(filled);
                samples.push(bytes);
            }
        }
        drop(lanes);
        let [ours, by_hand] = samples.map(Spread::of);
        report.line(&format!("| {sources} | {ours} | {by_hand} |"));
        last = Some((sources, ours));
    }
    report.line("");
    if let Some((sources, ours)) = last {
        let what = format!("bytes a source, with {sources}");
        let measured = format!("{:.0}", ours.median);
        report.target(&what, &format!("at most {MOST:.0}"), &measured, ours.median <= MOST);
    }
    Ok(())
}

/// Bytes for each of so many sources, and the gateways that hold them.
fn measure(rules: &Rules, sources: u32, gateways: usize) -> anyhow::Result<(Vec<Filled>, f64)> {
    let mut filled = vec![];
    for _ in 0..gateways {
        filled.push(Filled::new(rules)?);
    }
    let before = kernel_memory()?;
    filled.iter_mut().try_for_each(|gateway| gateway.fill(sources))?;
    let after = kernel_memory()?;
    filled.iter_mut().try_for_each(|gateway| gateway.has(sources))?;
    Ok((filled, (after - before) / (f64::from(sources) * gateways as f64)))
}

/// A gateway at which sources begin.
struct Filled {
    lane: Lane,
    sender: Sender,
    service: UdpSocket,
}

impl Filled {
    fn new(rules: &Rules) -> anyhow::Result<Self> {
        let lane = Lane::new()?;
        rules.load(&lane.cable.gateway)?;
        let service = lane.cable.gateway.run(|| UdpSocket::bind((GATEWAY, UDP_SERVICE)))?;
        service.set_nonblocking(true)?;
        let sender = lane.cable.sender(1)?;
        let mut new = Self { lane, sender, service };
        // What every gateway needs once is there before it is counted.
        new.send(&to_port(Kind::Syn, Ipv4Addr::new(10, 31, 0, 0), 1, 333), 1)?;
        Ok(new)
    }

    fn send(&mut self, traffic: &Traffic, packets: u32) -> anyhow::Result<()> {
        self.lane.calmly(&mut self.sender, traffic, packets.into())
    }

    fn fill(&mut self, sources: u32) -> anyhow::Result<()> {
        self.send(&to_port(Kind::Syn, FIRST, sources, 333), sources)
    }

    /// Makes sure that the last one is there: they can go on from where they are.
    fn has(&mut self, sources: u32) -> anyhow::Result<()> {
        let last = Ipv4Addr::from_bits(FIRST.to_bits() + sources - 1);
        for knock in [777, 888] {
            self.send(&to_port(Kind::Syn, last, 1, knock), 1)?;
        }
        self.send(&to_port(SMALL, last, 1, UDP_SERVICE), 1)?;
        let mut buffer = [0; 64];
        self.service.recv(&mut buffer).context("not every source found room")?;
        Ok(())
    }
}

/// Waits until the kernel has given back what earlier gateways had, or has had long enough.
fn at_rest() -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut before, mut calm) = (kernel_memory()?, 0);
    while calm < 10 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
        let now = kernel_memory()?;
        calm = if now > before - 100_000.0 { calm + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

/// Bytes that the kernel holds for itself.
fn kernel_memory() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let mut sum = 0.0;
    for name in ["SUnreclaim:", "VmallocUsed:", "Percpu:"] {
        let row = text.lines().find_map(|line| line.strip_prefix(name));
        let row = row.with_context(|| format!("no {name} in /proc/meminfo"))?;
        sum += row.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0;
    }
    Ok(sum)
}
