//! Which items a command is about.

use super::super::ast::{Command, Conditions, Content, Scope, Statement, Value};
use super::super::findings::Findings;
use super::super::typed::{items as parts, range};
use super::find::{Search, Untold};
use super::items::Items;
use super::order::{Place, Slot};
use super::run::{Refusal, Run};
use crate::diag::{Code, Diagnostic, Severity, Span};

/// Which items are meant.
enum Which {
    /// These, perhaps none.
    These(Vec<Slot>),
    /// The one that has this number on the router, which nobody has shown.
    Unseen(u32),
    /// Only a router can tell.
    Untold(Untold),
}

/// How a text names items.
enum Named {
    Id(u32),
    Numbers(u32, u32),
}

impl Named {
    fn read(part: &str) -> Option<Self> {
        if let Some(hex) = part.strip_prefix('*') {
            let digits = !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            return digits.then(|| u32::from_str_radix(hex, 16).ok()).flatten().map(Self::Id);
        }
        range(part).map(|(low, high)| Self::Numbers(low, high))
    }
}

impl Run<'_> {
    /// The items that a command is told to act on.
    pub(super) fn targets(&mut self, path: &'static str, value: &Value) -> Result<Vec<Slot>, Refusal> {
        match self.which(path, value)? {
            Which::These(slots) => Ok(slots),
            Which::Unseen(number) => Err(Box::new(
                no_item(value.span, format!("there is no item number {number} that this script has shown"))
                    .note("items have numbers only after a `print`, until the next")
                    .help("name the item by its comment: `[find comment=...]`"),
            )),
            Which::Untold(why) => {
                self.tell_untold(value.span, why, "nothing is done here");
                Ok(vec![])
            }
        }
    }

    /// The place before the item that `name`, such as `place-before`, is set to.
    pub(super) fn place(&mut self, path: &'static str, name: &str, value: &Value) -> Result<Place, Refusal> {
        match self.which(path, value)? {
            Which::These(slots) => match slots.first() {
                Some(slot) => Ok(Place::Before(*slot)),
                // A part of what a router holds is meant for one that has the item.
                None if name == "place-before" && is_search(value) => {
                    self.unfound.add(value);
                    Ok(Place::Last)
                }
                None => {
                    let message = format!("`{name}` names an item that is not there");
                    Err(Box::new(no_item(value.span, message)))
                }
            },
            Which::Unseen(number) => {
                self.tell_unseen(value.span, number);
                Ok(Place::BeforeUnseen(number))
            }
            Which::Untold(why) => {
                self.tell_untold(value.span, why, "the item is taken to be the last");
                Ok(Place::Last)
            }
        }
    }

    /// The first item that `value` means; `None` where only a router can tell, which is told.
    pub(super) fn one(&mut self, path: &'static str, value: &Value) -> Result<Option<Slot>, Refusal> {
        if let Which::Untold(why) = self.which(path, value)? {
            self.tell_untold(value.span, why, "nothing is done here");
            return Ok(None);
        }
        match self.targets(path, value)?.first() {
            Some(slot) => Ok(Some(*slot)),
            None => Err(Box::new(no_item(value.span, "`copy-from` names an item that is not there"))),
        }
    }

    fn which(&mut self, path: &'static str, value: &Value) -> Result<Which, Refusal> {
        match &value.content {
            Content::Text(text) => self.named(path, text, value.span),
            Content::Result(statements) => self.found(path, statements, value.span),
            Content::Element(statements, index) => {
                let found = self.found(path, statements, value.span)?;
                Ok(match found {
                    Which::These(slots) => {
                        Which::These(slots.get(*index as usize).copied().into_iter().collect())
                    }
                    other => other,
                })
            }
            Content::Block(_) | Content::Computed(_) => {
                Ok(Which::Untold(Untold("it is worked out by the router")))
            }
        }
    }

    /// Items by number, id, name or comment.
    fn named(&mut self, path: &'static str, text: &str, span: Span) -> Result<Which, Refusal> {
        let named: Option<Vec<_>> = parts(text).map(Named::read).collect();
        let Some(named) = named else { return self.called(path, text, span) };
        let mut slots = vec![];
        for one in named {
            match one {
                // Ids are the router's, and a script has seen only those of what was shown to it.
                Named::Id(_) if !self.items(path).has_numbers() => return Ok(Which::Untold(IDS)),
                Named::Id(id) => {
                    let slot = self.items(path).with_id(id);
                    slots.push(slot.ok_or_else(|| no_item(span, format!("there is no item `*{id:X}`")))?);
                }
                Named::Numbers(low, high) => {
                    for number in low..=high {
                        self.spend(8, span)?;
                        match self.items(path).numbered(number) {
                            Some(slot) => slots.push(slot),
                            None if self.items(path).has_numbers() => {
                                return Err(Box::new(no_item(
                                    span,
                                    format!("there is no item number {number}"),
                                )));
                            }
                            None => return Ok(Which::Unseen(number)),
                        }
                    }
                }
            }
        }
        Ok(Which::These(slots))
    }

    /// Items whose name or else whose comment is `text`.
    fn called(&mut self, path: &'static str, text: &str, span: Span) -> Result<Which, Refusal> {
        let count = self.items(path).len();
        self.spend(count, span)?;
        let with = |items: &Items, name: &str| -> Vec<Slot> {
            let found = items.in_order().filter(|(_, item)| item.text(name) == Some(text));
            found.map(|(slot, _)| slot).collect()
        };
        let items = self.items(path);
        let mut slots = with(items, "name");
        if slots.is_empty() {
            slots = with(items, "comment");
        }
        if slots.is_empty() {
            return Err(Box::new(no_item(span, format!("there is no item called `{text}`"))));
        }
        Ok(Which::These(slots))
    }

    /// What `[find ...]` finds.
    fn found(&mut self, path: &'static str, statements: &[Statement], span: Span) -> Result<Which, Refusal> {
        let find = match statements {
            [Statement::Run(command)] if is_find(command) => command,
            _ => return Ok(Which::Untold(Untold("it is worked out by the router"))),
        };
        if find.menu.path() != path {
            let message = format!("items of `{}` are not in `{path}`", find.menu.path());
            return Err(Box::new(no_item(span, message)));
        }
        Ok(match self.matching(path, find.conditions.as_ref(), span)? {
            Ok(slots) => Which::These(slots),
            Err(why) => Which::Untold(why),
        })
    }

    /// Those of which `conditions` hold.
    pub(super) fn matching(
        &mut self,
        path: &'static str,
        conditions: Option<&Conditions>,
        span: Span,
    ) -> Result<Result<Vec<Slot>, Untold>, Refusal> {
        let search = match Search::new(conditions) {
            Ok(search) => search,
            Err(why) => return Ok(Err(why)),
        };
        if search.asks_for_ids() && !self.items(path).has_numbers() {
            return Ok(Err(IDS));
        }
        let (mut slots, mut effort) = (vec![], 0);
        let most = self.left();
        for (slot, item) in self.items(path).in_order() {
            effort += search.effort(item);
            if effort > most {
                break;
            }
            match search.finds(item) {
                Ok(true) => slots.push(slot),
                Ok(false) => {}
                Err(why) => return Ok(Err(why)),
            }
        }
        self.spend(effort, span)?;
        Ok(Ok(slots))
    }

    fn tell_unseen(&mut self, span: Span, number: u32) {
        if !self.findings.wants(Severity::Warning) {
            return;
        }
        let message = format!("item number {number} is whichever the router's last `print` showed there");
        self.findings.push(
            Diagnostic::warning(Code::PositionByNumber, span, message)
                .note("without a `print` in the same session, a router refuses this")
                .help("name the item by its comment: `place-before=[find comment=...]`"),
        );
    }

    fn tell_untold(&mut self, span: Span, why: Untold, so: &str) {
        let message = "only a router can tell which items are meant";
        self.findings.push(Diagnostic::warning(Code::NotFollowed, span, message).here(why.0).note(so));
    }
}

/// Why ids say nothing.
const IDS: Untold = Untold("a router gives its items ids of its own");

/// Whether it is `[find ...]`, or `([find ...]->0)`.
fn is_search(value: &Value) -> bool {
    matches!(value.content, Content::Result(_) | Content::Element(..))
}

/// Searches for a place that have found nothing: `[find ...]`, and `([find ...]->0)`. Each is told
/// once, where it is first.
#[derive(Debug, Default)]
pub(super) struct Unfound {
    all: Option<(Span, usize)>,
    element: Option<(Span, usize)>,
}

impl Unfound {
    fn add(&mut self, value: &Value) {
        let kind = match value.content {
            Content::Element(..) => &mut self.element,
            _ => &mut self.all,
        };
        kind.get_or_insert((value.span, 0)).1 += 1;
    }

    pub(super) fn tell(self, findings: &mut Findings) {
        let notes = [
            (self.all, "a router that has none either refuses the command, and the script stops there"),
            (self.element, "on a router that has such items, it goes before the one that is meant"),
        ];
        for (found, note) in notes {
            let Some((span, count)) = found else { continue };
            let message = "the script has made no item that this finds";
            let finding = Diagnostic::warning(Code::NoSuchItem, span, message)
                .note(note)
                .note("here the item goes where `add` puts it, which is last");
            findings.push(match count - 1 {
                0 => finding,
                1 => finding.note("so it is with one more place that is named like this"),
                more => finding.note(format!("so it is with {more} more places that are named like this")),
            });
        }
    }
}

fn is_find(command: &Command) -> bool {
    command.scope == Scope::Menu && command.name.value == "find"
}

pub(super) fn no_item(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(Code::NoSuchItem, span, message)
}
