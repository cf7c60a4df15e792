//! The page on a terminal.

mod paper;

use knockgate_compiler::audit::{Audit, Door, Finding, Risk, WayIn};
use knockgate_compiler::diag::Entry;

use super::page::{Page, random_sweep};
use super::words;
use knockgate_compiler::audit::numbers::{self, counted};
use paper::{FAINT, Side};

pub use paper::{Paper, cut, plain};

/// What there is to say, for people at a terminal.
pub fn page(page: &Page<'_>) -> String {
    let mut paper = Paper::default();
    paper.title(&format!("Audit of {}", page.source.name()), "");
    paper.paragraph(2, &summary_line(page));
    paper.paragraph(2, words::SECRET);
    if !page.doors.is_empty() {
        paper.gap();
        summary(&mut paper, page);
    }
    if page.is_in_full() {
        page.doors.iter().for_each(|door| self::door(&mut paper, page, door));
    } else {
        paper.gap();
        paper.paragraph(2, "--door NAME tells all of one door, --html FILE of all of them.");
    }
    gateway(&mut paper, page);
    paper.finish()
}

/// `2 doors; findings: 1 high, 3 low`.
fn summary_line(page: &Page<'_>) -> String {
    let doors = counted(u32::try_from(page.audit.doors.len()).unwrap_or(u32::MAX), "door", "doors");
    format!("{doors}; findings: {}.", words::tally(page.findings()))
}

/// Characters of a door's name in the summary, and of what is found there.
const NAME: usize = 18;
const WORST: usize = 26;

fn summary(paper: &mut Paper, page: &Page<'_>) {
    let columns = [
        ("door", Side::Left),
        ("level", Side::Left),
        ("random sweep", Side::Left),
        ("for certain", Side::Right),
        ("worst finding", Side::Left),
    ];
    let rows: Vec<Vec<String>> = page.doors.iter().map(|door| row(door)).collect();
    paper.table(2, &columns, &rows);
}

fn row(door: &Door) -> Vec<String> {
    let worst = door.findings.first().map(|finding| {
        let what = Entry::of(finding.code).title;
        format!("{} {}: {what}", finding.risk.as_str(), finding.code)
    });
    vec![
        cut(&door.name, NAME),
        words::level_in_short(door.level).to_owned(),
        random_sweep(door).map_or("-".to_owned(), |chance| numbers::probability(chance.probability)),
        door.attack.as_ref().map_or("-".to_owned(), |attack| numbers::count(attack.certain)),
        worst.map_or("none".to_owned(), |worst| cut(&worst, WORST)),
    ]
}

/// Characters of the labels of facts.
const LABEL: usize = 16;

fn fact(paper: &mut Paper, label: &str, text: &str) {
    paper.item(2, (FAINT, label), LABEL, text);
}

/// Findings that are told before anything else.
const FIRST: usize = 3;

fn door(paper: &mut Paper, page: &Page<'_>, door: &Door) {
    let line = page.line(door.span).map(|line| format!(", line {line}")).unwrap_or_default();
    paper.title(&format!("Door {}", door.name), &format!("{}{line}", words::level(door.level)));
    fact(paper, "opens", &words::opens(door));
    if let Some(shape) = &door.shape {
        fact(paper, "knocks", &words::knocks(shape));
        fact(paper, "wrong knocks", &words::wrong(shape.wrong));
        fact(paper, "traps", &words::traps(shape.traps.as_ref()));
    }
    let (first, others) = door.findings.split_at(door.findings.len().min(FIRST));
    findings(paper, page, "The worst", first);
    way_in(paper, &door.way_in);
    chances(paper, door);
    attack(paper, door);
    let lockout = |lockout| words::lockout(lockout);
    bullets(paper, "Who can shut the owner out", door.lockouts.iter().map(lockout));
    bullets(paper, "Who gets in with the owner", door.company.iter().cloned());
    bullets(paper, "What a listener learns", door.listener.iter().cloned());
    let advice = door.advice.iter().map(|advice| format!("{}: {}", advice.edit, advice.gives));
    bullets(paper, "What would raise it", advice);
    findings(paper, page, "Other findings", others);
}

fn way_in(paper: &mut Paper, way: &WayIn) {
    paper.heading("The way in, for someone who knows the rules");
    paper.paragraph(4, &words::way_in(way));
    if let WayIn::Steps { steps, .. } = way {
        let width = steps.iter().map(|step| step.packet.chars().count() + 2).max().unwrap_or_default();
        for step in steps {
            paper.item(4, ("", &cut(&step.packet, PACKET)), width.min(PACKET + 2), &words::step(step));
        }
    }
}

/// Characters of a packet in a way in.
const PACKET: usize = 40;

fn chances(paper: &mut Paper, door: &Door) {
    if door.chances.is_empty() {
        return;
    }
    paper.heading("Opened by accident");
    let columns = [("scan", Side::Left), ("packets", Side::Right), ("opens it", Side::Left)];
    let rows = door.chances.iter().map(|chance| {
        let scan = &chance.scan;
        vec![scan.to_string(), numbers::rate(scan.rate.into()), numbers::chance(chance)]
    });
    paper.table(4, &columns, &rows.collect::<Vec<_>>());
}

fn attack(paper: &mut Paper, door: &Door) {
    let Some(attack) = &door.attack else { return };
    paper.heading("What it costs to open it");
    for (label, text) in words::costs(attack) {
        paper.item(4, (FAINT, label), LABEL + 2, &text);
    }
    paper.paragraph(4, &attack.how);
    if !attack.times.is_empty() {
        paper.gap();
        let columns = [("packets", Side::Right), ("from", Side::Left), (words::takes(attack), Side::Left)];
        let rows: Vec<_> = attack.times.iter().map(|time| words::time(time).to_vec()).collect();
        paper.table(4, &columns, &rows);
    }
}

fn bullets(paper: &mut Paper, heading: &str, texts: impl IntoIterator<Item = String>) {
    let mut texts = texts.into_iter().peekable();
    if texts.peek().is_some() {
        paper.heading(heading);
        texts.for_each(|text| paper.item(4, ("", "-"), 2, &text));
    }
}

fn findings(paper: &mut Paper, page: &Page<'_>, heading: &str, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    paper.heading(heading);
    findings.iter().for_each(|finding| self::finding(paper, page, finding));
}

fn finding(paper: &mut Paper, page: &Page<'_>, finding: &Finding) {
    let style = match finding.risk {
        Risk::High => "\x1b[1;31m",
        Risk::Medium => "\x1b[33m",
        Risk::Low => "\x1b[36m",
    };
    let line = page.line(finding.span).map(|line| format!(" (line {line})")).unwrap_or_default();
    let text = format!("{}: {}{line}", finding.code, finding.says);
    paper.item(4, (style, finding.risk.as_str()), 8, &text);
}

/// Services and lists that are told of in full.
const ROWS: usize = 20;

fn gateway(paper: &mut Paper, page: &Page<'_>) {
    let Audit { exposed, fills, findings, limits, .. } = page.audit;
    paper.title("The gateway", "");
    if exposed.is_empty() {
        paper.paragraph(2, "Nothing that was played is open on the gateway itself without a knock.");
    }
    let open = exposed.iter().map(|exposed| {
        let line = page.line(exposed.span).map(|line| format!(" (line {line})")).unwrap_or_default();
        format!("{}{line}", words::exposed(exposed))
    });
    bullets(paper, "Open without a knock", some(open));
    let fills = fills.iter().map(|fill| format!("{}: {}", fill.list, words::fill(fill)));
    bullets(paper, "Lists that strangers can fill", some(fills));
    self::findings(paper, page, "Findings", findings);
    bullets(paper, "Not looked at", limits.iter().cloned());
}

/// The first of them, and how many there are besides.
fn some(mut texts: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let mut some: Vec<String> = texts.by_ref().take(ROWS).collect();
    if texts.len() > 0 {
        some.push(format!("and {} more; --format json tells all", texts.len()));
    }
    some
}
