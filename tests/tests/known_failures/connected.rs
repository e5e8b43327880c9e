//! Events of other companies' accounts.

use crate::buyer::{Buyer, edited};
use crate::stage::{M, Stage, tell};
use anyhow::{Result, ensure};
use serde_json::json;
use tests::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY};
use tests::fixtures::{ApiVersion, DAY, Event, Pack};
use tests::harness::{Balance, Pair, Setup, TestEnv, unix_now};

fn of_account(event: &Event, field: &str, account: &str) -> Event {
    edited(event, |event| event[field] = json!(account))
}

#[test]
fn another_company_s_account_raises_no_tier_and_grants_no_pack() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 10 * DAY;
        for field in ["account", "context"] {
            let user = format!("user_attacked_by_{field}");
            let mut ours = Buyer::new(ApiVersion::Y2026, &user, BASIC_MONTHLY, start);
            stage.told(&ours.subscribed()).await?;
            let name = format!("{user} elsewhere");
            let mut theirs = Buyer::new(ApiVersion::Y2026, &name, MAX_MONTHLY, start + DAY);
            theirs.subscription = theirs.subscription.of_user(&user);
            let pack = Pack::bought(&mut theirs.mint, &user, "tokens_5m", 1, start + DAY);
            let mut attack = theirs.subscribed();
            attack.push(pack.completed(&mut theirs.mint));
            attack.push(ours.ended(start + 2 * DAY));
            let attack: Vec<Event> = attack
                .iter()
                .map(|event| of_account(event, field, "acct_1QbTbrOther"))
                .collect();
            stage.told(&attack).await?;
            for event in &attack {
                stage.ignored(event, "other_account").await?;
            }
            stage.has(&user, "basic", None).await?;
            stage.tokens(&user, Balance::new(5 * M, 0, 0, 0, 5 * M)).await?;
            stage.audited(&user).await?;
        }
        Ok(())
    })
}

#[tokio::test]
async fn with_an_account_set_only_the_events_of_that_account_are_applied() -> Result<()> {
    const OURS: &str = "acct_1QbTbrOurs";
    let env = TestEnv::new("known_account").await?;
    let pair = Pair::start(&env, Setup::default().worker("STRIPE_ACCOUNT", OURS)).await?;
    let stage = Stage { env: &env, pair: &pair };
    let start = unix_now() - 10 * DAY;
    let events = |user: &str| Buyer::new(ApiVersion::Y2026, user, BASIC_MONTHLY, start).created();
    let ours = of_account(&events("user_ours"), "account", OURS);
    let theirs = of_account(&events("user_theirs"), "account", "acct_1QbTbrOther");
    let platform = events("user_platform");
    stage.told(&[ours.clone(), theirs.clone(), platform.clone()]).await?;
    stage.applied(&[ours]).await?;
    stage.has("user_ours", "basic", None).await?;
    for (event, user) in [(theirs, "user_theirs"), (platform, "user_platform")] {
        stage.ignored(&event, "other_account").await?;
        let row = stage.found(user).await?;
        ensure!(row.is_none(), "{row:?}");
    }
    pair.operate(&["audit"]).await.map(drop)
}
