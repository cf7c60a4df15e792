//! What arrives at the gateway, seen before its packet filter sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use knockgate_compiler::net::Packet;
use rustix::net::{RecvFlags, recv};

use super::RehearsalError;
use super::packets::{listen_to_frames, read_frame};
use crate::lab::Namespace;

/// Longer than any packet of ours takes through two bridges.
const PATIENCE: Duration = Duration::from_secs(5);

/// Packets in the order in which they arrive. What is sent is paced by [`Capture::wait_for`], so
/// that none is lost to a full buffer.
#[derive(Debug)]
pub(super) struct Capture {
    packets: Receiver<(Instant, Packet)>,
    seen: Arc<AtomicU64>,
}

impl Capture {
    /// Of packets that `gateway`, with these addresses, takes in by the interface with this
    /// Ethernet address.
    pub(super) fn start(
        gateway: &Namespace,
        mac: [u8; 6],
        interface: &str,
        addresses: Vec<IpAddr>,
    ) -> Result<Self, RehearsalError> {
        let socket = gateway.run(listen_to_frames).map_err(RehearsalError::Socket)?;
        let (tell, packets) = channel();
        let seen = Arc::new(AtomicU64::new(0));
        let (count, interface) = (Arc::clone(&seen), interface.to_owned());
        thread::spawn(move || {
            let mut frame = vec![0; 1 << 16];
            while let Ok((len, _)) = recv(&socket, frame.as_mut_slice(), RecvFlags::empty()) {
                let now = Instant::now();
                let Some(packet) = read_frame(&frame[..len], mac, &interface, &addresses) else { continue };
                if tell.send((now, packet)).is_err() {
                    break;
                }
                count.fetch_add(1, Ordering::Release);
            }
        });
        Ok(Self { packets, seen })
    }

    /// Packets that have arrived so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Waits until so many packets have arrived.
    pub(super) fn wait_for(&self, count: u64) -> Result<(), RehearsalError> {
        let deadline = Instant::now() + PATIENCE;
        while self.seen() < count {
            if Instant::now() > deadline {
                return Err(RehearsalError::Lost);
            }
            thread::yield_now();
        }
        Ok(())
    }

    /// The packets that have arrived since the last call, up to and without the first one from
    /// `marker`.
    pub(super) fn up_to(&self, marker: IpAddr) -> Result<Vec<(Instant, Packet)>, RehearsalError> {
        let mut packets = vec![];
        loop {
            match self.packets.recv_timeout(PATIENCE) {
                Ok((_, packet)) if packet.source == marker => return Ok(packets),
                Ok(packet) => packets.push(packet),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(RehearsalError::Lost);
                }
            }
        }
    }
}
