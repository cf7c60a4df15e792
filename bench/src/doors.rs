//! What many doors cost to compile, to check and to apply, and what `status` costs with many bans.

use std::net::Ipv4Addr;

use knockgate::lab::Namespace;

use crate::figure::Spread;
use crate::frame::Kind;
use crate::gauge::{Took, time};
use crate::lane::{Lane, to_port};
use crate::plot::{Bars, Group};
use crate::report::Report;
use crate::rules::{self, Rules, knockgate, scratch};

/// Seconds of the kernel that a thousand doors may take, beyond reading the policy.
const MOST: f64 = 0.1;

/// Steps, in order.
const STEPS: [&str; 5] = ["compile", "check", "apply", "apply again", "nft -f"];
const CHECK: usize = 1;
const APPLY: usize = 2;

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    many_doors(report)?;
    many_bans(report)
}

fn many_doors(report: &mut Report) -> anyhow::Result<()> {
    let rounds = if report.quick { 3 } else { 15 };
    report.heading("Many doors");
    report.line(&format!(
        "Milliseconds by the clock, and of a processor in the programs (user) and in the kernel. Three knocks for each \
         door, no two doors alike; {rounds} rounds, each in a new network namespace. `nft -f` loads what `compile` \
         prints. The kernel tells user from kernel time by the ticks of its clock, so either is rough where it is short.\n"
    ));
    report.line("| doors | step | by the clock | user | kernel |\n|---|---|---|---|---|");
    let sizes = [1, 10, 100, 1000];
    let mut kernel = vec![];
    for doors in sizes {
        let text = rules::policy(doors, "");
        let steps = steps(&text, rounds)?;
        for (name, times) in STEPS.iter().zip(&steps) {
            let [wall, user, kernel] = spreads(times);
            report.line(&format!("| {doors} | `{name}` | {wall} | {user} | {kernel} |"));
        }
        kernel.push(steps);
    }
    report.line("");
    let group = |(doors, steps): (&u32, &Vec<Vec<Took>>)| Group {
        name: format!("{doors} door{}", if *doors == 1 { "" } else { "s" }),
        bars: spreads(&steps[APPLY]).into_iter().map(Some).collect(),
    };
    report.plot(
        "doors",
        &Bars {
            title: "knockgate apply",
            unit: "ms",
            series: ["by the clock", "user", "kernel"].map(str::to_owned).into(),
            groups: sizes.iter().zip(&kernel).map(group).collect(),
            logarithmic: false,
        },
    );
    if let Some(thousand) = kernel.last() {
        let [[_, _, apply], [_, _, check]] = [APPLY, CHECK].map(|step| spreads(&thousand[step]));
        let beyond = apply.median - check.median;
        report.target(
            "kernel time of `apply` with 1000 doors, beyond that of `check`",
            "less than 100 ms",
            &format!("{beyond:.0} ms"),
            beyond < MOST * 1e3,
        );
    }
    Ok(())
}

/// What each of [`STEPS`] took, in each round.
fn steps(policy: &str, rounds: u32) -> anyhow::Result<Vec<Vec<Took>>> {
    let program = knockgate()?;
    let file = scratch("policy.toml", policy)?.to_string_lossy().into_owned();
    let ruleset = scratch("ruleset.nft", &rules::compile(policy)?)?.to_string_lossy().into_owned();
    let mut steps = vec![vec![]; STEPS.len()];
    for _ in 0..rounds {
        let (ours, plain) = (Namespace::new()?, Namespace::new()?);
        let took = [
            time(&plain, &program, &["compile", &file], &[0])?,
            time(&plain, &program, &["check", &file], &[0, 1])?,
            time(&ours, &program, &["apply", "--no-trial", &file], &[0])?,
            time(&ours, &program, &["apply", "--no-trial", &file], &[0])?,
            time(&plain, "nft".as_ref(), &["-f", &ruleset], &[0])?,
        ];
        steps.iter_mut().zip(took).for_each(|(step, took)| step.push(took));
    }
    Ok(steps)
}

/// By the clock, user and kernel, in milliseconds.
fn spreads(times: &[Took]) -> [Spread; 3] {
    let parts: [fn(&Took) -> f64; 3] = [|took| took.wall, |took| took.user, |took| took.kernel];
    parts.map(|part| Spread::of(times.iter().map(part).collect()).scaled(1e3))
}

fn many_bans(report: &mut Report) -> anyhow::Result<()> {
    let (sizes, rounds): (&[u32], _) =
        if report.quick { (&[0, 10_000], 3) } else { (&[0, 10_000, 100_000, 1_000_000], 9) };
    report.heading("`status` with many bans");
    report.line("Milliseconds. Sources are banned by touching a trap.\n");
    report.line("| banned | by the clock | user | kernel |\n|---|---|---|---|");
    let policy = rules::policy(1, "sources = 1100000").replace("ban = \"1h\"", "ban = \"1h\"\nstrikes = 1");
    for &banned in sizes {
        let lane = Lane::new()?;
        Rules::Policy(policy.clone()).load(&lane.cable.gateway)?;
        let mut sender = lane.cable.sender(1)?;
        let touches = to_port(Kind::Syn, Ipv4Addr::new(10, 32, 0, 0), banned.max(1), 666);
        lane.calmly(&mut sender, &touches, banned.into())?;
        let mut times = vec![];
        for _ in 0..rounds {
            times.push(time(&lane.cable.gateway, &knockgate()?, &["status"], &[0, 1])?);
        }
        let [wall, user, kernel] = spreads(&times);
        report.line(&format!("| {banned} | {wall} | {user} | {kernel} |"));
    }
    report.line("");
    Ok(())
}
