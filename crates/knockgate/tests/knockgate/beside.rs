//! Rules of the shape that other programs make, beside ours: both do what they should, on packets, and
//! `doctor` foretells it.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::apply::policy;
use crate::doctor::{HERE, Machine, THERE, only};
use crate::gateway::Gateway;
use crate::program::wait_for;
use crate::traffic::inside;

/// What no answer within this time is none.
const PATIENCE: Duration = Duration::from_millis(300);

/// A program's rules, in which nothing but what it needs itself is open.
struct Other {
    tables: &'static [&'static str],
    ruleset: &'static str,
    /// Opens 22/tcp.
    opening: &'static str,
    /// What `doctor` says before that.
    foretold: &'static [&'static str],
}

const FIREWALLD: Other = Other {
    tables: &["inet firewalld"],
    ruleset: "table inet firewalld {
	chain filter_IN_public_allow {
		tcp dport 80 accept
	}
	chain filter_IN_public {
		jump filter_IN_public_allow
		meta l4proto { icmp, ipv6-icmp } accept
	}
	chain filter_INPUT_ZONES {
		iifname \"wan0\" goto filter_IN_public
		goto filter_IN_public
	}
	chain filter_PREROUTING {
		type filter hook prerouting priority filter + 10; policy accept;
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
		meta nfproto ipv6 fib saddr . mark . iif oif missing drop
	}
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname \"lo\" accept
		ct state invalid drop
		jump filter_INPUT_ZONES
		reject with icmpx admin-prohibited
	}
}",
    opening: "add rule inet firewalld filter_IN_public_allow tcp dport 22 accept",
    foretold: &["error", "chain `filter_INPUT` of table `inet firewalld` drops 22/tcp", "--add-port=22/tcp"],
};

const UFW: Other = Other {
    tables: &["ip filter", "ip6 filter"],
    ruleset: "table ip filter {
	chain ufw-user-input {
		tcp dport 80 counter accept
	}
	chain ufw-not-local {
		fib daddr type local counter return
		counter drop
	}
	chain ufw-skip-to-policy-input {
		counter drop
	}
	chain ufw-before-input {
		iifname \"lo\" counter accept
		ct state related,established counter accept
		ct state invalid counter drop
		icmp type echo-request counter accept
		udp sport 67 udp dport 68 counter accept
		counter jump ufw-not-local
		counter jump ufw-user-input
	}
	chain ufw-after-input {
		udp dport 137 counter jump ufw-skip-to-policy-input
		fib daddr type broadcast counter jump ufw-skip-to-policy-input
	}
	chain INPUT {
		type filter hook input priority filter; policy drop;
		counter jump ufw-before-input
		counter jump ufw-after-input
	}
}
table ip6 filter {
	chain ufw6-user-input {
		tcp dport { 22, 80 } counter accept
	}
	chain INPUT {
		type filter hook input priority filter; policy drop;
		meta l4proto ipv6-icmp counter accept
		counter jump ufw6-user-input
	}
}",
    opening: "add rule ip filter ufw-user-input tcp dport 22 counter accept",
    foretold: &[
        "error",
        "policy of chain `INPUT` of table `ip filter` drops 22/tcp",
        "over IPv4",
        "ufw allow 22/tcp",
    ],
};

const BY_HAND: Other = Other {
    tables: &["inet filter"],
    ruleset: "table inet filter {
	set open {
		type inet_service
		flags interval
		elements = { 80, 8000-8010 }
	}
	chain input {
		type filter hook input priority filter + 1; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		iif \"lo\" accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport @open accept
	}
}",
    opening: "add element inet filter open { 22 }",
    foretold: &["error", "policy of chain `input`", "nft insert rule inet filter input tcp dport 22 accept"],
};

/// A policy whose only door opens 22/tcp.
fn door() -> String {
    policy("10s", "").replace(", \"5000/udp\"", "").replace("outside", "public = \"80/tcp\"\noutside")
}

impl Machine {
    fn theirs(&self, tables: &[&str]) -> Vec<String> {
        tables.iter().map(|table| self.gateway.must(&format!("nft -s list table {table}"))).collect()
    }

    /// Whether a connection from the peer is answered.
    fn connects(&self, port: u16) -> bool {
        let to = SocketAddr::new(HERE.parse().expect("an address"), port);
        inside(self.peer.pid(), || TcpStream::connect_timeout(&to, PATIENCE)).is_ok()
    }

    fn send_knocks(&self) {
        inside(self.peer.pid(), || {
            let to = |port| SocketAddr::new(HERE.parse().expect("an address"), port);
            let short = Duration::from_millis(20);
            assert!(TcpStream::connect_timeout(&to(333), short).is_err(), "knocks are silent");
            let udp = UdpSocket::bind((THERE, 0)).expect("its own address");
            udp.send_to(b"", to(777)).expect("UDP");
            assert!(TcpStream::connect_timeout(&to(888), short).is_err(), "knocks are silent");
        });
    }

    fn knock(&self) {
        self.send_knocks();
        let granted = || !self.gateway.elements("set", "grants4").is_empty();
        wait_for("grant", || granted().then_some(()));
    }

    fn forget_grants(&self) {
        self.gateway.must("nft flush set inet knockgate grants4");
    }
}

fn listen(gateway: &Gateway, address: &'static str, port: u16) -> TcpListener {
    inside(gateway.pid(), move || TcpListener::bind((address, port)).expect("a port of nobody else"))
}

/// Loads the other's rules, applies ours, and tries what both let through and what neither does.
fn live_beside(other: &Other) {
    let Some(machine) = Machine::new() else { return };
    let _web = listen(&machine.gateway, HERE, 80);
    let _closed = listen(&machine.gateway, HERE, 81);
    machine.load(other.ruleset);
    assert!(machine.connects(80) && !machine.connects(22), "what they open, and what they do not");
    let before = machine.theirs(other.tables);
    only(&errors(&machine), other.foretold);
    machine.gateway.apply(&door());
    assert_eq!(machine.theirs(other.tables), before);
    machine.knock();
    assert!(machine.connects(80), "public with both");
    assert!(!machine.connects(22), "granted by us, and closed by them");
    machine.load(other.opening);
    assert!(errors(&machine).is_empty(), "{:#?}", errors(&machine));
    assert!(machine.connects(22), "granted by us, and open with them");
    machine.forget_grants();
    assert!(!machine.connects(22), "open with them, and not granted by us");
    assert!(!machine.connects(81), "open with neither");
    let opened = machine.theirs(other.tables);
    machine.gateway.apply(&policy("20s", ""));
    assert_eq!(machine.theirs(other.tables), opened);
    machine.gateway.knockgate(&["remove"]).expect(0);
    assert_eq!(machine.theirs(other.tables), opened);
    assert!(machine.connects(80) && machine.connects(22) && !machine.connects(81), "as they alone say");
}

fn errors(machine: &Machine) -> Vec<String> {
    machine.findings(&door()).into_iter().filter(|finding| finding.starts_with("error")).collect()
}

#[test]
fn rules_like_those_of_firewalld() {
    live_beside(&FIREWALLD);
}

#[test]
fn rules_like_those_of_ufw() {
    live_beside(&UFW);
}

#[test]
fn rules_as_people_write_them_by_hand() {
    live_beside(&BY_HAND);
}

#[test]
fn of_chains_with_one_priority_the_one_made_last_comes_first() {
    let Some(machine) = Machine::new() else { return };
    let counted = "table inet t {\nchain c {\ntype filter hook input priority filter; policy accept;\n\
                   tcp dport 22 accept\nudp dport 777 counter drop\n}\n}\n";
    machine.load(counted);
    only(&machine.findings(&door()), &["warning", "knock 2 of 3", "if that chain comes before ours"]);
    machine.gateway.apply(&door());
    machine.knock();
    machine.forget_grants();
    machine.load(&format!("delete table inet t\n{counted}"));
    machine.send_knocks();
    let dropped = || machine.gateway.must("nft list table inet t").contains("packets 1 ").then_some(());
    wait_for("dropped knock", dropped);
    assert!(machine.gateway.elements("set", "grants4").is_empty());
    // As `doctor` advises.
    machine.gateway.knockgate(&["remove"]).expect(0);
    machine.gateway.apply(&door());
    machine.knock();
}

#[test]
fn bans_like_those_of_fail2ban_hold_for_granted_sources_too() {
    let Some(machine) = Machine::new() else { return };
    machine.load(
        "table inet f2b-table {
	set addr-set-sshd {
		type ipv4_addr
		flags interval
	}
	chain f2b-chain {
		type filter hook input priority filter - 1; policy accept;
		tcp dport { 22 } ip saddr @addr-set-sshd reject
	}
}",
    );
    assert!(machine.findings(&door()).is_empty(), "it stops nobody yet");
    machine.gateway.apply(&door());
    machine.knock();
    assert!(machine.connects(22));
    machine.load(&format!("add element inet f2b-table addr-set-sshd {{ {THERE} }}\n"));
    let banned = machine.theirs(&["inet f2b-table"]);
    assert!(!machine.connects(22), "banned");
    machine.gateway.apply(&policy("20s", ""));
    assert_eq!(machine.theirs(&["inet f2b-table"]), banned);
    machine.load(&format!("delete element inet f2b-table addr-set-sshd {{ {THERE} }}\n"));
    assert!(machine.connects(22));
}

/// What Docker makes of a container at 172.17.0.2 whose port 80 is published as 8080.
const DOCKER: &str = "table ip nat {
	chain DOCKER {
		iifname != \"docker0\" tcp dport 8080 counter dnat to 172.17.0.2:80
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter jump DOCKER
	}
}
table ip filter {
	chain DOCKER-USER {
	}
	chain DOCKER {
		ip daddr 172.17.0.2 iifname != \"docker0\" oifname \"docker0\" tcp dport 80 counter accept
		iifname != \"docker0\" oifname \"docker0\" counter drop
	}
	chain DOCKER-FORWARD {
		oifname \"docker0\" ct state related,established counter accept
		oifname \"docker0\" counter jump DOCKER
		iifname \"docker0\" counter accept
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		counter jump DOCKER-USER
		counter jump DOCKER-FORWARD
	}
}";

#[test]
fn ports_that_docker_publishes_are_guarded_as_hosts_behind_only() {
    let Some(machine) = Machine::new() else { return };
    let container = Gateway::new();
    machine.gateway.must(&format!(
        "ip link add docker0 type veth peer name eth0 netns {} && ip addr add 172.17.0.1/16 dev docker0 &&
         ip link set docker0 up && echo 1 > /proc/sys/net/ipv4/ip_forward",
        container.pid()
    ));
    container.must(
        "ip addr add 172.17.0.2/16 dev eth0 && ip link set eth0 up && ip route add default via 172.17.0.1",
    );
    let _web = listen(&container, "172.17.0.2", 80);
    // Docker has a program of its own listen there, for packets from the machine itself.
    let _proxy = listen(&machine.gateway, "0.0.0.0", 8080);
    machine.load(DOCKER);
    let tables = ["ip nat", "ip filter"];
    let before = machine.theirs(&tables);
    let on_gateway = door().replace("\"22/tcp\"", "\"8080/tcp\"");
    only(
        &machine.findings(&on_gateway),
        &[
            "error",
            "sends elsewhere 8080/tcp",
            "to 172.17.0.2:80, past the door, for anybody",
            "`PORT to 172.17.0.2:80`",
        ],
    );
    machine.gateway.apply(&on_gateway);
    assert!(machine.connects(8080), "nobody has knocked, and yet");
    let behind = door().replace("\"22/tcp\"", "\"8080/tcp to 172.17.0.2:80\"");
    assert!(machine.findings(&behind).is_empty(), "{:#?}", machine.findings(&behind));
    machine.gateway.apply(&behind);
    assert!(!machine.connects(8080), "nobody has knocked");
    machine.knock();
    assert!(machine.connects(8080), "granted");
    assert_eq!(machine.theirs(&tables), before);
    // What is dropped early never comes to Docker's rules, unless it is named.
    let early = format!("early-drop = true\n{}", door());
    let told = "chain `DOCKER` of table `ip nat` sends connections on which `early-drop` drops before";
    only(&machine.findings(&early), &["warning", told, "in `public`"]);
    assert!(machine.gateway.try_apply(&early).expect(0).stderr.contains(told));
    assert!(!machine.connects(8080), "dropped early");
    let named = early.replace("public = \"80/tcp\"", "public = [\"80/tcp\", \"8080/tcp\"]");
    assert_ne!(named, early);
    assert!(machine.findings(&named).is_empty(), "{:#?}", machine.findings(&named));
    machine.gateway.apply(&named);
    assert!(machine.connects(8080), "public, and so left to Docker");
    // Another host behind, which Docker knows nothing of.
    let text = behind.replace("172.17.0.2:80", "172.17.0.9:80");
    let found = machine.findings(&text.replace("8080/tcp", "8081/tcp"));
    only(&found, &["error", "table `ip filter` drops 8081/tcp", "iptables -I DOCKER-USER -d 172.17.0.9"]);
    machine.gateway.knockgate(&["remove"]).expect(0);
    assert_eq!(machine.theirs(&tables), before);
    assert!(machine.connects(8080), "as Docker alone says");
}
