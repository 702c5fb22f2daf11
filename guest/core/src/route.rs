//! Who gets an event: the first rule that matches.

use alloc::boxed::Box;
use alloc::collections::BinaryHeap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::event::{Event, Kind};
use crate::index::{Index, Lists};
use crate::json::same;
use crate::policy;

/// The rules of a policy in their order, indexed so that thousands cost what a few do.
///
/// A rule that asks for exact values stands in the index under each value of one of its fields: the one that it shares with the
/// fewest other rules. So an event meets only rules that ask for something it has, and the few that ask for nothing exact.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// Which rules ask for a value of a field, in their order: by the field's place, where any does.
    indexed: Vec<(usize, Lists)>,
    /// The rules that stand under no value, in their order.
    general: Vec<usize>,
    otherwise: Vec<usize>,
}

/// Which rule decided, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matched<'a> {
    /// The rule's name; none when `otherwise` decided.
    pub(crate) rule: Option<&'a str>,
    /// Indices into the gate's targets; empty when the event is dropped.
    pub(crate) targets: &'a [usize],
}

#[derive(Debug)]
struct Rule {
    name: String,
    when: Conditions,
    unless: Option<Conditions>,
    targets: Vec<usize>,
}

impl Rules {
    pub(crate) fn new(rules: Vec<policy::Rule>, otherwise: Option<policy::Otherwise>) -> Self {
        let rules: Vec<Rule> = rules.into_iter().map(Rule::new).collect();
        let (indexed, general) = index(&rules);
        let otherwise = otherwise.and_then(|otherwise| otherwise.to).map(|targets| targets.0).unwrap_or_default();
        Self { rules, indexed, general, otherwise }
    }

    /// What the first rule says that matches `event`, which came by the source named `source`.
    pub(crate) fn route(&self, event: &Event<'_>, source: Option<&str>) -> Matched<'_> {
        let values = values(event, source);
        let listed = self.indexed.iter().filter_map(|(field, index)| index.get(values.get(*field).copied()??));
        let mut first: Option<(usize, &Rule)> = None;
        for list in listed.chain([self.general.as_slice()]) {
            let before = list.iter().take_while(|id| first.is_none_or(|(first, _)| **id < first));
            let found = before
                .filter_map(|id| self.rules.get(*id).map(|rule| (*id, rule)))
                .find(|(_, rule)| rule.matches(event, &values));
            first = found.or(first);
        }
        first.map_or_else(|| self.otherwise(), |(_, rule)| Matched { rule: Some(&rule.name), targets: &rule.targets })
    }

    /// What becomes of events that no rule matches, and of bodies that cannot be read.
    pub(crate) fn otherwise(&self) -> Matched<'_> {
        Matched { rule: None, targets: &self.otherwise }
    }
}

impl Rule {
    fn new(rule: policy::Rule) -> Self {
        Self {
            name: rule.name.0,
            when: rule.when.map(Conditions::new).unwrap_or_default(),
            unless: rule.unless.map(Conditions::new),
            targets: rule.to.map(|targets| targets.0).unwrap_or_default(),
        }
    }

    fn matches(&self, event: &Event<'_>, values: &Values<'_>) -> bool {
        self.when.match_all(event, values)
            && !self.unless.as_ref().is_some_and(|unless| unless.match_all(event, values))
    }
}

/// How many fields can be asked for exact values.
const FIELDS: usize = 12;

/// An event's values for those fields. Where two serve a rule equally well, the first stands in the index.
type Values<'a> = [Option<&'a str>; FIELDS];

fn values<'e>(event: &'e Event<'_>, source: Option<&'e str>) -> Values<'e> {
    [
        event.conversation_id.as_deref(),
        event.phone_number_id.as_deref(),
        event.customer_id.as_deref(),
        event.business_account_id.as_deref(),
        event.name.as_deref(),
        event.message_type.as_deref(),
        event.status.as_deref(),
        event.origin.as_deref(),
        event.direction.as_deref(),
        source,
        Some(event.kind.as_str()),
        event.payload_version.as_deref(),
    ]
}

/// What an event is compared with; all of it must hold.
#[derive(Debug, Default)]
struct Conditions {
    /// By the field's place among [`values`].
    fields: Vec<(usize, AnyOf)>,
    new_conversation: Option<bool>,
    test: Option<bool>,
    text_prefixes: Option<Vec<String>>,
    text_parts: Option<Vec<String>>,
}

impl Conditions {
    fn new(conditions: policy::Conditions) -> Self {
        let terms = |values: Option<policy::AnyOf<policy::Term>>| {
            values.map(|values| AnyOf::exact(values.0.into_iter().map(|term| term.0)))
        };
        let (text_prefixes, text_parts) = conditions.text.map_or((None, None), |text| (text.prefix, text.contains));
        let strings = |values: Option<policy::AnyOf<policy::Term>>| {
            values.map(|values| values.0.into_iter().map(|term| term.0).collect())
        };
        let fields: [_; FIELDS] = [
            terms(conditions.conversation_id),
            terms(conditions.phone_number_id),
            terms(conditions.customer_id),
            terms(conditions.business_account_id),
            conditions.event.map(AnyOf::patterns),
            terms(conditions.message_type),
            terms(conditions.status),
            terms(conditions.origin),
            terms(conditions.direction),
            conditions.source.map(|sources| AnyOf::exact(sources.0.into_iter().map(|source| source.0))),
            conditions.kind.map(|kinds| AnyOf::exact(kinds.0.into_iter().map(|kind: Kind| kind.as_str().into()))),
            terms(conditions.payload_version),
        ];
        let fields = fields.into_iter().enumerate();
        Self {
            fields: fields.filter_map(|(field, wanted)| Some((field, wanted?))).collect(),
            new_conversation: conditions.new_conversation,
            test: conditions.test,
            text_prefixes: strings(text_prefixes),
            text_parts: strings(text_parts),
        }
    }

    /// The fields, by position, for which the matching values can be enumerated (exact values, no prefixes).
    fn exact(&self) -> impl Iterator<Item = (usize, &[String])> {
        self.fields.iter().filter_map(|(field, wanted)| Some((*field, wanted.values()?)))
    }

    fn match_all(&self, event: &Event<'_>, values: &Values<'_>) -> bool {
        let text = |wanted: &Option<Vec<String>>, holds: fn(&str, &str) -> bool| {
            wanted.as_ref().is_none_or(|wanted| {
                event.text.as_deref().is_some_and(|text| wanted.iter().any(|wanted| holds(text, wanted)))
            })
        };
        let has = |field: usize, wanted: &AnyOf| {
            values.get(field).copied().flatten().is_some_and(|value| wanted.matches(value))
        };
        self.fields.iter().all(|(field, wanted)| has(*field, wanted))
            && self.new_conversation.is_none_or(|wanted| event.new_conversation == Some(wanted))
            && self.test.is_none_or(|wanted| event.test == wanted)
            && text(&self.text_prefixes, |text, prefix| text.starts_with(prefix))
            && text(&self.text_parts, contains)
    }
}

/// How much of a text is searched, in bytes: four times what WhatsApp allows, since a sender could make it all of the body, and
/// every rule searches again.
const SEARCHED: usize = 64 * 1024;

/// Like `str::contains`, for parts that are not empty and without the code that it takes to search for long ones.
fn contains(text: &str, part: &str) -> bool {
    let Some((first, others)) = part.as_bytes().split_first() else { return true };
    let mut rest = text.as_bytes().get(..SEARCHED).unwrap_or(text.as_bytes()).iter();
    while rest.any(|byte| byte == first) {
        if rest.as_slice().starts_with(others) {
            return true;
        }
    }
    false
}

/// Values of which any will do.
#[derive(Debug)]
struct AnyOf {
    /// Sorted: a rule may list thousands of numbers.
    exact: Box<[String]>,
    prefixes: Box<[String]>,
}

impl AnyOf {
    fn exact(values: impl Iterator<Item = String>) -> Self {
        Self::new(values.collect(), Vec::new())
    }

    fn patterns(patterns: policy::AnyOf<policy::EventPattern>) -> Self {
        let (mut exact, mut prefixes) = (Vec::new(), Vec::new());
        for pattern in patterns.0 {
            match pattern.prefix() {
                Some(prefix) => prefixes.push(prefix.into()),
                None => exact.push(pattern.0),
            }
        }
        Self::new(exact, prefixes)
    }

    fn new(mut exact: Vec<String>, prefixes: Vec<String>) -> Self {
        // The heap's way of sorting takes a tenth of the code that the slice's does.
        exact = BinaryHeap::from(exact).into_sorted_vec();
        exact.dedup();
        Self { exact: exact.into(), prefixes: prefixes.into() }
    }

    fn matches(&self, value: &str) -> bool {
        let exact = match &*self.exact {
            [one] => same(one, value),
            sorted => sorted.binary_search_by(|wanted| wanted.as_str().cmp(value)).is_ok(),
        };
        exact || self.prefixes.iter().any(|prefix| value.starts_with(prefix.as_str()))
    }

    /// All values that match, where they can be told.
    fn values(&self) -> Option<&[String]> {
        self.prefixes.is_empty().then_some(&self.exact)
    }
}

fn index(rules: &[Rule]) -> (Vec<(usize, Lists)>, Vec<usize>) {
    let mut shared: [Index<'_>; FIELDS] = Default::default();
    for rule in rules {
        for (field, values) in rule.when.exact() {
            let Some(shared) = shared.get_mut(field) else { continue };
            for value in values {
                let count = shared.entry(value).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    let mut indexed = <[Lists; FIELDS]>::default();
    let mut general = Vec::new();
    for (id, rule) in rules.iter().enumerate() {
        let crowd = |(field, values): &(usize, &[String])| {
            values.iter().filter_map(|value| shared.get(*field)?.get(value.as_str())).max().copied()
        };
        match rule.when.exact().min_by_key(crowd) {
            Some((field, values)) => {
                if let Some(index) = indexed.get_mut(field) {
                    values.iter().for_each(|value| index.push(value, id));
                }
            }
            None => general.push(id),
        }
    }
    let indexed = indexed.into_iter().enumerate().filter(|(_, lists)| !lists.is_empty());
    (indexed.collect(), general)
}

#[cfg(test)]
mod tests;
