//! Packets by the hundred thousand, onto a cable of ours.
//!
//! An `AF_PACKET` socket (`man 7 packet`) takes whole frames, so that sources may be anybody.
//! `sendmmsg` takes a burst of them in one call.

use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use knockgate_compiler::random::Rng;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketType, bind, sendmmsg, socket,
};

use crate::frame::{Flow, Frame, Kind};

/// Frames handed over in one call.
const BURST: usize = 64;

/// Packets, by what differs among them.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub kind: Kind,
    /// Sources, from `first`, one after the other or by chance.
    pub first: Ipv4Addr,
    pub sources: u32,
    pub order: Order,
    /// Ports they come from, by chance.
    pub from: RangeInclusive<u16>,
    pub destination: Ipv4Addr,
    /// Ports they go to, by chance.
    pub to: RangeInclusive<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, over and over.
    InTurn,
    ByChance,
}

/// How fast, and until when.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As fast as it goes.
    Full,
    /// Packets a second, in bursts of a millisecond or less.
    Rate(u32),
}

/// The near end of a cable.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    random: Rng,
    /// Whose turn it is, among the sources that take turns.
    next: u32,
}

impl Sender {
    /// One for the interface with this index, in the network namespace of this thread.
    pub fn open(interface: i32, seed: u64) -> anyhow::Result<Self> {
        // Without a protocol it receives nothing.
        let socket = socket(AddressFamily::PACKET, SocketType::RAW, None)?;
        bind(&socket, &LinkAddress::of(interface))?;
        Ok(Self { socket, random: Rng::new(seed), next: 0 })
    }

    /// Sends so many packets as fast as it goes.
    pub fn send(&mut self, traffic: &Traffic, packets: u64) -> anyhow::Result<()> {
        self.send_while(traffic, Pace::Full, |sent| packets - sent).map(drop)
    }

    /// Sends at a rate until it is told to stop. Returns how many were sent.
    pub fn send_until(&mut self, traffic: &Traffic, rate: u32, stop: &AtomicBool) -> anyhow::Result<u64> {
        let left = |_| if stop.load(Ordering::Relaxed) { 0 } else { u64::MAX };
        self.send_while(traffic, Pace::Rate(rate), left)
    }

    /// Sends until `left`, told how many packets were sent, says that none are. Returns how many were.
    fn send_while(
        &mut self,
        traffic: &Traffic,
        pace: Pace,
        left: impl Fn(u64) -> u64,
    ) -> anyhow::Result<u64> {
        let mut frames = vec![Frame::new(traffic.kind); BURST];
        let mut clock = Pacer::new(pace, Instant::now());
        let mut sent = 0;
        loop {
            let wanted = left(sent);
            if wanted == 0 {
                return Ok(sent);
            }
            let due = clock.due(Instant::now()).min(usize::try_from(wanted).unwrap_or(BURST));
            if due == 0 {
                thread::sleep(Duration::from_micros(200));
                continue;
            }
            for frame in &mut frames[..due] {
                frame.address(&self.flow(traffic));
            }
            self.hand_over(&frames[..due])?;
            clock.sent(due);
            sent += u64::try_from(due).expect("a burst is small");
        }
    }

    fn flow(&mut self, traffic: &Traffic) -> Flow {
        let index = match traffic.order {
            Order::InTurn => self.next % traffic.sources,
            Order::ByChance => below(&mut self.random, traffic.sources),
        };
        if traffic.order == Order::InTurn {
            self.next = index + 1;
        }
        Flow {
            source: Ipv4Addr::from_bits(traffic.first.to_bits() + index),
            from: within(&mut self.random, &traffic.from),
            destination: traffic.destination,
            to: within(&mut self.random, &traffic.to),
        }
    }

    fn hand_over(&self, frames: &[Frame]) -> anyhow::Result<()> {
        let mut control: Vec<_> = frames.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let slices: Vec<_> = frames.iter().map(|frame| [IoSlice::new(frame.bytes())]).collect();
        let mut messages: Vec<_> =
            slices.iter().zip(&mut control).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
        let mut done = 0;
        while done < messages.len() {
            done += match sendmmsg(&self.socket, &mut messages[done..], SendFlags::empty()) {
                // The cable is full: the packet is lost, and the interface counts it.
                Err(Errno::NOBUFS) => 1,
                sent => sent?,
            };
        }
        Ok(())
    }
}

/// Says how many packets are to be sent now.
struct Pacer {
    pace: Pace,
    /// From when the packets in `sent` are counted.
    since: Instant,
    sent: u64,
}

impl Pacer {
    fn new(pace: Pace, now: Instant) -> Self {
        Self { pace, since: now, sent: 0 }
    }

    /// At most a burst. Whoever could not send for a while does not make up for it: a cable would not
    /// hold what then came at once.
    fn due(&mut self, now: Instant) -> usize {
        let Pace::Rate(rate) = self.pace else { return BURST };
        let so_far = (now - self.since).as_micros() * u128::from(rate) / 1_000_000;
        let due = u64::try_from(so_far).unwrap_or(u64::MAX).saturating_sub(self.sent);
        let burst = usize::try_from(due).unwrap_or(BURST).min(BURST);
        if due > 2 * BURST as u64 {
            (self.since, self.sent) = (now, 0);
        }
        burst
    }

    fn sent(&mut self, packets: usize) {
        self.sent += packets as u64;
    }
}

fn below(random: &mut Rng, bound: u32) -> u32 {
    // Of 64 random bits the upper ones of a product (Lemire): no division for each packet.
    let scaled = u128::from(random.number()) * u128::from(bound);
    u32::try_from(scaled >> 64).expect("it is below the bound")
}

fn within(random: &mut Rng, range: &RangeInclusive<u16>) -> u16 {
    let width = u32::from(*range.end()) - u32::from(*range.start()) + 1;
    if width == 1 {
        return *range.start();
    }
    let offset = u16::try_from(below(random, width)).expect("it is below the width of a range of ports");
    range.start() + offset
}

/// `struct sockaddr_ll` (`linux/if_packet.h`).
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    interface: i32,
    rest: [u8; 12],
}

impl LinkAddress {
    fn of(interface: i32) -> Self {
        Self { family: AddressFamily::PACKET.as_raw(), protocol: 0, interface, rest: [0; 12] }
    }
}

#[expect(unsafe_code, reason = "no crate in use has this kind of address")]
// SAFETY: the pointer is to a whole `sockaddr_ll`, valid while `f` runs.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        let length = SocketAddrLen::try_from(size_of::<Self>()).expect("an address is short");
        f(std::ptr::from_ref(self).cast(), length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_packets_are_due_as_the_rate_says() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Pace::Rate(10_000), start);
        assert_eq!(pacer.due(start), 0);
        assert_eq!(pacer.due(start + Duration::from_millis(3)), 30);
        pacer.sent(30);
        assert_eq!(pacer.due(start + Duration::from_millis(4)), 10);
    }

    #[test]
    fn a_sender_that_was_held_up_sends_one_burst_and_not_all_that_it_missed() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Pace::Rate(10_000), start);
        let later = start + Duration::from_secs(1);
        let burst = pacer.due(later);
        assert_eq!(burst, BURST);
        pacer.sent(burst);
        assert_eq!(pacer.due(later), 0);
    }

    #[test]
    fn ports_and_sources_stay_inside_their_ranges_and_reach_both_ends() {
        let mut random = Rng::new(1);
        let ports: Vec<u16> = (0..1000).map(|_| within(&mut random, &(65_530..=65_535))).collect();
        assert_eq!(ports.iter().min(), Some(&65_530));
        assert_eq!(ports.iter().max(), Some(&65_535));
        assert!((0..1000).all(|_| below(&mut random, 3) < 3));
    }
}
