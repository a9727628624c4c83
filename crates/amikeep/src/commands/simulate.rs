//! `amikeep simulate`: the retention planner alone, on times from a file or from stdin.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use amikeep_view as view;

use crate::cli::SimulateArgs;
use crate::ctx::Ctx;
use crate::exit::{Exit, UsageError};

pub(crate) fn run(args: &SimulateArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let text = read(&args.file, ctx)?;
    let times = view::simulate::times(&text).map_err(|error| UsageError(error.to_string()))?;
    let images = view::simulate::simulate(&times, &args.keep, &args.timezone);
    ctx.output.print(ctx, &images, || view::simulate::table(&images))?;
    Ok(Exit::Done)
}

fn read(file: &Path, ctx: &Ctx) -> Result<String, UsageError> {
    if file != Path::new("-") {
        return fs::read_to_string(file)
            .map_err(|error| UsageError(format!("{} cannot be read: {error}", file.display())));
    }
    if io::stdin().is_terminal() {
        ctx.tell("reading a JSON array of RFC 3339 times from the terminal; Ctrl-D ends it");
    }
    io::read_to_string(io::stdin()).map_err(|error| UsageError(format!("stdin cannot be read: {error}")))
}
