//! Acts that raise the tier.

use crate::fixtures::{Invoice, Line, Period, Price, Subscription};
use crate::merchant::{PaidTier, PaymentFailure, Script};

/// How an upgrade is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradePayment {
    /// The customer pays at once.
    Paid,
    /// The customer pays with the next invoice (`create_prorations`).
    Items,
    /// Free until the renewal (`proration_behavior: none`).
    Free,
    /// The payment fails.
    Failed(FailedPayment),
}

/// How a payment fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedPayment {
    /// Why it fails.
    pub failure: PaymentFailure,
    /// The subscription's status afterwards.
    pub status: StatusAfterFailure,
    /// Whether the upgraded subscription names the invoice as its latest. Otherwise only the time links
    /// the invoice to the upgrade.
    pub is_named: bool,
    /// The delay of the invoice's event, in seconds.
    pub lag_seconds: i64,
}

/// The status of a subscription after a failed upgrade payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusAfterFailure {
    /// The status stays.
    Unchanged,
    /// `past_due` in the event of the upgrade.
    PastDueAtOnce,
    /// `past_due` in a later event, after the failure.
    PastDueLater,
}

/// The share of `cents` for `part` of the period `whole`, rounded down.
pub(super) const fn share(cents: i64, part: Period, whole: Period) -> i64 {
    cents * (part.end - part.start) / (whole.end - whole.start)
}

/// `old` with `price` from `now` on. Another interval starts a new period (Stripe: Prorations).
pub(super) fn repriced(old: &Subscription, price: Price, now: i64) -> Subscription {
    let mut new = old.clone();
    new.price = price;
    if (price.interval, price.interval_count) != (old.price.interval, old.price.interval_count) {
        new.period = price.period_from(now);
        new.cycle_anchor = now;
    }
    new
}

impl Script {
    /// The subscription `which` changes to the higher `price`.
    pub fn upgrade(&mut self, which: usize, price: Price, payment: UpgradePayment) {
        let old = self.shown(which).clone();
        let (from, grace) = (PaidTier::of(&old.price), self.grace(which));
        let new = repriced(&old, price, self.clock);
        let kind = match payment {
            UpgradePayment::Paid if old.status == "trialing" => "an upgrade in a trial",
            UpgradePayment::Paid => "an upgrade is paid at once",
            UpgradePayment::Items => "an upgrade is paid with the next invoice",
            UpgradePayment::Free => "an upgrade is free until the renewal",
            UpgradePayment::Failed(failed) => failed_kind(failed),
        };
        self.bill_change(which, new, payment);
        let during = grace.map_or("an upgrade without a grace", |grace| {
            match PaidTier::of(&price).cmp(&grace.tier()) {
                std::cmp::Ordering::Less => "an upgrade to below the grace",
                std::cmp::Ordering::Equal => "an upgrade to the grace",
                std::cmp::Ordering::Greater => "an upgrade to above the grace",
            }
        });
        let text = format!(
            "#{which} upgrade from {} to {}, {payment:?}",
            from.name(),
            price.lookup_key
        );
        self.act(&[kind, during], &text);
    }

    /// The subscription `which` changes to `new`, and the old plan is credited unless the change is free.
    pub(super) fn bill_change(&mut self, which: usize, new: Subscription, payment: UpgradePayment) {
        let old = self.shown(which).clone();
        match payment {
            UpgradePayment::Paid | UpgradePayment::Failed(_) => {
                let invoice = self.upgrade_invoice(&old, &new);
                self.upgrade_with_invoice(which, new, invoice, payment);
            }
            UpgradePayment::Items => {
                for line in self.prorations(&old, &new) {
                    self.add_invoice_item(which, line);
                }
                self.change_plan(which, new, true);
            }
            UpgradePayment::Free => {
                self.change(which, new);
            }
        }
    }

    /// The subscription `which` changes to a price of another interval, and its payment fails.
    pub fn switch_unpaid(&mut self, which: usize, price: Price, failed: FailedPayment) {
        let new = repriced(self.shown(which), price, self.clock);
        self.bill_change(which, new, UpgradePayment::Failed(failed));
        let text = format!("#{which} switch to {} fails, {failed:?}", price.lookup_key);
        self.act(&["a switch of the interval fails"], &text);
    }

    /// The number of seats changes.
    pub fn change_seats(&mut self, which: usize, quantity: i64, payment: UpgradePayment) {
        let mut new = self.shown(which).clone();
        let kind = match (payment, quantity > new.quantity) {
            (UpgradePayment::Failed(_), _) => "a change of seats fails",
            (_, true) => "more seats",
            (_, false) => "fewer seats",
        };
        let text = format!("#{which} from {} to {quantity} seats, {payment:?}", new.quantity);
        new.quantity = quantity;
        self.bill_change(which, new, payment);
        self.act(&[kind], &text);
    }

    /// A new period of the same price begins now (`billing_cycle_anchor: now`), and is paid. The rest of the old
    /// one is credited or not.
    pub fn reset_anchor(&mut self, which: usize, is_credited: bool) {
        let old = self.shown(which).clone();
        let mut new = old.clone();
        new.period = new.price.period_from(self.clock);
        new.cycle_anchor = self.clock;
        let mut lines = vec![Line::seats(&mut self.mint, new.price, new.quantity, new.period)];
        if is_credited {
            lines.insert(0, self.credit(&old));
        }
        let invoice = self.update_invoice(&new, lines);
        new.latest_invoice = Some(invoice.id.clone());
        let number = self.change_plan(which, new, is_credited);
        self.enter(which, &invoice, Some(number));
        self.pay(which, invoice);
        let kind = if is_credited {
            "a credited anchor reset"
        } else {
            "an anchor reset without credit"
        };
        self.act(
            &[kind],
            &format!("#{which} begins a new period, credited: {is_credited}"),
        );
    }

    /// A paid upgrade ends the trial (the portal's `trial_update_behavior: end_trial`).
    pub fn upgrade_out_of_trial(&mut self, which: usize, price: Price) {
        let mut new = self.shown(which).clone();
        new.price = price;
        new.status = "active";
        new.period = price.period_from(self.clock);
        if let Some(trial) = &mut new.trial {
            trial.end = self.clock;
        }
        let lines = vec![Line::seats(&mut self.mint, price, new.quantity, new.period)];
        let invoice = self.update_invoice(&new, lines);
        new.latest_invoice = Some(invoice.id.clone());
        self.change(which, new);
        self.pay(which, invoice);
        let text = format!("#{which} upgrade to {} ends the trial", price.lookup_key);
        self.act(&["an upgrade ends a trial"], &text);
    }

    /// The invoice of a failed upgrade fails once more.
    pub fn retry_upgrade(&mut self, which: usize, failure: PaymentFailure) {
        if let Some(invoice) = &self.subscriptions[which].upgrade.clone() {
            self.add_event(failure.kind(), invoice);
        }
        self.act(
            &["a failed upgrade fails again"],
            &format!("#{which} upgrade fails again"),
        );
    }

    /// The invoice of a failed upgrade is paid later.
    pub fn pay_upgrade(&mut self, which: usize) {
        if let Some(invoice) = self.subscriptions[which].upgrade.take() {
            self.pay(which, invoice);
        }
        if self.shown(which).status == "past_due" {
            self.change_status(which, "active");
        }
        self.act(
            &["a failed upgrade is paid later"],
            &format!("#{which} upgrade is paid"),
        );
    }

    /// The payment of an upgrade fails under `pending_if_incomplete`: Stripe keeps the upgrade pending and
    /// does not change the price.
    pub fn upgrade_pending(&mut self, which: usize, price: Price, failure: PaymentFailure) {
        let mut new = self.shown(which).clone();
        let wanted = Subscription { price, ..new.clone() };
        let mut invoice = self.upgrade_invoice(&new, &wanted);
        new.pending_update = Some(price);
        new.latest_invoice = Some(invoice.id.clone());
        self.change(which, new);
        self.fail(which, &mut invoice, failure);
        self.subscriptions[which].upgrade = Some(invoice);
        let text = format!("#{which} upgrade to {} is pending", price.lookup_key);
        self.act(&["an upgrade is pending until it is paid"], &text);
    }

    /// The pending upgrade is paid and applied.
    pub fn apply_pending(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        if let (Some(price), Some(invoice)) = (new.pending_update.take(), self.subscriptions[which].upgrade.take()) {
            new.price = price;
            self.pay(which, invoice);
            self.change(which, new.clone());
            self.add_event("customer.subscription.pending_update_applied", &new);
        }
        self.act(
            &["a pending upgrade is applied"],
            &format!("#{which} pending upgrade is applied"),
        );
    }

    /// The pending upgrade expires.
    pub fn expire_pending(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.pending_update = None;
        self.subscriptions[which].upgrade = None;
        self.change(which, new.clone());
        self.add_event("customer.subscription.pending_update_expired", &new);
        self.act(
            &["a pending upgrade expires"],
            &format!("#{which} pending upgrade expires"),
        );
    }

    fn upgrade_with_invoice(
        &mut self,
        which: usize,
        mut new: Subscription,
        mut invoice: Invoice,
        payment: UpgradePayment,
    ) {
        let UpgradePayment::Failed(failed) = payment else {
            new.latest_invoice = Some(invoice.id.clone());
            let number = self.change_plan(which, new, true);
            self.enter(which, &invoice, Some(number));
            return self.pay(which, invoice);
        };
        if failed.is_named {
            new.latest_invoice = Some(invoice.id.clone());
        }
        if failed.status == StatusAfterFailure::PastDueAtOnce {
            new.status = "past_due";
        }
        let number = self.change_plan(which, new, true);
        self.wait(failed.lag_seconds);
        self.enter(which, &invoice, Some(number));
        self.fail(which, &mut invoice, failed.failure);
        if failed.status == StatusAfterFailure::PastDueLater {
            self.change_status(which, "past_due");
        }
        self.subscriptions[which].upgrade = Some(invoice);
    }

    /// The invoice for the rest of the period; 0 in a trial.
    fn upgrade_invoice(&mut self, old: &Subscription, new: &Subscription) -> Invoice {
        let lines = if old.status == "trialing" {
            let mut line = Line::seats(&mut self.mint, new.price, new.quantity, new.period);
            line.amount = 0;
            vec![line]
        } else {
            self.prorations(old, new)
        };
        self.update_invoice(new, lines)
    }

    /// An invoice for a change of the subscription, made now.
    pub(super) fn update_invoice(&mut self, new: &Subscription, lines: Vec<Line>) -> Invoice {
        Invoice::new(&mut self.mint, new, "subscription_update", self.clock, lines)
    }

    /// A credit for the rest of the old price, and a charge for the rest or the whole new period.
    fn prorations(&mut self, old: &Subscription, new: &Subscription) -> Vec<Line> {
        let credit = self.credit(old);
        let charge = if new.period == old.period {
            let rest = credit.period;
            let cents = share(new.price.cents * new.quantity, rest, old.period);
            let mut charge = Line::proration(&mut self.mint, new.price, rest, cents);
            charge.quantity = new.quantity;
            charge
        } else {
            Line::seats(&mut self.mint, new.price, new.quantity, new.period)
        };
        vec![credit, charge]
    }

    /// The credit for the rest of the current period.
    pub(super) fn credit(&mut self, old: &Subscription) -> Line {
        let rest = Period {
            start: self.clock,
            end: old.period.end,
        };
        let cents = share(old.price.cents * old.quantity, rest, old.period).max(1);
        let mut credit = Line::proration(&mut self.mint, old.price, rest, -cents);
        credit.quantity = old.quantity;
        credit
    }
}

const fn failed_kind(failed: FailedPayment) -> &'static str {
    match (failed.is_named, failed.status) {
        (false, _) => "an upgrade fails, its invoice is not named",
        (true, StatusAfterFailure::Unchanged) => "an upgrade fails, the status stays",
        (true, StatusAfterFailure::PastDueAtOnce) => "an upgrade fails, past_due at once",
        (true, StatusAfterFailure::PastDueLater) => "an upgrade fails, past_due afterwards",
    }
}
