//! The cheapest way in, found by playing packets.
