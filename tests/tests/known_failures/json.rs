//! JSON that no standard forbids and no parser reads the same way.

use crate::buyer::Buyer;
use crate::stage::{DEADLINE, tell};
use anyhow::{Result, ensure};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, DAY, Event};
use tests::harness::{eventually, recorded, unix_now};

/// The event with another field in front of all others of its object.
fn with_field(event: &Event, field: &str) -> Event {
    let begin = "\"object\": {";
    let body = event.body.replacen(begin, &format!("{begin} {field},"), 1);
    assert_ne!(body, event.body, "no object in the event");
    Event { body, ..event.clone() }
}

#[test]
fn odd_values_in_fields_that_nobody_reads_do_not_matter() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        for (number, field) in [
            r#""unread_text": "half of a pair: \ud83d""#,
            r#""unread_text": "the other half: \ude00""#,
            r#""unread_number": 1e400"#,
            r#""unread_number": -1e-400"#,
            r#""unread_text": "a NUL: \u0000""#,
            r#""unread_number": 123456789012345678901234567890"#,
        ]
        .into_iter()
        .enumerate()
        {
            let user = format!("user_odd_{number}");
            let mut buyer = Buyer::new(ApiVersion::Y2026, &user, BASIC_MONTHLY, start);
            let created = with_field(&buyer.created(), field);
            stage.told(std::slice::from_ref(&created)).await?;
            stage.applied(&[created]).await?;
            stage.has(&user, "basic", None).await?;
        }
        Ok(())
    })
}

#[test]
fn of_two_ids_in_one_event_ingest_and_worker_never_read_different_ones() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        let user = "user_two_ids";
        let mut buyer = Buyer::new(ApiVersion::Y2026, user, BASIC_MONTHLY, start);
        let created = buyer.created();
        let ids = [created.id.clone(), buyer.mint.id("evt")];
        let body = created.body.trim_end().trim_end_matches('}');
        let body = format!("{body}, \"id\": \"{}\" }}", ids[1]);
        let answer = stage.pair.client.post_signed(body.clone().into()).await?;
        // ingest refuses it, or logs the id that it gave the message.
        let log = stage.pair.ingest.log();
        let logged = ids.each_ref().map(|id| log.contains(id.as_str()));
        if answer.status != 200 {
            ensure!(
                answer.status == 400 && logged == [false, false],
                "{} {logged:?}",
                answer.status
            );
            // Another program puts it on the queue.
            let (queues, work) = (stage.env.queues().await?, stage.env.topology().work());
            queues
                .publish(&work, lapin::BasicProperties::default(), body.as_bytes())
                .await?;
        }
        let found = eventually(DEADLINE, "the event is on record", async || {
            let found = recorded(stage.env.pool(), &ids).await?;
            let found: Vec<bool> = found.iter().map(Option::is_some).collect();
            ensure!(found.contains(&true), "under neither id");
            Ok(found)
        })
        .await;
        ensure!(found != [true, true], "one event is on record under two ids");
        ensure!(
            answer.status != 200 || found == logged,
            "recorded {found:?}, logged {logged:?}"
        );
        stage.has(user, "basic", None).await
    })
}
