//! What a policy says, held against what the simulator does, without a kernel.

use std::collections::HashMap;
use std::net::IpAddr;

use knockgate_compiler::backend::nft;
use knockgate_compiler::frontend::rsc;
use knockgate_compiler::lower::lower;
use knockgate_compiler::net::{Destination, Endpoint, Family, Packet, Payload, TcpFlags, echo_packet_size};
use knockgate_compiler::policy::{Door, Host, Knock, Policy, Wrong};
use knockgate_compiler::program::{Program, State};
use knockgate_compiler::sim::{Change, Decision, Fate, Simulator};
use knockgate_compiler::time::Moment;
use knockgate_e2e::random::Rng;
use knockgate_e2e::{policies, scripts};

const POLICIES: u64 = 1500;
const CROWDS: u64 = 40;

/// What a source has done at one door, by the words of the policy.
#[derive(Clone, Default)]
struct Visitor {
    /// For each knock, when it was last made in its place and in time.
    made: Vec<Option<Moment>>,
    /// For doors that reset: how many knocks stand, and until when.
    stage: usize,
    deadline: Moment,
    granted: Option<Moment>,
}

impl Visitor {
    /// Whether all knocks were made in order, each in time, the last one now; whatever else was.
    fn completes(&mut self, door: &Door, knock: Knock, now: Moment) -> bool {
        let steps = door.sequence.steps();
        self.made.resize(steps.len(), None);
        let mut complete = false;
        for (index, step) in steps.iter().enumerate().rev().filter(|(_, step)| step.knock == knock) {
            let in_time = match index.checked_sub(1) {
                None => true,
                Some(before) => self.made[before].is_some_and(|made| now < made.after(step.window)),
            };
            if in_time {
                self.made[index] = Some(now);
                complete |= index + 1 == steps.len();
            }
        }
        complete
    }

    /// Whether the door opens now where a wrong knock resets.
    fn strictly_completes(&mut self, door: &Door, knock: Knock, now: Moment) -> bool {
        let steps = door.sequence.steps();
        if now >= self.deadline {
            self.stage = 0;
        }
        if steps[self.stage].knock == knock {
            self.stage += 1;
        } else if self.stage > 0 && steps[self.stage - 1].knock == knock {
            return false;
        } else {
            self.stage = usize::from(steps[0].knock == knock);
        }
        match steps.get(self.stage) {
            Some(next) => {
                self.deadline = now.after(next.window);
                false
            }
            None => {
                self.stage = 0;
                true
            }
        }
    }
}

/// The knock that a packet is, if it may count as one.
fn knock_of(policy: &Policy, packet: &Packet, decision: &Decision<'_>) -> Option<Knock> {
    let counts = decision.state == Some(State::New)
        && decision.fate == Fate::Drop
        && packet.destination == Destination::Gateway
        && !packet.extension_headers
        && policy.outside().iter().any(|outside| outside.matches(&packet.interface));
    if !counts {
        return None;
    }
    let used = |fits: &dyn Fn(Knock) -> bool| {
        policy.doors().iter().flat_map(|door| door.sequence.knocks()).any(fits)
    };
    match packet.payload {
        Payload::Tcp { flags, .. } => {
            let mask = TcpFlags::FIN.with(TcpFlags::SYN).with(TcpFlags::RST).with(TcpFlags::ACK);
            if flags.masked(mask) != TcpFlags::SYN {
                return None;
            }
        }
        Payload::Udp { .. } => {}
        Payload::Icmp { kind } => {
            let echo = kind == knockgate_compiler::net::echo_request_type(packet.family());
            let data = packet.size - echo_packet_size(packet.family(), 0);
            return Some(Knock::Ping(data))
                .filter(|_| echo && used(&|knock| matches!(knock, Knock::Ping(_))));
        }
    }
    let (transport, number) = packet.endpoint()?;
    let endpoint = Endpoint { transport, port: knockgate_compiler::net::Port::new(number)? };
    let of_transport = |knock| matches!(knock, Knock::Port(other) if other.transport == transport);
    Some(Knock::Port(endpoint)).filter(|_| used(&of_transport))
}

fn granted(program: &Program, door: &Door, decision: &Decision<'_>) -> bool {
    let name = format!("grant {}", door.name);
    decision.changes.iter().any(|change| match change {
        Change::Added(list, _) => *program[*list].name == *name,
        _ => false,
    })
}

/// A moment near to where something of the policy ends, or at once.
fn pause(rng: &mut Rng) -> u64 {
    match rng.below(20) {
        0 => 1000,
        1 => 999,
        2 => rng.below(2500) as u64,
        3 => 1200 + rng.below(2) as u64,
        _ => rng.below(20) as u64,
    }
}

/// How many times a door has opened.
fn expect_what_the_policy_says(seed: u64, random: fn(&mut Rng) -> (Policy, String)) -> u64 {
    let mut rng = Rng::new(seed);
    let (policy, text) = random(&mut rng);
    let program = lower(&policy);
    let mut times = 0;
    let mut simulator = Simulator::new(&program);
    let mut visitors: HashMap<(IpAddr, usize), Visitor> = HashMap::new();
    let mut now = Moment::default();
    for shot in policies::trace(&mut rng, &policy) {
        now = Moment::from_millis(now.as_millis() + pause(&mut rng));
        let packet = &shot.packet;
        let decision = simulator.play(now, packet);
        let about = || format!("seed {seed} at {now}: {packet:?}\n{decision:?}\n{text}");
        expect_admission(&policy, packet, &decision, &visitors, now, &about);
        let knock = knock_of(&policy, packet, &decision);
        for (index, door) in policy.doors().iter().enumerate() {
            let visitor = visitors.entry((packet.source, index)).or_default();
            let complete = knock.is_some_and(|knock| visitor.completes(door, knock, now));
            let strictly = knock.is_some_and(|knock| visitor.strictly_completes(door, knock, now));
            let opened = granted(&program, door, &decision);
            assert!(complete || !opened, "opened without the whole sequence: {}", about());
            if door.wrong == Wrong::Reset && policy.traps().is_none() {
                assert_eq!(opened, strictly, "door {}: {}", door.name, about());
            }
            if opened {
                visitor.granted = Some(now);
                times += 1;
            }
        }
    }
    times
}

/// Whoever begins to use a service is allowed to, or holds a grant that has not ended.
fn expect_admission(
    policy: &Policy,
    packet: &Packet,
    decision: &Decision<'_>,
    visitors: &HashMap<(IpAddr, usize), Visitor>,
    now: Moment,
    about: &dyn Fn() -> String,
) {
    let outside = policy.outside().iter().any(|outside| outside.matches(&packet.interface));
    let allowed = policy.allow().iter().any(|prefix| prefix.contains(packet.source));
    let endpoint = packet.endpoint();
    let public = policy.public().iter().any(|e| endpoint == Some((e.transport, e.port.number())));
    if !outside || allowed || public || decision.state != Some(State::New) || decision.fate != Fate::Accept {
        return;
    }
    let mut opens = policy.doors().iter().enumerate().filter(|(_, door)| {
        door.services.iter().any(|service| {
            let same = endpoint == Some((service.endpoint.transport, service.endpoint.port.number()));
            let there = match service.host {
                Host::Gateway => packet.destination == Destination::Gateway,
                Host::Via(address, _) => {
                    packet.destination == Destination::Gateway && Family::of(address) == packet.family()
                }
                Host::At(address) => packet.destination == Destination::Other(address),
            };
            same && there
        })
    });
    if packet.destination == Destination::Gateway && packet.endpoint().is_some() {
        let held = opens.any(|(index, door)| {
            let granted = visitors.get(&(packet.source, index)).and_then(|visitor| visitor.granted);
            granted.is_some_and(|granted| now < granted.after(door.grant))
        });
        assert!(held, "let in without a grant: {}", about());
    }
}

#[test]
fn doors_open_to_the_whole_sequence_alone_and_grants_end_on_time() {
    let times: u64 = (0..POLICIES).map(|seed| expect_what_the_policy_says(seed, policies::policy)).sum();
    assert!(times > POLICIES, "doors open so seldom that it says little: {times}");
}

#[test]
fn a_crowd_of_doors_that_share_all_their_knocks_opens_one_by_one() {
    let times: u64 = (0..CROWDS).map(|seed| expect_what_the_policy_says(seed, policies::crowd)).sum();
    assert!(times > CROWDS, "doors open so seldom that it says little: {times}");
}

#[test]
fn a_script_that_is_exported_and_read_again_means_the_same() {
    for seed in 1..=400 {
        let (script, options) = scripts::script(seed);
        let reading = rsc::read(&script, &options);
        let again = rsc::read(&reading.config.export(), &options);
        let [one, other] = [&reading, &again].map(|reading| {
            let program = reading.program.as_ref().unwrap_or_else(|| panic!("{:?}", reading.findings));
            nft::print(program).expect("only what is played").text
        });
        assert_eq!(one, other, "seed {seed}");
    }
}
