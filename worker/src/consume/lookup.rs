//! Asks Stripe for what an event does not show: the line items of a paid session, or the items
//! of a subscription beyond the first page. It asks before the transaction, never inside it.

use crate::{
    consume::{
        context::Context,
        delivery::{Delivery, Disposition, Interrupted},
    },
    domain::fact::{Fact, FactBody},
    failure::Refusal,
    read::{
        meaning::{Lookup, Meaning, MissingPart},
        message::ParsedMessage,
        stripe::lines::{self, SoldLine, SoldLines},
    },
};
use futures_util::{StreamExt, stream};
use shared::{catalog::PriceClues, shutdown::CancellationToken};
use stripe_api::{Api, ApiError, LineItem, LineItemPrice, TIME_LIMIT};
use tokio::time::{Instant, timeout_at};

/// Most requests to Stripe that one lane makes at the same time.
const REQUESTS_MAX: usize = 4;

fn needs_lookup(delivery: &Delivery) -> bool {
    matches!(delivery.message.meaning, Ok(Meaning::NeedsLookup(_)))
}

/// Splits a batch into two parts, and leaves out an empty one. Deliveries that need a
/// look-up are the second part, so that the others do not wait for Stripe's answers.
pub(crate) fn parts(batch: Vec<Delivery>) -> impl Iterator<Item = Vec<Delivery>> {
    let (needing, ready): (Vec<Delivery>, Vec<Delivery>) = batch.into_iter().partition(needs_lookup);
    [ready, needing].into_iter().filter(|part| !part.is_empty())
}

impl Context {
    /// Asks Stripe for what the events of a batch do not show, if there is a key.
    /// The whole batch has one time limit, because the next batch waits for it. Returns
    /// the deliveries to apply, and those whose look-up failed with their dispositions.
    pub(crate) async fn look_up(
        &self,
        batch: Vec<Delivery>,
        stop: &CancellationToken,
    ) -> Result<(Vec<Delivery>, Vec<(Delivery, Disposition)>), Interrupted> {
        let (Some(api), true) = (&self.stripe, batch.iter().any(needs_lookup)) else {
            return Ok((batch, Vec::new()));
        };
        let until = Instant::now() + TIME_LIMIT;
        let answers = stream::iter(batch)
            .map(|delivery| self.look_up_one(api, delivery, until))
            .buffer_unordered(REQUESTS_MAX)
            .collect::<Vec<_>>();
        let answers = tokio::select! {
            answers = answers => answers,
            () = stop.cancelled() => return Err(Interrupted),
        };
        let (mut ready, mut failed) = (Vec::new(), Vec::new());
        for (delivery, disposition) in answers {
            match disposition {
                Some(disposition) => failed.push((delivery, disposition)),
                None => ready.push(delivery),
            }
        }
        Ok((ready, failed))
    }

    /// Completes one delivery with Stripe's answer. Without an answer it returns a
    /// disposition too.
    async fn look_up_one(&self, api: &Api, mut delivery: Delivery, until: Instant) -> (Delivery, Option<Disposition>) {
        let Ok(Meaning::NeedsLookup(lookup)) = &delivery.message.meaning else {
            return (delivery, None);
        };
        // The look-ups before it took all the time, so no attempt is counted.
        if Instant::now() >= until
            && let Some(delay) = self.topology.retry_delays().first()
        {
            let later = Disposition::Retry {
                delay: *delay,
                meta: delivery.message.meta,
                error: "Stripe is slow; no attempt is counted".to_owned(),
            };
            return (delivery, Some(later));
        }
        let answer = timeout_at(until, self.ask(api, &delivery.message, lookup)).await;
        let meaning = match answer.unwrap_or(Err(ApiError::TooSlow)) {
            Ok(meaning) => meaning,
            Err(error @ (ApiError::NotFound | ApiError::NoId)) => Err(unanswered(lookup, &error)),
            Err(error) => {
                let disposition = self.failed(&delivery.message, error);
                return (delivery, Some(disposition));
            }
        };
        delivery.message.meaning = meaning.map_err(Refusal::brief);
        (delivery, None)
    }

    /// Asks Stripe for the missing part, and completes the meaning with it.
    async fn ask(
        &self,
        api: &Api,
        message: &ParsedMessage,
        lookup: &Lookup,
    ) -> Result<Result<Meaning, Refusal>, ApiError> {
        Ok(match &lookup.missing {
            MissingPart::LineItems(session) => {
                let lines = api.line_items(session).await?;
                let lines: Vec<SoldLine<'_>> = lines.iter().map(sold_line).collect();
                lines::sold(&lines, &self.reader.catalog).map(|sold| complete(lookup.fact.clone(), sold))
            }
            MissingPart::Items(subscription) => {
                let items = api.subscription_items(subscription.as_str()).await?;
                self.reader.read_with_items(message, &items.body)
            }
        })
    }
}

/// The refusal when Stripe does not know what it is asked for.
fn unanswered(lookup: &Lookup, error: &ApiError) -> Refusal {
    match &lookup.missing {
        MissingPart::LineItems(_) => lines::unknown(&error.to_string()),
        MissingPart::Items(_) => Refusal::new(
            lookup.unanswered.reason,
            format!("{}; Stripe was asked for the items: {error}", lookup.unanswered.detail),
        ),
    }
}

/// The meaning of a session whose line items show what it sold.
fn complete(mut fact: Fact, sold: SoldLines) -> Meaning {
    match (sold, &mut fact.body) {
        (SoldLines::OtherProduct, _) => return Meaning::Ignored("other_product"),
        (SoldLines::Packs(grants), FactBody::Session(session)) => session.grants = grants,
        (SoldLines::Packs(_), _) => {}
    }
    Meaning::Fact(Box::new(fact))
}

fn sold_line(line: &LineItem) -> SoldLine<'_> {
    let price = line.price.as_ref();
    SoldLine {
        quantity: line.quantity.unwrap_or(1),
        price: price.and_then(|p| p.id.as_deref()),
        clues: PriceClues {
            lookup_key: price.and_then(|p| p.lookup_key.as_deref()),
            metadata: price.and_then(pack_named),
            product: price.and_then(|p| p.product.as_deref()),
            interval: None,
        },
    }
}

/// `metadata.pack` of a price.
fn pack_named(price: &LineItemPrice) -> Option<&str> {
    price.metadata.as_ref()?.get("pack").map(String::as_str)
}
