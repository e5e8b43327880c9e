//! Acts: a subscription is cancelled, goes on after all, or ends.

use crate::merchant::Script;

impl Script {
    /// The customer asks for the end with the period.
    pub fn cancel(&mut self, which: usize) {
        let (now, version) = (self.clock, self.mint.version());
        let mut new = self.shown(which).clone();
        new.cancel_with_period(now, version);
        self.change(which, new);
        self.act(&["a cancellation with the period"], &format!("#{which} is cancelled"));
    }

    /// The merchant sets a date for the end, which may lie beyond the period.
    pub fn cancel_on(&mut self, which: usize, at: i64) {
        let mut new = self.shown(which).clone();
        new.cancel_at = Some(at);
        new.canceled_at = Some(self.clock);
        let kind = if at > new.period.end {
            "a cancellation beyond the period"
        } else {
            "a cancellation inside of the period"
        };
        self.change(which, new);
        self.act(&[kind], &format!("#{which} will end at {at}"));
    }

    /// A cancellation is withdrawn.
    pub fn reactivate(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.reactivate();
        self.change(which, new);
        self.act(&["a reactivation"], &format!("#{which} is reactivated"));
    }

    /// The subscription ends now.
    pub fn end(&mut self, which: usize) {
        self.delete(which);
        self.act(&["an immediate end"], &format!("#{which} ends"));
    }

    /// The subscription ends at the date that was asked for.
    pub fn end_as_asked(&mut self, which: usize) {
        let shown = self.shown(which);
        let due = shown.cancel_at.unwrap_or(shown.period.end);
        self.clock = self.clock.max(due);
        self.delete(which);
        self.act(&["an end as asked"], &format!("#{which} ends as asked"));
    }

    /// The application deletes the account: the subscription's metadata is emptied, and it ends,
    /// within one second, or goes on.
    pub fn forget(&mut self, which: usize, is_end: bool) {
        let mut new = self.shown(which).clone();
        new.metadata.clear();
        self.change(which, new);
        if is_end {
            self.delete(which);
        }
        let kind = if is_end {
            "an account is deleted with its subscription"
        } else {
            "an account is deleted, its subscription goes on"
        };
        self.act(&[kind], &format!("#{which} is forgotten, ends: {is_end}"));
    }

    fn delete(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.end(self.clock);
        new.pending_update = None;
        self.tell("customer.subscription.deleted", &new);
        self.books.statement_mut(which).shows(new);
    }
}
