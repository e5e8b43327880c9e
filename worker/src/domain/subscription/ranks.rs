//! The ranks of the catalog in force. Tiers are compared by name, with these ranks: a catalog
//! that renumbers its ranks is no downgrade.
//!
//! A fact contains the rank of the catalog that it was read with. Before facts are folded,
//! that rank is replaced by the one in force. A tier that the catalog does not know any more
//! keeps its rank.

use super::state::VERSION;
use crate::domain::fact::{Fact, FactBody, Plan};
use std::{borrow::Cow, collections::BTreeMap};

/// The rank of each tier, by the tier's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranks(BTreeMap<String, i32>);

impl FromIterator<(String, i32)> for Ranks {
    fn from_iter<I: IntoIterator<Item = (String, i32)>>(tiers: I) -> Self {
        Self(tiers.into_iter().collect())
    }
}

impl Ranks {
    /// The fact with the ranks in force.
    #[must_use]
    pub fn in_force<'a>(&self, fact: &'a Fact) -> Cow<'a, Fact> {
        let FactBody::Subscription(s) = &fact.body else {
            return Cow::Borrowed(fact);
        };
        let plans = [s.now.plan.as_ref(), s.before.as_ref().and_then(|b| b.plan.as_ref())];
        let has_another = |plan: &Plan| self.0.get(&plan.tier).is_some_and(|r| *r != plan.rank);
        if !plans.into_iter().flatten().any(has_another) {
            return Cow::Borrowed(fact);
        }
        let mut fact = fact.clone();
        self.put_in_force(&mut fact);
        Cow::Owned(fact)
    }

    /// Replaces the ranks of a fact by the ranks in force.
    pub fn put_in_force(&self, fact: &mut Fact) {
        let FactBody::Subscription(s) = &mut fact.body else {
            return;
        };
        let before = s.before.as_mut().and_then(|b| b.plan.as_mut());
        for plan in s.now.plan.as_mut().into_iter().chain(before) {
            if let Some(rank) = self.0.get(&plan.tier) {
                plan.rank = *rank;
            }
        }
    }

    /// The version of states that are folded with these ranks: a hash of the ranks and
    /// [`VERSION`]. It is the same in every build of the program.
    #[must_use]
    pub fn version(&self) -> i32 {
        // FNV-1a ("The FNV Non-Cryptographic Hash Algorithm").
        const OFFSET: u32 = 0x811c_9dc5;
        const PRIME: u32 = 0x0100_0193;
        let tiers = self.0.iter().map(|(name, rank)| format!("{name}={rank}"));
        let text: Vec<String> = std::iter::once(VERSION.to_string()).chain(tiers).collect();
        let hash = text
            .join(";")
            .bytes()
            .fold(OFFSET, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(PRIME));
        hash.cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::Ranks;
    use crate::domain::testkit::{DAY, changed, created, facts, sub};
    use crate::domain::{fact::Fact, subscription::account::Account};

    fn ranks(of: &[(&str, i32)]) -> Ranks {
        of.iter().map(|(tier, rank)| ((*tier).to_owned(), *rank)).collect()
    }

    /// The tier of a grace, of facts folded with these ranks.
    fn grace(of: &[Fact], ranks: &Ranks) -> Option<String> {
        let facts: Vec<_> = of.iter().map(|f| ranks.in_force(f)).collect();
        let account = Account::fold(&facts.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        account.subscriptions[0].grace.as_ref().map(|g| g.plan.tier.clone())
    }

    #[test]
    fn a_catalog_with_other_numbers_is_no_downgrade() {
        // The second event was read with a catalog whose ranks are ten times higher.
        let mut renumbered = sub("active", "max");
        renumbered.plan.as_mut().expect("a plan").rank = 30;
        let mut lower = sub("active", "plus");
        lower.plan.as_mut().expect("a plan").rank = 20;
        let edited = facts(&[(0, created(renumbered.clone())), (DAY, changed(sub("active", "max")))]);
        let in_force = ranks(&[("basic", 10), ("plus", 20), ("max", 30)]);
        assert_eq!(grace(&edited, &in_force), None);
        // A real downgrade across two catalogs.
        let down = facts(&[(0, created(sub("active", "max"))), (DAY, changed(lower))]);
        assert_eq!(grace(&down, &Ranks::default()), None, "max had rank 3 then");
        assert_eq!(grace(&down, &in_force).as_deref(), Some("max"));
        // A tier that the catalog does not know keeps its rank.
        assert_eq!(grace(&down, &ranks(&[("plus", 1)])).as_deref(), Some("max"));
    }

    #[test]
    fn other_ranks_are_another_version() {
        let one = ranks(&[("basic", 1), ("plus", 2)]);
        assert_eq!(one.version(), ranks(&[("plus", 2), ("basic", 1)]).version());
        for other in [ranks(&[]), ranks(&[("basic", 1)]), ranks(&[("basic", 2), ("plus", 1)])] {
            assert_ne!(one.version(), other.version());
        }
    }
}
