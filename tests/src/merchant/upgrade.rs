//! Acts: a higher tier.

use crate::fixtures::{Invoice, Line, Period, Price, Subscription};
use crate::merchant::{Script, Tier};

/// Who pays an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// The customer, at once.
    Paid,
    /// The customer, with the next invoice (`create_prorations`).
    Items,
    /// Nobody until the renewal (`proration_behavior: none`).
    Free,
    /// Nobody yet: the payment fails.
    Failed(Failed),
}

/// How a payment fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What Stripe tells of the invoice.
    pub failure: Failure,
    /// What becomes of the subscription.
    pub aftermath: Aftermath,
    /// Whether the upgraded subscription names the invoice as its latest; if not, only the time
    /// tells what the invoice is for.
    pub is_named: bool,
    /// How many seconds later it is told.
    pub lag: i64,
}

/// What Stripe tells of an invoice that could not be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The card was refused.
    Refused,
    /// The bank wants to see the customer.
    ActionRequired,
}

impl Failure {
    /// The type of the event.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Refused => "invoice.payment_failed",
            Self::ActionRequired => "invoice.payment_action_required",
        }
    }
}

/// What becomes of the status when an upgrade is not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// It stays as it was.
    None,
    /// The upgraded subscription is already `past_due`.
    AtOnce,
    /// It becomes `past_due` with the failure.
    Afterwards,
}

/// How much of `cents` for `whole` falls on `part`, rounded down.
pub(super) const fn share(cents: i64, part: Period, whole: Period) -> i64 {
    cents * (part.end - part.start) / (whole.end - whole.start)
}

/// `old` at `price` since `now`: another interval starts a period of its own (Stripe: Prorations).
pub(super) fn repriced(old: &Subscription, price: Price, now: i64) -> Subscription {
    let mut new = old.clone();
    new.price = price;
    if price.interval != old.price.interval {
        new.period = price.interval.period_from(now);
    }
    new
}

impl Script {
    /// The subscription `which` changes to the higher `price`.
    pub fn upgrade(&mut self, which: usize, price: Price, payment: Payment) {
        let old = self.shown(which).clone();
        let (from, claim) = (Tier::of(&old.price), self.statement(which).claim(self.clock));
        let new = repriced(&old, price, self.clock);
        let kind = match payment {
            Payment::Paid if old.status == "trialing" => "an upgrade in a trial",
            Payment::Paid => "an upgrade is paid at once",
            Payment::Items => "an upgrade is paid with the next invoice",
            Payment::Free => "an upgrade is free until the renewal",
            Payment::Failed(failed) => failed_kind(failed),
        };
        match payment {
            Payment::Paid | Payment::Failed(_) => {
                let invoice = self.upgrade_invoice(&old, &new);
                self.upgrade_with_invoice(which, new, invoice, payment);
            }
            Payment::Items => {
                for line in self.prorations(&old, &new) {
                    self.tell_item(which, line);
                }
                self.raise(which, new);
            }
            Payment::Free => self.raise(which, new),
        }
        let during = claim.map_or("an upgrade without a grace", |claim| {
            match Tier::of(&price).cmp(&claim.tier) {
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

    /// A trial ends with an upgrade that is paid (the portal's `trial_update_behavior: end_trial`).
    pub fn upgrade_out_of_trial(&mut self, which: usize, price: Price) {
        let mut new = self.shown(which).clone();
        new.price = price;
        new.status = "active";
        new.period = price.interval.period_from(self.clock);
        if let Some(trial) = &mut new.trial {
            trial.end = self.clock;
        }
        let lines = vec![Line::plan(&mut self.mint, price, new.period)];
        let invoice = self.update_invoice(&new, lines);
        new.latest_invoice = Some(invoice.id.clone());
        self.raise(which, new);
        self.pay(which, invoice);
        let text = format!("#{which} upgrade to {} ends the trial", price.lookup_key);
        self.act(&["an upgrade ends a trial"], &text);
    }

    /// The invoice of a failed upgrade fails once more.
    pub fn retry_upgrade(&mut self, which: usize, failure: Failure) {
        if let Some(invoice) = &self.affairs[which].upgrade.clone() {
            self.tell(failure.kind(), invoice);
        }
        self.act(
            &["a failed upgrade fails again"],
            &format!("#{which} upgrade fails again"),
        );
    }

    /// The invoice of a failed upgrade is paid after all.
    pub fn pay_upgrade(&mut self, which: usize) {
        if let Some(invoice) = self.affairs[which].upgrade.take() {
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

    /// An upgrade that waits for its payment, which fails (`pending_if_incomplete`): Stripe does
    /// not change the price.
    pub fn upgrade_pending(&mut self, which: usize, price: Price, failure: Failure) {
        let mut new = self.shown(which).clone();
        let wanted = Subscription { price, ..new.clone() };
        let mut invoice = self.upgrade_invoice(&new, &wanted);
        new.pending_update = Some(price);
        new.latest_invoice = Some(invoice.id.clone());
        self.change(which, new);
        invoice.status = "open";
        self.tell(failure.kind(), &invoice);
        self.books.statement_mut(which).failed(&invoice);
        self.affairs[which].upgrade = Some(invoice);
        let text = format!("#{which} upgrade to {} waits for its payment", price.lookup_key);
        self.act(&["an upgrade waits for its payment"], &text);
    }

    /// The upgrade that waited is paid, and done.
    pub fn apply_pending(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        if let (Some(price), Some(invoice)) = (new.pending_update.take(), self.affairs[which].upgrade.take()) {
            new.price = price;
            self.pay(which, invoice);
            self.raise(which, new.clone());
            self.tell("customer.subscription.pending_update_applied", &new);
        }
        self.act(
            &["an upgrade that waited is applied"],
            &format!("#{which} upgrade is applied"),
        );
    }

    /// The upgrade that waited is given up.
    pub fn expire_pending(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.pending_update = None;
        self.affairs[which].upgrade = None;
        self.change(which, new.clone());
        self.tell("customer.subscription.pending_update_expired", &new);
        self.act(
            &["an upgrade that waited expires"],
            &format!("#{which} upgrade expires"),
        );
    }

    fn upgrade_with_invoice(&mut self, which: usize, mut new: Subscription, mut invoice: Invoice, payment: Payment) {
        let Payment::Failed(failed) = payment else {
            new.latest_invoice = Some(invoice.id.clone());
            self.raise(which, new);
            return self.pay(which, invoice);
        };
        let from = self.statement(which).earned_tier();
        if failed.is_named {
            new.latest_invoice = Some(invoice.id.clone());
        }
        if failed.aftermath == Aftermath::AtOnce {
            new.status = "past_due";
        }
        self.change(which, new);
        self.wait(failed.lag);
        invoice.status = "open";
        self.tell(failed.failure.kind(), &invoice);
        if failed.aftermath == Aftermath::Afterwards {
            self.change_status(which, "past_due");
        }
        self.books.statement_mut(which).rose_unpaid(from, &invoice);
        self.affairs[which].upgrade = Some(invoice);
    }

    /// The subscription changes to a higher tier, and that counts.
    pub(super) fn raise(&mut self, which: usize, new: Subscription) {
        self.change(which, new);
        self.books.statement_mut(which).rose();
    }

    /// What a change costs for the rest of the period: nothing in a trial.
    fn upgrade_invoice(&mut self, old: &Subscription, new: &Subscription) -> Invoice {
        let lines = if old.status == "trialing" {
            let mut line = Line::plan(&mut self.mint, new.price, new.period);
            line.amount = 0;
            vec![line]
        } else {
            self.prorations(old, new)
        };
        self.update_invoice(new, lines)
    }

    /// An invoice of now for a change of the subscription.
    pub(super) fn update_invoice(&mut self, new: &Subscription, lines: Vec<Line>) -> Invoice {
        Invoice::new(&mut self.mint, new, "subscription_update", self.clock, lines)
    }

    /// The rest of the old price credited, and of the new one charged, or all of its new period.
    fn prorations(&mut self, old: &Subscription, new: &Subscription) -> Vec<Line> {
        let credit = self.credit(old);
        let charge = if new.period == old.period {
            let rest = credit.period;
            let cents = share(new.price.cents, rest, old.period);
            Line::proration(&mut self.mint, new.price, rest, cents)
        } else {
            Line::plan(&mut self.mint, new.price, new.period)
        };
        vec![credit, charge]
    }

    /// The rest of the current period, credited.
    pub(super) fn credit(&mut self, old: &Subscription) -> Line {
        let rest = Period {
            start: self.clock,
            end: old.period.end,
        };
        let cents = share(old.price.cents, rest, old.period).max(1);
        Line::proration(&mut self.mint, old.price, rest, -cents)
    }
}

const fn failed_kind(failed: Failed) -> &'static str {
    match (failed.is_named, failed.aftermath) {
        (false, _) => "an upgrade fails that only its time tells",
        (true, Aftermath::None) => "an upgrade fails, the status stays",
        (true, Aftermath::AtOnce) => "an upgrade fails, past_due at once",
        (true, Aftermath::Afterwards) => "an upgrade fails, past_due afterwards",
    }
}
