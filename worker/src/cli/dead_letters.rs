//! `worker dead-letters …`: its arguments and its output.

use super::{
    argument_error::ArgumentError,
    connect::{database, database_to_read, with_tools},
    print::eprint_line,
};
use crate::{
    config,
    dead_letters::{
        discard, list,
        rehearse::{self, rehearse},
        replay::{self, ReplayReport},
        selection::Selection,
        show,
        tools::MoveTools,
    },
    failure::Permanent,
    store::{
        action::{Operator, ReplayProgress, Via},
        dead_letter_queries::DeadLetterFilter,
    },
};
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use shared::settings::{Settings, parse_duration};
use std::{
    io::{Write, stdout},
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// How long a replay waits while the workers settle none of its messages.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

const REPLAY_HELP: &str = "\
Each message is published to the work queue. Once the broker has confirmed that, the message is removed from
the dead-letter queue. The replay is on record with your name and your reason. A replay that is cut off loses
nothing: run it again. At the end it waits for the workers, and prints how many events are applied and how many
are dead again.
Exit codes: 0 all are applied, ignored or on the way, 1 some are dead again, or failed, 2 wrong usage
or configuration.";

#[derive(Debug, Subcommand)]
pub(super) enum DeadLettersCommand {
    /// List the open dead letters, oldest first
    List {
        /// Print one JSON array instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Show one dead letter: its history and its payload
    Show {
        /// The id that `list` prints: the event's id, or the hash of a body without one
        id: String,
        /// Print the payload as it was received, with secret and personal data
        #[arg(long)]
        raw: bool,
        /// Print one JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Put dead letters back to work, once their cause is fixed
    #[command(after_help = REPLAY_HELP)]
    Replay {
        /// The ids of the dead letters. Without ids, use a filter or --all
        ids: Vec<String>,
        /// All open dead letters
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        #[command(flatten)]
        filter: FilterArgs,
        /// Only print what the replay would change
        #[arg(long)]
        dry_run: bool,
        /// Your reason, for the record
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        #[command(flatten)]
        by: OperatorArgs,
    },
    /// Remove dead letters for good; the record stays
    Discard {
        /// The ids of the dead letters
        #[arg(required = true)]
        ids: Vec<String>,
        /// Your reason, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        by: OperatorArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Only this event type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only this reason
    #[arg(long, value_parser = Permanent::ALL.map(Permanent::as_str))]
    reason: Option<String>,
    /// Only this Stripe customer, or this user of usage reports
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only those that first failed longer ago than this age, such as 2h
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Only those that first failed within this age, such as 30m
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    newer_than: Option<Duration>,
    /// At most this many
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    limit: Option<i64>,
}

impl FilterArgs {
    fn filter(self) -> DeadLetterFilter {
        let ago =
            |age: Option<Duration>| age.and_then(|age| OffsetDateTime::now_utc().checked_sub(age.try_into().ok()?));
        DeadLetterFilter {
            kind: self.kind,
            reason: self.reason,
            customer: self.customer,
            before: ago(self.older_than),
            since: ago(self.newer_than),
            after: None,
            limit: self.limit,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct OperatorArgs {
    /// Your name, for the record [default: the user of this shell]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl OperatorArgs {
    fn operator(self, settings: &Settings) -> Operator {
        let of_shell = ["SUDO_USER", "USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| settings.variable(name));
        Operator {
            name: self.by.unwrap_or_else(|| of_shell.unwrap_or("unknown").to_owned()),
            via: Via::Command,
        }
    }
}

pub(super) async fn execute(command: DeadLettersCommand, settings: &Settings) -> anyhow::Result<()> {
    match command {
        DeadLettersCommand::List { json, filter } => {
            let database = database_to_read(settings).await?;
            list::list(&database, &filter.filter(), json, &mut stdout().lock()).await
        }
        DeadLettersCommand::Show { id, raw, json } => {
            let database = database_to_read(settings).await?;
            show::show(&database, &id, raw, json, &mut stdout().lock()).await
        }
        DeadLettersCommand::Replay {
            ids,
            all,
            filter,
            dry_run,
            why,
            by,
        } => {
            let selection = selection(ids, all, filter.filter())?;
            if dry_run {
                return dry_run_now(settings, &selection).await;
            }
            let operator = by.operator(settings);
            with_tools(settings, async |tools| {
                replay_now(&tools, &selection, &operator, why.as_deref()).await
            })
            .await
        }
        DeadLettersCommand::Discard { ids, why, by } => {
            let operator = by.operator(settings);
            with_tools(settings, async |tools| {
                discard_now(&tools, &Selection::Ids(ids), &operator, &why).await
            })
            .await
        }
    }
}

/// The selection of the arguments. All dead letters are selected only with `--all`,
/// never by a command without a selection.
fn selection(ids: Vec<String>, all: bool, filter: DeadLetterFilter) -> anyhow::Result<Selection> {
    let is_unfiltered = filter == DeadLetterFilter::default();
    match (ids.is_empty(), is_unfiltered) {
        (false, true) => Ok(Selection::Ids(ids)),
        (true, false) => Ok(Selection::Matching(filter)),
        (true, true) if all => Ok(Selection::Matching(filter)),
        (true, true) => Err(wrong_selection(
            "select dead letters: by their ids, by a filter such as --reason, or with --all",
        )),
        (false, false) => Err(wrong_selection(
            "select dead letters by their ids or by a filter, not by both",
        )),
    }
}

fn wrong_selection(message: &'static str) -> anyhow::Error {
    let error = ArgumentError {
        subcommand: &["dead-letters", "replay"],
        message,
    };
    error.into()
}

async fn dry_run_now(settings: &Settings, selection: &Selection) -> anyhow::Result<()> {
    let reader = config::reader(settings)?;
    let database = database(settings).await?;
    let ids = selection.open_ids(&mut *database.acquire().await?).await?;
    let mut out = stdout().lock();
    if ids.is_empty() {
        writeln!(out, "No dead letters.")?;
    }
    let mut changes_nothing = true;
    for (number, batch) in ids.chunks(rehearse::BATCH_MAX).enumerate() {
        if ids.len() > rehearse::BATCH_MAX {
            let first = number * rehearse::BATCH_MAX + 1;
            writeln!(
                out,
                "{first} to {} of {}, as if only these were replayed:",
                first + batch.len() - 1,
                ids.len()
            )?;
        }
        let rehearsal = rehearse(&database, &reader, batch).await?;
        rehearsal.write(&mut out)?;
        changes_nothing &= rehearsal.changes_nothing();
    }
    if changes_nothing && !ids.is_empty() {
        writeln!(out, "No row that applications read would change.")?;
    }
    Ok(())
}

async fn replay_now(
    tools: &MoveTools,
    selection: &Selection,
    operator: &Operator,
    why: Option<&str>,
) -> anyhow::Result<()> {
    const PRINT_EVERY: Duration = Duration::from_secs(1);
    let mut printed = Instant::now();
    let progress = |so_far: &ReplayReport| {
        if printed.elapsed() > PRINT_EVERY {
            printed = Instant::now();
            eprint_line(&format!("{} of {} put back to work", so_far.done, so_far.wanted));
        }
    };
    let done = replay::replay(tools, selection, operator, why, progress).await?;
    writeln!(stdout(), "{}, on record as action {}.", done.words(), done.action)?;
    let progress = replay::settled(&tools.pool, done.action, SETTLE_TIMEOUT)
        .await
        .context("the dead letters were put back to work, but their outcome cannot be read")?;
    writeln!(stdout(), "{}", in_words(progress))?;
    let verb = if progress.dead == 1 { "is" } else { "are" };
    ensure!(
        progress.dead == 0,
        "{} {verb} dead again; `worker dead-letters list` says why",
        progress.dead
    );
    Ok(())
}

async fn discard_now(tools: &MoveTools, selection: &Selection, operator: &Operator, why: &str) -> anyhow::Result<()> {
    let done = discard::discard(tools, selection, operator, why).await?;
    let (action, discarded) = (done.action, done.discarded);
    writeln!(stdout(), "{discarded} discarded, on record as action {action}.")?;
    if let Some(warning) = discard::warning(done.elsewhere) {
        writeln!(stdout(), "{warning}.")?;
    }
    if done.messages.is_none() {
        writeln!(
            stdout(),
            "The messages could not be removed from the queue. A worker removes them later."
        )?;
    }
    Ok(())
}

fn in_words(progress: ReplayProgress) -> String {
    let ReplayProgress {
        resolved,
        dead,
        pending,
    } = progress;
    let waiting = if pending > 0 {
        " (in the work queue, with a worker or in a retry queue)"
    } else {
        ""
    };
    format!("So far {resolved} applied or ignored, {dead} dead again, {pending} on the way{waiting}.")
}
