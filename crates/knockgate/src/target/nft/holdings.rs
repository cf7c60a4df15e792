//! What lists hold and rules have counted, in a file that outlives a restart and tables that were lost.
//!
//! Where a source stands in a sequence is no part of it.

mod age;
mod file;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use knockgate_compiler::backend::nft::{Counted, set_name, single_bits, single_name};
use knockgate_compiler::lower::BANNED_BY_HAND;
use knockgate_compiler::net::{Family, Prefix, truncate};
use knockgate_compiler::program::{List, Program};

use super::files::{failed, folder, lasting, remove, write, write_by};
use super::trial::clock::boot;
use super::{Count, Element, Saved, Shape, TargetError, elements, lock, table};
use age::{Stamp, aged};
use file::{Broken, Head, Member, Reader, Writer, check};

/// The file, in the folder that outlives a restart.
const HOLDINGS: &str = "holdings";
/// Entries that are saved while somebody waits: a second.
const SAVED_AT_ONCE: u64 = 50_000;
/// There while the lists that are in force still miss what was saved, in the folder of the network
/// namespace.
const DUE: &str = "holdings-due";
/// What the pools of lists of scripts begin with; those of a policy have no two underscores.
const OF_SCRIPTS: &str = "list__";

/// What a list is, for a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bans, by traps and by hand, and what traps remember.
    Bans,
    /// Grants, and who is spared by traps because of one.
    Grants,
    /// What is allowed by hand, and the lists of a script.
    Others,
}

impl Kind {
    /// `None` for lists that are not saved: progress is worth nothing after a while.
    fn of(program: &Program, list: &List) -> Option<Self> {
        let pool = list.timed.map(|timed| &*program[timed.pool].name);
        match pool {
            Some("grants" | "guests") => Some(Self::Grants),
            Some("banned" | "strikes" | "offences") => Some(Self::Bans),
            Some(pool) => pool.starts_with(OF_SCRIPTS).then_some(Self::Others),
            None if list.managed.is_none() => None,
            None if *list.name == *BANNED_BY_HAND => Some(Self::Bans),
            None => Some(Self::Others),
        }
    }
}

/// What is to be put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Bans, by traps and by hand, and what traps remember of sources.
    pub bans: bool,
    /// Grants.
    pub grants: bool,
    /// Who is allowed by hand, and the lists of a script.
    pub others: bool,
}

impl Wanted {
    /// Everything, as where rules were lost that nobody wanted to go.
    pub const ALL: Self = Self { bans: true, grants: true, others: true };
    /// Nothing.
    pub const NONE: Self = Self { bans: false, grants: false, others: false };

    fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::Bans => self.bans,
            Kind::Grants => self.grants,
            Kind::Others => self.others,
        }
    }
}

/// What was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Entries of lists.
    pub entries: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What became of what was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// Entries that are on their lists again.
    pub entries: u64,
    /// Entries whose time had run out.
    pub expired: u64,
    /// Entries of lists that are not wanted, or that there are no more.
    pub unwanted: u64,
    /// Entries that were there already.
    pub there: u64,
    /// Entries for which their lists had no room.
    pub no_room: u64,
}

/// A set or map that has members of lists.
struct Source {
    set: String,
    shape: Shape,
    /// The lists by their tags, or the one that needs none.
    lists: HashMap<Option<u32>, usize>,
}

/// Where a list has its members of a family.
struct Place {
    set: String,
    shape: Shape,
    /// What tells them from the members of other lists there.
    tag: Option<u32>,
    /// Leading bits of an IPv6 address that are kept.
    v6_bits: u8,
}

impl Place {
    /// A list that people manage has two.
    fn all(program: &Program, list: &List, family: Family) -> Vec<Self> {
        match list.timed {
            Some(timed) => {
                let pool = &program[timed.pool];
                let tag = pool.shared.then(|| timed.tag.get());
                let set = set_name(&pool.name, family);
                vec![Self { set, shape: Shape::Points, tag, v6_bits: timed.v6_bits }]
            }
            None => {
                let of = |set, shape| Self { set, shape, tag: None, v6_bits: 128 };
                let networks = of(set_name(&list.name, family), Shape::Intervals);
                vec![of(single_name(&list.name, family), Shape::Singles), networks]
            }
        }
    }

    /// Whether this is where a member is kept.
    fn fits(&self, member: &Element) -> bool {
        self.shape != Shape::Singles || is_single(member)
    }

    /// A member as this set keeps it.
    fn element(&self, member: Element) -> Element {
        let kept =
            |address| truncate(address, if Family::of(address) == Family::V6 { self.v6_bits } else { 32 });
        let (first, last) = (kept(member.first), kept(member.last));
        Element { first, last, number: self.tag, ..member }
    }
}

/// Whether it is a source as lists count them that people manage.
fn is_single(member: &Element) -> bool {
    let bits = single_bits(Family::of(member.first));
    let source = Prefix::holding(member.first, bits).map(Element::within);
    source.is_some_and(|source| (source.first, source.last) == (member.first, member.last))
}

fn path() -> Option<PathBuf> {
    lasting().map(|folder| folder.join(HOLDINGS))
}

/// Saves what the lists of `program`, which is in force, hold at this moment. `None` if there is nothing
/// to be saved: no rules of ours, or rules whose lists are still to be filled, so that what was saved
/// before is newer.
pub fn save(program: &Program) -> Result<Option<Kept>, TargetError> {
    let path = path().ok_or(TargetError::NotFirst)?;
    let _saving = lock::take_saving()?;
    save_at(&path, program)
}

/// Saves again what was saved before, now that something was taken back that is not to return. Says whether what
/// is saved is without it; with very long lists, or while somebody saves, it is not.
pub fn save_again(program: &Program) -> Result<bool, TargetError> {
    let Some(path) = path().filter(|path| path.exists()) else { return Ok(true) };
    let entries: u64 = table::fill()?.values().filter_map(|fill| fill.entries).map(u64::from).sum();
    if entries > SAVED_AT_ONCE {
        return Ok(false);
    }
    match lock::take_as(lock::SAVING) {
        Ok(_saving) => Ok(save_at(&path, program)?.is_some()),
        Err(TargetError::Locked { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn save_at(path: &Path, program: &Program) -> Result<Option<Kept>, TargetError> {
    let Some(rules) = savable()? else { return Ok(None) };
    let (begun, saved) = (Instant::now(), Stamp::now()?);
    let lists: Vec<&List> = program.lists().iter().filter(|list| Kind::of(program, list).is_some()).collect();
    let head = Head {
        saved,
        rules,
        counts: table::counts()?,
        lists: lists.iter().map(|list| list.name.to_string()).collect(),
    };
    let sources = sources(program, &lists)?;
    let mut kept = Kept { entries: 0, bytes: 0 };
    write_by(path, |out| {
        let failed = |error| failed(path, error);
        let mut writer = Writer::begin(out, &head).map_err(failed)?;
        for source in &sources {
            kept.entries += source.save(&mut writer, begun, failed)?;
        }
        kept.bytes = writer.end().map_err(failed)?;
        // What was read in between may be half of one state and half of another.
        let still = savable()?.is_some_and(|rules| rules == head.rules);
        if still { Ok(()) } else { Err(TargetError::Meanwhile) }
    })?;
    Ok(Some(kept))
}

/// The fingerprint of the rules in force, if there are any, and none of their lists is still to be filled.
fn savable() -> Result<Option<String>, TargetError> {
    let noted = if table::exists()? && !is_due()? { Saved::noted()? } else { None };
    Ok(noted.map(|noted| noted.ruleset.fingerprint))
}

/// The sets that are there and have members of these lists.
fn sources(program: &Program, lists: &[&List]) -> Result<Vec<Source>, TargetError> {
    let there = table::sets()?;
    let mut sources = BTreeMap::new();
    for (index, list) in lists.iter().enumerate() {
        let places = Family::BOTH.into_iter().flat_map(|family| Place::all(program, list, family));
        for Place { set, shape, tag, .. } in places {
            if there.contains_key(&set) {
                let source = sources.entry(set.clone());
                let source = source.or_insert_with(|| Source { set, shape, lists: HashMap::new() });
                source.lists.insert(tag, index);
            }
        }
    }
    Ok(sources.into_values().collect())
}

impl Source {
    /// Writes what it holds, and says how many that are. What is left is told as it was at `begun`.
    fn save<W: std::io::Write>(
        &self,
        writer: &mut Writer<W>,
        begun: Instant,
        failed: impl Fn(std::io::Error) -> TargetError,
    ) -> Result<u64, TargetError> {
        let (mut entries, mut trouble) = (0, None);
        elements::walk(&self.set, self.shape, |element| {
            // A door that is gone leaves grants that nothing looks at any more.
            let Some(list) = self.lists.get(&element.number) else { return ControlFlow::Continue(()) };
            let passed = u64::try_from(begun.elapsed().as_millis()).unwrap_or_default();
            let left_ms = element.left_ms.map(|left| left.saturating_add(passed));
            match writer.member(*list, &Element { left_ms, ..element }) {
                Ok(()) => {
                    entries += 1;
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    trouble = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        trouble.map_or(Ok(entries), |error| Err(failed(error)))
    }
}

/// What was saved.
struct Opened {
    path: PathBuf,
    reader: Reader<BufReader<File>>,
}

/// What was saved, if anything was, when it has been found to be whole.
fn open() -> Result<Option<Opened>, TargetError> {
    let Some(path) = path() else { return Ok(None) };
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| failed(&path, error))?,
    };
    let reader = whole(file).map_err(|broken| broken.told(&path))?;
    Ok(Some(Opened { path, reader }))
}

fn whole(mut file: File) -> Result<Reader<BufReader<File>>, Broken> {
    check(BufReader::new(&file))?;
    file.rewind()?;
    Reader::begin(BufReader::new(file))
}

impl Broken {
    fn told(self, path: &Path) -> TargetError {
        match self {
            Self::Unreadable(error) => failed(path, error),
            Self::Damaged => TargetError::Damaged(path.to_owned()),
        }
    }
}

/// What the rules of this ruleset had counted when they were saved; nothing if others were in force, or
/// if it cannot be read, which whoever puts lists back will tell.
pub(super) fn counts(fingerprint: &str) -> BTreeMap<Counted, Count> {
    let Ok(Some(Opened { reader, .. })) = open() else { return BTreeMap::new() };
    if reader.head.rules == fingerprint { reader.head.counts } else { BTreeMap::new() }
}

/// Says that the lists in force are about to be empty, so that nobody saves that, where something was saved.
pub(super) fn expect_saved() -> Result<(), TargetError> {
    match path() {
        Some(path) if path.exists() => write(&folder()?.join(DUE), ""),
        _ => Ok(()),
    }
}

/// Whether the lists in force still miss what was saved.
pub fn is_due() -> Result<bool, TargetError> {
    let path = folder()?.join(DUE);
    path.try_exists().map_err(|error| failed(&path, error))
}

/// Forgets what was saved.
pub(super) fn forget() -> Result<(), TargetError> {
    remove(&folder()?.join(DUE))?;
    path().map_or(Ok(()), |path| remove(&path))
}

/// Puts what was saved back on the lists of the same names of `program`, which is in force, with the
/// time that is left. What is on them already stays as it is, and no list gets more than it may hold.
/// `None` if nothing was saved.
pub fn put_back(program: &Program, wanted: Wanted) -> Result<Option<Returned>, TargetError> {
    put_back_as(program, |_| wanted)
}

/// The same where lists were lost that nobody wanted to go: everything, unless it was saved before this start of
/// the machine. Of that, what is `wanted` after a restart.
pub fn put_back_lost(program: &Program, wanted: Wanted) -> Result<Option<Returned>, TargetError> {
    let boot = boot()?;
    put_back_as(program, |saved| if saved.boot == boot { Wanted::ALL } else { wanted })
}

fn put_back_as(
    program: &Program,
    wanted: impl Fn(&Stamp) -> Wanted,
) -> Result<Option<Returned>, TargetError> {
    let put = match open() {
        Ok(None) => Ok(None),
        Ok(Some(opened)) => put_all(program, wanted(&opened.reader.head.saved), opened).map(Some),
        Err(error) => Err(error),
    };
    // A second attempt would not fare better, and saves would wait for it.
    remove(&folder()?.join(DUE))?;
    put
}

fn put_all(
    program: &Program,
    wanted: Wanted,
    Opened { path, mut reader }: Opened,
) -> Result<Returned, TargetError> {
    let there = table::sets()?;
    let ways: Vec<Option<Way>> =
        reader.head.lists.iter().map(|name| Way::of(program, wanted, name)).collect();
    let mut filling = Filling { returned: Returned::default(), batches: HashMap::new() };
    let (begun, passed) = (Instant::now(), Stamp::now()?.since(&reader.head.saved));
    while let Some(Member { list, element }) = reader.member().map_err(|broken| broken.told(&path))? {
        let since = u64::try_from(begun.elapsed().as_millis()).unwrap_or_default();
        let way = ways[list].as_ref().and_then(|way| way.place(&element));
        match way.filter(|way| there.contains_key(&way.set)) {
            Some(way) => filling.take(way, element, passed.saturating_add(since))?,
            None => filling.returned.unwanted += 1,
        }
    }
    filling.end()
}

/// Where the members of a saved list go.
struct Way {
    families: [Vec<Place>; 2],
}

impl Way {
    /// `None` if they are not wanted, or if there is no such list any more.
    fn of(program: &Program, wanted: Wanted, name: &str) -> Option<Self> {
        let list = program.lists().iter().find(|list| *list.name == *name)?;
        let is_wanted = wanted.has(Kind::of(program, list)?);
        is_wanted.then(|| Self { families: Family::BOTH.map(|family| Place::all(program, list, family)) })
    }

    /// Where a member goes.
    fn place(&self, member: &Element) -> Option<&Place> {
        let [v4, v6] = &self.families;
        let places = if Family::of(member.first) == Family::V4 { v4 } else { v6 };
        places.iter().find(|place| place.fits(member))
    }
}

/// Elements on their way into sets, by the names of these.
struct Filling<'w> {
    returned: Returned,
    batches: HashMap<&'w str, Batch>,
}

/// What is added to a set at once.
struct Batch {
    shape: Shape,
    elements: Vec<Element>,
    /// Whether the set had no room for some element.
    full: bool,
}

impl<'w> Filling<'w> {
    fn take(&mut self, place: &'w Place, element: Element, passed: u64) -> Result<(), TargetError> {
        let Some(element) = aged(element, passed) else {
            self.returned.expired += 1;
            return Ok(());
        };
        let batch = self.batches.entry(&place.set);
        let batch = batch.or_insert_with(|| Batch { shape: place.shape, elements: vec![], full: false });
        batch.elements.push(place.element(element));
        if batch.elements.len() >= elements::MOST_IN_ONE {
            batch.put(&place.set, &mut self.returned)
        } else {
            Ok(())
        }
    }

    fn end(mut self) -> Result<Returned, TargetError> {
        for (set, batch) in &mut self.batches {
            batch.put(set, &mut self.returned)?;
        }
        Ok(self.returned)
    }
}

impl Batch {
    fn put(&mut self, set: &str, returned: &mut Returned) -> Result<(), TargetError> {
        let count = |number: usize| number as u64;
        if self.full {
            returned.no_room += count(self.elements.len());
        } else {
            let added = elements::add(set, self.shape, &self.elements)?;
            self.full = added.no_room > 0;
            returned.entries += count(added.done);
            returned.there += count(added.there);
            returned.no_room += count(added.no_room);
        }
        self.elements.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use knockgate_compiler::frontend;
    use knockgate_compiler::lower::lower;

    #[test]
    fn every_list_of_a_policy_is_a_ban_a_grant_or_a_permission_or_is_left_out() {
        let text = r#"
            outside = "eth0"
            allow = ["10.0.0.0/8"]
            traps = { ports = ["1/tcp", "2/tcp"] }
            door.ssh = { knock = ["7313/tcp", "24877/tcp", "11090/tcp"], opens = "22/tcp", wrong = "cooldown 10s" }
            door.two = { knock = ["7314/tcp", "24878/tcp", "11091/tcp"], opens = "23/tcp", wrong = "cooldown 10s" }
            door.three = { knock = ["7315/tcp", "24879/tcp", "11092/tcp"], opens = "24/tcp", wrong = "cooldown 10s" }
        "#;
        let (policy, findings) = frontend::toml::parse(text);
        let program = lower(&policy.unwrap_or_else(|| panic!("{findings:?}")));
        let kind = |name: &str| {
            let list = program.lists().iter().find(|list| *list.name == *name);
            Kind::of(&program, list.unwrap_or_else(|| panic!("no list {name}")))
        };
        for (name, wanted) in [
            ("grant ssh", Some(Kind::Grants)),
            ("guest 30s", Some(Kind::Grants)),
            ("banned", Some(Kind::Bans)),
            ("strikes 1", Some(Kind::Bans)),
            ("touched 1/tcp", Some(Kind::Bans)),
            ("offences 1", Some(Kind::Bans)),
            ("banned-by-hand", Some(Kind::Bans)),
            ("allowed-by-hand", Some(Kind::Others)),
            ("allow", None),
        ] {
            assert_eq!(kind(name), wanted, "{name}");
        }
        let named = |list: &List| list.timed.map(|timed| &*program[timed.pool].name);
        for list in program.lists().iter().filter(|list| Kind::of(&program, list).is_none()) {
            let progress = ["stages", "begun-10s", "cooldown-10s", "done-10s"];
            let pool = named(list);
            assert!(pool.is_none_or(|pool| progress.contains(&pool)), "{pool:?}");
        }
    }
}
