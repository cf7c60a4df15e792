//! How long an audit takes.

use std::fmt::Write;
use std::time::Instant;

use anyhow::Context;
use knockgate_compiler::audit::{Subject, audit};
use knockgate_compiler::frontend::{self, rsc};
use knockgate_compiler::lower::lower;
use knockgate_compiler::random::Rng;

use crate::figure::Times;
use crate::report::Report;

const DOORS: usize = 100;
const ROUNDS: usize = 7;

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    report.heading("Audit");
    report.line(&format!(
        "Policies of {DOORS} doors of three knocks, with three traps; and a RouterOS script.\n"
    ));
    report.line("| what | time |\n|---|---|");
    for wrong in ["reset", "ignore", "cooldown 10s"] {
        let (policy, _) = frontend::toml::parse(&policy(wrong)?);
        let policy = policy.context("a policy")?;
        let program = lower(&policy);
        let time = measure(report.rounds(ROUNDS), &Subject { program: &program, policy: Some(&policy) });
        report.line(&format!("| `wrong = \"{wrong}\"` | {time} |"));
    }
    let script = script()?;
    let rules = script.lines().filter(|line| line.contains("chain=")).count();
    let reading = rsc::read(&script, &rsc::translate::Options::default());
    let program = reading.program.context("a program")?;
    let time = measure(report.rounds(ROUNDS), &Subject { program: &program, policy: None });
    report.line(&format!("| a script of {rules} rules, 20 doors in it | {time} |\n"));
    Ok(())
}

fn measure(rounds: usize, subject: &Subject<'_>) -> Times {
    let time = |_| {
        let start = Instant::now();
        std::hint::black_box(audit(subject));
        start.elapsed()
    };
    Times::of((0..rounds).map(time).collect())
}

fn policy(wrong: &str) -> Result<String, std::fmt::Error> {
    let mut text = String::from("outside = 'eth0'\n[traps]\nports = ['8/tcp', '23/tcp', '31512/tcp']\n");
    let mut ports: Vec<u16> = (1024..31_000).collect();
    Rng::new(1).shuffle(&mut ports);
    for (number, knocks) in ports.chunks(3).take(DOORS).enumerate() {
        let [a, b, c] = knocks else { continue };
        writeln!(text, "[door.d{number}]\nknock = ['{a}/tcp', '{b}/tcp', '{c}/tcp']")?;
        writeln!(text, "opens = '{}/tcp'\nwrong = '{wrong}'", 40_000 + number)?;
    }
    Ok(text)
}

/// Doors, traps, and what else stands in an export: hosts behind, networks of friends and of foes.
fn script() -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "/ip firewall filter\nadd chain=input action=accept connection-state=established,related\n",
    );
    let mut add = |line: std::fmt::Arguments<'_>| writeln!(text, "add in-interface=ether1 {line}");
    add(format_args!("chain=input action=drop src-address-list=bad"))?;
    let mut ports: Vec<u16> = (1024..30_000).collect();
    Rng::new(2).shuffle(&mut ports);
    for (door, knocks) in ports.chunks(3).take(20).enumerate() {
        let mut before = String::new();
        for (stage, knock) in knocks.iter().enumerate() {
            let list = format!("door{door}-{}", stage + 1);
            add(format_args!(
                "chain=input action=add-src-to-address-list address-list={list} address-list-timeout=10s protocol=tcp dst-port={knock}{before}"
            ))?;
            before = format!(" src-address-list={list}");
        }
        add(format_args!("chain=input action=accept protocol=tcp dst-port={}{before}", 5000 + door))?;
    }
    for trap in 0..30 {
        add(format_args!(
            "chain=input action=add-src-to-address-list address-list=bad address-list-timeout=10m protocol=tcp dst-port={}",
            200 + trap
        ))?;
    }
    for host in 0..100 {
        add(format_args!(
            "chain=forward action=accept protocol=tcp dst-address=192.168.{host}.0/24 dst-port={}",
            8000 + host
        ))?;
        add(format_args!(
            "chain=input action=accept protocol=udp src-address=172.16.{host}.0/24 dst-port={}",
            9000 + host
        ))?;
    }
    for foe in 0..36 {
        add(format_args!(
            "chain=input action=drop protocol=tcp src-address=198.51.{foe}.0/24 dst-port={}",
            30_100 + foe
        ))?;
    }
    add(format_args!("chain=input action=drop"))?;
    add(format_args!("chain=forward action=drop"))?;
    Ok(text)
}
