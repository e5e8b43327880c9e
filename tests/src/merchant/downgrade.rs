//! Acts: a lower tier, the same tier at another price, and several changes within one second.

use crate::fixtures::{Interval, Invoice, InvoiceItem, Line, Price, Subscription};
use crate::merchant::upgrade::{repriced, share};
use crate::merchant::{Script, Tier};

/// What the customer gets back for the rest of the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Nothing (`proration_behavior: none`).
    None,
    /// A negative line on an invoice (`always_invoice`), so many seconds after the change, or
    /// before it when negative; less than a minute either way.
    Invoice {
        /// Seconds.
        after: i64,
    },
    /// A negative item for the next invoice (`create_prorations`); times as above.
    Item {
        /// Seconds.
        after: i64,
    },
}

impl Credit {
    const fn after(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Invoice { after } | Self::Item { after } => after,
        }
    }
}

/// One of several changes within a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another price of the same interval, without proration.
    Price(Price),
    /// The application notes something in the metadata.
    Note,
    /// A cancellation at the period's end.
    Cancel,
    /// Its withdrawal.
    Reactivate,
}

/// What a change of the price gives to tell of, but for the subscription.
struct Papers {
    items: Vec<Line>,
    invoice: Option<Invoice>,
}

impl Script {
    /// The subscription `which` changes to the lower `price` inside of its period. Where the
    /// interval changes too, a new period starts and is paid for.
    pub fn downgrade(&mut self, which: usize, price: Price, credit: Credit) {
        let old = self.shown(which).clone();
        let mut kinds = self.circumstances(which, price, credit);
        let has_claim = self.statement(which).claim(self.clock).is_some();
        let is_claimed = self.reprice(which, price, credit, true);
        kinds.push(match (is_claimed, has_claim) {
            (false, _) => "a downgrade that gives no grace",
            (true, false) => "a downgrade that gives a grace",
            (true, true) => "a downgrade while a grace runs",
        });
        let text = format!(
            "#{which} downgrade from {} to {}, credit {credit:?}, claimed: {is_claimed}",
            old.price.lookup_key, price.lookup_key
        );
        self.act(&kinds, &text);
    }

    /// The subscription `which` changes to another price of the same tier.
    pub fn switch(&mut self, which: usize, price: Price, credit: Credit) {
        self.reprice(which, price, credit, false);
        let text = format!("#{which} switch to {}, credit {credit:?}", price.lookup_key);
        self.act(&["another price of the same tier"], &text);
    }

    /// The next period will be at the lower `price`.
    pub fn schedule(&mut self, which: usize, price: Price) {
        let mut new = self.shown(which).clone();
        new.schedule = Some(self.mint.id("sub_sched"));
        self.change(which, new);
        self.affairs[which].scheduled = Some(price);
        let text = format!("#{which} downgrade to {} is scheduled", price.lookup_key);
        self.act(&["a downgrade is scheduled"], &text);
    }

    /// Several changes of the subscription `which` within one second, told apart by their
    /// `previous_attributes` alone.
    pub fn burst(&mut self, which: usize, steps: &[Step]) {
        for step in steps {
            self.step(which, *step);
        }
        let prices = steps.iter().filter(|step| matches!(step, Step::Price(_)));
        let kind = if prices.count() > 1 {
            "several prices in one second"
        } else {
            "several changes in one second"
        };
        self.act(&[kind], &format!("#{which} burst {}", told(steps)));
    }

    fn step(&mut self, which: usize, step: Step) {
        let (now, version) = (self.clock, self.mint.version());
        let mut new = self.shown(which).clone();
        match step {
            Step::Price(price) => {
                new.price = price;
                let (old, new_tier) = (self.statement(which).tier(), Tier::of(&price));
                if new_tier < old {
                    self.books.statement_mut(which).falls(false);
                }
                if new_tier > old {
                    return self.raise(which, new);
                }
            }
            Step::Note => {
                let note = format!("note {}", self.len());
                new.metadata.insert("note".to_owned(), note);
            }
            Step::Cancel => new.cancel_with_period(now, version),
            Step::Reactivate => new.reactivate(),
        }
        self.change(which, new);
    }

    /// Another price, no higher than the old one. Returns whether the old tier is claimed.
    fn reprice(&mut self, which: usize, price: Price, credit: Credit, is_fall: bool) -> bool {
        let old = self.shown(which).clone();
        let after = credit.after();
        let mut new = repriced(&old, price, self.clock + (-after).max(0));
        let papers = self.papers(&old, &new, credit);
        if let Some(invoice) = &papers.invoice {
            new.latest_invoice = Some(invoice.id.clone());
        }
        let is_credited = credit != Credit::None;
        let falls = |script: &mut Self| is_fall && script.books.statement_mut(which).falls(is_credited);
        if after < 0 {
            self.file(which, papers);
            self.wait(-after);
            let is_claimed = falls(self);
            self.change(which, new);
            return is_claimed;
        }
        let is_claimed = falls(self);
        self.change(which, new);
        self.wait(after);
        self.file(which, papers);
        is_claimed
    }

    /// The credit, and the price of what is left of the period or of all of a new one.
    fn papers(&mut self, old: &Subscription, new: &Subscription, credit: Credit) -> Papers {
        let is_same_period = new.period == old.period;
        let mut lines = Vec::new();
        if credit != Credit::None {
            let back = self.credit(old);
            if is_same_period {
                let cents = share(new.price.cents, back.period, old.period);
                lines.push(Line::proration(&mut self.mint, new.price, back.period, cents));
            }
            lines.insert(0, back);
        }
        let (items, mut charges) = match credit {
            Credit::Item { .. } => (lines, Vec::new()),
            Credit::None | Credit::Invoice { .. } => (Vec::new(), lines),
        };
        if !is_same_period {
            charges.push(Line::plan(&mut self.mint, new.price, new.period));
        }
        let invoice = (!charges.is_empty()).then(|| {
            let mut invoice = self.update_invoice(new, charges);
            invoice.created += credit.after().max(0);
            invoice.period.start = invoice.created;
            invoice.period.end = invoice.created;
            invoice
        });
        Papers { items, invoice }
    }

    fn file(&mut self, which: usize, papers: Papers) {
        for line in papers.items {
            self.tell_item(which, line);
        }
        if let Some(invoice) = papers.invoice {
            self.pay(which, invoice);
        }
    }

    /// Something waits for the next invoice.
    pub(super) fn tell_item(&mut self, which: usize, line: Line) {
        let item = InvoiceItem::of_line(self.shown(which), line.clone(), self.clock);
        self.tell("invoiceitem.created", &item);
        self.affairs[which].items.push(line);
    }

    /// The kinds of downgrade that this would be.
    fn circumstances(&self, which: usize, price: Price, credit: Credit) -> Vec<&'static str> {
        let (page, old) = (self.statement(which), self.shown(which));
        let mut kinds = vec![match credit {
            Credit::None => "a downgrade without credit",
            Credit::Invoice { .. } => "a downgrade credited by an invoice",
            Credit::Item { .. } => "a downgrade credited by an item",
        }];
        match old.status {
            "trialing" => kinds.push("a downgrade in a trial"),
            "past_due" => kinds.push("a downgrade while past_due"),
            _ if page.has_arrears() => kinds.push("a downgrade while an invoice has failed"),
            _ => {}
        }
        if page.has_unpaid_upgrade() {
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

fn told(steps: &[Step]) -> String {
    let words = steps.iter().map(|step| match step {
        Step::Price(price) => price.lookup_key,
        Step::Note => "note",
        Step::Cancel => "cancel",
        Step::Reactivate => "reactivate",
    });
    words.collect::<Vec<_>>().join(", ")
}
