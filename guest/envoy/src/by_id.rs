//! Things by the number that the host knows them by. The host counts up, so new ones come last, and a sorted list does; a hash
//! table would be several times larger than all that is done with it here.

use alloc::vec::Vec;

/// A map from numbers, in their order.
pub(crate) struct ById<T>(Vec<(u32, T)>);

impl<T> ById<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts something under a number, in the place of what was there.
    pub(crate) fn insert(&mut self, id: u32, thing: T) {
        self.remove(id);
        let at = self.0.partition_point(|(other, _)| *other < id);
        self.0.insert(at, (id, thing));
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.0.get(self.place(id)?).map(|(_, thing)| thing)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let place = self.place(id)?;
        self.0.get_mut(place).map(|(_, thing)| thing)
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        self.place(id).map(|place| self.0.remove(place).1)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, thing)| thing)
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.0.retain(|(_, thing)| keep(thing));
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.0.binary_search_by_key(&id, |(other, _)| *other).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::ById;

    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out() {
        let mut things = ById::new();
        for id in [3, 1, 2, 2] {
            things.insert(id, id * 10);
        }
        assert_eq!(things.iter_mut().map(|thing| *thing).collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!((things.get(2), things.get(4)), (Some(&20), None));
        assert_eq!((things.remove(2), things.remove(2)), (Some(20), None));
        if let Some(thing) = things.get_mut(3) {
            *thing = 0;
        }
        things.retain(|thing| *thing > 0);
        assert_eq!((things.get(1), things.get(3)), (Some(&10), None));
    }
}
