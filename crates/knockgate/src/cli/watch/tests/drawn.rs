//! What is drawn, cell by cell.

use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use snapbox::{assert_data_eq, file};

use super::super::keys::{Action, Mode, Status, Ui};
use super::super::model::{Force, Model, Pane, Source};
use super::super::view::{Now, Paint, draw};
use super::{clock, later, model, snapshot};

fn drawn(ui: &Ui, (width, height): (u16, u16), coloured: bool, at: Instant) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let now = Now { at, clock: clock(9) };
    terminal.draw(|frame| draw(frame, ui, &mut 0, Paint::new(coloured), now)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let lines = buffer.content().chunks(usize::from(buffer.area.width));
    lines
        .map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n")
        .collect()
}

fn ui(at: Instant) -> Ui {
    let mut model = model(at);
    model.see(later(at), clock(1));
    Ui::new(model)
}

#[test]
fn a_terminal_of_the_usual_size_shows_doors_events_and_a_list() {
    let at = Instant::now();
    let mut ui = ui(at);
    let shown = |ui: &Ui| text(&drawn(ui, (80, 24), true, ui.model.snapshot.at));
    assert_data_eq!(shown(&ui), file!["80x24.txt"].raw());
    ui.model.show(Pane::Knocking);
    assert_data_eq!(shown(&ui), file!["knocking.txt"].raw());
    ui.model.show(Pane::Sets);
    ui.model.snapshot.trial_ms = Some(42_000);
    ui.mode = Mode::Sure(Action::Revoke { who: "192.0.2.7".to_owned(), cut: true });
    assert_data_eq!(shown(&ui), file!["sets.txt"].raw());
}

#[test]
fn a_large_terminal_shows_the_busiest_rules_too() {
    let at = Instant::now();
    let mut ui = ui(at);
    ui.model.show(Pane::Banned);
    assert_data_eq!(text(&drawn(&ui, (200, 50), true, at)), file!["200x50.txt"].raw());
}

#[test]
fn a_tiny_terminal_shows_the_list() {
    let at = Instant::now();
    assert_data_eq!(text(&drawn(&ui(at), (40, 10), true, at)), file!["40x10.txt"].raw());
}

const SIZES: [(u16, u16); 14] = [
    (1, 1),
    (1, 30),
    (2, 3),
    (3, 7),
    (9, 4),
    (16, 8),
    (40, 2),
    (40, 10),
    (59, 18),
    (60, 17),
    (60, 18),
    (80, 5),
    (140, 18),
    (300, 1),
];

#[test]
fn no_size_is_too_small_for_any_pane_and_question() {
    let at = Instant::now();
    let mut ui = ui(at);
    let who = || "192.0.2.7".to_owned();
    let modes = [
        Mode::Watch,
        Mode::Help,
        Mode::Filter,
        Mode::Sure(Action::Unban { who: who() }),
        Mode::Time { who: who(), typed: "x".repeat(120) },
    ];
    ui.status = Status::Failed("a long story ".repeat(40));
    ui.model.snapshot.trial_ms = Some(1);
    ui.model.snapshot.force = Force::Gone;
    for pane in ui.model.panes() {
        ui.model.show(pane);
        for mode in &modes {
            ui.mode = mode.clone();
            for size in SIZES {
                drawn(&ui, size, true, at);
            }
        }
    }
}

#[test]
fn colours_say_nothing_that_words_do_not() {
    let at = Instant::now();
    let mut ui = ui(at);
    for pane in ui.model.panes() {
        ui.model.show(pane);
        let plain = drawn(&ui, (120, 40), false, at);
        let is_plain = |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
        assert!(plain.content().iter().all(is_plain), "{pane:?}");
        let coloured = drawn(&ui, (120, 40), true, at);
        assert!(!coloured.content().iter().all(is_plain));
        assert_eq!(text(&plain), text(&coloured));
    }
}

#[test]
fn the_line_at_the_bottom_says_why_there_are_no_events() {
    let at = Instant::now();
    let why = "another program listens to what the rules tell (ulogd)";
    let model = Model::new(snapshot(at), Source::Paging(why.to_owned()));
    let shown = text(&drawn(&Ui::new(model), (80, 24), true, at));
    assert!(shown.contains(why) && shown.contains("events: by looking"), "{shown}");
}

#[test]
fn the_selected_line_is_in_view_however_long_the_list_is() {
    let at = Instant::now();
    let mut ui = ui(at);
    let rows = &mut ui.model.snapshot.lists[0].1.rows;
    rows.extend((0..200).map(|n| super::row(&format!("10.0.0.{n}"), "vpn", 1000 + n, 2000)));
    for (by, wanted) in [(isize::MAX, "▸ 10.0.0.199"), (-100, "▸ 10.0.0.99"), (isize::MIN, "▸ 192.0.2.7")]
    {
        ui.model.select(by, at);
        let shown = text(&drawn(&ui, (80, 24), true, at));
        assert!(shown.contains(wanted), "{wanted} in\n{shown}");
    }
}
