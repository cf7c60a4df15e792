//! The view on a terminal of any size. Whatever a colour says, a word says too.

mod bottom;
mod lines;
mod overview;
mod paint;

use std::time::{Instant, SystemTime};

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

use super::keys::{Mode, Ui};
use super::model::{Force, Rate, Source};
use bottom::{Bottom, help, hints};
use knockgate::moment::{time_of_day, utc_at};
use lines::pane;
use overview::overview;
pub use paint::Paint;
use paint::{grouped, per_second, sparks};

/// A smaller terminal shows the lists alone.
const ROOM_ABOVE: (u16, u16) = (60, 18);

/// When it is drawn: to compute with, and to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub at: Instant,
    pub clock: SystemTime,
}

/// `top` is the first line of the list that is in view, from one drawing to the next.
pub fn draw(frame: &mut Frame<'_>, ui: &Ui, top: &mut usize, paint: Paint, now: Now) {
    let area = frame.area();
    let (notices, bottom) = (notices(ui, paint, now), Bottom::of(ui, paint));
    let above = area.width >= ROOM_ABOVE.0 && area.height >= ROOM_ABOVE.1;
    let head = if area.height >= 8 { 2 } else { u16::from(area.height >= 4) };
    let [head, noticed, above, below, keys, status] = Layout::vertical([
        Constraint::Length(head),
        Constraint::Length(notices.len() as u16),
        Constraint::Length(if above { (area.height / 3).max(7) } else { 0 }),
        Constraint::Min(1),
        Constraint::Length(u16::from(area.height >= 8)),
        Constraint::Length(bottom.height(area.width)),
    ])
    .areas(area);
    header(frame, head, ui, paint, now);
    frame.render_widget(Paragraph::new(notices), noticed);
    overview(frame, above, &ui.model, paint);
    pane(frame, below, &ui.model, top, paint, now.at);
    frame.render_widget(hints(paint, keys.width), keys);
    bottom.draw(frame, status);
    if ui.mode == Mode::Help {
        help(frame, paint);
    }
}

fn header(frame: &mut Frame<'_>, area: Rect, ui: &Ui, paint: Paint, now: Now) {
    let model = &ui.model;
    let mut first = vec![Span::styled(" knockgate ", paint.title()), Span::raw(" ")];
    first.push(Span::styled(model.snapshot.name.clone(), paint.strong()));
    first.push(match model.snapshot.force {
        Force::AsApplied => Span::styled(" in force", paint.good()),
        Force::Changed => Span::styled(" CHANGED", paint.bad()),
        Force::Gone => Span::styled(" GONE", paint.bad()),
        Force::Nothing => Span::styled("no policy is in force", paint.bad()),
    });
    if let Some(since) = model.snapshot.since {
        first.push(Span::styled(format!(" since {}", utc_at(since)), paint.faint()));
    }
    let mut second = vec![];
    second.extend(rate(" let in", &model.accepted, paint.good()));
    second.extend(rate("   dropped", &model.dropped, paint.warn()));
    let text = Text::from(vec![Line::from(first), Line::from(second)]);
    let clock = Text::from(vec![
        Line::styled(format!("{} UTC ", time_of_day(now.clock)), paint.strong()),
        Line::styled(format!("{} ", heard(&model.source)), paint.faint()),
    ]);
    let width = clock.width() as u16;
    let room = if area.width >= 60 { width } else { 0 };
    let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(room)]).areas(area);
    frame.render_widget(Paragraph::new(text), left);
    frame.render_widget(Paragraph::new(clock).alignment(Alignment::Right), right);
}

fn heard(source: &Source) -> String {
    match source {
        Source::Live { missed: 0 } => "events: live".to_owned(),
        Source::Live { missed } => format!("events: live, {} missed", grouped(*missed)),
        Source::Paging(_) => "events: by looking".to_owned(),
    }
}

fn rate<'t>(what: &'t str, rate: &Rate, style: Style) -> Vec<Span<'t>> {
    let now = rate.now.map_or_else(|| "-".to_owned(), per_second);
    vec![Span::raw(what), Span::raw(format!(" {now:>8} ")), Span::styled(sparks(&rate.history, 12), style)]
}

/// What must not be overlooked.
fn notices(ui: &Ui, paint: Paint, now: Now) -> Vec<Line<'static>> {
    let snapshot = &ui.model.snapshot;
    let trial = snapshot.trial_ms.map(|left| {
        let left = ui.model.left(left, now.at).div_ceil(1000);
        format!(" ON TRIAL: {left} s left; `knockgate confirm` over a new connection keeps it")
    });
    let force = match snapshot.force {
        Force::AsApplied | Force::Nothing => None,
        Force::Changed => {
            Some(" Somebody else changed the rules since they were applied; apply the policy again")
        }
        Force::Gone => Some(" Somebody else took the table away; apply the policy again"),
    };
    let paused = ui.paused.then_some(" PAUSED: p goes on");
    let all = [trial, force.map(str::to_owned), paused.map(str::to_owned)];
    all.into_iter().flatten().map(|notice| Line::styled(notice, paint.alarm())).collect()
}
