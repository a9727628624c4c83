//! `amikeep check`: what is wrong with the configuration, and online with credentials and permissions.

mod online;

use amikeep_config::{Config, Diagnostic, Report};
use amikeep_view::check::{self, Account, Check, Finding};

use crate::cli::{CheckArgs, Format};
use crate::ctx::Ctx;
use crate::exit::Exit;
use crate::logging::{self, Purpose};
use crate::output::heading;
use crate::progress::Bars;

pub(crate) async fn run(args: &CheckArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let loaded = match amikeep_config::load(&ctx.config_path) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(error.report(), ctx),
    };
    let mut check = offline(&loaded.warnings);
    if args.online {
        logging::start(Purpose::Command, ctx, &Bars::hidden());
        let accounts = online::ask(&loaded.config).await;
        check.warnings.extend(accounts.iter().flat_map(|asked| asked.warnings(&ctx.config_path)));
        check.errors = accounts.iter().flat_map(|asked| asked.findings(&ctx.config_path)).collect();
        check.accounts = Some(accounts.into_iter().map(|asked| asked.account).collect());
    }
    let exit = if check.errors.is_empty() { Exit::Done } else { Exit::Failed };
    match ctx.format {
        Format::Json => ctx.output.json(&check)?,
        Format::Table => tell(&check, &loaded.warnings, &loaded.config, ctx)?,
    }
    Ok(exit)
}

fn refuse(report: &Report, ctx: &Ctx) -> anyhow::Result<Exit> {
    match ctx.format {
        Format::Json => ctx.output.json(&offline(report))?,
        Format::Table => ctx.tell(&report.render(ctx.stderr_color)),
    }
    Ok(Exit::Usage)
}

fn offline(report: &Report) -> Check {
    Check {
        errors: report.errors().map(finding).collect(),
        warnings: report.warnings().map(finding).collect(),
        accounts: None,
    }
}

fn finding(diagnostic: &Diagnostic) -> Finding {
    Finding {
        file: diagnostic.file.clone(),
        line: diagnostic.line(),
        column: diagnostic.column(),
        key: diagnostic.key.clone(),
        message: diagnostic.full_message(),
        suggestion: diagnostic.suggestion.clone(),
    }
}

fn tell(check: &Check, warnings: &Report, config: &Config, ctx: &Ctx) -> anyhow::Result<()> {
    ctx.tell(&warnings.render(ctx.stderr_color));
    let (policies, accounts) = (config.policy_set.policies.len(), config.accounts.len());
    let file = ctx.config_path.display();
    ctx.output.line(&format!(
        "{file} is valid: policies {policies}, accounts {accounts}, warnings {}",
        check.warnings.len()
    ))?;
    for account in check.accounts.iter().flatten() {
        tell_account(account, ctx)?;
    }
    // Those about the file, which come first, are told already, with the line they are about.
    for warning in check.warnings.iter().skip(warnings.warnings().count()) {
        tell_finding("warning", warning, ctx);
    }
    for error in &check.errors {
        tell_finding("error", error, ctx);
    }
    Ok(())
}

fn tell_finding(severity: &str, finding: &Finding, ctx: &Ctx) {
    let next_step = finding.suggestion.as_ref().map(|text| format!("\n  next step: {text}")).unwrap_or_default();
    ctx.tell(&format!("{severity}: {}: {}{next_step}", finding.key, finding.message));
}

fn tell_account(account: &Account, ctx: &Ctx) -> anyhow::Result<()> {
    let who = account.arn.as_deref().unwrap_or("could not be asked");
    let title = format!("Account {} in {}: {who}", account.account_name, account.region);
    ctx.output.line(&format!("\n{}", heading(&title, ctx.color)))?;
    ctx.output.table(ctx, &check::table(account))?;
    if !account.matches.is_empty() {
        ctx.output.line("")?;
    }
    ctx.output.table(ctx, &check::matches(account))
}
