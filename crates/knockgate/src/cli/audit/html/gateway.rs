//! What is not about one door.

use super::super::page::Page;
use super::super::words;
use super::markup::{Text, put};
use super::{bullets, claim, findings};

/// The gateway as a whole.
pub fn section(markup: &mut String, page: &Page<'_>) {
    markup.push_str("<section id=\"gateway\">\n<h2>The gateway</h2>\n");
    findings(markup, page, &page.audit.findings);
    exposed(markup, page);
    fills(markup, page);
    bullets(markup, "Not looked at", &page.audit.limits);
    markup.push_str("</section>\n");
}

fn exposed(markup: &mut String, page: &Page<'_>) {
    markup.push_str("<h3>Open without a knock</h3>\n");
    if page.audit.exposed.is_empty() {
        markup.push_str("<p>Nothing.</p>\n");
        return;
    }
    markup.push_str("<ul>\n");
    for exposed in &page.audit.exposed {
        let line = page.line(exposed.span).map(|line| format!(" <span class=\"line\">line {line}</span>"));
        put!(*markup, "<li>{}{}", Text(words::exposed(exposed)), line.unwrap_or_default());
        claim(markup, &exposed.claim);
        markup.push_str("</li>\n");
    }
    markup.push_str("</ul>\n");
}

fn fills(markup: &mut String, page: &Page<'_>) {
    if page.audit.fills.is_empty() {
        return;
    }
    markup.push_str("<h3>Lists that strangers can fill</h3>\n<dl>\n");
    for fill in &page.audit.fills {
        put!(*markup, "<div><dt>{}</dt><dd>{}</dd></div>\n", Text(&fill.list), Text(words::fill(fill)));
    }
    markup.push_str("</dl>\n");
}
