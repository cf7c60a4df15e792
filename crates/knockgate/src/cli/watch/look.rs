//! Reads of the machine what the view shows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use knockgate::target::nft::{self, Applied, Stamp};
use knockgate_compiler::program::{self, Chain, Hook, Program, Verdict};

use super::super::in_force::InForce;
use super::super::listed::{Reader, Row, Table};
use super::super::trial::Trials;
use super::model::{Door, Force, Pane, Rule, Snapshot};

/// Rows of a list that are read at most.
const ROWS: usize = 500;
/// How often all rules are held against what was applied.
const DRIFT: Duration = Duration::from_secs(5);

/// Looks at what is in force, whatever that becomes.
#[derive(Debug)]
pub struct Lookout {
    /// `None` when there is no note of a policy any more.
    in_force: Option<InForce>,
    stamp: Option<Stamp>,
    force: Force,
    checked: Instant,
}

impl Lookout {
    /// Something has to be in force.
    pub fn new() -> anyhow::Result<Self> {
        let (force, stamp) = (force(true)?, Stamp::read()?);
        Ok(Self { in_force: Some(InForce::read()?), stamp, force, checked: Instant::now() })
    }

    /// What is in force.
    pub fn program(&self) -> Option<&Program> {
        self.in_force.as_ref().map(|in_force| &in_force.program)
    }

    /// Whether something else was put in force since the last look. All rules are looked at then.
    pub fn turn(&mut self) -> anyhow::Result<bool> {
        let stamp = Stamp::read()?;
        let is_new = stamp != self.stamp;
        if is_new {
            self.in_force = Applied::read()?.map(|(applied, _)| InForce::of(applied)).transpose()?;
            self.stamp = stamp;
        }
        if is_new || self.checked.elapsed() >= DRIFT {
            self.force = force(self.in_force.is_some())?;
            self.checked = Instant::now();
        }
        Ok(is_new)
    }

    /// At most [`ROWS`] rows of each list; those of one source, if one is named.
    pub fn look(&self, only: Option<IpAddr>) -> anyhow::Result<Snapshot> {
        let trial = Trials::look()?;
        let mut snapshot = Snapshot {
            at: Instant::now(),
            name: self.in_force.as_ref().map(|in_force| in_force.name.clone()).unwrap_or_default(),
            force: self.force,
            since: self.stamp.map(|stamp| stamp.at),
            trial_ms: trial.running().map(|running| running.left_s * 1000),
            doors: self.doors(),
            lists: vec![],
            sets: vec![],
            rules: vec![],
            accepted: 0,
            dropped: 0,
        };
        let (Some(in_force), Force::AsApplied | Force::Changed) = (&self.in_force, self.force) else {
            return Ok(snapshot);
        };
        let reader = Reader::new(&in_force.program, ROWS)?.only(only);
        snapshot.lists = lists(in_force, &reader)?;
        snapshot.sets = reader.fill().map(|(name, fill)| (name.to_owned(), fill)).collect();
        count(&in_force.program, &mut snapshot)?;
        Ok(snapshot)
    }

    fn doors(&self) -> Vec<Door> {
        let policy = self.in_force.as_ref().and_then(|in_force| in_force.policy.as_ref());
        let doors = policy.map_or(&[][..], |policy| policy.doors()).iter();
        doors
            .map(|door| Door {
                name: door.name.to_string(),
                opens: door.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                knocks: door.sequence.steps().len(),
            })
            .collect()
    }
}

/// Whether the rules are those that were noted, if they are.
fn force(noted: bool) -> anyhow::Result<Force> {
    let snapshot = nft::observe()?;
    Ok(match (noted, snapshot.chains.is_empty(), snapshot.fingerprint) {
        (false, ..) => Force::Nothing,
        (true, true, _) => Force::Gone,
        (true, false, None) => Force::Changed,
        (true, false, Some(_)) => Force::AsApplied,
    })
}

fn lists(in_force: &InForce, reader: &Reader<'_>) -> anyhow::Result<Vec<(Pane, Table)>> {
    if in_force.policy.is_some() {
        return Ok(vec![
            (Pane::Granted, reader.grants()?),
            (Pane::Knocking, reader.progress()?),
            (Pane::Banned, reader.banned()?),
            (Pane::Allowed, reader.allowed()?),
        ]);
    }
    let mut all = Table { total: Some(0), ..Table::default() };
    for table in reader.lists()? {
        all.total = all.total.zip(table.total).map(|(one, other)| one + other);
        all.cut |= table.cut || all.rows.len() + table.rows.len() > ROWS;
        let of_list = |row| Row { what: table.title.clone(), ..row };
        all.rows.extend(table.rows.into_iter().map(of_list));
        all.rows.truncate(ROWS);
    }
    Ok(vec![(Pane::Listed, all)])
}

/// Adds what rules have counted.
fn count(program: &Program, snapshot: &mut Snapshot) -> anyhow::Result<()> {
    let mut sums = BTreeMap::<&str, u64>::new();
    for (at, count) in nft::counts()? {
        let Some(chain) = program.chains().get(at.chain) else { continue };
        let Some(rule) = chain.rules.get(at.rule) else { continue };
        if !decides(rule) {
            continue;
        }
        *sums.entry(&rule.origin.what).or_default() += count.packets;
        match rule.verdict {
            Some(Verdict::Accept | Verdict::Rescue) if is_last(chain) => snapshot.accepted += count.packets,
            Some(Verdict::Drop | Verdict::Reject(_)) => snapshot.dropped += count.packets,
            _ => {}
        }
    }
    let rule = |(what, packets): (&str, u64)| Rule { what: what.to_owned(), packets };
    snapshot.rules = sums.into_iter().map(rule).collect();
    Ok(())
}

/// Whether it does anything but lead to other rules.
fn decides(rule: &program::Rule) -> bool {
    let leads = matches!(rule.verdict, None | Some(Verdict::Jump(_) | Verdict::Switch(_) | Verdict::Return));
    !leads || !rule.then.is_empty()
}

/// Whether no other hook sees what this chain accepts.
fn is_last(chain: &Chain) -> bool {
    !matches!(chain.hook, Some(Hook::Raw | Hook::Prerouting))
}
