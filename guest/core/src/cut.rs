//! Cutting events out of a body: what is left keeps its bytes.

use alloc::collections::BinaryHeap;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::event::Span;
use crate::parse::{Layout, Member};

/// What one cut needs beside the new body, and leaves to the next: a body may be cut as often as it has events, and a plugin's memory
/// is not given back before its call ends.
#[derive(Default)]
pub(crate) struct Scratch {
    is_kept: Vec<bool>,
    edits: Vec<Edit>,
}

/// From where to where something goes, and whether the number of events takes its place.
type Edit = (usize, usize, bool);

/// The body with only the events in `keep`. An element of an array goes when none of its events is kept; the number in
/// `batch_info.size` is corrected.
pub(crate) fn keep(body: &[u8], layout: &Layout, keep: &[usize], scratch: &mut Scratch) -> Vec<u8> {
    let Scratch { is_kept, edits } = scratch;
    let size = keep.len().to_string();
    is_kept.clear();
    is_kept.resize(keep.iter().max().map_or(0, |last| last.saturating_add(1)), false);
    for event in keep {
        if let Some(is_kept) = is_kept.get_mut(*event) {
            *is_kept = true;
        }
    }
    let kept = |member: &Member| member.events.clone().any(|event| is_kept.get(event) == Some(&true));
    edits.clear();
    let mut heap = BinaryHeap::from(core::mem::take(edits));
    for array in &layout.arrays {
        heap.extend(removals(array, &kept).map(|span| (span.start, span.end, false)));
    }
    if let Some(span) = layout.batch_size {
        heap.push((span.start, span.end, true));
    }
    *edits = heap.into_sorted_vec();

    let text = |is_size: bool| if is_size { size.as_bytes() } else { &[] };
    // There may be as many bodies as events: none takes more room than it needs.
    let (mut at, mut room) = (0, body.len());
    edits.retain(|(start, end, is_size)| {
        // What stands within a removed part goes with that.
        let stands = *start >= at;
        if stands {
            at = *end;
            room = room.saturating_sub(end.saturating_sub(*start)).saturating_add(text(*is_size).len());
        }
        stands
    });
    let mut out = Vec::with_capacity(room);
    let mut at = 0;
    for (start, end, is_size) in edits.iter().copied() {
        out.extend_from_slice(body.get(at..start).unwrap_or_default());
        out.extend_from_slice(text(is_size));
        at = end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out
}

/// What to remove of an array: with each element the comma that parted it from what stays.
fn removals<'l>(array: &'l [Member], kept: impl Fn(&Member) -> bool + 'l) -> impl Iterator<Item = Span> + 'l {
    let mut behind_kept = false;
    array.iter().enumerate().filter_map(move |(index, member)| {
        if kept(member) {
            behind_kept = true;
            return None;
        }
        let previous = index.checked_sub(1).and_then(|previous| array.get(previous));
        let next = index.checked_add(1).and_then(|next| array.get(next));
        Some(match (behind_kept, previous, next) {
            (true, Some(previous), _) => Span { start: previous.span.end, end: member.span.end },
            (_, _, Some(next)) => Span { start: member.span.start, end: next.span.start },
            _ => member.span,
        })
    })
}
