//! The command line accepts what is documented, refuses what cannot be meant, and points to the answers.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("amikeep").chain(line.split_whitespace()))
}

#[test]
fn the_definitions_contradict_nothing() {
    Cli::command().debug_assert();
}

#[test]
fn global_options_may_follow_the_command() {
    let cli = parse("plan --format json --config /tmp/a.toml -vv").unwrap();
    assert_eq!((cli.format, cli.verbose), (Format::Json, 2));
    assert_eq!(cli.config, Some(PathBuf::from("/tmp/a.toml")));
}

#[test]
fn values_that_cannot_be_meant_are_usage_errors() {
    for line in [
        "",
        "explain db-1",
        "backup",
        "backup i-0123456789abcdef0 --consistency gentle",
        "history --state broken",
        "history --limit 0",
        "history --limit 1001",
        "history --fires --state failed",
        "history --since yesterday",
        "simulate --keep daily=0",
        "simulate",
        "plan --from 24",
        "--format yaml plan",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn every_command_explains_itself_and_the_whole_points_to_the_answers() {
    let mut command = Cli::command();
    let help = command.render_long_help().to_string();
    for answer in ["amikeep plan", "amikeep history --state failed", "amikeep show JOB", "Exit codes: 0 done"] {
        assert!(help.contains(answer), "{answer}");
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let long = sub.get_long_about().map(ToString::to_string).unwrap_or_default();
        assert!(40 < long.len(), "{}", sub.get_name());
    }
}
