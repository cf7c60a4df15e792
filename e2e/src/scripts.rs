//! Random RouterOS scripts: every matcher and action that is played, in three tables and two families.

use knockgate_compiler::frontend::rsc;
use knockgate_compiler::net::{Family, Packet};
use knockgate_compiler::program::{Expiry, Program};

use crate::trial::{Shot, Wait};
use crate::world;
use knockgate_compiler::random::Rng;

/// The program of a script and a trace of `seed`.
pub fn case(seed: u64) -> (Program, Vec<Shot>) {
    let (script, options) = script(seed);
    let reading = rsc::read(&script, &options);
    let program = reading.program.unwrap_or_else(|| panic!("{script}\n{:?}", reading.findings));
    let mut rng = Rng::new(seed ^ 0x7473);
    let mut packets: Vec<Packet> = vec![];
    for _ in 0..15 + rng.below(35) {
        let packet = world::packet(&mut rng, &packets);
        packets.push(packet);
    }
    let wait = |rng: &mut Rng| match rng.below(100) {
        0..12 => Wait::Before(rng.below(3)),
        12..30 => Wait::After(rng.below(4)),
        _ => Wait::None,
    };
    let trace = packets.into_iter().map(|packet| Shot { wait: wait(&mut rng), packet }).collect();
    (program, trace)
}

/// The script of `seed`, and how it is to be read.
pub fn script(seed: u64) -> (String, rsc::translate::Options) {
    let mut rng = Rng::new(seed);
    let again = if rng.chance(75) { Expiry::Refresh } else { Expiry::Keep };
    let options = rsc::translate::Options { again, ..rsc::translate::Options::default() };
    let mut writer = Writer { rng: &mut rng, text: HEAD.to_owned() };
    for family in Family::BOTH {
        writer.entries(family);
        for (table, built_in) in
            [("filter", &["input", "forward"][..]), ("raw", &["prerouting"]), ("nat", &["dstnat"])]
        {
            if table == "filter" || writer.rng.chance(40) {
                writer.table(family, table, built_in);
            }
        }
    }
    (writer.text, options)
}

const HEAD: &str = "# 2026-01-01 00:00:00 by RouterOS 7.20
/interface list
add name=WAN
add name=LAN
add name=EDGE include=WAN exclude=INNER
/interface list member
add interface=out0 list=WAN
add interface=out1 list=WAN
add interface=in0 list=LAN
add interface=out1 list=INNER
";

/// Names of lists; what is in quotes there is in quotes in scripts.
const LISTS: [&str; 5] = ["333", "secured", "\"black list\"", "a", "friends"];

/// Chains that are jumped to, each only to later ones.
const CHAINS: [&str; 3] = ["knock", "\"port knocking\"", "last"];

struct Writer<'r> {
    rng: &'r mut Rng,
    text: String,
}

impl Writer<'_> {
    fn entries(&mut self, family: Family) {
        let root = if family == Family::V4 { "ip" } else { "ipv6" };
        self.text += &format!("/{root} firewall address-list\n");
        for list in LISTS {
            if self.rng.chance(30) {
                let address = self.prefix(family);
                self.text += &format!("add address={address} list={list}\n");
            }
        }
    }

    fn table(&mut self, family: Family, table: &str, built_in: &[&str]) {
        let root = if family == Family::V4 { "ip" } else { "ipv6" };
        self.text += &format!("/{root} firewall {table}\n");
        // The chains that later ones may be jumped to from.
        let chains: Vec<&str> = built_in.iter().copied().chain(CHAINS).collect();
        for (place, chain) in chains.iter().enumerate() {
            let targets = &chains[built_in.len().max(place + 1)..];
            for _ in 0..1 + self.rng.below(if place < built_in.len() { 7 } else { 4 }) {
                self.rule(family, table, chain, targets);
            }
        }
    }

    fn rule(&mut self, family: Family, table: &str, chain: &str, targets: &[&str]) {
        let mut words = vec![format!("chain={chain}")];
        let action = self.action(family, table, chain, targets, &mut words);
        words.insert(0, format!("action={action}"));
        if action != "dst-nat" && action != "reject" {
            self.protocol(family, &mut words);
        }
        for _ in 0..self.rng.pick(&[0, 0, 1, 1, 2]) {
            let word = self.matcher(family, table, chain);
            let name = word.split('=').next().unwrap_or_default().to_owned();
            if !words.iter().any(|other| other.starts_with(&format!("{name}="))) {
                words.push(word);
            }
        }
        if self.rng.chance(5) {
            words.push("log=yes log-prefix=\"seen here\"".to_owned());
        }
        if self.rng.chance(5) {
            words.push("disabled=yes".to_owned());
        }
        if self.rng.chance(20) {
            words.push("comment=\"by chance\"".to_owned());
        }
        self.text += &format!("add {}\n", words.join(" "));
    }

    fn action(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        targets: &[&str],
        words: &mut Vec<String>,
    ) -> &'static str {
        let timeout = 150 + self.rng.below(450);
        match self.rng.below(100) {
            0..35 => {
                let list = self.rng.pick(&LISTS);
                words.push(format!("address-list={list} address-list-timeout={timeout}ms"));
                if chain == "forward" && self.rng.chance(30) {
                    return "add-dst-to-address-list";
                }
                "add-src-to-address-list"
            }
            35..50 => "accept",
            50..58 if table != "nat" => "drop",
            58..64 if table == "filter" => {
                if self.rng.chance(30) {
                    words.push("protocol=tcp reject-with=tcp-reset".to_owned());
                } else {
                    words.push("reject-with=icmp-admin-prohibited".to_owned());
                }
                "reject"
            }
            58..72 if table == "nat" => {
                let host = self.address(family, &world::BEHIND);
                let port = self.rng.pick(&world::PORTS);
                let transport = self.rng.pick(&["tcp", "udp"]);
                let to = if family == Family::V4 { "to-addresses" } else { "to-address" };
                words.push(format!("protocol={transport} dst-port={port} {to}={host}"));
                if self.rng.chance(50) {
                    words.push(format!("to-ports={}", self.rng.pick(&world::PORTS)));
                }
                "dst-nat"
            }
            72..76 => "return",
            76..90 if !targets.is_empty() => {
                words.push(format!("jump-target={}", self.rng.pick(targets)));
                "jump"
            }
            90..93 => "log",
            _ => "passthrough",
        }
    }

    fn protocol(&mut self, family: Family, words: &mut Vec<String>) {
        let port = |rng: &mut Rng| {
            let (one, other) = (rng.pick(&world::PORTS), rng.pick(&world::PORTS));
            match rng.below(4) {
                0 => format!("{}-{}", one.min(other), one.max(other)),
                1 => format!("{one},{other}"),
                _ => one.to_string(),
            }
        };
        let not = |rng: &mut Rng| if rng.chance(15) { "!" } else { "" };
        match self.rng.below(10) {
            0..5 => {
                let transport = self.rng.pick(&["tcp", "tcp", "udp"]);
                let end = self.rng.pick(&["dst-port", "dst-port", "dst-port", "src-port", "port"]);
                let not = not(self.rng);
                words.push(format!("protocol={transport} {end}={not}{}", port(self.rng)));
                if transport == "tcp" && self.rng.chance(30) {
                    words.push(format!(
                        "tcp-flags={}",
                        self.rng.pick(&["syn", "syn,!ack", "!syn", "ack,!rst"])
                    ));
                }
            }
            5 => {
                let (name, types): (_, &[u8]) = match family {
                    Family::V4 => ("icmp", &world::ICMP_TYPES),
                    Family::V6 => ("icmpv6", &world::ICMPV6_TYPES),
                };
                let codes = self.rng.pick(&["", ":0", ":0-255", ":1-3"]);
                let not = not(self.rng);
                words.push(format!("protocol={name} icmp-options={not}{}{codes}", self.rng.pick(types)));
            }
            6 => words.push(format!("protocol={}", self.rng.pick(&["!tcp", "udp", "gre", "!icmp"]))),
            _ => {}
        }
    }

    fn matcher(&mut self, family: Family, table: &str, chain: &str) -> String {
        let not = if self.rng.chance(25) { "!" } else { "" };
        match self.rng.below(12) {
            0..4 => {
                let list = self.rng.pick(&LISTS);
                // A name in quotes may have its exclamation mark there, too.
                match list.strip_prefix('"') {
                    Some(rest) => format!("src-address-list=\"{not}{rest}"),
                    None => format!("src-address-list={not}{list}"),
                }
            }
            4 if chain == "forward" => format!("dst-address-list={not}{}", self.rng.pick(&["333", "a"])),
            4 | 5 => {
                let list = self.rng.pick(&["WAN", "WAN", "LAN", "EDGE", "all", "none"]);
                format!("in-interface-list={not}{list}")
            }
            6 => format!("in-interface={not}{}", self.rng.pick(&["out0", "in0"])),
            7 => format!("src-address={not}{}", self.prefix(family)),
            8 if chain == "forward" => format!("dst-address={not}{}", self.address(family, &world::BEHIND)),
            8 => format!("packet-size={not}{}", self.rng.pick(&["0-60", "61-84", "28", "48-2000"])),
            9 if table == "filter" => {
                let states = self.rng.pick(&["new", "established,related", "invalid", "new,untracked"]);
                format!("connection-state={not}{states}")
            }
            10 if table == "filter" => format!("connection-nat-state={not}dstnat"),
            10 => {
                let name = if family == Family::V4 { "ttl" } else { "hop-limit" };
                format!("{name}=equal:{}", self.rng.pick(&[1, 2, 64, 255]))
            }
            _ => format!("dst-address-type={not}local"),
        }
    }

    fn address(&mut self, family: Family, of: &[&str]) -> String {
        let mine = |text: &&str| text.contains(':') == (family == Family::V6);
        let fitting: Vec<&str> = of.iter().copied().filter(mine).collect();
        self.rng.pick(&fitting).to_owned()
    }

    fn prefix(&mut self, family: Family) -> String {
        let address = self.address(family, &world::STRANGERS);
        match family {
            Family::V4 if self.rng.chance(20) => "198.51.100.1-198.51.100.130".to_owned(),
            Family::V4 => format!("{address}{}", self.rng.pick(&["", "/32", "/25", "/255.255.255.0", "/0"])),
            Family::V6 => format!("{address}{}", self.rng.pick(&["", "/128", "/64", "/32"])),
        }
    }
}
