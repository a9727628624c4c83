//! `[classes.NAME]`: changes to the built-in classes, and new ones.

use std::collections::BTreeMap;

use amikeep_domain::class::{self, AsgReboot, Class, Consistency, IfBlocked, RebootWindow};
use amikeep_domain::id::ClassName;

use crate::build::inside;
use crate::build::references::Known;
use crate::findings::{At, Findings};
use crate::keys::{ClassKeys, RebootWindowKeys};
use crate::suggest;
use crate::value::Located;
use crate::value::table::{Entry, Named};

/// The built-in classes with the changes of the file. A class that could not be read stays as it is built in.
pub(crate) fn build(
    entries: Option<&Named<ClassName, ClassKeys>>,
    known: &Known,
    findings: &mut Findings<'_>,
) -> BTreeMap<ClassName, Class> {
    let mut classes = class::built_in();
    for entry in entries.into_iter().flat_map(|named| &named.0) {
        let Some(keys) = &entry.value else { continue };
        if let Some(freeze) = keys.freeze.located() {
            known.check_freeze(freeze, findings);
        }
        let consistency = consistency(entry, keys, classes.get(&entry.name.value), findings);
        let reboot_window = keys.reboot_window.located().and_then(|it| build_window(it, findings));
        let Some(consistency) = consistency else { continue };
        check_keys_fit(keys, consistency, findings);
        check_regulated(&entry.name.value, keys, findings);
        let if_blocked = keys.if_blocked.get().copied().unwrap_or(IfBlocked::Fail);
        let reboot_in_asg = match keys.reboot_in_asg.get() {
            Some(true) => AsgReboot::Allowed,
            Some(false) | None => AsgReboot::Blocked,
        };
        let name = entry.name.value.clone();
        let why = why(classes.get(&name), &name, consistency);
        let freeze = keys.freeze.get().cloned();
        let class = Class { name: name.clone(), consistency, if_blocked, freeze, reboot_window, reboot_in_asg, why };
        classes.insert(name, class);
    }
    classes
}

/// The mode that the file gives, or the built-in one. A new class must give it: there is no safe guess.
fn consistency(
    entry: &Entry<ClassName, ClassKeys>,
    keys: &ClassKeys,
    built_in: Option<&Class>,
    findings: &mut Findings<'_>,
) -> Option<Consistency> {
    if !keys.consistency.is_absent() {
        return keys.consistency.get().copied();
    }
    if let Some(class) = built_in {
        return Some(class.consistency);
    }
    let name = entry.name.value.as_str();
    let built_in = class::built_in();
    let nearest = suggest::nearest(name, built_in.keys().map(ClassName::as_str));
    let diagnostic = findings.error(&inside(&entry.name.at, "consistency"), "missing, and the class is not built in");
    diagnostic.allow(Consistency::ALL.map(Consistency::as_str).join(", "));
    diagnostic.suggestion = suggest::did_you_mean(nearest);
    None
}

fn why(built_in: Option<&Class>, name: &ClassName, consistency: Consistency) -> String {
    match built_in {
        Some(class) if class.consistency == consistency => class.why.clone(),
        _ => format!("the configuration asks for it, in [classes.{name}]"),
    }
}

/// A key that cannot have an effect shows that its author had something else in mind.
fn check_keys_fit(keys: &ClassKeys, consistency: Consistency, findings: &mut Findings<'_>) {
    if let Some(freeze) = keys.freeze.given().filter(|_| consistency != Consistency::Freeze) {
        findings
            .error(&freeze.at, format!("a freeze is named, but the class's mode is {consistency}"))
            .suggest("set `consistency = \"freeze\"`, or leave `freeze` out");
    }
    if consistency == Consistency::Reboot {
        return;
    }
    let at_window = keys.reboot_window.given().map(|it| &it.at);
    let at_asg = keys.reboot_in_asg.given().filter(|it| it.value).map(|it| &it.at);
    for at in [at_window, at_asg].into_iter().flatten() {
        findings.warn(at, format!("has no effect, since the class's mode is {consistency}"));
    }
}

/// The images of `regulated` are shown to auditors, so no setting may weaken them.
fn check_regulated(name: &ClassName, keys: &ClassKeys, findings: &mut Findings<'_>) {
    if name.as_str() != class::REGULATED {
        return;
    }
    let by_mode = keys.consistency.given().filter(|it| it.value == Consistency::NoReboot).map(|it| &it.at);
    let by_fallback = keys.if_blocked.given().filter(|it| it.value == IfBlocked::NoReboot).map(|it| &it.at);
    for (at, allowed) in [(by_mode, "reboot, freeze"), (by_fallback, "fail, wait")] {
        if let Some(at) = at {
            findings
                .error(at, format!("`{}` is never imaged without a reboot or a freeze", class::REGULATED))
                .allow(allowed)
                .suggest("use a class of another name for instances that may be");
        }
    }
}

fn build_window(keys: &Located<RebootWindowKeys>, findings: &mut Findings<'_>) -> Option<RebootWindow> {
    let At { key, .. } = &keys.at;
    let (from, to) = (keys.value.from.located()?, keys.value.to.located()?);
    if from.value == to.value {
        findings
            .error(&to.at, format!("`{key}` is empty: it closes when it opens"))
            .suggest("give it a length; for a whole day write 00:00 to 23:59");
        return None;
    }
    Some(RebootWindow { days: keys.value.days.get()?.0.clone(), from: from.value.0, to: to.value.0 })
}
