//! Dead letters that Stripe itself repairs.

use crate::stage::DEADLINE;
use anyhow::{Result, ensure};
use tests::crowd::{all_applied, ids};
use tests::harness::{Pair, Setup, TestEnv, eventually};
use tests::test_catalog::{TestCatalog, all_dead, missing_price_events, open, restart};

#[tokio::test]
async fn a_dead_letter_that_stripe_s_resend_resolved_leaves_the_queue_without_an_operator() -> Result<()> {
    let shop = TestCatalog::new("known_resend")?;
    let env = TestEnv::new("known_resend").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let events = missing_price_events(env.namespace(), 3);
    all_dead(&env, &queues, &events).await?;

    shop.add_missing_price()?;
    restart(&mut pair).await?;
    let (resent, others) = events.split_at(1);
    pair.client.post_event(&resent[0]).await?.accepted()?;
    all_applied(env.pool(), &ids(resent), DEADLINE).await?;
    ensure!(open(&env).await? == 2, "its letter is still open");
    eventually(DEADLINE, "its message has left the queue", async || {
        let depth = queues.depth(&dead).await?;
        ensure!(depth == 2, "{depth} messages");
        Ok(())
    })
    .await;

    // What nobody repaired stays, each once.
    let mut left = queues.take_all(&dead).await?;
    left.retain(|message| {
        let id = message.properties.message_id().as_ref().map(ToString::to_string);
        others.iter().any(|event| Some(&event.id) == id.as_ref())
    });
    ensure!(left.len() == 2, "{} of the others are left", left.len());
    Ok(())
}
