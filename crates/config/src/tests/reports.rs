//! One report for each kind of error and warning, as an operator sees it.
#![expect(clippy::too_many_lines, reason = "nearly all lines of these tests are the reports that they expect")]

use expect_test::expect;

use crate::tests::{check, report, with_policy, with_tables};
use crate::{Color, parse};

#[test]
fn an_unknown_key_leads_to_the_nearest_one() {
    check(
        &with_policy(&[("timezon", "\"UTC\"")]),
        &expect![[r#"
        error: policies.p.timezon: unknown key
          --> amikeep.toml:11:1
           |
        11 | timezon = "UTC"
           | ^^^^^^^
           |
           = note: allowed: account, class, schedule, timezone, jitter, start_within, enabled, select, class_tag_allows, copy_tags, keep, tags, deadline, max_deletes
           = help: did you mean `timezone`?
    "#]],
    );
    check(
        &with_policy(&[("color", "\"red\"")]),
        &expect![[r#"
        error: policies.p.color: unknown key
          --> amikeep.toml:11:1
           |
        11 | color = "red"
           | ^^^^^
           |
           = note: allowed: account, class, schedule, timezone, jitter, start_within, enabled, select, class_tag_allows, copy_tags, keep, tags, deadline, max_deletes
    "#]],
    );
    check(
        &with_tables("[policy.q]\n"),
        &expect![[r#"
            error: policy: unknown key
              --> amikeep.toml:11:2
               |
            11 | [policy.q]
               |  ^^^^^^
               |
               = note: allowed: daemon, accounts, policies, classes, freezes
               = help: did you mean `policies`?
        "#]],
    );
    check(
        &with_policy(&[("keep", "{ dayly = 7 }")]),
        &expect![[r#"
        error: policies.p.keep: keep has no rule, so it does not say what to keep
          --> amikeep.toml:10:1
           |
        10 | keep = { dayly = 7 }
           | ^^^^
           |
           = help: give at least one, such as `last = 7`, or `last = -1` to keep everything

        error: policies.p.keep.dayly: unknown key
          --> amikeep.toml:10:10
           |
        10 | keep = { dayly = 7 }
           |          ^^^^^
           |
           = note: allowed: last, hourly, daily, weekly, monthly, yearly, within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly
           = help: did you mean `daily`?
    "#]],
    );
}

#[test]
fn a_misspelt_required_key_is_reported_once() {
    check(
        &with_policy(&[("schedule", ""), ("shedule", "\"0 2 * * *\"")]),
        &expect![[r#"
        error: policies.p.shedule: unknown key
          --> amikeep.toml:10:1
           |
        10 | shedule = "0 2 * * *"
           | ^^^^^^^
           |
           = note: allowed: account, class, schedule, timezone, jitter, start_within, enabled, select, class_tag_allows, copy_tags, keep, tags, deadline, max_deletes
           = help: did you mean `schedule`?
    "#]],
    );
}

#[test]
fn a_value_of_the_wrong_type_says_what_is_expected() {
    check(
        &with_policy(&[("enabled", "\"true\""), ("max_deletes", "\"50\"")]),
        &expect![[r#"
        error: policies.p.enabled: true or false is expected, not a string
          --> amikeep.toml:11:11
           |
        11 | enabled = "true"
           |           ^^^^^^
           |
           = help: leave the quotes out

        error: policies.p.max_deletes: a whole number is expected, not a string
          --> amikeep.toml:12:15
           |
        12 | max_deletes = "50"
           |               ^^^^
           |
           = help: leave the quotes out
    "#]],
    );
    check(
        &with_policy(&[("jitter", "600"), ("class", "1.5"), ("select", "[]"), ("tags", "2026-11-22")]),
        &expect![[r#"
            error: policies.p.class: a class name is expected, not a float
             --> amikeep.toml:7:9
              |
            7 | class = 1.5
              |         ^^^

            error: policies.p.select: a table is expected, not a list
             --> amikeep.toml:9:1
              |
            9 | select = []
              | ^^^^^^

            error: policies.p.jitter: a duration such as "15m" is expected, not an integer
              --> amikeep.toml:11:10
               |
            11 | jitter = 600
               |          ^^^

            error: policies.p.tags: a table is expected, not a datetime
              --> amikeep.toml:12:8
               |
            12 | tags = 2026-11-22
               |        ^^^^^^^^^^
        "#]],
    );
    check(
        "daemon = 1\n[[policies]]\nname = \"q\"\n",
        &expect![[r#"
        error: daemon: a table is expected, not an integer
         --> amikeep.toml:1:10
          |
        1 | daemon = 1
          |          ^

        error: policies: tables by name are expected, not a list of tables
         --> amikeep.toml:2:3
          |
        2 | [[policies]]
          |   ^^^^^^^^
          |
          = help: write [policies.NAME] with single brackets, one table for each
    "#]],
    );
}

#[test]
fn a_missing_key_shows_what_to_add() {
    check(
        "[accounts.a]\n[policies.p]\naccount = \"a\"\n",
        &expect![[r#"
        error: daemon: missing
         --> amikeep.toml:1:1
          |
        1 | [accounts.a]
          | ^
          |
          = help: add a table [daemon], for example with `owner = "prod-fra"`

        error: accounts.a.region: missing
         --> amikeep.toml:1:11
          |
        1 | [accounts.a]
          |           ^
          |
          = help: add it, for example `region = "eu-central-1"`

        error: policies.p.class: missing
         --> amikeep.toml:2:11
          |
        2 | [policies.p]
          |           ^
          |
          = help: add it, for example `class = "production-database"`

        error: policies.p.schedule: missing
         --> amikeep.toml:2:11
          |
        2 | [policies.p]
          |           ^
          |
          = help: add it, for example `schedule = "0 2 * * *"`

        error: policies.p.select: missing
         --> amikeep.toml:2:11
          |
        2 | [policies.p]
          |           ^
          |
          = help: add it, for example `select = { tags = { Env = "prod" } }`

        error: policies.p.keep: missing
         --> amikeep.toml:2:11
          |
        2 | [policies.p]
          |           ^
          |
          = help: add it, for example `keep = { last = 3, daily = 7 }`
    "#]],
    );
    check(
        "",
        &expect![[r#"
            error: daemon: missing
             --> amikeep.toml:1:1
              |
            1 |
              | ^
              |
              = help: add a table [daemon], for example with `owner = "prod-fra"`
        "#]],
    );
}

#[test]
fn a_bad_cron_expression_names_the_field() {
    check(
        &with_policy(&[("schedule", "\"61 2 * * *\"")]),
        &expect![[r#"
        error: policies.p.schedule: `61 2 * * *` is not a schedule: minute: `61` is not a number from 0 to 59
         --> amikeep.toml:8:12
          |
        8 | schedule = "61 2 * * *"
          |            ^^^^^^^^^^^^
    "#]],
    );
    check(
        &with_policy(&[("schedule", "\"0 2 * *\"")]),
        &expect![[r#"
        error: policies.p.schedule: `0 2 * *` is not a schedule: it has 4 fields; allowed are 5 (minute, hour, day of month, month, weekday), 6 with seconds in front, or a nickname such as @daily
         --> amikeep.toml:8:12
          |
        8 | schedule = "0 2 * *"
          |            ^^^^^^^^^
    "#]],
    );
    check(
        "[daemon]\nowner = \"test\"\nprune_schedule = \"often\"\n",
        &expect![[r#"
            error: daemon.prune_schedule: `often` is not a schedule: it has 1 field; allowed are 5 (minute, hour, day of month, month, weekday), 6 with seconds in front, or a nickname such as @daily
             --> amikeep.toml:3:18
              |
            3 | prune_schedule = "often"
              |                  ^^^^^^^
        "#]],
    );
}

#[test]
fn a_schedule_that_never_fires_is_refused() {
    check(
        &with_policy(&[("schedule", "\"0 0 31 2 *\"")]),
        &expect![[r#"
        error: policies.p.schedule: `0 0 31 2 *` never fires: no year has a day that it names
         --> amikeep.toml:8:12
          |
        8 | schedule = "0 0 31 2 *"
          |            ^^^^^^^^^^^^
    "#]],
    );
}

#[test]
fn a_bad_zone_leads_to_the_nearest_one() {
    check(
        &with_policy(&[("timezone", "\"Europe/Berln\"")]),
        &expect![[r#"
        error: policies.p.timezone: `Europe/Berln` is not a time zone: an IANA name such as Europe/Berlin, or UTC, is expected
          --> amikeep.toml:11:12
           |
        11 | timezone = "Europe/Berln"
           |            ^^^^^^^^^^^^^^
           |
           = help: did you mean `Europe/Berlin`?
    "#]],
    );
    check(
        &with_policy(&[("timezone", "\"Berlin\"")]),
        &expect![[r#"
        error: policies.p.timezone: `Berlin` is not a time zone: an IANA name such as Europe/Berlin, or UTC, is expected
          --> amikeep.toml:11:12
           |
        11 | timezone = "Berlin"
           |            ^^^^^^^^
           |
           = help: did you mean `Europe/Berlin`?
    "#]],
    );
    check(
        &with_policy(&[("timezone", "\"localtime\"")]),
        &expect![[r#"
        error: policies.p.timezone: `localtime` is not a time zone: an IANA name such as Europe/Berlin, or UTC, is expected
          --> amikeep.toml:11:12
           |
        11 | timezone = "localtime"
           |            ^^^^^^^^^^^
    "#]],
    );
}

#[test]
fn an_empty_keep_is_refused() {
    check(
        &with_policy(&[("keep", "{}")]),
        &expect![[r#"
        error: policies.p.keep: keep has no rule, so it does not say what to keep
          --> amikeep.toml:10:1
           |
        10 | keep = {}
           | ^^^^
           |
           = help: give at least one, such as `last = 7`, or `last = -1` to keep everything
    "#]],
    );
    check(
        &with_policy(&[("keep", "")]),
        &expect![[r#"
        error: policies.p.keep: missing
         --> amikeep.toml:5:11
          |
        5 | [policies.p]
          |           ^
          |
          = help: add it, for example `keep = { last = 3, daily = 7 }`
    "#]],
    );
}

#[test]
fn a_count_is_one_or_more_or_all() {
    check(
        &with_policy(&[("keep", "{ last = 0, daily = -2, weekly = 1.5, monthly = 99999999999999999999 }")]),
        &expect![[r#"
            error: policies.p.keep.last: `0` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)
              --> amikeep.toml:10:17
               |
            10 | keep = { last = 0, daily = -2, weekly = 1.5, monthly = 99999999999999999999 }
               |                 ^

            error: policies.p.keep.daily: `-2` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)
              --> amikeep.toml:10:28
               |
            10 | keep = { last = 0, daily = -2, weekly = 1.5, monthly = 99999999999999999999 }
               |                            ^^

            error: policies.p.keep.weekly: a count is expected, not a float
              --> amikeep.toml:10:41
               |
            10 | keep = { last = 0, daily = -2, weekly = 1.5, monthly = 99999999999999999999 }
               |                                         ^^^

            error: policies.p.keep.monthly: `99999999999999999999` is not a count: 1 or more, or -1 for all (leave the rule out to switch it off)
              --> amikeep.toml:10:56
               |
            10 | keep = { last = 0, daily = -2, weekly = 1.5, monthly = 99999999999999999999 }
               |                                                        ^^^^^^^^^^^^^^^^^^^^
        "#]],
    );
}

#[test]
fn a_within_rule_takes_a_duration_above_zero() {
    check(
        &with_policy(&[("keep", "{ within = \"0d\", within_daily = \"2w\", within_weekly = 7 }")]),
        &expect![[r#"
        error: policies.p.keep.within: `0d` is too short
          --> amikeep.toml:10:19
           |
        10 | keep = { within = "0d", within_daily = "2w", within_weekly = 7 }
           |                   ^^^^
           |
           = note: allowed: at least 1s

        error: policies.p.keep.within_daily: `2w` is not a duration
          --> amikeep.toml:10:40
           |
        10 | keep = { within = "0d", within_daily = "2w", within_weekly = 7 }
           |                                        ^^^^
           |
           = note: allowed: a whole number and one of s, m, h, d, such as 90s, 15m, 6h or 7d
           = help: write it in days: `14d`

        error: policies.p.keep.within_weekly: a duration such as "30d" is expected, not an integer
          --> amikeep.toml:10:62
           |
        10 | keep = { within = "0d", within_daily = "2w", within_weekly = 7 }
           |                                                              ^
    "#]],
    );
}

#[test]
fn an_empty_selection_is_refused() {
    check(
        &with_policy(&[("select", "{}")]),
        &expect![[r#"
        error: policies.p.select: nothing is selected
         --> amikeep.toml:9:1
          |
        9 | select = {}
          | ^^^^^^
          |
          = note: allowed: tags, or instances, or both; exclude_tags only takes away from them
          = help: for every instance of the account write `tags = { Name = "*" }`, or any tag that they all have
    "#]],
    );
    check(
        &with_policy(&[("select", "{ tags = {}, instances = [] }")]),
        &expect![[r#"
        error: policies.p.select: nothing is selected
         --> amikeep.toml:9:1
          |
        9 | select = { tags = {}, instances = [] }
          | ^^^^^^
          |
          = note: allowed: tags, or instances, or both; exclude_tags only takes away from them
          = help: for every instance of the account write `tags = { Name = "*" }`, or any tag that they all have
    "#]],
    );
    check(
        &with_policy(&[("select", "{ exclude_tags = { Env = \"dev\" } }")]),
        &expect![[r#"
        error: policies.p.select: nothing is selected
         --> amikeep.toml:9:1
          |
        9 | select = { exclude_tags = { Env = "dev" } }
          | ^^^^^^
          |
          = note: allowed: tags, or instances, or both; exclude_tags only takes away from them
          = help: for every instance of the account write `tags = { Name = "*" }`, or any tag that they all have
    "#]],
    );
}

#[test]
fn an_empty_list_of_values_is_refused() {
    check(
        &with_policy(&[("select", "{ tags = { Env = [], Role = \"a\" } }")]),
        &expect![[r#"
        error: policies.p.select.tags.Env: the list is empty
         --> amikeep.toml:9:21
          |
        9 | select = { tags = { Env = [], Role = "a" } }
          |                     ^^^
          |
          = note: allowed: at least one value
    "#]],
    );
    check(
        &with_policy(&[("account", "[]")]),
        &expect![[r#"
        error: policies.p.account: the list is empty
         --> amikeep.toml:6:1
          |
        6 | account = []
          | ^^^^^^^
          |
          = note: allowed: at least one value
    "#]],
    );
}

#[test]
fn a_reference_to_nothing_leads_to_the_nearest_name() {
    check(
        &with_policy(&[("account", "[\"defualt\", \"x\"]")]),
        &expect![[r#"
            error: policies.p.account[0]: there is no account `defualt`
             --> amikeep.toml:6:12
              |
            6 | account = ["defualt", "x"]
              |            ^^^^^^^^^
              |
              = note: allowed: default
              = help: did you mean `default`?

            error: policies.p.account[1]: there is no account `x`
             --> amikeep.toml:6:23
              |
            6 | account = ["defualt", "x"]
              |                       ^^^
              |
              = note: allowed: default
        "#]],
    );
    check(
        &with_policy(&[("class", "\"production-databse\"")]),
        &expect![[r#"
        error: policies.p.class: there is no class `production-databse`
         --> amikeep.toml:7:9
          |
        7 | class = "production-databse"
          |         ^^^^^^^^^^^^^^^^^^^^
          |
          = note: allowed: always-on, config-test, critical, development, golden-image, production-database, production-migration, regulated, stateful, stateless, temporary
          = help: did you mean `production-database`?
    "#]],
    );
    check(
        &with_policy(&[("class_tag_allows", "[\"stateles\"]")]),
        &expect![[r#"
        error: policies.p.class_tag_allows[0]: there is no class `stateles`
          --> amikeep.toml:11:21
           |
        11 | class_tag_allows = ["stateles"]
           |                     ^^^^^^^^^^
           |
           = note: allowed: always-on, config-test, critical, development, golden-image, production-database, production-migration, regulated, stateful, stateless, temporary
           = help: did you mean `stateless`?
    "#]],
    );
    check(
        &with_tables("[classes.stateful]\nfreeze = \"mysql\"\nconsistency = \"freeze\"\n"),
        &expect![[r#"
            error: classes.stateful.freeze: there is no freeze `mysql`
              --> amikeep.toml:12:10
               |
            12 | freeze = "mysql"
               |          ^^^^^^^
               |
               = help: add a table [freezes.mysql]
        "#]],
    );
}

#[test]
fn a_bad_id_says_what_is_allowed() {
    check(
        &with_policy(&[("select", "{ instances = [\"i-123\", \"i-0123456789abcdef0\", \"i-0123456789abcdef0\"] }")]),
        &expect![[r#"
            error: policies.p.select.instances[0]: `i-123` is not an instance id
             --> amikeep.toml:9:25
              |
            9 | select = { instances = ["i-123", "i-0123456789abcdef0", "i-0123456789abcdef0"] }
              |                         ^^^^^^^
              |
              = note: allowed: i- and 8 or 17 hexadecimal digits

            error: policies.p.select.instances[2]: listed twice
             --> amikeep.toml:9:57
              |
            9 | select = { instances = ["i-123", "i-0123456789abcdef0", "i-0123456789abcdef0"] }
              |                                                         ^^^^^^^^^^^^^^^^^^^^^
        "#]],
    );
    check(
        "[daemon]\nowner = \"Prod FRA\"\n",
        &expect![[r#"
            error: daemon.owner: `Prod FRA` is not an owner
             --> amikeep.toml:2:9
              |
            2 | owner = "Prod FRA"
              |         ^^^^^^^^^^
              |
              = note: allowed: 1 to 12 of a-z, 0-9 and -
        "#]],
    );
    check(
        "[daemon]\nowner = \"test\"\n\
         [accounts.default]\nregion = \"Frankfurt\"\naccount_id = \"1234\"\n\
         [accounts.other]\nregion = \"eu-west-1\"\naccount_id = 123456789012\n",
        &expect![[r#"
            error: accounts.default.region: `Frankfurt` is not a region
             --> amikeep.toml:4:10
              |
            4 | region = "Frankfurt"
              |          ^^^^^^^^^^^
              |
              = note: allowed: a name such as eu-central-1

            error: accounts.default.account_id: `1234` is not an account id
             --> amikeep.toml:5:14
              |
            5 | account_id = "1234"
              |              ^^^^^^
              |
              = note: allowed: 12 digits

            error: accounts.other.account_id: an account id in quotes is expected, not an integer
             --> amikeep.toml:8:14
              |
            8 | account_id = 123456789012
              |              ^^^^^^^^^^^^
        "#]],
    );
    check(
        "[daemon]\nowner = \"test\"\n[policies.\"DB Nightly\"]\n[accounts.\"a b\"]\n[classes.Big]\n[freezes.x_y]\n",
        &expect![[r#"
            error: policies."DB Nightly": `DB Nightly` is not a policy name
             --> amikeep.toml:3:11
              |
            3 | [policies."DB Nightly"]
              |           ^^^^^^^^^^^^
              |
              = note: allowed: 1 to 64 of a-z, 0-9 and -

            error: policies."DB Nightly".account: missing
             --> amikeep.toml:3:11
              |
            3 | [policies."DB Nightly"]
              |           ^^^^^^^^^^^^
              |
              = help: add it, for example `account = "default"`

            error: policies."DB Nightly".class: missing
             --> amikeep.toml:3:11
              |
            3 | [policies."DB Nightly"]
              |           ^^^^^^^^^^^^
              |
              = help: add it, for example `class = "production-database"`

            error: policies."DB Nightly".schedule: missing
             --> amikeep.toml:3:11
              |
            3 | [policies."DB Nightly"]
              |           ^^^^^^^^^^^^
              |
              = help: add it, for example `schedule = "0 2 * * *"`

            error: policies."DB Nightly".select: missing
             --> amikeep.toml:3:11
              |
            3 | [policies."DB Nightly"]
              |           ^^^^^^^^^^^^
              |
              = help: add it, for example `select = { tags = { Env = "prod" } }`

            error: policies."DB Nightly".keep: missing
             --> amikeep.toml:3:11
              |
            3 | [policies."DB Nightly"]
              |           ^^^^^^^^^^^^
              |
              = help: add it, for example `keep = { last = 3, daily = 7 }`

            error: accounts."a b": `a b` is not an account name
             --> amikeep.toml:4:11
              |
            4 | [accounts."a b"]
              |           ^^^^^
              |
              = note: allowed: 1 to 64 of a-z, A-Z, 0-9, _ and -

            error: accounts."a b".region: missing
             --> amikeep.toml:4:11
              |
            4 | [accounts."a b"]
              |           ^^^^^
              |
              = help: add it, for example `region = "eu-central-1"`

            error: classes.Big: `Big` is not a class name
             --> amikeep.toml:5:10
              |
            5 | [classes.Big]
              |          ^^^
              |
              = note: allowed: 1 to 64 of a-z, 0-9 and -

            error: freezes.x_y: `x_y` is not a freeze name
             --> amikeep.toml:6:10
              |
            6 | [freezes.x_y]
              |          ^^^
              |
              = note: allowed: 1 to 64 of a-z, 0-9 and -

            error: freezes.x_y.via: missing
             --> amikeep.toml:6:10
              |
            6 | [freezes.x_y]
              |          ^^^
              |
              = help: add it, for example `via = "local"`
        "#]],
    );
}

#[test]
fn a_tag_that_cannot_be_set_is_refused() {
    check(
        &with_policy(&[("tags", "{ \"aws:x\" = \"1\", \"amikeep:owner\" = \"2\", \"\" = \"3\", CostCenter = 42 }")]),
        &expect![[r#"
            error: policies.p.tags."aws:x": `aws:x`: tags that begin with `aws:` can only be set by AWS
              --> amikeep.toml:11:10
               |
            11 | tags = { "aws:x" = "1", "amikeep:owner" = "2", "" = "3", CostCenter = 42 }
               |          ^^^^^^^

            error: policies.p.tags."amikeep:owner": `amikeep:owner`: tags that begin with `amikeep:` are set by amikeep alone
              --> amikeep.toml:11:25
               |
            11 | tags = { "aws:x" = "1", "amikeep:owner" = "2", "" = "3", CostCenter = 42 }
               |                         ^^^^^^^^^^^^^^^

            error: policies.p.tags."": a tag key is empty
              --> amikeep.toml:11:48
               |
            11 | tags = { "aws:x" = "1", "amikeep:owner" = "2", "" = "3", CostCenter = 42 }
               |                                                ^^
               |
               = note: allowed: 1 to 127 characters

            error: policies.p.tags.CostCenter: a tag value in quotes is expected, not an integer
              --> amikeep.toml:11:71
               |
            11 | tags = { "aws:x" = "1", "amikeep:owner" = "2", "" = "3", CostCenter = 42 }
               |                                                                       ^^
        "#]],
    );
    check(
        &with_policy(&[("copy_tags", "[\"AWS:cloudformation:stack-name\", \"Team\", \"Team\"]")]),
        &expect![[r#"
            error: policies.p.copy_tags[0]: `AWS:cloudformation:stack-name`: tags that begin with `aws:` can only be set by AWS
              --> amikeep.toml:11:14
               |
            11 | copy_tags = ["AWS:cloudformation:stack-name", "Team", "Team"]
               |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

            error: policies.p.copy_tags[2]: listed twice
              --> amikeep.toml:11:55
               |
            11 | copy_tags = ["AWS:cloudformation:stack-name", "Team", "Team"]
               |                                                       ^^^^^^
        "#]],
    );
}

#[test]
fn a_duration_has_one_number_and_one_unit() {
    check(
        &with_policy(&[("jitter", "\"1h30m\""), ("start_within", "\"2w\""), ("deadline", "\"24\"")]),
        &expect![[r#"
            error: policies.p.jitter: `1h30m` is not a duration
              --> amikeep.toml:11:10
               |
            11 | jitter = "1h30m"
               |          ^^^^^^^
               |
               = note: allowed: a whole number and one of s, m, h, d, such as 90s, 15m, 6h or 7d
               = help: write it as one whole number and one unit, such as `90m`

            error: policies.p.start_within: `2w` is not a duration
              --> amikeep.toml:12:16
               |
            12 | start_within = "2w"
               |                ^^^^
               |
               = note: allowed: a whole number and one of s, m, h, d, such as 90s, 15m, 6h or 7d
               = help: write it in days: `14d`

            error: policies.p.deadline: `24` is not a duration
              --> amikeep.toml:13:12
               |
            13 | deadline = "24"
               |            ^^^^
               |
               = note: allowed: a whole number and one of s, m, h, d, such as 90s, 15m, 6h or 7d
               = help: say of what: `24s`, `24m`, `24h` or `24d`
        "#]],
    );
    check(
        &with_policy(&[("jitter", "\"5 min\"")]),
        &expect![[r#"
        error: policies.p.jitter: `5 min` is not a duration
          --> amikeep.toml:11:10
           |
        11 | jitter = "5 min"
           |          ^^^^^^^
           |
           = note: allowed: a whole number and one of s, m, h, d, such as 90s, 15m, 6h or 7d
           = help: did you mean `5m`?
    "#]],
    );
}

#[test]
fn a_duration_out_of_range_is_refused() {
    check(
        &with_policy(&[("jitter", "\"25h\""), ("start_within", "\"0s\""), ("deadline", "\"31d\"")]),
        &expect![[r#"
            error: policies.p.jitter: `25h` is too long
              --> amikeep.toml:11:10
               |
            11 | jitter = "25h"
               |          ^^^^^
               |
               = note: allowed: 0s to 1d

            error: policies.p.start_within: `0s` is too short
              --> amikeep.toml:12:16
               |
            12 | start_within = "0s"
               |                ^^^^
               |
               = note: allowed: 1s to 30d

            error: policies.p.deadline: `31d` is too long
              --> amikeep.toml:13:12
               |
            13 | deadline = "31d"
               |            ^^^^^
               |
               = note: allowed: 1s to 30d
        "#]],
    );
    for (text, problem) in [("29d", "short"), ("36501d", "long")] {
        let report = report(&format!("[daemon]\nowner = \"test\"\nhistory_keep = \"{text}\"\n"));
        assert!(report.contains(&format!("daemon.history_keep: `{text}` is too {problem}")), "{report}");
        assert!(report.contains("allowed: 30d to 36500d"), "{report}");
    }
    check(
        "[daemon]\nowner = \"test\"\nshutdown_grace = \"2h\"\n[accounts.a]\nregion = \"eu-west-1\"\nvisibility_lag = \"0s\"\n",
        &expect![[r#"
            error: daemon.shutdown_grace: `2h` is too long
             --> amikeep.toml:3:18
              |
            3 | shutdown_grace = "2h"
              |                  ^^^^
              |
              = note: allowed: 0s to 1h

            error: accounts.a.visibility_lag: `0s` is too short
             --> amikeep.toml:6:18
              |
            6 | visibility_lag = "0s"
              |                  ^^^^
              |
              = note: allowed: 1s to 1h
        "#]],
    );
}

#[test]
fn a_number_out_of_range_is_refused() {
    check(
        "[daemon]\nowner = \"test\"\nmax_concurrent_jobs = 0\n",
        &expect![[r#"
            error: daemon.max_concurrent_jobs: 0 is out of range
             --> amikeep.toml:3:23
              |
            3 | max_concurrent_jobs = 0
              |                       ^
              |
              = note: allowed: a whole number from 1 to 10000
        "#]],
    );
    check(
        &with_policy(&[("max_deletes", "-1")]),
        &expect![[r#"
        error: policies.p.max_deletes: -1 is out of range
          --> amikeep.toml:11:15
           |
        11 | max_deletes = -1
           |               ^^
           |
           = note: allowed: a whole number from 0 to 4294967295
    "#]],
    );
    check(
        &with_policy(&[("max_deletes", "0x1_0000_0000")]),
        &expect![[r#"
        error: policies.p.max_deletes: 4294967296 is out of range
          --> amikeep.toml:11:15
           |
        11 | max_deletes = 0x1_0000_0000
           |               ^^^^^^^^^^^^^
           |
           = note: allowed: a whole number from 0 to 4294967295
    "#]],
    );
}

#[test]
fn a_bad_address_or_path_is_refused() {
    check(
        "[daemon]\nowner = \"test\"\nlisten = \"localhost:8484\"\ndatabase = \"amikeep.db\"\n",
        &expect![[r#"
            error: daemon.listen: `localhost:8484` is not an address and port
             --> amikeep.toml:3:10
              |
            3 | listen = "localhost:8484"
              |          ^^^^^^^^^^^^^^^^
              |
              = note: allowed: an IP address and a port, such as 127.0.0.1:8484 or [::1]:8484, or "" for none

            error: daemon.database: `amikeep.db` is not an absolute path
             --> amikeep.toml:4:12
              |
            4 | database = "amikeep.db"
              |            ^^^^^^^^^^^^
              |
              = note: allowed: a path that begins with /, so that it is the same file from every directory
        "#]],
    );
}

#[test]
fn an_account_that_contradicts_itself_is_refused() {
    check(
        &with_tables(
            "[accounts.a]\nregion = \"eu-west-1\"\nexternal_id = \"x\"\n\
             [accounts.b]\nregion = \"eu-west-1\"\nrole_arn = \"arn:aws:iam::111111111111:role/a\"\naccount_id = \"222222222222\"\n\
             [accounts.c]\nregion = \"eu-west-1\"\nrole_arn = \"amikeep\"\nprofile = \" \"\nendpoint_url = \"localhost\"\n",
        ),
        &expect![[r#"
            error: accounts.a.external_id: an external id without a role to assume
              --> amikeep.toml:13:15
               |
            13 | external_id = "x"
               |               ^^^
               |
               = help: add `role_arn`, or leave `external_id` out

            error: accounts.b.account_id: the role is in account 111111111111, so this account would always be refused
              --> amikeep.toml:17:14
               |
            17 | account_id = "222222222222"
               |              ^^^^^^^^^^^^^^

            error: accounts.c.role_arn: `amikeep` is not the ARN of a role
              --> amikeep.toml:20:12
               |
            20 | role_arn = "amikeep"
               |            ^^^^^^^^^
               |
               = note: allowed: arn:aws:iam:: and the account id, :role/ and the role's name

            error: accounts.c.profile: is empty
              --> amikeep.toml:21:11
               |
            21 | profile = " "
               |           ^^^
               |
               = help: give it a value, or leave the key out

            error: accounts.c.endpoint_url: `localhost` is not a URL
              --> amikeep.toml:22:16
               |
            22 | endpoint_url = "localhost"
               |                ^^^^^^^^^^^
               |
               = note: allowed: https://host, or http://host:port, and a path
        "#]],
    );
}

#[test]
fn a_regulated_class_is_never_weakened() {
    check(
        &with_tables("[classes.regulated]\nconsistency = \"no-reboot\"\n"),
        &expect![[r#"
        error: classes.regulated.consistency: `regulated` is never imaged without a reboot or a freeze
          --> amikeep.toml:12:15
           |
        12 | consistency = "no-reboot"
           |               ^^^^^^^^^^^
           |
           = note: allowed: reboot, freeze
           = help: use a class of another name for instances that may be
    "#]],
    );
    check(
        &with_tables("[classes.regulated]\nif_blocked = \"no-reboot\"\n"),
        &expect![[r#"
        error: classes.regulated.if_blocked: `regulated` is never imaged without a reboot or a freeze
          --> amikeep.toml:12:14
           |
        12 | if_blocked = "no-reboot"
           |              ^^^^^^^^^^^
           |
           = note: allowed: fail, wait
           = help: use a class of another name for instances that may be
    "#]],
    );
}

#[test]
fn a_reboot_window_has_days_and_a_length() {
    check(
        &with_tables("[classes.stateful]\nreboot_window = { days = \"Saturday\", from = \"25:00\", to = \"5:00\" }\n"),
        &expect![[r#"
            error: classes.stateful.reboot_window.days: `Saturday` is not a day of the week
              --> amikeep.toml:12:26
               |
            12 | reboot_window = { days = "Saturday", from = "25:00", to = "5:00" }
               |                          ^^^^^^^^^^
               |
               = note: allowed: Mon, Tue, Wed, Thu, Fri, Sat, Sun, with commas, or a range such as Mon-Fri
               = help: did you mean `Sat`?

            error: classes.stateful.reboot_window.from: `25:00` is not a time of day
              --> amikeep.toml:12:45
               |
            12 | reboot_window = { days = "Saturday", from = "25:00", to = "5:00" }
               |                                             ^^^^^^^
               |
               = note: allowed: 00:00 to 23:59, as HH:MM

            error: classes.stateful.reboot_window.to: `5:00` is not a time of day
              --> amikeep.toml:12:59
               |
            12 | reboot_window = { days = "Saturday", from = "25:00", to = "5:00" }
               |                                                           ^^^^^^
               |
               = note: allowed: 00:00 to 23:59, as HH:MM
        "#]],
    );
    check(
        &with_tables("[classes.stateful]\nreboot_window = { from = \"01:00\", to = \"01:00\" }\n"),
        &expect![[r#"
            error: classes.stateful.reboot_window.to: `classes.stateful.reboot_window` is empty: it closes when it opens
              --> amikeep.toml:12:40
               |
            12 | reboot_window = { from = "01:00", to = "01:00" }
               |                                        ^^^^^^^
               |
               = help: give it a length; for a whole day write 00:00 to 23:59
        "#]],
    );
    check(
        &with_tables("[classes.stateful]\nreboot_window = { days = \"Sat,Sat\", to = \"24:00\" }\n"),
        &expect![[r#"
            error: classes.stateful.reboot_window.from: missing
              --> amikeep.toml:12:1
               |
            12 | reboot_window = { days = "Sat,Sat", to = "24:00" }
               | ^^^^^^^^^^^^^
               |
               = help: add it, for example `from = "01:00"`

            error: classes.stateful.reboot_window.days: `Sat,Sat` names Sat twice
              --> amikeep.toml:12:26
               |
            12 | reboot_window = { days = "Sat,Sat", to = "24:00" }
               |                          ^^^^^^^^^

            error: classes.stateful.reboot_window.to: `24:00` is not a time of day
              --> amikeep.toml:12:42
               |
            12 | reboot_window = { days = "Sat,Sat", to = "24:00" }
               |                                          ^^^^^^^
               |
               = note: allowed: 00:00 to 23:59, as HH:MM
               = help: write midnight as `00:00`
        "#]],
    );
}

#[test]
fn a_class_that_asks_for_a_freeze_names_one() {
    check(
        &with_policy(&[("class", "\"critical\"")]),
        &expect![[r#"
        error: policies.p.class: class `critical` asks for a freeze and does not say which
         --> amikeep.toml:7:9
          |
        7 | class = "critical"
          |         ^^^^^^^^^^
          |
          = help: add `freeze = "NAME"` to [classes.critical] and a table [freezes.NAME] that says how the instance is held still; or set `consistency = "reboot"` or `"no-reboot"` in [classes.critical]
    "#]],
    );
    check(
        &with_policy(&[("class_tag_allows", "[\"critical\", \"stateless\"]")]),
        &expect![[r#"
        error: policies.p.class_tag_allows[0]: class `critical` asks for a freeze and does not say which
          --> amikeep.toml:11:21
           |
        11 | class_tag_allows = ["critical", "stateless"]
           |                     ^^^^^^^^^^
           |
           = help: add `freeze = "NAME"` to [classes.critical] and a table [freezes.NAME] that says how the instance is held still; or set `consistency = "reboot"` or `"no-reboot"` in [classes.critical]
    "#]],
    );
    check(
        &with_tables("[classes.stateful]\nconsistency = \"freeze\"\n"),
        &expect![[r#"
        error: policies.p.class: class `stateful` asks for a freeze and does not say which
         --> amikeep.toml:7:9
          |
        7 | class = "stateful"
          |         ^^^^^^^^^^
          |
          = help: add `freeze = "NAME"` to [classes.stateful] and a table [freezes.NAME] that says how the instance is held still; or set `consistency = "reboot"` or `"no-reboot"` in [classes.stateful]
    "#]],
    );
    let named = "[classes.critical]\nfreeze = \"db\"\n[freezes.db]\nvia = \"local\"\nmounts = [\"/data\"]\n";
    check(&(with_policy(&[("class", "\"critical\"")]) + named), &expect![[r#""#]]);
}

#[test]
fn what_a_freeze_cannot_do_is_refused() {
    check(
        &with_tables(
            "[freezes.a]\nvia = \"ssm\"\nmounts = [\"/data\"]\ndevices = [\"/dev/sdf\"]\n\
             application = \"redis\"\nconnection = { env = \"URL\" }\npre = [[\"/bin/drain\"]]\npost = []\n\
             [freezes.b]\nvia = \"local\"\nmounts = [\"/data\"]\napplication = \"redis\"\nconnection = { env = \"URL\" }\n\
             mysql_lock = \"read-lock\"\ncapture = \"snapshots\"\n",
        ),
        &expect![[r#"
            error: freezes.a.pre: through Systems Manager these would run while the application is locked
              --> amikeep.toml:17:1
               |
            17 | pre = [["/bin/drain"]]
               | ^^^
               |
               = help: leave them out, and let amikeep hold the application; or set `application = "none"`

            error: freezes.b.mysql_lock: only `application = "mysql"` is held by it
              --> amikeep.toml:24:14
               |
            24 | mysql_lock = "read-lock"
               |              ^^^^^^^^^^^
               |
               = help: leave it out
        "#]],
    );
}

#[test]
fn what_the_guard_on_another_machine_cannot_do_is_refused() {
    check(
        &with_tables(
            "[freezes.a]\nvia = \"ssm\"\ndevices = [\"/dev/sdf\"]\n\
             mounts = [\"/a\", \"/my data\", \"/c\", \"/d\", \"/e\", \"/f\", \"/g\"]\n",
        ),
        &expect![[r#"
            error: freezes.a.mounts[1]: this mount point has a character that cannot be used through Systems Manager
              --> amikeep.toml:14:17
               |
            14 | mounts = ["/a", "/my data", "/c", "/d", "/e", "/f", "/g"]
               |                 ^^^^^^^^^^
               |
               = help: letters, digits and `/._@:+,=-` can

            error: freezes.a.mounts[6]: through Systems Manager at most 6 mounts can be frozen at once
              --> amikeep.toml:14:53
               |
            14 | mounts = ["/a", "/my data", "/c", "/d", "/e", "/f", "/g"]
               |                                                     ^^^^
               |
               = help: name fewer
        "#]],
    );
}

#[test]
fn the_commands_of_a_freeze_are_checked() {
    check(
        &with_tables(
            "[freezes.a]\nvia = \"command\"\nfreeze = [\"freeze\"]\n\
             [freezes.b]\nvia = \"command\"\nfreeze = [\"/bin/f\", \"{instanceid}\"]\nthaw = [\"/bin/t\", \"{name}\"]\n\
             devices = [\"dev sdf\"]\ninstance = \"i-0123456789abcdef0\"\n\
             [freezes.c]\nvia = \"local\"\nmounts = [\"/x\"]\nfreeze = [\"/bin/f\"]\npre = [\"/bin/a\", \"b\"]\n\
             post = [[\"/bin/a\"], [\"b\"], \"c\"]\n",
        ),
        &expect![[r#"
            error: freezes.a.devices: missing
              --> amikeep.toml:11:10
               |
            11 | [freezes.a]
               |          ^
               |
               = help: with `via = "command"` nobody but you knows which volumes are held still: name their devices as EC2 shows them, such as `devices = ["/dev/sdf"]`

            error: freezes.a.thaw: missing
              --> amikeep.toml:11:10
               |
            11 | [freezes.a]
               |          ^
               |
               = help: with `via = "command"` one program freezes and another thaws, so both are needed

            error: freezes.a.freeze: not a program and its arguments
              --> amikeep.toml:13:1
               |
            13 | freeze = ["freeze"]
               | ^^^^^^
               |
               = note: allowed: a list of texts, the first of which is the absolute path of the program

            error: freezes.b.freeze: there is no placeholder `{instanceid}`
              --> amikeep.toml:16:1
               |
            16 | freeze = ["/bin/f", "{instanceid}"]
               | ^^^^^^
               |
               = note: allowed: {instance_id}, {job_id}, {region}, {budget_seconds}, {not_after}
               = help: did you mean `instance_id`?

            error: freezes.b.thaw: there is no placeholder `{name}`
              --> amikeep.toml:17:1
               |
            17 | thaw = ["/bin/t", "{name}"]
               | ^^^^
               |
               = note: allowed: {instance_id}, {job_id}, {region}, {budget_seconds}, {not_after}

            error: freezes.b.devices[0]: `dev sdf` is not a device name
              --> amikeep.toml:18:12
               |
            18 | devices = ["dev sdf"]
               |            ^^^^^^^^^
               |
               = note: allowed: the name by which EC2 shows the volume as attached, such as /dev/sdf

            error: freezes.b.instance: only `via = "local"` freezes one certain instance
              --> amikeep.toml:19:12
               |
            19 | instance = "i-0123456789abcdef0"
               |            ^^^^^^^^^^^^^^^^^^^^^
               |
               = help: leave it out

            error: freezes.c.freeze: a command that nothing would run
              --> amikeep.toml:23:1
               |
            23 | freeze = ["/bin/f"]
               | ^^^^^^
               |
               = help: set `via = "command"`, or leave it out; `pre` and `post` run beside any freeze

            error: freezes.c.pre: a list of programs is expected, not one program
              --> amikeep.toml:24:1
               |
            24 | pre = ["/bin/a", "b"]
               | ^^^
               |
               = help: write one more pair of brackets: `[["/path/of/program", "argument"]]`

            error: freezes.c.post[1]: not a program and its arguments
              --> amikeep.toml:25:21
               |
            25 | post = [["/bin/a"], ["b"], "c"]
               |                     ^^^^^
               |
               = note: allowed: a list of texts, the first of which is the absolute path of the program

            error: freezes.c.post[2]: a list of a program and its arguments is expected, not a string
              --> amikeep.toml:25:28
               |
            25 | post = [["/bin/a"], ["b"], "c"]
               |                            ^^^
        "#]],
    );
}

#[test]
fn a_new_class_says_its_mode() {
    check(
        &(with_policy(&[("class", "\"mine\"")]) + "[classes.mine]\n"),
        &expect![[r#"
        error: classes.mine.consistency: missing, and the class is not built in
          --> amikeep.toml:11:10
           |
        11 | [classes.mine]
           |          ^^^^
           |
           = note: allowed: reboot, no-reboot, freeze
    "#]],
    );
    check(
        &with_tables("[classes.production-databse]\nif_blocked = \"wait\"\n"),
        &expect![[r#"
            error: classes.production-databse.consistency: missing, and the class is not built in
              --> amikeep.toml:11:10
               |
            11 | [classes.production-databse]
               |          ^^^^^^^^^^^^^^^^^^
               |
               = note: allowed: reboot, no-reboot, freeze
               = help: did you mean `production-database`?
        "#]],
    );
}

#[test]
fn a_class_whose_keys_do_not_fit_is_reported() {
    check(
        &with_tables(
            "[classes.stateful]\nfreeze = \"db\"\n\
             [classes.stateless]\nreboot_window = { from = \"01:00\", to = \"02:00\" }\nreboot_in_asg = true\n\
             [freezes.db]\nvia = \"local\"\nmounts = [\"/data\"]\n",
        ),
        &expect![[r#"
            error: classes.stateful.freeze: a freeze is named, but the class's mode is reboot
              --> amikeep.toml:12:10
               |
            12 | freeze = "db"
               |          ^^^^
               |
               = help: set `consistency = "freeze"`, or leave `freeze` out

            warning: classes.stateless.reboot_window: has no effect, since the class's mode is no-reboot
              --> amikeep.toml:14:1
               |
            14 | reboot_window = { from = "01:00", to = "02:00" }
               | ^^^^^^^^^^^^^

            warning: classes.stateless.reboot_in_asg: has no effect, since the class's mode is no-reboot
              --> amikeep.toml:15:17
               |
            15 | reboot_in_asg = true
               |                 ^^^^
        "#]],
    );
    check(
        &with_tables("[classes.stateful]\nconsistency = \"no_reboot\"\nif_blocked = \"retry\"\n"),
        &expect![[r#"
        error: classes.stateful.consistency: `no_reboot` is not a mode
          --> amikeep.toml:12:15
           |
        12 | consistency = "no_reboot"
           |               ^^^^^^^^^^^
           |
           = note: allowed: reboot, no-reboot, freeze
           = help: did you mean `no-reboot`?

        error: classes.stateful.if_blocked: `retry` is not an answer to a blocked mode
          --> amikeep.toml:13:14
           |
        13 | if_blocked = "retry"
           |              ^^^^^^^
           |
           = note: allowed: fail, no-reboot, wait
    "#]],
    );
}

#[test]
fn a_freeze_is_checked_as_a_whole() {
    check(
        &with_tables(
            "[freezes.a]\nvia = \"local\"\nbudget = \"5s\"\n\
             [freezes.b]\nvia = \"local\"\nmounts = [\"/x\"]\napplication = \"redis\"\nlock_wait = \"20s\"\n\
             [freezes.c]\nvia = \"ssh\"\nmounts = [\"data\", \"/x\", \"/x\"]\napplication = \"postgres\"\n\
             connection = {}\nbudget = \"5m\"\n\
             [freezes.d]\nvia = \"local\"\nmounts = [\"/x\"]\nconnection = { env = \"A\", file = \"/b\" }\n",
        ),
        &expect![[r#"
            error: freezes.a.mounts: nothing to freeze
              --> amikeep.toml:11:10
               |
            11 | [freezes.a]
               |          ^
               |
               = help: name at least one mount point

            error: freezes.a.budget: `lock_wait` must be less than `budget`, or waiting alone would use it up
              --> amikeep.toml:13:10
               |
            13 | budget = "5s"
               |          ^^^^

            error: freezes.b.connection: missing
              --> amikeep.toml:14:10
               |
            14 | [freezes.b]
               |          ^
               |
               = help: say where the application's address is found, such as `{ credential = "database-url" }`

            error: freezes.b.lock_wait: `lock_wait` must be less than `budget`, or waiting alone would use it up
              --> amikeep.toml:18:13
               |
            18 | lock_wait = "20s"
               |             ^^^^^

            error: freezes.c.via: `ssh` is not a way to reach the instance
              --> amikeep.toml:20:7
               |
            20 | via = "ssh"
               |       ^^^^^
               |
               = note: allowed: local, ssm, command

            error: freezes.c.mounts[0]: `data` is not an absolute path
              --> amikeep.toml:21:11
               |
            21 | mounts = ["data", "/x", "/x"]
               |           ^^^^^^
               |
               = note: allowed: a path that begins with /, so that it is the same file from every directory

            error: freezes.c.mounts[2]: listed twice
              --> amikeep.toml:21:25
               |
            21 | mounts = ["data", "/x", "/x"]
               |                         ^^^^

            error: freezes.c.application: `postgres` is not an application
              --> amikeep.toml:22:15
               |
            22 | application = "postgres"
               |               ^^^^^^^^^^
               |
               = note: allowed: none, mysql, postgresql, redis
               = help: did you mean `postgresql`?

            error: freezes.c.connection: one place for credentials is expected, none is given
              --> amikeep.toml:23:1
               |
            23 | connection = {}
               | ^^^^^^^^^^
               |
               = note: allowed: credential, file or env

            error: freezes.c.budget: `5m` is too long
              --> amikeep.toml:24:10
               |
            24 | budget = "5m"
               |          ^^^^
               |
               = note: allowed: 1s to 2m

            error: freezes.d.connection: one place for credentials is expected, more than one is given
              --> amikeep.toml:28:1
               |
            28 | connection = { env = "A", file = "/b" }
               | ^^^^^^^^^^
               |
               = note: allowed: credential, file or env

            error: freezes.d.connection: a connection without an application
              --> amikeep.toml:28:1
               |
            28 | connection = { env = "A", file = "/b" }
               | ^^^^^^^^^^
               |
               = help: say which `application` it is for
        "#]],
    );
}

#[test]
fn what_is_accepted_and_doubtful_is_a_warning() {
    check(
        "[daemon]\nowner = \"test\"\nlisten = \"0.0.0.0:80\"\n",
        &expect![[r#"
        warning: there is no policy, so nothing is backed up
         --> amikeep.toml:1:1
          |
        1 | [daemon]
          | ^
          |
          = help: add [policies.NAME]; config/minimal.toml of the source tree shows the smallest one

        warning: daemon.listen: nobody is asked who they are: whoever reaches this address reads names of policies and accounts
         --> amikeep.toml:3:10
          |
        3 | listen = "0.0.0.0:80"
          |          ^^^^^^^^^^^^
          |
          = help: let a firewall allow who may, or listen at 127.0.0.1
    "#]],
    );
    check(
        &with_policy(&[("enabled", "false"), ("schedule", "\"*/2 * * * *\""), ("keep", "{ last = -1, daily = 7 }")]),
        &expect![[r#"
            warning: policies.p.schedule: fires more often than every 5 minutes, while an image takes longer than that
             --> amikeep.toml:8:12
              |
            8 | schedule = "*/2 * * * *"
              |            ^^^^^^^^^^^^^
              |
              = help: a job waits while an image of its instance is pending, and is skipped when its start_within ends; choose a longer interval

            warning: policies.p.keep.last: keeps images for ever, and their snapshots are paid for as long as they exist
              --> amikeep.toml:10:17
               |
            10 | keep = { last = -1, daily = 7 }
               |                 ^^

            warning: policies.p.enabled: the policy is switched off: nothing new is backed up by it
              --> amikeep.toml:11:11
               |
            11 | enabled = false
               |           ^^^^^
        "#]],
    );
    check(
        &with_tables("[accounts.spare]\nregion = \"eu-west-1\"\n[classes.development2]\nconsistency = \"no-reboot\"\n"),
        &expect![[r#"
            warning: accounts.spare: no policy uses this account
              --> amikeep.toml:11:11
               |
            11 | [accounts.spare]
               |           ^^^^^

            warning: classes.development2: no policy uses this class
              --> amikeep.toml:13:10
               |
            13 | [classes.development2]
               |          ^^^^^^^^^^^^
               |
               = help: did you mean `development`?
        "#]],
    );
}

#[test]
fn a_policy_that_names_one_account_twice_is_refused() {
    let account =
        |name: &str, region: &str| format!("[accounts.{name}]\nregion = \"{region}\"\naccount_id = \"123456789012\"\n");
    let file = |region: &str| {
        with_policy(&[("account", "[\"a\", \"b\", \"default\"]")]) + &account("a", "eu-west-1") + &account("b", region)
    };
    assert_eq!(report(&file("eu-west-2")), "");
    check(
        &file("eu-west-1"),
        &expect![[r#"
        error: policies.p.account[1]: `b` is the same account and region as `a`
         --> amikeep.toml:6:17
          |
        6 | account = ["a", "b", "default"]
          |                 ^^^
    "#]],
    );
}

#[test]
fn all_errors_of_a_file_are_reported_at_once_in_its_order() {
    let text = "\
[daemon]
owner = \"Prod FRA\"
max_concurent_jobs = 8

[accounts.default]
region = 7

[policies.db]
account  = \"defualt\"
class    = \"critical\"
schedule = \"0 25 * * *\"
timezone = \"Europe/Berln\"
jitter   = \"1h30m\"
select   = { tags = { Env = [] } }
keep     = {}
tags     = { \"aws:team\" = \"x\" }
";
    check(
        text,
        &expect![[r#"
            error: daemon.owner: `Prod FRA` is not an owner
             --> amikeep.toml:2:9
              |
            2 | owner = "Prod FRA"
              |         ^^^^^^^^^^
              |
              = note: allowed: 1 to 12 of a-z, 0-9 and -

            error: daemon.max_concurent_jobs: unknown key
             --> amikeep.toml:3:1
              |
            3 | max_concurent_jobs = 8
              | ^^^^^^^^^^^^^^^^^^
              |
              = note: allowed: owner, database, listen, socket, max_concurrent_jobs, shutdown_grace, ledger_backups, prune_schedule, history_keep
              = help: did you mean `max_concurrent_jobs`?

            error: accounts.default.region: a region is expected, not an integer
             --> amikeep.toml:6:10
              |
            6 | region = 7
              |          ^

            error: policies.db.account: there is no account `defualt`
             --> amikeep.toml:9:12
              |
            9 | account  = "defualt"
              |            ^^^^^^^^^
              |
              = note: allowed: default
              = help: did you mean `default`?

            error: policies.db.class: class `critical` asks for a freeze and does not say which
              --> amikeep.toml:10:12
               |
            10 | class    = "critical"
               |            ^^^^^^^^^^
               |
               = help: add `freeze = "NAME"` to [classes.critical] and a table [freezes.NAME] that says how the instance is held still; or set `consistency = "reboot"` or `"no-reboot"` in [classes.critical]

            error: policies.db.schedule: `0 25 * * *` is not a schedule: hour: `25` is not a number from 0 to 23
              --> amikeep.toml:11:12
               |
            11 | schedule = "0 25 * * *"
               |            ^^^^^^^^^^^^

            error: policies.db.timezone: `Europe/Berln` is not a time zone: an IANA name such as Europe/Berlin, or UTC, is expected
              --> amikeep.toml:12:12
               |
            12 | timezone = "Europe/Berln"
               |            ^^^^^^^^^^^^^^
               |
               = help: did you mean `Europe/Berlin`?

            error: policies.db.jitter: `1h30m` is not a duration
              --> amikeep.toml:13:12
               |
            13 | jitter   = "1h30m"
               |            ^^^^^^^
               |
               = note: allowed: a whole number and one of s, m, h, d, such as 90s, 15m, 6h or 7d
               = help: write it as one whole number and one unit, such as `90m`

            error: policies.db.select.tags.Env: the list is empty
              --> amikeep.toml:14:23
               |
            14 | select   = { tags = { Env = [] } }
               |                       ^^^
               |
               = note: allowed: at least one value

            error: policies.db.keep: keep has no rule, so it does not say what to keep
              --> amikeep.toml:15:1
               |
            15 | keep     = {}
               | ^^^^
               |
               = help: give at least one, such as `last = 7`, or `last = -1` to keep everything

            error: policies.db.tags."aws:team": `aws:team`: tags that begin with `aws:` can only be set by AWS
              --> amikeep.toml:16:14
               |
            16 | tags     = { "aws:team" = "x" }
               |              ^^^^^^^^^^
        "#]],
    );
}

#[test]
fn too_many_tags_are_refused_before_ec2_refuses_the_image() {
    let tags = |n: usize| (0..n).map(|i| format!("T{i} = \"x\"")).collect::<Vec<_>>().join(", ");
    let file = |n: usize| {
        with_policy(&[("tags", &format!("{{ Name = \"n\", {} }}", tags(n))), ("copy_tags", "[\"T0\", \"Team\"]")])
    };
    assert_eq!(report(&file(38)), "");
    let refused = report(&file(39));
    let lines: Vec<&str> = refused.lines().filter(|line| !line.contains("Name =")).collect();
    expect![[r#"
        error: policies.p.tags: `tags` and `copy_tags` make 40 different tags, and EC2 would refuse the image
          --> amikeep.toml:11:1
           |
           | ^^^^
           |
           = note: allowed: 39: EC2 takes 50, of which amikeep needs 11"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_long_key_or_value_of_a_tag_is_refused() {
    let key = "k".repeat(128);
    let value = "v".repeat(257);
    let text = with_policy(&[("tags", &format!("{{ {key} = \"x\", K = \"{value}\" }}"))]);
    let refused = parse(&text, "f").unwrap_err();
    let messages: Vec<String> = refused.report().errors().map(crate::Diagnostic::full_message).collect();
    assert_eq!(
        messages,
        [
            "a tag key of 128 characters; allowed: 1 to 127 characters",
            "a tag value of 257 characters; allowed: at most 256 characters"
        ]
    );
}

#[test]
fn a_password_in_an_endpoint_is_refused_and_never_shown() {
    let text = "[daemon]\nowner = \"test\"\n\
                [accounts]\ndefault = { region = 1, endpoint_url = \"https://me:hunter2@host\" }\n";
    check(
        text,
        &expect![[r#"
            error: accounts.default.region: a region is expected, not an integer
             --> amikeep.toml:4:22
              |
            4 | default = { region = 1, endpoint_url = ************************* }
              |                      ^

            error: accounts.default.endpoint_url: a URL with a user or password in it is refused: this file holds no secrets
             --> amikeep.toml:4:40
              |
            4 | default = { region = 1, endpoint_url = ************************* }
              |                                        ^^^^^^^^^^^^^^^^^^^^^^^^^
              |
              = help: leave out everything up to the `@`; credentials come from the SDK's chain
        "#]],
    );
    let error = parse(text, "f").unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_terminal_is_shown_colours_only_when_asked() {
    let error = parse(&with_policy(&[("jitter", "1")]), "f").unwrap_err();
    assert!(!error.report().render(Color::Plain).contains('\u{1b}'));
    assert!(error.report().render(Color::Ansi).contains('\u{1b}'));
}

#[test]
fn what_is_written_in_a_file_cannot_command_a_terminal_or_break_a_log() {
    let error = parse(&with_policy(&[("class", "\"a\\u001b[31m\\n\\u009b\\u202eb\"")]), "f").unwrap_err();
    assert!(!error.report().render(Color::Plain).contains('\u{1b}'));
    let line = error.report().errors().next().unwrap().to_string();
    assert_eq!(
        line,
        "f:7:9: policies.p.class: `a\\u{1b}[31m\\n\\u{9b}\\u{202e}b` is not a class name; allowed: 1 to 64 of a-z, 0-9 and -"
    );
}

#[test]
fn a_diagnostic_fits_on_one_line_of_a_log() {
    let error =
        parse(&with_policy(&[("class", "\"production-databse\""), ("jitter", "\"2w\"")]), "f.toml").unwrap_err();
    let lines: Vec<String> = error.report().errors().map(ToString::to_string).collect();
    expect![[r#"
        f.toml:7:9: policies.p.class: there is no class `production-databse`; allowed: always-on, config-test, critical, development, golden-image, production-database, production-migration, regulated, stateful, stateless, temporary (did you mean `production-database`?)
        f.toml:11:10: policies.p.jitter: `2w` is not a duration; allowed: a whole number and one of s, m, h, d, such as 90s, 15m, 6h or 7d (write it in days: `14d`)"#]].assert_eq(&lines.join("\n"));
}
