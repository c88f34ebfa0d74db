//! Lists of names: the one most like a name that was mistyped ("did you mean"), and the first of many.

/// Below this a name is not near enough to be meant.
const NEAR: f64 = 0.7;
/// How near a name is that differs by one letter, or by two that changed places.
const ONE_SLIP: f64 = 0.95;

/// The name most like `wrong`, if any is.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (likeness(wrong, name), name))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// One slip in a short name weighs more than [`strsim::jaro_winkler`] allows for.
fn likeness(wrong: &str, name: &str) -> f64 {
    const SHORT: usize = 3;
    if wrong.len() >= SHORT && strsim::osa_distance(wrong, name) <= 1 {
        ONE_SLIP
    } else {
        strsim::jaro_winkler(wrong, name)
    }
}

/// `; did you mean X?`, or nothing.
pub fn hint<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, names).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// The first of many names, and how many more there are.
pub fn some<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = format!("{} more", names.len().saturating_sub(SHOWN));
    if names.len() > SHOWN {
        shown.push(&more);
    }
    match shown.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => shown.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::{nearest, some};

    #[test]
    fn of_many_names_the_first_are_shown() {
        assert_eq!(some(&["n1"]), "n1");
        assert_eq!(some(&["n1", "n2", "n3"]), "n1, n2 and n3");
        let many: Vec<String> = (0..5_000).map(|n| format!("n{n}")).collect();
        assert_eq!(some(&many), "n0, n1, n2, n3, n4 and 4995 more");
    }

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_word_is_not() {
        let probes = ["drop", "tcpreset", "tcpretrans", "neigh"];
        assert_eq!(nearest("tcpreste", probes), Some("tcpreset"));
        assert_eq!(nearest("dorp", probes), Some("drop"));
        assert_eq!(nearest("wbe", ["a", "web"]), Some("web"));
        assert_eq!(nearest("zebra", probes), None);
    }
}
