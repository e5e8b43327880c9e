//! Acts of a renewal: a period ends and the next one begins, or its payment fails.

use crate::fixtures::{Invoice, Line, Subscription};
use crate::merchant::{PaidTier, PaymentFailure, Script};

/// The payment of a renewal's invoice, `after` seconds after the renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalPayment {
    /// The invoice is paid.
    Paid {
        /// Seconds.
        after: i64,
    },
    /// The payment fails.
    Failed {
        /// Seconds.
        after: i64,
        /// Why it fails.
        failure: PaymentFailure,
        /// Whether an event shows the subscription as `past_due`.
        is_past_due: bool,
    },
}

impl Script {
    /// The period of the subscription `which` ends and the next one begins, with the scheduled price if
    /// there is one. A trial becomes a paid subscription.
    pub fn renew(&mut self, which: usize, outcome: RenewalPayment) {
        let old = self.shown(which).clone();
        self.clock = self.clock.max(old.period.end);
        let new = self.renewed(which, &old);
        let invoice = self.cycle_invoice(which, &old, &new);
        let (from, to) = (PaidTier::of(&old.price), PaidTier::of(&new.price));
        let mut new = new;
        new.latest_invoice = Some(invoice.id.clone());
        let mut kinds = self.renewal_kinds(which, &old, &new, outcome);
        self.subscriptions[which].cycle = None;
        self.subscriptions[which].upgrade = None;
        self.change(which, new);
        match outcome {
            RenewalPayment::Paid { after } => {
                self.wait(after);
                self.pay(which, invoice);
                if self.shown(which).status == "past_due" {
                    self.change_status(which, "active");
                }
            }
            RenewalPayment::Failed {
                after,
                failure,
                is_past_due,
            } => {
                self.wait(after);
                self.fail_cycle(which, invoice, failure, is_past_due);
            }
        }
        if from > to {
            kinds.push("a scheduled downgrade takes effect");
        }
        let text = format!("#{which} renewal from {} to {}, {outcome:?}", from.name(), to.name());
        self.act(&kinds, &text);
    }

    fn renewed(&mut self, which: usize, old: &Subscription) -> Subscription {
        let mut new = old.clone();
        if let Some(price) = self.subscriptions[which].scheduled.take() {
            new.price = price;
            new.schedule = None;
        }
        if old.status == "trialing" {
            new.status = "active";
        }
        new.renew();
        for item in new.others.iter_mut().filter(|item| item.period == old.period) {
            item.period = new.period;
        }
        new
    }

    fn cycle_invoice(&mut self, which: usize, old: &Subscription, new: &Subscription) -> Invoice {
        let mut lines = std::mem::take(&mut self.subscriptions[which].items);
        lines.push(Line::seats(&mut self.mint, new.price, new.quantity, new.period));
        for item in new.others.iter().filter(|item| item.period == new.period) {
            lines.push(Line::of_item(&mut self.mint, item));
        }
        let mut invoice = Invoice::new(&mut self.mint, new, "subscription_cycle", self.clock, lines);
        invoice.period = old.period;
        invoice
    }

    fn fail_cycle(&mut self, which: usize, mut invoice: Invoice, failure: PaymentFailure, is_past_due: bool) {
        self.fail(which, &mut invoice, failure);
        if is_past_due && self.shown(which).status != "past_due" {
            self.change_status(which, "past_due");
        }
        self.subscriptions[which].cycle = Some(invoice);
    }

    fn renewal_kinds(
        &self,
        which: usize,
        old: &Subscription,
        new: &Subscription,
        outcome: RenewalPayment,
    ) -> Vec<&'static str> {
        let is_paid = matches!(outcome, RenewalPayment::Paid { .. });
        let mut kinds = vec![match (old.status, is_paid) {
            ("trialing", true) => "a trial converts",
            ("trialing", false) => "a trial's first payment fails",
            (_, true) => "a renewal is paid",
            (_, false) => "a renewal fails",
        }];
        if self.held_back(which).is_some() && is_paid {
            kinds.push("a renewal pays for a failed upgrade");
        }
        if self.grace(which).is_some_and(|grace| grace.until > new.period.start) {
            kinds.push("a grace outlasts a renewal");
        }
        kinds
    }

    /// The invoice of a failed renewal is paid later.
    pub fn recover(&mut self, which: usize) {
        if let Some(invoice) = self.subscriptions[which].cycle.take() {
            self.pay(which, invoice);
        }
        let status = self.shown(which).status;
        if status != "active" {
            self.change_status(which, "active");
        }
        self.act(
            &["a failed renewal is paid later"],
            &format!("#{which} recovers from {status}"),
        );
    }

    /// Stripe stops retrying: the subscription is `unpaid`.
    pub fn give_up(&mut self, which: usize) {
        self.change_status(which, "unpaid");
        self.act(&["a subscription becomes unpaid"], &format!("#{which} is unpaid"));
    }

    /// A trial ends without a payment method: the subscription pauses.
    pub fn pause(&mut self, which: usize) {
        self.clock = self.clock.max(self.shown(which).period.end);
        self.change_status(which, "paused");
        let paused = self.shown(which).clone();
        self.add_event("customer.subscription.paused", &paused);
        self.act(&["a trial ends in a pause"], &format!("#{which} pauses"));
    }

    /// A paused subscription resumes with a new paid period.
    pub fn resume(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.status = "active";
        new.period = new.price.period_from(self.clock);
        let lines = vec![Line::seats(&mut self.mint, new.price, new.quantity, new.period)];
        let invoice = self.update_invoice(&new, lines);
        new.latest_invoice = Some(invoice.id.clone());
        self.change(which, new.clone());
        self.add_event("customer.subscription.resumed", &new);
        self.pay(which, invoice);
        self.act(&["a paused subscription resumes"], &format!("#{which} resumes"));
    }
}
