//! The commands `check`, `plan`, `apply` and `inspect`, and their output.

use super::{args::ReplaceArgs, progress::eprint_line};
use crate::{
    actual,
    apply::{ApplyGoal, ApplyResult, apply},
    desired::{DesiredObject, desired_objects},
    guard::{self, ArgumentError, StripeAccount},
    inspect,
    kind::ObjectKind,
    plan::ChangePlan,
    secret::{self, EndpointSecrets},
    show::{self, PlanCounts},
    warnings::{catalog_warnings, plan_warnings},
};
use shared::{catalog::Catalog, settings::Settings};
use std::{
    collections::BTreeSet,
    io::{self, Write, stdout},
    path::PathBuf,
    process::ExitCode,
};
use stripe_api::{Api, KeyMode};

pub(super) fn check(catalog: &Catalog) -> anyhow::Result<ExitCode> {
    let mut out = stdout().lock();
    let desired = desired_objects(catalog);
    for kind in ObjectKind::ALL {
        let count = desired.iter().filter(|object| object.kind == kind).count();
        if count > 0 && kind != ObjectKind::DefaultPrice {
            writeln!(out, "{:>3} {}", count, kind.traits().name)?;
        }
    }
    for warning in catalog_warnings(catalog) {
        writeln!(out, "! warning: {warning}")?;
    }
    writeln!(out, "The catalog can be applied.")?;
    Ok(ExitCode::SUCCESS)
}

/// What plan, apply and inspect work with.
pub(super) struct CatalogTask {
    api: Api,
    pub(super) mode: KeyMode,
    desired: Vec<DesiredObject>,
    warnings: Vec<String>,
    replace: BTreeSet<String>,
}

impl CatalogTask {
    pub(super) fn new(settings: &Settings, mode: KeyMode, replace: ReplaceArgs) -> anyhow::Result<Self> {
        let catalog = Catalog::from_settings(settings)?;
        let desired = desired_objects(&catalog);
        let is_price = |key: &String| desired.iter().any(|o| o.kind == ObjectKind::Price && o.key == *key);
        if let Some(key) = replace.lookup_keys.iter().find(|key| !is_price(key)) {
            return Err(ArgumentError(format!(
                "--replace {key}: the catalog has no price with this lookup key"
            ))
            .into());
        }
        Ok(Self {
            api: guard::client(settings, mode)?,
            mode,
            warnings: catalog_warnings(&catalog),
            desired,
            replace: replace.lookup_keys.into_iter().collect(),
        })
    }

    /// Warnings about the catalog and about the plan.
    fn warnings(&self, plan: &ChangePlan) -> Vec<String> {
        [self.warnings.clone(), plan_warnings(plan)].concat()
    }

    fn goal(&self) -> ApplyGoal<'_> {
        ApplyGoal {
            desired: &self.desired,
            replace: &self.replace,
        }
    }
}

pub(super) async fn plan(task: &CatalogTask, json: bool, detailed: bool) -> anyhow::Result<ExitCode> {
    let account = guard::account(&task.api, task.mode).await?;
    print_account(&account, json)?;
    let (_, plan) = task.goal().plan(&task.api).await?;
    report_unneeded_replaces(task, &plan);
    let warnings = task.warnings(&plan);
    if json {
        let mut shown = show::json(&plan, &warnings);
        shown["account"] = account.id.clone().into();
        shown["mode"] = guard::mode_name(account.mode).into();
        writeln!(stdout(), "{shown:#}")?;
    } else {
        show::text(&plan, &warnings, &mut stdout().lock())?;
    }
    ensure_not_refused(&plan)?;
    let changes = detailed && !plan.changes.is_empty();
    Ok(ExitCode::from(if changes { 2 } else { 0 }))
}

/// Prints the account before any other output: on standard error if the output is JSON.
fn print_account(account: &StripeAccount, json: bool) -> io::Result<()> {
    if json {
        eprint_line(&account.to_string());
        return Ok(());
    }
    writeln!(stdout(), "{account}")
}

/// Reports each `--replace` that the plan does not need.
fn report_unneeded_replaces(task: &CatalogTask, plan: &ChangePlan) {
    for key in &task.replace {
        if !plan.changes.iter().any(|change| change.takes_key && change.key == *key) && plan.refused.is_empty() {
            eprint_line(&format!("--replace {key}: this price needs no replacement"));
        }
    }
}

/// Fails if Stripe would refuse a part of the plan. Nothing is written then.
fn ensure_not_refused(plan: &ChangePlan) -> anyhow::Result<()> {
    let count = plan.refused.len();
    anyhow::ensure!(
        count == 0,
        "Stripe would refuse {count} of the objects; the lines marked x say why; nothing was written"
    );
    Ok(())
}

pub(super) async fn apply_now(task: &CatalogTask, yes: bool, secret_file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let account = guard::account(&task.api, task.mode).await?;
    print_account(&account, false)?;
    let (actual, plan) = task.goal().plan(&task.api).await?;
    report_unneeded_replaces(task, &plan);
    show::text(&plan, &task.warnings(&plan), &mut stdout().lock())?;
    ensure_not_refused(&plan)?;
    let unused = secret_file.as_deref().and_then(|path| secret::unused_file(path, &plan));
    if let Some(line) = unused {
        writeln!(stdout(), "! {line}")?;
    }
    if plan.changes.is_empty() {
        writeln!(stdout(), "Nothing to do.")?;
        return Ok(ExitCode::SUCCESS);
    }
    if !guard::confirm(&account, yes)? {
        anyhow::bail!("not confirmed; nothing was written");
    }
    let counts = PlanCounts::of(&plan);
    let mut secrets = EndpointSecrets::ready(secret_file.as_deref(), &plan)?;
    let applied = apply(&task.api, &task.goal(), (actual, plan), &mut secrets, &mut eprint_line).await;
    // Also after a failure: Stripe sends a secret only once.
    print_secrets(&secrets)?;
    print_summary(counts, &applied?)?;
    Ok(ExitCode::SUCCESS)
}

fn print_summary(counts: PlanCounts, result: &ApplyResult) -> anyhow::Result<()> {
    let ApplyResult {
        writes,
        doubts,
        last_plan,
    } = result;
    let mut out = stdout().lock();
    writeln!(
        out,
        "Applied: {} created, {} updated, {} archived, {} unchanged. Read back: Stripe agrees with the catalog.",
        counts.create, counts.update, counts.archive, counts.unchanged
    )?;
    if *doubts > 0 {
        writeln!(
            out,
            "The outcome of {doubts} of {writes} writes was unknown at first; reading everything again settled it."
        )?;
    }
    show::notes(&last_plan.notes, &mut out)?;
    Ok(())
}

fn print_secrets(secrets: &EndpointSecrets) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for url in &secrets.saved {
        writeln!(
            out,
            "The secret of {url} is in the file. Name that file in STRIPE_WEBHOOK_SECRET_FILE of ingest."
        )?;
    }
    for url in &secrets.lost {
        writeln!(
            out,
            "! {url} was created, but Stripe's answer with its secret did not arrive. The Dashboard shows the secret: Developers, Webhooks."
        )?;
    }
    if let Some(url) = &secrets.in_doubt {
        writeln!(
            out,
            "! {url} may have been created. Look in the Dashboard (Developers, Webhooks); it shows the secret too."
        )?;
    }
    Ok(())
}

pub(super) async fn inspect_now(settings: &Settings, mode: KeyMode, json: bool) -> anyhow::Result<ExitCode> {
    let task = CatalogTask::new(settings, mode, ReplaceArgs::default())?;
    let account = guard::account(&task.api, mode).await?;
    print_account(&account, json)?;
    let actual = actual::load(&task.api, &task.desired).await?;
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{:#}", inspect::json(&account, &actual, &task.desired))?;
    } else {
        inspect::text(&actual, &task.desired, &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}
