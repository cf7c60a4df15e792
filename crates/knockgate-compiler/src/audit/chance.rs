//! How likely a scan opens a door by accident.

/// A scan of a gateway's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Which ports, in which order.
    pub order: Order,
    /// Packets to each port: 1 or 2.
    pub tries: u8,
    /// Packets a second, of all sources together.
    pub rate: u32,
    /// Sources that share it, each packet from any of them.
    pub sources: u32,
}

/// Which ports are scanned, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// All, from 1 up. A second try is a second pass.
    Up,
    /// All, from 65535 down. A second try is a second pass.
    Down,
    /// All, in an order where each is as likely as any other; second tries are mixed with the first.
    Random,
    /// The thousand that nmap scans by default, in random order.
    Thousand,
    /// From a hundred below the lowest knock to a hundred above the highest, in random order.
    Neighbourhood,
    /// All but the traps, from 1 up: by someone who knows where they are.
    UpWithoutTraps,
}

/// How likely a scan opens a door.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// The scan.
    pub scan: Scan,
    /// The probability that it does, 0 to 1.
    pub probability: f64,
    /// How that is known.
    pub how: How,
}

/// How a number is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// By a formula, or by counting all cases.
    Exact,
    /// By playing so many scans in the simulator.
    Played {
        /// Scans.
        scans: u32,
        /// The standard error of the probability.
        error: f64,
    },
}

/// Probabilities of a random sweep, by number of traps.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Packets a second; `None` for as fast as any window allows.
    pub rate: Option<u32>,
    /// The probability with 0, 1, 2, ... traps.
    pub by_traps: Vec<f64>,
}
