//! A port that is served on one family only, where nobody chose the other: that the other is refused is no fault.

use crate::case::Case;
use crate::case::far_end::{FarEnd, listeners, refused, takes};

/// Attempts that found no listener of their family, while the same port of the same end is served on the other family; with the
/// end where they were turned away. None where the user, a service or a name chose the family.
pub fn unserved(case: &Case<'_>) -> Vec<(u32, FarEnd)> {
    if !case.evidence.every_family {
        return Vec::new();
    }
    let ends = refused(case).into_iter().filter(|(_, end)| {
        let Ok(found) = listeners(case, *end) else {
            return false;
        };
        let to = end.flow.dst();
        let mut others = case.asked().map(|tried| tried.attempt.flow.dst());
        let served =
            others.any(|other| other.is_ipv4() != to.is_ipv4() && found.iter().any(|socket| takes(socket, other)));
        served && !found.iter().any(|socket| takes(socket, to))
    });
    ends.collect()
}
