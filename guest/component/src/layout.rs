//! Sizes and alignments of the canonical ABI, and places in memory.
#![allow(unsafe_code)] // A place is written and read within the layout of the type that it was made for.

/// How much room a value takes, and at multiples of what it must stand.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) size: usize,
    pub(crate) align: usize,
}

impl Layout {
    /// That of no field.
    pub(crate) const EMPTY: Self = Self { size: 0, align: 1 };
    /// That of a list or a string: where it begins and how long it is.
    pub(crate) const RUN: Self = Self { size: 8, align: 4 };
    /// That of what tells the cases of a variant apart. None of ours has more than 256.
    const TAG: Self = Self::number(1);

    /// That of a number of so many bytes.
    pub(crate) const fn number(size: usize) -> Self {
        Self { size, align: size }
    }

    /// Where a field stands that follows these.
    pub(crate) const fn offset(self, field: Self) -> usize {
        self.size.next_multiple_of(field.align)
    }

    /// With a field behind.
    pub(crate) const fn then(self, field: Self) -> Self {
        Self { size: self.offset(field).saturating_add(field.size), align: larger(self.align, field.align) }
    }

    /// Of whichever of two cases it is.
    pub(crate) const fn or(self, case: Self) -> Self {
        Self { size: larger(self.size, case.size), align: larger(self.align, case.align) }
    }

    /// Of a record with these fields: as large as makes the next element of a list stand right.
    pub(crate) const fn whole(self) -> Self {
        Self { size: self.size.next_multiple_of(self.align), align: self.align }
    }

    /// Of a variant whose cases hold this at the most.
    pub(crate) const fn tagged(self) -> Self {
        Self::TAG.then(self).whole()
    }

    /// Where in such a variant the case's value stands.
    pub(crate) const fn behind_tag(self) -> usize {
        Self::TAG.offset(self)
    }
}

const fn larger(left: usize, right: usize) -> usize {
    if left > right { left } else { right }
}

/// Where a value stands, or will.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Place(*mut u8);

impl Place {
    pub(crate) fn new(start: *mut u8) -> Self {
        Self(start)
    }

    /// So many bytes further on.
    pub(crate) fn at(self, offset: usize) -> Self {
        Self(self.0.wrapping_add(offset))
    }

    pub(crate) fn put<T: Copy>(self, value: T) {
        unsafe { self.0.cast::<T>().write(value) }
    }

    pub(crate) fn take<T: Copy>(self) -> T {
        unsafe { self.0.cast::<T>().read() }
    }

    /// Puts a list or string.
    pub(crate) fn put_run(self, start: *const u8, len: usize) {
        // The host reads there: the optimiser must know that the address is out.
        self.put(word(start.expose_provenance()));
        self.at(4).put(word(len));
    }
}

/// A number that fits 32 bits where this runs.
#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "addresses are 32 bits wide there")]
fn word(number: usize) -> u32 {
    number as u32
}

/// A place in a record, field by field.
pub(crate) struct Fields {
    record: Place,
    passed: Layout,
}

impl Fields {
    pub(crate) fn of(record: Place) -> Self {
        Self { record, passed: Layout::EMPTY }
    }

    /// Where the next field stands.
    pub(crate) fn next(&mut self, field: Layout) -> Place {
        let place = self.record.at(self.passed.offset(field));
        self.passed = self.passed.then(field);
        place
    }
}
