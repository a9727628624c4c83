//! `amikeep schema`: the JSON Schema of the configuration file, whatever the format, since it is JSON by itself.

use crate::cli::SchemaArgs;
use crate::ctx::Ctx;
use crate::exit::Exit;

pub(crate) fn run(_args: &SchemaArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    ctx.output.json(&amikeep_config::schema())?;
    Ok(Exit::Done)
}
