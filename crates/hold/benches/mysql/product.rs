//! A MySQL server: the program that `AMIKEEP_MYSQL` names, in whatever version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::bench::said;
use crate::proof::Product;
use crate::server::mariadb::{MariaDb, try_ask};
use crate::server::{Server, directory_of, fill};

/// The variable that names the program.
const VARIABLE: &str = "AMIKEEP_MYSQL";

/// Small, since the volumes are; no log of its own is left out. What a version does not know it leaves.
const OPTIONS: [&str; 9] = [
    "--no-defaults",
    "--skip-networking",
    "--innodb-buffer-pool-size=32M",
    "--loose-innodb-redo-log-capacity=16M",
    "--loose-innodb-log-file-size=16M",
    "--loose-mysqlx=OFF",
    "--secure-file-priv=NULL",
    "--log-bin=binlog",
    "--server-id=1",
];

/// Its engines that keep their tables in files of their own, which are all whose tables an image can hold.
pub(crate) const MYSQL: Product =
    Product { name: "mysql", engines: &["InnoDB", "MyISAM"], fill: fill_data, start: start_on };

#[expect(clippy::disallowed_methods, reason = "there is no binary that could hand it on")]
fn program() -> String {
    std::env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE} must name a mysqld; cargo xtask torture mysql does"))
}

/// Major and minor version, and the one behind them.
pub(crate) fn version() -> (u32, u32, u32) {
    let told = said(&format!("{} --no-defaults --version", program()));
    let words = told.split_once(" Ver ").unwrap_or_else(|| panic!("no version: {told}")).1;
    let mut numbers = words.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let mut number = || numbers.next().unwrap_or(0);
    (number(), number(), number())
}

fn fill_data(mount: &Path) -> PathBuf {
    let data = directory_of("mysql", &mount.join("data"));
    let (major, minor, patch) = version();
    fill(&data, "mysql", &format!("mysql-{major}.{minor}.{patch}"), |directory| {
        let mut install = Command::new(program());
        // Its own binary log begins with its first start.
        install.args(&OPTIONS[..7]).args(["--skip-log-bin", "--user=mysql", "--initialize-insecure"]);
        install.arg(format!("--datadir={}", directory.display()));
        let output = install.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "it cannot be initialised: {}", String::from_utf8_lossy(&output.stderr));
    });
    data
}

fn start_on(data: &Path, place: &Path, name: &str, options: &[String]) -> Result<MariaDb, String> {
    let place = directory_of("mysql", &place.join(name));
    let socket = place.join("socket");
    let mut command = Command::new(program());
    command.args(OPTIONS).arg("--user=mysql").arg(format!("--datadir={}", data.display()));
    command.arg("--myisam-recover-options=OFF").arg(format!("--socket={}", socket.display()));
    command.arg(format!("--pid-file={}", place.join("pid").display())).args(options);
    let is_ready = |log: &str| log.contains("ready for connections") && try_ask(&socket, "SELECT 1").is_some();
    let server = Server::start(&mut command, &place.join("log"), Signal::KILL, is_ready)?;
    Ok(MariaDb { server, socket })
}
