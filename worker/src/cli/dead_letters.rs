//! `worker dead-letters …`: the arguments, and what is printed.

use super::{eprint_line, to_read, with_tools};
use crate::{
    config,
    dead_letters::{
        Selection, Tools, discard, list,
        rehearse::{self, rehearse},
        replay::{self, Replayed},
        show,
    },
    failure::Permanent,
    store::{
        action::{Operator, ReplayProgress, Via},
        dead_letter_queries::DeadLetterFilter,
        pool,
        settings::Database,
    },
};
use anyhow::{Context, ensure};
use clap::{Args, CommandFactory, Subcommand, error::ErrorKind};
use shared::settings::{Settings, parse_duration};
use std::{
    io::{Write, stdout},
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// How long a replay waits for workers that come to nothing more.
const PATIENCE: Duration = Duration::from_secs(10);

const REPLAY_HELP: &str = "\
Each message is published to the work queue, confirmed, then removed from the dead-letter queue; who did it
and why is on record. A replay that is cut off loses nothing: do it again. Then it waits for the workers
and says how many are applied, and how many are dead again.
Exit codes: 0 all are applied or ignored, or on their way, 1 some are dead again, or it failed, 2 wrong usage
or configuration.";

#[derive(Debug, Subcommand)]
pub(super) enum DeadLetters {
    /// List the open ones, oldest first
    List {
        /// One JSON array instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Show one: what happened to it, and its payload
    Show {
        /// The event's id, else the hash of its body, as `list` prints it
        id: String,
        /// The payload as it came, with all that is secret or personal
        #[arg(long)]
        raw: bool,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Put some back to work, once their cause is mended
    #[command(after_help = REPLAY_HELP)]
    Replay {
        /// These; or name a filter, or --all
        ids: Vec<String>,
        /// All open ones
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        #[command(flatten)]
        filter: FilterArgs,
        /// Only print what they would change
        #[arg(long)]
        dry_run: bool,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        #[command(flatten)]
        by: By,
    },
    /// Remove some for good, on record
    Discard {
        /// These
        #[arg(required = true)]
        ids: Vec<String>,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        by: By,
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
    /// Only this Stripe customer, or user of usage
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only those that first failed longer ago than this, such as 2h
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Only those that first failed not longer ago than this, such as 30m
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    newer_than: Option<Duration>,
    /// At most so many
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
pub(super) struct By {
    /// Who you are, for the record [default: the user of this shell]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl By {
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

pub(super) async fn execute(command: DeadLetters, settings: &Settings) -> anyhow::Result<()> {
    match command {
        DeadLetters::List { json, filter } => {
            list::list(&to_read(settings).await?, &filter.filter(), json, &mut stdout().lock()).await
        }
        DeadLetters::Show { id, raw, json } => {
            show::show(&to_read(settings).await?, &id, raw, json, &mut stdout().lock()).await
        }
        DeadLetters::Replay {
            ids,
            all,
            filter,
            dry_run,
            why,
            by,
        } => {
            let selection = selection(ids, all, filter.filter())?;
            if dry_run {
                return dry(settings, &selection).await;
            }
            let operator = by.operator(settings);
            with_tools(settings, async |tools| {
                replay_now(&tools, &selection, &operator, why.as_deref()).await
            })
            .await
        }
        DeadLetters::Discard { ids, why, by } => {
            let operator = by.operator(settings);
            with_tools(settings, async |tools| {
                let done = discard::discard(&tools, &Selection::Ids(ids), &operator, &why).await?;
                let (action, letters) = (done.action, done.letters);
                writeln!(stdout(), "{letters} discarded, on record as action {action}.")?;
                if let Some(warning) = discard::warning(done.elsewhere) {
                    writeln!(stdout(), "{warning}.")?;
                }
                if done.messages.is_none() {
                    writeln!(
                        stdout(),
                        "Their messages could not be removed; the next replay or discard does it."
                    )?;
                }
                Ok(())
            })
            .await
        }
    }
}

/// Who means all has to say so.
fn selection(ids: Vec<String>, all: bool, filter: DeadLetterFilter) -> anyhow::Result<Selection> {
    let unfiltered = filter == DeadLetterFilter::default();
    match (ids.is_empty(), unfiltered) {
        (false, true) => Ok(Selection::Ids(ids)),
        (true, false) => Ok(Selection::Matching(filter)),
        (true, true) if all => Ok(Selection::Matching(filter)),
        (true, true) => Err(wrong_usage(
            "name the dead letters by ID, by a filter such as --reason, or with --all",
        )),
        (false, false) => Err(wrong_usage(
            "name the dead letters either by ID or by a filter, not both",
        )),
    }
}

fn wrong_usage(what: &str) -> anyhow::Error {
    super::Cli::command()
        .error(ErrorKind::MissingRequiredArgument, what)
        .into()
}

async fn dry(settings: &Settings, selection: &Selection) -> anyhow::Result<()> {
    let reader = config::reader(settings)?;
    let database = pool::open(&Database::from_settings(settings)?)?;
    pool::ready(&database).await?;
    let ids = selection.open(&mut *database.acquire().await?).await?;
    let mut out = stdout().lock();
    if ids.is_empty() {
        writeln!(out, "No dead letters.")?;
    }
    let mut nothing = true;
    for (number, some) in ids.chunks(rehearse::AT_ONCE).enumerate() {
        if ids.len() > rehearse::AT_ONCE {
            let first = number * rehearse::AT_ONCE + 1;
            writeln!(
                out,
                "{first} to {} of {}, as if only they were replayed:",
                first + some.len() - 1,
                ids.len()
            )?;
        }
        let rehearsal = rehearse(&database, &reader, some).await?;
        rehearsal.write(&mut out)?;
        nothing &= rehearsal.changes_nothing();
    }
    if nothing && !ids.is_empty() {
        writeln!(out, "No row that applications read would change.")?;
    }
    Ok(())
}

async fn replay_now(
    tools: &Tools,
    selection: &Selection,
    operator: &Operator,
    why: Option<&str>,
) -> anyhow::Result<()> {
    const SAY_EVERY: Duration = Duration::from_secs(1);
    let mut said = Instant::now();
    let progress = |so_far: &Replayed| {
        if said.elapsed() > SAY_EVERY {
            said = Instant::now();
            eprint_line(&format!("{} of {} put back to work", so_far.done, so_far.wanted));
        }
    };
    let done = replay::replay(tools, selection, operator, why, progress).await?;
    writeln!(stdout(), "{}, on record as action {}.", done.words(), done.action)?;
    let standing = replay::settled(&tools.pool, done.action, PATIENCE)
        .await
        .context("they were put back to work, but what became of them cannot be read")?;
    writeln!(stdout(), "{}", in_words(standing))?;
    ensure!(
        standing.dead == 0,
        "{} are dead again; `worker dead-letters list` says why",
        standing.dead
    );
    Ok(())
}

fn in_words(standing: ReplayProgress) -> String {
    let ReplayProgress {
        resolved,
        dead,
        pending,
    } = standing;
    let waiting = if pending > 0 {
        " (no worker has come to them yet, or they wait in a retry queue)"
    } else {
        ""
    };
    format!("So far {resolved} applied or ignored, {dead} dead again, {pending} on their way{waiting}.")
}
