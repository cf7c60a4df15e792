//! `knockgate init`.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Args;
use knockgate_compiler::frontend;
use knockgate_compiler::net::scanned::is_scanned;
use knockgate_compiler::net::{Endpoint, Interface};
use serde_json::json;

use super::output::{Answer, Output, write_new};

#[derive(Debug, Args)]
pub struct Options {
    /// Where to write the policy; never over a file that is there
    #[arg(default_value = "policy.toml")]
    policy: PathBuf,
    /// Ask nothing
    #[arg(long, short)]
    yes: bool,
    /// The interface that faces strangers; without it, that of the default route
    #[arg(long, value_name = "INTERFACE")]
    outside: Option<String>,
    /// The service behind the door
    #[arg(long, value_name = "PORT", default_value = "22/tcp")]
    opens: String,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let asks = !options.yes && io::stdin().is_terminal();
    let found = options.outside.clone().or_else(default_interface);
    let (outside, opens) = if asks {
        let outside = ask(output, "interface that faces strangers", found.as_deref())?;
        (outside, ask(output, "service behind the door", Some(&options.opens))?)
    } else {
        let outside = found.context(
            "there is no default route to tell the outside interface by; say `--outside INTERFACE`",
        )?;
        (outside, options.opens.clone())
    };
    if outside.parse::<Interface>().is_err() {
        anyhow::bail!("`{outside}` cannot be an interface; `ip -brief link` lists those there are");
    }
    if opens.parse::<Endpoint>().is_err() {
        anyhow::bail!("`{opens}` is no port such as `22/tcp`");
    }
    let knocks = Knocks::random(&opens)?;
    let text = policy(&outside, &opens, &knocks, &spared());
    let (parsed, findings) = frontend::toml::parse(&text);
    anyhow::ensure!(parsed.is_some() && findings.is_empty(), "the policy made is not sound: {findings:?}");
    write_new(&options.policy, &text)?;
    let shown = options.policy.display();
    if output.is_json() {
        output.print_json(&json!({ "policy": shown.to_string() }))?;
    } else {
        output.print(&format!(
            "wrote {shown}, readable by you alone: the sequence in it is a secret\n\
             \n  knockgate check {shown}        look it over\
             \n  knockgate rehearse {shown}     play attacks and knocks, changing nothing here\
             \n  knockgate apply {shown}        put it in force\n"
        ))?;
    }
    Ok(Answer::Fine)
}

fn ask(output: &Output, what: &str, default: Option<&str>) -> anyhow::Result<String> {
    let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
    output.tell(&format!("{what}{shown}: "));
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    match (line.trim(), default) {
        ("", Some(default)) => Ok(default.to_owned()),
        ("", None) => anyhow::bail!("nothing was answered"),
        (answer, _) => Ok(answer.to_owned()),
    }
}

/// What `ip` says on a command.
fn ip(arguments: &[&str]) -> Option<String> {
    let output = Command::new("ip").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

fn word_after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.split_whitespace().skip_while(|found| *found != word).nth(1)
}

fn default_interface() -> Option<String> {
    ["-4", "-6"].iter().find_map(|family| {
        let routes = ip(&[family, "route", "show", "default"])?;
        word_after(&routes, "dev").map(str::to_owned)
    })
}

/// Gateways and resolvers: a ban of them, by packets forged in their name, would hurt the most.
fn spared() -> Vec<IpAddr> {
    let gateways = ["-4", "-6"].iter().filter_map(|family| ip(&[family, "route", "show", "default"]));
    let mut found: Vec<IpAddr> =
        gateways.filter_map(|routes| word_after(&routes, "via")?.parse().ok()).collect();
    let resolvers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = resolvers.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    found.extend(servers.filter_map(|server| server.trim().parse::<IpAddr>().ok()));
    found.retain(|address| !address.is_loopback());
    found.sort();
    found.dedup();
    found
}

/// A random sequence and traps on both sides of it.
struct Knocks {
    sequence: [u16; 4],
    traps: [u16; 4],
}

/// Below are ports of services; above, ephemeral ones (`ip_local_port_range`, 32768 to 60999) that
/// answers to the gateway's own connections come to.
const KNOCK_PORTS: std::ops::RangeInclusive<u16> = 2048..=30_000;
const UPPER_TRAPS: std::ops::RangeInclusive<u16> = 30_001..=32_767;
/// Ports of services that every scan looks for and that no gateway should have outside.
const LOWER_TRAPS: [u16; 6] = [23, 135, 139, 445, 1433, 2000];

impl Knocks {
    fn random(opens: &str) -> anyhow::Result<Self> {
        let service = opens.split('/').next().and_then(|port| port.parse().ok()).unwrap_or(0);
        let mut sequence = [0; 4];
        loop {
            for index in 0..sequence.len() {
                sequence[index] = pick(&KNOCK_PORTS, |port| {
                    !sequence[..index].contains(&port) && port != service && !is_scanned(port)
                })?;
            }
            if !is_monotone(&sequence) {
                break;
            }
        }
        let mut lower = LOWER_TRAPS.to_vec();
        lower.retain(|port| *port != service);
        let first = lower.swap_remove(below(lower.len())?);
        let second = lower[below(lower.len())?];
        let third = pick(&UPPER_TRAPS, |port| port != service)?;
        let fourth = pick(&UPPER_TRAPS, |port| port != service && port != third)?;
        let mut traps = [first, second, third, fourth];
        traps.sort_unstable();
        Ok(Self { sequence, traps })
    }
}

/// Whether a single sweep up or down meets the ports in their order.
fn is_monotone(ports: &[u16]) -> bool {
    ports.is_sorted() || ports.iter().rev().is_sorted()
}

fn pick(ports: &std::ops::RangeInclusive<u16>, fits: impl Fn(u16) -> bool) -> anyhow::Result<u16> {
    let span = usize::from(ports.end() - ports.start()) + 1;
    loop {
        let port = ports.start() + u16::try_from(below(span)?)?;
        if fits(port) {
            return Ok(port);
        }
    }
}

/// A random number below `bound`, each as likely as any other.
fn below(bound: usize) -> anyhow::Result<usize> {
    let bound = u64::try_from(bound)?;
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let random = getrandom::u64().context("the system has no random numbers")?;
        if random < fair {
            return Ok(usize::try_from(random % bound)?);
        }
    }
}

fn policy(outside: &str, opens: &str, knocks: &Knocks, spared: &[IpAddr]) -> String {
    let list =
        |items: Vec<String>| items.iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", ");
    let tcp = |ports: &[u16]| list(ports.iter().map(|port| format!("{port}/tcp")).collect());
    let spared = list(spared.iter().map(ToString::to_string).collect());
    let (sequence, traps) = (tcp(&knocks.sequence), tcp(&knocks.traps));
    format!(
        r#"# A Knockgate policy. `knockgate check` says what is wrong with it, docs/policy.md what can be in it.
# The sequence below is a secret. It hides services; it replaces neither encryption nor passwords.

# The interfaces that face strangers. Everything new from there vanishes, but for what follows.
outside = ["{outside}"]

# Ports open to everybody.
public = []

# Sources that need no knock, and are never banned.
allow = []

# Sources that are never banned: the gateways and resolvers found on this machine.
exempt = [{spared}]

# Drop TCP connections to closed ports before the kernel tracks them: a third less work in a flood. Not
# where Docker or other rules send connections on to ports that nothing here names.
# early-drop = true

# Who touches two of these is banned: a minute first, then ever longer. They stand on both sides of
# the sequence, so that no sweep meets it before them.
[traps]
ports = [{traps}]
strikes = 2

# Knock these in order, each within the window of the one before, and nothing else in between; then
# connect within the time of the grant. A connection that stands goes on after it.
[door.main]
knock = [{sequence}]
opens = ["{opens}"]
window = "10s"
grant = "30s"
wrong = "reset"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_made_is_without_findings_and_hidden_from_default_scans() {
        for _ in 0..200 {
            let knocks = Knocks::random("22/tcp").unwrap();
            let text = policy("eth0", "22/tcp", &knocks, &["192.0.2.1".parse().unwrap()]);
            let (parsed, findings) = frontend::toml::parse(&text);
            assert!(parsed.is_some() && findings.is_empty(), "{findings:?}\n{text}");
            assert!(knocks.sequence.iter().all(|port| !is_scanned(*port) && *port < 32_768));
            assert!(!is_monotone(&knocks.sequence));
            let (least, most) = (knocks.sequence.iter().min(), knocks.sequence.iter().max());
            assert!(knocks.traps[1] < *least.unwrap() && knocks.traps[2] > *most.unwrap());
        }
    }

    #[test]
    fn random_numbers_cover_their_whole_range() {
        let seen: std::collections::BTreeSet<usize> = (0..500).map(|_| below(5).unwrap()).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}
