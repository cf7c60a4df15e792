//! Programs that make rules beside ours, and how to live with each.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use knockgate_compiler::net::Endpoint;

use super::arrivals::{Obstacle, Sure};
use super::others::{Deed, Table};

/// Whose rules they are, as far as names tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Tables `firewalld`.
    Firewalld,
    /// Chains `ufw-*`.
    Ufw,
    /// Chains `DOCKER*`, tables `docker-bridges`.
    Docker,
    /// Tables and chains `f2b-*`.
    Fail2ban,
    /// The tables that iptables-nft makes.
    Iptables,
    /// Anybody's.
    Nft,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firewalld => "firewalld",
            Self::Ufw => "ufw",
            Self::Docker => "Docker",
            Self::Fail2ban => "fail2ban",
            Self::Iptables => "iptables",
            Self::Nft => "nftables",
        })
    }
}

/// The tools whose rules are in `table`, with what tells each.
pub fn of(table: &Table) -> Vec<Tool> {
    let name = table.name.split(' ').nth(1).unwrap_or_default();
    let has =
        |start: &str| name.starts_with(start) || table.chains.keys().any(|chain| chain.starts_with(start));
    let by_name = [
        (Tool::Firewalld, name.starts_with("firewalld")),
        (Tool::Ufw, has("ufw-") || has("ufw6-")),
        (Tool::Docker, has("DOCKER") || name == "docker-bridges"),
        (Tool::Fail2ban, has("f2b-")),
    ];
    let found: Vec<Tool> = by_name.into_iter().filter(|(_, is)| *is).map(|(tool, _)| tool).collect();
    let upper = ["INPUT", "FORWARD", "PREROUTING"].iter().any(|chain| table.chains.contains_key(*chain));
    match (found.is_empty(), upper) {
        (true, true) => vec![Tool::Iptables],
        (true, false) => vec![Tool::Nft],
        (false, _) => found,
    }
}

/// Whose rule an obstacle is, where `tools` share its table.
pub fn behind(obstacle: &Obstacle, tools: &[Tool]) -> Tool {
    let chain = &obstacle.place.chain;
    let by_chain = [("ufw", Tool::Ufw), ("DOCKER", Tool::Docker), ("f2b-", Tool::Fail2ban)];
    if let Some((_, tool)) = by_chain.iter().find(|(start, _)| chain.starts_with(start)) {
        return *tool;
    }
    let likely = if obstacle.hook == "input" { Tool::Ufw } else { Tool::Docker };
    let first = tools.iter().find(|tool| **tool == likely).or(tools.first());
    first.copied().unwrap_or(Tool::Nft)
}

/// What to do about an obstacle that `tool` made.
pub fn advice(obstacle: &Obstacle, tool: Tool) -> String {
    match (&obstacle.deed, obstacle.ends_with_us) {
        (Deed::Divert(_), true) => "choose knocks and traps that nothing else uses".to_owned(),
        (Deed::Divert(to), false) if tool == Tool::Docker => {
            let to = to.as_deref().unwrap_or("ADDRESS:PORT");
            format!(
                "guard the container instead, with `PORT to {to}` in `opens`, or publish at 127.0.0.1 only"
            )
        }
        (Deed::Divert(_), false) => {
            "take that rule away, and let the policy translate: `PORT to ADDRESS:PORT` in `opens`".to_owned()
        }
        (Deed::Untrack, _) => {
            "take that rule away: what is not tracked is neither a knock nor answered".to_owned()
        }
        (Deed::Queue, _) => "make sure that the program which decides lets it pass".to_owned(),
        (Deed::Drop, true) if obstacle.sure == Sure::IfFirst => {
            "of chains with one priority, that which was made last comes first: `knockgate remove`, then \
             `apply` puts ours there; better, give the other chain a priority above 0"
                .to_owned()
        }
        (Deed::Drop, true) => {
            "let those ports pass there: strangers still find them silent, for ours drops what knocks"
                .to_owned()
        }
        (Deed::Drop, false) => opens(obstacle, tool),
    }
}

/// How the tool lets the first of the packets pass.
fn opens(obstacle: &Obstacle, tool: Tool) -> String {
    let first = obstacle.wanted.iter().find_map(|wanted| Some((wanted.endpoint()?, wanted.behind())));
    let how = match first {
        None => return "let it pass there too".to_owned(),
        Some((endpoint, None)) => to_gateway(obstacle, tool, endpoint),
        Some((_, Some((address, endpoint)))) => to_host(obstacle, tool, address, endpoint),
    };
    let more = if obstacle.wanted.len() > 1 { "; the others alike" } else { "" };
    format!("let it pass there too, for ours still stops whoever has no grant: {how}{more}")
}

fn to_gateway(obstacle: &Obstacle, tool: Tool, endpoint: Endpoint) -> String {
    let Endpoint { port, transport } = endpoint;
    let place = &obstacle.place;
    match tool {
        Tool::Firewalld => format!("firewall-cmd --permanent --add-port={endpoint} && firewall-cmd --reload"),
        Tool::Ufw => format!("ufw allow {endpoint}"),
        Tool::Docker | Tool::Fail2ban | Tool::Iptables => {
            let program = if place.table.starts_with("ip6 ") { "ip6tables" } else { "iptables" };
            format!("{program} -I INPUT -p {transport} --dport {port} -j ACCEPT")
        }
        Tool::Nft => {
            format!("nft insert rule {} {} {transport} dport {port} accept", place.table, place.chain)
        }
    }
}

fn to_host(obstacle: &Obstacle, tool: Tool, address: IpAddr, endpoint: Endpoint) -> String {
    let Endpoint { port, transport } = endpoint;
    let (iptables, ip) = if address.is_ipv4() { ("iptables", "ip") } else { ("ip6tables", "ip6") };
    let insert =
        |chain: &str| format!("{iptables} -I {chain} -d {address} -p {transport} --dport {port} -j ACCEPT");
    match tool {
        Tool::Firewalld => "a policy from the outer to the inner zone (man firewalld.policies)".to_owned(),
        Tool::Ufw => format!("ufw route allow proto {transport} to {address} port {port}"),
        Tool::Docker => insert("DOCKER-USER"),
        Tool::Fail2ban | Tool::Iptables => insert("FORWARD"),
        Tool::Nft => format!(
            "nft insert rule {} {} {ip} daddr {address} {transport} dport {port} accept",
            obstacle.place.table, obstacle.place.chain
        ),
    }
}

/// How to live beside the tool.
pub fn company(tool: Tool) -> Option<&'static str> {
    match tool {
        Tool::Firewalld => {
            Some("what a door opens has to be open there too; knocks need not, for ours comes first")
        }
        Tool::Ufw | Tool::Iptables => Some(
            "what a door opens has to be open there too; its chains have our priority, so apply after they \
             were made, or knocks have to be open there as well",
        ),
        Tool::Docker => {
            Some("published ports never come to the gateway itself: name containers as hosts behind")
        }
        Tool::Fail2ban => Some("its bans hold for granted sources too"),
        Tool::Nft => None,
    }
}

/// The file that nftables.service loads, where that service is started with the machine and the file
/// begins by flushing all tables, ours too.
pub fn flushing() -> Option<&'static str> {
    const FILES: [&str; 2] = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"];
    const WANTS: [&str; 2] = ["sysinit.target.wants", "multi-user.target.wants"];
    let enabled =
        |folder: &str| Path::new("/etc/systemd/system").join(folder).join("nftables.service").exists();
    WANTS.into_iter().find(|folder| enabled(folder))?;
    let flushes = |line: &str| line.trim_start().starts_with("flush ruleset");
    FILES.into_iter().find(|file| fs::read_to_string(file).is_ok_and(|text| text.lines().any(flushes)))
}
