//! `knockgate doctor` on machines with one thing wrong each.

use std::fmt::Debug;
use std::net::{TcpListener, UdpSocket};

use serde_json::Value;

use crate::apply::policy;
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::{KNOCKGATE, Said, run, wait_for};
use crate::refusals::with_nft;
use crate::traffic::inside;

/// A gateway that a peer is connected to, with nothing wrong: it has addresses of both families, a
/// default route, and somebody listens at every service of [`policy`].
#[derive(Debug)]
pub struct Machine {
    pub gateway: Gateway,
    pub peer: Gateway,
    _services: (TcpListener, UdpSocket),
}

/// The addresses of the two.
pub const HERE: &str = "10.9.0.1";
pub const THERE: &str = "10.9.0.2";

impl Machine {
    pub fn new() -> Option<Self> {
        if !can_be_run(&NEEDED) {
            return None;
        }
        let (gateway, peer) = (Gateway::new(), Gateway::new());
        // What the machine that runs the test starts is no matter here.
        gateway.must("cp /etc/protocols /run && mount -t tmpfs tmpfs /etc && mv /run/protocols /etc");
        gateway.must(&format!(
            "ip link add wan0 type veth peer name eth0 netns {} && ip addr add {HERE}/24 dev wan0 &&
             ip addr add 2001:db8:9::1/64 dev wan0 nodad && ip link set wan0 up &&
             ip route add default via {THERE} && ip -6 route add default via 2001:db8:9::2 dev wan0",
            peer.pid()
        ));
        peer.must(&format!(
            "ip addr add {THERE}/24 dev eth0 && ip addr add 2001:db8:9::2/64 dev eth0 nodad &&
             ip link set eth0 up && ip route add default via {HERE}"
        ));
        let up = || gateway.must("ip link show wan0").contains("state UP").then_some(());
        wait_for("wan0", up);
        let services = inside(gateway.pid(), || {
            let tcp = TcpListener::bind(("0.0.0.0", 22)).expect("a port of nobody else");
            (tcp, UdpSocket::bind(("0.0.0.0", 5000)).expect("a port of nobody else"))
        });
        Some(Self { gateway, peer, _services: services })
    }

    /// What is said of this policy.
    pub fn doctor(&self, text: &str) -> Said {
        run(self.gateway.enter(KNOCKGATE).args(["doctor", "-"]), text)
    }

    /// What is found about this policy: each finding's severity, sentence and help.
    pub fn findings(&self, text: &str) -> Vec<String> {
        let said = run(self.gateway.enter(KNOCKGATE).args(["doctor", "-", "--format", "json"]), text);
        let json = said.json();
        let words = |finding: &Value| {
            let word = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            format!("{}: {} | {}", word("severity"), word("message"), word("help"))
        };
        let found: Vec<String> = json["findings"].as_array().expect("findings").iter().map(words).collect();
        let told = found.iter().filter(|finding| !finding.starts_with("note")).count();
        assert_eq!(said.code, Some(i32::from(told > 0)), "{said:#?}");
        found.into_iter().filter(|finding| !finding.starts_with("note")).collect()
    }

    pub fn load(&self, ruleset: &str) {
        run(self.gateway.enter("nft").args(["-f", "-"]), ruleset).expect(0);
    }
}

/// There is one finding with all these parts in it, and no other.
#[track_caller]
pub fn only(found: &[String], parts: &[&str]) {
    assert!(found.len() == 1 && parts.iter().all(|part| found[0].contains(part)), "{parts:?} in {found:#?}");
}

#[track_caller]
fn among(found: &[String], parts: &[&str]) {
    let fits = |finding: &String| parts.iter().all(|part| finding.contains(part));
    assert!(found.iter().any(fits), "{parts:?} in {found:#?}");
}

#[track_caller]
fn none<T: Debug>(found: &[T]) {
    assert!(found.is_empty(), "{found:#?}");
}

fn door() -> String {
    policy("10s", "")
}

#[test]
fn a_machine_with_nothing_wrong_is_told_in_a_line() {
    let Some(machine) = Machine::new() else { return };
    let said = machine.doctor(&door()).expect(0);
    assert_eq!(said.stdout, "<stdin>: nothing on this machine works against it\n");
    machine.gateway.apply(&door());
    assert_eq!(machine.gateway.knockgate(&["doctor"]).expect(0).stdout, said.stdout);
    let verbose = machine.gateway.knockgate(&["doctor", "--verbose"]).expect(0).stdout;
    assert!(verbose.lines().filter(|line| line.starts_with("fine: ")).count() >= 10, "{verbose}");
}

#[test]
fn without_a_policy_or_root_it_could_not_look() {
    let Some(machine) = Machine::new() else { return };
    let said = machine.gateway.knockgate(&["doctor"]).expect(2);
    assert!(said.stderr.contains("no policy is in force"), "{said:#?}");
    machine.gateway.must(&format!("cp {KNOCKGATE} /run/knockgate-copy && chmod 755 /run/knockgate-copy"));
    let mut command = machine.gateway.enter("setpriv");
    command.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "/run/knockgate-copy",
        "doctor",
        "-",
    ]);
    let said = run(&mut command, &door()).expect(2);
    assert!(said.stderr.contains("needs root"), "{said:#?}");
}

#[test]
fn chains_of_other_tables_that_drop_a_service_are_named() {
    // What the table has, and what is found of it; "" stands for nothing.
    let cases: &[(&str, &[&str])] = &[
        (
            "type filter hook input priority 10; policy drop;",
            &["error", "policy of chain `c`", "22/tcp (door main)", "5000/udp"],
        ),
        (
            "type filter hook input priority 10; policy drop;\ntcp dport { 22, 80 } accept\nudp dport 5000-5001 accept",
            &[],
        ),
        (
            "type filter hook input priority 10; policy drop;\ntcp dport 22 accept",
            &["error", "5000/udp (door main)"],
        ),
        ("type filter hook input priority 10; policy drop;\niifname \"wan*\" accept", &[]),
        (
            "type filter hook input priority 10; policy drop;\niifname { \"lan0\", \"lo\" } accept",
            &["error", "22/tcp"],
        ),
        (
            "type filter hook input priority 10; policy accept;\nct state established,related accept\ncounter reject",
            &["error", "rule ", "chain `c`", "22/tcp"],
        ),
        (
            "type filter hook input priority 10; policy accept;\ntcp dport 22 limit rate over 3/second drop",
            &["warning", "may drop 22/tcp (door main)"],
        ),
        ("type filter hook input priority 10; policy accept;\nip saddr 192.0.2.1 drop", &[]),
        (
            "type filter hook input priority 10; policy drop;\nudp dport 5000 accept\nip saddr 192.0.2.0/24 accept\nmeta nfproto ipv6 accept",
            &["warning", "unless from a source that its rules name", "over IPv4"],
        ),
        (
            "type filter hook input priority 10; policy accept;\ntcp dport vmap { 22 : drop, 23 : accept }",
            &["error", "22/tcp (door main)"],
        ),
        (
            "type filter hook input priority 10; policy accept;\nct state vmap { invalid : drop, established : accept }",
            &[],
        ),
        (
            "type filter hook input priority 10; policy accept;\ntcp flags & (fin|syn|rst|ack) == syn tcp dport 20-30 drop",
            &["error", "22/tcp (door main)"],
        ),
        ("type filter hook forward priority 10; policy drop;", &[]),
        ("type filter hook output priority 10; policy accept;", &[]),
    ];
    let Some(machine) = Machine::new() else { return };
    for (chain, parts) in cases {
        machine.load(&format!(
            "table inet t\ndelete table inet t\ntable inet t {{\nchain c {{\n{chain}\n}}\n}}\n"
        ));
        let found = machine.findings(&door());
        if parts.is_empty() { none(&found) } else { only(&found, parts) }
    }
}

#[test]
fn jumps_gotos_sets_and_maps_are_followed() {
    let Some(machine) = Machine::new() else { return };
    let table = |rules: &str| {
        format!(
            "table inet t\ndelete table inet t\ntable inet t {{
             set open {{ type inet_service; flags interval; elements = {{ 20-25, 5000 }}; }}
             map to {{ type inet_service : verdict; elements = {{ 22 : goto yes, 5000 : goto yes }}; }}
             chain yes {{\n accept\n }}
             chain no {{\n drop\n }}
             chain some {{\n tcp dport 22 accept\n udp dport 5000 return\n drop\n }}
             chain c {{\n type filter hook input priority 10; policy drop;\n {rules}\n }}\n}}\n"
        )
    };
    for (rules, parts) in [
        ("th dport @open accept", &[][..]),
        ("th dport vmap @to", &[]),
        ("jump yes", &[]),
        ("goto some", &["error", "policy of chain `c`", "drops 5000/udp"]),
        ("jump some\n accept", &[]),
        ("goto some\n accept", &["error", "policy of chain `c`", "drops 5000/udp"]),
        ("iifname vmap { \"wan0\" : jump some, \"lo\" : accept }\n accept", &[]),
        ("tcp dport 22 accept\n jump no", &["error", "chain `no`", "5000/udp"]),
    ] {
        machine.load(&table(rules).replace("th dport", "meta l4proto { tcp, udp } th dport"));
        let found = machine.findings(&door());
        if parts.is_empty() { none(&found) } else { only(&found, parts) }
    }
}

#[test]
fn families_tables_and_devices_of_other_chains_are_minded() {
    let Some(machine) = Machine::new() else { return };
    for (family, chain, parts) in [
        ("ip", "type filter hook input priority 10; policy drop;", &["error", "over IPv4"][..]),
        ("ip6", "type filter hook input priority 10; policy drop;", &["error", "over IPv6"]),
        ("bridge", "type filter hook input priority 10; policy drop;", &[]),
        ("netdev", "type filter hook ingress device lo priority 0; policy drop;", &[]),
    ] {
        machine.load(&format!("table {family} t {{\nchain c {{\n{chain}\n}}\n}}\n"));
        let found = machine.findings(&door());
        if parts.is_empty() {
            none(&found)
        } else {
            only(&found, parts)
        }
        machine.load(&format!("delete table {family} t\n"));
    }
    machine.load("table netdev t {\nchain c {\ntype filter hook ingress device wan0 priority 0; policy accept;\nudp dport 777 drop\n}\n}\n");
    only(
        &machine.findings(&door()),
        &["error", "table `netdev t`", "drops knock 2 of 3 of door main", "never counts"],
    );
}

#[test]
fn chains_that_knocks_do_not_reach_us_through_are_told_without_their_ports() {
    let Some(machine) = Machine::new() else { return };
    // Made first and asked last: chains are asked in the order of their priorities.
    machine.load("table inet a {\nchain z {\ntype filter hook input priority 7; policy accept;\n}\n}\n");
    machine.load(
        "table inet t {\nchain c {\ntype filter hook input priority -5; policy accept;
         tcp dport { 22, 333, 888 } accept\nudp dport { 777, 5000 } accept\ntcp dport 666 drop\n}\n}\n",
    );
    let found = machine.findings(&door());
    only(&found, &["error", "drops a trap: it never counts"]);
    machine.load("flush chain inet t c\nadd rule inet t c tcp dport { 333, 888 } reject\n");
    let found = machine.findings(&door());
    only(&found, &["error", "drops knock 1 of 3 of door main, knock 3 of 3 of door main"]);
    assert!(!found[0].contains("333") && !found[0].contains("888"), "knocks are secret: {found:?}");
    // Behind ours, what becomes of a knock is no matter; beside it, that depends on the order.
    machine.load("delete table inet t\ntable inet t {\nchain c {\ntype filter hook input priority 5; policy accept;\ntcp dport 333 drop\n}\n}\n");
    none(&machine.findings(&door()));
    machine.load("delete table inet t\ntable inet t {\nchain c {\ntype filter hook input priority 0; policy accept;\ntcp dport 333 drop\n}\n}\n");
    only(&machine.findings(&door()), &["warning", "if that chain comes before ours", "knock 1 of 3"]);
}

#[test]
fn what_is_sent_elsewhere_or_not_tracked_is_told() {
    let Some(machine) = Machine::new() else { return };
    machine.load(
        "table ip t {\nchain c {\ntype nat hook prerouting priority -100;\ntcp dport 22 dnat to 10.8.0.7:2222
         tcp dport 888 redirect to :8080\nudp dport 53 redirect\n}\n}\n",
    );
    let found = machine.findings(&door());
    assert_eq!(found.len(), 2, "{found:#?}");
    among(
        &found,
        &["error", "sends elsewhere 22/tcp (door main)", "to 10.8.0.7:2222, past the door, for anybody"],
    );
    among(&found, &["error", "sends elsewhere knock 3 of 3 of door main", "it never counts"]);
    machine.load("delete table ip t\ntable inet t {\nchain c {\ntype filter hook prerouting priority raw;\ntcp dport 333 notrack\n}\n}\n");
    only(
        &machine.findings(&door()),
        &["error", "hides from connection tracking knock 1 of 3", "never counts"],
    );
    machine.load("flush chain inet t c\nadd rule inet t c meta mark 3 tcp dport 333 notrack\n");
    only(&machine.findings(&door()), &["warning", "may hide from connection tracking knock 1 of 3"]);
    machine.load(
        "delete table inet t\ntable inet t {\nchain c {\ntype nat hook prerouting priority -90;
         tcp dport 22 dnat ip6 to 2001:db8::7\n}\n}\n",
    );
    only(&machine.findings(&door()), &["error", "sends elsewhere 22/tcp", "over IPv6: to 2001:db8::7"]);
}

#[test]
fn hosts_behind_are_looked_for_at_the_forward_hook() {
    let Some(machine) = Machine::new() else { return };
    machine.gateway.must(
        "ip link add lan0 type veth peer name lan1 && ip addr add 10.8.0.1/24 dev lan0 && ip link set lan0 up &&
         ip link set lan1 up && echo 1 > /proc/sys/net/ipv4/ip_forward",
    );
    let text = door().replace("\"5000/udp\"", "\"5000/udp at 10.8.0.2\", \"8443/tcp to 10.8.0.2:443\"");
    none(&machine.findings(&text));
    let forward = |rules: &str| {
        machine.load(&format!(
            "table ip t\ndelete table ip t\ntable ip t {{\nchain c {{
             type filter hook forward priority 0; policy drop;\n{rules}\n}}\n}}\n"
        ));
        machine.findings(&text)
    };
    only(
        &forward(""),
        &["error", "8443/tcp (door main), 5000/udp at 10.8.0.2 (door main)", "ip daddr 10.8.0.2"],
    );
    none(&forward("iifname wan0 oifname lan0 accept"));
    only(&forward("ip daddr 10.8.0.2 tcp dport 443 accept"), &["error", "drops 5000/udp at 10.8.0.2"]);
    none(&forward("ct status dnat accept\nip daddr 10.8.0.0/24 udp dport 5000 accept"));
    // A translation to the very place that ours leads to is guarded there.
    let to = |to: &str| {
        machine.load(&format!(
            "delete table ip t\ntable ip t {{\nchain c {{
             type nat hook prerouting priority -100;\ntcp dport 8443 dnat to {to}\n}}\n}}\n"
        ));
        machine.findings(&text)
    };
    none(&to("10.8.0.2:443"));
    only(&to("10.8.0.3:443"), &["error", "sends elsewhere 8443/tcp", "10.8.0.3:443"]);
    // Ours has translated it already where another would.
    machine.load(
        "delete table ip t\ntable ip t {\nchain c {\ntype nat hook prerouting priority -90;
         tcp dport 443 dnat to 10.8.0.9\n}\n}\n",
    );
    none(&machine.findings(&text));
    machine.load(
        "delete table ip t\ntable ip t {\nchain c {\ntype filter hook prerouting priority -150;
         fib daddr type local udp dport 5000 drop\n}\n}\n",
    );
    none(&machine.findings(&text));
    machine.load("add rule ip t c fib daddr type != local udp dport 5000 drop\n");
    only(&machine.findings(&text), &["error", "drops 5000/udp at 10.8.0.2"]);
    machine.gateway.must("nft delete table ip t && echo 0 > /proc/sys/net/ipv4/ip_forward");
    only(&machine.findings(&text), &["error", "IPv4 packets are not passed on"]);
}

#[test]
fn listeners_at_knocks_and_services_without_one_are_told() {
    let Some(machine) = Machine::new() else { return };
    let bind = |address: &'static str| {
        inside(machine.gateway.pid(), move || {
            (TcpListener::bind((address, 888)).expect("free"), UdpSocket::bind((address, 777)).expect("free"))
        })
    };
    let inward = bind("127.0.0.1");
    none(&machine.findings(&door()));
    drop(inward);
    let outward = bind("::");
    let found = machine.findings(&door());
    assert_eq!(found.len(), 2, "{found:#?}");
    among(&found, &["warning", "listens where knock 2 of 3 of door main is"]);
    among(&found, &["warning", "listens where knock 3 of 3 of door main is"]);
    let comm = std::fs::read_to_string("/proc/self/comm").expect("our own name");
    assert!(found.iter().all(|finding| finding.contains(comm.trim())), "{comm} in {found:#?}");
    drop(outward);
    let text = door().replace("\"22/tcp\"", "\"22/tcp\", \"23/tcp\", \"24/tcp\"");
    let inward = inside(machine.gateway.pid(), || TcpListener::bind(("127.0.0.1", 24)).expect("free"));
    let found = machine.findings(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    among(&found, &["warning", "nobody listens at 23/tcp (door main):"]);
    among(&found, &["warning", "24/tcp (door main) takes packets from this machine alone"]);
    drop(inward);
}

#[test]
fn ways_in_that_are_not_outside_are_told() {
    let Some(machine) = Machine::new() else { return };
    let other = "outside = [\"wan0\", \"wan7\"]";
    let text = door().replace("outside = \"wan0\"", other);
    only(&machine.findings(&text), &["error", "no interface is called `wan7`"]);
    machine
        .gateway
        .must("ip link add tun0 type veth peer name tun1 && ip link set tun0 up && ip link set tun1 up");
    none(&machine.findings(&door()));
    machine.gateway.must("ip -6 route add default dev tun0 metric 5");
    only(&machine.findings(&door()), &["error", "default route for IPv6 is by `tun0`", "not in `outside`"]);
    none(
        &machine
            .findings(&door().replace("outside = \"wan0\"", "outside = [\"wan0\", \"tun*\"]"))
            .into_iter()
            .filter(|finding| finding.starts_with("error"))
            .collect::<Vec<_>>(),
    );
    machine.gateway.must("ip -6 route del default dev tun0 && ip addr add 10.7.0.1/24 dev tun0");
    machine.gateway.must("ip -6 addr del 2001:db8:9::1/64 dev wan0");
    machine.gateway.must("ip addr add 2a00:1:2::1/64 dev tun0 nodad");
    only(&machine.findings(&door()), &["warning", "`tun0` has a public IPv6 address"]);
    machine.gateway.must("ip link del tun0 && ip addr flush dev wan0");
    let found = machine.findings(&door());
    only(&found, &["warning", "outside interface `wan0` has no address"]);
}

#[test]
fn what_the_kernel_or_nft_lacks_is_told_with_all_else() {
    let Some(machine) = Machine::new() else { return };
    let nft = with_nft(
        "nft-doctor",
        "case \"$*\" in *'-c -f -'*) ;; *) exec \"$real\" \"$@\" ;; esac\n\
         text=$(cat)\n\
         case \"$text\" in *vmap*) echo 'Error: Operation not supported' >&2; exit 1 ;; esac\n\
         printf '%s' \"$text\" | \"$real\" \"$@\"",
    );
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", nft.path().display());
    let text = door().replace("22/tcp", "23/tcp");
    let said = run(machine.gateway.enter("env").args([&path, KNOCKGATE, "doctor", "-"]), &text).expect(1);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[0], "error: this kernel or nft lacks verdict maps (needs Linux 3.13)");
    assert!(lines[1].starts_with("warning: nobody listens at 23/tcp"), "{said:#?}");
    assert_eq!(lines.last(), Some(&"<stdin>: 1 error and 1 warning"));
}

#[test]
fn a_full_table_and_a_flushing_service_are_told() {
    let Some(machine) = Machine::new() else { return };
    machine.gateway.must(
        "echo 240000 > /run/count && echo 262144 > /run/max &&
         mount --bind /run/count /proc/sys/net/netfilter/nf_conntrack_count &&
         mount --bind /run/max /proc/sys/net/netfilter/nf_conntrack_max",
    );
    only(&machine.findings(&door()), &["warning", "240000 connections of 262144"]);
    machine.gateway.must("echo 1000 > /run/count");
    none(&machine.findings(&door()));
    machine.gateway.must(
        "mkdir -p /etc/systemd/system/sysinit.target.wants &&
         printf '#!/usr/sbin/nft -f\\n\\nflush ruleset\\n' > /etc/nftables.conf",
    );
    none(&machine.findings(&door()));
    machine.gateway.must("touch /etc/systemd/system/sysinit.target.wants/nftables.service");
    only(&machine.findings(&door()), &["warning", "/etc/nftables.conf flushes all tables"]);
}

#[test]
fn a_script_is_looked_at_too() {
    let Some(machine) = Machine::new() else { return };
    machine.load("table inet t {\nchain c {\ntype filter hook input priority 10; policy drop;\n}\n}\n");
    let script = "/ip firewall filter\n\
        add chain=input in-interface=wan0 connection-state=established,related action=accept\n\
        add chain=input in-interface=wan0 protocol=tcp dst-port=22 src-address-list=in action=accept\n\
        add chain=input in-interface=wan0 protocol=tcp dst-port=888 src-address-list=b action=add-src-to-address-list address-list=in address-list-timeout=30s\n\
        add chain=input in-interface=wan0 protocol=tcp dst-port=333 action=add-src-to-address-list address-list=b address-list-timeout=10s\n\
        add chain=input in-interface=wan0 action=drop\n";
    only(&machine.findings(script), &["error", "policy of chain `c`", "22/tcp (door"]);
}

#[test]
fn a_clock_that_was_set_is_told_of() {
    let Some(machine) = Machine::new() else { return };
    let text = door();
    machine.gateway.apply(&text);
    none(&machine.findings(&text));
    machine.gateway.must(r#"sed -i 's/"unix_ms":[0-9]*/"unix_ms":1000000/' /run/knockgate/*/applied"#);
    only(&machine.findings(&text), &["warning", "the clock was set ahead by 17"]);
}
