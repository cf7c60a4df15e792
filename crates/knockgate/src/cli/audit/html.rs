//! The page for a browser: one file that needs nothing else.

mod diagram;
mod door;
mod gateway;
mod markup;
mod plot;
mod plots;

use knockgate_compiler::audit::{Claim, Door, Finding};

use super::page::{Page, random_sweep};
use super::words;
use knockgate_compiler::audit::numbers::{self, counted};
use markup::{Text, put};

const STYLE: &str = include_str!("html/style.css");

/// Nothing is loaded, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// What there is to say, for people at a browser.
pub fn page(page: &Page<'_>) -> String {
    let name = Text(page.source.name());
    let mut markup = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>Audit of {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}<main>\n",
        diagram::arrow_ends()
    );
    header(&mut markup, page);
    if !page.doors.is_empty() {
        summary(&mut markup, page);
    }
    for (index, door) in page.doors.iter().enumerate() {
        door::section(&mut markup, page, index, door);
    }
    gateway::section(&mut markup, page);
    markup.push_str("</main>\n</body>\n</html>\n");
    markup
}

fn header(markup: &mut String, page: &Page<'_>) {
    let doors = counted(u32::try_from(page.audit.doors.len()).unwrap_or(u32::MAX), "door", "doors");
    let exposed = &page.audit.exposed;
    let open = match exposed.iter().filter(|exposed| !exposed.meant).count() {
        0 if exposed.is_empty() => {
            "Nothing that was played is open on the gateway itself without a knock.".to_owned()
        }
        0 => "What is open without a knock is meant to be.".to_owned(),
        some => format!("{some} of what is open without a knock is not said to be meant so."),
    };
    put!(
        *markup,
        "<header>\n<h1>Audit of {}</h1>\n<p>{doors}. Findings: {}. {open}</p>\n<p class=\"secret\">{}</p>\n</header>\n",
        Text(page.source.name()),
        words::tally(page.findings()),
        words::SECRET
    );
}

/// A heading over each column.
const SUMMARY: [&str; 5] = ["Door", "Level", "Random sweep", CERTAIN, "Worst finding"];
/// The column of numbers.
const CERTAIN: &str = "Packets for certain";

fn summary(markup: &mut String, page: &Page<'_>) {
    markup.push_str("<section>\n<h2>Doors</h2>\n<table class=\"summary\">\n<thead><tr>");
    for title in SUMMARY {
        let class = if title == CERTAIN { " class=\"number\"" } else { "" };
        put!(*markup, "<th scope=\"col\"{class}>{title}</th>");
    }
    markup.push_str("</tr></thead>\n<tbody>\n");
    for (index, door) in page.doors.iter().enumerate() {
        let [_, level, sweep, certain, worst] = SUMMARY;
        put!(
            *markup,
            "<tr><th scope=\"row\"><a href=\"#door-{index}\">{}</a></th><td data-title=\"{level}\">{}</td>\
             <td data-title=\"{sweep}\">{}</td><td data-title=\"{certain}\" class=\"number\">{}</td>\
             <td data-title=\"{worst}\">{}</td></tr>\n",
            Text(&door.name),
            words::level(door.level),
            random_sweep(door).map_or("–".to_owned(), |chance| numbers::probability(chance.probability)),
            door.attack.as_ref().map_or("–".to_owned(), |attack| numbers::count(attack.certain)),
            worst_of(door)
        );
    }
    markup.push_str("</tbody>\n</table>\n</section>\n");
}

fn worst_of(door: &Door) -> String {
    let Some(finding) = door.findings.first() else { return "none".to_owned() };
    let risk = finding.risk.as_str();
    format!("<span class=\"risk {risk}\">{risk}</span> {}", Text(&finding.says))
}

/// The findings under a heading, if there are any.
fn findings(markup: &mut String, page: &Page<'_>, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    markup.push_str("<h3>Findings</h3>\n<ul class=\"findings\">\n");
    for finding in findings {
        let risk = finding.risk.as_str();
        let line = page.line(finding.span).map(|line| format!(" <span class=\"line\">line {line}</span>"));
        put!(
            *markup,
            "<li class=\"{risk}\"><span class=\"risk {risk}\">{risk}</span> <code>{}</code> {}{}",
            finding.code,
            Text(&finding.says),
            line.unwrap_or_default()
        );
        if let Some(claim) = &finding.claim {
            self::claim(markup, claim);
        }
        markup.push_str("</li>\n");
    }
    markup.push_str("</ul>\n");
}

/// The packets that show something.
fn claim(markup: &mut String, claim: &Claim) {
    put!(
        *markup,
        "<details><summary>Packets that show it</summary><p>{} The last packet: {}. \
         <code>knockgate simulate POLICY -</code> plays them.</p><pre>{}</pre></details>",
        Text(sentence(&claim.says)),
        claim.fate.as_str(),
        Text(&claim.trace)
    );
}

/// With a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// Texts under a heading, if there are any.
fn bullets<'t>(markup: &mut String, heading: &str, texts: impl IntoIterator<Item = &'t String>) {
    let mut texts = texts.into_iter().peekable();
    if texts.peek().is_none() {
        return;
    }
    put!(*markup, "<div><h3>{heading}</h3>\n<ul>\n");
    texts.for_each(|text| put!(*markup, "<li>{}</li>\n", Text(text)));
    markup.push_str("</ul></div>\n");
}
