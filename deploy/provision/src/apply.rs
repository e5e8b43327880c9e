//! Writes a plan to Stripe until Stripe agrees with the catalog.
//!
//! Each write has its own idempotency key. A repeated write keeps its key (Stripe's API
//! reference, "Idempotent requests"). A write is in doubt if its outcome is unknown, for
//! example after a lost answer. Then everything is read and compared again, and a write
//! that is still missing gets a new key. The comparison after the last write proves that
//! all writes took effect.

use crate::{
    actual::{self, ActualObjects},
    desired::DesiredObject,
    diff::diff,
    kind::ObjectKind,
    plan::{ChangeAction, ChangePlan, PlannedChange},
    secret::EndpointSecrets,
    show::title,
    value::{push, rename_prices},
};
use anyhow::{Context, bail};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use stripe_api::{Api, ApiError, Form, OperationKey};

/// Most writes in doubt, one directly after another, before an apply gives up.
const DOUBTS_MAX: u32 = 8;
/// Longest time without a confirmed write before an apply with a write in doubt gives up.
const DOUBT_TIME_MAX: Duration = Duration::from_mins(2);

/// What an apply must reach.
#[derive(Debug)]
pub struct ApplyGoal<'a> {
    /// The objects that Stripe must have.
    pub desired: &'a [DesiredObject],
    /// Lookup keys of prices that may be replaced.
    pub replace: &'a BTreeSet<String>,
}

impl ApplyGoal<'_> {
    /// Loads Stripe's objects and compares them with the catalog.
    ///
    /// # Errors
    /// Stripe's answer, if a request fails.
    pub async fn plan(&self, api: &Api) -> Result<(ActualObjects, ChangePlan), ApiError> {
        let actual = actual::load(api, self.desired).await?;
        let plan = diff(self.desired, &actual, self.replace);
        Ok((actual, plan))
    }
}

/// What an apply did.
#[derive(Debug, Default)]
pub struct ApplyResult {
    /// Writes that took effect: Stripe confirmed them, or reading back showed them.
    pub writes: usize,
    /// Writes whose outcome was unknown at first.
    pub doubts: usize,
    /// The plan after the last write. It has no changes.
    pub last_plan: ChangePlan,
}

/// Writes `plan`, which was made from `actual`, and then whatever is still missing. Calls
/// `progress` with a line for each step.
///
/// # Errors
/// Stripe's answer, with the object it is about. Earlier writes stay; the next apply
/// continues from there.
pub async fn apply(
    api: &Api,
    goal: &ApplyGoal<'_>,
    (mut actual, mut plan): (ActualObjects, ChangePlan),
    secrets: &mut EndpointSecrets,
    progress: &mut impl FnMut(&str),
) -> anyhow::Result<ApplyResult> {
    let mut result = ApplyResult::default();
    let (mut doubts_in_a_row, mut certain_at) = (0, Instant::now());
    loop {
        let round = write_round(api, &actual, &plan, secrets, progress).await?;
        result.writes += round.written;
        if let Some((change, error)) = &round.doubt {
            secrets.doubt(change);
            if round.written > 0 {
                (doubts_in_a_row, certain_at) = (0, Instant::now());
            }
            doubts_in_a_row += 1;
            result.doubts += 1;
            if doubts_in_a_row > DOUBTS_MAX || certain_at.elapsed() > DOUBT_TIME_MAX {
                bail!(
                    "{}: {error}; it is unknown whether the write took effect; run apply again later",
                    title(change)
                );
            }
            progress(&format!("{}: {error}; reading everything again", title(change)));
        }
        progress("reading back");
        (actual, plan) = goal.plan(api).await.context("cannot read back what was written")?;
        if let Some((change, _)) = &round.doubt {
            let took_effect = !is_still_planned(change, &plan);
            result.writes += usize::from(took_effect);
            secrets.resolve_doubt(took_effect);
        }
        if plan.changes.is_empty() && plan.refused.is_empty() {
            result.last_plan = plan;
            return Ok(result);
        }
        if round.doubt.is_none() {
            bail!(
                "Stripe confirmed all writes, but still differs from the catalog: {}",
                remaining(&plan)
            );
        }
    }
}

fn is_still_planned(change: &PlannedChange, plan: &ChangePlan) -> bool {
    plan.changes
        .iter()
        .any(|planned| (planned.kind, planned.action, &planned.key) == (change.kind, change.action, &change.key))
}

fn remaining(plan: &ChangePlan) -> String {
    let changes = plan.changes.iter().map(title);
    let refused = plan
        .refused
        .iter()
        .map(|refused| format!("refused   {} {}", refused.kind.traits().name, refused.key));
    changes.chain(refused).collect::<Vec<_>>().join("; ")
}

/// The outcome of writing a plan up to its end, or up to the first write in doubt.
struct WriteRound {
    written: usize,
    doubt: Option<(PlannedChange, ApiError)>,
}

async fn write_round(
    api: &Api,
    actual: &ActualObjects,
    plan: &ChangePlan,
    secrets: &mut EndpointSecrets,
    progress: &mut impl FnMut(&str),
) -> anyhow::Result<WriteRound> {
    let ids_by_key = actual
        .of(ObjectKind::Price)
        .filter_map(|price| Some((price.key.clone()?, price.id.clone())));
    let mut prices: BTreeMap<String, String> = ids_by_key.collect();
    let count = plan.changes.len();
    for (index, change) in plan.changes.iter().enumerate() {
        progress(&format!("[{}/{count}] {}", index + 1, title(change)));
        match write(api, change, &prices).await {
            Ok(answer) => {
                let created = change.action == ChangeAction::Create;
                if created && change.kind == ObjectKind::Price {
                    let id = answer["id"].as_str().map(str::to_owned);
                    prices.extend(id.map(|id| (change.key.clone(), id)));
                }
                if created && change.kind == ObjectKind::Webhook {
                    secrets.keep(change, &answer)?;
                }
            }
            Err(error) if error.is_doubtful() => {
                let doubt = Some((change.clone(), error));
                return Ok(WriteRound { written: index, doubt });
            }
            Err(error) => {
                let context = format!(
                    "{} (after {index} of {count} writes; run apply again to continue)",
                    title(change)
                );
                return Err(anyhow::Error::new(error).context(context));
            }
        }
    }
    let doubt = None;
    Ok(WriteRound { written: count, doubt })
}

async fn write(api: &Api, change: &PlannedChange, prices: &BTreeMap<String, String>) -> Result<Value, ApiError> {
    let path = change.kind.traits().path;
    let path = match change.id.as_deref() {
        // The tax settings have no id.
        None | Some("") => path.to_owned(),
        Some(id) => format!("{path}/{id}"),
    };
    api.post(&path, &form(change, prices), &OperationKey::fresh()?).await
}

/// The fields to send, with ids of prices instead of lookup keys.
fn form(change: &PlannedChange, prices: &BTreeMap<String, String>) -> Form {
    let mut form = Form::new();
    for field in &change.fields {
        let mut to = field.to.clone();
        if change.kind.names_prices(&field.path) {
            rename_prices(&mut to, &|key| prices.get(key).map(String::as_str));
        }
        push(&mut form, &field.path, &to);
    }
    if change.takes_key {
        form.push("transfer_lookup_key", &true);
    }
    form
}
