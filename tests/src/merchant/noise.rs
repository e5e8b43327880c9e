//! Acts that change nothing.

use crate::fixtures::{Invoice, Line, Resource};
use crate::merchant::Script;
use serde_json::json;

impl Script {
    /// The application notes something in the subscription's metadata.
    pub fn note(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        let note = format!("note {}", self.len());
        new.metadata.insert("note".to_owned(), note);
        self.change(which, new);
        self.act(&["a note in the metadata"], &format!("#{which} note"));
    }

    /// The collection of payments is paused, or goes on.
    pub fn pause_collection(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.pause_collection = !new.pause_collection;
        let text = format!("#{which} collection is paused: {}", new.pause_collection);
        self.change(which, new);
        self.act(&["the collection is paused or goes on"], &text);
    }

    /// An announcement, which repeats the subscription as it was before its last change.
    pub fn announce(&mut self, which: usize) {
        let before = self.affairs[which].before.render(self.mint.version());
        self.tell_unhandled("customer.subscription.trial_will_end", &json!({ "object": before }));
        self.act(&["an announcement"], &format!("#{which} announcement"));
    }

    /// An invoice is finalized, of which no payment is told.
    pub fn finalize(&mut self, which: usize) {
        let shown = self.shown(which).clone();
        let lines = vec![Line::plan(&mut self.mint, shown.price, shown.period)];
        let mut invoice = Invoice::new(&mut self.mint, &shown, "manual", self.clock, lines);
        invoice.status = "open";
        let invoice = invoice.render(self.mint.version());
        self.tell_unhandled("invoice.finalized", &json!({ "object": invoice }));
        self.act(&["an unhandled invoice event"], &format!("#{which} invoice.finalized"));
    }

    /// The customer's address changes.
    pub fn move_house(&mut self, which: usize) {
        let customer = json!({
            "id": self.shown(which).customer,
            "object": "customer",
            "address": { "country": "IE" },
            "livemode": false,
            "metadata": {}
        });
        let data = json!({ "object": customer, "previous_attributes": { "address": null } });
        self.tell_unhandled("customer.updated", &data);
        self.act(&["an unhandled customer event"], &format!("#{which} customer.updated"));
    }
}
