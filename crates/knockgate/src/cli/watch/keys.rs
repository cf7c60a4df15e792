//! What keys do.

use std::time::Instant;

use knockgate_compiler::time::Lifetime;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::hand::{self, BanOptions, DisallowOptions, RevokeOptions, Told, UnbanOptions};
use super::model::{Model, Pane};

/// Lines that a page has.
const PAGE: isize = 10;
/// Characters that can be typed.
const TYPED: usize = 120;

/// Something to be done by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Revoke { who: String, cut: bool },
    Ban { who: String, lifetime: Option<Lifetime>, reason: Option<String> },
    Unban { who: String },
    Disallow { who: String },
}

impl Action {
    /// What is asked before it is done.
    pub fn question(&self) -> String {
        match self {
            Self::Revoke { who, cut: false } => format!("Revoke every grant of {who}?"),
            Self::Revoke { who, cut: true } => {
                format!("Revoke every grant of {who}, and cut its connections?")
            }
            Self::Ban { who, .. } => format!("Ban {who}?"),
            Self::Unban { who } => format!("Take every ban of {who} back?"),
            Self::Disallow { who } => format!("Take the permission of {who} back?"),
        }
    }

    /// Does it, as the command of the same name does.
    pub fn carry_out(&self) -> anyhow::Result<Told> {
        let options = |error: String| anyhow::anyhow!(error);
        match self {
            Self::Revoke { who, cut } => {
                let address = who.parse().map_err(|_| anyhow::anyhow!("{who} is not one address"))?;
                hand::revoked(&RevokeOptions::of(address, *cut))
            }
            Self::Ban { who, lifetime, reason } => {
                hand::banned(&BanOptions::of(who, *lifetime, reason.as_deref()).map_err(options)?)
            }
            Self::Unban { who } => hand::unbanned(&UnbanOptions::of(who).map_err(options)?),
            Self::Disallow { who } => hand::disallowed(&DisallowOptions::of(who).map_err(options)?),
        }
    }
}

/// What keys are for at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Watch,
    Help,
    Filter,
    /// Yes or no.
    Sure(Action),
    /// Whom to ban.
    Who(String),
    /// For how long.
    Time {
        who: String,
        typed: String,
    },
    /// And why.
    Reason {
        who: String,
        lifetime: Option<Lifetime>,
        typed: String,
    },
}

/// What is to be done after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Quit,
    Suspend,
    /// Look at the machine at once.
    Look,
    Act(Action),
}

/// The line at the bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Quiet,
    Done(String),
    Failed(String),
}

/// The view and who sits before it.
#[derive(Debug)]
pub struct Ui {
    pub model: Model,
    pub mode: Mode,
    pub status: Status,
    pub paused: bool,
}

impl Ui {
    pub fn new(model: Model) -> Self {
        Self { model, mode: Mode::Watch, status: Status::Quiet, paused: false }
    }

    /// What a key asks for at `now`.
    pub fn press(&mut self, key: KeyEvent, now: Instant) -> Wish {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, control) {
            (KeyCode::Char('c'), true) => return Wish::Quit,
            (KeyCode::Char('z'), true) => return Wish::Suspend,
            _ => {}
        }
        if control && !matches!(key.code, KeyCode::Char('u')) {
            return Wish::Nothing;
        }
        match std::mem::replace(&mut self.mode, Mode::Watch) {
            Mode::Watch => self.command(key.code, now),
            Mode::Help => Wish::Nothing,
            Mode::Filter => self.filter(key.code, control),
            Mode::Sure(action) => match key.code {
                KeyCode::Char('y' | 'Y') => Wish::Act(action),
                _ => self.leave(),
            },
            Mode::Who(typed) => self.who(typed, key.code, control),
            Mode::Time { who, typed } => self.time(who, typed, key.code, control),
            Mode::Reason { who, lifetime, typed } => self.reason(who, lifetime, typed, key.code, control),
        }
    }

    fn leave(&mut self) -> Wish {
        self.status = Status::Done("nothing was changed".to_owned());
        Wish::Nothing
    }

    fn command(&mut self, code: KeyCode, now: Instant) -> Wish {
        self.status = Status::Quiet;
        match code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('p' | ' ') => {
                self.paused = !self.paused;
                return if self.paused { Wish::Nothing } else { Wish::Look };
            }
            KeyCode::Char('s') => self.model.sort = self.model.sort.next(),
            KeyCode::Char('S') => self.model.reversed = !self.model.reversed,
            KeyCode::Esc => return self.show_all(),
            KeyCode::Char('r' | 'R' | 'b' | 'B' | 'u') => self.ask(code, now),
            _ => self.go(code, now),
        }
        Wish::Nothing
    }

    fn show_all(&mut self) -> Wish {
        self.model.filter.clear();
        Wish::Look
    }

    fn go(&mut self, code: KeyCode, now: Instant) {
        match code {
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.model.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.model.turn(-1),
            KeyCode::Char(digit @ '1'..='9') => {
                let place = digit as usize - '1' as usize;
                if let Some(pane) = self.model.panes().get(place) {
                    self.model.show(*pane);
                }
            }
            KeyCode::Down | KeyCode::Char('j') => self.model.select(1, now),
            KeyCode::Up | KeyCode::Char('k') => self.model.select(-1, now),
            KeyCode::PageDown => self.model.select(PAGE, now),
            KeyCode::PageUp => self.model.select(-PAGE, now),
            KeyCode::Home | KeyCode::Char('g') => self.model.select(isize::MIN, now),
            KeyCode::End | KeyCode::Char('G') => self.model.select(isize::MAX, now),
            _ => {}
        }
    }

    /// About whom the selected line is.
    fn ask(&mut self, code: KeyCode, now: Instant) {
        let chosen = self.model.chosen(now);
        self.mode = match (code, chosen) {
            (KeyCode::Char('B'), _) | (KeyCode::Char('b'), None) => Mode::Who(String::new()),
            (_, None) => {
                self.status = Status::Failed("no source is selected".to_owned());
                Mode::Watch
            }
            (KeyCode::Char('b'), Some(who)) => Mode::Time { who, typed: String::new() },
            (KeyCode::Char('u'), Some(who)) if self.model.pane == Pane::Allowed => {
                Mode::Sure(Action::Disallow { who })
            }
            (KeyCode::Char('u'), Some(who)) => Mode::Sure(Action::Unban { who }),
            (code, Some(who)) => Mode::Sure(Action::Revoke { who, cut: code == KeyCode::Char('R') }),
        };
    }

    fn filter(&mut self, code: KeyCode, control: bool) -> Wish {
        match code {
            KeyCode::Esc => return self.show_all(),
            KeyCode::Enter => return Wish::Look,
            _ => type_into(&mut self.model.filter, code, control),
        }
        self.mode = Mode::Filter;
        Wish::Nothing
    }

    fn who(&mut self, mut typed: String, code: KeyCode, control: bool) -> Wish {
        match code {
            KeyCode::Esc => return self.leave(),
            KeyCode::Enter => match BanOptions::of(&typed, None, None) {
                Ok(_) => self.mode = Mode::Time { who: typed, typed: String::new() },
                Err(error) => self.again(error, Mode::Who(typed)),
            },
            _ => {
                type_into(&mut typed, code, control);
                self.mode = Mode::Who(typed);
            }
        }
        Wish::Nothing
    }

    fn time(&mut self, who: String, mut typed: String, code: KeyCode, control: bool) -> Wish {
        let lifetime = (!typed.is_empty()).then(|| typed.parse::<Lifetime>()).transpose();
        match (code, lifetime) {
            (KeyCode::Esc, _) => return self.leave(),
            (KeyCode::Enter, Ok(lifetime)) => {
                self.mode = Mode::Reason { who, lifetime, typed: String::new() };
            }
            (KeyCode::Enter, Err(error)) => self.again(error.to_string(), Mode::Time { who, typed }),
            _ => {
                type_into(&mut typed, code, control);
                self.mode = Mode::Time { who, typed };
            }
        }
        Wish::Nothing
    }

    fn reason(
        &mut self,
        who: String,
        lifetime: Option<Lifetime>,
        mut typed: String,
        code: KeyCode,
        control: bool,
    ) -> Wish {
        match code {
            KeyCode::Esc => return self.leave(),
            KeyCode::Enter => {
                let reason = (!typed.is_empty()).then_some(typed);
                return Wish::Act(Action::Ban { who, lifetime, reason });
            }
            _ => type_into(&mut typed, code, control),
        }
        self.mode = Mode::Reason { who, lifetime, typed };
        Wish::Nothing
    }

    /// Says what is wrong with what was typed, and asks again.
    fn again(&mut self, error: String, mode: Mode) {
        self.status = Status::Failed(error);
        self.mode = mode;
    }

    /// Tells what became of an action.
    pub fn told(&mut self, result: anyhow::Result<Told>) {
        self.status = match result {
            Ok(told) => Status::Done([vec![told.text], told.notes].concat().join("; ")),
            Err(error) => Status::Failed(format!("{error:#}")),
        };
    }
}

fn type_into(text: &mut String, code: KeyCode, control: bool) {
    match code {
        KeyCode::Char('u') if control => text.clear(),
        KeyCode::Char(c) if text.chars().count() < TYPED && !c.is_control() => text.push(c),
        KeyCode::Backspace => drop(text.pop()),
        _ => {}
    }
}
