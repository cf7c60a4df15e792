//! Messages to and from netfilter (`man 7 netlink`, linux/netfilter/nfnetlink.h).
//!
//! Answers are walked where they lie, so that reading a million elements takes one buffer.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{
    Timeout, set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force, set_socket_timeout,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send};

/// `struct nlmsghdr` and `struct nfgenmsg`.
const HEADER: usize = 16 + 4;
/// The answer that something was done, or why not.
const ERROR: u16 = 2;
/// The end of a list.
const DONE: u16 = 3;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Tells what a batch is of (`NFNL_SUBSYS_NFTABLES`).
const NFTABLES: u16 = 10;

/// Flags of a request (linux/netlink.h).
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// What changed while it was listed: some of it may be missing.
const INTERRUPTED: u16 = 0x10;
/// What is there already makes an addition fail.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// What is not there is made.
pub(super) const CREATE: u16 = 0x400;

/// The kernel answers from memory: longer means that it never will.
const PATIENCE: Duration = Duration::from_secs(20);
/// The kernel fills at most half as much at a time (af_netlink.c, `netlink_dump`).
const BUFFER: usize = 64 << 10;
/// How often a list is begun again that changed on the way.
const ATTEMPTS: usize = 50;

/// A request, or attributes of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    /// An attribute (`struct nlattr`).
    pub(super) fn put(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).expect("what we say is short");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A name, which ends with a zero.
    pub(super) fn put_name(self, kind: u16, name: &str) -> Self {
        self.put(kind, &[name.as_bytes(), &[0]].concat())
    }

    /// An attribute that holds others (`NLA_F_NESTED`).
    pub(super) fn put_all(self, kind: u16, inner: &Self) -> Self {
        self.put(kind | 0x8000, &inner.0)
    }
}

/// What is asked, of whom.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The subsystem and its message.
    pub(super) kind: u16,
    /// `AF_INET`, or one of netfilter's own families.
    pub(super) family: u8,
    pub(super) flags: u16,
    pub(super) attributes: Bytes,
}

impl Request {
    fn write(&self, out: &mut Vec<u8>, flags: u16, sequence: u32, resource: u16) {
        let length = u32::try_from(HEADER + self.attributes.0.len()).expect("what we say is short");
        out.extend(length.to_ne_bytes());
        out.extend(self.kind.to_ne_bytes());
        out.extend((REQUEST | self.flags | flags).to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        out.extend([0; 4]);
        out.extend([self.family, 0]);
        out.extend(resource.to_be_bytes());
        out.extend(&self.attributes.0);
    }
}

/// Attributes as they were received: each with its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'b>(pub(super) &'b [u8]);

impl<'b> Iterator for Attributes<'b> {
    type Item = (u16, &'b [u8]);

    /// Ends at what is no attribute.
    fn next(&mut self) -> Option<Self::Item> {
        let (length, kind) = (number16(self.0.get(..2)?)?, number16(self.0.get(2..4)?)?);
        let length = usize::from(length);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two highest bits tell of nesting and byte order.
        Some((kind & 0x3fff, value))
    }
}

impl<'b> Attributes<'b> {
    pub(super) fn find(mut self, wanted: u16) -> Option<&'b [u8]> {
        self.find_map(|(kind, value)| (kind == wanted).then_some(value))
    }

    /// What an attribute holds; nothing if it is not there.
    pub(super) fn within(self, wanted: u16) -> Attributes<'b> {
        Attributes(self.find(wanted).unwrap_or_default())
    }

    pub(super) fn name(self, wanted: u16) -> Option<&'b str> {
        std::str::from_utf8(self.find(wanted)?.strip_suffix(&[0])?).ok()
    }

    /// Of four bytes, highest first.
    pub(super) fn number(self, wanted: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.find(wanted)?.try_into().ok()?))
    }

    /// Of eight bytes, highest first.
    pub(super) fn long(self, wanted: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.find(wanted)?.try_into().ok()?))
    }
}

fn number16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

fn number32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// A message that was received.
#[derive(Clone, Copy, Debug)]
struct Reply<'b> {
    kind: u16,
    flags: u16,
    sequence: u32,
    /// What follows `struct nlmsghdr`.
    body: &'b [u8],
}

impl<'b> Reply<'b> {
    fn attributes(self) -> Attributes<'b> {
        Attributes(self.body.get(HEADER - 16..).unwrap_or_default())
    }

    /// For the end of something: how it went.
    fn outcome(self) -> Result<(), Errno> {
        match self.body.get(..4).and_then(number32).unwrap_or_default().cast_signed() {
            0 => Ok(()),
            number => Err(Errno::from_raw_os_error(number.wrapping_neg())),
        }
    }
}

/// Messages that were received together.
struct Replies<'b>(&'b [u8]);

impl<'b> Iterator for Replies<'b> {
    type Item = Reply<'b>;

    fn next(&mut self) -> Option<Reply<'b>> {
        let length = usize::try_from(number32(self.0.get(..4)?)?).ok()?;
        let reply = Reply {
            kind: number16(self.0.get(4..6)?)?,
            flags: number16(self.0.get(6..8)?)?,
            sequence: number32(self.0.get(8..12)?)?,
            body: self.0.get(16..length)?,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(reply)
    }
}

/// A way to the kernel, of the network namespace that it was opened in.
#[derive(Debug)]
struct Socket {
    file: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    fn open() -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC;
        let family = AddressFamily::NETLINK;
        let file = rustix::net::socket_with(family, SocketType::RAW, flags, Some(netlink::NETFILTER))?;
        set_socket_timeout(&file, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { file, buffer: vec![0; BUFFER] })
    }

    /// A socket that was not connected speaks to the kernel, which takes no more at a time than it has
    /// room for (af_netlink.c, `netlink_sendmsg`).
    fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.len() > BUFFER {
            set_socket_send_buffer_size_force(&self.file, 2 * bytes.len())?;
        }
        send(&self.file, bytes, SendFlags::empty()).map(drop)
    }

    fn receive(&mut self) -> Result<Replies<'_>, Errno> {
        self.receive_with(RecvFlags::empty())
    }

    fn receive_with(&mut self, flags: RecvFlags) -> Result<Replies<'_>, Errno> {
        let (length, _) = recv(&self.file, &mut self.buffer[..], flags)?;
        match self.buffer.get(..length) {
            Some([]) | None => Err(Errno::BADMSG),
            Some(bytes) => Ok(Replies(bytes)),
        }
    }
}

/// Whether a list was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    All,
    /// `each` has seen enough.
    Enough,
    /// It changed on the way.
    Some,
}

/// Shows `each` item of a list until it has seen enough. What is added or removed meanwhile may be
/// missing.
pub(super) fn walk(
    request: &Request,
    mut each: impl FnMut(Attributes<'_>) -> ControlFlow<()>,
) -> Result<(), Errno> {
    walk_once(request, &mut each).map(drop)
}

/// All of a list as it was at one moment, as `of` makes it.
pub(super) fn collect<T>(
    request: &Request,
    mut of: impl FnMut(Attributes<'_>) -> Option<T>,
) -> Result<Vec<T>, Errno> {
    for _ in 0..ATTEMPTS {
        let mut found = vec![];
        let seen = walk_once(request, &mut |item| {
            found.extend(of(item));
            ControlFlow::Continue(())
        })?;
        if seen == Seen::All {
            return Ok(found);
        }
    }
    Err(Errno::INTR)
}

fn walk_once(
    request: &Request,
    each: &mut impl FnMut(Attributes<'_>) -> ControlFlow<()>,
) -> Result<Seen, Errno> {
    let mut socket = Socket::open()?;
    let mut bytes = vec![];
    request.write(&mut bytes, DUMP, 1, 0);
    socket.send(&bytes)?;
    let mut seen = Seen::All;
    loop {
        for reply in socket.receive()? {
            if reply.flags & INTERRUPTED != 0 {
                seen = Seen::Some;
            }
            match reply.kind {
                DONE | ERROR => return reply.outcome().map(|()| seen),
                _ if each(reply.attributes()).is_break() => return Ok(Seen::Enough),
                _ => {}
            }
        }
    }
}

/// What the kernel answers to a question for one thing, as `of` makes it.
pub(super) fn ask<T>(
    request: &Request,
    mut of: impl FnMut(Attributes<'_>) -> Option<T>,
) -> Result<Option<T>, Errno> {
    let mut socket = Socket::open()?;
    let mut bytes = vec![];
    request.write(&mut bytes, ACK, 1, 0);
    socket.send(&bytes)?;
    let mut found = None;
    loop {
        for reply in socket.receive()? {
            match reply.kind {
                ERROR => return reply.outcome().map(|()| found),
                _ => found = of(reply.attributes()).or(found),
            }
        }
    }
}

/// Questions that are asked together: the refusals of as many fit into the memory that a socket has for answers.
const TOGETHER: usize = 64;

/// What the kernel answers to questions for one thing each, as `of` makes it, of those that are there.
pub(super) fn ask_each<T>(
    requests: impl Iterator<Item = Request>,
    mut of: impl FnMut(Attributes<'_>) -> Option<T>,
) -> Result<Vec<T>, Errno> {
    let mut socket = Socket::open()?;
    let mut found = vec![];
    let mut requests = requests.peekable();
    while requests.peek().is_some() {
        let mut bytes = vec![];
        let mut open = 0;
        for request in requests.by_ref().take(TOGETHER) {
            request.write(&mut bytes, ACK, 1, 0);
            open += 1;
        }
        socket.send(&bytes)?;
        while open > 0 {
            for reply in socket.receive()? {
                if reply.kind != ERROR {
                    found.extend(of(reply.attributes()));
                    continue;
                }
                match reply.outcome() {
                    Ok(()) | Err(Errno::NOENT) => open -= 1,
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(found)
}

/// Has something done that is no part of a transaction.
pub(super) fn order(request: &Request) -> Result<(), Errno> {
    ask(request, |_| None::<()>).map(drop)
}

/// Changes tables in one transaction: all of it, or nothing and the first reason why not.
pub(super) fn change(requests: &[Request]) -> Result<(), Errno> {
    let mut socket = Socket::open()?;
    let mut bytes = vec![];
    let bracket = |kind| Request { kind, family: 0, flags: 0, attributes: Bytes::default() };
    bracket(BATCH_BEGIN).write(&mut bytes, 0, 0, NFTABLES);
    for (sequence, request) in (1..).zip(requests) {
        request.write(&mut bytes, ACK, sequence, 0);
    }
    bracket(BATCH_END).write(&mut bytes, 0, 0, NFTABLES);
    socket.send(&bytes)?;
    let (mut answered, mut failed) = (0, Ok(()));
    while answered < requests.len() {
        for reply in socket.receive()?.filter(|reply| reply.kind == ERROR) {
            failed = failed.and(reply.outcome());
            // The brackets are answered only if the whole was refused.
            if reply.sequence == 0 {
                return reply.outcome();
            }
            answered += 1;
        }
    }
    failed
}

/// What the kernel tells of its own accord.
#[derive(Debug)]
pub(super) struct Feed {
    socket: Socket,
}

impl Feed {
    /// `groups` has a bit for each group of messages that are sent to everybody who asks. The kernel keeps
    /// `room` bytes of messages until they are taken.
    pub(super) fn open(groups: u32, room: usize) -> Result<Self, Errno> {
        let socket = Socket::open()?;
        set_socket_recv_buffer_size_force(&socket.file, room)?;
        bind(&socket.file, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { socket })
    }

    /// Has something done that messages of this socket depend on; `resource` is what it is about.
    pub(super) fn order(&mut self, request: &Request, resource: u16) -> Result<(), Errno> {
        let mut bytes = vec![];
        request.write(&mut bytes, ACK, 1, resource);
        self.socket.send(&bytes)?;
        loop {
            if let Some(answer) = self.socket.receive()?.find(|reply| reply.kind == ERROR) {
                return answer.outcome();
            }
        }
    }

    /// Shows `each` message that was sent together with the next one, with its kind. `false` if none has come.
    pub(super) fn take(&mut self, mut each: impl FnMut(u16, Attributes<'_>)) -> Result<bool, Errno> {
        match self.socket.receive_with(RecvFlags::DONTWAIT) {
            Ok(replies) => {
                replies.for_each(|reply| each(reply.kind, reply.attributes()));
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Feed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written_and_broken_ones_end_the_walk() {
        let inner = Bytes::default().put(1, &7u32.to_be_bytes());
        let bytes = Bytes::default().put_name(1, "abc").put_all(2, &inner).put(3, &9u64.to_be_bytes());
        let read = Attributes(&bytes.0);
        assert_eq!((read.name(1), read.within(2).number(1), read.long(3)), (Some("abc"), Some(7), Some(9)));
        assert_eq!((read.find(4), read.name(3), read.number(3)), (None, None, None));
        for end in 0..bytes.0.len() {
            assert!(Attributes(&bytes.0[..end]).count() < 3);
        }
        assert_eq!(Attributes(&[0; 64]).count(), 0);
    }

    #[test]
    fn messages_that_lie_about_their_length_end_the_walk() {
        let mut bytes = vec![];
        let request = Request { kind: 5, family: 1, flags: 0, attributes: Bytes::default().put(1, &[1]) };
        request.write(&mut bytes, 0, 3, 0);
        let reply = Replies(&bytes).next().expect("a message");
        assert_eq!((reply.kind, reply.sequence, reply.attributes().find(1)), (5, 3, Some(&[1][..])));
        for length in [0u32, 15, 1000] {
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(Replies(&bytes).next().is_none(), "{length}");
        }
    }
}
