//! From the last knock to a connection: our ruleset beside one written by hand.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;
use knockgate::lab::{Namespace, Plug, connect};
use knockgate_compiler::backend;
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::Spread;

/// Rounds of each side.
const ROUNDS: usize = 400;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

const POLICY: &str = r#"
    outside = "wan0"
    [door.ssh]
    knock = ["333/tcp", "777/tcp", "888/tcp"]
    opens = "22/tcp"
    window = "30s"
"#;

/// What a careful administrator writes: three sets, one for each knock.
const BY_HAND: &str = r#"
table inet byhand {
	set first {
		type ipv4_addr
		size 65536
		flags dynamic,timeout
	}
	set second {
		type ipv4_addr
		size 65536
		flags dynamic,timeout
	}
	set granted {
		type ipv4_addr
		size 65536
		flags dynamic,timeout
	}
	chain input {
		type filter hook input priority filter; policy accept;
		iifname != "wan0" accept
		ct state established,related accept
		tcp dport 22 ip saddr @granted accept
		ct state new tcp flags & (fin|syn|rst|ack) == syn jump knocks
		drop
	}
	chain knocks {
		tcp dport 888 ip saddr @second update @granted { ip saddr timeout 30s }
		tcp dport 777 ip saddr @first update @second { ip saddr timeout 30s }
		tcp dport 333 update @first { ip saddr timeout 30s }
	}
}
"#;

pub fn run() -> anyhow::Result<()> {
    let (policy, _) = frontend::toml::parse(POLICY);
    let ours = backend::nft::print(&lower(&policy.context("the policy of the benchmark is sound")?));
    let ours = ours.map_err(|_| anyhow::anyhow!("nftables can say every policy"))?.text;
    let (gateway, owner) = (Namespace::new()?, Namespace::new()?);
    connect(
        Plug { namespace: &gateway, interface: "wan0", addresses: &["198.51.100.1/24"] },
        Plug { namespace: &owner, interface: "eth0", addresses: &["198.51.100.10/24"] },
    )?;
    let listener = gateway.run(|| TcpListener::bind((GATEWAY, 22)))?;
    std::thread::spawn(move || listener.incoming().for_each(drop));

    let (mut our_times, mut hand_times) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        our_times.push(round(&gateway, &owner, &ours)?);
        hand_times.push(round(&gateway, &owner, BY_HAND)?);
    }
    let (ours, by_hand) = (Spread::of(our_times), Spread::of(hand_times));
    let ratio = ours.median.as_secs_f64() / by_hand.median.as_secs_f64();
    println!("## From the last knock to a connection\n");
    println!("The third knock and a TCP connection right after it, {ROUNDS} rounds of each in turn.\n");
    println!("| ruleset | time |\n|---|---|");
    println!(
        "| Knockgate | {ours} |\n| by hand, three sets | {by_hand} |\n| ratio of medians | {ratio:.2} |\n"
    );
    Ok(())
}

/// One door opened and connected through, with the ruleset loaded anew.
fn round(gateway: &Namespace, owner: &Namespace, ruleset: &str) -> anyhow::Result<Duration> {
    gateway.nft(&format!("flush ruleset\n{ruleset}"))?;
    owner.run(|| {
        let first = (syn(333)?, syn(777)?);
        drop(first);
        let start = Instant::now();
        let last = syn(888)?;
        let service = SocketAddr::from((GATEWAY, 22));
        let stream =
            TcpStream::connect_timeout(&service, Duration::from_secs(3)).context("the door did not open")?;
        let time = start.elapsed();
        drop((last, stream));
        Ok(time)
    })
}

/// A SYN that is on the wire when this returns.
fn syn(port: u16) -> anyhow::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrV4::new(GATEWAY, port)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}
