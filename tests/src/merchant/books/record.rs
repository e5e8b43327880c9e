//! What the merchant writes down of one subscription, and which of the shown changes count.

use super::Plan;
use crate::fixtures::Period;

/// The subscription as Stripe shows it from a time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// From when (Unix time).
    pub at: i64,
    /// Stripe's word.
    pub status: &'static str,
    /// What is sold.
    pub plan: Plan,
    /// The period of the plan item.
    pub period: Period,
    /// The end of the present or past trial (Unix time).
    pub trial_end: Option<i64>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// When it will end (Unix time).
    pub cancel_at: Option<i64>,
    /// When it was cancelled (Unix time).
    pub canceled_at: Option<i64>,
    /// Whether the customer got the rest of the old plan back for the change that this shows.
    pub is_credited: bool,
    /// The number of the price list with which this was read.
    pub list: usize,
}

/// An invoice of the subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookInvoice {
    /// Stripe's id.
    pub id: String,
    /// The period of the plan that it sells; `None` if it is not about the plan.
    pub covers: Option<Period>,
    /// The snapshot whose change it bills.
    pub bills: Option<usize>,
    /// Whether it renews the subscription (`subscription_cycle`).
    pub is_cycle: bool,
    /// In cents.
    pub total: i64,
    /// When its payment failed (Unix time).
    pub failed_at: Option<i64>,
    /// When it was paid (Unix time).
    pub paid_at: Option<i64>,
    /// Whether all of its money went back: a full refund, or a dispute that took it.
    pub is_returned: bool,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Stripe's id.
    pub id: String,
    /// The customer's id.
    pub customer: String,
    /// When it was made (Unix time).
    pub created: i64,
    /// What Stripe showed, in order.
    pub snapshots: Vec<Snapshot>,
    /// Its invoices, in order.
    pub invoices: Vec<BookInvoice>,
}

/// A change that counts, or any other snapshot.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) at: i64,
    pub(super) status: &'static str,
    pub(super) plan: Plan,
    pub(super) period: Period,
    pub(super) is_credited: bool,
    pub(super) list: usize,
}

/// What counts while a change is not paid.
struct Hold {
    plan: Plan,
    period: Period,
    /// The period that the unpaid change shows.
    shown: Period,
}

/// Whether `status` entitles to anything.
pub(super) fn is_entitling(status: &str) -> bool {
    matches!(status, "trialing" | "active" | "past_due")
}

impl Record {
    /// A new subscription of which nothing is shown yet.
    #[must_use]
    pub const fn new(id: String, customer: String, created: i64) -> Self {
        Self {
            id,
            customer,
            created,
            snapshots: Vec::new(),
            invoices: Vec::new(),
        }
    }

    /// Stripe shows `snapshot` from now on. Returns its number.
    pub fn show(&mut self, snapshot: Snapshot) -> usize {
        self.snapshots.push(snapshot);
        self.snapshots.len() - 1
    }

    /// The payment of the invoice `id` failed at `at` (Unix time).
    pub fn fail(&mut self, id: &str, at: i64) {
        self.change_invoice(id, |invoice| invoice.failed_at = invoice.failed_at.or(Some(at)));
    }

    /// The invoice `id` was paid at `at` (Unix time).
    pub fn pay(&mut self, id: &str, at: i64) {
        self.change_invoice(id, |invoice| invoice.paid_at = invoice.paid_at.or(Some(at)));
    }

    /// All money of the invoice `id` went back, or came again.
    pub fn give_back(&mut self, id: &str, is_returned: bool) {
        self.change_invoice(id, |invoice| invoice.is_returned = is_returned);
    }

    fn change_invoice(&mut self, id: &str, change: impl FnOnce(&mut BookInvoice)) {
        if let Some(invoice) = self.invoices.iter_mut().find(|invoice| invoice.id == id) {
            change(invoice);
        }
    }

    /// The record without what was shown after `then` (Unix time), and with all payments.
    pub(super) fn shown_until(&self, then: i64) -> Self {
        let mut past = self.clone();
        past.snapshots.retain(|snapshot| snapshot.at <= then);
        past
    }

    /// The record as it was at `then` (Unix time). That money went back counts at any time: the period then
    /// was never paid.
    pub(super) fn as_of(&self, then: i64) -> Self {
        let mut past = self.shown_until(then);
        for invoice in &mut past.invoices {
            invoice.paid_at = invoice.paid_at.filter(|at| *at <= then);
            invoice.failed_at = invoice.failed_at.filter(|at| *at <= then);
        }
        past
    }

    /// The plan that counts, if an unpaid change shows another one or another period.
    #[must_use]
    pub fn held_back(&self) -> Option<Plan> {
        let (shown, step) = (self.shown()?, self.steps().pop()?);
        let is_held = (step.plan, step.period) != (shown.plan, shown.period);
        is_held.then_some(step.plan)
    }

    /// Whether an unpaid change shows another period than counts.
    #[must_use]
    pub fn is_period_held(&self) -> bool {
        let counted = self.steps().pop().map(|step| step.period);
        counted != self.shown().map(|shown| shown.period)
    }

    /// The last snapshot.
    pub(super) fn shown(&self) -> Option<&Snapshot> {
        self.snapshots.last()
    }

    fn about(&self, period: Period) -> impl Iterator<Item = &BookInvoice> {
        self.invoices
            .iter()
            .filter(move |invoice| invoice.covers == Some(period))
    }

    /// Whether the invoice of `period` is known to be paid.
    pub(super) fn is_paid(&self, period: Period) -> bool {
        self.about(period).any(|invoice| invoice.paid_at.is_some())
    }

    /// Whether an invoice of `period` failed, and was not paid since.
    pub(super) fn has_failed(&self, period: Period) -> bool {
        self.about(period)
            .any(|invoice| invoice.failed_at.is_some() && invoice.paid_at.is_none())
    }

    /// Whether the money for `period` went back.
    pub(super) fn is_returned(&self, period: Period) -> bool {
        self.about(period).any(|invoice| invoice.is_returned)
    }

    /// The invoice that bills the change of the snapshot `number`, if that failed and is not paid.
    fn unpaid_bill(&self, number: usize) -> Option<&BookInvoice> {
        self.invoices
            .iter()
            .find(|invoice| invoice.bills == Some(number) && invoice.failed_at.is_some() && invoice.paid_at.is_none())
    }

    /// Whether a later invoice about the plan settles what is unpaid, because it covers `period`.
    fn is_settled(&self, hold: &Hold, period: Period) -> bool {
        period != hold.shown && self.is_paid(period)
    }

    /// The snapshots as they count. For a change whose invoice failed it is as if it had not happened, until
    /// that invoice is paid, or a later one that sells the period shown.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut hold: Option<Hold> = None;
        let mut steps: Vec<Step> = Vec::new();
        let mut shown: Option<&Snapshot> = None;
        for (number, snapshot) in self.snapshots.iter().enumerate() {
            let is_changed = shown.is_some_and(|shown| shown.plan != snapshot.plan);
            if self.unpaid_bill(number).is_some()
                && let Some(last) = steps.last()
            {
                hold = Some(Hold {
                    plan: last.plan,
                    period: last.period,
                    shown: snapshot.period,
                });
            } else if hold
                .as_ref()
                .is_some_and(|hold| is_changed || self.is_settled(hold, snapshot.period))
            {
                hold = None;
            }
            let (plan, period) = match &hold {
                None => (snapshot.plan, snapshot.period),
                Some(hold) if snapshot.period == hold.shown => (hold.plan, hold.period),
                Some(hold) => (hold.plan, snapshot.period),
            };
            steps.push(Step {
                at: snapshot.at,
                status: snapshot.status,
                plan,
                period,
                is_credited: snapshot.is_credited,
                list: snapshot.list,
            });
            shown = Some(snapshot);
        }
        steps
    }
}
