//! Tables fit the terminal they are on, and lose the least important first.

use amikeep_view::table::Column;
use expect_test::{Expect, expect};

use super::*;

/// The shape of `history`, with a job that failed.
fn history() -> Table {
    history_with("reboot_blocked: a reboot is allowed only within Sat 01:00-05:00; class stateful asks for a reboot")
}

fn history_with(note: &str) -> Table {
    let columns = vec![
        Column::new("SCHEDULED (UTC)", Fit::Whole),
        Column::new("POLICY", Fit::Optional(3)),
        Column::new("ACCOUNT", Fit::Optional(5)),
        Column::new("INSTANCE", Fit::Whole),
        Column::new("STATE", Fit::Whole),
        Column::new("GRADE", Fit::Optional(1)),
        Column::new("MODE", Fit::Optional(4)),
        Column::new("JOB", Fit::Whole),
        Column::new("NOTE", Fit::OptionalWraps(0)),
    ];
    let row = |texts: [&str; 9], tone| texts.iter().map(|text| Cell::new(*text, tone)).collect();
    let id = "i-0123456789abcdef0";
    let rows = vec![
        row(["2026-11-22 01:00", "db-nightly", "default", id, "failed", "-", "reboot", "8a4c6e10", note], Tone::Bad),
        row(
            ["2026-11-21 01:00", "db-nightly", "default", id, "succeeded", "clean", "reboot", "77aa01fe", ""],
            Tone::Plain,
        ),
    ];
    Table { columns, rows }
}

fn check(width: Option<u16>, expect: &Expect) {
    check_table(&history(), width, expect);
}

fn check_table(table: &Table, width: Option<u16>, expect: &Expect) {
    let text = render(table, width, Color::Plain).text;
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(width.is_none_or(|width| widest <= usize::from(width)), "{widest} columns");
    expect.assert_eq(&text);
}

#[test]
fn a_table_fits_80_columns_and_keeps_what_matters() {
    check_table(
        &history_with("UnauthorizedOperation"),
        Some(80),
        &expect![[r#"
            SCHEDULED (UTC)   INSTANCE             STATE      GRADE  JOB       NOTE
            2026-11-22 01:00  i-0123456789abcdef0  failed     -      8a4c6e10  UnauthorizedO
                                                                               peration
            2026-11-21 01:00  i-0123456789abcdef0  succeeded  clean  77aa01fe"#]],
    );
}

#[test]
fn a_wide_terminal_shows_everything() {
    check(
        Some(200),
        &expect![[r#"
        SCHEDULED (UTC)   POLICY      ACCOUNT  INSTANCE             STATE      GRADE  MODE    JOB       NOTE
        2026-11-22 01:00  db-nightly  default  i-0123456789abcdef0  failed     -      reboot  8a4c6e10  reboot_blocked: a reboot is allowed only within Sat 01:00-05:00; class stateful asks for a reboot
        2026-11-21 01:00  db-nightly  default  i-0123456789abcdef0  succeeded  clean  reboot  77aa01fe"#]],
    );
}

#[test]
fn between_the_two_notes_are_broken_into_lines() {
    check(
        Some(120),
        &expect![[r#"
        SCHEDULED (UTC)   POLICY      ACCOUNT  INSTANCE             STATE      GRADE  MODE    JOB       NOTE
        2026-11-22 01:00  db-nightly  default  i-0123456789abcdef0  failed     -      reboot  8a4c6e10  reboot_blocked: a reboot
                                                                                                        is allowed only within
                                                                                                        Sat 01:00-05:00; class
                                                                                                        stateful asks for a
                                                                                                        reboot
        2026-11-21 01:00  db-nightly  default  i-0123456789abcdef0  succeeded  clean  reboot  77aa01fe"#]],
    );
}

#[test]
fn a_pipe_gets_one_line_a_row_with_everything() {
    check(
        None,
        &expect![[r#"
        SCHEDULED (UTC)   POLICY      ACCOUNT  INSTANCE             STATE      GRADE  MODE    JOB       NOTE
        2026-11-22 01:00  db-nightly  default  i-0123456789abcdef0  failed     -      reboot  8a4c6e10  reboot_blocked: a reboot is allowed only within Sat 01:00-05:00; class stateful asks for a reboot
        2026-11-21 01:00  db-nightly  default  i-0123456789abcdef0  succeeded  clean  reboot  77aa01fe"#]],
    );
}

#[test]
fn colours_are_there_when_they_are_wanted_and_only_then() {
    assert!(render(&history(), Some(80), Color::Ansi).text.contains("\u{1b}["));
    assert!(!render(&history(), Some(80), Color::Plain).text.contains('\u{1b}'));
}

#[test]
fn an_optional_column_without_a_text_is_left_out() {
    let mut table = history();
    table.rows.remove(0);
    assert!(!render(&table, None, Color::Plain).text.contains("NOTE"));
}

#[test]
fn it_is_said_when_there_is_no_room_for_a_column_that_says_something() {
    assert!(render(&history(), Some(80), Color::Plain).is_cut);
    assert!(!render(&history(), Some(200), Color::Plain).is_cut);
    assert!(!render(&history(), None, Color::Plain).is_cut);
}
