//! The audit for programs.

use knockgate_compiler::audit::chance::{Chance, Curve, How, Order, Scan};
use knockgate_compiler::audit::cost::{Attack, Duration};
use knockgate_compiler::audit::{
    Advice, Beat, Claim, Door, Exposed, Fill, Finding, Hits, Lockout, Risk, Shape, Step, Trapping, WayIn,
};
use knockgate_compiler::diag::{Entry, Span};
use knockgate_compiler::time::Lifetime;
use serde_json::{Value, json};

use super::page::Page;
use super::prove::Proof;
use super::words;

/// Everything there is to say of the doors of `page` and of the gateway.
pub fn audit(page: &Page<'_>, proofs: Option<&[Proof<'_>]>) -> Value {
    let audit = page.audit;
    let mut value = json!({
        "file": page.source.name(),
        "doors": all(page.doors.iter().copied(), |one| door(page, one)),
        "exposed": all(&audit.exposed, |one| exposed(page, one)),
        "fills": all(&audit.fills, fill),
        "findings": all(&audit.findings, |one| finding(page, one)),
        "limits": audit.limits,
        "worst": page.worst().map(Risk::as_str),
    });
    if let Some(proofs) = proofs {
        value["proofs"] = all(proofs, Proof::to_json);
    }
    value
}

fn all<T>(values: impl IntoIterator<Item = T>, value: impl FnMut(T) -> Value) -> Value {
    values.into_iter().map(value).collect()
}

fn door(page: &Page<'_>, door: &Door) -> Value {
    json!({
        "name": door.name,
        "place": place(page, door.span),
        "services": door.services,
        "level": words::level_in_short(door.level),
        "level_means": words::level(door.level),
        "shape": door.shape.as_ref().map(shape),
        "way_in": way_in(&door.way_in),
        "chances": all(&door.chances, chance),
        "curves": all(&door.curves, curve),
        "attack": door.attack.as_ref().map(attack),
        "lockouts": all(&door.lockouts, lockout),
        "company": door.company,
        "listener": door.listener,
        "findings": all(&door.findings, |one| finding(page, one)),
        "advice": all(&door.advice, |Advice { edit, gives }| json!({ "edit": edit, "gives": gives })),
    })
}

fn shape(shape: &Shape) -> Value {
    let beat = |beat: &Beat| json!({ "knock": beat.knock.to_string(), "window_s": seconds(beat.window) });
    json!({
        "knocks": all(&shape.knocks, beat),
        "wrong": shape.wrong.to_string(),
        "traps": shape.traps.as_ref().map(traps),
        "neutral": all(&shape.neutral, |endpoint| json!(endpoint.to_string())),
        "counted": all(&shape.counted, |transport| json!(transport.to_string())),
        "grant_s": seconds(shape.grant),
    })
}

fn traps(traps: &Trapping) -> Value {
    json!({
        "ports": all(&traps.ports, |endpoint| json!(endpoint.to_string())),
        "strikes": traps.strikes,
        "memory_s": seconds(traps.memory),
        "ban_s": seconds(traps.ban),
        "ban_max_s": seconds(traps.ban_max),
    })
}

fn way_in(way: &WayIn) -> Value {
    match way {
        WayIn::Open(open) => json!({ "kind": "open", "claim": claim(open) }),
        WayIn::Steps { steps, claim: shown } => {
            json!({ "kind": "steps", "steps": all(steps, step), "claim": claim(shown) })
        }
        WayIn::Never => json!({ "kind": "never" }),
        WayIn::NotFound { states } => json!({ "kind": "not_found", "states": states }),
    }
}

fn step(step: &Step) -> Value {
    json!({
        "packet": step.packet,
        "what": step.what,
        "width": step.width,
        "after_s": step.after.map(seconds),
    })
}

fn claim(claim: &Claim) -> Value {
    json!({ "says": claim.says, "trace": claim.trace, "fate": claim.fate.as_str() })
}

fn chance(chance: &Chance) -> Value {
    let Scan { order, tries, rate, sources } = chance.scan;
    let (how, scans, error) = match chance.how {
        How::Exact => ("exact", None, None),
        How::Played { scans, error } => ("played", Some(scans), Some(error)),
    };
    json!({
        "order": self::order(order),
        "tries": tries,
        "rate": rate,
        "sources": sources,
        "probability": chance.probability,
        "how": how,
        "scans": scans,
        "error": error,
    })
}

fn order(order: Order) -> &'static str {
    match order {
        Order::Up => "up",
        Order::Down => "down",
        Order::Random => "random",
        Order::Thousand => "thousand",
        Order::Neighbourhood => "neighbourhood",
        Order::UpWithoutTraps => "up_without_traps",
    }
}

fn curve(curve: &Curve) -> Value {
    json!({ "rate": curve.rate, "by_traps": curve.by_traps })
}

fn attack(attack: &Attack) -> Value {
    let time =
        |time: &Duration| json!({ "rate": time.rate, "attackers": time.attackers, "seconds": time.seconds });
    json!({
        "informed": attack.informed,
        "certain": attack.certain,
        "likely": attack.likely,
        "needs_rate": attack.needs_rate,
        "sources": attack.sources,
        "with_traps": attack.with_traps,
        "times": all(&attack.times, time),
        "how": attack.how,
    })
}

fn lockout(lockout: &Lockout) -> Value {
    let hits = match lockout.hits {
        Hits::Knocking => "knocking",
        Hits::Grant => "grant",
        Hits::Connection => "connection",
    };
    json!({
        "how": lockout.how,
        "packets": lockout.packets,
        "lasts_s": lockout.lasts.map(seconds),
        "hits": hits,
        "claim": claim(&lockout.claim),
    })
}

fn exposed(page: &Page<'_>, exposed: &Exposed) -> Value {
    json!({
        "packets": exposed.packets,
        "ports": exposed.ports,
        "rule": exposed.rule,
        "place": place(page, exposed.span),
        "meant": exposed.meant,
        "claim": claim(&exposed.claim),
    })
}

fn fill(fill: &Fill) -> Value {
    json!({
        "list": fill.list,
        "capacity": fill.capacity,
        "stays_s": seconds(fill.stays),
        "packet": fill.packet,
        "entries": fill.entries,
        "rate": fill.rate,
        "means": fill.means,
    })
}

fn finding(page: &Page<'_>, finding: &Finding) -> Value {
    json!({
        "code": finding.code.as_str(),
        "title": Entry::of(finding.code).title,
        "risk": finding.risk.as_str(),
        "says": finding.says,
        "place": place(page, finding.span),
        "claim": finding.claim.as_ref().map(claim),
    })
}

fn place(page: &Page<'_>, span: Option<Span>) -> Value {
    let place = span.map(|span| page.source.place(span.start));
    place.map_or(Value::Null, |place| json!({ "line": place.line, "column": place.column }))
}

fn seconds(lifetime: Lifetime) -> f64 {
    lifetime.as_duration().as_secs_f64()
}
