//! What a packet costs, by who sends it.

use std::path::Path;

use crate::contender::{Contender, EVERYBODY, Who};
use crate::figure::{Spread, in_turn, ratio};
use crate::open;
use crate::plot::{Bars, Group};
use crate::report::Report;
use crate::rules::{self, Rules};

const OURS: &str = "Knockgate, 1 door";
const TEN: &str = "Knockgate, 10 doors";
const HUNDRED: &str = "Knockgate, 100 doors";
const THOUSAND: &str = "Knockgate, 1000 doors";
const EARLY: &str = "Knockgate, 1 door, `early-drop`";
const SILENT: &str = "Knockgate, 1 door, without counters and events";
const BY_HAND: &str = "by hand, at input";
const BY_HAND_RAW: &str = "by hand, closed ports at raw";
const BY_HAND_INGRESS: &str = "by hand, banned at ingress";
const RECENT: &str = "iptables recent (nft)";
const RECENT_LEGACY: &str = "iptables recent (legacy)";
const NOTHING: &str = "no rules";
const FLOOR: &str = "everything dropped at ingress";

fn contenders() -> Vec<(&'static str, Rules)> {
    let ours = |doors| Rules::Policy(rules::policy(doors, ""));
    let nft = |text: &str| Rules::Nft(text.to_owned());
    let recent = |program| Rules::Iptables(program, rules::RECENT.to_owned());
    vec![
        (OURS, ours(1)),
        (TEN, ours(10)),
        (HUNDRED, ours(100)),
        (THOUSAND, ours(1000)),
        (EARLY, Rules::Policy(rules::policy(1, "early-drop = true\n"))),
        (SILENT, Rules::Compiled(rules::policy(1, ""))),
        (BY_HAND, nft(rules::BY_HAND)),
        (BY_HAND_RAW, nft(rules::BY_HAND_RAW)),
        (BY_HAND_INGRESS, nft(rules::BY_HAND_INGRESS)),
        (RECENT, recent("iptables-nft-restore")),
        (RECENT_LEGACY, recent("iptables-legacy-restore")),
        (NOTHING, nft(rules::NOTHING)),
        (FLOOR, nft(rules::FLOOR)),
    ]
}

/// Nanoseconds a packet: by who sends it, then by ruleset, then by round; none where the rules do not
/// treat them as such.
struct Table {
    names: Vec<String>,
    rows: Vec<(Who, Vec<Vec<f64>>)>,
}

impl Table {
    fn measure(named: &[(&str, Rules)], rounds: usize, packets: u64) -> anyhow::Result<Self> {
        let mut contenders = vec![];
        for (seed, (name, rules)) in (1..).zip(named) {
            contenders.push(Contender::load(name, rules, seed)?);
        }
        let mut rows = vec![];
        for who in EVERYBODY {
            eprintln!("  {}", who.word());
            rows.push((who, row(&mut contenders, who, rounds, packets)?));
        }
        Ok(Self { names: contenders.into_iter().map(|contender| contender.name).collect(), rows })
    }

    fn of(&self, who: Who, name: &str) -> Option<Spread> {
        spread(self.samples(who, name)?)
    }

    fn samples(&self, who: Who, name: &str) -> Option<&[f64]> {
        let column = self.names.iter().position(|known| known == name)?;
        self.rows.iter().find(|(of, _)| *of == who).map(|(_, row)| row[column].as_slice())
    }

    fn ratio(&self, who: Who, (one, other): (&str, &str)) -> Option<Spread> {
        let (one, other) = (self.samples(who, one)?, self.samples(who, other)?);
        (!one.is_empty() && !other.is_empty()).then(|| ratio(one, other))
    }

    fn markdown(&self) -> String {
        let heads: Vec<_> = self.rows.iter().map(|(who, _)| who.word()).collect();
        let mut text = format!("| rules | {} |\n|---{}|\n", heads.join(" | "), "|---".repeat(heads.len()));
        for (column, name) in self.names.iter().enumerate() {
            let cell =
                |row: &[Vec<f64>]| spread(&row[column]).map_or("–".to_owned(), |cell| cell.to_string());
            let cells: Vec<_> = self.rows.iter().map(|(_, row)| cell(row)).collect();
            text += &format!("| {name} | {} |\n", cells.join(" | "));
        }
        text
    }
}

fn spread(samples: &[f64]) -> Option<Spread> {
    (!samples.is_empty()).then(|| Spread::of(samples.to_vec()))
}

fn row(contenders: &mut [Contender], who: Who, rounds: usize, packets: u64) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut rows = vec![];
    for contender in contenders {
        let treated = contender.treats(who)?;
        rows.push((contender, treated, vec![]));
    }
    in_turn(&mut rows, rounds, |(contender, treated, samples)| {
        if *treated {
            samples.push(contender.sample(who, packets)?);
        }
        Ok(())
    })?;
    Ok(rows.into_iter().map(|(.., samples)| samples).collect())
}

/// Rounds of knocking under the rules in files.
const OPENED: usize = 2000;

/// `bench ruleset FILE...`: what a packet costs under the rules in some files, and how soon a knock opens. A file is
/// a ruleset for `nft -f`; a policy (`.toml`), put in force by `knockgate apply`; or what `iptables-save` prints
/// (`.rules`). 666/tcp and 667/tcp are to be traps, and 333, 777, 888/tcp are to open 51820/udp.
pub fn compare(files: &[String], rounds: usize, packets: u64) -> anyhow::Result<()> {
    let mut named = vec![];
    for file in files {
        named.push((file.as_str(), Rules::read(Path::new(file))?));
    }
    print!("{}", Table::measure(&named, rounds, packets)?.markdown());
    print!("\n{}", open::compare(&named, OPENED)?);
    Ok(())
}

pub fn run(report: &mut Report) -> anyhow::Result<()> {
    let (rounds, packets) = if report.quick { (5, 20_000) } else { (50, 40_000) };
    let table = Table::measure(&contenders(), rounds, packets)?;
    report.heading("What a packet costs");
    report.line(&format!(
        "Nanoseconds of the receiving processor for a packet, from taking it off the cable to its end; {rounds} \
         rounds of {packets} packets of each kind, every ruleset in turn. The gateway's end of the cable is read \
         by a thread of the kernel (threaded NAPI, with generic receive offload) on a processor of its own, \
         and what is told is that thread's processor time. Sender and thread take turns, a burst of 128 packets \
         each. Targets are held against ratios within a round. No ruleset can undercut the last row.\n\n\
         A *stranger* sends SYNs to closed ports, from 65,536 sources; *banned* sources do the same; *granted* \
         ones open flows to the service behind the door; *established* flows are answers to the gateway; \
         *first knocks* come from 60,000 sources. A dash: these rules have nothing of the kind.\n"
    ));
    report.line(&table.markdown());
    plot(report, &table);
    targets(report, &table);
    Ok(())
}

fn plot(report: &mut Report, table: &Table) {
    let shown = [OURS, EARLY, THOUSAND, BY_HAND, BY_HAND_INGRESS, RECENT];
    let group = |&(who, _): &(Who, Vec<_>)| Group {
        name: who.word().to_owned(),
        bars: shown.iter().map(|name| table.of(who, name)).collect(),
    };
    let bars = Bars {
        title: "What a packet costs the gateway",
        unit: "ns",
        series: shown.iter().map(|&name| name.to_owned()).collect(),
        groups: table.rows.iter().map(group).collect(),
        logarithmic: false,
    };
    report.plot("packets", &bars);
}

fn targets(report: &mut Report, table: &Table) {
    let wanted = [
        ("a stranger's packet, to nftables by hand at input", Who::Stranger, (OURS, BY_HAND), 1.0),
        (
            "a banned source's packet with `early-drop`, to nftables by hand at ingress",
            Who::Banned,
            (EARLY, BY_HAND_INGRESS),
            1.1,
        ),
        ("a stranger's packet with 1000 doors, to the same with one", Who::Stranger, (THOUSAND, OURS), 1.3),
    ];
    for (what, who, pair, most) in wanted {
        if let Some(ratio) = table.ratio(who, pair) {
            report.target(what, &format!("at most {most:.1}"), &ratio.to_string(), ratio.median <= most);
        }
    }
    if let Some(ratio) = table.ratio(Who::Knocker, (OURS, SILENT)) {
        let percent = (ratio.median - 1.0) * 100.0;
        report.line(&format!(
            "Counters and events cost {percent:.0} % of a first knock: the first row beside the one without them.\n"
        ));
    }
}
