//! The earliest moments for the packets of a way in.

use super::explore::Leg;

/// How long after the packet at the first place the one at the second comes at the least; less than
/// nothing says how long before it at the most.
struct AtLeast(usize, usize, i64);

/// For each packet, how many milliseconds after the first one it is sent at the earliest.
pub(super) fn earliest(way: &[Leg]) -> Vec<u64> {
    let mut bounds: Vec<AtLeast> = (1..way.len()).map(|nth| AtLeast(nth - 1, nth, 0)).collect();
    for (nth, leg) in way.iter().enumerate() {
        for (cell, is_live) in &leg.finds {
            let Some((from, lifetime)) = way[..nth].iter().enumerate().rev().find_map(|(from, leg)| {
                leg.sets.iter().find(|(set, _)| set == cell).map(|(_, lifetime)| (from, lifetime))
            }) else {
                continue;
            };
            let lifetime = i64::try_from(lifetime.as_millis()).expect("a lifetime is less than a year");
            // It lives while the present is before its expiry.
            bounds.push(match is_live {
                true => AtLeast(nth, from, 1 - lifetime),
                false => AtLeast(from, nth, lifetime),
            });
        }
    }
    let mut moments = vec![0; way.len()];
    // As many rounds as packets suffice, for the zone on the way was never empty.
    for _ in 0..=way.len() {
        for AtLeast(from, to, after) in &bounds {
            moments[*to] = moments[*to].max(moments[*from] + after);
        }
    }
    moments.into_iter().map(|moment: i64| u64::try_from(moment).unwrap_or(0)).collect()
}
