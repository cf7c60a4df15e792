//! `make bench`: Knockgate beside rules written by hand, and beside programs of the same kind.
//!
//! ```text
//! bench [--quick] [--write FOLDER] [PART...]     the report, on standard output or into a folder
//! bench ruleset FILE...                          what a packet costs under rules in files
//! ```
//!
//! Whatever is compared is measured in one run, taking turns, so that what else the machine does
//! falls on all of it. Progress is on standard error.

mod audit;
mod contender;
mod doors;
mod figure;
mod floods;
mod frame;
mod gate;
mod gauge;
mod lane;
mod memory;
mod open;
mod owner;
mod packets;
mod plot;
mod report;
mod rules;
mod scripts;
mod sender;
mod service;
mod simulator;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;

use report::Report;

/// The last argument of a run that is inside namespaces of its own.
const INSIDE: &str = "--inside";

/// Rounds, and packets in each, of `ruleset`.
const COMPARED: (usize, u64) = (25, 40_000);

type Part = fn(&mut Report) -> anyhow::Result<()>;

/// In the order of the report.
const PARTS: [(&str, Part); 8] = [
    ("open", open::run),
    ("floods", floods::run),
    ("packets", packets::run),
    ("memory", memory::run),
    ("doors", doors::run),
    ("simulator", simulator::run),
    ("scripts", scripts::run),
    ("audit", audit::run),
];

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.last().map(String::as_str) != Some(INSIDE) {
        return enter(&arguments);
    }
    arguments.pop();
    if let Some((first, files)) = arguments.split_first()
        && first == "ruleset"
    {
        return packets::compare(files, COMPARED.0, COMPARED.1);
    }
    let wanted = Wanted::of(arguments)?;
    let mut report = Report::new(wanted.quick);
    for (name, part) in wanted.parts {
        eprintln!("{name} ...");
        let start = Instant::now();
        part(&mut report).with_context(|| format!("part `{name}`"))?;
        eprintln!("  {:.0?}", start.elapsed());
    }
    let head = head()?;
    match wanted.write {
        Some(folder) => report.write(&folder, &head).with_context(|| folder.display().to_string())?,
        None => print!("{}", report.text(&head)),
    }
    Ok(())
}

/// What the command line asks for.
struct Wanted {
    quick: bool,
    write: Option<PathBuf>,
    parts: Vec<(&'static str, Part)>,
}

impl Wanted {
    fn of(arguments: Vec<String>) -> anyhow::Result<Self> {
        let mut wanted = Self { quick: false, write: None, parts: vec![] };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => wanted.quick = true,
                "--write" => wanted.write = Some(arguments.next().context("--write takes a folder")?.into()),
                name => {
                    let part = PARTS.into_iter().find(|(known, _)| *known == name);
                    let known = PARTS.map(|(known, _)| known).join(", ");
                    wanted.parts.push(part.with_context(|| format!("no part `{name}`; there are {known}"))?);
                }
            }
        }
        if wanted.parts.is_empty() {
            wanted.parts = PARTS.into();
        } else {
            anyhow::ensure!(wanted.write.is_none(), "a report of some parts would overwrite that of all");
        }
        Ok(wanted)
    }
}

/// Becomes the same command in a namespace of networks and one of mounts, with a `/run` of its own:
/// nothing that is written or made there is left behind.
fn enter(arguments: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(rustix::process::geteuid().is_root(), "the benchmarks need root: try again with sudo");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private", "--", "sh", "-c"]);
    command.arg("mount -t tmpfs tmpfs /run && exec \"$0\" \"$@\"");
    command.arg(std::env::current_exe()?).args(arguments).arg(INSIDE);
    Err(command.exec()).context("`unshare` cannot be run; on Debian: apt install util-linux")
}

/// On what machine, with which programs, and when.
fn head() -> anyhow::Result<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default().trim();
    let mut head =
        "Written by `make bench`. Medians, with the quartiles in parentheses; everything that is compared \
                    was measured in one run, in turn. The sides of a comparison are in \
                    [bench/peers](../bench/peers).\n\n"
            .to_owned();
    let processors = std::thread::available_parallelism()?;
    head += &format!("- date: {}\n", said("date", &["--utc", "+%Y-%m-%d"])?);
    head += &format!("- machine: {processors} × {}, {memory}\n", model.trim_start_matches([' ', '\t', ':']));
    head += &format!("- kernel: {}\n", said("uname", &["-sr"])?);
    for (name, program, option) in [
        ("nftables", "nft", "--version"),
        ("iptables", "iptables-nft", "--version"),
        ("knockd", "knockd", "--version"),
        ("fwknopd", "fwknopd", "--version"),
    ] {
        head += &format!("- {name}: {}\n", said(program, &[option])?);
    }
    Ok(head)
}

fn said(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("running `{program}`"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
