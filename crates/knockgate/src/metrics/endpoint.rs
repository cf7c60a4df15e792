//! Who asks for the page over a socket. One thread serves everybody, and nobody waits for anybody: each
//! has little time, and when there are too many, whoever came first goes.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use knockgate_compiler::policy::Listen;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, listen, recv, send, shutdown, socket_with,
};

use super::request::{LONGEST, answer};

/// Clients at a time.
const MOST: usize = 16;
/// How long a client may take, from the first byte to the last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a page is as good as new.
const FRESH: Duration = Duration::from_secs(1);
/// How long to wait after the system refused a client.
const PAUSE: Duration = Duration::from_millis(100);
/// Who may ask over a Unix socket: its owner, and the group of its folder if that passes it on.
const MODE: u32 = 0o660;

/// An endpoint that serves for as long as this is held.
#[derive(Debug)]
pub struct Serving {
    /// The thread ends when this is closed.
    alive: Option<UnixStream>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Drop for Serving {
    /// From then on the place is free.
    fn drop(&mut self) {
        drop(self.alive.take());
        // One that ended by itself served nobody any more either.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Where the page is asked for.
#[derive(Debug)]
pub struct Endpoint {
    listener: OwnedFd,
}

impl Endpoint {
    /// Listens there. What an earlier process left at the path is removed.
    pub fn bind(at: &Listen) -> io::Result<Self> {
        let listener = match at {
            Listen::Unix(path) => unix(Path::new(&**path))?,
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                listener.into()
            }
        };
        Ok(Self { listener })
    }

    /// Serves in a thread of its own, until what is returned is dropped. `page` makes the page, or tells
    /// why it cannot.
    pub fn start(self, page: impl FnMut() -> Result<String, String> + Send + 'static) -> io::Result<Serving> {
        let (ours, theirs) = UnixStream::pair()?;
        let thread = thread::Builder::new().name("metrics".to_owned());
        let thread = thread.spawn(move || self.serve_until(Some(&theirs.into()), page))?;
        Ok(Serving { alive: Some(ours), thread: Some(thread) })
    }

    /// Serves until the system refuses to wait.
    pub fn serve(self, page: impl FnMut() -> Result<String, String>) -> io::Result<()> {
        self.serve_until(None, page)
    }

    /// Serves until there is something to be read from `end`.
    fn serve_until(
        self,
        end: Option<&OwnedFd>,
        page: impl FnMut() -> Result<String, String>,
    ) -> io::Result<()> {
        let mut page = Fresh { make: page, made: None };
        let mut clients: Vec<Client> = vec![];
        loop {
            let ready = self.wait(end, &clients)?;
            if ready.end {
                return Ok(());
            }
            let now = Instant::now();
            let mut readiness = ready.clients.into_iter();
            clients.retain_mut(|client| {
                let ready = readiness.next().unwrap_or_default();
                now < client.until && (!ready || client.go_on(&mut page) == Step::Stays)
            });
            if ready.listener {
                self.admit(&mut clients);
            }
        }
    }

    /// Waits until there is something to do, or somebody's time is up.
    fn wait(&self, end: Option<&OwnedFd>, clients: &[Client]) -> io::Result<Ready> {
        let first = clients.iter().map(|client| client.until).min();
        let most = first.map(|until| until.saturating_duration_since(Instant::now()));
        let most = most.and_then(|most| Timespec::try_from(most).ok());
        let listener = PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN);
        let of_client = |client| PollFd::from_borrowed_fd(Client::stream(client), Client::wants(client));
        let end = end.map(|end| PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN));
        let may_end = end.is_some();
        let mut wanted: Vec<_> =
            end.into_iter().chain([listener]).chain(clients.iter().map(of_client)).collect();
        match poll(&mut wanted, most.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = wanted.iter().map(|fd| !fd.revents().is_empty());
        Ok(Ready {
            end: may_end && ready.next().unwrap_or_default(),
            listener: ready.next().unwrap_or_default(),
            clients: ready.collect(),
        })
    }

    /// Takes a client in; when there are too many, in the place of who has been there longest.
    fn admit(&self, clients: &mut Vec<Client>) {
        match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(stream) => {
                if clients.len() >= MOST {
                    clients.remove(0);
                }
                clients.push(Client::new(stream));
            }
            // It has left already.
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// What there is something to do for.
struct Ready {
    end: bool,
    listener: bool,
    clients: Vec<bool>,
}

/// A listening socket at a path, which nobody can connect to before its mode is set.
fn unix(path: &Path) -> io::Result<OwnedFd> {
    clear(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    admit_group(path)?;
    listen(&socket, i32::try_from(MOST).expect("a small number"))?;
    Ok(UnixListener::from(socket).into())
}

/// Sets the mode of the socket at a path, and of nothing that somebody put in its place.
fn admit_group(path: &Path) -> io::Result<()> {
    let flags = (OFlags::PATH | OFlags::NOFOLLOW).bits().cast_signed();
    let socket = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !socket.metadata()?.file_type().is_socket() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::set_permissions(format!("/proc/self/fd/{}", socket.as_raw_fd()), Permissions::from_mode(MODE))
}

/// Removes a socket that nobody listens at.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return Err(ErrorKind::AlreadyExists.into()),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

/// The page, made anew when it is old.
struct Fresh<F> {
    make: F,
    made: Option<(Instant, Result<String, String>)>,
}

impl<F: FnMut() -> Result<String, String>> Fresh<F> {
    fn page(&mut self) -> Result<String, String> {
        if let Some((at, page)) = &self.made
            && at.elapsed() < FRESH
        {
            return page.clone();
        }
        let page = (self.make)();
        self.made = Some((Instant::now(), page.clone()));
        page
    }
}

/// Whether a client stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Stays,
    Leaves,
}

/// Somebody who asks.
struct Client {
    stream: OwnedFd,
    until: Instant,
    stage: Stage,
}

/// How far a client is.
enum Stage {
    /// What it has sent so far.
    Asking(Vec<u8>),
    /// What it has not been told yet.
    Told(Vec<u8>),
    /// It has its answer. What it still sends is thrown away: closing before would take the answer back.
    Leaving,
}

impl Client {
    fn new(stream: OwnedFd) -> Self {
        Self { stream, until: Instant::now() + PATIENCE, stage: Stage::Asking(vec![]) }
    }

    fn stream(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn wants(&self) -> PollFlags {
        match self.stage {
            Stage::Asking(_) | Stage::Leaving => PollFlags::IN,
            Stage::Told(_) => PollFlags::OUT,
        }
    }

    /// Does what can be done without waiting, once.
    fn go_on<F: FnMut() -> Result<String, String>>(&mut self, page: &mut Fresh<F>) -> Step {
        let stream = self.stream.as_fd();
        let step = match &mut self.stage {
            Stage::Asking(sent) => match more(stream, sent) {
                Ok(0) => return Step::Leaves,
                Ok(_) => answer(sent, || page.page()).map(Stage::Told),
                Err(error) => return after(error),
            },
            Stage::Told(rest) => match send(stream, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    rest.drain(..sent);
                    rest.is_empty().then_some(Stage::Leaving)
                }
                Err(error) => return after(error),
            },
            Stage::Leaving => match more(stream, &mut vec![]) {
                Ok(0) => return Step::Leaves,
                Ok(_) => None,
                Err(error) => return after(error),
            },
        };
        if let Some(stage) = step {
            if matches!(stage, Stage::Leaving) && shutdown(stream, Shutdown::Write).is_err() {
                return Step::Leaves;
            }
            self.stage = stage;
        }
        Step::Stays
    }
}

/// Reads what is there, up to what a request may have.
fn more(stream: BorrowedFd<'_>, sent: &mut Vec<u8>) -> Result<usize, Errno> {
    let mut buffer = [0; LONGEST];
    let room = LONGEST.saturating_sub(sent.len());
    let (got, _) = recv(stream, &mut buffer[..room], RecvFlags::empty())?;
    sent.extend_from_slice(&buffer[..got]);
    Ok(got)
}

fn after(error: Errno) -> Step {
    if matches!(error, Errno::AGAIN | Errno::INTR) { Step::Stays } else { Step::Leaves }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use super::*;

    const ASK: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// An endpoint with such a page, and where it is.
    fn served(page: String) -> (Serving, SocketAddr) {
        let endpoint = Endpoint::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let listener = TcpListener::from(endpoint.listener.try_clone().unwrap());
        let serving = endpoint.start(move || Ok(page.clone())).unwrap();
        (serving, listener.local_addr().unwrap())
    }

    fn asked(mut stream: impl Read + Write, request: &[u8]) -> String {
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_page_of_any_length_arrives_whole() {
        let page = "x 1\n".repeat(1_000_000);
        let (_serving, address) = served(page.clone());
        let answer = asked(TcpStream::connect(address).unwrap(), ASK);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == page, "{head}");
    }

    #[test]
    fn whoever_asks_for_nothing_keeps_nobody_else_from_asking() {
        let (_serving, address) = served("x 1\n".to_owned());
        let mut slow: Vec<TcpStream> = (0..MOST * 3).map(|_| TcpStream::connect(address).unwrap()).collect();
        slow.iter_mut().for_each(|stream| stream.write_all(b"GET /met").unwrap());
        for _ in 0..3 {
            let answer = asked(TcpStream::connect(address).unwrap(), ASK);
            assert!(answer.ends_with("\r\n\r\nx 1\n"), "{answer}");
        }
        // Some of them had to go. The others go when their time is up.
        slow.iter_mut().for_each(|stream| drop(stream.read_to_end(&mut vec![])));
    }

    #[test]
    fn a_request_may_come_in_pieces_and_is_refused_when_it_has_no_end() {
        let (_serving, address) = served("x 1\n".to_owned());
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let (last, first) = ASK.split_last().unwrap();
        first.iter().for_each(|byte| stream.write_all(&[*byte]).unwrap());
        assert!(asked(stream, &[*last]).starts_with("HTTP/1.1 200 OK\r\n"));
        let endless = [b'x'; LONGEST];
        let answer = asked(TcpStream::connect(address).unwrap(), &endless);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[test]
    fn a_socket_is_for_its_group_and_taken_over_only_from_the_dead() {
        let folder = std::env::temp_dir().join(format!("knockgate-endpoint-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("socket");
        let at = Listen::Unix(path.to_str().unwrap().into());
        drop(Endpoint::bind(&at).unwrap());
        let serving = Endpoint::bind(&at).unwrap().start(|| Err("no page".to_owned())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let answer = asked(UnixStream::connect(&path).unwrap(), ASK);
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nno page\n"), "{answer}");
        assert_eq!(Endpoint::bind(&at).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(serving);
        drop(Endpoint::bind(&at).unwrap());
        let file = folder.join("file");
        fs::write(&file, "").unwrap();
        let refused = Endpoint::bind(&Listen::Unix(file.to_str().unwrap().into())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        fs::remove_dir_all(&folder).unwrap();
    }
}
