//! What a router holds, as a script.

use std::fmt::Write;

use super::{Config, Item, Set};
use crate::console::quoted;

pub(super) fn export(config: &Config) -> String {
    let mut menus: Vec<_> = config.menus().collect();
    // Filters name what is in these, and a router takes no name of what is not there.
    menus.sort_by_key(|(path, _)| !matches!(*path, "/interface/list" | "/ip/firewall/layer7-protocol"));
    let mut text = String::new();
    for (path, items) in menus {
        push(&mut text, format_args!("{}\n", path.replace('/', " ").replacen(' ', "/", 1)));
        for item in items {
            push_item(&mut text, path, item);
        }
    }
    text
}

fn push_item(text: &mut String, path: &str, item: &Item) {
    let mut attributes: Vec<_> = item.attributes.iter().collect();
    attributes.sort_by_key(|set| &set.name.value);
    let written: Result<Vec<_>, _> = attributes.into_iter().map(written).collect();
    match written {
        Ok(written) => push(text, format_args!("add {}\n", written.join(" "))),
        Err(name) => push(
            text,
            format_args!(
                "#error exporting \"{path}\" (only a router can work out {name} of *{:X})\n",
                item.id
            ),
        ),
    }
}

/// `name=value`, or the name where the value is not known.
fn written(set: &Set) -> Result<String, &str> {
    let name = set.name.value.as_str();
    let value = set.value.text().ok_or(name)?;
    Ok(format!("{name}={}{}", if set.value.negated { "!" } else { "" }, quoted(value)))
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string never fails.
    text.write_fmt(line).unwrap_or_default();
}
