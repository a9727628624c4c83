//! `[freezes.NAME]`: read and checked, so that a file written for them is known to be right. Nothing uses them yet.

use std::collections::BTreeMap;

use amikeep_domain::id::FreezeName;

use crate::build::inside;
use crate::config::{Application, Connection, Freeze, Via};
use crate::findings::{At, Findings};
use crate::keys::{ConnectionKeys, FreezeKeys};
use crate::value::table::{Entry, Named};

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
    check_ways(keys, &entry.name.at, findings);
    check_times(keys, findings);
    let connection = keys.connection.located().map(|it| build_connection(&it.value, &it.at, findings));
    if let Some(connection) = keys.connection.given()
        && keys.application.get() == Some(&Application::None)
    {
        findings
            .error(&connection.at, "a connection without an application")
            .suggest("say which `application` it is for");
    }
    let mounts = keys.mounts.get().into_iter().flat_map(|mounts| &mounts.0);
    Some(Freeze {
        name: entry.name.value.clone(),
        via: *keys.via.get()?,
        mounts: mounts.map(|mount| mount.value.0.clone()).collect(),
        application: *keys.application.get()?,
        connection: connection.flatten(),
        pre: keys.pre.get().map(|argv| argv.0.clone()),
        post: keys.post.get().map(|argv| argv.0.clone()),
        budget: keys.budget.get()?.0,
        lock_wait: keys.lock_wait.get()?.0,
    })
}

/// amikeep must know what to freeze, unless the operator's own commands do it; those must undo it, too.
fn check_ways(keys: &FreezeKeys, table: &At, findings: &mut Findings<'_>) {
    let has_no_mounts = keys.mounts.is_absent() || keys.mounts.get().is_some_and(|mounts| mounts.0.is_empty());
    match keys.via.get() {
        Some(Via::Local | Via::Ssm) if has_no_mounts => {
            let at = keys.mounts.given().map_or_else(|| inside(table, "mounts"), |mounts| mounts.at.clone());
            findings.error(&at, "nothing to freeze").suggest("name at least one mount point");
        }
        Some(Via::Command) => {
            let missing = [("pre", &keys.pre), ("post", &keys.post)].into_iter().filter(|(_, argv)| argv.is_absent());
            for (name, _) in missing {
                findings.error(&inside(table, name), "missing").suggest(
                    "with `via = \"command\"` the program of `pre` freezes and that of `post` thaws, so both are needed",
                );
            }
        }
        _ => {}
    }
}

fn check_times(keys: &FreezeKeys, findings: &mut Findings<'_>) {
    let (Some(budget), Some(lock_wait)) = (keys.budget.located(), keys.lock_wait.located()) else { return };
    if budget.value.0 <= lock_wait.value.0 {
        let at = keys.lock_wait.given().or(keys.budget.given()).map_or(&budget.at, |it| &it.at);
        findings.error(at, "`lock_wait` must be less than `budget`, or waiting alone would use it up");
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
