//! Owners by a number (a namespace's or a cgroup's inode), remembered for a while: events come late, and pods go.

use model::owner::Owner;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// An owner is remembered for so long after its end.
const REMEMBERED: Duration = Duration::from_mins(1);

/// What is known may have changed after this long: a namespace's inode is given to the next one.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Somebody new is looked for at once, but not more often than this.
const LOOK_FOR_NEW: Duration = Duration::from_millis(50);

/// Owners that were looked for in vain and are remembered as such, at most.
const STRANGERS_MAX: usize = 10_000;

/// Owners by a number.
pub struct OwnerMemory<K> {
    known: HashMap<K, (Owner, Instant)>,
    strangers: HashSet<K>,
    looked: Option<Instant>,
}

impl<K> Default for OwnerMemory<K> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            strangers: HashSet::new(),
            looked: None,
        }
    }
}

impl<K: Copy + Eq + Hash> OwnerMemory<K> {
    /// Whose it is, looking at all again where this one is new, or may be another's than `lasts` ago.
    pub fn of(&mut self, key: K, lasts: Duration, all: impl FnOnce() -> Vec<(K, Owner)>) -> Owner {
        let is_known = self.known.contains_key(&key);
        let enough = match (is_known, self.strangers.contains(&key)) {
            (true, _) => lasts,
            (false, true) => LOOK_AGAIN,
            (false, false) => LOOK_FOR_NEW,
        };
        if self.looked.is_none_or(|looked| looked.elapsed() >= enough) {
            self.look(all);
            if !self.known.contains_key(&key) {
                if self.strangers.len() >= STRANGERS_MAX {
                    self.strangers.clear();
                }
                self.strangers.insert(key);
            }
        }
        self.known.get(&key).map_or(Owner::Unknown, |(owner, _)| owner.clone())
    }

    /// Looks at all, and forgets who has been gone for long.
    pub fn look(&mut self, all: impl FnOnce() -> Vec<(K, Owner)>) {
        let now = Instant::now();
        for (key, owner) in all() {
            // A namespace outlives its last process by a moment: who lived there is known still.
            let gone = owner == Owner::Unknown && self.known.contains_key(&key);
            if !gone {
                self.known.insert(key, (owner, now));
            }
        }
        self.known.retain(|_, (_, seen)| now.duration_since(*seen) < REMEMBERED);
        self.looked = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::OwnerMemory;
    use model::owner::Owner;
    use std::time::Duration;

    fn named(name: &str) -> Owner {
        Owner::Netns { name: name.into() }
    }

    #[test]
    fn whoever_has_gone_since_the_last_look_is_known_still() {
        let mut memory = OwnerMemory::<u32>::default();
        memory.look(|| vec![(7, named("web"))]);
        assert_eq!(memory.of(7, Duration::ZERO, Vec::new), named("web"));
        assert_eq!(memory.of(7, Duration::ZERO, || vec![(7, Owner::Unknown)]), named("web"));
    }

    #[test]
    fn a_number_that_was_given_to_the_next_is_the_next_ones() {
        let mut memory = OwnerMemory::<u32>::default();
        memory.look(|| vec![(7, named("web"))]);
        assert_eq!(memory.of(7, Duration::MAX, || panic!("known for good")), named("web"));
        assert_eq!(memory.of(7, Duration::ZERO, || vec![(7, named("db"))]), named("db"));
    }

    #[test]
    fn a_stranger_is_looked_for_once_in_a_while() {
        let mut memory = OwnerMemory::<u32>::default();
        assert_eq!(memory.of(7, Duration::MAX, Vec::new), Owner::Unknown);
        assert_eq!(
            memory.of(7, Duration::MAX, || panic!("just looked for")),
            Owner::Unknown
        );
        assert_eq!(memory.of(8, Duration::MAX, || panic!("just looked")), Owner::Unknown);
    }
}
