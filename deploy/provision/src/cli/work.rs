//! `check`, `plan`, `apply`, `inspect`: what they do, and what they print.

use super::{Replace, eprint_line};
use crate::{
    actual,
    apply::{Done, Goal, apply},
    desired::{Desired, desired},
    diff::Plan,
    guard::{self, Account, Usage},
    inspect,
    kind::Kind,
    secret::{self, Secrets},
    show::{self, Counts},
    warn::{of_plan, warnings},
};
use shared::{catalog::Catalog, settings::Settings};
use std::{
    collections::BTreeSet,
    io::{self, Write, stdout},
    path::PathBuf,
    process::ExitCode,
};
use worker::stripe::api::{Api, KeyMode};

pub(super) fn check(catalog: &Catalog) -> anyhow::Result<ExitCode> {
    let mut out = stdout().lock();
    let desired = desired(catalog);
    for kind in Kind::ALL {
        let count = desired.iter().filter(|object| object.kind == kind).count();
        if count > 0 && kind != Kind::DefaultPrice {
            writeln!(out, "{:>3} {}", count, kind.traits().name)?;
        }
    }
    for warning in warnings(catalog) {
        writeln!(out, "! warning: {warning}")?;
    }
    writeln!(out, "The catalog can be applied.")?;
    Ok(ExitCode::SUCCESS)
}

/// What plan and apply work with.
pub(super) struct Task {
    api: Api,
    pub(super) mode: KeyMode,
    desired: Vec<Desired>,
    warnings: Vec<String>,
    replace: BTreeSet<String>,
}

impl Task {
    pub(super) fn new(settings: &Settings, mode: KeyMode, replace: Replace) -> anyhow::Result<Self> {
        let catalog = Catalog::from_settings(settings)?;
        let desired = desired(&catalog);
        let is_price = |key: &String| desired.iter().any(|o| o.kind == Kind::Price && o.key == *key);
        if let Some(key) = replace.lookup_keys.iter().find(|key| !is_price(key)) {
            return Err(Usage(format!(
                "--replace {key}: the catalog has no price with this lookup key"
            ))
            .into());
        }
        Ok(Self {
            api: guard::client(settings, mode)?,
            mode,
            warnings: warnings(&catalog),
            desired,
            replace: replace.lookup_keys.into_iter().collect(),
        })
    }

    /// Of the catalog, and of what is done by it.
    fn warnings(&self, plan: &Plan) -> Vec<String> {
        [self.warnings.clone(), of_plan(plan)].concat()
    }

    fn goal(&self) -> Goal<'_> {
        Goal {
            desired: &self.desired,
            replace: &self.replace,
        }
    }
}

pub(super) async fn plan(task: &Task, json: bool, detailed: bool) -> anyhow::Result<ExitCode> {
    let account = guard::account(&task.api, task.mode).await?;
    tell(&account, json)?;
    let (_, plan) = task.goal().look(&task.api).await?;
    tell_needless(task, &plan);
    let warnings = task.warnings(&plan);
    if json {
        let mut shown = show::json(&plan, &warnings);
        shown["account"] = account.id.clone().into();
        shown["mode"] = guard::word(account.mode).into();
        writeln!(stdout(), "{shown:#}")?;
    } else {
        show::text(&plan, &warnings, &mut stdout().lock())?;
    }
    refuse(&plan)?;
    let changes = detailed && !plan.changes.is_empty();
    Ok(ExitCode::from(if changes { 2 } else { 0 }))
}

/// Says whose key it is before anything else; beside JSON, which says it too, on standard error.
fn tell(account: &Account, json: bool) -> io::Result<()> {
    if json {
        eprint_line(&account.to_string());
        return Ok(());
    }
    writeln!(stdout(), "{account}")
}

/// What was to be replaced, but need not be.
fn tell_needless(task: &Task, plan: &Plan) {
    for key in &task.replace {
        if !plan.changes.iter().any(|change| change.takes_key && change.key == *key) && plan.refused.is_empty() {
            eprint_line(&format!("--replace {key}: nothing about it needs a new price"));
        }
    }
}

/// All that Stripe would refuse is an error, before anything is written.
fn refuse(plan: &Plan) -> anyhow::Result<()> {
    let count = plan.refused.len();
    anyhow::ensure!(
        count == 0,
        "Stripe would refuse {count} of the objects, for what stands below each; nothing was written"
    );
    Ok(())
}

pub(super) async fn apply_now(task: &Task, yes: bool, secret_file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let account = guard::account(&task.api, task.mode).await?;
    tell(&account, false)?;
    let looked = task.goal().look(&task.api).await?;
    tell_needless(task, &looked.1);
    show::text(&looked.1, &task.warnings(&looked.1), &mut stdout().lock())?;
    refuse(&looked.1)?;
    if let Some(line) = secret_file
        .as_deref()
        .and_then(|path| secret::none_comes(path, &looked.1))
    {
        writeln!(stdout(), "! {line}")?;
    }
    if looked.1.changes.is_empty() {
        writeln!(stdout(), "Nothing to do.")?;
        return Ok(ExitCode::SUCCESS);
    }
    if !guard::confirm(&account, yes)? {
        anyhow::bail!("not confirmed; nothing was written");
    }
    let counts = Counts::of(&looked.1);
    let mut secrets = Secrets::ready(secret_file.as_deref(), &looked.1)?;
    let applied = apply(&task.api, &task.goal(), looked, &mut secrets, &mut |line| {
        eprint_line(line);
    })
    .await;
    // Whatever became of the rest.
    tell_secrets(&secrets)?;
    summary(counts, &applied?)?;
    Ok(ExitCode::SUCCESS)
}

fn summary(counts: Counts, done: &Done) -> anyhow::Result<()> {
    let Done { writes, doubts, last } = done;
    let mut out = stdout().lock();
    writeln!(
        out,
        "Applied: {} created, {} updated, {} archived, {} were as they should be. Read back: Stripe holds what the catalog says.",
        counts.create, counts.update, counts.archive, counts.unchanged
    )?;
    if *doubts > 0 {
        writeln!(
            out,
            "After {doubts} of {writes} writes it was unknown whether they took effect; all was read again."
        )?;
    }
    show::notes(&last.notes, &mut out)?;
    Ok(())
}

fn tell_secrets(secrets: &Secrets) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    for url in &secrets.filed {
        writeln!(
            out,
            "The secret of {url} is in the file, for STRIPE_WEBHOOK_SECRET_FILE of ingest."
        )?;
    }
    for url in &secrets.lost {
        writeln!(
            out,
            "! {url} was made, but Stripe's answer with its secret did not come. The Dashboard shows it: Developers, Webhooks."
        )?;
    }
    if let Some(url) = &secrets.in_doubt {
        writeln!(
            out,
            "! {url} may have been made: look in the Dashboard, Developers, Webhooks, which shows its secret too."
        )?;
    }
    Ok(())
}

pub(super) async fn inspect_now(settings: &Settings, mode: KeyMode, json: bool) -> anyhow::Result<ExitCode> {
    let task = Task::new(
        settings,
        mode,
        Replace {
            lookup_keys: Vec::new(),
        },
    )?;
    let account = guard::account(&task.api, mode).await?;
    tell(&account, json)?;
    let actual = actual::load(&task.api, &task.desired).await?;
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{:#}", inspect::json(&account, &actual, &task.desired))?;
    } else {
        inspect::text(&actual, &task.desired, &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}
