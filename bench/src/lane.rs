//! A gateway at the far end of a cable, and what a packet costs it.
//!
//! The gateway's end of the cable is read by a thread of the kernel (`threaded`,
//! `Documentation/networking/napi.rst`), as a network card's queue is: with generic receive offload,
//! in polls of up to 64 packets. Everything up to the verdict, and the end of the packet, is done in
//! that thread, which is kept on a processor that the sender does not use. What a packet costs is
//! the processor time of the thread (`/proc/PID/schedstat`, in ns) by the packets that it took in. So that
//! neither waits for the other, a burst is on the cable before the thread may begin.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use knockgate::lab::{Namespace, Plug, connect};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::frame::{GATEWAY_MAC, Kind, SENDER_MAC};
use crate::sender::{Order, Sender, Traffic};

pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const OWNER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);

/// Packets that are sent in a row where none is to be lost: fewer than the cable holds.
const AT_ONCE: u64 = 128;

/// How long packets that were sent may take to be dealt with.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway, `wan0`, and somebody at the other end, `eth0`, who has all addresses of 10.200.0.0/16.
#[derive(Debug)]
pub struct Cable {
    pub gateway: Namespace,
    pub far: Namespace,
    interface: i32,
}

/// A cable whose packets are taken in by a thread of its own.
#[derive(Debug)]
pub struct Lane {
    pub cable: Cable,
    poller: Pid,
}

/// What some packets cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Packets that the gateway took in. Others found the cable full.
    pub packets: u64,
    /// Processor time of the thread that took them in.
    pub nanos: u64,
}

impl Cost {
    pub fn each(self) -> f64 {
        self.nanos as f64 / self.packets as f64
    }
}

impl Cable {
    pub fn new() -> anyhow::Result<Self> {
        let (gateway, far) = (Namespace::new()?, Namespace::new()?);
        connect(
            Plug { namespace: &gateway, interface: "wan0", addresses: &["198.51.100.1/24"] },
            Plug { namespace: &far, interface: "eth0", addresses: &["198.51.100.10/24"] },
        )?;
        introduce(&gateway, "wan0", GATEWAY_MAC, OWNER, SENDER_MAC)?;
        introduce(&far, "eth0", SENDER_MAC, GATEWAY, GATEWAY_MAC)?;
        gateway.ip(&["route", "add", "default", "via", "198.51.100.10"])?;
        far.ip(&["route", "add", "local", "10.200.0.0/16", "dev", "lo"])?;
        for (namespace, interface) in [(&gateway, "all"), (&gateway, "wan0"), (&far, "all"), (&far, "eth0")] {
            namespace.set(&format!("ipv4/conf/{interface}/rp_filter"), "0")?;
        }
        let interface = far.run(|| -> anyhow::Result<i32> {
            let any = UdpSocket::bind("0.0.0.0:0")?;
            Ok(i32::try_from(rustix::net::netdevice::name_to_index(&any, "eth0")?)?)
        })?;
        Ok(Self { gateway, far, interface })
    }

    /// One that puts frames on the cable.
    pub fn sender(&self, seed: u64) -> anyhow::Result<Sender> {
        let interface = self.interface;
        self.far.run(move || Sender::open(interface, seed))
    }
}

impl Lane {
    pub fn new() -> anyhow::Result<Self> {
        let cable = Cable::new()?;
        let poller = poll_in_a_thread(&cable)?;
        sched_setaffinity(Some(poller), &one(processors()?.1))?;
        Ok(Self { cable, poller })
    }

    /// One for [`cost`](Self::cost): the thread waits while anybody else wants its processor (`man 7 sched`).
    pub fn giving_way() -> anyhow::Result<Self> {
        let lane = Self::new()?;
        let mut idle = Command::new("chrt");
        idle.args(["--idle", "--pid", "0", &lane.poller.as_raw_pid().to_string()]);
        lane.cable.gateway.output(idle, "")?;
        Ok(lane)
    }

    /// Sends so many packets, and takes the time of the thread that takes them in. The two take turns: at once, on
    /// what may be halves of one processor, each would slow the other down, and the thread would wait for the
    /// sender as soon as it is faster.
    pub fn cost(&self, sender: &mut Sender, traffic: &Traffic, packets: u64) -> anyhow::Result<Cost> {
        let holder = Holder::start()?;
        let before = self.reading()?;
        std::thread::scope(|scope| {
            let send = || -> anyhow::Result<()> {
                keep_to_the_sender()?;
                let mut left = packets;
                while left > 0 {
                    let now = left.min(AT_ONCE);
                    holder.hold();
                    sender.send(traffic, now)?;
                    holder.let_go();
                    let deadline = Instant::now() + PATIENCE;
                    while !asleep(self.poller)? {
                        anyhow::ensure!(
                            Instant::now() < deadline,
                            "the gateway's thread is kept from its work"
                        );
                        std::thread::sleep(Duration::from_micros(50));
                    }
                    left -= now;
                }
                Ok(())
            };
            scope.spawn(send).join().expect("sending does not panic")
        })?;
        let after = self.settled(before.dealt_with() + packets)?;
        Ok(Cost { packets: after.taken_in - before.taken_in, nanos: after.nanos - before.nanos })
    }

    /// Sends packets slowly enough for each to be taken in, and returns when they are dealt with.
    pub fn calmly(&self, sender: &mut Sender, traffic: &Traffic, packets: u64) -> anyhow::Result<()> {
        let mut left = packets;
        while left > 0 {
            let now = left.min(AT_ONCE);
            let before = self.reading()?;
            sender.send(traffic, now)?;
            let after = self.settled(before.dealt_with() + now)?;
            anyhow::ensure!(after.lost == before.lost, "the cable lost a packet");
            left -= now;
        }
        Ok(())
    }

    /// What is read when so many packets were dealt with and the thread has gone to sleep.
    fn settled(&self, dealt_with: u64) -> anyhow::Result<Reading> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if asleep(self.poller)? {
                let reading = self.reading()?;
                if reading.dealt_with() >= dealt_with && asleep(self.poller)? {
                    return Ok(reading);
                }
            }
            anyhow::ensure!(Instant::now() < deadline, "packets that were sent are nowhere");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Packets that the gateway took in, and those that the cable lost, so far.
    pub fn dealt_with(&self) -> anyhow::Result<(u64, u64)> {
        let reading = self.reading()?;
        Ok((reading.taken_in, reading.lost))
    }

    fn reading(&self) -> anyhow::Result<Reading> {
        let taken_in = self.cable.gateway.run(|| counted("wan0", 1))?;
        let lost = self.cable.far.run(|| counted("eth0", 11))?;
        let times = fs::read_to_string(format!("/proc/{}/schedstat", self.poller.as_raw_pid()))?;
        let nanos = times.split(' ').next().context("schedstat begins with a time")?.parse()?;
        Ok(Reading { taken_in, lost, nanos })
    }
}

/// Keeps the gateway's processor busy while packets are put on the cable.
struct Holder {
    state: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

const FREE: u8 = 0;
const WANTED: u8 = 1;
const HELD: u8 = 2;
const OVER: u8 = 3;

impl Holder {
    fn start() -> anyhow::Result<Self> {
        let state = Arc::new(AtomicU8::new(FREE));
        let (shared, (_, processor)) = (state.clone(), processors()?);
        let hold = move || {
            // Elsewhere it would hold another one, and figures were less steady.
            sched_setaffinity(None, &one(processor)).ok();
            loop {
                match shared.load(Ordering::Acquire) {
                    FREE => std::thread::park(),
                    OVER => return,
                    _ => {
                        shared.compare_exchange(WANTED, HELD, Ordering::AcqRel, Ordering::Acquire).ok();
                    }
                }
            }
        };
        Ok(Self { state, thread: Some(std::thread::spawn(hold)) })
    }

    fn change(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.thread.iter().for_each(|thread| thread.thread().unpark());
    }

    fn hold(&self) {
        self.change(WANTED);
        while self.state.load(Ordering::Acquire) != HELD {
            std::hint::spin_loop();
        }
    }

    fn let_go(&self) {
        self.change(FREE);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.change(OVER);
        if let Some(thread) = self.thread.take() {
            // It does nothing that could fail but in the beginning.
            drop(thread.join());
        }
    }
}

/// Traffic of SYNs or datagrams to one port, from sources in turn.
pub fn to_port(kind: Kind, first: Ipv4Addr, sources: u32, to: u16) -> Traffic {
    Traffic {
        kind,
        first,
        sources,
        order: Order::InTurn,
        from: 1024..=u16::MAX,
        destination: GATEWAY,
        to: to..=to,
    }
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    taken_in: u64,
    lost: u64,
    nanos: u64,
}

impl Reading {
    fn dealt_with(&self) -> u64 {
        self.taken_in + self.lost
    }
}

/// Gives an interface its Ethernet address, and tells it the one at the other end.
fn introduce(
    namespace: &Namespace,
    interface: &str,
    mac: [u8; 6],
    neighbour: Ipv4Addr,
    its_mac: [u8; 6],
) -> anyhow::Result<()> {
    let text = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    namespace.ip(&["link", "set", "dev", interface, "address", &text(mac)])?;
    let neighbour = neighbour.to_string();
    let known = ["lladdr", &text(its_mac), "dev", interface, "nud", "permanent"];
    let arguments: Vec<_> = ["neighbour", "replace", &neighbour].into_iter().chain(known).collect();
    Ok(namespace.ip(&arguments)?)
}

/// The kernel's thread that reads `wan0` from now on.
fn poll_in_a_thread(cable: &Cable) -> anyhow::Result<Pid> {
    let before = pollers()?;
    offload(&cable.gateway, ["-K", "wan0", "gro", "on"])?;
    // The driver queues packets only where the other end could not have joined them itself
    // (`veth_skb_is_eligible_for_gro`).
    offload(&cable.far, ["-K", "eth0", "tso", "off"])?;
    // A namespace's interfaces are only in a /sys of its own.
    let script = "mount -t sysfs sysfs /sys && echo 1 > /sys/class/net/wan0/threaded";
    let mut threaded = Command::new("unshare");
    threaded.args(["--mount", "--propagation", "private", "sh", "-c", script]);
    cable.gateway.output(threaded, "")?;
    let new = pollers()?.into_iter().find(|poller| !before.contains(poller));
    new.context("the kernel has no thread that reads `wan0`")
}

fn offload(namespace: &Namespace, setting: [&str; 4]) -> anyhow::Result<()> {
    let mut ethtool = Command::new("ethtool");
    ethtool.args(setting);
    Ok(namespace.output(ethtool, "").map(drop)?)
}

fn pollers() -> anyhow::Result<Vec<Pid>> {
    let mut found = vec![];
    for entry in fs::read_dir("/proc")? {
        let Ok(number) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
        // A process may be gone by now.
        let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
        if name.starts_with("napi/wan0-") {
            found.extend(Pid::from_raw(number));
        }
    }
    Ok(found)
}

fn asleep(thread: Pid) -> anyhow::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", thread.as_raw_pid()))?;
    // The name stands in parentheses, the state after it.
    let (_, rest) = stat.rsplit_once(") ").context("a line of /proc/PID/stat")?;
    Ok(rest.starts_with(['S', 'I']))
}

/// A column of this thread's `/proc/net/dev`, from 0.
fn counted(interface: &str, column: usize) -> anyhow::Result<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/dev")?;
    let row = table.lines().find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'));
    let row = row.with_context(|| format!("no interface {interface}"))?;
    Ok(row.split_whitespace().nth(column).context("fewer columns than Linux has")?.parse()?)
}

/// One for the sender and one for the gateway; the same if we may use one alone.
pub fn processors() -> anyhow::Result<(usize, usize)> {
    let allowed = sched_getaffinity(Pid::from_raw(i32::try_from(std::process::id())?))?;
    let mut each = (0..CpuSet::MAX_CPU).filter(|&number| allowed.is_set(number));
    let first = each.next().context("no processor is allowed")?;
    Ok((first, each.next().unwrap_or(first)))
}

/// Keeps this thread to the processor that is not the gateway's.
pub fn keep_to_the_sender() -> anyhow::Result<()> {
    Ok(sched_setaffinity(None, &one(processors()?.0))?)
}

fn one(processor: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(processor);
    set
}
