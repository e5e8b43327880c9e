//! Turns: which lane of this process works on which account, and which is next.
//! Lanes that meet at one customer would only find each other's locks, and
//! overtake each other; so they do not get as far as the database.

use crate::domain::ids::AccountId;
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// The turns of all lanes; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lanes: AtomicU64,
    accounts: Mutex<HashMap<AccountId, Turn>>,
    over: Notify,
}

/// Who works on an account, and who waits for it, first come first served.
#[derive(Debug, Default)]
struct Turn {
    holder: Option<u64>,
    next: VecDeque<u64>,
}

/// A lane's place among the others; leaves all queues when it is dropped.
#[derive(Debug)]
pub struct Place {
    turns: Turns,
    lane: u64,
}

/// Accounts whose turn it is, until this is dropped.
#[derive(Debug)]
pub struct Taken<'a> {
    place: &'a Place,
    accounts: HashSet<AccountId>,
}

impl Turns {
    /// A place for one more lane.
    #[must_use]
    pub fn join(&self) -> Place {
        Place {
            lane: self.0.lanes.fetch_add(1, Ordering::Relaxed),
            turns: self.clone(),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, Turn>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes the turn at each account that is free, and queues for the others.
    pub fn take<'a>(&self, accounts: impl Iterator<Item = &'a AccountId>) -> Taken<'_> {
        let wanted: BTreeSet<&AccountId> = accounts.collect();
        let mut all = self.turns.accounts();
        let mut taken = HashSet::with_capacity(wanted.len());
        for account in wanted {
            let turn = all.entry(account.clone()).or_default();
            if turn.holder.is_none() && turn.next.front().is_none_or(|first| *first == self.lane) {
                turn.next.pop_front();
                turn.holder = Some(self.lane);
                taken.insert(account.clone());
            } else if !turn.next.contains(&self.lane) {
                turn.next.push_back(self.lane);
            }
        }
        Taken {
            place: self,
            accounts: taken,
        }
    }

    /// Leaves the queues of all accounts but these.
    pub fn wait_only_for<'a>(&self, accounts: impl Iterator<Item = &'a AccountId>) {
        let kept: HashSet<&AccountId> = accounts.collect();
        let mut passed_on = false;
        self.turns.accounts().retain(|account, turn| {
            if !kept.contains(account) {
                let was_next = turn.next.front() == Some(&self.lane);
                turn.next.retain(|lane| *lane != self.lane);
                passed_on |= was_next && turn.holder.is_none() && !turn.next.is_empty();
            }
            turn.holder.is_some() || !turn.next.is_empty()
        });
        // Who is woken for nothing would wake others for nothing, in circles.
        if passed_on {
            self.turns.0.over.notify_waiters();
        }
    }

    /// Some lane's turn is over.
    pub async fn some_turn_is_over(&self) {
        self.turns.0.over.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.wait_only_for(std::iter::empty());
    }
}

impl Taken<'_> {
    /// Whether it is this lane's turn at an account.
    #[must_use]
    pub fn has(&self, account: &AccountId) -> bool {
        self.accounts.contains(account)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut all = self.place.turns.accounts();
        let mut somebody_waits = false;
        for account in &self.accounts {
            if let Some(turn) = all.get_mut(account) {
                turn.holder = None;
                if turn.next.is_empty() {
                    all.remove(account);
                } else {
                    somebody_waits = true;
                }
            }
        }
        drop(all);
        if somebody_waits {
            self.place.turns.0.over.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> AccountId {
        AccountId::new(name)
    }

    fn take<'p>(place: &'p Place, names: &[&str]) -> Taken<'p> {
        let accounts: Vec<AccountId> = names.iter().map(|n| id(n)).collect();
        place.take(accounts.iter())
    }

    #[test]
    fn an_account_is_one_lanes_at_a_time_and_the_others_are_free() {
        let turns = Turns::default();
        let (one, two) = (turns.join(), turns.join());
        let first = take(&one, &["a", "b"]);
        let second = take(&two, &["b", "c"]);
        assert!(first.has(&id("a")) && first.has(&id("b")));
        assert!(second.has(&id("c")) && !second.has(&id("b")));
        drop(first);
        assert!(take(&two, &["b"]).has(&id("b")));
    }

    #[test]
    fn who_came_first_is_next() {
        let turns = Turns::default();
        let [one, two, three] = [turns.join(), turns.join(), turns.join()];
        let held = take(&one, &["a"]);
        for waiting in [&two, &three] {
            assert!(!take(waiting, &["a"]).has(&id("a")));
        }
        drop(held);
        assert!(!take(&one, &["a"]).has(&id("a")), "it had its turn");
        assert!(!take(&three, &["a"]).has(&id("a")), "another was first");
        assert!(take(&two, &["a"]).has(&id("a")));
        assert!(take(&three, &["a"]).has(&id("a")));
    }

    #[tokio::test]
    async fn lanes_that_wait_for_a_third_do_not_wake_each_other() {
        let turns = Turns::default();
        let (holder, places) = (turns.join(), [turns.join(), turns.join()]);
        let held = take(&holder, &["a"]);
        let mut woken = 0;
        let waiting = async {
            loop {
                for place in &places {
                    assert!(!take(place, &["a"]).has(&id("a")));
                    place.wait_only_for([id("a")].iter());
                }
                tokio::join!(places[0].some_turn_is_over(), places[1].some_turn_is_over());
                woken += 1;
            }
        };
        let pause = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(pause, waiting).await.is_err());
        assert_eq!(woken, 0, "nobody's turn was over");
        drop(held);
        assert!(take(&places[0], &["a"]).has(&id("a")));
    }

    #[test]
    fn who_waits_no_more_or_is_gone_holds_up_nobody_and_nothing_is_left() {
        let turns = Turns::default();
        let (one, two) = (turns.join(), turns.join());
        let held = take(&one, &["a", "b"]);
        drop(take(&two, &["a", "b"]));
        drop(held);
        two.wait_only_for([id("b")].iter());
        assert!(take(&one, &["a"]).has(&id("a")));
        assert!(!take(&one, &["b"]).has(&id("b")));
        drop(two);
        assert!(take(&one, &["b"]).has(&id("b")));
        one.wait_only_for(std::iter::empty());
        assert!(turns.accounts().is_empty());
    }
}
