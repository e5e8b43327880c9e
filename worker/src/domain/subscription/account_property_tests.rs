//! Properties of the fold over what real accounts have: several items, invoices of other
//! items, first pages, refunds and disputes, hand-overs, words of the customer.

use super::{CASES, answers, duplicate, scattered, two_lives};
use crate::domain::{
    fact::{
        ChargeRefundedFact, CustomerFact, DisputeFact, Fact, FactBody, InvoiceFact, InvoiceLine, InvoicePaymentFact,
        InvoiceStep, Period, RefundFailedFact,
    },
    subscription::account::Account,
    testkit::{DAY, TimedFact, random, user},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert_eq, proptest},
};

/// Choices for one fact: each is a byte at random.
type Choices = [u8; 8];

fn as_real(story: Vec<TimedFact>, choices: &[Choices]) -> Vec<TimedFact> {
    let mut real = Vec::new();
    for ((at, body), choices) in story.into_iter().zip(choices.iter().cycle()) {
        let body = match body {
            FactBody::Subscription(mut s) => {
                if let Some(plan) = &mut s.now.plan {
                    plan.item = (choices[0] > 30).then(|| format!("si_{}", u8::from(choices[0] > 200)));
                    plan.quantity = if choices[1] > 220 { 3 } else { 1 };
                }
                FactBody::Subscription(s)
            }
            FactBody::Invoice(invoice) => {
                let invoice = billed(invoice, *choices);
                real.extend(money(at, &invoice, *choices));
                FactBody::Invoice(invoice)
            }
            other => other,
        };
        real.push((at, body));
        if choices[6] > 225 {
            let named = ["", "u1", "u2", "u3"][usize::from(choices[7] % 4)];
            let word = FactBody::Customer(CustomerFact { user: user(named) });
            real.push((at + i64::from(choices[5] % 3), word));
        }
    }
    real
}

/// The invoice with lines of real items, and the payment that it names.
fn billed(mut invoice: InvoiceFact, choices: Choices) -> InvoiceFact {
    let period = invoice.lines.first().and_then(|l| l.period);
    for line in &mut invoice.lines {
        line.item = (choices[0] > 60).then(|| format!("si_{}", choices[1] % 2));
        line.price =
            (choices[0] > 30).then(|| ["price_plus", "price_of_an_add_on"][usize::from(choices[1] % 2)].to_owned());
    }
    invoice.period = period.map(|p| Period {
        start: p.start - 30 * DAY,
        end: p.start,
    });
    if choices[2] > 200 {
        invoice.lines_cut = true;
        invoice.lines.retain(|l| l.proration);
    }
    if choices[2].is_multiple_of(8) {
        let add_on = InvoiceLine {
            item: Some("si_9".to_owned()),
            price: None,
            amount: 100,
            proration: false,
            period,
            grant: None,
        };
        invoice.lines.push(add_on);
    }
    invoice.payment_intent = (choices[3] > 128).then(|| format!("pi_{}", invoice.invoice));
    invoice
}

/// What happens with the money of an invoice.
fn money(at: i64, invoice: &InvoiceFact, choices: Choices) -> Vec<TimedFact> {
    let payment_intent = Some(format!("pi_{}", invoice.invoice));
    let mut facts = Vec::new();
    if invoice.step == InvoiceStep::Paid && choices[3] < 200 {
        let pays = InvoicePaymentFact {
            invoice: invoice.invoice.clone(),
            payment_intent: payment_intent.clone(),
            charge: None,
        };
        facts.push((at + i64::from(choices[3] % 3), FactBody::InvoicePayment(pays)));
    }
    let later = at + i64::from(choices[4]) * DAY / 8;
    if choices[4] > 190 {
        let refund = ChargeRefundedFact {
            charge: "ch_1".to_owned(),
            payment_intent: payment_intent.clone(),
            amount: 1_000,
            amount_refunded: if choices[5] > 60 { 1_000 } else { 400 },
            currency: None,
            invoice: None,
        };
        facts.push((later, FactBody::ChargeRefunded(refund)));
        if choices[5] > 200 {
            let failed = RefundFailedFact {
                refund: "re_1".to_owned(),
                charge: None,
                payment_intent: payment_intent.clone(),
                amount: 1_000,
            };
            facts.push((later + i64::from(choices[5] % 2), FactBody::RefundFailed(failed)));
        }
    }
    if choices[4] < 25 {
        let dispute = |withdrawn| {
            FactBody::Dispute(DisputeFact {
                dispute: "dp_1".to_owned(),
                charge: None,
                payment_intent: payment_intent.clone(),
                amount: 860,
                currency: None,
                withdrawn,
            })
        };
        facts.push((later, dispute(true)));
        if choices[5] > 128 {
            facts.push((later + i64::from(choices[5] % 2), dispute(false)));
        }
    }
    facts
}

/// The facts of two real lives of one customer, in the order in which they were made and as
/// they arrive.
fn lives() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    (two_lives(), vec(any::<Choices>(), 1..24), any::<u32>()).prop_flat_map(|(story, choices, salt)| {
        let facts = scattered(&as_real(story, &choices), salt);
        (Just(facts.clone()), Just(facts).prop_shuffle())
    })
}

fn fold(facts: &[Fact]) -> Account {
    Account::fold(&facts.iter().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(random(CASES))]

    #[test]
    fn any_order_of_arrival_of_real_lives_folds_to_one_state((made, arrived) in lives()) {
        prop_assert_eq!(fold(&arrived), fold(&made));
    }

    #[test]
    fn the_fast_and_the_slow_path_agree_over_real_lives((_, arrived) in lives(), size in 1..5_usize) {
        answers::both_paths_agree(arrived.chunks(size))?;
    }

    #[test]
    fn the_fast_and_the_slow_path_agree_where_most_facts_come_in_order((made, arrived) in lives(), late in 0..8_usize) {
        let (late, _) = arrived.split_at(late.min(arrived.len()));
        let mut in_order: Vec<Fact> = made.iter().filter(|f| !late.contains(f)).cloned().collect();
        in_order.sort_by_key(|f| f.created);
        in_order.extend(late.iter().cloned());
        answers::both_paths_agree(in_order.chunks(1))?;
    }

    #[test]
    fn two_events_of_one_change_have_one_effect_in_real_lives((made, arrived) in lives(), chosen in vec(any::<bool>(), 60)) {
        let twins = made.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(f, _)| duplicate(f));
        let all: Vec<Fact> = twins.chain(arrived.iter().cloned()).collect();
        let (with_twins, without) = (fold(&all), fold(&made));
        prop_assert_eq!(&with_twins.subscriptions.iter().map(|s| (&s.user, &s.grace, &s.suspended)).collect::<Vec<_>>(),
                        &without.subscriptions.iter().map(|s| (&s.user, &s.grace, &s.suspended)).collect::<Vec<_>>());
        prop_assert_eq!(with_twins.claim.map(|c| c.user), without.claim.map(|c| c.user));
    }
}
