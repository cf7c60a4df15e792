//! How long a RouterOS script of ten million bytes takes.

use std::fmt::Write;
use std::time::Instant;

use knockgate_compiler::frontend::rsc::{self, translate};

use crate::figure::Times;
use crate::report::Report;

const BYTES: usize = 10_000_000;
const ROUNDS: usize = 7;

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    let script = script()?;
    report.heading("RouterOS scripts");
    report.line(&format!("A script of ten million bytes, {} rules.\n", script.lines().count() - 1));
    report.line("| step | time |\n|---|---|");
    let rounds = report.rounds(ROUNDS);
    let parse = measure(rounds, || drop(std::hint::black_box(rsc::parse(&script))));
    report.line(&format!("| read it | {parse} |"));
    let options = translate::Options::default();
    let read = measure(rounds, || drop(std::hint::black_box(rsc::read(&script, &options))));
    report.line(&format!("| read it, find its meaning and what is wrong with that | {read} |\n"));
    Ok(())
}

fn measure(rounds: usize, run: impl Fn()) -> Times {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    Times::of((0..rounds).map(time).collect())
}

/// Knocks, a sequence of three for each hundred lists.
fn script() -> Result<String, std::fmt::Error> {
    let mut script = String::from("/ip firewall filter\n");
    for rule in 0.. {
        let (list, port) = (rule % 300, 1 + rule % 65_535);
        writeln!(
            script,
            "add action=add-src-to-address-list address-list=stage{list} address-list-timeout=30s chain=input \
             connection-state=new dst-port={port} in-interface-list=WAN protocol=tcp src-address-list=\"stage {list}\""
        )?;
        if script.len() > BYTES {
            break;
        }
    }
    Ok(script)
}
