//! Acts: a subscription is cancelled, reactivated, or ends.

use crate::merchant::Script;

impl Script {
    /// The customer cancels at the end of the period.
    pub fn cancel(&mut self, which: usize) {
        let (now, version) = (self.clock, self.mint.version());
        let mut new = self.shown(which).clone();
        new.cancel_with_period(now, version);
        self.change(which, new);
        self.act(&["a cancellation with the period"], &format!("#{which} is cancelled"));
    }

    /// The merchant sets an end date, which may be after the period.
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

    /// The subscription ends at the requested date.
    pub fn end_as_requested(&mut self, which: usize) {
        let shown = self.shown(which);
        let due = shown.cancel_at.unwrap_or(shown.period.end);
        self.clock = self.clock.max(due);
        self.delete(which);
        self.act(
            &["an end at the requested time"],
            &format!("#{which} ends as requested"),
        );
    }

    /// The application deletes the user's account: it empties the subscription's metadata. If `is_end`, the
    /// subscription ends in the same second.
    pub fn delete_account(&mut self, which: usize, is_end: bool) {
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
        self.act(&[kind], &format!("#{which} account is deleted, ends: {is_end}"));
    }

    fn delete(&mut self, which: usize) {
        let mut new = self.shown(which).clone();
        new.end(self.clock);
        new.pending_update = None;
        self.add_event("customer.subscription.deleted", &new);
        self.show(which, new, false);
    }
}
