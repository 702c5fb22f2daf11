//! Who writes to whom: phone numbers, conversations, and messages that have statuses to come. Bounded however much is composed.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::tz;

use super::words;
use crate::send::dice::{Dice, Purpose};

/// The id of the first phone number; the others count on from it.
const FIRST_NUMBER: u64 = 100_000_000_000_001;
/// Numbers that customers connect and remove, and that send no messages here.
const FIRST_CONNECTED: u64 = 900_000_000_000_001;
/// The WhatsApp business account of all numbers.
pub(crate) const ACCOUNT: &str = "102290129340398";
/// How many sent messages wait for statuses at a time.
const REMEMBERED: usize = 64;

/// The id of a phone number, counted from 0.
pub(crate) fn phone_number_id(number: u32) -> String {
    (FIRST_NUMBER + u64::from(number)).to_string()
}

/// All that composing remembers.
pub(crate) struct World {
    seed: u64,
    start: u64,
    numbers: u32,
    conversations: Vec<Conversation>,
    sent: VecDeque<Sent>,
    items: u64,
    messages: u64,
}

/// A conversation of a customer with one of the numbers.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    pub(crate) index: u32,
    /// The number, counted from 0.
    pub(crate) number: u32,
    pub(crate) id: String,
    /// Digits.
    pub(crate) customer: String,
    pub(crate) person: (&'static str, &'static str, &'static str),
    /// Whether Kapso knows the customer's business-scoped id.
    pub(crate) scoped_id: Option<String>,
    /// How many messages it has had.
    pub(crate) messages: u64,
}

/// A message of the business whose statuses are still to come.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) conversation: u32,
    pub(crate) text: String,
    told: Vec<&'static str>,
}

impl World {
    pub(crate) fn new(seed: u64, start: u64, numbers: u32, conversations: u32) -> Self {
        let numbers = numbers.max(1);
        let conversations = (0..conversations.max(1)).map(|index| Conversation::new(seed, index, index % numbers));
        Self {
            seed,
            start,
            numbers,
            conversations: conversations.collect(),
            sent: VecDeque::new(),
            items: 0,
            messages: 0,
        }
    }

    /// The id of the next item, which no other item of any run with another seed has.
    pub(crate) fn item(&mut self) -> String {
        self.items += 1;
        let Self { seed, items, .. } = self;
        format!("{:08x}-5eed-8{:03x}-8{:03x}-{items:012x}", *seed as u32, (*seed >> 32) & 0xfff, *seed >> 52)
    }

    /// The id of the next WhatsApp message.
    pub(crate) fn wamid(&mut self) -> String {
        self.messages += 1;
        format!("wamid.HBgL{:016X}FQIAERgS{:010X}AA==", self.seed, self.messages)
    }

    /// Now, in Unix seconds: a thousand items to the second.
    pub(crate) fn now(&self) -> u64 {
        self.start + self.items / 1000
    }

    /// Any number, counted from 0.
    pub(crate) fn any_number(&self, dice: &mut Dice) -> u32 {
        dice.below(self.numbers)
    }

    /// The id of a number that has just been connected, or is being removed.
    pub(crate) fn connected_number(&self, dice: &mut Dice) -> String {
        (FIRST_CONNECTED + u64::from(dice.below(1000))).to_string()
    }

    /// Any conversation, as it is now.
    pub(crate) fn any_conversation(&self, dice: &mut Dice) -> Conversation {
        self.conversation(dice.below(u32::try_from(self.conversations.len()).unwrap_or(u32::MAX)))
    }

    /// This conversation, as it is now.
    pub(crate) fn conversation(&self, index: u32) -> Conversation {
        self.conversations[index as usize].clone()
    }

    /// Counts one more message of a conversation and says how many it has now had.
    pub(crate) fn spoken(&mut self, index: u32) -> u64 {
        let conversation = &mut self.conversations[index as usize];
        conversation.messages += 1;
        conversation.messages
    }

    /// Remembers a message of the business that was `told` so far: its statuses come later.
    pub(crate) fn sent(&mut self, id: String, conversation: u32, text: String, told: Vec<&'static str>) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { id, conversation, text, told });
    }

    /// A message to tell this status of, which was not told of it before, with the statuses that were.
    pub(crate) fn told(&mut self, status: &'static str, dice: &mut Dice) -> (Sent, Vec<&'static str>) {
        let open: Vec<_> = (0..self.sent.len()).filter(|at| self.sent[*at].lacks(status)).collect();
        let at = if open.is_empty() || dice.is(1, 10) {
            // Its `sent` never came, or comes later.
            let conversation = self.any_conversation(dice).index;
            let id = self.wamid();
            self.sent(id, conversation, dice.pick(&words::TEXTS).to_owned(), Vec::new());
            self.sent.len() - 1
        } else {
            dice.pick(&open)
        };
        let sent = &mut self.sent[at];
        let before = sent.told.clone();
        sent.told.push(status);
        (sent.clone(), before)
    }
}

impl Sent {
    /// Nothing comes after `read` or `failed`.
    fn lacks(&self, status: &'static str) -> bool {
        !self.told.iter().any(|told| *told == status || matches!(*told, "read" | "failed"))
    }
}

impl Conversation {
    fn new(seed: u64, index: u32, number: u32) -> Self {
        let mut dice = Dice::new(seed, index.into(), Purpose::Conversation);
        Self {
            index,
            number,
            id: dice.uuid(),
            customer: format!("1{}", dice.digits(10)),
            person: dice.pick(&words::PEOPLE),
            scoped_id: dice.is(1, 3).then(|| format!("US.{}", dice.digits(15))),
            messages: 0,
        }
    }

    pub(crate) fn phone_number_id(&self) -> String {
        phone_number_id(self.number)
    }

    /// The customer's number in one of the spellings that have been seen.
    pub(crate) fn spelt(&self) -> String {
        match self.index % 4 {
            0 => format!("+{}", self.customer),
            1 => format!("+1 ({}) {}-{}", &self.customer[1..4], &self.customer[4..7], &self.customer[7..]),
            _ => self.customer.clone(),
        }
    }
}

/// `2026-09-14T14:25:01Z`
pub(crate) fn utc(seconds: u64) -> String {
    timestamp(seconds).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-09-14T14:25:01.000000Z`
pub(crate) fn utc_fraction(seconds: u64) -> String {
    timestamp(seconds).strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string()
}

/// `2026-09-14T11:25:01-03:00`
pub(crate) fn local(seconds: u64) -> String {
    timestamp(seconds).display_with_offset(tz::offset(-3)).to_string()
}

fn timestamp(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn three_forms_of_time_stand_in_one_body() {
        assert_eq!(utc(1_789_395_901), "2026-09-14T14:25:01Z");
        assert_eq!(utc_fraction(1_789_395_901), "2026-09-14T14:25:01.000000Z");
        assert_eq!(local(1_789_395_901), "2026-09-14T11:25:01-03:00");
    }

    #[test]
    fn no_two_items_share_an_id() {
        let mut seen = HashSet::new();
        for seed in [0, 1, 1 << 32, 1 << 52, u64::MAX] {
            let mut world = World::new(seed, 0, 1, 1);
            assert!((0..100).all(|_| seen.insert(world.item())), "{seed}");
        }
        assert!(seen.iter().all(|id| uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 8)));
    }

    #[test]
    fn a_message_is_told_each_status_once_and_nothing_after_the_last() {
        let mut world = World::new(1, 0, 2, 5);
        let mut told = HashSet::new();
        for number in 0..5_000 {
            let mut dice = Dice::new(1, number, Purpose::Compose);
            let status = dice.pick(&["sent", "delivered", "read", "failed"]);
            let (sent, before) = world.told(status, &mut dice);
            assert!(told.insert((sent.id, status)));
            assert!(!before.contains(&"read") && !before.contains(&"failed"), "{before:?}");
            assert!(world.sent.len() <= REMEMBERED);
        }
    }
}
