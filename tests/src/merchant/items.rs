//! Acts about items of a subscription beside its plan, and about long lists.

use crate::fixtures::{Invoice, Line, OtherItem, Period, Price};
use crate::merchant::Script;

impl Script {
    /// An item that is no plan comes onto the subscription `which`. Its first period is paid at once.
    pub fn add_item(&mut self, which: usize, price: Price, is_plan_last: bool) {
        let mut new = self.shown(which).clone();
        let same = (price.interval, price.interval_count) == (new.price.interval, new.price.interval_count);
        let period = if same {
            new.period
        } else {
            price.period_from(self.clock)
        };
        let item = OtherItem {
            id: self.mint.id("si"),
            price,
            quantity: 1,
            period,
            created: self.clock,
        };
        let line = if same {
            let rest = Period {
                start: self.clock,
                end: period.end,
            };
            let mut line = Line::proration(&mut self.mint, price, rest, price.cents / 2);
            line.item = Some(item.id.clone());
            line
        } else {
            Line::of_item(&mut self.mint, &item)
        };
        new.others.push(item);
        new.is_plan_last = is_plan_last;
        let invoice = self.update_invoice(&new, vec![line]);
        new.latest_invoice = Some(invoice.id.clone());
        self.change(which, new);
        self.pay(which, invoice);
        let kind = if same {
            "an item beside the plan"
        } else {
            "an item of another interval beside the plan"
        };
        self.act(&[kind], &format!("#{which} also has {}", price.lookup_key));
    }

    /// The last item beside the plan goes.
    pub fn drop_item(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.others.pop();
        self.change(which, new);
        self.act(&["an item beside the plan goes"], &format!("#{which} loses an item"));
    }

    /// The period of the item number `item` beside the plan ends, and its next one is paid. The plan's goes on.
    pub fn renew_item(&mut self, which: usize, item: usize) {
        let mut new = self.shown(which).clone();
        let old = new.others[item].period;
        self.clock = self.clock.max(old.end);
        new.others[item].period = new.others[item].price.period_from(old.end);
        let line = Line::of_item(&mut self.mint, &new.others[item]);
        let mut invoice = Invoice::new(&mut self.mint, &new, "subscription_cycle", self.clock, vec![line]);
        invoice.period = old;
        new.latest_invoice = Some(invoice.id.clone());
        self.change(which, new);
        self.pay(which, invoice);
        self.act(
            &["an item beside the plan renews alone"],
            &format!("#{which} item {item} renews"),
        );
    }

    /// Ten small corrections that the next invoice charges. With the plan, its lines are more than a page.
    pub fn add_corrections(&mut self, which: usize) {
        let shown = self.shown(which).clone();
        for number in 0..10 {
            let rest = Period {
                start: self.clock,
                end: shown.period.end,
            };
            let line = Line::proration(&mut self.mint, shown.price, rest, 10 + number);
            self.add_invoice_item(which, line);
        }
        self.act(&["more lines than a page holds"], &format!("#{which} ten corrections"));
    }
}
