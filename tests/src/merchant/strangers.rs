//! Acts of others: what must change nothing, and a hand-over to another user.

use crate::fixtures::price::{MAX_YEARLY, OTHER_MONTHLY};
use crate::fixtures::{Invoice, Line, Pack, Session, Subscription};
use crate::merchant::Script;

impl Script {
    /// Another user takes the subscription `which` over: the application writes its id into the metadata.
    pub fn hand_over(&mut self, which: usize, user_id: &str) {
        let mut new = self.shown(which).clone();
        new.metadata.insert("user_id".to_owned(), user_id.to_owned());
        self.change(which, new);
        self.act(&["a hand-over"], &format!("#{which} is {user_id}'s"));
    }

    /// Events of a connected account: they look as if the subscription rose and a pack was bought.
    pub fn foreign_account(&mut self, which: usize) {
        let mut rich = self.shown(which).clone();
        rich.price = MAX_YEARLY;
        rich.period = rich.price.period_from(self.clock);
        rich.status = "active";
        let user_id = self.user_id().to_owned();
        let pack = Pack::bought(&mut self.mint, &user_id, "tokens_5m", 9, self.clock);
        let old = self.subscriptions[which].shown.clone();
        let events = [
            self.mint
                .update("customer.subscription.updated", self.clock, &old, &rich),
            self.mint.event("checkout.session.completed", self.clock, &pack.session),
        ];
        for event in events {
            let event = self.mint.of_account(&event, "acct_1QbSomebodyElse");
            self.push_ignored(event);
        }
        self.act(
            &["events of a connected account"],
            &format!("#{which} of another account"),
        );
    }

    /// Something else is sold on the same Stripe account: another product's subscription, and a shop's
    /// checkout.
    pub fn other_business(&mut self) {
        let customer = self.mint.id("cus");
        let other = Subscription::new(&mut self.mint, &customer, OTHER_MONTHLY, self.clock);
        let line = Line::plan(&mut self.mint, OTHER_MONTHLY, other.period);
        let reason = "subscription_create";
        let invoice = Invoice::new(&mut self.mint, &other, reason, self.clock, vec![line]);
        let mut shop = Session::of_pack(&mut self.mint, "", "", 1, self.clock - 60);
        shop.metadata.clear();
        let events = [
            self.mint.event("customer.subscription.created", self.clock, &other),
            self.mint.event("invoice.paid", self.clock, &invoice),
            self.mint.event("checkout.session.completed", self.clock, &shop),
        ];
        for event in events {
            self.push_ignored(event);
        }
        self.act(&["another product of the same account"], "something else is sold");
    }
}
