//! The simulator alone, for the real `aws` CLI and for trying amikeep without an account.
//!
//! It prints its URL as one line on stdout and serves until it is interrupted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use amikeep_ec2_sim::{SimClock, World, http};
use clap::Parser;
use tokio::net::TcpListener;

/// How often new calls are written to the log.
const LOG_EVERY: Duration = Duration::from_millis(200);

const CREDENTIALS: &str = "\
Credentials of the default world (any secret will do, signatures are not checked):
  AWS_ACCESS_KEY_ID=AKIASIM0111122223333 AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION=eu-central-1
In any world, the access key of an account is AKIASIM0 and its 12 digits.

Try: aws --endpoint-url URL ec2 describe-instances";

/// A simulated EC2 on a loopback port.
#[derive(Debug, Parser)]
#[command(version, after_help = CREDENTIALS)]
struct Arguments {
    /// Where to listen; loopback only, port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A world as JSON instead of the small fleet.
    #[arg(long)]
    world: Option<PathBuf>,
    /// How much faster than real time everything goes. The clock then runs ahead of this host's: amikeep sees images from the future.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Where ids and durations come from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A file to which every call is appended as one line.
    #[arg(long)]
    state_log: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ec2-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> io::Result<()> {
    let world = world(arguments)?;
    let listener = TcpListener::bind(arguments.listen).await?;
    writeln!(io::stdout(), "http://{}", listener.local_addr()?)?;
    let log = arguments.state_log.as_deref().map(open_log).transpose()?;
    let interrupted = async {
        // Without a signal handler there is nothing to wait for but the end of the process.
        let _ = tokio::signal::ctrl_c().await;
    };
    let served = http::serve(listener, world.clone(), interrupted);
    match log {
        None => served.await,
        Some(log) => tokio::select! {
            result = served => result,
            result = follow(&world, log) => result,
        },
    }
}

fn world(arguments: &Arguments) -> io::Result<World> {
    let builder = match &arguments.world {
        None => World::small_fleet(),
        Some(path) => {
            let json = std::fs::read_to_string(path)?;
            World::from_json(&json).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, chain(&error)))?
        }
    };
    let builder = builder.clock(SimClock::wall(arguments.speed)).seed(arguments.seed);
    builder.build().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, chain(&error)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Appends every new call, for as long as the server runs.
async fn follow(world: &World, mut log: File) -> io::Result<()> {
    let mut written = 0;
    loop {
        for call in world.calls_from(written) {
            let (at, account, region) = (call.at, &call.account, &call.region);
            writeln!(log, "{at} {account} {region} dry_run={} {:?} -> {:?}", call.dry_run, call.request, call.outcome)?;
            written += 1;
        }
        tokio::time::sleep(LOG_EVERY).await;
    }
}
