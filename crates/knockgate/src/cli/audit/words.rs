//! What the pages say in words, the same on a terminal and in a browser.

use knockgate_compiler::audit::cost::{Attack, Duration};
use knockgate_compiler::audit::{
    Beat, Door, Exposed, Fill, Finding, Hits, Level, Lockout, Risk, Shape, Step, Trapping, WayIn,
};
use knockgate_compiler::policy::Wrong;

use knockgate_compiler::audit::numbers::{average, count, counted, duration, rate, whole};

/// That what is shown must not be.
pub const SECRET: &str = "This page holds the knocks: keep it secret.";

/// `hidden, not authenticated`.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Open => "open to everybody",
        Level::Hidden => "hidden, not authenticated",
    }
}

/// The same in one word.
pub fn level_in_short(level: Level) -> &'static str {
    match level {
        Level::Open => "open",
        Level::Hidden => "hidden",
    }
}

/// `1 high, 2 low`, `none`.
pub fn tally<'a>(findings: impl Iterator<Item = &'a Finding> + Clone) -> String {
    let told = [Risk::High, Risk::Medium, Risk::Low].into_iter().filter_map(|risk| {
        let number = findings.clone().filter(|finding| finding.risk == risk).count();
        (number > 0).then(|| format!("{number} {}", risk.as_str()))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

/// `22/tcp, 8291/tcp, for 30s`.
pub fn opens(door: &Door) -> String {
    let services = door.services.join(", ");
    match &door.shape {
        Some(shape) => format!("{services}, for {}", shape.grant),
        None => services,
    }
}

/// `3: 333/tcp, then 777/tcp within 30s, then 888/tcp within 30s`.
pub fn knocks(shape: &Shape) -> String {
    let mut beats = shape.knocks.iter();
    let first = beats.next().map(|beat| beat.knock.to_string()).unwrap_or_default();
    let rest = beats.map(|Beat { knock, window }| format!(", then {knock} within {window}"));
    format!("{}: {first}{}", shape.knocks.len(), rest.collect::<String>())
}

/// What a wrong knock does to who has begun.
pub fn wrong(wrong: Wrong) -> String {
    match wrong {
        Wrong::Reset => "a wrong knock loses all progress".to_owned(),
        Wrong::Cooldown(lifetime) => format!("after a wrong knock, no progress for {lifetime}"),
        Wrong::Ignore => "a wrong knock changes nothing".to_owned(),
    }
}

/// `2: 666/tcp, 999/tcp; touching 2 of them within 10m bans for 1m, then longer, up to 10m`.
pub fn traps(traps: Option<&Trapping>) -> String {
    let Some(traps) = traps else { return "none: nobody is ever banned".to_owned() };
    let ports: Vec<String> = traps.ports.iter().map(ToString::to_string).collect();
    let touch = match traps.strikes {
        1 => "touching one".to_owned(),
        strikes => format!("touching {strikes} of them within {}", traps.memory),
    };
    let longer = if traps.ban < traps.ban_max {
        format!(", then longer, up to {}", traps.ban_max)
    } else {
        String::new()
    };
    format!("{}: {}; {touch} bans for {}{longer}", ports.len(), ports.join(", "), traps.ban)
}

/// What it takes for someone who knows the rules.
pub fn way_in(way: &WayIn) -> String {
    match way {
        WayIn::Open(_) => "None is needed: strangers are let in.".to_owned(),
        WayIn::Steps { steps, .. } => {
            let packets = counted(number(steps.len()), "packet", "packets");
            format!("{packets}, then the connection.")
        }
        WayIn::Never => "There is none: every state that a source can be in was looked at.".to_owned(),
        WayIn::NotFound { states } => {
            format!("None was found in the {} states that were looked at.", whole(number(*states)))
        }
    }
}

/// What else there is to say of a packet of a way in.
pub fn step(step: &Step) -> String {
    let after = step.after.map(|after| format!(", {after} after the one before it at the earliest"));
    let width = (step.width > 1).then(|| format!(" (as any of {} would)", whole(step.width)));
    format!("{}{}{}", step.what, width.unwrap_or_default(), after.unwrap_or_default())
}

/// What the times of an attack are: for certain, unless it takes luck to get past traps.
pub fn takes(attack: &Attack) -> &'static str {
    if attack.sources > 1.0 { "takes, on average" } else { "takes, for certain" }
}

/// What an attack costs: for whom, and what.
pub fn costs(attack: &Attack) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("who has listened", counted(attack.informed, "packet", "packets")),
        ("with even odds", format!("{} packets", count(attack.likely))),
        ("for certain", format!("{} packets", count(attack.certain))),
    ];
    if let Some(needs) = attack.needs_rate {
        rows.push(("windows", format!("pass below {}, and it takes more packets", rate(needs))));
    }
    if attack.sources > 1.0 {
        let packets = count(attack.with_traps);
        rows.push((
            "past the traps",
            format!("{packets} packets from {} addresses, on average", average(attack.sources)),
        ));
    }
    rows
}

/// `1,000/s`, `one source at a time`, `3.3 min`.
pub fn time(time: &Duration) -> [String; 3] {
    [rate(time.rate.into()), attackers(time.attackers), duration(time.seconds)]
}

/// Who attacks at once.
pub fn attackers(attackers: u32) -> String {
    counted(attackers, "source at a time", "sources")
}

/// What of the owner's is hit.
fn hits(hits: Hits) -> &'static str {
    match hits {
        Hits::Knocking => "knocking does not open",
        Hits::Grant => "neither knocking nor a new connection within a grant works",
        Hits::Connection => "even a connection that stands is cut",
    }
}

/// Who does it and how, what it takes, and what is hit for how long.
pub fn lockout(lockout: &Lockout) -> String {
    let packets = counted(lockout.packets, "packet", "packets");
    let lasts = match lockout.lasts {
        Some(lasts) => format!("for {lasts}"),
        None => "as long as they are sent".to_owned(),
    };
    format!("{} ({packets}): {}, {lasts}", lockout.how, hits(lockout.hits))
}

/// `443/tcp: meant for everybody`.
pub fn exposed(exposed: &Exposed) -> String {
    let meant = if exposed.meant { "meant for everybody" } else { "not said to be meant for everybody" };
    let ports = if exposed.ports == 1 { String::new() } else { format!(" ({} ports)", whole(exposed.ports)) };
    format!("{}{ports}: {meant}; let in by {}", exposed.packets, exposed.rule)
}

/// How a list is filled, and what that means.
pub fn fill(fill: &Fill) -> String {
    format!(
        "{} entries of {}: full at {} of {}. {}",
        whole(fill.capacity),
        fill.stays,
        rate(fill.rate),
        fill.packet,
        fill.means
    )
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
