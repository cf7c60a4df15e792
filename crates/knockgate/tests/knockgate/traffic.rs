//! Packets that arrive while policies are put in force.

use std::fs::File;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::apply::{grant_tag, policy};
use crate::gateway::{Gateway, NEEDED, can_be_run};
use crate::program::wait_for;

const APPLIES: usize = 200;
const SERVICE: u16 = 5000;
/// A rate, so that the two sides keep step on a busy machine.
const BETWEEN_PACKETS: Duration = Duration::from_micros(150);

/// What `work` returns when it is done in the network namespace of process `pid`. A socket keeps the
/// namespace that it was made in.
pub fn inside<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("a process of ours");
    let enter_and_work = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter");
        work()
    };
    thread::scope(|scope| scope.spawn(enter_and_work).join().expect("no panic"))
}

/// A gateway, a peer outside with two addresses, and a host behind.
struct Net {
    gateway: Gateway,
    peer: Gateway,
    host: Gateway,
}

impl Net {
    fn new() -> Self {
        let (gateway, peer, host) = (Gateway::new(), Gateway::new(), Gateway::new());
        gateway.must(&format!(
            "ip link add wan0 type veth peer name eth0 netns {} && ip addr add 10.9.0.1/24 dev wan0 &&
             ip link add lan0 type veth peer name eth0 netns {} && ip addr add 10.8.0.1/24 dev lan0 &&
             ip link set wan0 up && ip link set lan0 up && echo 1 > /proc/sys/net/ipv4/ip_forward",
            peer.pid(),
            host.pid()
        ));
        peer.must(
            "ip addr add 10.9.0.2/24 dev eth0 && ip addr add 10.9.0.3/24 dev eth0 && ip link set eth0 up &&
             ip route add default via 10.9.0.1",
        );
        host.must(
            "ip addr add 10.8.0.2/24 dev eth0 && ip link set eth0 up && ip route add default via 10.8.0.1",
        );
        for cable in ["wan0", "lan0"] {
            let up = || gateway.must(&format!("ip link show {cable}")).contains("state UP").then_some(());
            wait_for(cable, up);
        }
        Self { gateway, peer, host }
    }

    /// From a source that has a grant and from one that has none to a service at `address`.
    fn stream<'n>(&self, to: &'n Gateway, address: &'static str) -> Stream<'n> {
        let receiver = inside(to.pid(), || UdpSocket::bind((address, SERVICE))).expect("its own address");
        set_socket_recv_buffer_size_force(&receiver, 64 << 20).expect("root may");
        receiver.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout above zero");
        let sender = |from: &'static str| {
            let socket = inside(self.peer.pid(), || UdpSocket::bind((from, 0))).expect("its own address");
            socket.connect((address, SERVICE)).expect("UDP");
            (socket, AtomicU64::new(0))
        };
        Stream { to, receiver, granted: sender("10.9.0.2"), other: sender("10.9.0.3") }
    }
}

/// Datagrams to one service. With each socket goes how many it has sent.
struct Stream<'n> {
    to: &'n Gateway,
    receiver: UdpSocket,
    granted: (UdpSocket, AtomicU64),
    other: (UdpSocket, AtomicU64),
}

impl Stream<'_> {
    /// Datagrams that the packet filter let through and the receiver's socket had no room for.
    fn lost_in_socket(&self) -> u64 {
        let table = self.to.must("cat /proc/net/udp");
        let port = format!(":{SERVICE:04X} ");
        let row = table.lines().find(|line| line.contains(&port)).expect("the receiver's row");
        row.split_whitespace().last().and_then(|drops| drops.parse().ok()).expect("a number of drops")
    }

    /// Receives until `stop`, and then until nothing comes for a while.
    fn receive(&self, stop: &AtomicBool) -> Seen {
        let granted = self.granted.0.local_addr().expect("it is bound");
        let mut seen = Seen::default();
        let mut next = 0;
        let mut buffer = [0; 8];
        loop {
            match self.receiver.recv_from(&mut buffer) {
                Ok((8, from)) if from == granted => {
                    let number = u64::from_be_bytes(buffer);
                    seen.granted += 1;
                    seen.out_of_order += u64::from(number < next);
                    next = number + 1;
                }
                Ok(_) => seen.others += 1,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if stop.load(Ordering::SeqCst) {
                        return seen;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// What a receiver has seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    granted: u64,
    others: u64,
    out_of_order: u64,
}

/// Sends numbered datagrams until `stop`.
fn send((socket, sent): &(UdpSocket, AtomicU64), stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        let number = sent.load(Ordering::SeqCst);
        if socket.send(&number.to_be_bytes()).is_ok_and(|bytes| bytes == 8) {
            sent.store(number + 1, Ordering::SeqCst);
        }
        thread::sleep(BETWEEN_PACKETS);
    }
}

#[test]
fn no_granted_packet_is_lost_and_no_other_gets_through_while_policies_are_put_in_force() {
    if !can_be_run(&NEEDED) {
        return;
    }
    let first = policy("10s", "")
        .replace("\"5000/udp\"", "\"5000/udp\", \"5000/udp at 10.8.0.2\"")
        // Sets without names in the rules that say who is a stranger, and what is public.
        .replace("\"wan0\"", "[\"wan0\", \"wan1\"]\npublic = [\"80/udp\", \"81/udp\"]");
    let second = first.replace("10s", "20s")
        + "\n[door.more]\nknock = [\"1/tcp\", \"2/tcp\", \"3/tcp\"]\n\
           opens = [\"80/tcp\", \"5000/udp\", \"5000/udp at 10.8.0.2\", \"80/tcp at 10.8.0.2\"]\n";
    let policies = [first, second];
    let net = Net::new();
    net.gateway.apply(&policies[0]);
    let tag = grant_tag(&policies[0]);
    net.gateway.must(&format!("nft add element inet knockgate grants4 {{ 10.9.0.2 . {tag} timeout 1h }}"));
    let streams = [net.stream(&net.gateway, "10.9.0.1"), net.stream(&net.host, "10.8.0.2")];
    let (stop_sending, stop_receiving) = (AtomicBool::new(false), AtomicBool::new(false));
    let seen = thread::scope(|scope| {
        let receiving = streams.each_ref().map(|stream| scope.spawn(|| stream.receive(&stop_receiving)));
        let senders = streams.iter().flat_map(|stream| [&stream.granted, &stream.other]);
        let sending: Vec<_> = senders.map(|sender| scope.spawn(|| send(sender, &stop_sending))).collect();
        let said: Vec<_> = (1..=APPLIES).map(|n| net.gateway.try_apply(&policies[n % 2])).collect();
        stop_sending.store(true, Ordering::SeqCst);
        for thread in sending {
            thread.join().expect("no panic");
        }
        stop_receiving.store(true, Ordering::SeqCst);
        // Only now, for a panic would wait for the threads above for ever.
        for said in said {
            let said = said.expect(0).stdout;
            assert!(said.ends_with("in force; grants and bans were kept\n"), "{said}");
        }
        receiving.map(|thread| thread.join().expect("no panic"))
    });
    for (stream, seen) in streams.iter().zip(&seen) {
        let sent = |(_, sent): &(UdpSocket, AtomicU64)| sent.load(Ordering::SeqCst);
        let (sent, sent_by_other, lost) =
            (sent(&stream.granted), sent(&stream.other), stream.lost_in_socket());
        println!(
            "{APPLIES} applies: of {sent} granted packets {} came and {lost} were lost in the socket; of {sent_by_other} others {} came",
            seen.granted, seen.others
        );
        assert!(sent > 1000 && sent_by_other > 1000, "that is no traffic");
        assert_eq!(*seen, Seen { granted: sent - lost, others: 0, out_of_order: 0 });
    }
}
