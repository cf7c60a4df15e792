//! Texts to begin with: those that the repository has anyway.

use std::fs;
use std::path::{Path, PathBuf};

use knockgate_compiler::diag::CATALOGUE;

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the repository")
}

/// Policies: examples, cases, and a wrong one for each code.
pub fn policies() -> Vec<Vec<u8>> {
    let wrong = CATALOGUE.iter().filter_map(|entry| entry.wrong).map(|text| text.as_bytes().to_vec());
    [files("examples", "toml"), cases("policy.toml"), wrong.collect()].concat()
}

/// RouterOS scripts: examples, and where they are at hand those that a real router was asked about.
pub fn scripts() -> Vec<Vec<u8>> {
    let own = SCRIPTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    [files("examples", "rsc"), own, files("../shared/routeros/oracle", "rsc")].concat()
}

/// Traces: examples and cases.
pub fn traces() -> Vec<Vec<u8>> {
    [files("examples", "trace"), cases("trace")].concat()
}

/// Values, a line each.
pub fn values() -> Vec<Vec<u8>> {
    vec![VALUES.as_bytes().to_vec()]
}

/// Configurations of the client.
pub fn profiles() -> Vec<Vec<u8>> {
    vec![PROFILES.as_bytes().to_vec()]
}

/// Words of the client's command line, a line each.
pub fn knocks() -> Vec<Vec<u8>> {
    vec![KNOCKS.as_bytes().to_vec()]
}

fn cases(name: &str) -> Vec<Vec<u8>> {
    listed(&root().join("e2e/cases")).iter().filter_map(|case| fs::read(case.join(name)).ok()).collect()
}

fn files(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let all = listed(&root().join(folder));
    let wanted = all.iter().filter(|path| path.extension().is_some_and(|found| found == extension));
    wanted.filter_map(|path| fs::read(path).ok()).collect()
}

/// What is in a folder, in the order of the names; nothing if there is no such folder.
pub fn listed(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

const SCRIPTS: &[&str] = &[
    "# apr/03/2019 23:01:45 by RouterOS 6.44.1
/interface list
add comment=\"to strangers\" name=WAN
/ip firewall filter
add action=accept chain=input connection-state=established,related,untracked
add action=add-src-to-address-list address-list=first address-list-timeout=30s chain=input dst-port=333 \\
    in-interface-list=!LAN protocol=tcp
set [ find default=yes ] disabled=yes comment=\"a \\\"b\\\" \\$c \\E2\\r\\n\"
remove [find where chain=input and action!=drop or (dst-port~\"^22\")]
/ipv6/firewall/address-list/add address=2001:db8::/32 list=own timeout=1w3d12:00:00
",
    ":local name \"x\"; :global list {1; 2; \"three\"}
:if ([:len [/ip firewall filter find comment=$name]] = 0) do={
  /ip firewall filter { add chain=input; move 3 destination=0 }
} else={ :foreach i in=[find] do={ set $i !port disabled=(\"y\" . \"es\") } }
:do { remove ([find chain=input]->0) } on-error={ :put \"no $(1 + 2) $[get 0 chain]\" }
",
    "[admin@MikroTik] > /ip firewall filter print detail
Flags: X - disabled, I - invalid; D - dynamic
 0  D ;;; special dummy rule to show fasttrack counters
      chain=forward action=passthrough

 1 X  ;;; drop all
      chain=input action=drop in-interface-list=!LAN log=no log-prefix=\"\"
",
];

const VALUES: &str = "30s
1m30s
1w2d3h4m5s6ms
35w3d13h13m56s
00:00:00.500
1w3d12:00:00
22
65535
22/tcp
51820/udp
192.0.2.0/24
192.0.2.7/24
0.0.0.0/0
2001:db8::/32
::ffff:192.0.2.1/128
fe80::1%eth0
ppp*
eth0.100@if2
22,80-90,443
!LAN
P010
";

const PROFILES: &str = "# Where to knock.
[profile.home]
host = \"gw.example.org\"
knocks = [\"333\", \"777/udp\", \"100/ping\"]
gap = \"50ms\"
copies = 3
wait = \"22/tcp\"
family = \"6\"

[profile.\"work place\"]
host = '192.0.2.1'
knocks = [
    \"7000:tcp\", # first
    \"ping/1452\",
]
gap = \"1m\"
";

const KNOCKS: &str = "333
333/tcp
777:udp
ping/1452
100:ping
UDP/53
22
200ms
30s
2m
any
4
6
192.0.2.7
[2001:db8::7]
";
