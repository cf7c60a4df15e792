//! What many doors cost to compile and to apply.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use knockgate::lab::Namespace;
use knockgate::target::nft::{Applied, Done, Saved, apply, remove};
use knockgate_compiler::backend;
use knockgate_compiler::backend::nft::Ruleset;
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;

use crate::Spread;

const ROUNDS: usize = 15;

pub fn run() -> anyhow::Result<()> {
    println!("## Many doors\n");
    println!("Three knocks each, no two alike; a new network namespace for each round.\n");
    println!(
        "| doors | read, check and compile | `apply` | the same again | `nft -f` alone |\n|---|---|---|---|---|"
    );
    for doors in [1, 10, 100, 1000] {
        let text = policy(doors)?;
        let (mut compiling, mut applying, mut again, mut loading) = (vec![], vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let ruleset = compile(&text)?;
            compiling.push(start.elapsed());
            loading.push(load(&Namespace::new()?, &ruleset.text)?);
            let namespace = Namespace::new()?;
            let applied = Applied { name: "benchmark".to_owned(), text: text.clone(), options: vec![] };
            let wanted = Saved { applied, ruleset };
            let (first, second) = namespace.run(move || -> anyhow::Result<_> {
                let start = Instant::now();
                anyhow::ensure!(matches!(apply(&wanted)?, Done::Loaded(_)), "it was there already");
                let first = start.elapsed();
                let start = Instant::now();
                anyhow::ensure!(apply(&wanted)? == Done::Unchanged, "it was not there");
                let second = start.elapsed();
                remove()?;
                Ok((first, second))
            })?;
            applying.push(first);
            again.push(second);
        }
        let columns = [compiling, applying, again, loading].map(|times| Spread::of(times).to_string());
        println!("| {doors} | {} |", columns.join(" | "));
    }
    println!();
    Ok(())
}

fn compile(text: &str) -> anyhow::Result<Ruleset> {
    let (policy, _) = frontend::toml::parse(text);
    let program = lower(&policy.context("the policy of the benchmark is sound")?);
    backend::nft::print(&program).map_err(|_| anyhow::anyhow!("nftables can say every policy"))
}

fn load(namespace: &Namespace, ruleset: &str) -> anyhow::Result<Duration> {
    let ruleset = ruleset.to_owned();
    namespace.run(move || {
        let start = Instant::now();
        let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn()?;
        let mut input = nft.stdin.take().context("nft has its input piped")?;
        std::io::Write::write_all(&mut input, ruleset.as_bytes())?;
        drop(input);
        anyhow::ensure!(nft.wait()?.success(), "nft refused the ruleset");
        Ok(start.elapsed())
    })
}

/// Doors whose knocks are spread over the ports by a multiplier that has no factor in common with
/// their number, so that no two are alike.
fn policy(doors: u32) -> anyhow::Result<String> {
    let port = |index: u32| 1024 + index * 7919 % 29_989;
    let mut text = "outside = \"wan0\"\n".to_owned();
    for door in 0..doors {
        let knocks: Vec<String> = (0..3).map(|knock| format!("\"{}/tcp\"", port(door * 3 + knock))).collect();
        writeln!(text, "[door.d{door}]\nknock = [{}]\nopens = \"{}/tcp\"", knocks.join(", "), 40_000 + door)?;
    }
    Ok(text)
}
