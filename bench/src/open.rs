//! From the last knock to the open door.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context;

use crate::figure::{Spread, in_turn, ratio};
use crate::gate::{Gate, Kin};
use crate::lane::Cable;
use crate::owner::Owner;
use crate::plot::{Bars, Group};
use crate::report::Report;
use crate::rules::Rules;
use crate::service::Service;

const KINS: [Kin; 6] =
    [Kin::Knockgate, Kin::ByHand, Kin::Recent, Kin::Knockd, Kin::Fwknopd, Kin::FwknopdPcap];

/// Longer than anybody takes who lets people in at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gate and what was measured of it, in milliseconds.
struct Entry {
    name: String,
    cable: Cable,
    gate: Gate,
    _service: Service,
    let_in: Vec<f64>,
    connected: Vec<f64>,
}

impl Entry {
    fn new(name: &str, open: impl FnOnce(&Cable) -> anyhow::Result<Gate>) -> anyhow::Result<Self> {
        let cable = Cable::new()?;
        let service = Service::start(&cable)?;
        let gate = open(&cable).with_context(|| name.to_owned())?;
        Ok(Self { name: name.to_owned(), cable, gate, _service: service, let_in: vec![], connected: vec![] })
    }

    /// Somebody who has not been here yet.
    fn newcomer(&self) -> anyhow::Result<Owner> {
        let number = u32::try_from(self.let_in.len() + self.connected.len() + 1)?;
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(10, 200, 0, 0).to_bits() + number);
        Owner::at(&self.cable, source, self.gate.words(source)?)
    }

    fn round(&mut self) -> anyhow::Result<()> {
        let nobody = || format!("{} let nobody in", self.name);
        let time = self.newcomer()?.until_let_in(PATIENCE)?.with_context(nobody)?;
        self.let_in.push(millis(time));
        Ok(())
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        let mut owner = self.newcomer()?;
        owner.say_all(Duration::from_millis(1))?;
        let nobody = || format!("{} let nobody in", self.name);
        let time = owner.connect(PATIENCE)?.with_context(nobody)?;
        self.connected.push(millis(time));
        Ok(())
    }
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    // Of those that no program lets in, of those that one does, and of connections.
    let (many, some, few) = if report.quick { (50, 5, 2) } else { (1000, 40, 15) };
    let entry = |kin: Kin| Ok((kin, Entry::new(kin.name(), |cable| Gate::open(kin, cable))?));
    let entries = KINS.into_iter().map(entry).collect::<anyhow::Result<Vec<_>>>()?;
    // Who comes after a program that takes a second would find the processors asleep.
    let (mut slow, mut fast): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(kin, _)| kin.has_daemon());
    for (entries, rounds) in [(&mut fast, many), (&mut slow, some)] {
        in_turn(entries, rounds, |(_, entry)| entry.round())?;
        in_turn(entries, few, |(_, entry)| entry.connect())?;
    }
    let entries: Vec<_> = fast.into_iter().chain(slow).collect();
    tell(report, &entries, (many, some, few));
    Ok(())
}

/// How soon after the last knock datagrams are let in by other rules: in microseconds, and as a ratio to the
/// first of them.
pub fn compare(named: &[(&str, Rules)], rounds: usize) -> anyhow::Result<String> {
    let entry = |(name, rules): &(&str, Rules)| Entry::new(name, |cable| Gate::under(rules, cable));
    let mut entries = named.iter().map(entry).collect::<anyhow::Result<Vec<_>>>()?;
    in_turn(&mut entries, rounds, Entry::round)?;
    let mut text = "| rules | let in, µs | to the first |\n|---|---|---|\n".to_owned();
    for entry in &entries {
        let time = Spread::of(entry.let_in.clone()).scaled(1e3);
        let ratio = ratio(&entry.let_in, &entries[0].let_in);
        text += &format!("| {} | {time} | {:.3} |\n", entry.name, ratio.median);
    }
    Ok(text)
}

fn tell(report: &mut Report, entries: &[(Kin, Entry)], (many, some, few): (usize, usize, usize)) {
    let spreads: Vec<_> = entries
        .iter()
        .map(|(kin, entry)| (*kin, Spread::of(entry.let_in.clone()), Spread::of(entry.connected.clone())))
        .collect();
    report.heading("From the last knock to the open door");
    report.line(&format!(
        "Milliseconds. *Let in*: from before the last knock is sent until a datagram has been sent that is let in; \
         they follow the knock at once, 20 µs apart ({many} rounds, {some} where a program opens the door). \
         *Connected*: what a client waits that connects right after the last knock ({few} rounds); a SYN that \
         finds the door closed is repeated by the client's kernel after a second.\n"
    ));
    report.line("| | let in, ms | to Knockgate | connected, ms |\n|---|---|---|---|");
    let (_, mine) = &entries[0];
    let ours = spreads[0].1.median;
    for ((kin, let_in, connected), (_, entry)) in spreads.iter().zip(entries) {
        let same_rounds = entry.let_in.len() == mine.let_in.len();
        let ratio =
            if same_rounds { ratio(&entry.let_in, &mine.let_in).median } else { let_in.median / ours };
        report.line(&format!("| {} | {let_in} | {ratio:.2} | {connected} |", kin.name()));
    }
    report.line("");
    let groups = |of: fn(&(Kin, Spread, Spread)) -> Spread| spreads.iter().map(|row| Some(of(row))).collect();
    report.plot(
        "open",
        &Bars {
            title: "From the last knock to the open door",
            unit: "ms",
            series: spreads.iter().map(|(kin, ..)| kin.name().to_owned()).collect(),
            groups: vec![
                Group { name: "let in".to_owned(), bars: groups(|row| row.1) },
                Group { name: "connected".to_owned(), bars: groups(|row| row.2) },
            ],
            logarithmic: true,
        },
    );
    let of = |wanted| entries.iter().find(|(kin, _)| *kin == wanted).map(|(_, entry)| &entry.let_in);
    if let (Some(mine), Some(hand)) = (of(Kin::Knockgate), of(Kin::ByHand)) {
        let ratio = ratio(mine, hand);
        report.target(
            "last knock to open, to nftables by hand",
            "at most 1.1",
            &ratio.to_string(),
            ratio.median <= 1.1,
        );
    }
    if let Some((.., knockd, _)) = spreads.iter().find(|(kin, ..)| *kin == Kin::Knockd) {
        let sooner = knockd.median / ours;
        report.target(
            "last knock to open, sooner than knockd",
            "at least 1000 times",
            &format!("{sooner:.0} times"),
            sooner >= 1000.0,
        );
    }
}
