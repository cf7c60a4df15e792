//! From a draft to a policy: everything that is held against something else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use super::{
    Door, DoorDraft, Draft, Host, Knock, Policy, Sequence, Service, ServiceDraft, Step, StepDraft, Terms,
    Traps, TrapsDraft, Wrong, default, limit,
};
use crate::diag::{At, Code, Diagnostic, Span, has_errors};
use crate::net::{Endpoint, Family, Prefix};
use crate::time::Lifetime;

impl Draft {
    /// The policy, unless something is wrong with it; and all that can be said about it.
    pub fn check(self) -> (Option<Policy>, Vec<Diagnostic>) {
        let mut findings = vec![];
        let policy = self.build(&mut findings);
        (policy.filter(|_| !has_errors(&findings)), findings)
    }

    fn build(self, findings: &mut Vec<Diagnostic>) -> Option<Policy> {
        let end = Span { start: self.end, end: self.end };
        let nothing = self.outside.is_none() && self.doors.is_empty();
        let outside_span = self.outside.as_ref().map_or(end, |outside| outside.span);
        let outside = self.outside.map(|at| at.value).unwrap_or_default();
        if outside.is_empty() && !nothing {
            let message = "the policy does not say which interfaces are outside";
            findings.push(
                Diagnostic::error(Code::KeyMissing, outside_span, message)
                    .help("say `outside = [\"eth0\"]`, naming every interface that faces strangers"),
            );
        }
        bounded("outside interfaces", &outside, limit::INTERFACES, findings);
        bounded("public ports", &self.public, limit::PUBLIC, findings);
        bounded("prefixes in `allow`", &self.allow, limit::PREFIXES, findings);
        bounded("prefixes in `exempt`", &self.exempt, limit::PREFIXES, findings);
        whole_internet("allow", &self.allow, findings);
        whole_internet("exempt", &self.exempt, findings);
        if self.doors.is_empty() {
            let message = if nothing { "the policy is empty" } else { "the policy has no door" };
            findings.push(
                Diagnostic::error(Code::NoDoors, end, message)
                    .help("`knockgate init` writes a whole policy")
                    .help(
                    "add a door, for example:\n\n[door.ssh]\nknock = [\"7313/tcp\", \"24877/tcp\", \"11090/tcp\"]\nopens = [\"22/tcp\"]",
                ),
            );
        }
        if let Some(extra) = self.doors.get(limit::DOORS) {
            findings.push(too_many("doors", extra.name.span, self.doors.len(), limit::DOORS));
        }
        let defaults = self.defaults;
        let doors: Vec<Door> =
            self.doors.into_iter().filter_map(|door| build_door(door, &defaults, findings)).collect();
        let traps = self.traps.and_then(|traps| build_traps(traps, findings));
        let public: BTreeMap<Endpoint, Span> = self.public.iter().map(|at| (at.value, at.span)).collect();

        public_against_doors(&public, &doors, findings);
        traps_against_all(traps.as_ref(), &public, &doors, findings);
        knocks_against_services(&doors, findings);
        sequences_against_each_other(&doors, findings);
        redirects_against_each_other(&doors, findings);

        let upkeep = self.upkeep.build(findings);
        let sources = within("sources", self.sources.as_ref(), limit::SOURCES, findings);
        Some(Policy {
            outside: values(outside),
            public: public.into_keys().collect(),
            allow: values(self.allow),
            exempt: values(self.exempt),
            sources: sources.and_then(NonZeroU32::new).unwrap_or(default::SOURCES),
            early_drop: self.early_drop,
            traps: traps.map(|(traps, _)| traps),
            doors,
            upkeep,
        })
    }
}

fn values<T>(items: Vec<At<T>>) -> Vec<T> {
    items.into_iter().map(|at| at.value).collect()
}

fn too_many(what: &str, span: Span, found: usize, most: usize) -> Diagnostic {
    Diagnostic::error(Code::TooMany, span, format!("{found} {what}, but a policy holds at most {most}"))
        .here("the first that is too many")
        .help("`knockgate explain P008` tells how much there can be of everything")
}

fn bounded<T>(what: &str, items: &[At<T>], most: usize, findings: &mut Vec<Diagnostic>) {
    if let Some(extra) = items.get(most) {
        findings.push(too_many(what, extra.span, items.len(), most));
    }
}

/// The value, or `None` with a finding when it is outside `bounds`.
pub(super) fn within<T: PartialOrd + Copy + Display>(
    key: &str,
    value: Option<&At<T>>,
    bounds: RangeInclusive<T>,
    findings: &mut Vec<Diagnostic>,
) -> Option<T> {
    let at = value?;
    if bounds.contains(&at.value) {
        return Some(at.value);
    }
    let (least, most) = (bounds.start(), bounds.end());
    findings.push(
        Diagnostic::error(Code::OutOfRange, at.span, format!("`{key}` is out of range: {}", at.value))
            .help(format!("choose something from {least} to {most}")),
    );
    None
}

fn whole_internet(key: &str, prefixes: &[At<Prefix>], findings: &mut Vec<Diagnostic>) {
    for family in Family::BOTH {
        let mut of_family: Vec<_> = prefixes.iter().filter(|at| at.value.family() == family).collect();
        of_family.sort_by_key(|at| at.value);
        if let Some(first) = of_family.first().filter(|_| is_everything(&of_family)) {
            findings.push(
                Diagnostic::error(
                    Code::Everyone,
                    first.span,
                    format!("`{key}` covers every address there is"),
                )
                .help("name the few addresses or networks that are meant"),
            );
        }
    }
}

/// Whether prefixes of one family, in the order of their first addresses, leave no address out.
fn is_everything(sorted: &[&At<Prefix>]) -> bool {
    let mut not_yet = 0;
    for prefix in sorted.iter().map(|at| at.value) {
        // An IPv4 address stands for all 128 bits that begin with it.
        let first = match prefix.network() {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        if first > not_yet {
            return false;
        }
        let last = first | u128::MAX.checked_shr(prefix.len().into()).unwrap_or(0);
        match last.checked_add(1) {
            Some(next) => not_yet = not_yet.max(next),
            None => return true,
        }
    }
    false
}

fn build_door(draft: DoorDraft, defaults: &Terms, findings: &mut Vec<Diagnostic>) -> Option<Door> {
    let DoorDraft { name, knock, opens, terms } = draft;
    check_name(&name, findings);
    let missing = |key: &str, example: &str| {
        let message = format!("door `{}` has no `{key}`", name.value);
        Diagnostic::error(Code::KeyMissing, name.span, message).help(format!("add `{key} = {example}`"))
    };
    if knock.is_none() {
        findings.push(missing("knock", "[\"7313/tcp\", \"24877/tcp\", \"11090/tcp\"]"));
    }
    if opens.is_none() {
        findings.push(missing("opens", "[\"22/tcp\"]"));
    }
    let or_default =
        |own: &Option<At<Lifetime>>, general: &Option<At<Lifetime>>| own.clone().or(general.clone());
    let window = or_default(&terms.window, &defaults.window);
    let grant = or_default(&terms.grant, &defaults.grant);
    let wrong = terms.wrong.or(defaults.wrong.clone());
    let window_or_default =
        within("window", window.as_ref(), limit::WINDOW, findings).unwrap_or(default::WINDOW);
    let grant_or_default = within("grant", grant.as_ref(), limit::GRANT, findings).unwrap_or(default::GRANT);
    if let Some(at) = grant.filter(|_| grant_or_default > LONG_GRANT) {
        findings.push(
            Diagnostic::warning(Code::LongGrant, at.span, format!("a grant of {}", at.value))
                .here("everybody behind the same address is let in as long")
                .help("a grant need only last until the connection stands; it goes on after that: 30s is enough"),
        );
    }
    if let Some(At { value: Wrong::Cooldown(lifetime), span }) = wrong {
        within("wrong", Some(&At { value: lifetime, span }), limit::COOLDOWN, findings);
    }
    let sequence = build_sequence(&name, knock?, window_or_default, findings)?;
    if let Some(At { value: Wrong::Ignore, span }) = wrong {
        findings.push(ignored_wrong_knocks(&name, span, &sequence));
    }
    Some(Door {
        services: build_services(&name, opens?, findings),
        wrong: wrong.map_or(default::WRONG, |at| at.value),
        grant: grant_or_default,
        sequence,
        span: name.span,
        name: name.value.into(),
    })
}

/// Beyond this a grant is warned of.
const LONG_GRANT: Lifetime = Lifetime::from_secs(300);

fn ignored_wrong_knocks(name: &At<String>, span: Span, sequence: &Sequence) -> Diagnostic {
    let scans = sequence.steps().len();
    let message = format!("wrong knocks at door `{}` cost nothing", name.value);
    Diagnostic::warning(Code::WrongIgnored, span, message)
        .here(format!("{scans} sweeps over all ports open it: {} packets", scans * 65_535))
        .help("with `wrong = \"reset\"` only the exact sequence opens it, with nothing in between")
}

fn check_name(name: &At<String>, findings: &mut Vec<Diagnostic>) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.value.is_empty() || name.value.len() > limit::NAME || !name.value.chars().all(fits) {
        findings.push(
            Diagnostic::error(
                Code::BadName,
                name.span,
                format!("`{}` cannot be the name of a door", name.value),
            )
            .help(format!("use 1 to {} lower-case letters, digits and `-`", limit::NAME)),
        );
    }
}

fn build_sequence(
    door: &At<String>,
    knock: At<Vec<At<StepDraft>>>,
    window: Lifetime,
    findings: &mut Vec<Diagnostic>,
) -> Option<Sequence> {
    let door = &door.value;
    let steps: Vec<Step> = knock
        .value
        .iter()
        .map(|at| Step { knock: at.value.knock, window: at.value.within.unwrap_or(window), span: at.span })
        .collect();
    if let Some(extra) = steps.get(limit::KNOCKS) {
        let most = limit::KNOCKS;
        findings.push(
            Diagnostic::error(
                Code::TooMany,
                extra.span,
                format!("door `{door}` has {} knocks, at most {most} can be", steps.len()),
            )
            .here("the first that is too many")
            .help("five or six well-chosen knocks are beyond any guessing; more only get lost on the way"),
        );
    }
    let Some(first) = knock.value.first() else {
        findings.push(
            Diagnostic::error(Code::NoKnocks, knock.span, format!("door `{door}` has no knock"))
                .here("anybody would be let in")
                .help("three or more knocks make a door: `[\"7313/tcp\", \"24877/tcp\", \"11090/tcp\"]`"),
        );
        return None;
    };
    if first.value.within.is_some() {
        findings.push(
            Diagnostic::error(Code::FirstWindow, first.span, "the first knock has nothing to be `within` of")
                .help("`within` says how long a knock may take after the one before it"),
        );
    }
    for at in &knock.value {
        if let Some(value) = at.value.within {
            within("within", Some(&At { value, span: at.span }), limit::WINDOW, findings);
        }
    }
    for pair in steps.windows(2).filter(|pair| pair[0].knock == pair[1].knock) {
        findings.push(
            Diagnostic::error(
                Code::RepeatedKnock,
                pair[1].span,
                format!("`{}` twice running", pair[1].knock),
            )
            .here("cannot be told from the network sending the first one again")
            .and_at(pair[0].span, "the first one")
            .help("put another knock between the two"),
        );
    }
    if steps.len() < 3 && !has_errors(findings) {
        let message =
            format!("door `{door}` has only {} of the three knocks that make it hard to guess", steps.len());
        findings.push(Diagnostic::warning(Code::FewKnocks, knock.span, message).help(if steps.len() == 1 {
            "any scan of that one port opens it; use three knocks or more"
        } else {
            "it takes some four billion packets to try them all, but one lucky pair; use three knocks or more"
        }));
    }
    Some(Sequence(steps))
}

fn build_services(
    door: &At<String>,
    opens: At<Vec<At<ServiceDraft>>>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Service> {
    if opens.value.is_empty() {
        findings.push(
            Diagnostic::error(Code::NoServices, opens.span, format!("door `{}` opens nothing", door.value))
                .help("name the services behind it: `opens = [\"22/tcp\"]`"),
        );
    }
    if let Some(extra) = opens.value.get(limit::SERVICES) {
        findings.push(too_many("services behind one door", extra.span, opens.value.len(), limit::SERVICES));
    }
    let mut seen: BTreeMap<ServiceDraft, Span> = BTreeMap::new();
    for at in &opens.value {
        if let Some(before) = seen.insert(at.value, at.span) {
            findings.push(
                Diagnostic::error(Code::DuplicateService, at.span, "this service is listed twice")
                    .and_at(before, "the first time")
                    .help("take one of the two out"),
            );
        }
    }
    opens
        .value
        .into_iter()
        .map(|at| Service { endpoint: at.value.endpoint, host: at.value.host, span: at.span })
        .collect()
}

type PlacedTraps = (Traps, BTreeMap<Endpoint, Span>);

fn build_traps(draft: TrapsDraft, findings: &mut Vec<Diagnostic>) -> Option<PlacedTraps> {
    bounded("traps", &draft.ports, limit::TRAPS, findings);
    let ports: BTreeMap<Endpoint, Span> = draft.ports.iter().map(|at| (at.value, at.span)).collect();
    let Some(count) = u32::try_from(ports.len()).ok().and_then(NonZeroU32::new) else {
        findings.push(
            Diagnostic::error(Code::KeyMissing, draft.span, "there are no ports in `traps`")
                .help("add `ports = [\"666/tcp\", \"4444/tcp\"]`, or leave the table out"),
        );
        return None;
    };
    let strikes = strikes(draft.strikes.as_ref(), count, findings);
    if strikes == NonZeroU32::MIN {
        findings.push(
            Diagnostic::warning(Code::OneStrike, draft.span, "one packet to a trap makes a ban")
                .help("anybody can send that packet in the owner's name; with two traps and `strikes = 2` a stray packet bans nobody"),
        );
    }
    let ban = within("ban", draft.ban.as_ref(), limit::BAN, findings).unwrap_or(default::BAN);
    let ban_max =
        within("ban-max", draft.ban_max.as_ref(), limit::BAN, findings).unwrap_or(default::BAN_MAX.max(ban));
    if let Some(at) = draft.ban_max.as_ref().filter(|at| at.value < ban) {
        findings.push(
            Diagnostic::error(
                Code::OutOfRange,
                at.span,
                format!("`ban-max` is shorter than the first ban, {ban}"),
            )
            .help("bans start at `ban` and double up to `ban-max`"),
        );
    }
    let memory = within("memory", draft.memory.as_ref(), limit::BAN, findings).unwrap_or(default::MEMORY);
    let traps =
        Traps { ports: ports.keys().copied().collect(), strikes, memory, ban, ban_max, span: draft.span };
    Some((traps, ports))
}

fn strikes(draft: Option<&At<u32>>, traps: NonZeroU32, findings: &mut Vec<Diagnostic>) -> NonZeroU32 {
    let Some(at) = draft else { return default::STRIKES.min(traps) };
    match NonZeroU32::new(at.value).filter(|strikes| *strikes <= traps) {
        Some(strikes) => strikes,
        None => {
            let there =
                if traps == NonZeroU32::MIN { "is 1 trap".to_owned() } else { format!("are {traps} traps") };
            let message = format!("`strikes` is {}, but there {there}", at.value);
            findings.push(
                Diagnostic::error(Code::OutOfRange, at.span, message)
                    .here(format!("1 to {traps}"))
                    .help("a strike is the touch of a trap not touched before"),
            );
            default::STRIKES.min(traps)
        }
    }
}

fn public_against_doors(public: &BTreeMap<Endpoint, Span>, doors: &[Door], findings: &mut Vec<Diagnostic>) {
    for door in doors {
        for step in door.sequence.steps() {
            if let Knock::Port(endpoint) = step.knock
                && let Some(span) = public.get(&endpoint)
            {
                findings.push(
                    Diagnostic::error(
                        Code::PublicKnock,
                        step.span,
                        format!("knock `{endpoint}` is a public port"),
                    )
                    .here("packets to it never count")
                    .and_at(*span, "open to everybody here")
                    .help("take it out of `public`, or knock on another port"),
                );
            }
        }
        for service in &door.services {
            if let Some(span) = service.on_gateway().and_then(|endpoint| public.get(&endpoint)) {
                findings.push(
                    Diagnostic::error(
                        Code::PublicService,
                        service.span,
                        format!("`{}` needs no knock", service.endpoint),
                    )
                    .and_at(*span, "open to everybody here")
                    .help("take it out of `public`, or out of the door"),
                );
            }
        }
    }
}

fn traps_against_all(
    traps: Option<&PlacedTraps>,
    public: &BTreeMap<Endpoint, Span>,
    doors: &[Door],
    findings: &mut Vec<Diagnostic>,
) {
    let Some((_, traps)) = traps else { return };
    for (endpoint, span) in traps {
        if let Some(other) = public.get(endpoint) {
            findings.push(
                Diagnostic::error(Code::TrapInTheWay, *span, format!("trap `{endpoint}` is a public port"))
                    .and_at(*other, "open to everybody here")
                    .help("set traps where nobody has a reason to go"),
            );
        }
    }
    for door in doors {
        for step in door.sequence.steps() {
            if let Knock::Port(endpoint) = step.knock
                && let Some(span) = traps.get(&endpoint)
            {
                findings.push(
                    Diagnostic::error(Code::TrapInTheWay, step.span, format!("knock `{endpoint}` is a trap"))
                        .here("who knocks rightly would be banned")
                        .and_at(*span, "the trap")
                        .help("knock on another port, or trap another"),
                );
            }
        }
        for service in &door.services {
            if let Some(span) = service.on_gateway().and_then(|endpoint| traps.get(&endpoint)) {
                findings.push(
                    Diagnostic::error(
                        Code::TrapInTheWay,
                        service.span,
                        format!("service `{}` is a trap", service.endpoint),
                    )
                    .here("who tries the door before knocking would be banned")
                    .and_at(*span, "the trap")
                    .help("trap another port"),
                );
            }
        }
    }
}

fn knocks_against_services(doors: &[Door], findings: &mut Vec<Diagnostic>) {
    let mut openers: HashMap<Endpoint, Vec<(usize, Span)>> = HashMap::new();
    for (index, door) in doors.iter().enumerate() {
        for service in &door.services {
            if let Some(endpoint) = service.on_gateway() {
                openers.entry(endpoint).or_default().push((index, service.span));
            }
        }
    }
    for (index, door) in doors.iter().enumerate() {
        for step in door.sequence.steps() {
            let Knock::Port(endpoint) = step.knock else { continue };
            let Some(openers) = openers.get(&endpoint) else { continue };
            let own = openers.iter().find(|(opener, _)| *opener == index);
            findings.push(match (own, openers.first()) {
                (Some((_, span)), _) => {
                    let message = format!("knock `{endpoint}` is a service of the same door");
                    Diagnostic::error(Code::KnockIsService, step.span, message)
                        .here("once the door is open, this no longer counts as a knock")
                        .and_at(*span, "the service")
                        .help("knock on another port")
                }
                (None, Some((other, span))) => {
                    let message = format!("knock `{endpoint}` is a service of door `{}`", doors[*other].name);
                    Diagnostic::warning(Code::KnockIsService, step.span, message)
                        .here("it does not count from a source that the other door let in")
                        .and_at(*span, "the service")
                        .help("knock on another port")
                }
                (None, None) => continue,
            });
        }
    }
}

/// A sequence that begins another opens its door first, and with `reset` the other can never open.
/// Sorted, a prefix stands right before what it begins, or before something else that it begins.
fn sequences_against_each_other(doors: &[Door], findings: &mut Vec<Diagnostic>) {
    let mut sorted: Vec<&Door> = doors.iter().collect();
    sorted.sort_by(|a, b| a.sequence.knocks().cmp(b.sequence.knocks()));
    for pair in sorted.windows(2) {
        let (short, long) = (pair[0], pair[1]);
        if !long.sequence.knocks().zip(short.sequence.knocks()).all(|(a, b)| a == b) {
            continue;
        }
        let equal = short.sequence.steps().len() == long.sequence.steps().len();
        let (first, second) = if equal && short.span > long.span { (long, short) } else { (short, long) };
        let message = if equal {
            format!("doors `{}` and `{}` have the same sequence", first.name, second.name)
        } else {
            format!("the sequence of door `{}` begins that of door `{}`", first.name, second.name)
        };
        findings.push(
            Diagnostic::error(Code::SequenceInAnother, span_of(&second.sequence), message)
                .here("who knocks here opens the other door on the way")
                .and_at(span_of(&first.sequence), format!("door `{}`", first.name))
                .help(if equal {
                    "let one door open both services, or change a knock"
                } else {
                    "change one of the knocks that they share"
                }),
        );
    }
}

fn span_of(sequence: &Sequence) -> Span {
    let steps = sequence.steps();
    Span { start: steps[0].span.start, end: steps[steps.len() - 1].span.end }
}

/// The first packet of a connection is sent to one place only, whoever is let in.
fn redirects_against_each_other(doors: &[Door], findings: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<(Endpoint, Family), (Host, Span)> = HashMap::new();
    let mut complained: BTreeSet<Span> = BTreeSet::new();
    for service in doors.iter().flat_map(|door| &door.services) {
        if service.on_gateway().is_none() {
            continue;
        }
        let families = match service.host {
            Host::Via(address, _) => vec![Family::of(address)],
            _ => Family::BOTH.to_vec(),
        };
        for family in families {
            let (host, before) =
                *seen.entry((service.endpoint, family)).or_insert((service.host, service.span));
            if host != service.host && complained.insert(service.span) {
                findings.push(
                    Diagnostic::error(
                        Code::TwoHosts,
                        service.span,
                        format!("`{}` on the gateway would lead to two places", service.endpoint),
                    )
                    .and_at(before, "to another place here")
                    .help("use another port on the gateway for one of them"),
                );
            }
        }
    }
}
