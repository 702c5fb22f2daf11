use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use hookgate_core::Dedupe;
use proptest::prelude::*;

use super::*;

const DEDUPE: Dedupe = Dedupe { window_s: 900, max_keys: 1000 };

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_000_000) };
}

fn now() -> u64 {
    NOW.get()
}

fn pass(seconds: u64) {
    NOW.set(now() + seconds);
}

/// A store that everybody in a test shares.
#[derive(Default)]
struct Shared {
    values: RefCell<BTreeMap<String, Vec<u8>>>,
    counters: RefCell<BTreeMap<String, i64>>,
    /// How many values were asked for.
    looks: Cell<usize>,
}

impl Shared {
    fn keys(&self) -> Vec<String> {
        self.values.borrow().keys().chain(self.counters.borrow().keys()).cloned().collect()
    }

    fn claims(&self, dedupe: Dedupe) -> Claims<&Self> {
        Claims::new(self, dedupe, now)
    }
}

impl Keys for &Shared {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.looks.set(self.looks.get() + 1);
        assert!(!self.counters.borrow().contains_key(key), "how a counter is stored differs between stores");
        Ok(self.values.borrow().get(key).cloned())
    }

    fn exists(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.values.borrow().contains_key(key) || self.counters.borrow().contains_key(key))
    }

    fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError> {
        assert!(!self.values.borrow().contains_key(key), "Spin panics when a value is not a counter");
        let mut counters = self.counters.borrow_mut();
        let counter = counters.entry(key.to_owned()).or_default();
        *counter += delta;
        Ok(*counter)
    }

    fn set(&self, values: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        assert!(values.iter().all(|(key, _)| !self.counters.borrow().contains_key(key)));
        self.values.borrow_mut().extend(values.iter().cloned());
        Ok(())
    }

    fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        assert!(!keys.is_empty(), "Redis refuses DEL without a key");
        for key in keys {
            self.values.borrow_mut().remove(key);
            self.counters.borrow_mut().remove(key);
        }
        Ok(())
    }
}

fn ids(range: std::ops::Range<u32>) -> Vec<Id> {
    range.map(|number| Id::new("bot", &number.to_string())).collect()
}

#[test]
fn a_claim_is_held_then_done_then_over() {
    let store = Shared::default();
    let one = ids(0..1);
    let mut first = store.claims(DEDUPE);
    assert_eq!(first.begin(&one), Ok(vec![Found::Ours]));
    assert_eq!(store.claims(DEDUPE).begin(&one), Ok(vec![Found::InFlight]));
    assert_eq!(first.finish(&one), Ok(()));
    assert_eq!(store.claims(DEDUPE).begin(&one), Ok(vec![Found::Duplicate]));
    pass(u64::from(DEDUPE.window_s) - 1);
    assert_eq!(store.claims(DEDUPE).begin(&one), Ok(vec![Found::Duplicate]));
    pass(1);
    assert_eq!(store.claims(DEDUPE).begin(&one), Ok(vec![Found::Ours]));
}

#[test]
fn what_there_was_no_time_for_is_claimed_the_next_time() {
    let store = Shared::default();
    let all = ids(0..4);
    // For a look at each, for a place in the ring, and for one claim.
    let left = Cell::new(6_u32);
    let mut hurried = store.claims(DEDUPE).until(move || left.replace(left.get().saturating_sub(1)) == 0);
    let expected = vec![Found::Ours, Found::InFlight, Found::InFlight, Found::InFlight];
    assert_eq!(hurried.begin(&all), Ok(expected));
    assert_eq!(hurried.finish(&all[..1]), Ok(()));
    let expected = vec![Found::Duplicate, Found::Ours, Found::Ours, Found::Ours];
    assert_eq!(store.claims(DEDUPE).begin(&all), Ok(expected));
}

#[test]
fn clearing_takes_little_of_the_time_for_claiming() {
    let store = Shared::default();
    for _ in 0..2 {
        let hundred = ids(0..100);
        let before = store.looks.get();
        let mut claims = store.claims(DEDUPE);
        assert_eq!(claims.begin(&hundred), Ok(vec![Found::Ours; 100]));
        // At each before and after its claim, at the head, and twice at each place that is cleared.
        let looks = store.looks.get() - before;
        assert!(looks <= 100 + 100 + 1 + 2 * 17, "{looks}");
        assert_eq!(claims.finish(&hundred), Ok(()));
        pass(u64::from(DEDUPE.window_s) + 3 * LEASE_S);
    }
}

#[test]
fn what_was_not_delivered_is_free_at_once() {
    let store = Shared::default();
    let both = ids(0..2);
    let mut first = store.claims(DEDUPE);
    assert_eq!(first.begin(&both), Ok(vec![Found::Ours, Found::Ours]));
    assert_eq!(first.finish(&both[..1]), Ok(()));
    assert_eq!(store.claims(DEDUPE).begin(&both), Ok(vec![Found::Duplicate, Found::Ours]));
}

#[test]
fn what_a_dead_instance_held_is_free_after_one_to_two_leases() {
    for late in 0..LEASE_S {
        let store = Shared::default();
        let one = ids(0..1);
        NOW.set(LEASE_S * 1000 + late);
        assert_eq!(store.claims(DEDUPE).begin(&one), Ok(vec![Found::Ours]));
        let mut waited = 0;
        while store.claims(DEDUPE).begin(&one) == Ok(vec![Found::InFlight]) {
            pass(1);
            waited += 1;
        }
        assert!((LEASE_S + 1..=2 * LEASE_S).contains(&waited), "{waited}");
    }
}

#[test]
fn time_clears_the_store() {
    let store = Shared::default();
    for number in 0..200 {
        let mut claims = store.claims(DEDUPE);
        let one = ids(number..number + 1);
        claims.begin(&one).unwrap();
        // Delivered, failed, or never heard of again.
        match number % 3 {
            0 => claims.finish(&one).unwrap(),
            1 => claims.finish(&[]).unwrap(),
            _ => {}
        }
        pass(1);
    }
    pass(u64::from(DEDUPE.window_s));
    // Two old places go for each new one.
    for number in 1000..1101 {
        let one = ids(number..number + 1);
        let mut claims = store.claims(DEDUPE);
        claims.begin(&one).unwrap();
        claims.finish(&one).unwrap();
    }
    // The new ones' places and what was done, the two counters of places.
    assert_eq!(store.keys().len(), 2 * 101 + 2, "{:?}", store.keys());
}

#[test]
fn capacity_bounds_the_store_whatever_comes() {
    let dedupe = Dedupe { window_s: 900, max_keys: 10 };
    let store = Shared::default();
    let mut number = 0;
    for round in 0..100 {
        // Batches of one to 30, which is more than there is room for.
        let batch = ids(number..number + 1 + round % 30);
        number += 30;
        let mut claims = store.claims(dedupe);
        assert!(claims.begin(&batch).unwrap().iter().all(|found| *found == Found::Ours));
        claims.finish(&batch).unwrap();
        assert!(store.keys().len() <= 2 * 10 + 2, "{:?}", store.keys());
    }
}

#[test]
fn what_was_forgotten_for_want_of_room_is_the_oldest() {
    let dedupe = Dedupe { window_s: 900, max_keys: 10 };
    let store = Shared::default();
    for number in 0..15 {
        let one = ids(number..number + 1);
        let mut claims = store.claims(dedupe);
        claims.begin(&one).unwrap();
        claims.finish(&one).unwrap();
    }
    let found = store.claims(dedupe).begin(&ids(5..15)).unwrap();
    assert!(found.iter().all(|found| *found == Found::Duplicate), "{found:?}");
    assert_eq!(store.claims(dedupe).begin(&ids(4..5)), Ok(vec![Found::Ours]));
}

#[test]
fn a_name_says_nothing_and_fits_every_store() {
    let id = Id::new("bot", "123456789012345:wamid.A1:received");
    assert_eq!(id.0.len(), 32);
    assert!(id.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(id, Id::new("crm", "123456789012345:wamid.A1:received"));
    assert_ne!(Id::new("a", "bc"), Id::new("ab", "c"));
}

/// What one delivery asks of the store, step by step: whoever holds the store answers when it is this one's turn.
enum Step {
    Get(String, Sender<Option<Vec<u8>>>),
    Exists(String, Sender<bool>),
    Increment(String, i64, Sender<i64>),
    Set(Vec<(String, Vec<u8>)>, Sender<()>),
    Delete(Vec<String>, Sender<()>),
    Send,
}

struct Remote(Sender<Step>);

impl Remote {
    fn ask<T>(&self, step: impl FnOnce(Sender<T>) -> Step) -> T {
        let (answer, answered) = channel();
        self.0.send(step(answer)).unwrap();
        answered.recv().unwrap()
    }
}

impl Keys for Remote {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.ask(|answer| Step::Get(key.to_owned(), answer)))
    }

    fn exists(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.ask(|answer| Step::Exists(key.to_owned(), answer)))
    }

    fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError> {
        Ok(self.ask(|answer| Step::Increment(key.to_owned(), delta, answer)))
    }

    fn set(&self, values: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        self.ask(|answer| Step::Set(values.to_vec(), answer));
        Ok(())
    }

    fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.ask(|answer| Step::Delete(keys.to_vec(), answer));
        Ok(())
    }
}

/// The clock of deliveries that run on threads of their own.
static ELSEWHERE: AtomicU64 = AtomicU64::new(0);

fn elsewhere() -> u64 {
    ELSEWHERE.load(Ordering::SeqCst)
}

/// A delivery of one event on its way: the steps that it takes one after the other. `fails` says that its target
/// refuses.
fn delivery(fails: bool) -> Receiver<Step> {
    let (steps, asked) = channel();
    thread::spawn(move || {
        let one = ids(0..1);
        let sending = steps.clone();
        let mut claims = Claims::new(Remote(steps), DEDUPE, elsewhere);
        if claims.begin(&one).unwrap() == [Found::Ours] {
            sending.send(Step::Send).unwrap();
            claims.finish(if fails { &[] } else { &one }).unwrap();
        }
    });
    asked
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Deliveries of one event at once, their steps in any order, each over within a lease: never are two sent at the
    /// same time, and none after one was taken.
    #[test]
    fn in_any_interleaving_the_target_takes_an_event_once(
        order in prop::collection::vec(0_usize..4, 0..80),
        fails in prop::array::uniform3(any::<bool>()),
        start in 0..LEASE_S,
    ) {
        const A_SECOND_PASSES: usize = 3;
        ELSEWHERE.store(LEASE_S * 1000 + start, Ordering::SeqCst);
        let store = Shared::default();
        let store = &store;
        let mut running: Vec<(Receiver<Step>, bool)> = fails.iter().map(|fails| (delivery(*fails), *fails)).collect();
        let mut taken = 0;
        let mut sending = [false; 3];
        // After the drawn order, everybody in turn until all have ended.
        let mut turns = order.into_iter().chain((0..3).cycle());
        let mut ended = [false; 3];
        while !ended.iter().all(|ended| *ended) {
            let turn = turns.next().unwrap();
            if turn == A_SECOND_PASSES {
                if elsewhere() < LEASE_S * 1001 + start - 1 {
                    ELSEWHERE.fetch_add(1, Ordering::SeqCst);
                }
                continue;
            }
            let (steps, fails) = &mut running[turn];
            let Ok(step) = steps.recv() else {
                ended[turn] = true;
                sending[turn] = false;
                continue;
            };
            match step {
                Step::Get(key, answer) => answer.send(store.get(&key).unwrap()).unwrap(),
                Step::Exists(key, answer) => answer.send(store.exists(&key).unwrap()).unwrap(),
                Step::Increment(key, delta, answer) => answer.send(store.increment(&key, delta).unwrap()).unwrap(),
                Step::Set(values, answer) => {
                    store.set(&values).unwrap();
                    answer.send(()).unwrap();
                }
                Step::Delete(keys, answer) => {
                    // Giving the claim back is the last that a delivery does.
                    store.delete(&keys).unwrap();
                    sending[turn] = false;
                    answer.send(()).unwrap();
                }
                Step::Send => {
                    prop_assert!(!sending.iter().any(|sending| *sending), "two at once");
                    sending[turn] = true;
                    prop_assert_eq!(taken, 0, "sent after it was taken");
                    taken += usize::from(!*fails);
                }
            }
        }
    }
}
