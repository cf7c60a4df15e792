//! Network devices whose wire is a file of ours (`Documentation/networking/tuntap.rst`).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// A device that exists as long as the value, in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Tun(File);

impl Tun {
    /// A device called `name`, of at most 15 bytes.
    pub fn open(name: &str) -> io::Result<Self> {
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(nonblocking).open("/dev/net/tun")?;
        attach(&file, Request::for_packets(name))?;
        Ok(Self(file))
    }

    /// Lets the kernel receive an IP packet. It has dealt with it when this returns.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        (&self.0).write_all(packet)
    }

    /// The next IP packet that the kernel has sent, if any.
    pub fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; usize::from(u16::MAX)];
        match (&self.0).read(&mut packet) {
            Ok(len) => {
                packet.truncate(len);
                Ok(Some(packet))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `struct ifreq` (`linux/if.h`), as TUNSETIFF uses it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

impl Request {
    /// A TUN device whose packets have no header before them (`linux/if_tun.h`, IFF_TUN and
    /// IFF_NO_PI).
    fn for_packets(name: &str) -> Self {
        let mut request = Self { name: [0; 16], flags: 0x0001 | 0x1000, rest: [0; 22] };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        request
    }
}

#[expect(unsafe_code, reason = "no crate in use wraps this request")]
fn attach(file: &File, request: Request) -> io::Result<()> {
    // `linux/if_tun.h`: _IOW('T', 202, int), although what is read is a struct ifreq.
    const TUNSETIFF: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<i32>(b'T', 202);
    // SAFETY: TUNSETIFF reads a `struct ifreq` of 40 bytes, and writes the name back into it.
    let done = unsafe { rustix::ioctl::ioctl(file, rustix::ioctl::Setter::<TUNSETIFF, _>::new(request)) };
    Ok(done?)
}
