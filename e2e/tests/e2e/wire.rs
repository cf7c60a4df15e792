//! What no sender means as a knock, and the simulator has no words for.

use knockgate::lab::wire::request;
use knockgate_compiler::backend::nft;
use knockgate_compiler::frontend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::net::Packet;
use knockgate_e2e::elements::elements;
use knockgate_e2e::world::{self, OUTSIDE, own_address, syn};

use crate::able;

const POLICY: &str = r#"
    outside = ["out0", "out1"]
    door.ssh = { knock = ["333/tcp", "777/tcp", "888/tcp"], opens = "22/tcp" }
"#;

/// Whether a knock counts that was `changed` on its way.
fn counts(source: &str, changed: impl FnOnce(&mut Vec<u8>)) -> bool {
    let (policy, findings) = frontend::toml::parse(POLICY);
    let program = lower(&policy.unwrap_or_else(|| panic!("{findings:?}")));
    let gateway = world::gateway(&nft::print(&program).expect("a policy").text)
        .unwrap_or_else(|trouble| panic!("{trouble}"));
    let knock: Packet = syn(source.parse().expect("an address"), 40_000, 333);
    let mut bytes = request(&knock, 1, own_address(&knock));
    changed(&mut bytes);
    // A device refuses what is no IP packet at all; that does not count either.
    let sent = gateway.send(OUTSIDE[0], &bytes);
    let held = elements(&gateway, nft::TABLE).unwrap_or_else(|trouble| panic!("{trouble}"));
    sent.is_ok() && held.keys().any(|element| element.key == source)
}

#[test]
fn half_a_header_or_a_wrong_checksum_is_no_knock() {
    if !able() {
        return;
    }
    for (source, header) in [("198.51.100.1", 20), ("2001:db8:1::1", 40)] {
        assert!(counts(source, |_| ()), "an undamaged one counts");
        assert!(!counts(source, |bytes| bytes[header + 16] ^= 1), "{source}: wrong checksum");
        assert!(!counts(source, |bytes| bytes[header + 12] = 4 << 4), "{source}: header too short");
        assert!(
            !counts(source, |bytes| {
                bytes.truncate(header + 10);
                let (at, len) = if header == 20 { (3, header + 10) } else { (5, 10) };
                bytes[at] = u8::try_from(len).unwrap();
                if header == 20 {
                    // The IP header itself stays right (RFC 1624).
                    let sum = u16::from_be_bytes([bytes[10], bytes[11]]) + 10;
                    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
                }
            }),
            "{source}: half a header"
        );
    }
}
