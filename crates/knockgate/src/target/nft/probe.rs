//! What the kernel and nft must be able to do.

use std::fmt;

use super::{TargetError, run};

/// Something that every ruleset needs.
struct Feature {
    name: &'static str,
    /// Since when it is there.
    since: &'static str,
    /// A table that uses it and little else.
    table: &'static str,
}

const FEATURES: [Feature; 10] = [
    Feature {
        name: "tables of the inet family",
        since: "Linux 3.14 with CONFIG_NF_TABLES_INET",
        table: "chain c {\n type filter hook input priority filter; policy accept;\n }",
    },
    Feature {
        name: "sets that packets fill, with timeouts",
        since: "Linux 4.1",
        table: "set s {\n type ipv4_addr; size 16; flags dynamic,timeout;\n }\n \
                chain c {\n update @s { ip saddr timeout 1s }\n }",
    },
    Feature {
        name: "taking sources off a set by a packet",
        since: "Linux 5.4",
        table: "map m {\n type ipv4_addr : mark; size 16; flags dynamic,timeout;\n }\n \
                chain c {\n delete @m { ip saddr : 0x0 }\n add @m { ip saddr timeout 1s : 0x1 }\n }",
    },
    Feature {
        name: "constants in set keys",
        since: "nft 1.0.6 and Linux 5.6",
        table: "set s {\n type ipv4_addr . classid; size 16; flags dynamic,timeout;\n }\n \
                map m {\n type inet_proto . inet_service : classid; elements = { tcp . 22 : 0x5 };\n }\n \
                chain c {\n ip saddr . meta priority & 0x0 | 0x5 @s accept\n \
                meta priority set meta l4proto . th dport map @m ip saddr . meta priority @s accept\n }",
    },
    Feature {
        name: "verdict maps",
        since: "Linux 3.13",
        table: "chain d {\n }\n \
                map m {\n type inet_proto . inet_service : verdict; elements = { tcp . 22 : goto d };\n }\n \
                chain c {\n meta l4proto . th dport vmap @m\n }",
    },
    Feature {
        name: COUNTING,
        since: COUNTING_SINCE,
        table: "map m {\n type inet_proto . inet_service : mark; counter\n \
                elements = { tcp . 22 counter comment \"a\" : 0x1 }\n }\n \
                chain c {\n meta mark set meta l4proto . th dport map @m\n }",
    },
    Feature {
        name: "connection tracking",
        since: "CONFIG_NFT_CT",
        table: "chain c {\n ct state established,related accept\n ct mark 0x1 drop\n }",
    },
    Feature {
        name: "networks in sets, with timeouts",
        since: "Linux 4.1",
        table: "set s {\n type ipv4_addr; size 16; flags interval,timeout;\n }\n chain c {\n ip saddr @s accept\n }",
    },
    Feature {
        name: "a log for programs, with limits",
        since: "CONFIG_NFT_LIMIT, CONFIG_NFT_LOG and CONFIG_NETFILTER_NETLINK_LOG",
        table: "chain c {\n limit rate 1/second burst 2 packets log prefix \"a\" group 27495 snaplen 16\n }",
    },
    Feature {
        name: "looking up whose an address is",
        since: "Linux 4.10 with CONFIG_NFT_FIB_INET",
        table: "chain c {\n type filter hook input priority filter; policy accept;\n \
                fib daddr type local accept\n }",
    },
];

const COUNTING: &str = "maps whose elements count";
const COUNTING_SINCE: &str = "Linux 5.7";

/// Something that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What it is.
    pub what: &'static str,
    /// Since when it is there.
    pub since: &'static str,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (needs {})", self.what, self.since)
    }
}

/// Asks nft to check tables that use every feature, changing nothing; if it cannot, which of them
/// are missing.
pub(super) fn probe() -> Result<(), TargetError> {
    let all: String = FEATURES.iter().enumerate().map(|(index, feature)| table(index, feature)).collect();
    let Some(words) = check(&all)? else {
        let lack = Lack { what: COUNTING, since: COUNTING_SINCE };
        return if counts_in_silence() { Err(TargetError::Lacks(vec![lack])) } else { Ok(()) };
    };
    if words.contains("Operation not permitted") {
        return Err(TargetError::NotPermitted);
    }
    let mut lacks = vec![];
    for (index, feature) in FEATURES.iter().enumerate() {
        if check(&table(index, feature))?.is_some() {
            lacks.push(Lack { what: feature.name, since: feature.since });
        }
    }
    if lacks.is_empty() { Err(TargetError::Refused(words)) } else { Err(TargetError::Lacks(lacks)) }
}

/// Whether this kernel takes maps whose elements count, but passes over the counting, as those before 5.7 do:
/// their messages have no such attribute, and what they do not know they do not refuse.
fn counts_in_silence() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    version(&release).is_some_and(|version| version < (5, 7))
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn table(index: usize, feature: &Feature) -> String {
    format!("table inet knockgate-probe-{index} {{\n {}\n}}\n", feature.table)
}

/// nft's complaint, if it has one.
fn check(text: &str) -> Result<Option<String>, TargetError> {
    let output = run(&["-c", "-f", "-"], Some(text)).map_err(TargetError::NftMissing)?;
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok((!output.status.success()).then_some(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_older_by_its_numbers() {
        for (release, older) in [
            ("5.6.19-amd64\n", true),
            ("4.19.0", true),
            ("5.7-rc1", false),
            ("5.10.0-28", false),
            ("6.18", false),
        ] {
            assert_eq!(version(release).map(|version| version < (5, 7)), Some(older), "{release}");
        }
        assert_eq!(version("next"), None);
    }
}
