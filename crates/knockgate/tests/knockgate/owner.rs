//! A gateway, and outside it an owner who knocks.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::time::Duration;

use crate::apply::policy;
use crate::gateway::Gateway;
use crate::program::{KNOCKGATE, Said, run, wait_for};
use crate::traffic::inside;

/// The port of the service behind the door of [`Owned::confirmed`].
pub const SERVICE: u16 = 22;
/// Far more than a packet takes there and back.
const ANSWER: Duration = Duration::from_millis(200);

/// Where the gateway is.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// Where the owner is, and somebody else.
pub const OWNER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
pub const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 3);

/// A gateway with a policy in force, and a service behind its door.
#[derive(Debug)]
pub struct Owned {
    pub gateway: Gateway,
    pub owner: Gateway,
    service: TcpListener,
    /// What came to the service. It says nothing, and never hangs up.
    taken: Mutex<Vec<TcpStream>>,
}

impl Owned {
    /// With [`Owned::confirmed`] in force.
    pub fn new(gateway: Gateway) -> Self {
        gateway.apply(&Self::confirmed());
        Self::connect(gateway)
    }

    /// With whatever is in force there.
    pub fn connect(gateway: Gateway) -> Self {
        let owner = Gateway::new();
        owner.must(&format!(
            "ip link add eth0 type veth peer name wan0 netns {} &&
             ip addr add {OWNER}/24 dev eth0 && ip addr add {OTHER}/24 dev eth0 && ip link set eth0 up",
            gateway.pid()
        ));
        gateway.must(&format!("ip addr add {GATEWAY}/24 dev wan0 && ip link set wan0 up"));
        wait_for("cable", || gateway.must("ip link show wan0").contains("state UP").then_some(()));
        let service = inside(gateway.pid(), || TcpListener::bind((GATEWAY, SERVICE))).expect("a free port");
        service.set_nonblocking(true).expect("a socket");
        Self { gateway, owner, service, taken: Mutex::default() }
    }

    /// The policy that was there before any trial.
    pub fn confirmed() -> String {
        policy("10s", "")
    }

    /// One that shuts the owner out: another door, and other knocks.
    pub fn lockout() -> String {
        "outside = \"wan0\"\n\n[door.other]\nknock = [\"1333/tcp\", \"1777/tcp\", \"1888/tcp\"]\n\
         opens = \"8443/tcp\"\n"
            .to_owned()
    }

    /// A connection from there to that port of the gateway, if it comes about.
    pub fn try_connect(&self, from: Ipv4Addr, port: u16) -> Option<TcpStream> {
        inside(self.owner.pid(), || {
            use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
            let socket =
                socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).ok()?;
            bind(&socket, &SocketAddr::from((from, 0))).ok()?;
            connect_in_time(socket, SocketAddr::from((GATEWAY, port)))
        })
    }

    /// Makes the knocks of [`Owned::confirmed`].
    pub fn knock(&self) {
        let tcp = |port| drop(self.try_connect(OWNER, port));
        tcp(333);
        inside(self.owner.pid(), || {
            let socket = UdpSocket::bind((OWNER, 0)).expect("its own address");
            socket.send_to(b"", (GATEWAY, 777)).expect("UDP");
        });
        tcp(888);
    }

    /// Whether the door is shut to who has not knocked, and opens to who has. It is shut again then.
    pub fn works(&self) -> bool {
        let forget = || self.gateway.sh("nft flush set inet knockgate grants4");
        forget();
        if self.try_connect(OWNER, SERVICE).is_some() {
            return false;
        }
        self.knock();
        let open = self.try_connect(OWNER, SERVICE).is_some();
        forget();
        self.take();
        open
    }

    /// Takes what came to the service, so that there is room for more.
    fn take(&self) {
        let mut taken = self.taken.lock().expect("no panic");
        loop {
            match self.service.accept() {
                Ok((stream, _)) => taken.push(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Runs `knockgate` as in an ssh session over this connection.
    pub fn over(&self, session: &TcpStream, arguments: &[&str], input: &str) -> Said {
        let mut command = self.gateway.enter("env");
        command.arg(session_of(session)).arg(KNOCKGATE).args(arguments);
        run(&mut command, input)
    }

    /// Begins a trial of so long.
    pub fn try_out(&self, policy: &str, length: &str) -> Said {
        let arguments = ["apply", "--trial", length, "--however-short", "-"];
        run(self.gateway.enter(KNOCKGATE).args(arguments), policy)
    }

    /// Waits until the policy from before any trial is in force again, and its door works.
    #[track_caller]
    pub fn is_back(&self) {
        wait_for("end of the trial", || {
            self.gateway.sh("ls /run/knockgate/*/trial").code.filter(|code| *code != 0)
        });
        let said = self.gateway.knockgate(&["status"]).expect(0).stdout;
        assert!(said.contains("policy <stdin> is in force\n"), "{said}");
        assert!(self.works(), "{}", self.gateway.ruleset());
    }
}

/// `SSH_CONNECTION` of a session over this connection, as `env` takes it.
pub fn session_of(session: &TcpStream) -> String {
    let (client, server) =
        (session.local_addr().expect("connected"), session.peer_addr().expect("connected"));
    format!("SSH_CONNECTION={} {} {} {}", client.ip(), client.port(), server.ip(), server.port())
}

/// The standard library connects in time, but from no address of one's choice.
fn connect_in_time(socket: rustix::fd::OwnedFd, to: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true).ok()?;
    match rustix::net::connect(&stream, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(_) => return None,
    }
    let mut wanted = [rustix::event::PollFd::new(&stream, rustix::event::PollFlags::OUT)];
    let timeout = rustix::event::Timespec::try_from(ANSWER).expect("a short time");
    rustix::event::poll(&mut wanted, Some(&timeout)).ok().filter(|ready| *ready > 0)?;
    stream.peer_addr().is_ok().then_some(stream)
}
