//! Maps by name: two types for every purpose, because each further one would be another copy of the same code in the guests.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use rustc_hash::FxBuildHasher;

use crate::json::same;

/// A number for each of some names that stand elsewhere.
pub(crate) type Index<'a> = HashMap<&'a str, usize, FxBuildHasher>;

/// Numbers under names of its own, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Lists(HashTable<(String, Vec<usize>)>);

/// Names come from the policy or from signed bodies, so that no stranger can choose them to make the hashing slow.
fn hash(name: &str) -> u64 {
    FxBuildHasher.hash_one(name)
}

impl Lists {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[usize]> {
        if self.is_empty() {
            return None; // Hashing the name would be for nothing.
        }
        self.0.find(hash(name), |(known, _)| same(known, name)).map(|(_, numbers)| &**numbers)
    }

    /// How many numbers stand under the name that has most.
    pub(crate) fn longest(&self) -> usize {
        self.0.iter().map(|(_, numbers)| numbers.len()).max().unwrap_or_default()
    }

    pub(crate) fn push(&mut self, name: &str, number: usize) {
        match self.0.entry(hash(name), |(known, _)| same(known, name), |(known, _)| hash(known)) {
            Entry::Occupied(known) => known.into_mut().1.push(number),
            Entry::Vacant(free) => drop(free.insert((name.to_owned(), Vec::from([number])))),
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
