//! What a script says, before anybody asks what it means.

use std::fmt;
use std::sync::Arc;

use super::menus::{self, Known};
use crate::diag::{At, Span};

/// A script: an export, a file of commands, or what somebody pasted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Script {
    /// The first line of an export.
    pub header: Option<Header>,
    /// What it does, in order.
    pub statements: Vec<Statement>,
}

/// `# 2023-12-03 20:27:23 by RouterOS 7.10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The line.
    pub span: Span,
    /// Date and time, as written; their form differs between versions.
    pub date: String,
    /// `7.10`, `6.48.6`, `7.1rc6`.
    pub version: String,
}

/// One step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `/ip firewall filter`: the following commands run there.
    Enter(At<Menu>),
    /// A command.
    Run(Command),
    /// `{ ... }` or `/ip firewall filter { ... }`: statements of their own.
    Block(Block),
    /// What `print` shows, pasted.
    Table(Table),
}

/// Statements in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// From the menu or the opening brace to the closing one.
    pub span: Span,
    /// Where its commands run.
    pub menu: Menu,
    /// What it does.
    pub statements: Vec<Statement>,
}

/// A place in the console's tree of commands.
#[derive(Clone, PartialEq, Eq)]
pub struct Menu {
    path: Arc<str>,
    known: Option<&'static Known>,
}

impl Menu {
    /// Where the console starts.
    pub fn root() -> Self {
        Self::at("/")
    }

    /// The menu at `path`, in full and with slashes: `/ip/firewall/filter`.
    pub(super) fn at(path: &str) -> Self {
        Self { path: path.into(), known: menus::known(path) }
    }

    /// `/ip/firewall/filter`, or `/` for the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is known of the items here; `None` for menus that are none of ours.
    pub fn known(&self) -> Option<&'static Known> {
        self.known
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.path() == "/"
    }
}

impl fmt::Debug for Menu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// Who carries out a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The menu: `add`, `print`.
    Menu,
    /// The script language: `:if`, `:foreach`.
    Global,
    /// A function of the script, `$name`, or what a command in brackets returned.
    Call,
    /// Nobody that is known: a router stops here when it runs the script.
    Unknown,
}

/// A command and what it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// All of it, its menu included where that is written with it.
    pub span: Span,
    /// Where it runs.
    pub menu: Menu,
    /// Who carries it out.
    pub scope: Scope,
    /// Its name in full, where it is known, without colon or dollar sign: `print` for `pr`.
    pub name: At<String>,
    /// What it is given, in the order of the text.
    pub arguments: Vec<Argument>,
    /// Of `find`, and after `where`: which items are meant.
    pub conditions: Option<Conditions>,
}

impl Command {
    /// The blocks of `:do { ... }` and `:do { ... } on-error={ ... }`, which are carried out: first what is
    /// tried, then what is done if that fails. Loops have none.
    pub fn guarded(&self) -> Option<(&[Statement], Option<&[Statement]>)> {
        let (mut body, mut handler) = (None, None);
        for argument in self.arguments.iter().filter(|_| self.scope == Scope::Global) {
            match argument {
                Argument::Plain(Value { content: Content::Block(statements), .. }) => {
                    body = Some(statements.as_slice());
                }
                Argument::Set { name, value } if name.value == "on-error" => {
                    handler = Some(match &value.content {
                        Content::Block(statements) => statements.as_slice(),
                        _ => &[],
                    });
                }
                _ => return None,
            }
        }
        Some((body.filter(|_| self.name.value == "do")?, handler))
    }

    /// What the attribute `name` is set to, the last time if several times.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.arguments.iter().rev().find_map(|argument| match argument {
            Argument::Set { name: written, value } if written.value == name => Some(value),
            _ => None,
        })
    }

    /// What is given without a name: `0` of `set 0 disabled=yes`.
    pub fn plain(&self) -> impl Iterator<Item = &Value> {
        self.arguments.iter().filter_map(|argument| match argument {
            Argument::Plain(value) => Some(value),
            _ => None,
        })
    }
}

/// Something a command is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// `chain=input`. The name is in full where the menu's attributes are known, and otherwise as
    /// written; the span is that of what is written.
    Set {
        /// The attribute.
        name: At<String>,
        /// What it is set to.
        value: Value,
    },
    /// `!port`: the attribute is taken away.
    Unset(At<String>),
    /// `0`, `detail`, `"some text"`.
    Plain(Value),
}

impl Argument {
    /// All of it.
    pub fn span(&self) -> Span {
        match self {
            Self::Set { name, value } => Span { start: name.span.start, end: value.span.end },
            Self::Unset(name) => name.span,
            Self::Plain(value) => value.span,
        }
    }
}

/// A value. What is written is the text at its span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// All of it, quotes and exclamation mark included.
    pub span: Span,
    /// `!` before it, inside its quotes or outside, where the attribute can be negated.
    pub negated: bool,
    /// What it is.
    pub content: Content,
}

impl Value {
    /// What stands there, decoded and without the negation; `None` if only a router could tell.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What is written, out of the text that was parsed.
    pub fn raw<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.span.start..self.span.end).unwrap_or_default()
    }
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A text, decoded. A byte that is no UTF-8 stands as U+F700 plus the byte.
    Text(String),
    /// `[find chain=input]`: what the commands return.
    Result(Vec<Statement>),
    /// `([find chain=input]->0)`: one of what the commands return.
    Element(Vec<Statement>, u32),
    /// `{ ... }` where commands are expected.
    Block(Vec<Statement>),
    /// `$x`, `"to $x"`, `(1 + 2)`, `{1;2}`: what only a router can tell, with the commands in it.
    Computed(Vec<Statement>),
}

/// Which items are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// Those of which all of this holds.
    All(Vec<Condition>),
    /// Those of which something holds that has `or`, parentheses or more in it.
    Other {
        /// All of it.
        span: Span,
        /// The commands in it.
        statements: Vec<Statement>,
    },
}

/// `chain=input`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// All of it.
    pub span: Span,
    /// The attribute, in full where it is known.
    pub name: At<String>,
    /// How it is held against the value.
    pub relation: Relation,
    /// The value; `yes` or `no` where none is written: `disabled`, `!disabled`.
    pub value: Value,
}

/// How an attribute is held against a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equals,
    /// `!=`
    Differs,
    /// `~`, a POSIX regular expression.
    Matches,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Relation {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "=",
            Self::Differs => "!=",
            Self::Matches => "~",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// What `print` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// All of it.
    pub span: Span,
    /// The menu it is from, as far as the text tells.
    pub menu: Menu,
    /// Its items.
    pub rows: Vec<Row>,
}

/// One item of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its lines.
    pub span: Span,
    /// Its number.
    pub number: At<u32>,
    /// `X` disabled, `I` invalid, `D` dynamic.
    pub flags: String,
    /// After `;;;`.
    pub comment: Option<At<String>>,
    /// `chain=input action=accept`.
    pub attributes: Vec<Argument>,
}
