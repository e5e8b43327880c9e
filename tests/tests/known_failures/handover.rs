//! A subscription goes from one user to another, and the balances of both are parted at that moment.

use crate::buyer::Buyer;
use crate::stage::{M, Stage, tell};
use anyhow::{Result, ensure};
use tests::fixtures::price::PLUS_MONTHLY;
use tests::fixtures::{ApiVersion, DAY, Event};
use tests::harness::{Balance, unix_now};

/// `user` has the subscription from `at` on.
fn goes_to(buyer: &mut Buyer, user: &str, at: i64) -> Event {
    buyer.updated(at, |subscription| {
        subscription.metadata.insert("user_id".to_owned(), user.to_owned());
    })
}

/// What `worker explain` prints for `user`.
async fn explained(stage: &Stage<'_>, user: &str) -> Result<String> {
    let printed = stage.pair.workers[0].command(&["explain", user])?.output().await?;
    ensure!(printed.status.success(), "explain {user} fails");
    Ok(String::from_utf8(printed.stdout)?)
}

fn guest_of(user: &str) -> String {
    format!("guest_of_{user}")
}

/// Plus by the month, 10M tokens, goes to another user on day 12 of 30: 4M are the guest's, and 6M the account's.
#[test]
fn a_guest_who_used_a_part_and_an_account_that_goes_on_have_no_more_than_was_sold() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 20 * DAY;
        let name = "user_parted";
        let life = |user: &str| {
            let mut buyer = Buyer::new(ApiVersion::Y2026, &guest_of(user), PLUS_MONTHLY, start);
            let mut events = buyer.subscribed();
            events.push(goes_to(&mut buyer, user, start + 12 * DAY));
            events
        };
        // Reported before any event: both are decided again with each of them.
        for number in 0..6 {
            let user = format!("{name}_{number}");
            stage.used(&guest_of(&user), 9 * M, start + 5 * DAY).await?;
            stage.used(&user, 2 * M, start + 14 * DAY).await?;
        }
        let check = async |user: &str| {
            stage.has(user, "plus", None).await?;
            stage.tokens(user, Balance::new(6 * M, 2 * M, 0, 0, 4 * M)).await?;
            let guest = guest_of(user);
            let row = stage.row(&guest).await?;
            ensure!(!row.entitled && row.status == "none", "the guest still has {row:?}");
            // 9M were used, 4M were the guest's: 5M are debt.
            stage.tokens(&guest, Balance::new(0, 9 * M, -5 * M, 0, -5 * M)).await
        };
        stage.in_every_order(name, life, check).await?;

        let guest = guest_of("user_parted_0");
        let said = explained(stage, &guest).await?;
        for words in [
            "was handed over to user_parted_0 at ",
            &format!("handed over from {guest} to user_parted_0, by metadata.user_id of the subscription"),
            "4,000,000 were this user's part of the period",
            "5,000,000 more were used, and become debt",
        ] {
            ensure!(said.contains(words), "no '{words}' in\n{said}");
        }
        let said = explained(stage, "user_parted_0").await?;
        for words in [
            &format!("It was handed over from {guest} to user_parted_0 at "),
            "18 days at 10,000,000 (of 30 days): 6,000,000",
        ] {
            ensure!(said.contains(words), "no '{words}' in\n{said}");
        }
        Ok(())
    })
}

#[test]
fn a_subscription_that_goes_back_counts_each_time_by_itself() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 25 * DAY;
        let name = "user_lent";
        let life = |user: &str| {
            let mut buyer = Buyer::new(ApiVersion::V2024, user, PLUS_MONTHLY, start);
            let mut events = buyer.subscribed();
            events.push(goes_to(&mut buyer, &guest_of(user), start + 6 * DAY));
            events.push(goes_to(&mut buyer, user, start + 18 * DAY));
            events
        };
        for number in 0..24 {
            let user = format!("{name}_{number}");
            stage.used(&user, 5 * M, start + 3 * DAY).await?;
            stage.used(&guest_of(&user), 3 * M, start + 10 * DAY).await?;
            stage.used(&user, M, start + 20 * DAY).await?;
        }
        let check = async |user: &str| {
            // 6 days: 2M, of which 5M were used. 12 days: 4M, of which 1M was used.
            stage.has(user, "plus", None).await?;
            stage.tokens(user, Balance::new(4 * M, M, -3 * M, 0, 0)).await?;
            // 12 days in between: 4M. What was left of it lapses.
            stage.tokens(&guest_of(user), Balance::new(0, 3 * M, 0, 0, 0)).await
        };
        stage.in_every_order(name, life, check).await
    })
}

#[test]
fn what_rolled_over_stays_and_later_renewals_are_the_new_users() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 65 * DAY;
        let (user, guest) = ("user_moved", guest_of("user_moved"));
        let mut buyer = Buyer::new(ApiVersion::Y2026, &guest, PLUS_MONTHLY, start);
        let mut events = buyer.subscribed();
        events.extend(buyer.renewed());
        stage.told(&events).await?;
        stage.used(&guest, M, start + 45 * DAY).await?;
        // The first month leaves all of its 10M.
        stage.tokens(&guest, Balance::new(10 * M, M, 10 * M, 0, 19 * M)).await?;

        stage.told(&[goes_to(&mut buyer, user, start + 48 * DAY)]).await?;
        // 18 of 30 days: 6M. The guest used 1M of that.
        stage.tokens(&guest, Balance::new(0, M, 10 * M, 0, 10 * M)).await?;
        stage.tokens(user, Balance::new(4 * M, 0, 0, 0, 4 * M)).await?;
        stage.used(user, M, start + 50 * DAY).await?;

        stage.told(&buyer.renewed()).await?;
        // The user's part of the second month leaves 3M.
        stage.tokens(user, Balance::new(10 * M, 0, 3 * M, 0, 13 * M)).await?;
        stage.tokens(&guest, Balance::new(0, M, 10 * M, 0, 10 * M)).await?;
        stage.used(&guest, 2 * M, start + 62 * DAY).await?;
        stage.tokens(&guest, Balance::new(0, M, 8 * M, 0, 8 * M)).await?;
        stage.audited("user_moved").await
    })
}
