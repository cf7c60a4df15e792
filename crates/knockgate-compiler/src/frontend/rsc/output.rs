//! What a router shows, pasted along with what was typed: prompts and tables.

use super::ast::{Argument, Menu, Row, Scope, Statement, Table};
use super::lexer::{Cursor, is_blank, is_menu, is_name};
use super::menus::{self, COMMON};
use super::parser::Parser;
use super::values::Reading;
use crate::diag::{At, Code, Diagnostic, Span};

/// Bytes of a prompt.
const MAX_PROMPT: usize = 256;

/// Menus that are above all that have items here: a table without more is from any of them.
const UNTOLD: [&str; 3] = ["/", "/ip", "/ip/firewall"];

const FILTER: &str = "/ip/firewall/filter";

impl Parser<'_> {
    /// Takes in what a router shows, if a line of it begins here.
    pub(super) fn output(&mut self, out: &mut Vec<Statement>) -> bool {
        if !self.at_line_start() {
            return false;
        }
        match self.cursor.peek() {
            Some(b'[') => self.prompt(out),
            Some(b'-') => self.pager(),
            Some(b'F' | b'C' | b'0'..=b'9') => self.table(out),
            _ => false,
        }
    }

    fn at_line_start(&self) -> bool {
        let before = self.text.as_bytes().get(..self.cursor.at).unwrap_or_default();
        let blanks = before.iter().rev().take_while(|byte| is_blank(**byte)).count();
        before.len() == blanks || before.get(before.len() - blanks - 1) == Some(&b'\n')
    }

    /// `[admin@MikroTik] /ip firewall filter>`, which names the menu of what is typed after it.
    fn prompt(&mut self, out: &mut Vec<Statement>) -> bool {
        let start = self.cursor.at;
        let Some((path, length)) = prompt(self.cursor.rest()) else { return false };
        self.cursor.at += length;
        let menu = Menu::at(&path);
        if menu != self.menu {
            let span = self.cursor.span_since(start);
            out.push(Statement::Enter(At { value: menu.clone(), span }));
            self.menu = menu;
        }
        true
    }

    /// `-- [Q quit|D dump|down]`
    fn pager(&mut self) -> bool {
        let found = self.cursor.rest().starts_with("-- [");
        if found {
            self.cursor.skip_line();
        }
        found
    }

    fn table(&mut self, out: &mut Vec<Statement>) -> bool {
        let start = self.cursor.at;
        let headed = ["Flags:", "Columns:"].iter().any(|head| self.cursor.rest().starts_with(head));
        if !headed && row_head(self.cursor).is_none() {
            return false;
        }
        let mut first_line = self.cursor;
        first_line.skip_line();
        let first = Span { start, end: start + first_line.since(start).trim_end().len() };
        let columns = headed && self.skip_head();
        let said = self.printed_menu(out.last());
        let untold = UNTOLD.contains(&said.path());
        // What can be negated in a filter is plain in no other menu that may be guessed.
        let read_as = if untold { Menu::at(FILTER) } else { said.clone() };
        let mut rows = vec![];
        while let Some(row) = self.row(&read_as) {
            rows.push(row);
            self.count_command();
        }
        let guess = if untold { guess(&rows) } else { None };
        let menu = guess.map_or(said, Menu::at);
        let finding = if columns {
            Diagnostic::error(Code::Output, first, "a table in columns, which shows too little of the items")
                .help("paste what `print detail` or `export` shows")
        } else {
            let message = "this is what a router shows, not what it is told";
            let finding = Diagnostic::warning(Code::Output, first, message);
            let so = "its items are read, but a router takes them only as `add` commands";
            match (guess, menu.known()) {
                (Some(guess), _) => {
                    let guess = guess.replace('/', " ").replacen(' ', "/", 1);
                    finding
                        .note(format!("no `print` says which menu it is from: `{guess}` is assumed"))
                        .note(so)
                }
                (None, Some(_)) => finding.note(so),
                (None, None) if untold => finding
                    .note("its menu is unknown, so nothing of it is read")
                    .help("paste the command as well: `/ip firewall filter print`"),
                (None, None) => finding
                    .note(format!("nothing of it is read: `{}` is none of the menus that are", menu.path())),
            }
        };
        self.report(finding);
        self.count_command();
        let end = start + self.cursor.since(start).trim_end().len();
        out.push(Statement::Table(Table { span: Span { start, end }, menu, rows }));
        true
    }

    /// Past the lines above the first item. `true` if the items are in columns, and then past them.
    fn skip_head(&mut self) -> bool {
        let mut columns = false;
        loop {
            columns |= self.cursor.rest().starts_with("Columns:");
            self.cursor.skip_line();
            let mut below = self.cursor;
            let more = below.eat(b'\n') && if columns { below.in_columns() } else { below.in_head() };
            if !more {
                return columns;
            }
            self.cursor = below;
        }
    }

    /// The menu that a table is from.
    fn printed_menu(&self, before: Option<&Statement>) -> Menu {
        match before {
            Some(Statement::Run(command))
                if command.scope == Scope::Menu && command.name.value == "print" =>
            {
                command.menu.clone()
            }
            _ => self.menu.clone(),
        }
    }

    /// The next item, below blank lines.
    fn row(&mut self, menu: &Menu) -> Option<Row> {
        let mut ahead = self.cursor;
        ahead.eat_while(|byte| byte.is_ascii_whitespace());
        let head = row_head(ahead)?;
        ahead.eat_while(is_blank);
        let start = ahead.at;
        self.cursor.at = head.end;
        let (mut comment, mut attributes) = (None, vec![]);
        loop {
            self.cursor.eat_while(is_blank);
            if self.cursor.rest().starts_with(";;;") {
                comment = Some(self.row_comment());
            } else if self.cursor.peek() == Some(b'\n') {
                if !self.row_goes_on() {
                    break;
                }
            } else if let Some(attribute) = self.row_attribute(menu) {
                attributes.push(attribute);
            } else {
                self.row_rest();
                break;
            }
        }
        let end = start + self.cursor.since(start).trim_end().len();
        Some(Row { span: Span { start, end }, number: head.number, flags: head.flags, comment, attributes })
    }

    fn row_comment(&mut self) -> At<String> {
        self.cursor.at += 3;
        self.cursor.eat_while(is_blank);
        let start = self.cursor.at;
        self.cursor.skip_line();
        let text = self.cursor.since(start).trim_end();
        At { value: text.to_owned(), span: Span { start, end: start + text.len() } }
    }

    /// At the next line, if that has more of the item.
    fn row_goes_on(&mut self) -> bool {
        let mut below = self.cursor;
        below.at += 1;
        let indented = !below.eat_while(is_blank).is_empty();
        let mut name = below;
        let named = !name.eat_while(is_name).is_empty() && name.peek() == Some(b'=');
        let more = indented && (named || below.rest().starts_with(";;;"));
        if more {
            self.cursor = below;
        }
        more
    }

    fn row_attribute(&mut self, menu: &Menu) -> Option<Argument> {
        let mut after = self.cursor;
        let name = after.eat_while(is_name);
        let span = after.span_since(self.cursor.at);
        if name.is_empty() || !after.eat(b'=') {
            return None;
        }
        self.cursor = after;
        let known = menu.known().and_then(|known| known.attribute(name));
        let negatable = known.is_some_and(|attribute| attribute.negatable);
        let value = self.value(Reading { braces_are_code: false, negatable });
        Some(Argument::Set { name: At { value: name.to_owned(), span }, value })
    }

    /// What of a line is no attribute.
    fn row_rest(&mut self) {
        let start = self.cursor.at;
        self.cursor.skip_line();
        let length = self.cursor.since(start).trim_end().len();
        if length > 0 {
            let span = Span { start, end: start + length };
            self.report(Diagnostic::error(Code::Output, span, "this part of an item cannot be read"));
        }
    }
}

impl Cursor<'_> {
    /// Whether the line here goes on with what flags there are, or says which columns.
    fn in_head(mut self) -> bool {
        self.eat_while(is_blank);
        let flag = self.eat_while(|byte| byte.is_ascii_uppercase());
        !flag.is_empty() && (self.rest().starts_with(" - ") || self.rest().starts_with("olumns:"))
    }

    /// Whether the line here is one of a table in columns, rather than blank or a command.
    fn in_columns(mut self) -> bool {
        self.eat_while(is_blank);
        let command = COMMON.contains(&self.eat_while(is_menu));
        !command && !matches!(self.peek(), None | Some(b'\n' | b'/' | b':' | b'['))
    }
}

/// The menu that items are from, as far as they tell it themselves.
fn guess(rows: &[Row]) -> Option<&'static str> {
    let has = |wanted: &str| {
        rows.iter().flat_map(|row| &row.attributes).any(|attribute| match attribute {
            Argument::Set { name, .. } => name.value == wanted,
            _ => false,
        })
    };
    if has("chain") || has("action") {
        return Some(FILTER);
    }
    (has("list") && has("address")).then_some("/ip/firewall/address-list")
}

/// The start of an item.
struct RowHead {
    number: At<u32>,
    flags: String,
    end: usize,
}

/// ` 0 XI  ;;; comment`, ` 12    chain=input`.
fn row_head(mut cursor: Cursor<'_>) -> Option<RowHead> {
    cursor.eat_while(is_blank);
    let start = cursor.at;
    let digits = cursor.eat_while(|byte| byte.is_ascii_digit());
    let number = At { value: digits.parse().ok()?, span: cursor.span_since(start) };
    if cursor.eat_while(is_blank).is_empty() {
        return None;
    }
    let flags_start = cursor.at;
    let mut flags = cursor.eat_while(|byte| byte.is_ascii_uppercase() || byte == b'*');
    if flags.len() > 6 || (!flags.is_empty() && cursor.eat_while(is_blank).is_empty()) {
        cursor.at = flags_start;
        flags = "";
    }
    let end = cursor.at;
    let commented = cursor.rest().starts_with(";;;");
    let named = !cursor.eat_while(is_name).is_empty() && cursor.peek() == Some(b'=');
    (commented || named).then(|| RowHead { number, flags: flags.to_owned(), end })
}

/// The menu that a prompt names, and the length of the prompt.
fn prompt(text: &str) -> Option<(String, usize)> {
    let line = text.get(..text.floor_char_boundary(MAX_PROMPT))?.split('\n').next()?;
    let (who, rest) = line.strip_prefix('[')?.split_once(']')?;
    if !who.contains('@') || who.contains(['[', ' ', '"', '$']) {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("<SAFE>").unwrap_or(rest);
    let (way, _) = rest.split_once('>')?;
    if !way.bytes().all(|byte| is_menu(byte) || matches!(byte, b' ' | b'/')) {
        return None;
    }
    let length = line.len() - rest.len() + way.len() + 1;
    Some((menus::full_path(way), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_names_the_menu_in_old_and_new_ways() {
        let all = [
            ("[admin@MikroTik] > print", "/", "[admin@MikroTik] >".len()),
            ("[admin@MikroTik] /ip firewall filter> add", "/ip/firewall/filter", 37),
            ("[me@gw] <SAFE> /ip/firewall/filter> x", "/ip/firewall/filter", 35),
        ];
        for (text, path, length) in all {
            assert_eq!(prompt(text), Some((path.to_owned(), length)), "{text}");
        }
        for text in ["[find comment=x]", "[a@b c] >", "[a@b]", "[a@b] $x>"] {
            assert_eq!(prompt(text), None, "{text}");
        }
    }

    #[test]
    fn items_begin_with_a_number_flags_and_an_attribute_or_comment() {
        let flags = |text| row_head(Cursor::new(text)).map(|head| (head.number.value, head.flags));
        assert_eq!(flags(" 0    ;;; knock"), Some((0, String::new())));
        assert_eq!(flags(" 12 XI  chain=input"), Some((12, "XI".to_owned())));
        assert_eq!(flags("0 input accept"), None);
        assert_eq!(flags("chain=input"), None);
        assert_eq!(flags("99999999999 chain=input"), None);
    }
}
