//! What a policy says, held against what the simulator does, without a kernel.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use knockgate_compiler::backend::nft;
use knockgate_compiler::backend::routeros::{self, Options, Script, Shaped, Version};
use knockgate_compiler::diag::{Code, Severity};
use knockgate_compiler::frontend::rsc::config::Config;
use knockgate_compiler::frontend::{self, rsc};
use knockgate_compiler::lower::lower;
use knockgate_compiler::net::{
    Destination, Endpoint, Family, Packet, Payload, TcpFlags, echo_packet_size, truncate,
};
use knockgate_compiler::policy::{Door, Host, Knock, Policy, Wrong};
use knockgate_compiler::program::{Builder, Condition, Effect, Hook, Program, Rule, State, Switch, Verdict};
use knockgate_compiler::random::Rng;
use knockgate_compiler::sim::{Change, Decider, Decision, Entry, Fate, Simulator};
use knockgate_compiler::time::Moment;
use knockgate_e2e::{policies, programs, scripts, world};

const POLICIES: u64 = 1500;
const CROWDS: u64 = 40;
const PROGRAMS: u64 = 4000;

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
fn what_is_dropped_early_would_have_been_dropped_later_and_changed_nothing() {
    let mut dropped = 0;
    for seed in 0..POLICIES {
        let mut rng = Rng::new(seed);
        let text = loop {
            let text = policies::text(&mut rng);
            if !text.contains("early-drop") {
                break format!("early-drop = true\n{text}");
            }
        };
        let (Some(policy), _) = frontend::toml::parse(&text) else { continue };
        let (early, late) = (lower(&policy), lower(&policy.clone().without_early_drop()));
        let (mut early, mut late) = (Simulator::new(&early), Simulator::new(&late));
        let mut now = Moment::default();
        for shot in policies::trace(&mut rng, &policy) {
            let stray = world::syn(shot.packet.source, 60_000, 4);
            for packet in [Some(shot.packet), rng.chance(20).then_some(stray)].into_iter().flatten() {
                now = Moment::from_millis(now.as_millis() + pause(&mut rng));
                let (one, other) = (early.play(now, &packet), late.play(now, &packet));
                let about = || format!("seed {seed} at {now}: {packet:?}\n{text}");
                assert_eq!((one.fate, &one.changes), (other.fate, &other.changes), "{}", about());
                let here =
                    matches!(one.decider, Decider::Rule { origin, .. } if &*origin.what == "closed ports");
                dropped += u64::from(here);
            }
        }
    }
    assert!(dropped > POLICIES, "so seldom that it says little: {dropped}");
}

/// The cases that are played on a kernel are worth little for such rules if they have none.
#[test]
fn random_policies_and_programs_have_rules_that_are_written_once() {
    let has = |program: &Program, words: &str| {
        nft::print(program).is_ok_and(|ruleset| ruleset.text.contains(words))
    };
    let [policies, programs] = [policies::case, programs::case]
        .map(|case| (1..=120).filter(|seed| has(&case(*seed).0, " like it\"")).count());
    let shared = "meta priority set meta l4proto";
    let services = (1..=120).filter(|seed| has(&policies::case(*seed).0, shared)).count();
    let all = format!("{policies} policies, {services} with many services, and {programs} programs of 120");
    assert!(policies >= 30 && services >= 10 && programs >= 25, "{all}");
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

const ROUTERS: Options = Options { final_drop: true, version: Version::V7 };

/// A random policy that a router's rules can say but for how they combine, and its text.
fn for_routers(rng: &mut Rng) -> (Policy, String) {
    loop {
        let mut text = policies::text(rng).replace("\"out*\"", "[\"out0\", \"out1\"]");
        if !text.contains("defaults.wrong") {
            text.insert_str(0, "defaults.wrong = \"reset\"\n");
        }
        let wrong = rng.pick(&["\"ignore\"", "\"cooldown 1s\"", "\"cooldown 2s\""]);
        let text = text.replace("\"reset\"", wrong);
        if let (Some(policy), _) = frontend::toml::parse(&text) {
            return (policy, text);
        }
    }
}

/// The script is in the language of routers, every rule can be found by its comment, what is read
/// back is the same program, and whoever imports it twice, or undoes it, has the same as before.
fn expect_a_script(shaped: &Shaped, seed: u64) {
    let Script { install, uninstall } = routeros::print(shaped, ROUTERS);
    let bare = install.lines().find(|line| line.contains("add ") && !line.contains(" comment="));
    assert_eq!(bare, None, "seed {seed}");
    let options = rsc::translate::Options::default();
    let read = |script: &str| {
        let reading = rsc::read(script, &options);
        let wrong = reading.findings.iter().find(|finding| finding.severity == Severity::Error);
        assert_eq!(wrong, None, "seed {seed}\n{script}");
        reading
    };
    let once = read(&install);
    // What is not modelled may be said in another way again.
    if once.findings.iter().all(|finding| finding.code != Code::NotModelled) {
        let program = once.program.as_ref().expect("no finding is an error");
        let again =
            routeros::shape(program, ROUTERS).unwrap_or_else(|refused| panic!("seed {seed}: {refused:?}"));
        let reprinted = routeros::print(&again, ROUTERS).install;
        for (one, other) in rules_of(&reprinted).into_iter().zip(rules_of(&install)) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!(rules_of(&reprinted).len(), rules_of(&install).len(), "seed {seed}");
    }
    let twice = read(&(install.clone() + &install)).config;
    assert_eq!(chains_of(&twice), chains_of(&once.config), "seed {seed}");
    let undone = read(&(install + &uninstall)).config;
    assert_eq!(undone.menus().map(|(menu, _)| menu).collect::<Vec<_>>(), [""; 0], "seed {seed}");
}

/// What is there: the rules of each chain in their order, and of anything else what there is.
fn chains_of(config: &Config) -> BTreeMap<(&str, &str), Vec<String>> {
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (menu, items) in config.menus() {
        for item in items {
            let shown: Vec<_> =
                item.attributes.iter().map(|set| (&set.name.value, &set.value.content)).collect();
            let shown = format!("{shown:?}");
            let of = found.entry((menu, item.text("chain").unwrap_or_default())).or_default();
            if item.text("chain").is_some() || !of.contains(&shown) {
                of.push(shown);
            }
        }
    }
    found
}

/// The rules and entries that the script adds, but for the names of lists of interfaces: which of them
/// is the outside, a script does not say. In which order a rule asks
/// has no meaning, nor has the order of chains.
fn rules_of(script: &str) -> Vec<String> {
    let rules = script.lines().filter(|line| line.contains("add ") && !line.contains("/interface list"));
    let shown = |word: &str| match word.split_once("in-interface") {
        Some((_, rest)) => format!("in-interface {}", rest.contains("=!")),
        None => word.to_owned(),
    };
    let sorted = |rule: &str| {
        let mut words: Vec<String> = rule.split(' ').map(shown).collect();
        words.sort_unstable();
        words.join(" ")
    };
    let chain = |rule: &&str| Some(rule.split_once("chain=")?.1.split_once(" action=")?.0.to_owned());
    let mut rules: Vec<&str> = rules.collect();
    rules.sort_by_key(chain);
    rules.into_iter().map(sorted).collect()
}

/// Who is on each list, in an order of its own.
fn listed(program: &Program, simulator: &Simulator<'_>, now: Moment) -> Vec<Vec<Entry>> {
    let members = |list| {
        let mut members = simulator.members(list, now);
        members.sort_unstable();
        members
    };
    program.lists_with_ids().map(|(list, _)| members(list)).collect()
}

/// What a router is said to do less exactly: packets with extension headers, and networks on lists.
fn is_said_exactly(packet: &Packet) -> bool {
    let shares_a_network = "2001:db8:1::2".parse() == Ok(packet.source);
    !packet.extension_headers && !shares_a_network
}

/// Lists of networks hold their first address, those of single addresses the one that was seen.
fn of_networks(mut lists: Vec<Vec<Entry>>, program: &Program) -> Vec<Vec<Entry>> {
    for (members, list) in lists.iter_mut().zip(program.lists()) {
        let bits = list.timed.map_or(128, |timed| timed.v6_bits);
        for entry in members.iter_mut().filter(|entry| entry.source.is_ipv6()) {
            entry.source = truncate(entry.source, bits);
        }
        members.sort_unstable();
    }
    lists
}

/// The program without what no router says, so that the rest is tried: tracks, removals, wildcards,
/// and what is said less exactly.
fn without_the_unsayable(program: &Program) -> Program {
    let mut builder = Builder::new(vec!["out0".parse().expect("a name")]);
    let pools: Vec<_> =
        program.pools().iter().map(|pool| builder.pool(&pool.name, pool.capacity, pool.shared)).collect();
    for list in program.lists() {
        match list.timed {
            Some(timed) => builder.mixed_list(&list.name, list.fixed.clone(), pools[timed.pool.index()], 128),
            None => builder.static_list(&list.name, list.fixed.clone()),
        };
    }
    let chains: Vec<_> =
        program.chains().iter().map(|chain| builder.chain(&chain.name, chain.hook)).collect();
    for (chain, id) in program.chains().iter().zip(chains) {
        for rule in &chain.rules {
            builder.rule(id, without_the_unsayable_in(rule, chain.hook == Some(Hook::Prerouting)));
        }
    }
    builder.seal().expect("it has fewer rules than one that was sealed")
}

fn without_the_unsayable_in(rule: &Rule, nat: bool) -> Rule {
    let sayable = |condition: &Condition| {
        let text = format!("{condition:?}");
        !["out*", "NoExtensionHeaders", "OnTrack"].iter().any(|word| text.contains(word))
    };
    let mut rule = rule.clone();
    rule.when.retain(sayable);
    rule.then.retain(|effect| !matches!(effect, Effect::Remove(_) | Effect::Move { .. } | Effect::Forget(_)));
    rule.verdict = rule.verdict.filter(|verdict| match verdict {
        Verdict::Switch(Switch::TrackPort(..) | Switch::TrackEcho(..)) => false,
        Verdict::Drop | Verdict::Reject(_) => !nat,
        _ => true,
    });
    rule
}

/// How many packets were played, or what of the program was refused.
fn expect_that_routers_do_the_same_by_rules(seed: u64) -> Result<usize, String> {
    let (program, trace) = programs::case(seed);
    let program = without_the_unsayable(&program);
    let shaped = match routeros::shape(&program, ROUTERS) {
        Ok(shaped) => {
            // Reading takes longer than all the rest.
            if seed.is_multiple_of(8) {
                expect_a_script(&shaped, seed);
            }
            shaped.program
        }
        Err(refused) => return Err(refused[0].what.clone()),
    };
    let again = routeros::shape(&shaped, ROUTERS).expect("it has its shape").program;
    assert_eq!(shaped, again, "seed {seed}: it is shaped anew");
    let (mut meant, mut said) = (Simulator::new(&program), Simulator::new(&shaped));
    let (mut now, mut rng) = (Moment::default(), Rng::new(seed));
    for shot in &trace {
        now = Moment::from_millis(now.as_millis() + rng.below(200) as u64);
        let (expected, decided) = (meant.play(now, &shot.packet), said.play(now, &shot.packet));
        let about = || format!("seed {seed} at {now}: {:?}\n{expected:#?}\n{decided:#?}", shot.packet);
        assert_eq!(expected.fate, decided.fate, "{}", about());
        assert_eq!(listed(&program, &meant, now), listed(&shaped, &said, now), "{}", about());
    }
    Ok(trace.len())
}

#[test]
fn what_a_router_is_told_means_what_the_rules_mean() {
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    let mut packets = 0;
    for seed in 0..PROGRAMS {
        match expect_that_routers_do_the_same_by_rules(seed) {
            Ok(played) => packets += played,
            Err(what) => *refused.entry(what).or_default() += 1,
        }
    }
    eprintln!("{packets} packets; refused of {PROGRAMS}: {refused:#?}");
    assert!(packets as u64 > 5 * PROGRAMS, "so many are refused that it says little");
}

/// How many packets were played, or `None` if the policy was refused.
fn expect_that_routers_do_the_same(seed: u64) -> Option<usize> {
    let mut rng = Rng::new(seed);
    let (policy, text) = for_routers(&mut rng);
    let program = lower(&policy);
    let shaped = routeros::shape(&program, ROUTERS).ok()?;
    // Reading takes longer than all the rest.
    if seed.is_multiple_of(8) {
        expect_a_script(&shaped, seed);
    }
    let shaped = shaped.program;
    let again = routeros::shape(&shaped, ROUTERS).expect("it has its shape").program;
    assert_eq!(shaped, again, "seed {seed}: it is shaped anew\n{text}");
    let (mut meant, mut said) = (Simulator::new(&program), Simulator::new(&shaped));
    let (mut now, mut played) = (Moment::default(), 0);
    for _ in 0..4 {
        for shot in
            policies::trace(&mut rng, &policy).into_iter().filter(|shot| is_said_exactly(&shot.packet))
        {
            now = Moment::from_millis(now.as_millis() + pause(&mut rng));
            let (expected, decided) = (meant.play(now, &shot.packet), said.play(now, &shot.packet));
            let about =
                || format!("seed {seed} at {now}: {:?}\n{expected:#?}\n{decided:#?}\n{text}", shot.packet);
            assert_eq!(expected.fate, decided.fate, "{}", about());
            let expected = listed(&program, &meant, now);
            let held = of_networks(listed(&shaped, &said, now), &program);
            assert_eq!(expected, held, "{}", about());
            played += 1;
        }
    }
    Some(played)
}

#[test]
fn what_a_router_is_told_means_what_the_policy_means() {
    let played: Vec<usize> = (0..POLICIES).filter_map(expect_that_routers_do_the_same).collect();
    let packets: usize = played.iter().sum();
    eprintln!("{} of {POLICIES} policies, {packets} packets", played.len());
    assert!(played.len() as u64 > POLICIES * 8 / 10, "so many are refused that it says little");
}
