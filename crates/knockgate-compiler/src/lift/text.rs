//! What was lifted, as a policy with comments.

use std::collections::{BTreeSet, HashMap};

use super::{Doubt, Lifted, LiftedDoor, LiftedTraps, Unlifted};
use crate::diag::{Diagnostic, Severity, Source};
use crate::policy::{Knock, ServiceDraft, Wrong, default};
use crate::program::Origin;
use crate::time::Lifetime;

/// What of a [`Lifted`] cannot stand in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The door of this name.
    Door(String),
    /// The traps.
    Traps,
}

/// Reasons for rules to be no part of it that are listed in a policy; the others are counted.
const MAX_REST: usize = 200;
/// Where lines of comments are broken.
const WIDTH: usize = 100;

impl Lifted {
    /// Every knock of every door.
    pub fn knocks(&self) -> impl Iterator<Item = Knock> {
        self.doors.iter().flat_map(|door| &door.knocks).map(|step| step.knock)
    }

    /// Leaves out, with the reason, what `check` has errors about in the policy that this makes, and
    /// says what that was. `check` reads a policy's text.
    pub fn settle(&mut self, check: impl Fn(&str) -> Vec<Diagnostic>) -> Vec<Part> {
        let mut left_out = vec![];
        // Each round leaves something out, or is the last one.
        loop {
            let text = self.to_toml(None);
            let known = left_out.len();
            for error in check(&text).iter().filter(|finding| finding.severity == Severity::Error) {
                left_out.extend(self.leave_out(&text, error));
            }
            if left_out.len() == known {
                return left_out;
            }
        }
    }

    /// Leaves out the table that the error is in, unless that has been done.
    fn leave_out(&mut self, text: &str, error: &Diagnostic) -> Option<Part> {
        let place = &text[..text.floor_char_boundary(error.primary.span.start + 1)];
        let heading = place.lines().rev().find(|line| line.starts_with('[') && line.ends_with(']'))?;
        // Without a door, there is no end to what is wrong with a policy.
        let mut doors = self.doors.iter_mut().filter(|door| door.left_out.is_none()).peekable();
        doors.peek()?;
        let (reason, part) = match heading {
            "[traps]" => (&mut self.traps.as_mut()?.left_out, Part::Traps),
            _ => {
                let door = doors.find(|door| heading == format!("[door.{}]", door.name))?;
                (&mut door.left_out, Part::Door(door.name.clone()))
            }
        };
        reason.is_none().then(|| {
            *reason = Some(error.message.clone());
            part
        })
    }

    /// Every difference that is told of, with the part it is about.
    pub fn all_doubts(&self) -> impl Iterator<Item = (Option<Part>, &Doubt)> {
        let doors = self
            .doors
            .iter()
            .flat_map(|door| door.doubts.iter().map(|doubt| (Some(Part::Door(door.name.clone())), doubt)));
        let traps = self.traps.iter().flat_map(|traps| &traps.doubts);
        let whole = self.doubts.iter().map(|doubt| (None, doubt));
        whole.chain(traps.map(|doubt| (Some(Part::Traps), doubt))).chain(doors)
    }

    /// The rules that the policy does not do, by the reason.
    pub fn lost(&self) -> Vec<Together<'_>> {
        together(self.rest.iter().filter(|rule| rule.lost))
    }

    /// A policy with comments that say where it comes from and where it differs. With `source`, they
    /// name its lines.
    pub fn to_toml(&self, source: Option<&Source<'_>>) -> String {
        let mut page = Page { text: String::new(), source };
        page.head(self);
        if let Some(traps) = &self.traps {
            page.traps(traps);
        }
        for door in &self.doors {
            page.door(door);
        }
        page.rest(&self.rest);
        page.text
    }
}

struct Page<'s> {
    text: String,
    source: Option<&'s Source<'s>>,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// A comment, broken into lines, with nothing in it that a comment cannot hold.
    fn comment(&mut self, first: &str, text: &str) {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut line = format!("# {first}");
        let mut empty = true;
        for word in clean.split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(line.trim_end());
                line = format!("# {}", " ".repeat(first.len()));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line += word;
            empty = false;
        }
        self.line(line.trim_end());
    }

    fn place(&self, origin: &Origin) -> Option<String> {
        let line = self.source?.place(origin.span?.start).line;
        Some(format!("line {line}"))
    }

    fn doubts(&mut self, doubts: &[Doubt]) {
        for doubt in doubts {
            let place = doubt.origin.as_ref().and_then(|origin| self.place(origin));
            let text = match place {
                Some(place) => format!("{} ({place})", doubt.what),
                None => doubt.what.clone(),
            };
            self.comment("! ", &text);
        }
    }

    fn head(&mut self, lifted: &Lifted) {
        let from = self.source.map_or("rules", |source| source.name()).to_owned();
        self.comment("", &format!("A Knockgate policy, made of {from}. The sequences in it are secrets."));
        self.comment("", "Lines with a ! say where it does something else than the rules did. In general:");
        for what in [
            "only the first packet of a connection is a knock; rules without flags and states count strays too",
            "the same knock again does not prolong its window",
            "established connections and granted sources are never banned, and a ban is not prolonged",
            "IPv6 from outside is held to the same, and doors and public ports open over it too, also where the rules were for IPv4 alone",
        ] {
            self.comment("- ", what);
        }
        self.doubts(&lifted.doubts);
        self.line("");
        let strings = |items: Vec<String>| listed(&items);
        self.line(&format!(
            "outside = {}",
            strings(lifted.outside.iter().map(ToString::to_string).collect())
        ));
        for (key, values) in [
            ("public", lifted.public.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ("allow", lifted.allow.iter().map(ToString::to_string).collect()),
            ("exempt", lifted.exempt.iter().map(ToString::to_string).collect()),
        ] {
            if !values.is_empty() {
                self.line(&format!("{key} = {}", listed(&values)));
            }
        }
    }

    fn traps(&mut self, traps: &LiftedTraps) {
        let ports: Vec<String> = traps.ports.iter().map(ToString::to_string).collect();
        let mut lines = vec!["[traps]".to_owned(), format!("ports = {}", listed(&ports))];
        lines.push(format!("strikes = {}", traps.strikes));
        if let Some(memory) = traps.memory {
            lines.push(format!("memory = \"{memory}\""));
        }
        lines.push(format!("ban = \"{}\"", traps.ban));
        lines.push(format!("ban-max = \"{}\"", traps.ban_max));
        self.line("");
        if traps.strikes == 1 {
            self.comment(
                "",
                "One touch is a ban, as by the rules. With two strikes, a stray packet bans nobody.",
            );
        }
        self.doubts(&traps.doubts);
        self.section(&lines, traps.left_out.as_deref());
    }

    fn door(&mut self, door: &LiftedDoor) {
        let windows: Vec<Lifetime> = door.knocks.iter().filter_map(|step| step.window).collect();
        let common = windows.first().filter(|first| windows.iter().all(|window| window == *first));
        let mut knocks = vec![];
        for step in &door.knocks {
            let within = step.window.filter(|_| common.is_none());
            knocks.push(match within {
                Some(window) => format!("{} within {window}", step.knock),
                None => step.knock.to_string(),
            });
        }
        let services: Vec<String> = door.services.iter().map(ServiceDraft::to_string).collect();
        let mut lines = vec![format!("[door.{}]", door.name), format!("knock = {}", listed(&knocks))];
        lines.push(format!("opens = {}", listed(&services)));
        if windows.is_empty() || common.is_some() {
            lines.push(format!("window = \"{}\"", common.copied().unwrap_or(default::WINDOW)));
        }
        lines.push(format!("grant = \"{}\"", door.grant));
        lines.push(format!("wrong = \"{}\"", door.wrong));
        self.line("");
        let places: Vec<String> = door.knocks.iter().filter_map(|step| self.place(&step.origin)).collect();
        if !places.is_empty() {
            self.comment("", &format!("Its knocks: {}.", places.join(", ")));
        }
        if door.wrong == Wrong::Ignore && door.knocks.len() > 1 {
            let what = "No rule does anything about a wrong knock, hence `ignore`; `reset` is far stronger.";
            self.comment("", what);
        }
        self.doubts(&door.doubts);
        self.section(&lines, door.left_out.as_deref());
    }

    /// Lines of a table; as a comment where there is a reason not to have it.
    fn section(&mut self, lines: &[String], left_out: Option<&str>) {
        if let Some(reason) = left_out {
            self.comment("! ", &format!("LEFT OUT, for a policy cannot have it: {reason}"));
        }
        for line in lines {
            match left_out {
                Some(_) => self.line(&format!("# {line}")),
                None => self.line(line),
            }
        }
    }

    fn rest(&mut self, rest: &[Unlifted]) {
        for (heading, lost) in [
            ("Rules that are no part of this policy, and that it does not do:", true),
            ("Rules that need no words in a policy:", false),
        ] {
            let groups: Vec<Together<'_>> = together(rest.iter().filter(|rule| rule.lost == lost));
            if groups.is_empty() {
                continue;
            }
            self.line("");
            self.comment("", heading);
            for group in groups.iter().take(MAX_REST) {
                let lines = self.source.and_then(|source| group.lines(source));
                let what = || {
                    let rules = group.rules.iter().take(MAX_NAMED).map(|rule| &*rule.origin.what);
                    let more = group.rules.len().saturating_sub(MAX_NAMED);
                    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                    format!("{}{more}", rules.collect::<Vec<_>>().join(", "))
                };
                let about = match (lines, &group.rules[..]) {
                    (Some(lines), [_]) => format!("{lines}, {}", what()),
                    (Some(lines), _) => lines,
                    (None, _) => what(),
                };
                self.comment("- ", &format!("{about}: {}", group.why));
            }
            if let Some(more) = groups.get(MAX_REST..).filter(|more| !more.is_empty()) {
                let more: usize = more.iter().map(|group| group.rules.len()).sum();
                self.comment("- ", &format!("and {more} more"));
            }
        }
    }
}

/// Rules that are no part of a policy for the same reason.
#[derive(Clone, Debug)]
pub struct Together<'l> {
    /// The reason.
    pub why: &'l str,
    /// The rules, at least one.
    pub rules: Vec<&'l Unlifted>,
}

/// Lines that are named for one reason.
const MAX_LINES: usize = 40;
/// Rules that are named for one reason where no lines can be.
const MAX_NAMED: usize = 3;

impl Together<'_> {
    /// `line 12`, or `lines 12, 14, 15`, if they stand in `source`.
    pub fn lines(&self, source: &Source<'_>) -> Option<String> {
        let spans = self.rules.iter().filter_map(|rule| rule.origin.span);
        let lines: BTreeSet<usize> = spans.map(|span| source.place(span.start).line).collect();
        let more = lines.len().saturating_sub(MAX_LINES);
        let named: Vec<String> = lines.iter().take(MAX_LINES).map(ToString::to_string).collect();
        let named = named.join(", ");
        match lines.len() {
            0 => None,
            1 => Some(format!("line {named}")),
            _ if more > 0 => Some(format!("lines {named} and {more} more")),
            _ => Some(format!("lines {named}")),
        }
    }
}

/// Rules by their reason, in the order of the first of each.
fn together<'l>(rules: impl Iterator<Item = &'l Unlifted>) -> Vec<Together<'l>> {
    let mut groups: Vec<Together<'l>> = vec![];
    let mut known: HashMap<&str, usize> = HashMap::new();
    for rule in rules {
        let nth = *known.entry(&rule.why).or_insert(groups.len());
        match groups.get_mut(nth) {
            Some(group) => group.rules.push(rule),
            None => groups.push(Together { why: &rule.why, rules: vec![rule] }),
        }
    }
    groups
}

fn listed(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}
