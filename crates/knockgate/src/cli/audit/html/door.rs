//! What there is to say of a door.

use knockgate_compiler::audit::{Door, WayIn};
use knockgate_compiler::policy::Wrong;

use super::super::page::{Page, way_in};
use super::super::words;
use super::markup::{Text, put};
use super::{bullets, claim, diagram, findings, plots};
use knockgate_compiler::audit::numbers;

/// A door in full.
pub fn section(markup: &mut String, page: &Page<'_>, index: usize, door: &Door) {
    let line = page.line(door.span).map(|line| format!(" · line {line}")).unwrap_or_default();
    put!(
        *markup,
        "<section class=\"door\" id=\"door-{index}\">\n<h2>Door {}</h2>\n<p class=\"level\">{}{line}</p>\n",
        Text(&door.name),
        words::level(door.level)
    );
    findings(markup, page, &door.findings);
    knock(markup, door);
    the_way_in(markup, door);
    chances(markup, door);
    attack(markup, door);
    others(markup, door);
    markup.push_str("</section>\n");
}

fn knock(markup: &mut String, door: &Door) {
    markup.push_str("<h3>How it is knocked at</h3>\n<dl>\n");
    fact(markup, "Opens", &words::opens(door));
    if let Some(shape) = &door.shape {
        fact(markup, "Knocks", &words::knocks(shape));
        fact(markup, "Traps", &words::traps(shape.traps.as_ref()));
    }
    markup.push_str("</dl>\n");
    if let Some(diagram) = diagram::diagram(door) {
        put!(
            *markup,
            "<figure class=\"states\">\n{diagram}<figcaption>{}</figcaption></figure>\n",
            Text(caption(door))
        );
    }
}

/// What the diagram does not show.
fn caption(door: &Door) -> String {
    let Some(shape) = &door.shape else {
        return "The packets of the cheapest way in; what else the rules do is not drawn.".to_owned();
    };
    if shape.knocks.len() == 1 {
        return "One packet opens it.".to_owned();
    }
    let wrong = match shape.wrong {
        Wrong::Reset => "A wrong knock that is a first one begins anew.".to_owned(),
        Wrong::Cooldown(lifetime) => {
            format!("Whoever waits makes no progress for {lifetime}, while windows go on passing.")
        }
        Wrong::Ignore => "Only time takes back what was knocked.".to_owned(),
    };
    let ban = if shape.traps.is_some() { " Whoever is banned makes no progress." } else { "" };
    format!("When a window has passed, the knock before it is forgotten. {wrong}{ban}")
}

fn the_way_in(markup: &mut String, door: &Door) {
    put!(
        *markup,
        "<h3>The way in, for someone who knows the rules</h3>\n<p>{}</p>\n",
        Text(words::way_in(&door.way_in))
    );
    if let WayIn::Steps { steps, .. } = &door.way_in {
        markup.push_str("<ol class=\"steps\">\n");
        for step in steps {
            put!(*markup, "<li><code>{}</code> {}</li>\n", Text(&step.packet), Text(words::step(step)));
        }
        markup.push_str("</ol>\n");
    }
    if let Some(shown) = way_in(door) {
        claim(markup, shown);
    }
}

fn chances(markup: &mut String, door: &Door) {
    if door.chances.is_empty() {
        return;
    }
    markup.push_str(
        "<h3>Opened by accident</h3>\n<table>\n<thead><tr><th scope=\"col\">Scan</th>\
         <th scope=\"col\" class=\"number\">Packets</th><th scope=\"col\">Opens it</th></tr></thead>\n<tbody>\n",
    );
    for chance in &door.chances {
        put!(
            *markup,
            "<tr><td>{}</td><td class=\"number\">{}</td><td>{}</td></tr>\n",
            chance.scan,
            numbers::rate(chance.scan.rate.into()),
            numbers::chance(chance)
        );
    }
    put!(*markup, "</tbody>\n</table>\n<div class=\"plots\">\n{}</div>\n", plots::of_chances(door).concat());
}

fn attack(markup: &mut String, door: &Door) {
    let Some(attack) = &door.attack else { return };
    markup.push_str("<h3>What it costs to open it</h3>\n<dl>\n");
    for (label, text) in words::costs(attack) {
        fact(markup, label, &text);
    }
    put!(*markup, "</dl>\n<p>{}</p>\n", Text(&attack.how));
    if attack.times.is_empty() {
        return;
    }
    put!(
        *markup,
        "<div class=\"beside\">\n<table>\n<thead><tr><th scope=\"col\" class=\"number\">Packets</th>\
         <th scope=\"col\">From</th><th scope=\"col\">{}</th></tr></thead>\n<tbody>\n",
        words::takes(attack)
    );
    for [rate, who, takes] in attack.times.iter().map(words::time) {
        put!(*markup, "<tr><td class=\"number\">{rate}</td><td>{who}</td><td>{takes}</td></tr>\n");
    }
    put!(*markup, "</tbody>\n</table>\n{}</div>\n", plots::of_attack(door).unwrap_or_default());
}

fn others(markup: &mut String, door: &Door) {
    markup.push_str("<div class=\"others\">\n");
    if !door.lockouts.is_empty() {
        markup.push_str("<div><h3>Who can shut the owner out</h3>\n<ul>\n");
        for lockout in &door.lockouts {
            put!(*markup, "<li>{}", Text(words::lockout(lockout)));
            claim(markup, &lockout.claim);
            markup.push_str("</li>\n");
        }
        markup.push_str("</ul></div>\n");
    }
    bullets(markup, "Who gets in with the owner", &door.company);
    bullets(markup, "What a listener learns", &door.listener);
    let advice = door.advice.iter().map(|advice| format!("{}: {}", advice.edit, advice.gives));
    bullets(markup, "What would raise it", &advice.collect::<Vec<_>>());
    markup.push_str("</div>\n");
}

fn fact(markup: &mut String, label: &str, text: &str) {
    put!(*markup, "<div><dt>{label}</dt><dd>{}</dd></div>\n", Text(text));
}
