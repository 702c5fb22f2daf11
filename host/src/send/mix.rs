//! What share of the deliveries is of which form.

use super::compose::{FAMILIES, Form, GROUPS};
use super::dice::Dice;
use crate::kapso::catalogue;

/// The forms to compose, and how often each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    /// Sets of forms, each with its weight; within a set, all are as likely.
    parts: Vec<(u32, Vec<Form>)>,
    /// The sum of the weights, above 0.
    whole: u32,
}

/// The heaviest that a part may be.
const MOST: u32 = 1_000_000;

impl Mix {
    /// What a busy support number sends.
    pub(crate) fn usual() -> Self {
        let parts = FAMILIES.iter().filter(|family| family.weight > 0);
        Self::of(parts.map(|family| (family.weight, of_family(family.name))).collect())
    }

    /// `received=10,status=5,project=1`: families, groups of them, names of events, or beginnings of names with `.*`. A part
    /// without a number counts 1.
    ///
    /// # Errors
    /// What cannot be read, and what would be.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let weight = weight.trim().parse().ok().filter(|weight| *weight <= MOST);
            let weight =
                weight.ok_or_else(|| format!("{part:?}: expected NAME=WEIGHT, a whole number up to {MOST}"))?;
            parts.extend(named(name.trim())?.into_iter().map(|forms| (weight, forms)));
        }
        parts.retain(|(weight, _)| *weight > 0);
        if parts.is_empty() {
            return Err("no weight is above 0".into());
        }
        Ok(Self::of(parts))
    }

    /// With only those forms whose event is one of these: names, or beginnings of names with `.*`.
    ///
    /// # Errors
    /// A name that nobody knows, or nothing is left.
    pub(crate) fn only(mut self, events: &[String]) -> Result<Self, String> {
        for event in events {
            if of_event(event).is_empty() {
                return Err(unknown(event));
            }
        }
        let asked = |form: &Form| form.name().is_some_and(|name| events.iter().any(|event| fits(event, name)));
        self.parts.iter_mut().for_each(|(_, forms)| forms.retain(asked));
        self.parts.retain(|(_, forms)| !forms.is_empty());
        if self.parts.is_empty() {
            return Err("nothing in the mix is one of these events".into());
        }
        Ok(Self::of(self.parts))
    }

    fn of(parts: Vec<(u32, Vec<Form>)>) -> Self {
        let whole = parts.iter().map(|(weight, _)| weight).fold(0, |sum: u32, weight| sum.saturating_add(*weight));
        Self { parts, whole }
    }

    /// This form and no other.
    #[cfg(test)]
    pub(crate) fn just(form: Form) -> Self {
        Self::of(vec![(1, vec![form])])
    }

    /// A form by chance.
    pub(crate) fn pick(&self, dice: &mut Dice) -> Form {
        let mut left = dice.below(self.whole);
        for (weight, forms) in &self.parts {
            if left < *weight {
                return dice.pick(forms);
            }
            left -= weight;
        }
        dice.pick(&self.parts[self.parts.len() - 1].1)
    }
}

/// The sets of forms that a name stands for.
fn named(name: &str) -> Result<Vec<Vec<Form>>, String> {
    if let Some((_, members)) = GROUPS.iter().find(|(group, _)| *group == name) {
        return Ok(vec![members.iter().flat_map(|member| of_family(member)).collect()]);
    }
    for forms in [of_family(name), of_event(name)] {
        if !forms.is_empty() {
            return Ok(vec![forms]);
        }
    }
    Err(unknown(name))
}

fn of_family(name: &str) -> Vec<Form> {
    Form::all().into_iter().filter(|form| form.family() == name).collect()
}

/// Single deliveries of an event, or of all whose name begins so.
fn of_event(pattern: &str) -> Vec<Form> {
    let single = |form: &Form| matches!(form, Form::Event(..) | Form::LegacyAgent(_));
    let all = Form::all().into_iter().filter(single);
    all.filter(|form| form.name().is_some_and(|name| fits(pattern, name))).collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => beginning.ends_with('.') && name.starts_with(beginning),
        None => pattern == name,
    }
}

fn unknown(name: &str) -> String {
    let families = FAMILIES.iter().map(|family| family.name).chain(GROUPS.iter().map(|(group, _)| *group));
    let close = families.clone().find(|family| strsim::damerau_levenshtein(family, name) <= 2);
    match close.or_else(|| catalogue::suggest(name)) {
        Some(close) => format!("{name:?} is no event and no family of events: did you mean {close:?}?"),
        None => {
            let families: Vec<_> = families.collect();
            format!("{name:?} is no event of Kapso's and none of the families {}", families.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::dice::Purpose;
    use super::*;

    fn shares(mix: &Mix) -> HashMap<&'static str, u32> {
        let mut counts = HashMap::new();
        for number in 0..20_000 {
            let form = mix.pick(&mut Dice::new(1, number, Purpose::Compose));
            *counts.entry(form.family()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn weights_are_shares() {
        let counts = shares(&Mix::read("received=30,status=10,hub").unwrap());
        assert_eq!(counts.len(), 3);
        assert!((14_200..15_100).contains(&counts["received"]), "{counts:?}");
        assert!((4_500..5_300).contains(&counts["status"]), "{counts:?}");
        assert!((350..650).contains(&counts["hub"]), "{counts:?}");
    }

    #[test]
    fn a_part_may_be_a_family_a_group_an_event_or_a_beginning() {
        let families = |text: &str| {
            let mut families: Vec<_> = shares(&Mix::read(text).unwrap()).into_keys().collect();
            families.sort_unstable();
            families
        };
        assert_eq!(families("project"), ["account", "agent", "custom", "number", "workflow"]);
        assert_eq!(families("whatsapp.message.delivered"), ["status", "v1"]);
        assert_eq!(families("workflow.*, project.event=3"), ["custom", "workflow"]);
        assert_eq!(families("batch,v1=0"), ["batch"]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let error = |text: &str| Mix::read(text).unwrap_err();
        assert!(error("recieved=1").contains("did you mean \"received\""), "{}", error("recieved=1"));
        assert!(error("message.recieved").contains("whatsapp.message.received"));
        assert!(error("invoice.paid").contains("families received, batch"));
        assert!(error("received=x").contains("expected NAME=WEIGHT"));
        assert!(error("received=0").contains("no weight"));
        assert!(error("").contains("no event"));
    }

    #[test]
    fn only_some_events_of_a_mix() {
        let only =
            |events: &[&str]| Mix::usual().only(&events.iter().map(|&event| event.to_owned()).collect::<Vec<_>>());
        let mut families: Vec<_> = shares(&only(&["whatsapp.message.received"]).unwrap()).into_keys().collect();
        families.sort_unstable();
        assert_eq!(families, ["batch", "received", "test", "v1"]);
        assert!(only(&["whatsapp.mesage.received"]).unwrap_err().contains("did you mean"));
        assert!(Mix::read("batch").unwrap().only(&["project.event".to_owned()]).is_err());
    }

    /// Nobody gets Meta's own signature unless they ask for it: most sources take Kapso's alone.
    #[test]
    fn the_usual_mix_has_everything_that_kapso_signs() {
        let counts = shares(&Mix::usual());
        assert_eq!(counts.len(), FAMILIES.len() - 1);
        assert!(!counts.contains_key("hub"));
    }
}
