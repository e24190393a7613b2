//! Who receives what: patterns in a tree of words, so that many cost a topic no more than few.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Fed;
use super::subscriber::Subscriber;
use super::topic::Pattern;

/// All subscriptions, by the words of their patterns.
#[derive(Default)]
pub(super) struct Patterns {
    root: Node,
    by_number: BTreeMap<u64, Pattern>,
}

/// Who receives, and into which mailbox, if that is where it goes.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) subscriber: Arc<dyn Subscriber>,
    pub(super) fed: Option<Arc<dyn Fed>>,
}

/// Who receives a topic, and their mailboxes.
type Found = (Vec<Arc<dyn Subscriber>>, Vec<Arc<dyn Fed>>);
type Receivers = BTreeMap<u64, Receiver>;

#[derive(Default)]
struct Node {
    words: BTreeMap<Box<str>, Node>,
    /// What comes after a `*` that is one word.
    any: Option<Box<Node>>,
    /// Whose pattern ends here.
    here: Receivers,
    /// Whose pattern ends with a `*` here: one word or more.
    rest: Receivers,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.any.is_none() && self.here.is_empty() && self.rest.is_empty()
    }

    /// Changes those whose pattern is `words` from here on; nodes that nobody needs any more go.
    fn change(&mut self, words: &[&str], change: impl FnOnce(&mut Receivers)) {
        match words {
            [] => change(&mut self.here),
            ["*"] => change(&mut self.rest),
            ["*", more @ ..] => {
                let node = self.any.get_or_insert_default();
                node.change(more, change);
                if node.is_empty() {
                    self.any = None;
                }
            }
            [word, more @ ..] => {
                let node = self.words.entry((*word).into()).or_default();
                node.change(more, change);
                if node.is_empty() {
                    self.words.remove(*word);
                }
            }
        }
    }

    fn find(&self, words: &[&str], found: &mut Receivers) {
        let add = |found: &mut Receivers, more: &Receivers| {
            found.extend(more.iter().map(|(number, its)| (*number, its.clone())));
        };
        let [word, more @ ..] = words else {
            return add(found, &self.here);
        };
        add(found, &self.rest);
        if let Some(node) = self.words.get(*word) {
            node.find(more, found);
        }
        if let Some(node) = &self.any {
            node.find(more, found);
        }
    }
}

impl Patterns {
    pub(super) fn add(&mut self, number: u64, pattern: &Pattern, receiver: Receiver) {
        let words: Vec<&str> = pattern.words().collect();
        self.root.change(&words, |receivers| {
            receivers.insert(number, receiver);
        });
        self.by_number.insert(number, pattern.clone());
    }

    /// The one that was there.
    pub(super) fn remove(&mut self, number: u64) -> Option<Receiver> {
        let pattern = self.by_number.remove(&number)?;
        let words: Vec<&str> = pattern.words().collect();
        let mut removed = None;
        self.root.change(&words, |receivers| {
            removed = receivers.remove(&number);
        });
        removed
    }

    /// Who receives `topic`, in the order in which they subscribed; and their mailboxes, if all of them have one.
    pub(super) fn find(&self, topic: &str) -> Found {
        let words: Vec<&str> = topic.split('.').collect();
        let mut found = Receivers::new();
        self.root.find(&words, &mut found);
        let fed = found
            .values()
            .map(|receiver| receiver.fed.clone())
            .collect();
        let fed: Option<Vec<Arc<dyn Fed>>> = fed;
        let subscribers = found.into_values().map(|receiver| receiver.subscriber);
        (subscribers.collect(), fed.unwrap_or_default())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::subscriber::{Place, Refused};
    use super::*;
    use crate::bus::Event;
    use proptest::prelude::*;

    struct Nobody(u64);

    impl Subscriber for Nobody {
        fn deliver(&self, _: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
            Err(Refused::Gone)
        }

        fn name(&self) -> String {
            self.0.to_string()
        }
    }

    fn word() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "c"])
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        let words = prop::collection::vec(prop_oneof![2 => word(), 1 => Just("*")], 1..5);
        words.prop_map(|words| words.join(".").parse().unwrap())
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(word(), 1..5).prop_map(|words| words.join("."))
    }

    proptest! {
        /// What the tree finds is what each pattern says of itself, also after some were removed.
        #[test]
        fn the_tree_finds_whom_the_patterns_fit(
            patterns in prop::collection::vec((pattern(), any::<bool>()), 0..30),
            topics in prop::collection::vec(topic(), 1..10),
        ) {
            let mut tree = Patterns::default();
            for (number, (pattern, _)) in (0..).zip(&patterns) {
                let subscriber = Arc::new(Nobody(number));
                tree.add(number, pattern, Receiver { subscriber, fed: None });
            }
            for (number, (_, stays)) in (0..).zip(&patterns) {
                if !stays {
                    prop_assert!(tree.remove(number).is_some());
                }
            }
            for topic in topics {
                let fit = (0u64..).zip(&patterns).filter(|(_, (pattern, stays))| *stays && pattern.fits(&topic));
                let fit: Vec<String> = fit.map(|(number, _)| number.to_string()).collect();
                let found: Vec<String> = tree.find(&topic).0.iter().map(|its| its.name()).collect();
                prop_assert_eq!(found, fit);
            }
            for number in 0..patterns.len() as u64 {
                tree.remove(number);
            }
            prop_assert!(tree.root.is_empty());
        }
    }
}
