//! What the effects of a program mean for a source, in the words of the policy.

use crate::program::{Effect, Program, Track};
use crate::time::Lifetime;

/// What happened to a source. It never tells where a knock was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It made a right knock.
    Knock {
        /// Which one of the sequence, from 1.
        number: usize,
        /// Knocks of the sequence.
        of: usize,
    },
    /// It was granted a door.
    Granted {
        /// For so long.
        lasts: Lifetime,
    },
    /// It made a wrong knock, and makes no progress for a while.
    Wrong {
        /// For so long.
        lasts: Lifetime,
    },
    /// It touched a trap.
    Strike {
        /// Which one, from 1.
        number: usize,
    },
    /// It was banned.
    Banned {
        /// For so long.
        lasts: Lifetime,
    },
    /// A script put it on a list.
    Listed {
        /// The list.
        list: Box<str>,
        /// For so long.
        lasts: Lifetime,
    },
}

/// What happened, and the door that it happened at, if at one.
pub type Meaning = (What, Option<Box<str>>);

/// What an effect means: something for each door that it is about, and nothing for what only serves other
/// effects. A wrong knock that resets means nothing, for its rule meets sources that have not begun too.
pub fn meanings(program: &Program, effect: &Effect) -> Vec<Meaning> {
    match effect {
        Effect::Add { list, lifetime, .. } => {
            of_list(program, &program[*list].name, *lifetime).into_iter().collect()
        }
        Effect::Move { track, position, .. } => of_position(&program[*track], *position),
        Effect::AddDestination { .. } | Effect::Remove(_) | Effect::Forget(_) | Effect::Log(_) => vec![],
    }
}

/// Whether it means anything.
pub fn is_worth_telling(program: &Program, effect: &Effect) -> bool {
    !meanings(program, effect).is_empty()
}

fn of_list(program: &Program, list: &str, lasts: Lifetime) -> Option<Meaning> {
    if is_script(program) {
        return Some((What::Listed { list: list.into(), lasts }, None));
    }
    let (kind, rest) = list.split_once([' ', '-']).unwrap_or((list, ""));
    let (what, door) = match kind {
        "grant" => (What::Granted { lasts }, Some(rest)),
        "stage" => {
            let (door, number) = rest.rsplit_once(' ')?;
            let of = stages(program, door) + 1;
            (What::Knock { number: number.parse().ok()?, of }, Some(door))
        }
        "cooldown" => (What::Wrong { lasts }, None),
        "strikes" => (What::Strike { number: rest.parse().ok()? }, None),
        "banned" if rest.is_empty() => (What::Banned { lasts }, None),
        _ => return None,
    };
    Some((what, door.map(Into::into)))
}

/// Every program of a policy has lists that people manage, and no other one has.
fn is_script(program: &Program) -> bool {
    program.lists().iter().all(|list| list.managed.is_none())
}

fn stages(program: &Program, door: &str) -> usize {
    let of_door = |name: &str| {
        name.strip_prefix("stage ").and_then(|rest| rest.rsplit_once(' ')).is_some_and(|(of, _)| of == door)
    };
    program.lists().iter().filter(|list| of_door(&list.name)).count()
}

/// The same knock was the last one of every door that the position is about.
fn of_position(track: &Track, position: crate::program::Position) -> Vec<Meaning> {
    let doors = track.positions.get(&position).into_iter().flat_map(|what| what.split(", "));
    doors.filter_map(of_progress).collect()
}

/// How far a source is at one door, in the words that name a position.
pub(super) fn how_far(door: &str, number: usize, of: usize) -> String {
    format!("{door} {number}/{of}")
}

fn of_progress(text: &str) -> Option<Meaning> {
    let (door, rest) = text.split_once(' ')?;
    let (number, of) = rest.split_once('/')?;
    Some((What::Knock { number: number.parse().ok()?, of: of.parse().ok()? }, Some(door.into())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::frontend;

    /// Everything that the rules of a policy mean, a line each.
    fn told(wrong: &str) -> BTreeSet<String> {
        let text = format!(
            r#"
            outside = "eth0"
            traps = {{ ports = ["1/tcp", "2/tcp"], ban = "60s", ban-max = "2m" }}
            door.a-1 = {{ knock = ["7313/tcp", "24877/tcp", "11090/tcp"], opens = "22/tcp", wrong = "{wrong}" }}
            door.b = {{ knock = ["7313/tcp", "24877/tcp", "11091/tcp", "9/tcp"], opens = "23/tcp", wrong = "{wrong}" }}
            "#
        );
        let (policy, findings) = frontend::toml::parse(&text);
        let program = crate::lower::lower(&policy.unwrap_or_else(|| panic!("{findings:?}")));
        let rules = program.chains().iter().flat_map(|chain| &chain.rules);
        let meanings = rules.flat_map(|rule| &rule.then).flat_map(|effect| meanings(&program, effect));
        meanings
            .map(|(what, door)| {
                let door = door.unwrap_or_default();
                match what {
                    What::Knock { number, of } => format!("{door} {number} of {of}"),
                    What::Granted { lasts } => format!("{door} granted {lasts}"),
                    What::Wrong { lasts } => format!("wrong {lasts}"),
                    What::Strike { number } => format!("strike {number}"),
                    What::Banned { lasts } => format!("banned {lasts}"),
                    What::Listed { list, .. } => format!("listed {list}"),
                }
            })
            .collect()
    }

    #[test]
    fn each_knock_grant_strike_and_ban_of_a_policy_is_told_whatever_a_wrong_knock_costs() {
        let always = [
            "a-1 1 of 3",
            "a-1 2 of 3",
            "a-1 granted 30s",
            "b 1 of 4",
            "b 2 of 4",
            "b 3 of 4",
            "b granted 30s",
            "banned 1m",
            "banned 2m",
            "strike 1",
            "strike 2",
        ];
        for (wrong, more) in [("reset", None), ("ignore", None), ("cooldown 10s", Some("wrong 10s"))] {
            let wanted: BTreeSet<String> = always.into_iter().chain(more).map(str::to_owned).collect();
            assert_eq!(told(wrong), wanted, "{wrong}");
        }
    }
}
