//! Acts that do not change the row.

use crate::fixtures::{Invoice, Line, Resource};
use crate::merchant::Script;
use serde_json::json;

impl Script {
    /// The application writes a note into the subscription's metadata.
    pub fn note(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        let note = format!("note {}", self.len());
        new.metadata.insert("note".to_owned(), note);
        self.change(which, new);
        self.act(&["a change of the metadata"], &format!("#{which} note"));
    }

    /// Payment collection is paused or resumed.
    pub fn pause_collection(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.pause_collection = !new.pause_collection;
        let text = format!("#{which} collection is paused: {}", new.pause_collection);
        self.change(which, new);
        self.act(&["payment collection is paused or resumed"], &text);
    }

    /// An announcement of a trial's end. It shows the subscription as it was before its last change.
    pub fn announce(&mut self, which: usize) {
        let before = self.subscriptions[which].before.render(self.mint.version());
        self.add_ignored_event("customer.subscription.trial_will_end", &json!({ "object": before }));
        self.act(&["an announcement of a trial's end"], &format!("#{which} announcement"));
    }

    /// An invoice is finalized; no payment follows.
    pub fn finalize(&mut self, which: usize) {
        let shown = self.shown(which).clone();
        let lines = vec![Line::plan(&mut self.mint, shown.price, shown.period)];
        let mut invoice = Invoice::new(&mut self.mint, &shown, "manual", self.clock, lines);
        invoice.status = "open";
        let invoice = invoice.render(self.mint.version());
        self.add_ignored_event("invoice.finalized", &json!({ "object": invoice }));
        self.act(&["an unhandled invoice event"], &format!("#{which} invoice.finalized"));
    }

    /// The customer adds a card.
    pub fn add_card(&mut self, which: usize) {
        let card = json!({
            "id": self.mint.id("pm"),
            "object": "payment_method",
            "card": { "brand": "visa", "last4": "4242" },
            "customer": self.shown(which).customer,
            "livemode": false,
            "metadata": {},
            "type": "card"
        });
        self.add_ignored_event("payment_method.attached", &json!({ "object": card }));
        self.act(
            &["an unhandled customer event"],
            &format!("#{which} payment_method.attached"),
        );
    }
}
