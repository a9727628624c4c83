//! The binary: commands, wiring, systemd, exit codes.
//!
//! Owns what a process has once: its arguments, its environment, its terminal and its exit code. It must never decide
//! what should happen to an instance or an image: that is `domain`, and what commands show is made in `view`.

mod ask;
mod cli;
mod commands;
mod ctx;
mod exit;
mod host;
mod logging;
mod output;
mod progress;
mod stop;
mod systemd;
mod time_arg;
mod wiring;

use crate::cli::{Cli, Command};
use crate::ctx::Ctx;
use crate::exit::Exit;

fn main() -> std::process::ExitCode {
    // A guard is a process that is nothing else: no arguments to explain, no runtime, no second thread.
    if let Some(code) = host::run_guard() {
        return code;
    }
    amikeep_hold::settle_allocator();
    let cli = Cli::read();
    let ctx = Ctx::new(&cli);
    exit::settle(start(&cli.command, &ctx), &ctx).into()
}

fn start(command: &Command, ctx: &Ctx) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(command, ctx))
}

async fn run(command: &Command, ctx: &Ctx) -> anyhow::Result<Exit> {
    match command {
        Command::Daemon(args) => commands::daemon::run(args, ctx).await,
        Command::Check(args) => commands::check::run(args, ctx).await,
        Command::Plan(args) => commands::plan::run(args, ctx).await,
        Command::Explain(args) => commands::explain::run(args, ctx).await,
        Command::Backup(args) => commands::backup::run(args, ctx).await,
        Command::History(args) => commands::history::run(args, ctx).await,
        Command::Show(args) => commands::show::run(args, ctx).await,
        Command::Images(args) => commands::images::run(args, ctx).await,
        Command::Prune(args) => commands::prune::run(args, ctx).await,
        Command::Reconcile(args) => commands::reconcile::run(args, ctx).await,
        Command::Pause(args) => commands::operator::pause(args, ctx).await,
        Command::Resume(args) => commands::operator::resume(args, ctx).await,
        Command::Cancel(args) => commands::operator::cancel(args, ctx).await,
        Command::Pin(args) => commands::operator::pin(args, ctx).await,
        Command::Unpin(args) => commands::operator::unpin(args, ctx).await,
        Command::Hold(args) => commands::hold::run(args, ctx).await,
        Command::Thaw(args) => commands::thaw::run(args, ctx).await,
        Command::Simulate(args) => commands::simulate::run(args, ctx),
        Command::Demo(args) => Box::pin(commands::demo::run(args, ctx)).await,
        Command::Schema(args) => commands::schema::run(args, ctx),
        Command::Completions(args) => commands::completions::run(args, ctx),
        Command::Man(args) => commands::man::run(args),
    }
}
