//! Once per target: which events were delivered and which are on their way, in the memory that Envoy's workers share.
//!
//! That memory has no put-if-absent, no expiry and no delete, but a compare-and-set; so the keys are a fixed number of buckets,
//! each a short list of entries that carry their own expiry. Every change reads a bucket, changes it, and sets it only if nobody
//! has set it since; whoever lost begins anew. A bucket that is not there yet is set with a number that cannot match: Envoy
//! takes it if the key is still absent, and reports a mismatch if another worker was first.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use bytemuck::{Pod, Zeroable};
use sha2::{Digest, Sha256};

use crate::host::{self, Fault, Result};

/// Entries in a bucket, but for those of events on their way, which are never forgotten for room. More of them fill the table more
/// evenly and cost more to read.
const WAYS: usize = 16;

/// Never the number of a value that Envoy has: it counts up from 1, one for each change.
const NEVER: u32 = u32::MAX;

/// How often a change is tried anew when other workers keep changing the same bucket.
const TRIES: usize = 64;

/// How long an event may be on its way, in seconds. Longer than any answer takes; a claim of a worker that died is free then.
const LEASE_S: u32 = 15;

/// The first bytes of a SHA-256: enough that no two keys share them. Numbers, because to compare bytes WebAssembly calls a
/// function that goes through them one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Print(u64, u64);

/// A value that all workers share.
pub(crate) trait Shared {
    /// The value and the number that changes with it.
    fn get(&self, key: &[u8]) -> Result<Option<(Vec<u8>, u32)>>;
    /// Sets it if its number is still `cas`, or it is absent; says whether that was so.
    fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<bool>;
}

/// Envoy's shared data.
pub(crate) struct Envoy;

impl Shared for Envoy {
    fn get(&self, key: &[u8]) -> Result<Option<(Vec<u8>, u32)>> {
        host::shared(key)
    }

    fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<bool> {
        host::set_shared(key, value, cas)
    }
}

/// The keys of what was delivered within the window, a bounded number of them.
pub(crate) struct Table<S> {
    shared: S,
    buckets: NonZeroU32,
    window_s: u32,
}

/// What a key's state is for whoever wants to deliver it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// Nobody has it: deliver, then `commit` or `release`.
    Free(Claim),
    /// It was delivered.
    Duplicate,
    /// Somebody else is delivering it.
    InFlight,
}

/// The right to deliver an event to a target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    print: Print,
    /// The delivery that made it: tells a claim from a later one, made when this one had expired. Never 0.
    owner: u32,
}

impl<S: Shared> Table<S> {
    /// A table for `max_keys` keys, rounded up to whole buckets, that remembers each for `window_s` seconds.
    pub(crate) fn new(shared: S, max_keys: u32, window_s: u32) -> Self {
        let buckets = NonZeroU32::new(max_keys.div_ceil(WAYS as u32)).unwrap_or(NonZeroU32::MIN);
        Self { shared, buckets, window_s }
    }

    /// Asks for the right to deliver `item` to `target`. `now` is in Unix seconds; `owner` differs from delivery to
    /// delivery.
    pub(crate) fn claim(&self, target: &str, item: &str, now: u32, owner: u32) -> Result<Claimed> {
        let claim = Claim { print: print(target, item), owner: owner.max(1) };
        let mut taken = None;
        let settled = self.change(&claim.print, now, &mut |bucket| {
            taken = match bucket.find(&claim.print) {
                Some(Entry { owner: DELIVERED, .. }) => Some(Claimed::Duplicate),
                Some(_) => Some(Claimed::InFlight),
                None => None,
            };
            if taken.is_none() {
                bucket.add(Entry { print: claim.print, expires: now.saturating_add(LEASE_S), owner: claim.owner });
            }
            taken.is_none()
        })?;
        Ok(taken.unwrap_or(if settled { Claimed::Free(claim) } else { Claimed::InFlight }))
    }

    /// The target took it.
    pub(crate) fn commit(&self, claim: &Claim, now: u32) -> Result<()> {
        let delivered = Entry { print: claim.print, expires: now.saturating_add(self.window_s), owner: DELIVERED };
        self.change(&claim.print, now, &mut |bucket| {
            bucket.remove(claim);
            let write = bucket.find(&claim.print).is_none();
            if write {
                bucket.add(delivered);
            }
            write
        })
        .and_then(ended)
    }

    /// The target did not take it: the next delivery of the event may.
    pub(crate) fn release(&self, claim: &Claim, now: u32) -> Result<()> {
        self.change(&claim.print, now, &mut |bucket| bucket.remove(claim)).and_then(ended)
    }

    /// Changes the key's bucket in one step: `change` says whether what it leaves is to be written. Says whether it came to
    /// that: not if other workers were faster every time.
    fn change(&self, print: &Print, now: u32, change: &mut dyn FnMut(&mut Bucket) -> bool) -> Result<bool> {
        let key = self.key(print);
        for _ in 0..TRIES {
            let (bytes, cas) = self.shared.get(&key)?.unwrap_or((Vec::new(), NEVER));
            let mut bucket = Bucket::read(&bytes, now);
            if !change(&mut bucket) || self.shared.set(&key, bucket.bytes(), cas)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The name carries the version of the entries' form: a filter of another version in the same process has its own. The number
    /// is not written out as text, which takes a tenth of a claim's time.
    fn key(&self, print: &Print) -> [u8; 14] {
        let mut key = *b"hookgate.2____";
        let (_, bucket) = key.split_at_mut(10);
        bucket.copy_from_slice(&(print.0 as u32 % self.buckets).to_le_bytes());
        key
    }
}

/// A claim that could not be ended stays as it is until it expires.
fn ended(changed: bool) -> Result<()> {
    if changed { Ok(()) } else { Err(Fault::outrun()) }
}

/// The owner of what was delivered.
const DELIVERED: u32 = 0;

/// As it stands in a bucket.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Entry {
    print: Print,
    /// In Unix seconds.
    expires: u32,
    owner: u32,
}

/// The entries of a bucket that have not expired.
struct Bucket(Vec<Entry>);

impl Bucket {
    fn read(bytes: &[u8], now: u32) -> Self {
        let mut entries = Vec::with_capacity(WAYS);
        let whole = bytes.chunks_exact(size_of::<Entry>()).map(bytemuck::pod_read_unaligned);
        entries.extend(whole.filter(|entry: &Entry| entry.expires > now));
        Self(entries)
    }

    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }

    fn find(&self, print: &Print) -> Option<Entry> {
        self.0.iter().find(|entry| entry.print == *print).copied()
    }

    fn remove(&mut self, claim: &Claim) -> bool {
        let before = self.0.len();
        self.0.retain(|entry| (entry.print, entry.owner) != (claim.print, claim.owner));
        self.0.len() < before
    }

    /// Adds an entry, and forgets the oldest deliveries if need be.
    fn add(&mut self, entry: Entry) {
        while self.0.len() >= WAYS {
            let delivered = self.0.iter().enumerate().filter(|(_, entry)| entry.owner == DELIVERED);
            let Some((oldest, _)) = delivered.min_by_key(|(_, entry)| entry.expires) else { break };
            self.0.swap_remove(oldest);
        }
        self.0.push(entry);
    }
}

fn print(target: &str, item: &str) -> Print {
    let mut hash = Sha256::new();
    hash.update(target.len().to_le_bytes());
    hash.update(target);
    hash.update(item);
    let [first, second, ..]: [u64; 4] = bytemuck::cast(<[u8; 32]>::from(hash.finalize()));
    Print(first, second)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A value and its version, by key.
    type Cells = HashMap<Vec<u8>, (Vec<u8>, u32)>;

    /// Shared data as proxy-wasm-cpp-host has it.
    #[derive(Default)]
    struct Memory {
        values: Mutex<(Cells, u32)>,
        mismatches: AtomicUsize,
    }

    impl Shared for &Memory {
        fn get(&self, key: &[u8]) -> Result<Option<(Vec<u8>, u32)>> {
            let value = self.values.lock().unwrap().0.get(key).cloned();
            // Between reading and writing is where another worker gets in between.
            std::thread::yield_now();
            Ok(value)
        }

        fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<bool> {
            let mut values = self.values.lock().unwrap();
            if values.0.get(key).is_some_and(|(_, current)| cas != 0 && cas != *current) {
                self.mismatches.fetch_add(1, Ordering::Relaxed);
                return Ok(false);
            }
            values.1 += 1;
            let number = values.1;
            values.0.insert(key.to_vec(), (value.to_vec(), number));
            Ok(true)
        }
    }

    fn free(claimed: Claimed) -> Claim {
        match claimed {
            Claimed::Free(claim) => claim,
            other => panic!("not free but {other:?}"),
        }
    }

    #[test]
    fn a_key_is_free_then_in_flight_then_a_duplicate_until_the_window_ends() {
        let memory = Memory::default();
        let table = Table::new(&memory, 1000, 900);
        let claim = free(table.claim("bot", "a", 100, 1).unwrap());
        assert_eq!(table.claim("bot", "a", 100, 2).unwrap(), Claimed::InFlight);
        free(table.claim("crm", "a", 100, 2).unwrap());
        table.commit(&claim, 101).unwrap();
        assert_eq!(table.claim("bot", "a", 101 + 899, 2).unwrap(), Claimed::Duplicate);
        free(table.claim("bot", "a", 101 + 900, 2).unwrap());
    }

    #[test]
    fn a_released_key_is_free_at_once_and_an_abandoned_one_after_the_lease() {
        let memory = Memory::default();
        let table = Table::new(&memory, 1000, 900);
        let first = free(table.claim("bot", "a", 100, 1).unwrap());
        table.release(&first, 100).unwrap();
        let abandoned = free(table.claim("bot", "a", 100, 2).unwrap());
        assert_eq!(table.claim("bot", "a", 100 + LEASE_S - 1, 3).unwrap(), Claimed::InFlight);
        let second = free(table.claim("bot", "a", 100 + LEASE_S, 3).unwrap());
        table.release(&abandoned, 100 + LEASE_S).unwrap();
        assert_eq!(table.claim("bot", "a", 100 + LEASE_S, 4).unwrap(), Claimed::InFlight, "only its own is released");
        table.commit(&second, 100 + LEASE_S).unwrap();
        assert_eq!(table.claim("bot", "a", 100 + LEASE_S, 4).unwrap(), Claimed::Duplicate);
    }

    #[test]
    fn what_outlived_its_lease_is_still_remembered_as_delivered() {
        let memory = Memory::default();
        let table = Table::new(&memory, 1000, 900);
        let slow = free(table.claim("bot", "a", 100, 1).unwrap());
        table.commit(&slow, 100 + 2 * LEASE_S).unwrap();
        assert_eq!(table.claim("bot", "a", 100 + 2 * LEASE_S, 2).unwrap(), Claimed::Duplicate);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_delivery_goes_first() {
        let memory = Memory::default();
        let table = Table::new(&memory, WAYS as u32, 900);
        for item in 0..10_000u32 {
            let claim = free(table.claim("bot", &item.to_string(), item / 100, 1).unwrap());
            table.commit(&claim, item / 100).unwrap();
        }
        let values = memory.values.lock().unwrap();
        assert_eq!(values.0.len(), 1);
        assert!(values.0.values().all(|(value, _)| value.len() <= WAYS * size_of::<Entry>()));
        drop(values);
        assert_eq!(table.claim("bot", "9999", 99, 1).unwrap(), Claimed::Duplicate);
        free(table.claim("bot", "0", 99, 1).unwrap());
    }

    #[test]
    fn what_is_on_its_way_is_never_forgotten_for_room() {
        let memory = Memory::default();
        let table = Table::new(&memory, WAYS as u32, 900);
        let items: Vec<String> = (0..10 * WAYS).map(|item| item.to_string()).collect();
        let claims: Vec<Claim> = items.iter().map(|item| free(table.claim("bot", item, 100, 1).unwrap())).collect();
        for item in &items {
            assert_eq!(table.claim("bot", item, 100, 2).unwrap(), Claimed::InFlight);
        }
        for claim in &claims {
            table.commit(claim, 100).unwrap();
        }
        let (kept, _) = &memory.values.lock().unwrap().0[&b"hookgate.2\0\0\0\0"[..]];
        assert_eq!(kept.len(), WAYS * size_of::<Entry>());
    }

    #[test]
    fn a_claim_that_cannot_be_ended_is_a_fault() {
        /// Another worker is faster every time.
        struct Contended;

        impl Shared for Contended {
            fn get(&self, _: &[u8]) -> Result<Option<(Vec<u8>, u32)>> {
                Ok(None)
            }

            fn set(&self, _: &[u8], _: &[u8], _: u32) -> Result<bool> {
                Ok(false)
            }
        }

        let table = Table::new(Contended, 1000, 900);
        assert_eq!(table.claim("bot", "a", 100, 1).unwrap(), Claimed::InFlight);
        assert!(table.commit(&Claim { print: print("bot", "a"), owner: 1 }, 100).is_err());
    }

    #[test]
    fn of_racing_workers_exactly_one_wins_each_key() {
        const WORKERS: u32 = 4;
        let memory = Memory::default();
        let start = std::sync::Barrier::new(WORKERS as usize);
        let wins: Vec<AtomicUsize> = (0..2000).map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for worker in 0..WORKERS {
                let (memory, start, wins) = (&memory, &start, &wins);
                scope.spawn(move || {
                    let table = Table::new(memory, 100_000, 900);
                    for (item, wins) in wins.iter().enumerate() {
                        start.wait();
                        if let Claimed::Free(claim) = table.claim("bot", &item.to_string(), 100, worker + 1).unwrap() {
                            wins.fetch_add(1, Ordering::Relaxed);
                            table.commit(&claim, 100).unwrap();
                        }
                    }
                });
            }
        });
        assert!(wins.iter().all(|wins| wins.load(Ordering::Relaxed) == 1));
        assert!(memory.mismatches.load(Ordering::Relaxed) > 0, "nobody raced");
    }
}
