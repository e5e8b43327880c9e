//! Doing what a plan says, until Stripe holds what the catalog says.
//!
//! Each write has an idempotency key of its own, kept over its repetitions. When
//! nobody knows whether a write took effect, all is read again and compared
//! again; what is still missing is then written with a fresh key. The last
//! comparison, after all writes, is what proves them.

use crate::{
    actual::{self, Actual},
    desired::Desired,
    diff::{Action, Change, Plan, diff},
    kind::Kind,
    secret::Secrets,
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

/// How many writes in doubt an apply bears, one after the other, and for how long.
const DOUBTS_MOST: u32 = 8;
const DOUBT_MOST: Duration = Duration::from_mins(2);

/// What is to be reached.
#[derive(Debug)]
pub struct Goal<'a> {
    /// What Stripe is to hold.
    pub desired: &'a [Desired],
    /// Lookup keys of prices that may be replaced.
    pub replace: &'a BTreeSet<String>,
}

impl Goal<'_> {
    /// Looks at what is there, and compares.
    ///
    /// # Errors
    /// What Stripe said.
    pub async fn look(&self, api: &Api) -> Result<(Actual, Plan), ApiError> {
        let actual = actual::load(api, self.desired).await?;
        let plan = diff(self.desired, &actual, self.replace);
        Ok((actual, plan))
    }
}

/// What an apply did.
#[derive(Debug, Default)]
pub struct Done {
    /// Writes that Stripe confirmed, or that were seen to have taken effect.
    pub writes: usize,
    /// Writes after which all was read again, because nobody knew.
    pub doubts: usize,
    /// The plan after the last write: no change in it.
    pub last: Plan,
}

/// Applies the plan that was made of `actual`, and then whatever is still to do.
///
/// # Errors
/// What Stripe said, and of which object; what was done until then stays, and the
/// next apply goes on from there.
pub async fn apply(
    api: &Api,
    goal: &Goal<'_>,
    looked: (Actual, Plan),
    secrets: &mut Secrets,
    progress: &mut impl FnMut(&str),
) -> anyhow::Result<Done> {
    let (mut actual, mut plan) = looked;
    let mut done = Done::default();
    let (mut doubts_in_a_row, mut certain_at) = (0, Instant::now());
    loop {
        let round = round(api, &actual, &plan, secrets, progress).await?;
        done.writes += round.written;
        if let Some((change, error)) = &round.doubt {
            secrets.doubt(change);
            if round.written > 0 {
                (doubts_in_a_row, certain_at) = (0, Instant::now());
            }
            doubts_in_a_row += 1;
            done.doubts += 1;
            if doubts_in_a_row > DOUBTS_MOST || certain_at.elapsed() > DOUBT_MOST {
                bail!(
                    "{}: {error}; whether it took effect is unknown: apply again later",
                    title(change)
                );
            }
            progress(&format!("{}: {error}; reading again", title(change)));
        }
        progress("reading back");
        (actual, plan) = goal.look(api).await.context("cannot read back what was written")?;
        if let Some((change, _)) = &round.doubt {
            let is_left = plan
                .changes
                .iter()
                .any(|c| (c.kind, c.action, &c.key) == (change.kind, change.action, &change.key));
            done.writes += usize::from(!is_left);
            secrets.known(!is_left);
        }
        if plan.changes.is_empty() && plan.refused.is_empty() {
            done.last = plan;
            return Ok(done);
        }
        if round.doubt.is_none() {
            bail!("Stripe does not hold what was written: {}", what_is_left(&plan));
        }
    }
}

fn what_is_left(plan: &Plan) -> String {
    let changes = plan.changes.iter().map(title);
    let refused = plan
        .refused
        .iter()
        .map(|r| format!("refused   {} {}", r.kind.traits().name, r.key));
    changes.chain(refused).collect::<Vec<_>>().join("; ")
}

/// The writes of a plan up to the first one in doubt.
struct Round {
    written: usize,
    doubt: Option<(Change, ApiError)>,
}

async fn round(
    api: &Api,
    actual: &Actual,
    plan: &Plan,
    secrets: &mut Secrets,
    progress: &mut impl FnMut(&str),
) -> anyhow::Result<Round> {
    let keyed = actual
        .of(Kind::Price)
        .filter_map(|price| Some((price.key.clone()?, price.id.clone())));
    let mut prices: BTreeMap<String, String> = keyed.collect();
    for (index, change) in plan.changes.iter().enumerate() {
        progress(&format!("[{}/{}] {}", index + 1, plan.changes.len(), title(change)));
        match write(api, change, &prices).await {
            Ok(answer) => {
                if let (Kind::Price, Action::Create, Some(id)) = (change.kind, change.action, answer["id"].as_str()) {
                    prices.insert(change.key.clone(), id.to_owned());
                }
                if (change.kind, change.action) == (Kind::Webhook, Action::Create) {
                    secrets.made(change, &answer)?;
                }
            }
            Err(error) if error.is_doubtful() => {
                let doubt = Some((change.clone(), error));
                return Ok(Round { written: index, doubt });
            }
            Err(error) => {
                let so_far = format!(
                    "{} (after {index} of {} writes; apply again to go on)",
                    title(change),
                    plan.changes.len()
                );
                return Err(anyhow::Error::new(error).context(so_far));
            }
        }
    }
    let written = plan.changes.len();
    Ok(Round { written, doubt: None })
}

async fn write(api: &Api, change: &Change, prices: &BTreeMap<String, String>) -> Result<Value, ApiError> {
    let path = change.kind.traits().path;
    let path = match change.id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => format!("{path}/{id}"),
        None => path.to_owned(),
    };
    api.post(&path, &form(change, prices), &OperationKey::fresh()?).await
}

/// What is sent: prices by their ids.
fn form(change: &Change, prices: &BTreeMap<String, String>) -> Form {
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
