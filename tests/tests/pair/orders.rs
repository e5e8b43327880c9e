//! Every order of a short history, through real servers and several workers, ends in the same row.

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tests::compare;
use tests::crowd::{Senders, all_recorded, ids};
use tests::figures::note;
use tests::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY};
use tests::fixtures::{ApiVersion, DAY, Event};
use tests::harness::{Entitlement, Pair, Setup, TestEnv, eventually, unix_now};
use tests::merchant::{BurstStep, CheckoutOrder, DowngradeCredit, Life, Script, UpgradePayment, UserLink};

const DEADLINE: Duration = Duration::from_secs(30);

/// A life, and the order in which its events come.
struct Trial {
    life: Life,
    order: Vec<usize>,
}

impl Trial {
    /// The event that comes in `round`, if the life has so many.
    fn event(&self, round: usize) -> Option<&Event> {
        self.order.get(round).map(|place| &self.life.events[*place])
    }
}

/// All orders of the places from 0 to below `length`.
fn orders(length: usize) -> Vec<Vec<usize>> {
    let Some(last) = length.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let shorter = orders(last);
    let with_last = |order: &Vec<usize>| {
        let order = order.clone();
        (0..length).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    shorter.iter().flat_map(with_last).collect()
}

/// The life that `write` writes for the user of each order, in the shapes of all versions by turns.
fn trials(orders: Vec<Vec<usize>>, now: i64, write: impl Fn(Script) -> Life) -> Vec<Trial> {
    let trial = |(number, order): (usize, Vec<usize>)| {
        let version = ApiVersion::ALL[number % ApiVersion::ALL.len()];
        let script = Script::new(version, &format!("user_{number}"), now - 10 * DAY);
        let life = write(script.single_payment_events());
        assert_eq!(life.events.len(), order.len(), "{}", life.description());
        Trial { life, order }
    };
    orders.into_iter().enumerate().map(trial).collect()
}

/// Delivers the events of every trial in its order, each twice. Each round brings everybody's
/// next event and lasts until all of these are on record, so that they come into the database in
/// exactly this order; the copy of an event comes beside it, or in the next round. After each
/// round `check` sees everybody's row, and which events have come.
async fn play(
    env: &TestEnv,
    trials: &[Trial],
    check: impl Fn(&Trial, &[usize], Option<&Entitlement>) -> Result<()>,
) -> Result<()> {
    // Small batches: the events of one user come into many transactions.
    let setup = Setup::default()
        .workers(3)
        .worker("BATCH_SIZE", "7")
        .worker("LANES", "2");
    let pair = Pair::start(env, setup).await?;
    let rounds = trials[0].order.len();
    let users: Vec<&str> = trials.iter().map(|trial| trial.life.user_id.as_str()).collect();
    let (start, mut posted) = (Instant::now(), 0);
    for round in 0..=rounds {
        let mut events = Vec::new();
        for (number, trial) in trials.iter().enumerate() {
            let copies_come_later = number % 2 == 1;
            let copied = if copies_come_later {
                round.checked_sub(1)
            } else {
                Some(round)
            };
            events.extend(trial.event(round).cloned());
            events.extend(copied.and_then(|round| trial.event(round)).cloned());
        }
        posted += events.len();
        Senders::start(&pair.client, &events, 8).finish().await?;
        all_recorded(env.pool(), &ids(&events), DEADLINE).await?;
        let rows = Entitlement::load_all(env.pool(), &users).await?;
        for trial in trials {
            let known = &trial.order[..rounds.min(round + 1)];
            let row = rows.get(&trial.life.user_id);
            check(trial, known, row).with_context(|| format!("{known:?} of {}\n{row:?}", trial.life.description()))?;
        }
    }
    eventually(DEADLINE, "every copy is settled", async || {
        ensure!(pair.settled().await? == i64::try_from(posted)?);
        Ok(())
    })
    .await;
    note(&format!(
        "{} orders of {rounds} events, {posted} posts: {:?}",
        trials.len(),
        start.elapsed()
    ));
    let lives: Vec<Life> = trials.iter().map(|trial| trial.life.clone()).collect();
    compare::all(env.pool(), &lives).await?;
    Ok(())
}

/// The status and tier that the latest of the `known` events shows, where `shown` has what each
/// event shows.
fn latest<'a>(shown: &[Option<(&'a str, &'a str)>], known: &[usize]) -> Option<(&'a str, &'a str)> {
    let known = shown.iter().enumerate().filter(|(place, _)| known.contains(place));
    known.filter_map(|(_, shown)| *shown).next_back()
}

#[tokio::test]
async fn all_720_orders_of_six_doubled_events_lead_to_the_same_row() -> Result<()> {
    let env = TestEnv::new("orders_720").await?;
    let now = unix_now();
    let trials = trials(orders(6), now, |mut script| {
        let order = CheckoutOrder {
            link: UserLink::SessionReference,
            ..CheckoutOrder::new(PLUS_MONTHLY)
        };
        script.checkout(&order);
        script.wait(2 * DAY);
        script.upgrade(0, MAX_MONTHLY, UpgradePayment::Free);
        script.wait(3 * DAY);
        script.downgrade(0, BASIC_MONTHLY, DowngradeCredit::None);
        script.life(now)
    });
    ensure!(trials.len() == 720);
    let [paid, named, downgrade] = [2, 3, 5];
    let kinds: Vec<&str> = trials[0].life.events.iter().map(|event| event.kind.as_str()).collect();
    ensure!(kinds[paid] == "invoice.paid" && kinds[named] == "checkout.session.completed");
    let shown = [
        Some(("incomplete", "plus")),
        Some(("active", "plus")),
        None,
        None,
        Some(("active", "max")),
        Some(("active", "basic")),
    ];
    play(&env, &trials, |_, known, row| {
        let is_named = known.contains(&named);
        let expected = is_named.then(|| latest(&shown, known)).flatten();
        let seen = row.map(|row| (row.status.as_str(), row.tier.as_str()));
        ensure!(seen == expected, "{seen:?}, not {expected:?}");
        let Some(row) = row else { return Ok(()) };
        ensure!(row.ever_paid == known.contains(&paid), "ever paid?");
        // The downgrade's event shows the state before it.
        let grace = known.contains(&downgrade).then_some("max");
        ensure!(row.grace_tier.as_deref() == grace, "not a grace of {grace:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_changes_within_one_second_the_last_one_wins_in_every_order() -> Result<()> {
    const CHECKOUT: [usize; 4] = [0, 1, 2, 3];
    let env = TestEnv::new("orders_second").await?;
    let now = unix_now();
    let bursts = orders(5).into_iter().enumerate().map(|(number, burst)| {
        let burst: Vec<usize> = burst.iter().map(|place| CHECKOUT.len() + place).collect();
        // Half of them come before what they change is known.
        if number % 2 == 0 {
            [&CHECKOUT, &burst[..]].concat()
        } else {
            [&burst[..], &CHECKOUT].concat()
        }
    });
    let trials = trials(bursts.collect(), now, |mut script| {
        script.checkout(&CheckoutOrder::new(BASIC_MONTHLY));
        script.wait(2 * DAY);
        let [there, back, elsewhere] = [MAX_MONTHLY, BASIC_MONTHLY, PLUS_MONTHLY].map(BurstStep::Price);
        script.burst(0, &[there, back, elsewhere, BurstStep::Cancel, BurstStep::Note]);
        script.life(now)
    });
    play(&env, &trials, |_, known, row| {
        let is_named = known.iter().any(|place| ![2, 3].contains(place));
        ensure!(row.is_some() == is_named, "a row?");
        let Some(row) = row else { return Ok(()) };
        let is_shown = row.status == "active" || (row.status == "incomplete" && row.tier == "basic");
        ensure!(is_shown, "Stripe never showed that");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deletion_that_comes_first_late_or_in_a_tie_ends_the_subscription_for_good() -> Result<()> {
    let env = TestEnv::new("orders_deleted").await?;
    let now = unix_now();
    let trials = trials(orders(5), now, |mut script| {
        script.checkout(&CheckoutOrder::new(MAX_MONTHLY));
        script.wait(2 * DAY);
        // An update and the end in one second, neither of which names the user any more.
        script.delete_account(0, true);
        let mut life = script.life(now);
        life.events.retain(|event| event.kind != "checkout.session.completed");
        life
    });
    let shown = [
        Some(("incomplete", "max")),
        Some(("active", "max")),
        None,
        Some(("active", "max")),
        Some(("canceled", "max")),
    ];
    play(&env, &trials, |_, known, row| {
        let is_named = known.contains(&0) || known.contains(&1);
        let expected = is_named.then(|| latest(&shown, known)).flatten();
        let seen = row.map(|row| (row.status.as_str(), row.tier.as_str()));
        ensure!(seen == expected, "{seen:?}, not {expected:?}");
        let Some(row) = row else { return Ok(()) };
        let effective = if row.status == "active" { "max" } else { "free" };
        ensure!(row.effective_tier == effective, "not {effective}");
        ensure!(row.entitled == (row.status == "active") && row.grace_tier.is_none());
        Ok(())
    })
    .await
}
