//! A ruleset at work, and what it is to do with whom.

use std::net::{Ipv4Addr, UdpSocket};

use crate::frame::{Kind, SMALL};
use crate::lane::{GATEWAY, Lane, to_port};
use crate::rules::Rules;
use crate::sender::{Order, Sender, Traffic};

/// The service behind the door, and another that the gateway itself talks from.
const SERVICE: u16 = 51_820;
const TALKER: u16 = 51_821;
const STRANGERS: Ipv4Addr = Ipv4Addr::new(10, 16, 0, 0);
const BANNED: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 0);
const GRANTED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 0);
const FRIENDS: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 0);
const KNOCKERS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 0);
const MANY: u32 = 65_536;
const ROOM: u32 = 60_000;
const SOME: u32 = 64;

/// Who sends, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// SYNs of ever other sources to ports that nothing is about.
    Stranger,
    /// The same from sources that touched both traps.
    Banned,
    /// The first datagrams of new flows, from sources that have knocked.
    Granted,
    /// Datagrams of flows that the gateway has begun.
    Established,
    /// First knocks of ever other sources, as many as there is room for by default.
    Knocker,
}

pub const EVERYBODY: [Who; 5] = [Who::Stranger, Who::Banned, Who::Granted, Who::Established, Who::Knocker];

impl Who {
    pub fn word(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Banned => "banned",
            Self::Granted => "granted",
            Self::Established => "established",
            Self::Knocker => "first knock",
        }
    }

    fn traffic(self) -> Traffic {
        let closed = |first, sources| Traffic {
            order: Order::ByChance,
            to: 50_000..=50_999,
            ..to_port(Kind::Syn, first, sources, 1)
        };
        match self {
            Self::Stranger => closed(STRANGERS, MANY),
            Self::Banned => closed(BANNED, SOME),
            Self::Granted => to_port(SMALL, GRANTED, SOME, SERVICE),
            Self::Knocker => Traffic { order: Order::ByChance, ..to_port(Kind::Syn, KNOCKERS, ROOM, 333) },
            Self::Established => Traffic { from: 4000..=4000, ..to_port(SMALL, FRIENDS, SOME, TALKER) },
        }
    }

    /// Each packet of a granted source is a flow that the kernel remembers for half a minute, and it
    /// remembers 262,144 of them, of all rulesets and rounds. The fuller that is, the more a flow costs.
    fn packets(self, packets: u64) -> u64 {
        if self == Self::Granted { packets.min(256) } else { packets }
    }
}

/// A ruleset in force on a gateway of its own.
#[derive(Debug)]
pub struct Contender {
    pub name: String,
    lane: Lane,
    sender: Sender,
    service: UdpSocket,
    talker: UdpSocket,
}

impl Contender {
    /// With `rules` in force.
    pub fn load(name: &str, rules: &Rules, seed: u64) -> anyhow::Result<Self> {
        let lane = Lane::giving_way()?;
        let sender = lane.cable.sender(seed)?;
        let listen = |port| lane.cable.gateway.run(move || UdpSocket::bind((GATEWAY, port)));
        let (service, talker) = (listen(SERVICE)?, listen(TALKER)?);
        service.set_nonblocking(true)?;
        rules.load(&lane.cable.gateway)?;
        Ok(Self { name: name.to_owned(), lane, sender, service, talker })
    }

    /// Bans who is to be banned.
    fn touch_traps(&mut self) -> anyhow::Result<()> {
        for trap in [666, 667] {
            self.send(&to_port(Kind::Syn, BANNED, SOME, trap), SOME)?;
        }
        Ok(())
    }

    fn knock(&mut self, first: Ipv4Addr) -> anyhow::Result<()> {
        for knock in [333, 777, 888] {
            self.send(&to_port(Kind::Syn, first, SOME, knock), SOME)?;
        }
        Ok(())
    }

    fn send(&mut self, traffic: &Traffic, packets: u32) -> anyhow::Result<()> {
        self.lane.calmly(&mut self.sender, traffic, packets.into())
    }

    /// Datagrams from `first` on that arrive at the service.
    fn let_in(&mut self, first: Ipv4Addr) -> anyhow::Result<u32> {
        self.drain();
        self.send(&to_port(SMALL, first, SOME, SERVICE), SOME)?;
        Ok(self.drain())
    }

    fn drain(&self) -> u32 {
        let mut buffer = [0; 64];
        std::iter::from_fn(|| self.service.recv(&mut buffer).ok())
            .zip(0..)
            .map(|(_, n)| n + 1)
            .last()
            .unwrap_or(0)
    }

    /// Whether the ruleset does with these packets what they are sent for.
    pub fn treats(&mut self, who: Who) -> anyhow::Result<bool> {
        Ok(match who {
            Who::Stranger => self.let_in(STRANGERS)? == 0,
            Who::Banned => {
                self.touch_traps()?;
                self.knock(BANNED)?;
                self.let_in(BANNED)? == 0
            }
            Who::Granted => {
                self.knock(GRANTED)?;
                self.let_in(GRANTED)? == SOME
            }
            Who::Established => self.begin_flows()?,
            Who::Knocker => self.let_in(KNOCKERS)? == 0,
        })
    }

    /// Begins flows with friends. Whether their answers get through.
    fn begin_flows(&mut self) -> anyhow::Result<bool> {
        for number in 0..SOME {
            let friend = Ipv4Addr::from_bits(FRIENDS.to_bits() + number);
            self.talker.send_to(&[0; 18], (friend, 4000))?;
        }
        self.talker.set_nonblocking(true)?;
        let mut buffer = [0; 64];
        while self.talker.recv(&mut buffer).is_ok() {}
        self.send(&Who::Established.traffic(), SOME)?;
        Ok(self.talker.recv(&mut buffer).is_ok())
    }

    /// Nanoseconds a packet.
    pub fn sample(&mut self, who: Who, packets: u64) -> anyhow::Result<f64> {
        let cost = self.lane.cost(&mut self.sender, &who.traffic(), who.packets(packets))?;
        anyhow::ensure!(cost.packets > 0, "nothing arrived");
        Ok(cost.each())
    }
}
