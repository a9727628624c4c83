//! `[freezes.NAME]`: how an instance is held still.

use std::collections::BTreeMap;

use amikeep_domain::freeze::{
    Application, BUDGET_DEFAULT, BUDGET_SSM_DEFAULT, Commands, Connection, Freeze, MysqlLock, Via,
};
use amikeep_domain::id::FreezeName;
use jiff::SignedDuration;

use crate::build::inside;
use crate::findings::{At, Findings};
use crate::keys::{ConnectionKeys, FreezeKeys};
use crate::section::Field;
use crate::suggest;
use crate::value::Located;
use crate::value::list::Argv;
use crate::value::table::{Entry, Named};

/// What may stand in braces in a command of `via = "command"`. All of it is made of letters, digits and dashes, so that no
/// value can mean more than itself to whatever reads it.
pub(crate) const PLACEHOLDERS: [&str; 5] = ["instance_id", "job_id", "region", "budget_seconds", "not_after"];

/// The guard on another machine is a shell script, with as many descriptors as have names.
const REMOTE_MOUNTS_MAX: usize = 6;

pub(crate) fn build(
    entries: Option<&Named<FreezeName, FreezeKeys>>,
    findings: &mut Findings<'_>,
) -> BTreeMap<FreezeName, Freeze> {
    let entries = entries.map_or(&[][..], |named| &named.0);
    let built = entries.iter().filter_map(|entry| build_freeze(entry, findings));
    built.map(|freeze| (freeze.name.clone(), freeze)).collect()
}

fn build_freeze(entry: &Entry<FreezeName, FreezeKeys>, findings: &mut Findings<'_>) -> Option<Freeze> {
    let keys = entry.value.as_ref()?;
    let table = &entry.name.at;
    check_mounts(keys, table, findings);
    check_commands(keys, table, findings);
    check_instance(keys, findings);
    check_mysql_lock(keys, findings);
    check_remote(keys, findings);
    let budget = budget(keys);
    check_times(keys, budget, table, findings);
    let connection = keys.connection.located().map(|it| build_connection(&it.value, &it.at, findings));
    check_connection(keys, table, findings);
    let mounts = keys.mounts.get().into_iter().flat_map(|mounts| &mounts.0);
    let devices = keys.devices.get().into_iter().flat_map(|devices| &devices.0);
    let commands = keys.freeze.get().zip(keys.thaw.get());
    Some(Freeze {
        name: entry.name.value.clone(),
        via: *keys.via.get()?,
        mounts: mounts.map(|mount| mount.value.0.clone()).collect(),
        devices: devices.map(|device| device.value.0.clone()).collect(),
        instance: keys.instance.get().cloned(),
        application: *keys.application.get()?,
        mysql_lock: *keys.mysql_lock.get()?,
        connection: connection.flatten(),
        pre: keys.pre.get()?.0.clone(),
        post: keys.post.get()?.0.clone(),
        commands: commands.map(|(freeze, thaw)| Commands { freeze: freeze.0.clone(), thaw: thaw.0.clone() }),
        command_limit: keys.command_limit.get()?.0,
        budget: budget?,
        lock_wait: keys.lock_wait.get()?.0,
        capture: *keys.capture.get()?,
    })
}

/// What the guard on another machine cannot do.
fn check_remote(keys: &FreezeKeys, findings: &mut Findings<'_>) {
    if keys.via.get() != Some(&Via::Ssm) {
        return;
    }
    let has_application = keys.application.get().is_some_and(|it| *it != Application::None);
    for commands in [&keys.pre, &keys.post].into_iter().filter_map(Field::given) {
        if has_application && !commands.value.0.is_empty() {
            findings
                .error(&commands.at, "through Systems Manager these would run while the application is locked")
                .suggest("leave them out, and let amikeep hold the application; or set `application = \"none\"`");
        }
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "/._@:+,=-".contains(c);
    let mounts = keys.mounts.get().map_or(&[][..], |mounts| &mounts.0[..]);
    for mount in mounts.iter().filter(|mount| !mount.value.0.to_string_lossy().chars().all(fits)) {
        findings
            .error(&mount.at, "this mount point has a character that cannot be used through Systems Manager")
            .suggest("letters, digits and `/._@:+,=-` can");
    }
    if let Some(mount) = mounts.get(REMOTE_MOUNTS_MAX) {
        findings
            .error(
                &mount.at,
                format!("through Systems Manager at most {REMOTE_MOUNTS_MAX} mounts can be frozen at once"),
            )
            .suggest("name fewer");
    }
}

/// amikeep must know what to freeze, unless the operator's own commands do it.
fn check_mounts(keys: &FreezeKeys, table: &At, findings: &mut Findings<'_>) {
    let has_no_mounts = keys.mounts.is_absent() || keys.mounts.get().is_some_and(|mounts| mounts.0.is_empty());
    let has_no_devices = keys.devices.is_absent() || keys.devices.get().is_some_and(|it| it.0.is_empty());
    match keys.via.get() {
        Some(Via::Local | Via::Ssm) if has_no_mounts => {
            let at = keys.mounts.given().map_or_else(|| inside(table, "mounts"), |mounts| mounts.at.clone());
            findings.error(&at, "nothing to freeze").suggest("name at least one mount point");
        }
        Some(Via::Command) if has_no_devices => {
            let at = keys.devices.given().map_or_else(|| inside(table, "devices"), |it| it.at.clone());
            findings.error(&at, "missing").suggest(
                "with `via = \"command\"` nobody but you knows which volumes are held still: name their devices as \
                 EC2 shows them, such as `devices = [\"/dev/sdf\"]`",
            );
        }
        _ => {}
    }
}

fn check_commands(keys: &FreezeKeys, table: &At, findings: &mut Findings<'_>) {
    for (name, command) in [("freeze", &keys.freeze), ("thaw", &keys.thaw)] {
        match (keys.via.get(), command) {
            (Some(Via::Command), Field::Absent) => {
                findings
                    .error(&inside(table, name), "missing")
                    .suggest("with `via = \"command\"` one program freezes and another thaws, so both are needed");
            }
            (Some(Via::Local | Via::Ssm), Field::Given(command)) => {
                findings
                    .error(&command.at, "a command that nothing would run")
                    .suggest("set `via = \"command\"`, or leave it out; `pre` and `post` run beside any freeze");
            }
            _ => {}
        }
        if let Some(command) = command.given() {
            check_placeholders(command, findings);
        }
    }
}

/// A misspelt placeholder would reach the program as it is written.
fn check_placeholders(command: &Located<Argv>, findings: &mut Findings<'_>) {
    for word in &command.value.0 {
        let named = word.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        for name in named.filter(|name| !PLACEHOLDERS.contains(name)) {
            let nearest = suggest::did_you_mean(suggest::nearest(name, PLACEHOLDERS));
            let diagnostic = findings.error(&command.at, format!("there is no placeholder `{{{name}}}`"));
            diagnostic.allow(PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", "));
            diagnostic.suggestion = nearest;
        }
    }
}

fn check_mysql_lock(keys: &FreezeKeys, findings: &mut Findings<'_>) {
    let is_mysql = keys.application.get().is_none_or(|it| *it == Application::Mysql);
    if let Some(lock) = keys.mysql_lock.given().filter(|it| !is_mysql && it.value != MysqlLock::EveryEngine) {
        findings.error(&lock.at, "only `application = \"mysql\"` is held by it").suggest("leave it out");
    }
}

fn check_instance(keys: &FreezeKeys, findings: &mut Findings<'_>) {
    if let (Some(instance), Some(Via::Ssm | Via::Command)) = (keys.instance.given(), keys.via.get()) {
        findings.error(&instance.at, "only `via = \"local\"` freezes one certain instance").suggest("leave it out");
    }
}

fn budget(keys: &FreezeKeys) -> Option<SignedDuration> {
    match (&keys.budget, keys.via.get()?) {
        (Field::Wrong, _) => None,
        (Field::Given(budget) | Field::Default(budget), _) => Some(budget.value.0),
        (Field::Absent, Via::Ssm) => Some(BUDGET_SSM_DEFAULT),
        (Field::Absent, Via::Local | Via::Command) => Some(BUDGET_DEFAULT),
    }
}

fn check_times(keys: &FreezeKeys, budget: Option<SignedDuration>, table: &At, findings: &mut Findings<'_>) {
    let (Some(budget), Some(lock_wait)) = (budget, keys.lock_wait.located()) else { return };
    if budget <= lock_wait.value.0 {
        let at = keys.lock_wait.given().map(|it| &it.at).or(keys.budget.given().map(|it| &it.at)).unwrap_or(table);
        findings.error(at, "`lock_wait` must be less than `budget`, or waiting alone would use it up");
    }
}

fn check_connection(keys: &FreezeKeys, table: &At, findings: &mut Findings<'_>) {
    match (keys.application.get(), &keys.connection) {
        (Some(Application::None), Field::Given(connection)) => {
            findings
                .error(&connection.at, "a connection without an application")
                .suggest("say which `application` it is for");
        }
        (Some(application), Field::Absent) if *application != Application::None => {
            findings
                .error(&inside(table, "connection"), "missing")
                .suggest("say where the application's address is found, such as `{ credential = \"database-url\" }`");
        }
        _ => {}
    }
}

fn build_connection(keys: &ConnectionKeys, at: &At, findings: &mut Findings<'_>) -> Option<Connection> {
    let absent = [keys.credential.is_absent(), keys.file.is_absent(), keys.env.is_absent()];
    let n_given = absent.into_iter().filter(|is_absent| !is_absent).count();
    if n_given != 1 {
        let found = if n_given == 0 { "none is given" } else { "more than one is given" };
        findings.error(at, format!("one place for credentials is expected, {found}")).allow("credential, file or env");
        return None;
    }
    let credential = keys.credential.get().map(|name| Connection::Credential(name.0.clone()));
    let file = keys.file.get().map(|path| Connection::File(path.0.clone()));
    let env = keys.env.get().map(|name| Connection::Env(name.0.clone()));
    credential.or(file).or(env)
}
