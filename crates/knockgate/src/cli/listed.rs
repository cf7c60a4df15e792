//! Who is on which list, and for how long.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::net::IpAddr;

use knockgate::target::nft::{self, Element, Fill, Managed, Shape};
use knockgate_compiler::backend::nft::{set_name, single_name};
use knockgate_compiler::lower::{ALLOWED_BY_HAND, BANNED_BY_HAND};
use knockgate_compiler::net::Family;
use knockgate_compiler::program::{List, Program};
use serde_json::{Value, json};

use super::in_force::element_of;

/// Who banned, where it was not a person.
pub const BY_TRAP: &str = "a trap";

/// Addresses, what they have, and for how long.
#[derive(Debug)]
pub struct Row {
    pub first: IpAddr,
    pub addresses: String,
    /// The door, the position or the list.
    pub what: String,
    /// Why, where somebody said so.
    pub reason: Option<String>,
    pub left_ms: Option<u64>,
    /// Milliseconds that it was to last, where that is known.
    pub whole_ms: Option<u64>,
}

/// Rows of one kind.
#[derive(Debug, Default)]
pub struct Table {
    pub title: String,
    /// What the second column is, for programs.
    pub column: &'static str,
    pub rows: Vec<Row>,
    /// How many there are, if that is known.
    pub total: Option<u64>,
    /// Whether there are more than these.
    pub cut: bool,
}

/// How many rows of a table are shown at most, and how full the sets are.
#[derive(Debug)]
pub struct Reader<'p> {
    program: &'p Program,
    most: usize,
    /// Whose rows alone are wanted.
    only: Option<IpAddr>,
    fill: BTreeMap<String, Fill>,
}

impl<'p> Reader<'p> {
    /// At most `most` rows of a kind.
    pub fn new(program: &'p Program, most: usize) -> anyhow::Result<Self> {
        Ok(Self { program, most, only: None, fill: nft::fill()? })
    }

    /// Of one source, if one is named: it is asked for, however many others there are.
    pub fn only(self, source: Option<IpAddr>) -> Self {
        Self { only: source, ..self }
    }

    /// How full each set is.
    pub fn fill(&self) -> impl Iterator<Item = (&str, Fill)> {
        self.fill.iter().map(|(name, fill)| (name.as_str(), *fill))
    }

    fn table(&self, title: &str, column: &'static str) -> Table {
        Table { title: title.to_owned(), column, rows: vec![], total: Some(0), cut: false }
    }

    /// Adds what a set of single addresses has to a table, in both families.
    fn read(&self, table: &mut Table, name: &str, what: impl Fn(&Element) -> String) -> anyhow::Result<()> {
        for family in Family::BOTH {
            let set = set_name(name, family);
            let found = match self.only {
                None => None,
                Some(source) if Family::of(source) == family => Some(self.of_source(name, &set, source)?),
                Some(_) => Some(vec![]),
            };
            self.add(table, &set, Shape::Points, found, &what)?;
        }
        Ok(())
    }

    /// Adds what a list has that people manage.
    fn managed(&self, table: &mut Table, list: &str, what: &str) -> anyhow::Result<()> {
        let what = |_: &Element| what.to_owned();
        for family in Family::BOTH {
            let (networks, singles) = (set_name(list, family), single_name(list, family));
            if let Some(source) = self.only {
                let is_meant = Family::of(source) == family && self.has(list);
                let found = if is_meant { Managed::of(list, family).holding(source)? } else { vec![] };
                self.add(table, &networks, Shape::Intervals, Some(found), &what)?;
                continue;
            }
            if self.has(list) {
                self.add(table, &networks, Shape::Intervals, None, &what)?;
            }
            // Not in what was applied by an older version.
            if self.fill.contains_key(&singles) {
                self.add(table, &singles, Shape::Singles, None, &what)?;
            }
        }
        Ok(())
    }

    /// Adds what was found in a set, or else what there is room for.
    fn add(
        &self,
        table: &mut Table,
        set: &str,
        shape: Shape,
        found: Option<Vec<Element>>,
        what: &dyn Fn(&Element) -> String,
    ) -> anyhow::Result<()> {
        let room = self.most.saturating_sub(table.rows.len());
        let (elements, more) = match found {
            Some(found) => (found, true),
            None => nft::some(set, shape, room)?,
        };
        let known = self.fill.get(set).and_then(|fill| fill.entries).map(u64::from);
        // What has expired counts until it is collected, but was not shown.
        let counted = if more { known } else { Some(elements.len() as u64) };
        table.total = table.total.zip(counted).map(|(one, other)| one + other);
        table.cut |= more;
        table.rows.extend(elements.into_iter().map(|element| Row {
            first: element.first,
            addresses: element.addresses(),
            what: what(&element),
            reason: element.comment,
            left_ms: element.left_ms,
            whole_ms: element.whole_ms,
        }));
        table.rows.sort_by_key(|row| (row.left_ms, row.first));
        Ok(())
    }

    /// What the set of a pool or a track has for one source.
    fn of_source(&self, name: &str, set: &str, source: IpAddr) -> anyhow::Result<Vec<Element>> {
        if self.program.tracks().iter().any(|track| *track.name == *name) {
            return Ok(nft::get(set, &Element::of(source))?.into_iter().collect());
        }
        let timed = self.program.lists().iter().filter_map(|list| list.timed);
        let mut of_pool = timed.filter(|timed| *self.program[timed.pool].name == *name).peekable();
        if of_pool.peek().is_none() {
            return Ok(nft::holding(set, source)?.into_iter().collect());
        }
        let found = of_pool.map(|timed| nft::get(set, &element_of(self.program, timed, source)));
        found.filter_map(Result::transpose).collect::<Result<_, _>>().map_err(Into::into)
    }

    /// Who is on the lists that share a pool.
    fn shared(&self, table: &mut Table, pool: &str, prefix: &str) -> anyhow::Result<()> {
        let of_pool = |list: &&List| list.timed.is_some_and(|timed| *self.program[timed.pool].name == *pool);
        let lists = self.program.lists().iter().filter(of_pool);
        let name = |list: &'p List| list.name.strip_prefix(prefix).unwrap_or(&list.name);
        let names: HashMap<u32, &str> =
            lists.filter_map(|list| Some((list.timed?.tag.get(), name(list)))).collect();
        if names.is_empty() {
            return Ok(());
        }
        // A door that is gone leaves grants which nothing looks at any more.
        let named = |element: &Element| element.number.and_then(|number| names.get(&number)).copied();
        let what = |element: &Element| named(element).unwrap_or("(no such door any more)").to_owned();
        self.read(table, pool, what)
    }

    /// Who holds a grant of which door.
    pub fn grants(&self) -> anyhow::Result<Table> {
        let mut table = self.table("granted", "door");
        self.shared(&mut table, "grants", "grant ")?;
        Ok(table)
    }

    /// Who is how far at which door.
    pub fn progress(&self) -> anyhow::Result<Table> {
        let mut table = self.table("knocking", "at");
        for track in self.program.tracks() {
            let positions: HashMap<u32, &str> =
                track.positions.iter().map(|(position, what)| (position.number(), &**what)).collect();
            let found = |element: &Element| element.number.and_then(|number| positions.get(&number)).copied();
            let what = |element: &Element| found(element).unwrap_or("(no such knock any more)").to_owned();
            self.read(&mut table, &track.name, what)?;
        }
        self.shared(&mut table, "stages", "stage ")?;
        Ok(table)
    }

    /// Who is banned, and by what.
    pub fn banned(&self) -> anyhow::Result<Table> {
        let mut table = self.table("banned", "by");
        self.managed(&mut table, BANNED_BY_HAND, "hand")?;
        if self.has("banned") {
            self.read(&mut table, "banned", |_| BY_TRAP.to_owned())?;
        }
        Ok(table)
    }

    /// Who is allowed by hand.
    pub fn allowed(&self) -> anyhow::Result<Table> {
        let mut table = self.table("allowed by hand", "by");
        self.managed(&mut table, ALLOWED_BY_HAND, "")?;
        Ok(table)
    }

    /// Whether there is such a list, also in what was applied by an older version.
    fn has(&self, list: &str) -> bool {
        self.fill.contains_key(&set_name(list, Family::V4))
            && self.program.lists().iter().any(|known| *known.name == *list)
    }

    /// Who is on the lists of a script.
    pub fn lists(&self) -> anyhow::Result<Vec<Table>> {
        let mut tables = vec![];
        for list in self.program.lists() {
            let Some(timed) = list.timed else { continue };
            let mut table = self.table(&list.name, "set");
            let pool = &self.program[timed.pool].name;
            self.read(&mut table, pool, |_| String::new())?;
            tables.push(table);
        }
        Ok(tables)
    }
}

impl Table {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut put = |line: std::fmt::Arguments<'_>| {
            text.write_fmt(line).expect("a string takes all that memory holds");
        };
        let count = match (self.total, self.cut) {
            (Some(total), _) => total.to_string(),
            (None, _) => format!("more than {}", self.rows.len()),
        };
        put(format_args!("\n\x1b[1m{}: {count}\x1b[0m\n", self.title));
        for row in &self.rows {
            let reason = row.reason.as_ref().map(|reason| format!("  ({})", printable(reason)));
            let line = format!(
                "  {:<40} {:<24} {}{}",
                row.addresses,
                row.what,
                row.left_ms.map_or_else(|| "stays".to_owned(), left),
                reason.unwrap_or_default()
            );
            put(format_args!("{line}\n"));
        }
        if self.cut {
            let rest = self.total.map(|total| (total - self.rows.len() as u64).to_string());
            let rest = rest.unwrap_or_else(|| "some".to_owned());
            put(format_args!("  and {rest} more; `--limit 0` shows all\n"));
        }
        text
    }

    /// The rows for programs.
    pub fn json(&self) -> Vec<Value> {
        self.rows
            .iter()
            .map(|row| {
                let mut value = json!({ "source": row.addresses });
                if !row.what.is_empty() {
                    value[self.column] = row.what.clone().into();
                }
                if let Some(reason) = &row.reason {
                    value["reason"] = reason.clone().into();
                }
                value["left_s"] = row.left_ms.map(|left| left / 1000).into();
                value
            })
            .collect()
    }

    /// How many there are, if that is known, and whether some are not shown.
    pub fn json_count(&self) -> Value {
        json!({ "total": self.total, "shown": self.rows.len(), "more": self.cut })
    }
}

/// Time that is left, to the second.
pub fn left(millis: u64) -> String {
    let (minutes, seconds) = (millis / 60_000, millis / 1000 % 60);
    let (hours, days) = (minutes / 60, minutes / 1440);
    let span = match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    };
    format!("{span} left, until {}", super::moment::utc_after(millis))
}

/// A text that somebody noted, without what moves a terminal's cursor.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
