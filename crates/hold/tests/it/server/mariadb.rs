//! MariaDB of the distribution, and clients that write to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use amikeep_hold::apps::{AppError, Application, MysqlLock, Prepared, Secret};
use rustix::process::Signal;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor};

use crate::bench::PATIENCE;
use crate::client::Client;
use crate::server::{Server, directory_of, fill};

/// Small, since the volumes are; no log of its own is left out.
const OPTIONS: [&str; 6] = [
    "--no-defaults",
    "--skip-networking",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--log-bin=binlog",
    "--server-id=1",
];

/// Those whose tables tests write to.
pub(crate) const ENGINES: [&str; 3] = ["InnoDB", "MyISAM", "Aria"];

/// A server, and where it listens.
pub(crate) struct MariaDb {
    pub(crate) server: Server,
    pub(crate) socket: PathBuf,
}

impl MariaDb {
    /// An empty server's directory.
    pub(crate) fn fill(mount: &Path) -> PathBuf {
        let data = directory_of("mysql", &mount.join("data"));
        fill(&data, "mysql", "mariadb", |directory| {
            let mut install = Command::new("mariadb-install-db");
            install.args(&OPTIONS[..4]).arg("--user=mysql").arg(format!("--datadir={}", directory.display()));
            install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
            let status = install.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert!(status.success(), "mariadb-install-db failed");
        });
        data
    }

    /// A server that is not to repair what it finds. An error is what it says when it does not start.
    pub(crate) fn on(data: &Path, place: &Path, name: &str, options: &[String]) -> Result<Self, String> {
        let place = directory_of("mysql", &place.join(name));
        let socket = place.join("socket");
        let mut command = Command::new("mariadbd");
        command.args(OPTIONS).arg("--user=mysql").arg(format!("--datadir={}", data.display()));
        command.args(["--myisam-recover-options=OFF", "--aria-recover-options=OFF"]);
        command.arg(format!("--socket={}", socket.display()));
        command.arg(format!("--pid-file={}", place.join("pid").display())).args(options);
        let is_ready = |log: &str| log.contains("ready for connections") && try_ask(&socket, "SELECT 1").is_some();
        let server = Server::start(&mut command, &place.join("log"), Signal::KILL, is_ready)?;
        Ok(Self { server, socket })
    }

    /// The answer to a statement, columns apart by tabs.
    pub(crate) fn ask(&self, statement: &str) -> String {
        try_ask(&self.socket, statement).unwrap_or_else(|| panic!("{statement}: {}", self.server.said()))
    }

    pub(crate) fn address(&self, credentials: &str) -> Secret {
        Secret::new(format!("mysql://{credentials}@localhost/?socket={}", self.socket.display()))
    }

    pub(crate) fn prepared(&self, lock: MysqlLock) -> Result<Prepared, AppError> {
        Application::Mysql(lock).prepare(Some(&self.address("root")), PATIENCE)
    }

    /// Makes the table of this engine's clients.
    pub(crate) fn make_table(&self, engine: &str) {
        self.ask("CREATE DATABASE IF NOT EXISTS kept");
        self.ask(&format!("CREATE TABLE kept.{engine} (n BIGINT PRIMARY KEY, t CHAR(200)) ENGINE={engine}"));
    }

    /// A client that writes rows with numbers beyond this one to the table of this engine, at this pace.
    pub(crate) fn client(&self, engine: &str, beyond: u64, pace: Duration) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = MySqlConnectOptions::new().username("root").socket(&self.socket).database("kept");
        let mut connection: MySqlConnection = runtime.block_on(options.connect()).unwrap();
        let insert = match engine {
            "InnoDB" => "INSERT INTO InnoDB VALUES (?, REPEAT('x', 200))",
            "MyISAM" => "INSERT INTO MyISAM VALUES (?, REPEAT('x', 200))",
            _ => "INSERT INTO Aria VALUES (?, REPEAT('x', 200))",
        };
        Client::start(move |number| {
            runtime.block_on(async {
                tokio::time::sleep(pace).await;
                connection.execute(sqlx::query(insert).bind(beyond + number)).await.is_ok()
            })
        })
    }

    /// What the server says of this engine's table, `OK` if there is nothing to say.
    pub(crate) fn check(&self, engine: &str) -> String {
        let Some(answer) = try_ask(&self.socket, &format!("CHECK TABLE kept.{engine}")) else {
            return format!("no answer: {}", self.server.said());
        };
        answer.lines().filter_map(|line| line.rsplit('\t').next()).collect::<Vec<_>>().join("; ")
    }
}

/// None if the server is not there, or refuses.
pub(crate) fn try_ask(socket: &Path, statement: &str) -> Option<String> {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--execute", statement]);
    let output = command.arg(format!("--socket={}", socket.display())).stdin(Stdio::null()).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}
