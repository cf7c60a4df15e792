//! What it costs to open a door for someone who does not know its knocks.

/// The cost of an attack, in packets, sources and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Attack {
    /// Packets for someone who has listened, the connection included.
    pub informed: u32,
    /// Packets that open it for certain, from sources that are never banned.
    pub certain: f64,
    /// Packets that open it with a probability of one half, in the same way.
    pub likely: f64,
    /// Packets a second below which windows make it dearer than `certain`; `None` where they do not.
    pub needs_rate: Option<f64>,
    /// Source addresses that traps use up, on average; 1 without traps.
    pub sources: f64,
    /// Packets of all these sources together, on average.
    pub with_traps: f64,
    /// How long `with_traps` takes, for each rate and number of sources.
    pub times: Vec<Duration>,
    /// How it is done, and what a cooldown makes of it, in a sentence or two.
    pub how: String,
}

/// How long an attack takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duration {
    /// Packets a second, of all sources together.
    pub rate: u32,
    /// Sources that attack at once.
    pub attackers: u32,
    /// Seconds, on average.
    pub seconds: f64,
}
