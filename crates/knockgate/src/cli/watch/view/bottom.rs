//! Below the lists: what keys do, and what is asked and told.

use ratatui::Frame;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Wrap};

use super::super::keys::{Mode, Status, Ui};
use super::super::model::{Model, Source};
use super::paint::{Paint, boxed};

/// Lines that are told at most.
const LINES: usize = 3;

const HINTS: [(&str, &str); 10] = [
    ("Tab", "next"),
    ("r", "revoke"),
    ("b", "ban"),
    ("u", "unban"),
    ("/", "filter"),
    ("s", "sort"),
    ("p", "pause"),
    ("?", "help"),
    ("q", "quit"),
    ("R", "revoke and cut"),
];

pub fn hints(paint: Paint, width: u16) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    for (key, what) in HINTS {
        used += key.len() + what.len() + 3;
        if used > usize::from(width) {
            break;
        }
        spans.extend([Span::styled(key, paint.key()), Span::raw(format!(" {what}  "))]);
    }
    Line::from(spans)
}

/// What is asked or told.
#[derive(Debug)]
pub struct Bottom<'u> {
    text: String,
    style: Style,
    /// What somebody types as an answer.
    typed: Option<&'u str>,
}

impl<'u> Bottom<'u> {
    pub fn of(ui: &'u Ui, paint: Paint) -> Self {
        let failed = match &ui.status {
            Status::Failed(error) => format!("{error}. "),
            _ => String::new(),
        };
        let ask = |text: String, typed| Self { text, style: paint.key(), typed: Some(typed) };
        let tell = |text, style| Self { text, style, typed: None };
        match (&ui.mode, &ui.status) {
            (Mode::Filter, _) => ask("Show what has this text: ".to_owned(), &ui.model.filter),
            (Mode::Who(typed), _) => ask(format!("{failed}Ban which address or network? "), typed),
            (Mode::Time { who, typed }, _) => {
                ask(format!("{failed}Ban {who} for how long? (as in 1h; Enter: as the policy does) "), typed)
            }
            (Mode::Reason { who, typed, .. }, _) => {
                ask(format!("Why? (Enter bans {who}, Esc does not) "), typed)
            }
            (Mode::Sure(action), _) => tell(format!("{} (y/n) ", action.question()), paint.alarm()),
            (_, Status::Done(text)) => tell(text.clone(), paint.good()),
            (_, Status::Failed(error)) => tell(format!("error: {error}"), paint.bad()),
            (_, Status::Quiet) => tell(quiet(&ui.model), paint.faint()),
        }
    }

    /// Lines that it takes.
    pub fn height(&self, width: u16) -> u16 {
        let width = usize::from(width.saturating_sub(2).max(1));
        // Words that do not fit move on to the next line.
        let typed = self.typed.unwrap_or_default().chars().count();
        ((self.text.chars().count() + typed) * 10 / 9).div_ceil(width).clamp(1, LINES) as u16
    }

    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        let area = area.inner(Margin::new(u16::from(area.width > 2), 0));
        let mut line = vec![Span::styled(self.text.as_str(), self.style)];
        if let Some(typed) = self.typed {
            line.extend([Span::raw(typed), Span::raw("▏")]);
        }
        frame.render_widget(Paragraph::new(Line::from(line)).wrap(Wrap { trim: true }), area);
    }
}

fn quiet(model: &Model) -> String {
    let mut parts = vec![];
    if !model.filter.is_empty() {
        parts.push(format!("filtered by `{}`, Esc shows all", model.filter));
    }
    let way = if model.reversed { ", reversed" } else { "" };
    parts.push(format!("sorted by {}{way}", model.sort.word(model.pane)));
    if let Source::Paging(why) = &model.source {
        parts.push(why.clone());
    }
    parts.join(" · ")
}

const HELP: [(&str, &str); 17] = [
    ("Tab, Left, Right, 1-7", "another list"),
    ("Up, Down, k, j", "another line"),
    ("Page Up, Page Down", "ten lines further"),
    ("Home, End, g, G", "first line, last line"),
    ("", ""),
    ("r", "revoke the grants of the source"),
    ("R", "the same, and cut its connections"),
    ("b", "ban the source"),
    ("B", "ban an address or network to be typed"),
    ("u", "take its bans back; on `allowed`, its permission"),
    ("", ""),
    ("/", "show what has this text; a whole address"),
    ("", "  is found however long the list is"),
    ("Esc", "show everything"),
    ("s, S", "sort by something else, the other way round"),
    ("p", "pause, go on"),
    ("q", "quit"),
];

pub fn help(frame: &mut Frame<'_>, paint: Paint) {
    let area = frame.area();
    let (width, height) = (76.min(area.width), (HELP.len() as u16 + 2).min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    let line = |(key, what): &(&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!("{key:>22}  "), paint.key()), Span::raw(*what)])
    };
    let lines: Vec<Line<'_>> = HELP.iter().map(line).collect();
    frame.render_widget(Clear, place);
    frame.render_widget(boxed(" keys ", paint).title_bottom(" any key goes back "), place);
    frame.render_widget(Paragraph::new(lines), place.inner(Margin::new(1, 1)));
}
