//! Where the ends of a map are drawn: columns from who asks to who answers, ends of a namespace beside each other. Pure.

use model::traffic_map::TrafficMap;
use std::collections::{BTreeMap, VecDeque};

/// How often columns are put into the order of their neighbours.
const SWEEPS: usize = 6;

/// The place of an end: its column from the left, and its row from the top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// From the left.
    pub column: usize,
    /// From the top of its column.
    pub row: usize,
}

/// A place for each end of the map, in their order.
pub fn layout(map: &TrafficMap) -> Vec<Cell> {
    let at: BTreeMap<&str, usize> = map
        .ends
        .iter()
        .enumerate()
        .map(|(at, end)| (end.id.as_str(), at))
        .collect();
    let between = |edge: &model::traffic_map::MapEdge| {
        let ends = (*at.get(edge.source.as_str())?, *at.get(edge.destination.as_str())?);
        (ends.0 != ends.1).then_some(ends)
    };
    let mut edges: Vec<(usize, usize)> = map.edges.iter().filter_map(between).collect();
    edges.sort_unstable();
    edges.dedup();
    let columns = columns(map.ends.len(), &edges);
    rows(map, &columns, &edges)
}

/// The column of each end: how many steps it is away from those that nobody asks. Of a circle that is reached from nowhere, the end
/// that is asked least and asks most begins.
fn columns(ends: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut asks: Vec<Vec<usize>> = vec![Vec::new(); ends];
    let mut asked = vec![0_usize; ends];
    for &(from, to) in edges {
        asks[from].push(to);
        asked[to] += 1;
    }
    let mut columns: Vec<Option<usize>> = vec![None; ends];
    let mut first: Vec<usize> = (0..ends).collect();
    first.sort_by_key(|end| (asked[*end], core::cmp::Reverse(asks[*end].len())));
    for root in first {
        // Those that nobody asks begin together; any other only if none of them has led to it.
        if columns[root].is_some() {
            continue;
        }
        columns[root] = Some(0);
        let mut next = VecDeque::from([root]);
        while let Some(end) = next.pop_front() {
            let column = columns[end].map_or(0, |column| column + 1);
            for &to in &asks[end] {
                if asked[to] > 0 && columns[to].is_none_or(|known| known > column) {
                    columns[to] = Some(column);
                    next.push_back(to);
                }
            }
        }
    }
    columns.into_iter().map(Option::unwrap_or_default).collect()
}

/// Rows in which ends stand near those they talk to, with each namespace's ends beside each other.
fn rows(map: &TrafficMap, columns: &[usize], edges: &[(usize, usize)]) -> Vec<Cell> {
    let count = columns.iter().max().map_or(0, |last| last + 1);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut by_name: Vec<usize> = (0..columns.len()).collect();
    by_name.sort_by_key(|end| (&map.ends[*end].namespace, &map.ends[*end].name));
    for end in by_name {
        order[columns[end]].push(end);
    }
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); columns.len()];
    for &(from, to) in edges {
        neighbours[from].push(to);
        neighbours[to].push(from);
    }
    let mut cells = placed(&order, columns.len());
    for _ in 0..SWEEPS {
        for column in &mut order {
            let middle = |end: usize, cells: &[Cell]| {
                let rows = neighbours[end].iter().map(|other| cells[*other].row as f64);
                let (sum, number) = rows.fold((0.0, 0_usize), |(sum, number), row| (sum + row, number + 1));
                if number == 0 {
                    cells[end].row as f64
                } else {
                    sum / number as f64
                }
            };
            let mut of_group: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
            for &end in column.iter() {
                let group = of_group.entry(&map.ends[end].namespace).or_default();
                *group = (group.0 + middle(end, &cells), group.1 + 1);
            }
            column.sort_by(|one, other| {
                let key = |end: usize| {
                    let namespace = map.ends[end].namespace.as_str();
                    let (sum, number) = of_group[namespace];
                    (sum / number as f64, namespace, middle(end, &cells))
                };
                let (a, b) = (key(*one), key(*other));
                a.0.total_cmp(&b.0).then(a.1.cmp(b.1)).then(a.2.total_cmp(&b.2))
            });
            for (row, &end) in column.iter().enumerate() {
                cells[end].row = row;
            }
        }
    }
    cells
}

fn placed(order: &[Vec<usize>], ends: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::default(); ends];
    for (column, inside) in order.iter().enumerate() {
        for (row, &end) in inside.iter().enumerate() {
            cells[end] = Cell { column, row };
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::layout;
    use model::traffic_map::{MapEdge, MapEnd, TrafficMap};
    use std::collections::BTreeSet;

    fn map(ends: usize, edges: &[(usize, usize)]) -> TrafficMap {
        let end = |at: usize| MapEnd {
            id: at.to_string(),
            namespace: (at % 3).to_string(),
            name: format!("e{at:03}"),
            ..MapEnd::default()
        };
        let edge = |(from, to): &(usize, usize)| MapEdge {
            source: from.to_string(),
            destination: to.to_string(),
            ..MapEdge::default()
        };
        TrafficMap {
            ends: (0..ends).map(end).collect(),
            edges: edges.iter().map(edge).collect(),
            ..TrafficMap::default()
        }
    }

    #[test]
    fn who_asks_stands_left_of_who_answers_also_in_a_circle() {
        let cells = layout(&map(4, &[(2, 0), (0, 1), (1, 3)]));
        assert_eq!(cells.iter().map(|cell| cell.column).collect::<Vec<_>>(), [1, 2, 0, 3]);
        let cells = layout(&map(3, &[(0, 1), (1, 2), (2, 0)]));
        assert_eq!(cells.iter().map(|cell| cell.column).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn no_two_ends_stand_at_one_place_and_namespaces_stay_together() {
        let edges: Vec<(usize, usize)> = (0..500).map(|at| (at * 7 % 100, at * 13 % 100)).collect();
        let map = map(100, &edges);
        let cells = layout(&map);
        let places: BTreeSet<(usize, usize)> = cells.iter().map(|cell| (cell.column, cell.row)).collect();
        assert_eq!(places.len(), 100);
        for column in 0..=cells.iter().map(|cell| cell.column).max().unwrap() {
            let mut inside: Vec<usize> = (0..100).filter(|end| cells[*end].column == column).collect();
            inside.sort_by_key(|end| cells[*end].row);
            let mut namespaces: Vec<&str> = inside.iter().map(|end| map.ends[*end].namespace.as_str()).collect();
            let all: BTreeSet<&str> = namespaces.iter().copied().collect();
            namespaces.dedup();
            assert_eq!(namespaces.len(), all.len(), "column {column}");
        }
    }
}
