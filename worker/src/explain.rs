//! `worker explain USER`: why a user has their entitlement and balances. It reads facts
//! and the ledger, and changes nothing.

use crate::{
    domain::{
        explain::{
            EntitlementRow, ExplainRequest, Explanation, HistoryEntry, MeterHistory, Moment, SubscriptionHistory,
            explain as explanation,
        },
        ids::UserId,
    },
    store,
};
use anyhow::Context;
use shared::{catalog::FREE_TIER, message::now_ms, terminal::printable};
use sqlx::PgPool;
use std::io::{self, Write};

/// Prints a user's history up to the time `at`, in seconds since 1970, or up to now: as
/// text, or as one JSON object.
pub async fn explain(
    pool: &PgPool,
    user: &str,
    at: Option<i64>,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let user = UserId::new(user);
    let mut snapshot = store::snapshot::begin(pool).await?;
    let accounts = store::explain::accounts_of(&mut snapshot, &user).await?;
    let (facts, types) = store::explain::facts_of(&mut snapshot, &accounts).await?;
    let recorded = store::explain::recorded_of(&mut snapshot, &user).await?;
    snapshot.commit().await?;
    let request = ExplainRequest {
        user: &user,
        at: at.unwrap_or_else(|| now_ms() / 1_000),
        is_past: at.is_some(),
        free_tier: FREE_TIER,
        types: &types,
    };
    let explained = explanation(&facts, &recorded, &request).with_context(|| unknown(&user))?;
    if json {
        serde_json::to_writer_pretty(&mut *out, &explained)?;
        writeln!(out)?;
    } else {
        text(&explained, out)?;
    }
    Ok(())
}

fn unknown(user: &UserId) -> String {
    format!(
        "no event names user '{}'; check the spelling of the id, that metadata.user_id or client_reference_id is set at \
         Stripe, and that `worker dead-letters list` does not show the user's events",
        printable(user.as_str())
    )
}

/// Indents the words of an entry below its time.
const INDENT: &str = "                      ";

fn text(explained: &Explanation, out: &mut impl Write) -> io::Result<()> {
    for sentence in &explained.summary {
        writeln!(out, "{}", printable(sentence))?;
    }
    writeln!(out, "\nAs of {}:", explained.at)?;
    match &explained.entitlement {
        Some(row) => table(row, out)?,
        None => writeln!(out, "  no row in billing.entitlements")?,
    }
    for history in &explained.subscriptions {
        heading(history, out)?;
        entries(&history.entries, out)?;
    }
    if !explained.others.is_empty() {
        writeln!(out, "\nOther events")?;
        entries(&explained.others, out)?;
    }
    for one in &explained.meters {
        meter(one, out)?;
    }
    Ok(())
}

/// The columns that have a value, one per line.
fn table(row: &EntitlementRow, out: &mut impl Write) -> io::Result<()> {
    let time = |at: &Option<Moment>| at.map(|at| at.to_string());
    let columns = [
        ("entitled", Some(row.entitled.to_string())),
        ("status", Some(row.status.clone())),
        ("tier", Some(row.tier.clone())),
        ("effective_tier", Some(row.effective_tier.clone())),
        ("grace_tier", row.grace_tier.clone()),
        ("grace_until", time(&row.grace_until)),
        ("current_period_start", time(&row.current_period_start)),
        ("current_period_end", time(&row.current_period_end)),
        ("trial_end", time(&row.trial_end)),
        ("is_canceling", Some(row.is_canceling.to_string())),
        ("cancel_at", time(&row.cancel_at)),
        ("canceled_at", time(&row.canceled_at)),
        ("ever_paid", Some(row.ever_paid.to_string())),
        ("highest_tier_subscribed", row.highest_tier_subscribed.clone()),
        ("stripe_customer_id", row.stripe_customer_id.clone()),
        ("stripe_subscription_id", row.stripe_subscription_id.clone()),
    ];
    for (name, value) in columns {
        if let Some(value) = value {
            writeln!(out, "  {name:23}  {}", printable(&value))?;
        }
    }
    Ok(())
}

fn heading(history: &SubscriptionHistory, out: &mut impl Write) -> io::Result<()> {
    let current = if history.is_current { ", the current one" } else { "" };
    let (id, customer) = (
        printable(history.subscription.as_str()),
        printable(history.customer.as_str()),
    );
    writeln!(out, "\nSubscription {id} of customer {customer}{current}")?;
    for note in &history.notes {
        writeln!(out, "  {}", printable(note))?;
    }
    Ok(())
}

fn entries(entries: &[HistoryEntry], out: &mut impl Write) -> io::Result<()> {
    for entry in entries {
        let event = entry.event.as_ref().map_or("-", |id| id.as_str());
        let kind = entry.event_type.as_deref().unwrap_or_default();
        let line = format!("  {:20}  {event}  {kind}", entry.at.to_string());
        writeln!(out, "{}", printable(line.trim_end()))?;
        let lines = entry.detail.iter().chain(entry.changes.iter().map(|c| &c.words));
        for words in lines {
            writeln!(out, "  {INDENT}{}", printable(words))?;
        }
    }
    Ok(())
}

/// A meter: what is left, then each change, one per line.
fn meter(meter: &MeterHistory, out: &mut impl Write) -> io::Result<()> {
    let line = |out: &mut dyn Write, at: &Moment, words: &str| {
        writeln!(out, "{}", printable(&format!("  {:20}  {words}", at.to_string())))
    };
    writeln!(out, "\nMeter {}", printable(&meter.meter))?;
    writeln!(out, "  {}", printable(&meter.summary))?;
    for (at, words) in meter.summed_lines() {
        line(out, &at, &words)?;
    }
    if !meter.corrections.is_empty() {
        writeln!(out, "  Corrections in the ledger, already included in the lines above:")?;
    }
    for correction in &meter.corrections {
        line(out, &correction.at, &correction.words)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_of_an_event_reaches_the_terminal() {
        let entry = HistoryEntry {
            at: Moment(0),
            event: None,
            event_type: Some("a\u{1b}[2Jb".to_owned()),
            detail: Some("c\nd".to_owned()),
            changes: Vec::new(),
            access_tier: None,
        };
        let mut out = Vec::new();
        entries(&[entry], &mut out).expect("memory");
        let expected = "  1970-01-01T00:00:00Z  -  a\u{fffd}[2Jb\n                        c\u{fffd}d\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
