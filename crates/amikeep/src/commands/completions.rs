//! `amikeep completions`: what a shell needs to complete the command line, made from its definition.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, CompletionsArgs};
use crate::ctx::Ctx;
use crate::exit::Exit;

/// Prints the script for one shell.
pub(crate) fn run(args: &CompletionsArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    ctx.output.line(script(args.shell)?.trim_end())?;
    Ok(Exit::Done)
}

/// Made in memory first, since the generator panics where it cannot write, as into a pipe that nobody reads any more.
fn script(shell: Shell) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "amikeep", &mut bytes);
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_learns_commands_and_options() {
        for shell in Shell::value_variants() {
            let script = script(*shell).unwrap();
            let command = Cli::command();
            let verbs = command.get_subcommands().filter(|it| !it.is_hide_set()).map(clap::Command::get_name);
            for word in verbs.chain(["no-wait", "until"]) {
                assert!(script.contains(word), "{word} for {shell}");
            }
        }
    }

    #[test]
    fn the_common_shells_learn_values_too() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(script(shell).unwrap().contains("succeeded"), "a state for {shell}");
        }
    }
}
