//! What a refund or a dispute of a subscription's invoice changed.

use super::{
    transition::{ChangeKind, ChangeNote, Transition},
    words::span,
};
use crate::domain::subscription::{invoices::ReturnedInvoice, state::Subscription};

/// What a returned invoice means, after its period.
pub(super) const RETURNED: &str =
    "counts as not paid: no grace after a downgrade, and nothing of it rolls over; the access stays";

/// The invoices whose money went back to the customer, or came back from there.
pub(super) fn changes(transition: &Transition<'_>) -> Vec<ChangeNote> {
    let (before, after) = (transition.before, transition.after);
    let went = missing_in(after, before).map(|returned| {
        let (invoice, period) = (&returned.invoice, span(returned.period));
        ChangeKind::MoneyReturned.note(format!(
            "the money of {invoice} went back: the period {period} {RETURNED}"
        ))
    });
    let came = missing_in(before, after).map(|returned| {
        let (invoice, period) = (&returned.invoice, span(returned.period));
        ChangeKind::MoneyKept.note(format!(
            "the money of {invoice} is there again: the period {period} counts as paid"
        ))
    });
    went.chain(came).collect()
}

/// The returned invoices of one state that the other does not have.
fn missing_in<'a>(state: &'a Subscription, other: &'a Subscription) -> impl Iterator<Item = &'a ReturnedInvoice> {
    let is_in_other = |r: &&ReturnedInvoice| other.returned.iter().any(|o| o.invoice == r.invoice);
    state.returned.iter().filter(move |r| !is_in_other(r))
}
