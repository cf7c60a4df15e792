//! FNV-1a (RFC 9923): small, and the same on every machine and in every version. It tells texts apart;
//! it is no protection against forgery.

/// 32 bits.
pub fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// 64 bits.
pub fn fnv1a_64(bytes: &[u8]) -> u64 {
    Fnv64::default().and(bytes).value()
}

/// 64 bits of what comes in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Fnv64(u64);

impl Default for Fnv64 {
    /// Of nothing yet.
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv64 {
    /// With these bytes behind what came before.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(bytes.iter().fold(self.0, mix))
    }

    /// The hash.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_hash_of_the_whole() {
        // RFC 9923, appendix C.
        assert_eq!(fnv1a_64(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(Fnv64::default().and(b"foo").and(b"").and(b"bar").value(), fnv1a_64(b"foobar"));
    }
}
