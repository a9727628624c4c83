//! `amikeep simulate`: the retention planner alone, on times from a file or from stdin.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use amikeep_view as view;
use jiff::Timestamp;

use crate::cli::SimulateArgs;
use crate::ctx::Ctx;
use crate::exit::{Exit, UsageError};

pub(crate) fn run(args: &SimulateArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let text = read(&args.file, ctx)?;
    let images = view::simulate::simulate(&times(&text)?, &args.keep, &args.timezone);
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

fn times(text: &str) -> Result<Vec<Timestamp>, UsageError> {
    let texts: Vec<String> = serde_json::from_str(text).map_err(|error| {
        UsageError(format!("not a JSON array of RFC 3339 times, such as [\"2026-11-22T01:00:00Z\"]: {error}"))
    })?;
    let time = |text: &String| {
        let parsed = text.parse::<Timestamp>();
        parsed.map_err(|error| UsageError(format!("`{text}` is not a time as RFC 3339 has it: {error}")))
    };
    texts.iter().map(time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_json_array_of_rfc_3339() {
        assert_eq!(times("[]").unwrap(), []);
        assert_eq!(times(r#"["2026-11-22T02:00:00+01:00"]"#).unwrap(), ["2026-11-22T01:00:00Z".parse().unwrap()]);
        for bad in ["", "{}", "[1]", r#"["2026-11-22"]"#] {
            assert!(times(bad).is_err(), "{bad}");
        }
    }
}
