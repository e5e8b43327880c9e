//! Messages that are put back, by an operator or by the broker, are neither lost nor skipped.

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tests::crowd::{all_applied, ids, newcomers};
use tests::harness::{Pair, Queues, Setup, TestEnv, eventually, header};

const DEADLINE: Duration = Duration::from_secs(30);
const POISON: &[u8] = b"{\"id\":\"evt_poison\",\"type\":\"invoice.paid\",\"created\":1}";

#[tokio::test]
async fn a_dead_letter_that_is_put_back_too_early_goes_back_to_the_dead_letters() -> Result<()> {
    let env = TestEnv::new("replay_early").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let (queues, topology) = (env.queues().await?, env.topology());
    queues
        .publish(&topology.work(), lapin::BasicProperties::default(), POISON)
        .await?;
    wait_for_depth(&queues, &topology.dead(), 1).await;

    for attempts in 2..=3 {
        let taken = queues.take_all(&topology.dead()).await?;
        let letter = taken.first().context("no dead letter")?;
        queues
            .publish(&topology.work(), letter.properties.clone(), &letter.data)
            .await?;
        wait_for_depth(&queues, &topology.dead(), 1).await;
        let listed = pair.dead_letters(&[]).await?;
        ensure!(listed.len() == 1 && listed[0]["attempts"] == attempts, "{listed:?}");
    }
    let again = queues.take_all(&topology.dead()).await?;
    let reason = header(&again[0], shared::message::REASON);
    ensure!(again.len() == 1 && reason.as_deref() == Some("malformed"), "{reason:?}");
    Ok(())
}

/// The broker reports the end of a consumer once, behind the deliveries that it sent before.
#[tokio::test]
async fn a_queue_deleted_over_a_backlog_does_not_end_consumption() -> Result<()> {
    let env = TestEnv::new("deleted_backlog").await?;
    // One lane, so that its batch is still gathering when the end is reported.
    let one_lane = Setup::default().worker("LANES", "1").worker("BATCH_SIZE", "1000");
    let pair = Pair::start(&env, one_lane.worker("BATCH_WAIT", "1s")).await?;
    let (queues, work) = (env.queues().await?, env.topology().work());
    let events = newcomers(env.namespace(), 401);
    let (backlog, [last]) = events.split_at(400) else {
        unreachable!("as many as were made")
    };
    let bodies = backlog
        .iter()
        .map(|e| (lapin::BasicProperties::default(), e.body.as_bytes()));
    queues.publish_all(&work, bodies).await?;
    queues.delete(&work).await?;

    // Whatever was lost with the queue was lost by its deletion; what comes next must not be.
    eventually(DEADLINE, "the queue is there again", async || {
        ensure!(pair.client.post_event(last).await?.status == 200);
        Ok(())
    })
    .await;
    all_applied(env.pool(), &ids(std::slice::from_ref(last)), DEADLINE).await?;
    Ok(())
}

async fn wait_for_depth(queues: &Queues, queue: &str, depth: i64) {
    eventually(DEADLINE, "the dead letter is in its queue", async || {
        let now = queues.depth(queue).await?;
        ensure!(now == depth, "{now} messages in {queue}");
        Ok(())
    })
    .await;
}
