//! Cutting events out of a body: what is left keeps its bytes.

use alloc::collections::BinaryHeap;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use crate::event::Span;
use crate::parse::{Layout, Member};

/// The body with only the events in `keep`. An element of an array goes when none of its events is kept; the number in
/// `batch_info.size` is corrected.
pub(crate) fn keep(body: &[u8], layout: &Layout, keep: &[usize]) -> Vec<u8> {
    let size = keep.len().to_string();
    let mut is_kept = vec![false; keep.iter().max().map_or(0, |last| last.saturating_add(1))];
    for event in keep {
        if let Some(is_kept) = is_kept.get_mut(*event) {
            *is_kept = true;
        }
    }
    let kept = |member: &Member| member.events.clone().any(|event| is_kept.get(event) == Some(&true));
    let mut edits: BinaryHeap<(usize, usize, &[u8])> = BinaryHeap::new();
    for array in &layout.arrays {
        edits.extend(removals(array, &kept).map(|span| (span.start, span.end, &[][..])));
    }
    edits.extend(layout.batch_size.map(|span| (span.start, span.end, size.as_bytes())));

    // What stands within a removed part goes with that.
    let mut at = 0;
    let mut edits = edits.into_sorted_vec();
    edits.retain(|(start, end, _)| {
        let stands = *start >= at;
        at = if stands { *end } else { at };
        stands
    });
    // There may be as many bodies as events: none takes more room than it needs.
    let less = |left: usize, (start, end, text): &(usize, usize, &[u8])| {
        left.saturating_sub(end.saturating_sub(*start)).saturating_add(text.len())
    };
    let mut out = Vec::with_capacity(edits.iter().fold(body.len(), less));
    let mut at = 0;
    for (start, end, text) in edits {
        out.extend_from_slice(body.get(at..start).unwrap_or_default());
        out.extend_from_slice(text);
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
