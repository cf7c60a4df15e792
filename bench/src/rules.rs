//! The rules that are compared, and how each is put in force.

use std::fmt::Write;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use knockgate::lab::Namespace;
use knockgate_compiler::backend;
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;

/// What a gateway is to do.
#[derive(Clone, Debug)]
pub enum Rules {
    /// A policy, by `knockgate apply`.
    Policy(String),
    /// What `knockgate compile` prints for a policy: the same without counters.
    Compiled(String),
    /// A ruleset for `nft -f`.
    Nft(String),
    /// What `iptables-save` would print, for one of the two programs of this name.
    Iptables(&'static str, String),
}

pub const FLOOR: &str = include_str!("../peers/floor.nft");
pub const NOTHING: &str = include_str!("../peers/nothing.nft");
pub const BY_HAND: &str = include_str!("../peers/by-hand.nft");
pub const BY_HAND_RAW: &str = include_str!("../peers/by-hand-raw.nft");
pub const BY_HAND_INGRESS: &str = include_str!("../peers/by-hand-ingress.nft");
pub const RECENT: &str = include_str!("../peers/recent.rules");
pub const KNOCKD: &str = include_str!("../peers/knockd.nft");
pub const FWKNOP: &str = include_str!("../peers/fwknop.rules");

impl Rules {
    /// Those in a file, told by how its name ends.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Ok(match file.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Self::Policy(text),
            Some("rules") => Self::Iptables("iptables-nft-restore", text),
            _ => Self::Nft(text),
        })
    }

    /// Puts them in force, where nothing else is.
    pub fn load(&self, gateway: &Namespace) -> anyhow::Result<()> {
        match self {
            Self::Policy(text) => apply(gateway, text)?,
            Self::Compiled(text) => drop(gateway.nft(&compile(text)?)?),
            Self::Nft(text) => drop(gateway.nft(text)?),
            Self::Iptables(program, text) => drop(gateway.output(Command::new(program), text)?),
        }
        Ok(())
    }
}

fn apply(gateway: &Namespace, policy: &str) -> anyhow::Result<()> {
    let mut apply = Command::new(knockgate()?);
    apply.args(["apply", "--no-trial", "-"]);
    Ok(gateway.output(apply, policy).map(drop)?)
}

/// What `knockgate compile` prints.
pub fn compile(policy: &str) -> anyhow::Result<String> {
    let (policy, _) = frontend::toml::parse(policy);
    let program = lower(&policy.context("a policy of the benchmark is sound")?);
    let printed = backend::nft::print(&program);
    Ok(printed.map_err(|_| anyhow::anyhow!("nftables can say every policy"))?.text)
}

/// The program that was built beside this one.
pub fn knockgate() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("knockgate");
    anyhow::ensure!(program.is_file(), "no {}; build it too: cargo build --release", program.display());
    Ok(program)
}

/// So many doors of three knocks. The first is that of every other peer: 333, 777, 888/tcp open
/// 22/tcp and 51820/udp. The knocks of the others are spread over the ports by a multiplier that has
/// no factor in common with their number, so that no two are alike. `head` goes before them.
pub fn policy(doors: u32, head: &str) -> String {
    let mut text =
        format!("outside = \"wan0\"\n{head}\n[traps]\nports = [\"666/tcp\", \"667/tcp\"]\nban = \"1h\"\n");
    text += "[defaults]\nwindow = \"30s\"\ngrant = \"5m\"\n";
    text += "[door.first]\nknock = [\"333/tcp\", \"777/tcp\", \"888/tcp\"]\nopens = [\"22/tcp\", \"51820/udp\"]\n";
    let port = |index: u32| 1024 + index * 7919 % 29_989;
    for door in 1..doors {
        let knocks: Vec<String> = (0..3).map(|knock| format!("\"{}/tcp\"", port(door * 3 + knock))).collect();
        let opens = 40_000 + door;
        write!(text, "[door.d{door}]\nknock = [{}]\nopens = \"{opens}/tcp\"\n", knocks.join(", "))
            .expect("a text takes whatever is written");
    }
    text
}

/// A file in `/run`, which is a folder of this run alone (see `main`).
pub fn scratch(name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new("/run").join(name);
    let mut file =
        std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_any_size_is_sound() {
        for doors in [1, 10, 1000] {
            let text = policy(doors, "");
            let (policy, findings) = frontend::toml::parse(&text);
            let policy = policy.unwrap_or_else(|| panic!("{findings:?}"));
            assert_eq!(policy.doors().len(), usize::try_from(doors).unwrap());
        }
    }
}
