//! How many packets a second the simulator plays.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Context;
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::net::{Destination, Packet, Payload, TcpFlags};
use knockgate_compiler::sim::Simulator;
use knockgate_compiler::time::Moment;

use crate::report::Report;

const PACKETS: u32 = 1_000_000;
const ROUNDS: usize = 9;

const POLICY: &str = r#"
    outside = "wan0"
    traps = { ports = ["666/tcp", "23/tcp"] }
    [door.ssh]
    knock = ["333/tcp", "777/tcp", "888/tcp"]
    opens = "22/tcp"
"#;

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    let (policy, _) = frontend::toml::parse(POLICY);
    let program = lower(&policy.context("the policy of the benchmark is sound")?);
    report.heading("Simulator");
    report.line("Packets a second on one core, through a door of three knocks with two traps.\n");
    report.line("| packets | a second (median) | a packet |\n|---|---|---|");
    for (what, packet) in [
        ("a sweep by one source", sweep as fn(u32) -> Packet),
        ("first knocks of ever new sources", flood),
        ("one owner knocking and connecting", owner),
    ] {
        let mut times = vec![];
        for _ in 0..report.rounds(ROUNDS) {
            let packets: Vec<Packet> = (0..PACKETS).map(packet).collect();
            let mut simulator = Simulator::new(&program);
            let start = Instant::now();
            for (index, packet) in (0u64..).zip(&packets) {
                // A thousand packets a millisecond, so that little expires and lists fill.
                std::hint::black_box(simulator.play(Moment::from_millis(index / 1000), packet));
            }
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        let rate = f64::from(PACKETS) / median.as_secs_f64() / 1e6;
        report.line(&format!(
            "| {what} | {rate:.1} million | {:.0?} |",
            Duration::from_nanos(nanos_each(median))
        ));
    }
    report.line("");
    Ok(())
}

fn nanos_each(total: Duration) -> u64 {
    u64::try_from(total.as_nanos() / u128::from(PACKETS)).unwrap_or(u64::MAX)
}

fn syn(source: Ipv4Addr, to: u16, flags: TcpFlags) -> Packet {
    Packet {
        source: source.into(),
        destination: Destination::Gateway,
        interface: "wan0".into(),
        payload: Payload::Tcp { from: 40_000, to, flags },
        size: 40,
        hop_limit: 64,
        fragment: false,
        extension_headers: false,
    }
}

fn sweep(index: u32) -> Packet {
    let port = u16::try_from(1 + index % 65_535).unwrap_or(1);
    syn(Ipv4Addr::new(203, 0, 113, 66), port, TcpFlags::SYN)
}

fn flood(index: u32) -> Packet {
    syn(Ipv4Addr::from_bits(0x0b00_0000 + index), 333, TcpFlags::SYN)
}

fn owner(index: u32) -> Packet {
    let source = Ipv4Addr::new(198, 51, 100, 10);
    match index % 5 {
        0 => syn(source, 333, TcpFlags::SYN),
        1 => syn(source, 777, TcpFlags::SYN),
        2 => syn(source, 888, TcpFlags::SYN),
        3 => syn(source, 22, TcpFlags::SYN),
        _ => syn(source, 22, TcpFlags::ACK),
    }
}
