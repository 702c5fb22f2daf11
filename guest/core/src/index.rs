//! Maps by name: two types for every purpose, because each further one would be another copy of the same code in the guests.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use rustc_hash::FxBuildHasher;

/// What is put in comes from the policy or from signed bodies, so that no stranger can choose names to make the hashing slow.
type HashMap<K, V> = hashbrown::HashMap<K, V, FxBuildHasher>;

/// A number for each of some names that stand elsewhere.
pub(crate) type Index<'a> = HashMap<&'a str, usize>;

/// Numbers under names of its own, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Lists(HashMap<String, Vec<usize>>);

impl Lists {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// How many numbers stand under the name that has most.
    pub(crate) fn longest(&self) -> usize {
        self.0.values().map(Vec::len).max().unwrap_or_default()
    }

    pub(crate) fn push(&mut self, name: &str, number: usize) {
        match self.0.get_mut(name) {
            Some(list) => list.push(number),
            None => drop(self.0.insert(name.to_owned(), Vec::from([number]))),
        }
    }

    /// The first number under a name, which is `number` when there was none.
    pub(crate) fn first_or(&mut self, name: &str, number: usize) -> usize {
        match self.get(name) {
            Some([first, ..]) => *first,
            _ => {
                self.push(name, number);
                number
            }
        }
    }
}
