//! `make bench`: figures as Markdown on standard output, progress on standard error.
//!
//! Ratios are within one run; the two sides of a ratio take turns, so that what else the machine
//! does falls on both.

mod audit;
mod doors;
mod knock;
mod scripts;
mod simulator;

use std::time::Duration;

fn main() -> anyhow::Result<()> {
    println!("# Benchmarks\n");
    println!("Written by `make bench`. Medians, with the 10th and 90th percentile; ratios within the run.\n");
    println!("- kernel: {}", first_line("uname", &["-sr"])?);
    println!("- nftables: {}", first_line("nft", &["--version"])?);
    println!("- processors: {}\n", std::thread::available_parallelism()?);
    eprintln!("knock to connection ...");
    knock::run()?;
    eprintln!("a thousand doors ...");
    doors::run()?;
    eprintln!("simulator ...");
    simulator::run()?;
    eprintln!("scripts ...");
    scripts::run()?;
    eprintln!("audit ...");
    audit::run()
}

fn first_line(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = std::process::Command::new(program).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// Median, 10th and 90th percentile of some measurements.
struct Spread {
    median: Duration,
    low: Duration,
    high: Duration,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |tenth: usize| times[(times.len() - 1) * tenth / 10];
        Self { median: at(5), low: at(1), high: at(9) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1?} ({:.1?} to {:.1?})", self.median, self.low, self.high)
    }
}
