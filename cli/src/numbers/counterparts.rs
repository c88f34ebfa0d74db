//! Which place of one look is which of another: those of one name, and where one is left in each, these two. Pure.

use super::place::NumbersPlace;

/// Places of two looks.
#[derive(Debug, Default)]
pub struct Counterparts<'a> {
    /// Places that are in both.
    pub pairs: Vec<(NumbersPlace<'a>, NumbersPlace<'a>)>,
    /// Places that are only in the first, by name.
    pub only_first: Vec<String>,
    /// Places that are only in the second.
    pub only_second: Vec<String>,
}

/// Puts them beside each other. A pod that took another's place has another name: if nothing else is left, it is meant.
pub fn of<'a>(first: Vec<NumbersPlace<'a>>, mut second: Vec<NumbersPlace<'a>>) -> Counterparts<'a> {
    let mut found = Counterparts::default();
    let mut alone = Vec::new();
    for one in first {
        let is_it = |other: &NumbersPlace| kind(other) == kind(&one) && other.full_name() == one.full_name();
        match second.iter().position(is_it) {
            Some(at) => found.pairs.push((one, second.swap_remove(at))),
            None => alone.push(one),
        }
    }
    match (&alone[..], &second[..]) {
        ([one], [other]) if kind(one) == kind(other) => found.pairs.extend(alone.pop().zip(second.pop())),
        _ => {}
    }
    let names = |places: Vec<NumbersPlace>| places.iter().map(NumbersPlace::full_name).collect();
    (found.only_first, found.only_second) = (names(alone), names(second));
    found
}

/// A node as a whole, its own namespace, or another one.
const fn kind(place: &NumbersPlace) -> (bool, bool) {
    (place.is_node, place.netns == 0)
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::numbers::NumbersPlace;

    fn places(names: &[&str]) -> Vec<NumbersPlace<'static>> {
        let place = |name: &&str| NumbersPlace {
            name: (*name).to_owned(),
            netns: 7,
            ..NumbersPlace::default()
        };
        names.iter().map(place).collect()
    }

    fn told(first: &[&str], second: &[&str]) -> (Vec<(String, String)>, Vec<String>, Vec<String>) {
        let found = of(places(first), places(second));
        let pairs = found.pairs.into_iter().map(|(one, other)| (one.name, other.name));
        (pairs.collect(), found.only_first, found.only_second)
    }

    fn pair(one: &str, other: &str) -> (String, String) {
        (one.to_owned(), other.to_owned())
    }

    #[test]
    fn places_of_one_name_belong_together_and_the_last_of_each_replaced_the_other() {
        let (pairs, first, second) = told(&["web", "db-1", "n1"], &["n1", "db-2", "web"]);
        assert_eq!(pairs, [pair("web", "web"), pair("n1", "n1"), pair("db-1", "db-2")]);
        assert!(first.is_empty() && second.is_empty());
        let (pairs, first, second) = told(&["web", "db-1"], &["web", "db-2", "db-3"]);
        assert_eq!(pairs, [pair("web", "web")]);
        assert_eq!(
            (first, second),
            (vec!["db-1".to_owned()], vec!["db-3".to_owned(), "db-2".to_owned()])
        );
    }

    #[test]
    fn a_node_is_no_pod() {
        let mut node = places(&["n1"]);
        node[0].is_node = true;
        let found = of(places(&["web"]), node);
        assert!(found.pairs.is_empty(), "{found:?}");
    }
}
