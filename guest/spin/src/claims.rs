//! Once per target: what was delivered, and what is being delivered, in a key-value store that every instance shares.
//!
//! The only atomic step that Spin's stores have in common is `increment` (its compare-and-swap reports failure on Redis
//! although it wrote), so a claim is a counter that went from nothing to 1. Three kinds of key, all under `hookgate:`:
//!
//! - `claim:<slot>:<id>` counts who wants to deliver the event. It is deleted when the delivery is done or given up.
//!   Time is cut into slots of [`LEASE_S`], and a claim of this or the last slot holds; so an instance that died
//!   without a word blocks its events for one to two leases, and then Kapso's next try goes through.
//! - `done:<id>` says until when the event counts as delivered.
//! - `place:<n>` is a ring of the policy's `max_keys` places, in which every claim writes its name before it starts.
//!   Each delivery clears some of the oldest places that are over, and whatever stands where it must write. Nothing else in
//!   the store has to be found again, so nothing is left behind and the store never grows beyond the ring.
//!
//! What this promises, on a store whose `increment` is atomic and whose reads see finished writes: two deliveries of an
//! event never reach the same target while one holds the claim or within `window_s` after it was taken, as long as the
//! clocks of the instances agree to within a moment. A delivery that takes longer than a lease would lose its claim;
//! all of them end well before. When the store fails after a target took an event, the event is forgotten and may be
//! sent again.

use std::collections::BTreeMap;

use hookgate_core::Dedupe;
use sha2::{Digest, Sha256};

/// For how many seconds a claim holds at the least, and half of how long it holds at the most.
const LEASE_S: u64 = 15;

const TAIL: &str = "hookgate:tail";
const HEAD: &str = "hookgate:head";

/// What a key-value store has to do.
pub(crate) trait Keys {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    fn exists(&self, key: &str) -> Result<bool, StoreError>;
    /// Adds to a counter, which starts from 0, and says what it then is. Atomic.
    fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError>;
    fn set(&self, values: &[(String, Vec<u8>)]) -> Result<(), StoreError>;
    fn delete(&self, keys: &[String]) -> Result<(), StoreError>;
}

/// Why the store cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreError(pub(crate) &'static str);

/// An event at a target, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(String);

impl Id {
    /// Hashed, so that the store holds no phone number or message id, and no key is too long for any store.
    pub(crate) fn new(target: &str, item_key: &str) -> Self {
        let digest = Sha256::new().chain_update(target).chain_update([0]).chain_update(item_key).finalize();
        Id(hex::encode(digest.get(..16).unwrap_or(&digest)))
    }
}

/// What a claim found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// This delivery may send the event, and nobody else until `finish`.
    Ours,
    /// Another delivery is sending it.
    InFlight,
    /// It was delivered.
    Duplicate,
}

/// How many places whose time is over a delivery clears at the most.
const TIDIED: u64 = 16;

/// The claims of one delivery.
pub(crate) struct Claims<S> {
    store: S,
    dedupe: Dedupe,
    /// Unix seconds.
    clock: fn() -> u64,
    late: Box<dyn Fn() -> bool>,
    ours: BTreeMap<Id, Claim>,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    slot: u64,
    place: u64,
}

impl<S: Keys> Claims<S> {
    pub(crate) fn new(store: S, dedupe: Dedupe, clock: fn() -> u64) -> Self {
        Claims { store, dedupe, clock, late: Box::new(|| false), ours: BTreeMap::new() }
    }

    /// Claims nothing more as soon as `late` says so. The rest counts as in flight, so that the sender comes again, and finds
    /// delivered what there was time for.
    pub(crate) fn until(self, late: impl Fn() -> bool + 'static) -> Self {
        Claims { late: Box::new(late), ..self }
    }

    /// Claims events, each named once; says what it found, in the same order. After an error, `finish` gives back what was
    /// claimed until then.
    pub(crate) fn begin(&mut self, ids: &[Id]) -> Result<Vec<Found>, StoreError> {
        let looked = ids.iter().map(|id| if (self.late)() { Ok(None) } else { self.is_done(id).map(Some) });
        let done = looked.collect::<Result<Vec<_>, _>>()?;
        let new: Vec<&Id> = ids.iter().zip(&done).filter(|(_, done)| **done == Some(false)).map(|(id, _)| id).collect();
        let mut places = if (self.late)() { Vec::new() } else { self.reserve(&new)? }.into_iter();
        let found = ids.iter().zip(done).map(|(id, done)| match done {
            Some(true) => Ok(Found::Duplicate),
            Some(false) if !(self.late)() => places.next().map_or(Ok(Found::InFlight), |place| self.take(id, place)),
            _ => Ok(Found::InFlight),
        });
        found.collect()
    }

    /// Remembers these events as delivered and gives up the claims on all others.
    pub(crate) fn finish(&mut self, delivered: &[Id]) -> Result<(), StoreError> {
        let ours = std::mem::take(&mut self.ours);
        if ours.is_empty() {
            return Ok(());
        }
        let until = self.now().saturating_add(u64::from(self.dedupe.window_s));
        let tail = if delivered.is_empty() { 0 } else { number(self.store.increment(TAIL, 0)?) };
        // A place that others have overwritten meanwhile could not be found again to be cleared: over capacity means
        // forgotten.
        let kept = |place: u64| tail <= place.saturating_add(self.capacity());
        let done: Vec<(String, Vec<u8>)> = delivered
            .iter()
            .filter_map(|id| ours.get_key_value(id))
            .filter(|(_, claim)| kept(claim.place))
            .map(|(id, claim)| (done_key(id), Done { until, place: claim.place }.write()))
            .collect();
        if !done.is_empty() {
            self.store.set(&done)?;
        }
        self.store.delete(&ours.iter().map(|(id, claim)| claim_key(claim.slot, id)).collect::<Vec<_>>())
    }

    fn take(&mut self, id: &Id, place: u64) -> Result<Found, StoreError> {
        let slot = slot(self.now());
        if self.store.exists(&claim_key(slot.saturating_sub(1), id))? {
            return Ok(Found::InFlight);
        }
        if self.store.increment(&claim_key(slot, id), 1)? != 1 {
            return Ok(Found::InFlight);
        }
        self.ours.insert(id.clone(), Claim { slot, place });
        // Whoever held the claim before wrote down that it is done before giving the claim back, so now it can be seen.
        // And whoever comes in the next slot looks for claims of this one, so a claim that came too late for that does
        // not count.
        let found = if self.is_done(id)? {
            Found::Duplicate
        } else if self::slot(self.now()) != slot {
            Found::InFlight
        } else {
            return Ok(Found::Ours);
        };
        self.ours.remove(id);
        self.store.delete(&[claim_key(slot, id)])?;
        Ok(found)
    }

    /// Writes the events into the ring, and says where.
    fn reserve(&self, ids: &[&Id]) -> Result<Vec<u64>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        let end = number(self.store.increment(TAIL, i64::try_from(count).unwrap_or(i64::MAX))?);
        let first = end.saturating_sub(count);
        let head = self.clear(first, end)?;
        let slot = slot(self.now());
        let mut entries = vec![(HEAD.to_owned(), head.to_string().into_bytes())];
        for (id, place) in ids.iter().zip(first..end) {
            entries.push((self.place_key(place), Entry { place, slot, id: (*id).clone() }.write()));
        }
        self.store.set(&entries)?;
        Ok((first..end).collect())
    }

    /// Clears the oldest places: those that `first..end` will overwrite, and of the others, as long as their time is over, up to two
    /// for each new one and [`TIDIED`] in all: that takes of the time for claiming. A place that is passed over because its owner is
    /// just about to write it is overwritten in time. Gives the oldest place that is left.
    fn clear(&self, first: u64, end: u64) -> Result<u64, StoreError> {
        let oldest = first.saturating_sub(self.capacity());
        let overwritten = end.saturating_sub(self.capacity());
        let enough = end.saturating_sub(first).saturating_mul(2).min(TIDIED);
        let stored = self.store.get(HEAD)?.as_deref().and_then(text).and_then(|head| head.parse().ok());
        let start: u64 = oldest.max(stored.unwrap_or(0));
        let mut head = start;
        let mut doomed = Vec::new();
        while head < first && (head < overwritten || head < start.saturating_add(enough)) {
            match self.rest_of(head)? {
                Rest::Needed(_) if head >= overwritten => break,
                Rest::Needed(keys) | Rest::Over(keys) => doomed.extend(keys),
            }
            head = head.saturating_add(1);
        }
        if !doomed.is_empty() {
            self.store.delete(&doomed)?;
        }
        Ok(head)
    }

    /// What the claim at this place has left in the store.
    fn rest_of(&self, place: u64) -> Result<Rest, StoreError> {
        let cell = self.place_key(place);
        let entry = self.store.get(&cell)?.as_deref().and_then(Entry::read);
        let Some(entry) = entry.filter(|entry| entry.place == place) else { return Ok(Rest::Over(Vec::new())) };
        let now = self.now();
        if let Some(done) = self.done(&entry.id)?.filter(|done| done.place == place) {
            let keys = vec![done_key(&entry.id), cell];
            return Ok(if done.until > now { Rest::Needed(keys) } else { Rest::Over(keys) });
        }
        // The claim was made in the entry's slot or, if the store was slow, in the next.
        if entry.slot.saturating_add(2) >= slot(now) {
            return Ok(Rest::Needed(vec![cell]));
        }
        let next = claim_key(entry.slot.saturating_add(1), &entry.id);
        Ok(Rest::Over(vec![claim_key(entry.slot, &entry.id), next, cell]))
    }

    fn is_done(&self, id: &Id) -> Result<bool, StoreError> {
        Ok(self.done(id)?.is_some_and(|done| done.until > self.now()))
    }

    fn done(&self, id: &Id) -> Result<Option<Done>, StoreError> {
        Ok(self.store.get(&done_key(id))?.as_deref().and_then(Done::read))
    }

    fn place_key(&self, place: u64) -> String {
        format!("hookgate:place:{}", place.checked_rem(self.capacity()).unwrap_or(0))
    }

    fn capacity(&self) -> u64 {
        u64::from(self.dedupe.max_keys.max(1))
    }

    fn now(&self) -> u64 {
        (self.clock)()
    }
}

/// What a claim has left in the store, and whether it is still needed.
enum Rest {
    Needed(Vec<String>),
    Over(Vec<String>),
}

/// The value of a `done` key.
struct Done {
    until: u64,
    place: u64,
}

impl Done {
    fn write(&self) -> Vec<u8> {
        format!("{} {}", self.until, self.place).into_bytes()
    }

    fn read(value: &[u8]) -> Option<Self> {
        let (until, place) = text(value)?.split_once(' ')?;
        Some(Done { until: until.parse().ok()?, place: place.parse().ok()? })
    }
}

/// The value of a `place` key.
struct Entry {
    place: u64,
    slot: u64,
    id: Id,
}

impl Entry {
    fn write(&self) -> Vec<u8> {
        format!("{} {} {}", self.place, self.slot, self.id.0).into_bytes()
    }

    fn read(value: &[u8]) -> Option<Self> {
        let mut fields = text(value)?.splitn(3, ' ');
        let place = fields.next()?.parse().ok()?;
        let slot = fields.next()?.parse().ok()?;
        Some(Entry { place, slot, id: Id(fields.next()?.to_owned()) })
    }
}

fn claim_key(slot: u64, id: &Id) -> String {
    format!("hookgate:claim:{slot}:{}", id.0)
}

fn done_key(id: &Id) -> String {
    format!("hookgate:done:{}", id.0)
}

fn slot(now: u64) -> u64 {
    now.checked_div(LEASE_S).unwrap_or(0)
}

fn number(counter: i64) -> u64 {
    u64::try_from(counter).unwrap_or(0)
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests;
