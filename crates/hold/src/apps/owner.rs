//! Whether the server that a connection leads to is the one whose data lies on a machine.
//!
//! It owns that proof, without which a lock may hold one server still and a freeze the data of another. A server's own
//! words do not do: a copy of its data has the same ids, and a server in a container or on another machine may name the same
//! directory. The kernel's words do. MySQL, MariaDB, PostgreSQL and Redis all make their data directory the working directory
//! of their processes, and a connection ends in a socket that is open in one of them. So a process that works in this very
//! directory, by device and inode, has our connection open, or the connection leads to somebody else.
//!
//! It must never take what it cannot see for another server, nor for this one. On other machines their guard looks in the
//! same way (`ssm/guard.sh`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Where the kernel shows processes.
const PROC: &str = "/proc";

/// For a server that takes a connection; nothing is asked on it.
const LISTENER_WAIT_MAX: Duration = Duration::from_secs(5);

/// The capability that looking at the processes of others takes, among the bits that the kernel shows.
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// A connection that is established, as the kernel writes it.
const ESTABLISHED: &str = "01";

/// An address of IPv4 on a socket of IPv6, as the kernel writes it, but for its last word.
const MAPPED: &str = "0000000000000000FFFF0000";

/// How the connection that will hold the lock ends at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// By TCP.
    Tcp {
        /// Where the server sees us: one of these.
        clients: Vec<SocketAddr>,
        /// The server said so itself. Else that is where we see ourselves, and what translates addresses on the way shows
        /// the server something else.
        is_told: bool,
    },
    /// On this socket of this machine.
    Socket(PathBuf),
    /// It is not known; why, in words.
    Untold(String),
}

/// Whose data a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// That of the server at the other end.
    Ours,
    /// That of another one.
    Another,
    /// It cannot be told; why, in words.
    Unknown(String),
}

impl Link {
    /// By TCP to a server on this host, as that tells it. A name is one that it has found for our address, and may mean another
    /// one here: this machine's own name is often an address that never leaves it.
    pub(super) fn told(client: &str, port: u16, server: &str) -> Self {
        if client == "localhost" {
            let clients = vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
            return Self::Tcp { clients, is_told: true };
        }
        if let Ok(address) = client.parse::<IpAddr>() {
            return Self::Tcp { clients: vec![(address, port).into()], is_told: true };
        }
        let of_name = (client, port).to_socket_addrs().into_iter().flatten();
        let servers = (server, port).to_socket_addrs().into_iter().flatten();
        let sources = servers.filter_map(|server| Some((source_towards(server).ok()?, port).into()));
        Self::Tcp { clients: of_name.chain(sources).collect(), is_told: false }
    }

    /// How the kernel writes where the server sees us, in its table of connections.
    pub(crate) fn client_words(&self) -> Vec<String> {
        let Self::Tcp { clients, .. } = self else { return Vec::new() };
        clients.iter().flat_map(|client| words_of(*client)).collect()
    }
}

/// The address of this machine that what is sent to another one has as its source. Nothing is sent by this.
pub(super) fn source_towards(address: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip())
}

/// Words of 32 bits, each as its bytes make a number on this machine and on every one of EC2.
fn words_of(client: SocketAddr) -> Vec<String> {
    let port = client.port();
    match client.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let word = format!("{:08X}", u32::from_le_bytes(ip.octets()));
            vec![format!("{word}:{port:04X}"), format!("{MAPPED}{word}:{port:04X}")]
        }
        IpAddr::V6(ip) => {
            let word = |bytes: &[u8; 4]| format!("{:08X}", u32::from_le_bytes(*bytes));
            let words: String = ip.octets().as_chunks().0.iter().map(word).collect();
            vec![format!("{words}:{port:04X}")]
        }
    }
}

/// Whose data a directory of this machine holds.
pub(super) fn owner(link: &Link, data: &Path) -> Owner {
    owner_in(Path::new(PROC), link, data)
}

fn owner_in(proc: &Path, link: &Link, data: &Path) -> Owner {
    if let Link::Untold(why) = link {
        return Owner::Unknown(why.clone());
    }
    let workers = match workers_in(proc, data) {
        Ok(workers) => workers,
        Err(error) => return Owner::Unknown(format!("the processes of this machine cannot be looked at: {error}")),
    };
    let sees_all = may_look_at_all(&proc.join("self/status"));
    if workers.is_empty() {
        let limit = if sees_all { "" } else { "; those of others cannot be looked at, which takes CAP_SYS_PTRACE" };
        return Owner::Unknown(format!("no process is seen that works in `{}`{limit}", data.display()));
    }
    match link {
        Link::Socket(path) => of_socket(path, &workers),
        Link::Tcp { is_told, .. } => match has_connection(proc, link, &workers) {
            true => Owner::Ours,
            false if *is_told && sees_all => Owner::Another,
            false => Owner::Unknown(format!(
                "the processes that work in `{}` show no connection of ours, and how the server sees it is not known",
                data.display()
            )),
        },
        Link::Untold(why) => Owner::Unknown(why.clone()),
    }
}

/// Whether no process is left out but for those of a namespace that this one is not above of.
fn may_look_at_all(status: &Path) -> bool {
    let status = fs::read_to_string(status).unwrap_or_default();
    let capabilities =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    capabilities.is_some_and(|capabilities| capabilities & CAP_SYS_PTRACE != 0)
}

/// Every process whose working directory is this one.
fn workers_in(proc: &Path, data: &Path) -> io::Result<Vec<u32>> {
    let data = inode_of(data)?;
    let pids = fs::read_dir(proc)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|pid| inode_of(&proc.join(format!("{pid}/cwd"))).is_ok_and(|cwd| cwd == data)).collect())
}

/// Device and inode, of a link what it leads to. No server of a network's file system is waited for.
fn inode_of(path: &Path) -> io::Result<(u32, u32, u64)> {
    let found = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?;
    Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
}

/// Whoever listens on a socket is its server, unless that was handed to it or hands on what it is told.
fn of_socket(path: &Path, workers: &[u32]) -> Owner {
    match listener_of(path) {
        Ok(Some(pid)) if workers.contains(&pid) => Owner::Ours,
        Ok(_) => Owner::Unknown(format!(
            "whoever listens on `{}` is not the process that works in the data directory: a pooler, perhaps",
            path.display()
        )),
        Err(error) => Owner::Unknown(format!("who listens on `{}` cannot be told: {error}", path.display())),
    }
}

/// None for a process that has no number here.
fn listener_of(path: &Path) -> io::Result<Option<u32>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async { timeout(LISTENER_WAIT_MAX, UnixStream::connect(path)).await });
    let pid = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??.peer_cred()?.pid();
    Ok(pid.and_then(|pid| u32::try_from(pid).ok()))
}

/// Whether one of these processes has the server's end of our connection open.
fn has_connection(proc: &Path, link: &Link, workers: &[u32]) -> bool {
    let clients = link.client_words();
    // Processes of one network see the same connections.
    let network = |pid: &u32| (inode_of(&proc.join(format!("{pid}/ns/net"))).ok(), *pid);
    let networks: BTreeMap<_, _> = workers.iter().map(network).collect();
    let tables = networks.values().flat_map(|pid| ["tcp", "tcp6"].map(|name| proc.join(format!("{pid}/net/{name}"))));
    let tables = tables.filter_map(|path| fs::read_to_string(path).ok());
    let sockets: Vec<PathBuf> = tables.flat_map(|table| sockets_of(&table, &clients)).collect();
    let is_ours = |path: PathBuf| fs::read_link(path).is_ok_and(|target| sockets.contains(&target));
    let has_one = |pid: &u32| {
        let files = fs::read_dir(proc.join(format!("{pid}/fd"))).into_iter().flatten();
        files.filter_map(Result::ok).any(|file| is_ours(file.path()))
    };
    !sockets.is_empty() && workers.iter().any(has_one)
}

/// The sockets of connections with one of these at their other end, as descriptors show them.
fn sockets_of(table: &str, clients: &[String]) -> Vec<PathBuf> {
    let socket = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_it = *words.get(3)? == ESTABLISHED && clients.iter().any(|client| *client == words[2]);
        is_it.then_some(PathBuf::from(format!("socket:[{}]", words.get(9)?)))
    };
    table.lines().filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A machine with a process that works in `data`, number 7, and others.
    struct Machine {
        place: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Self {
            let machine = Self { place: tempfile::tempdir().unwrap() };
            for name in ["data", "elsewhere"] {
                fs::create_dir(machine.path(name)).unwrap();
            }
            machine.process(6, "elsewhere", &[4_000]);
            machine.process(7, "data", &[4_711, 4_712]);
            machine.may("000000000028000f");
            machine
        }

        fn path(&self, name: &str) -> PathBuf {
            self.place.path().join(name)
        }

        /// What this process may do.
        fn may(&self, capabilities: &str) {
            fs::create_dir_all(self.path("proc/self")).unwrap();
            fs::write(self.path("proc/self/status"), format!("Name:\tamikeep\nCapEff:\t{capabilities}\n")).unwrap();
        }

        fn process(&self, pid: u32, cwd: &str, sockets: &[u32]) {
            let process = self.path(&format!("proc/{pid}"));
            for name in ["fd", "net", "ns"] {
                fs::create_dir_all(process.join(name)).unwrap();
            }
            symlink(self.path(cwd), process.join("cwd")).unwrap();
            fs::write(process.join("ns/net"), "").unwrap();
            for (number, socket) in sockets.iter().enumerate() {
                symlink(format!("socket:[{socket}]"), process.join(format!("fd/{number}"))).unwrap();
            }
        }

        /// The table of connections of process 7: it listens, and has one from 10.0.3.9:51234.
        fn connected(&self, state: &str, inode: u32) {
            let head =
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
            let line = |local: &str, remote: &str, state: &str, inode: u32| {
                format!(
                    "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000   112        0 {inode} 1\n"
                )
            };
            let listens = line("00000000:0CEA", "00000000:0000", "0A", 4_711);
            let text = [head, &listens, &line("0703000A:0CEA", "0903000A:C822", state, inode)].concat();
            fs::write(self.path("proc/7/net/tcp"), text).unwrap();
        }

        fn owner(&self, link: &Link) -> Owner {
            owner_in(&self.path("proc"), link, &self.path("data"))
        }
    }

    fn tcp(client: &str, is_told: bool) -> Link {
        Link::Tcp { clients: vec![client.parse().unwrap()], is_told }
    }

    #[test]
    fn the_process_that_works_in_the_directory_and_has_our_connection_is_the_server() {
        let machine = Machine::new();
        machine.connected("01", 4_712);
        assert_eq!(machine.owner(&tcp("10.0.3.9:51234", true)), Owner::Ours);
        // Where we see ourselves does as well, when it is found.
        assert_eq!(machine.owner(&tcp("10.0.3.9:51234", false)), Owner::Ours);
    }

    #[test]
    fn a_connection_that_the_process_does_not_have_leads_to_another_server() {
        let machine = Machine::new();
        for (state, inode, client) in [
            ("01", 4_712, "10.0.3.9:51235"),
            ("01", 4_712, "10.0.3.8:51234"),
            // One that is over, and one of another process in the same network.
            ("06", 4_712, "10.0.3.9:51234"),
            ("01", 4_000, "10.0.3.9:51234"),
        ] {
            machine.connected(state, inode);
            assert_eq!(machine.owner(&tcp(client, true)), Owner::Another, "{state} {inode} {client}");
            // On the way it may have become another one, of which nobody has told.
            assert!(matches!(machine.owner(&tcp(client, false)), Owner::Unknown(_)), "{state} {inode} {client}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_neither_this_server_nor_another() {
        let machine = Machine::new();
        machine.connected("01", 4_000);
        let link = tcp("10.0.3.9:51234", true);
        machine.may("000000000020000f");
        assert!(matches!(machine.owner(&link), Owner::Unknown(_)), "there may be others that are not seen");
        fs::remove_file(machine.path("proc/7/cwd")).unwrap();
        let Owner::Unknown(why) = machine.owner(&link) else { panic!("nobody is seen") };
        assert!(why.contains("CAP_SYS_PTRACE"), "{why}");
        symlink(machine.path("data"), machine.path("proc/7/cwd")).unwrap();
        let untold = Link::Untold("a pooler".to_owned());
        assert_eq!(machine.owner(&untold), Owner::Unknown("a pooler".to_owned()));
        fs::remove_dir(machine.path("data")).unwrap();
        assert!(matches!(machine.owner(&link), Owner::Unknown(_)));
    }

    #[test]
    fn whoever_listens_on_a_socket_is_its_server_if_it_works_in_the_directory() {
        let machine = Machine::new();
        let path = machine.path("socket");
        let link = Link::Socket(path.clone());
        assert!(matches!(machine.owner(&link), Owner::Unknown(why) if why.contains("cannot be told")));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(machine.owner(&link), Owner::Unknown(why) if why.contains("pooler")));
        machine.process(std::process::id(), "data", &[]);
        assert_eq!(machine.owner(&link), Owner::Ours);
    }

    #[test]
    fn an_address_is_written_as_the_kernel_writes_it() {
        let words = |client: &str| tcp(client, true).client_words();
        assert_eq!(words("127.0.0.1:3306"), ["0100007F:0CEA", "0000000000000000FFFF00000100007F:0CEA"]);
        assert_eq!(words("[::ffff:127.0.0.1]:3306"), words("127.0.0.1:3306"));
        assert_eq!(words("[::1]:80"), ["00000000000000000000000001000000:0050"]);
        // What this kernel says of a connection of ours.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let link = Link::told("127.0.0.1", client.local_addr().unwrap().port(), "");
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
        assert_eq!(sockets_of(&table, &link.client_words()).len(), 1, "{table}");
    }

    #[test]
    fn a_name_that_a_server_has_found_for_us_is_no_address_that_it_told() {
        let tcp = |clients: &[&str], is_told| Link::Tcp {
            clients: clients.iter().map(|client| client.parse().unwrap()).collect(),
            is_told,
        };
        assert_eq!(Link::told("localhost", 7, "db"), tcp(&["127.0.0.1:7", "[::1]:7"], true));
        assert_eq!(Link::told("10.0.3.9", 7, "db"), tcp(&["10.0.3.9:7"], true));
        // What it is called here may be anything; what is sent from here to the server has an address for certain.
        let Link::Tcp { clients, is_told: false } = Link::told("no name.", 7, "127.0.0.1") else { panic!("a guess") };
        assert!(clients.contains(&"127.0.0.1:7".parse().unwrap()), "{clients:?}");
    }
}
