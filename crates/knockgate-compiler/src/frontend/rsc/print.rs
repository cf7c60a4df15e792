//! Commands as they are typed, each with its whole menu.

use super::ast::{Argument, Command, Condition, Conditions, Content, Scope, Value};
use crate::console::{in_quotes, quoted};

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
        // Behind what may be a menu, a word without quotes may be a command.
        let may_go_on = self.scope == Scope::Unknown || self.menu.known().is_none();
        // The first argument of a call is what is called.
        for argument in self.arguments.iter().skip(usize::from(self.scope == Scope::Call)) {
            text.push(' ');
            match argument {
                Argument::Plain(Value { negated: false, content: Content::Text(word), .. }) if may_go_on => {
                    text.push_str(&in_quotes(word));
                }
                argument => push_argument(&mut text, argument, source),
            }
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
    let relation = condition.relation.as_str();
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
