//! What an artifact is applied to.

pub mod nft;
