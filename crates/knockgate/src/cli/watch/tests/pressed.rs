//! What keys ask for.

use std::time::Instant;

use knockgate_compiler::time::Lifetime;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::keys::{Action, Mode, Status, Ui, Wish};
use super::super::model::Pane;
use super::model;

/// What comes of the last of these keys: letters, `\n` for Enter, `\t` for Tab, `\u{1b}` for Escape.
fn press(ui: &mut Ui, keys: &str) -> Wish {
    let now = Instant::now();
    let code = |key| match key {
        '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\u{1b}' => KeyCode::Esc,
        letter => KeyCode::Char(letter),
    };
    let wishes = keys.chars().map(|key| ui.press(KeyEvent::new(code(key), KeyModifiers::NONE), now));
    wishes.last().expect("a key")
}

fn ui() -> Ui {
    Ui::new(model(Instant::now()))
}

fn who(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_grant_is_revoked_after_a_yes_and_after_nothing_else() {
    for other in ["n", "q", "\n", "\u{1b}", "r", " "] {
        let mut ui = ui();
        assert_eq!(press(&mut ui, &format!("r{other}")), Wish::Nothing, "{other:?}");
        assert_eq!((ui.mode, ui.status), (Mode::Watch, Status::Done("nothing was changed".to_owned())));
    }
    for (keys, cut) in [("ry", false), ("Ry", true)] {
        assert_eq!(press(&mut ui(), keys), Wish::Act(Action::Revoke { who: who("192.0.2.7"), cut }));
    }
}

#[test]
fn a_ban_is_asked_for_step_by_step_and_can_be_left_at_each() {
    let (hour, reason) = (Some(Lifetime::from_secs(3600)), Some("scans all day".to_owned()));
    let ban = |who, lifetime, reason| Wish::Act(Action::Ban { who, lifetime, reason });
    for (keys, wish) in [
        ("b\n\n", ban(who("192.0.2.7"), None, None)),
        ("b1h\nscans all day\n", ban(who("192.0.2.7"), hour, reason)),
        ("B198.51.100.0/24\n1h\n\n", ban(who("198.51.100.0/24"), hour, None)),
        ("3b\u{1b}q", Wish::Quit),
        ("b1h\n\u{1b}q", Wish::Quit),
        // No list of lists has sources, so whom to ban is asked for.
        ("6b2001:db8::7\n\n\n", ban(who("2001:db8::7"), None, None)),
    ] {
        assert_eq!(press(&mut ui(), keys), wish, "{keys}");
    }
}

#[test]
fn what_is_typed_wrong_is_told_and_asked_for_again() {
    let mut ui = ui();
    assert_eq!(press(&mut ui, "Bnobody\n"), Wish::Nothing);
    assert!(matches!(&ui.status, Status::Failed(error) if error.contains("no IPv4")), "{:?}", ui.status);
    assert_eq!(ui.mode, Mode::Who("nobody".to_owned()));
    let control = KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL);
    ui.press(control, Instant::now());
    press(&mut ui, "192.0.2.1\n10\n");
    assert!(matches!(&ui.status, Status::Failed(_)));
    assert_eq!(ui.mode, Mode::Time { who: who("192.0.2.1"), typed: "10".to_owned() });
    assert!(matches!(press(&mut ui, "m\n\n"), Wish::Act(Action::Ban { .. })));
}

#[test]
fn a_ban_and_a_permission_are_taken_back_where_they_are_shown() {
    assert_eq!(press(&mut ui(), "3juy"), Wish::Act(Action::Unban { who: who("198.51.100.0/24") }));
    let mut ui = ui();
    assert_eq!(press(&mut ui, "4u"), Wish::Nothing);
    assert_eq!(ui.status, Status::Failed("no source is selected".to_owned()));
    let row = super::row("192.0.2.77", "", 10, 20);
    ui.model.snapshot.lists[3].1.rows.push(row);
    assert_eq!(press(&mut ui, "uy"), Wish::Act(Action::Disallow { who: who("192.0.2.77") }));
}

#[test]
fn keys_lead_through_panes_and_filters_and_out() {
    let mut ui = ui();
    press(&mut ui, "\t\t");
    assert_eq!(ui.model.pane, Pane::Banned);
    press(&mut ui, "7\t");
    assert_eq!(ui.model.pane, Pane::Granted);
    // While a text is typed, letters are no commands.
    assert_eq!(press(&mut ui, "/quit\n"), Wish::Look);
    assert_eq!((&*ui.model.filter, &ui.mode), ("quit", &Mode::Watch));
    assert_eq!(press(&mut ui, "\u{1b}"), Wish::Look);
    assert_eq!(ui.model.filter, "");
    press(&mut ui, "p");
    assert!(ui.paused);
    assert_eq!(press(&mut ui, "p"), Wish::Look);
    assert_eq!(press(&mut ui, "?q"), Wish::Nothing, "any key leaves the help");
    assert_eq!(press(&mut ui, "q"), Wish::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut ui, "/x");
    assert_eq!(ui.press(interrupt, Instant::now()), Wish::Quit);
}
