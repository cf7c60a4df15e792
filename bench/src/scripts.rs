//! How long a RouterOS script of ten million bytes takes.

use std::fmt::Write;
use std::time::Instant;

use knockgate_compiler::frontend::rsc::{self, translate};

use crate::Spread;

const BYTES: usize = 10_000_000;
const ROUNDS: usize = 7;

pub fn run() -> anyhow::Result<()> {
    let script = script()?;
    println!("## RouterOS scripts\n");
    println!("A script of ten million bytes, {} rules.\n", script.lines().count() - 1);
    println!("| step | time |\n|---|---|");
    let parse = measure(|| drop(std::hint::black_box(rsc::parse(&script))));
    println!("| read it | {parse} |");
    let options = translate::Options::default();
    let read = measure(|| drop(std::hint::black_box(rsc::read(&script, &options))));
    println!("| read it, find its meaning and what is wrong with that | {read} |\n");
    Ok(())
}

fn measure(run: impl Fn()) -> Spread {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    Spread::of((0..ROUNDS).map(time).collect())
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
