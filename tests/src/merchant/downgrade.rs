//! Acts that lower the tier or change the price, and several changes within one second.

use crate::fixtures::{Interval, Invoice, InvoiceItem, Line, Price, Subscription};
use crate::merchant::Script;
use crate::merchant::upgrade::{repriced, share};

/// The credit for the rest of the period after a downgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DowngradeCredit {
    /// No credit (`proration_behavior: none`).
    None,
    /// A negative line on an invoice (`always_invoice`), at most a minute before or after the change.
    Invoice {
        /// Seconds.
        after: i64,
    },
    /// A negative item for the next invoice (`create_prorations`), with the same delay.
    Item {
        /// Seconds.
        after: i64,
    },
}

impl DowngradeCredit {
    const fn after(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Invoice { after } | Self::Item { after } => after,
        }
    }
}

/// One of several changes within a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BurstStep {
    /// Another price of the same interval, without proration.
    Price(Price),
    /// The application notes something in the metadata.
    Note,
    /// A cancellation at the period's end.
    Cancel,
    /// The cancellation is withdrawn.
    Reactivate,
}

/// The items and the invoice of a price change.
struct PriceChangeBilling {
    items: Vec<Line>,
    invoice: Option<Invoice>,
}

impl Script {
    /// The subscription `which` changes to the lower `price` within its period. Another interval starts a
    /// new paid period.
    pub fn downgrade(&mut self, which: usize, price: Price, credit: DowngradeCredit) {
        let old = self.shown(which).clone();
        let mut kinds = self.circumstances(which, price, credit);
        let has_grace = self.grace(which).is_some();
        self.reprice(which, price, credit);
        let gives_grace = self.grace(which).is_some();
        kinds.push(match (gives_grace, has_grace) {
            (false, _) => "a downgrade that gives no grace",
            (true, false) => "a downgrade that gives a grace",
            (true, true) => "a downgrade while a grace runs",
        });
        let text = format!(
            "#{which} downgrade from {} to {}, credit {credit:?}, gives grace: {gives_grace}",
            old.price.lookup_key, price.lookup_key
        );
        self.act(&kinds, &text);
    }

    /// The subscription `which` changes to another price of the same tier.
    pub fn switch(&mut self, which: usize, price: Price, credit: DowngradeCredit) {
        self.reprice(which, price, credit);
        let text = format!("#{which} switch to {}, credit {credit:?}", price.lookup_key);
        self.act(&["another price of the same tier"], &text);
    }

    /// The lower `price` is scheduled for the next period.
    pub fn schedule(&mut self, which: usize, price: Price) {
        let mut new = self.shown(which).clone();
        new.schedule = Some(self.mint.id("sub_sched"));
        self.change(which, new);
        self.subscriptions[which].scheduled = Some(price);
        let text = format!("#{which} downgrade to {} is scheduled", price.lookup_key);
        self.act(&["a downgrade is scheduled"], &text);
    }

    /// Several changes of the subscription `which` within one second. Only their `previous_attributes` give
    /// their order.
    pub fn burst(&mut self, which: usize, steps: &[BurstStep]) {
        for step in steps {
            self.step(which, *step);
        }
        let prices = steps.iter().filter(|step| matches!(step, BurstStep::Price(_)));
        let kind = if prices.count() > 1 {
            "several prices in one second"
        } else {
            "several changes in one second"
        };
        self.act(&[kind], &format!("#{which} burst {}", list(steps)));
    }

    fn step(&mut self, which: usize, step: BurstStep) {
        let (now, version) = (self.clock, self.mint.version());
        let mut new = self.shown(which).clone();
        match step {
            BurstStep::Price(price) => new.price = price,
            BurstStep::Note => {
                let note = format!("note {}", self.len());
                new.metadata.insert("note".to_owned(), note);
            }
            BurstStep::Cancel => new.cancel_with_period(now, version),
            BurstStep::Reactivate => new.reactivate(),
        }
        self.change(which, new);
    }

    /// Changes to a price that is not higher.
    fn reprice(&mut self, which: usize, price: Price, credit: DowngradeCredit) {
        let old = self.shown(which).clone();
        let after = credit.after();
        let mut new = repriced(&old, price, self.clock + (-after).max(0));
        let billing = self.billing(&old, &new, credit);
        if let Some(invoice) = &billing.invoice {
            new.latest_invoice = Some(invoice.id.clone());
        }
        let is_credited = credit != DowngradeCredit::None;
        if after < 0 {
            self.bill(which, billing);
            self.wait(-after);
            self.change_plan(which, new, is_credited);
            return;
        }
        self.change_plan(which, new, is_credited);
        self.wait(after);
        self.bill(which, billing);
    }

    /// The credit, and the charge for the rest of the period or for a whole new one.
    fn billing(&mut self, old: &Subscription, new: &Subscription, credit: DowngradeCredit) -> PriceChangeBilling {
        let is_same_period = new.period == old.period;
        let mut lines = Vec::new();
        if credit != DowngradeCredit::None {
            let back = self.credit(old);
            if is_same_period {
                let cents = share(new.price.cents * new.quantity, back.period, old.period);
                lines.push(Line::proration(&mut self.mint, new.price, back.period, cents));
            }
            lines.insert(0, back);
        }
        let (items, mut charges) = match credit {
            DowngradeCredit::Item { .. } => (lines, Vec::new()),
            DowngradeCredit::None | DowngradeCredit::Invoice { .. } => (Vec::new(), lines),
        };
        if !is_same_period {
            charges.push(Line::seats(&mut self.mint, new.price, new.quantity, new.period));
        }
        let invoice = (!charges.is_empty()).then(|| {
            let mut invoice = self.update_invoice(new, charges);
            invoice.created += credit.after().max(0);
            invoice.period.start = invoice.created;
            invoice.period.end = invoice.created;
            invoice
        });
        PriceChangeBilling { items, invoice }
    }

    fn bill(&mut self, which: usize, billing: PriceChangeBilling) {
        for line in billing.items {
            self.add_invoice_item(which, line);
        }
        if let Some(invoice) = billing.invoice {
            self.pay(which, invoice);
        }
    }

    /// Adds an item that waits for the next invoice.
    pub(super) fn add_invoice_item(&mut self, which: usize, line: Line) {
        let item = InvoiceItem::of_line(self.shown(which), line.clone(), self.clock);
        self.add_event("invoiceitem.created", &item);
        self.subscriptions[which].items.push(line);
    }

    /// The kinds of act that this downgrade would be.
    fn circumstances(&self, which: usize, price: Price, credit: DowngradeCredit) -> Vec<&'static str> {
        let old = self.shown(which);
        let mut kinds = vec![match credit {
            DowngradeCredit::None => "a downgrade without credit",
            DowngradeCredit::Invoice { .. } => "a downgrade credited by an invoice",
            DowngradeCredit::Item { .. } => "a downgrade credited by an item",
        }];
        match old.status {
            "trialing" => kinds.push("a downgrade in a trial"),
            "past_due" => kinds.push("a downgrade while past_due"),
            _ if !self.subscriptions[which].failed.is_empty() => kinds.push("a downgrade while an invoice has failed"),
            _ => {}
        }
        if self.held_back(which).is_some() {
            kinds.push("a failed upgrade is taken back");
        }
        match (old.price.interval, price.interval) {
            (Interval::Year, Interval::Month) => kinds.push("a downgrade from yearly to monthly"),
            (Interval::Month, Interval::Year) => kinds.push("a downgrade from monthly to yearly"),
            _ => {}
        }
        kinds
    }
}

fn list(steps: &[BurstStep]) -> String {
    let words = steps.iter().map(|step| match step {
        BurstStep::Price(price) => price.lookup_key,
        BurstStep::Note => "note",
        BurstStep::Cancel => "cancel",
        BurstStep::Reactivate => "reactivate",
    });
    words.collect::<Vec<_>>().join(", ")
}
