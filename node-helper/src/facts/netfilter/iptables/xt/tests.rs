//! What has no known layout is said to be undecoded; what has one never ends in a panic.

use super::{ALIGNMENT, Blob, In, MATCHES, SetNames, TARGETS, XtContext, matched, target};
use crate::facts::netfilter::iptables::clause::Clause;
use crate::facts::netfilter::iptables::matches::rule;
use model::facts::{Action, Match};

fn blob<'a>(name: &'a str, revision: u32, data: &'a [u8]) -> Blob<'a> {
    Blob { name, revision, data }
}

#[test]
fn a_match_of_another_name_revision_or_size_is_undecoded_and_may_fit() {
    let sets = SetNames::of(&[]);
    let context = XtContext { v6: false, sets: &sets };
    for (name, revision, bytes) in [
        ("bpf", 1, 528),
        ("conntrack", 9, 168),
        ("tcp", 0, 24),
        ("tcp", 0, 8),
        ("hl", 0, 2),
    ] {
        let clause = matched(blob(name, revision, &vec![0; bytes]), context);
        assert_eq!(clause.text(), format!("-m {name} (not decoded)"));
        let tests = rule(&[clause]).matches;
        assert!(
            matches!(tests.as_slice(), [Match::Opaque { text }] if text.ends_with("(not decoded)")),
            "{tests:?}"
        );
    }
}

#[test]
fn a_target_that_is_undecoded_may_do_anything_unless_its_name_says_that_it_goes_on() {
    let sets = SetNames::of(&[]);
    let context = XtContext { v6: false, sets: &sets };
    let action = |name: &str| rule(&[target(blob(name, 9, &[0; 16]), context)]).action;
    for name in ["SYNPROXY", "REJECT", "DNAT", "FUTURE"] {
        let text = format!("{name} (not decoded)");
        assert_eq!(action(name), Action::Other { text });
    }
    assert_eq!(action("LOG"), Action::Continue);
}

#[test]
fn a_set_is_asked_by_its_name_or_not_decoded() {
    let sets = SetNames::of(&[(7, "blocked")]);
    let context = XtContext { v6: false, sets: &sets };
    let info = |index: u16| {
        let mut info = index.to_ne_bytes().to_vec();
        // Two parts: the first is the source's; inverted.
        info.extend([2, 0b011]);
        info
    };
    let text = |index| matched(blob("set", 1, &info(index)), context).text();
    assert_eq!(text(7), "-m set ! --match-set blocked src,dst");
    assert_eq!(text(8), "-m set (not decoded)");
}

#[test]
fn no_content_of_any_layout_ends_in_a_panic() {
    let sets = SetNames::of(&[(0, "zero")]);
    for layout in MATCHES.iter().chain(&TARGETS).copied().flatten() {
        let aligned = layout.bytes.next_multiple_of(ALIGNMENT);
        for v6 in [false, true] {
            if (layout.family == In::V4 && v6) || (layout.family == In::V6 && !v6) {
                continue;
            }
            let context = XtContext { v6, sets: &sets };
            for fill in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let data = vec![fill; aligned];
                let own = blob(layout.name, layout.revision, &data);
                for clause in [matched(own, context), target(own, context)] {
                    assert!(!clause.text().is_empty());
                    assert!(!matches!(clause, Clause::Plain(_)));
                }
            }
        }
    }
}
