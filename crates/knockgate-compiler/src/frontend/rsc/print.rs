//! Commands as they are typed, each with its whole menu.

use std::fmt::Write;

use super::ast::{Argument, Command, Condition, Conditions, Content, Relation, Scope, Value};
use super::lexer::strange_byte;

impl Command {
    /// The command on one line, with its menu and all names in full. What only a router can work
    /// out is taken over from the text that was parsed.
    pub fn to_text(&self, source: &str) -> String {
        let mut text = match self.scope {
            Scope::Menu if self.menu.is_root() => format!("/{}", self.name.value),
            Scope::Unknown if self.menu.is_root() => format!(":{}", self.name.value),
            Scope::Menu | Scope::Unknown => format!("{}/{}", self.menu.path(), self.name.value),
            Scope::Global => format!(":{}", self.name.value),
            Scope::Call => self.name_of_call(source).to_owned(),
        };
        // The first argument of a call is what is called.
        for argument in self.arguments.iter().skip(usize::from(self.scope == Scope::Call)) {
            text.push(' ');
            push_argument(&mut text, argument, source);
        }
        if let Some(conditions) = &self.conditions {
            text.push_str(" where ");
            push_conditions(&mut text, conditions, source);
        }
        text
    }

    fn name_of_call<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.name.span.start..self.name.span.end).unwrap_or_default()
    }
}

fn push_argument(text: &mut String, argument: &Argument, source: &str) {
    match argument {
        Argument::Set { name, value } => {
            text.push_str(&name.value);
            text.push('=');
            push_value(text, value, source);
        }
        Argument::Unset(name) => {
            text.push('!');
            text.push_str(&name.value);
        }
        Argument::Plain(value) => push_value(text, value, source),
    }
}

fn push_conditions(text: &mut String, conditions: &Conditions, source: &str) {
    match conditions {
        Conditions::Other { span, .. } => text.push_str(source.get(span.start..span.end).unwrap_or_default()),
        Conditions::All(all) => {
            for (i, condition) in all.iter().enumerate() {
                text.push_str(if i == 0 { "" } else { " and " });
                push_condition(text, condition, source);
            }
        }
    }
}

fn push_condition(text: &mut String, condition: &Condition, source: &str) {
    let relation = match condition.relation {
        Relation::Equals => "=",
        Relation::Differs => "!=",
        Relation::Matches => "~",
        Relation::Less => "<",
        Relation::AtMost => "<=",
        Relation::Greater => ">",
        Relation::AtLeast => ">=",
    };
    text.push_str(&condition.name.value);
    text.push_str(relation);
    push_value(text, &condition.value, source);
}

fn push_value(text: &mut String, value: &Value, source: &str) {
    match &value.content {
        Content::Text(content) => {
            text.push_str(if value.negated { "!" } else { "" });
            text.push_str(&quoted(content));
        }
        _ => text.push_str(value.raw(source)),
    }
}

/// `text` as a value: bare where it can be, otherwise in quotes and on one line.
pub fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/:,*@+-".contains(&byte);
    if !text.is_empty() && text != "where" && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        push_escaped(&mut out, character);
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, character: char) {
    match character {
        '"' | '\\' | '$' => out.extend(['\\', character]),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => match strange_byte(character)
            .or_else(|| u8::try_from(character).ok().filter(u8::is_ascii_control))
        {
            // Writing to a string never fails.
            Some(byte) => write!(out, "\\{byte:02X}").unwrap_or_default(),
            None => out.push(character),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_where_the_console_needs_it() {
        let all = [
            ("input", "input"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("", r#""""#),
            ("ICMP + Http", r#""ICMP + Http""#),
            (r#"a"b\c$d"#, r#""a\"b\\c\$d""#),
            ("a\r\nb\u{7f}", r#""a\r\nb\7F""#),
            ("\u{F7E2}", r#""\E2""#),
            ("where", r#""where""#),
        ];
        for (text, expected) in all {
            assert_eq!(quoted(text), expected);
        }
    }
}
