//! Which stage takes most of the time that was measured, as one sentence. Pure.

use super::latency::MeasuredStage;
use diagnoses::words;

/// Connects take the time, and not what is measured of both ends, only where they take so many times as much.
const BEYOND_THE_ENDS: f64 = 2.0;

/// The sentence; nothing where nothing was measured. Of what spans both ends only connects are judged: the other end may let
/// acknowledgements wait, and nothing is wrong with the path then. What is the node's is nobody's of these.
pub fn sentence(stages: &[MeasuredStage]) -> Option<String> {
    let parts = stages
        .iter()
        .filter(|measured| !measured.stage.spans_both_ends && !measured.of_node);
    let connects = stages
        .iter()
        .filter(|measured| measured.stage.number == "socketlatency.connect");
    let (of_parts, of_connects) = (all_us(parts.clone()), all_us(connects.clone()));
    let (judged, of_all): (Vec<&MeasuredStage>, f64) = if of_connects > of_parts * BEYOND_THE_ENDS {
        (parts.chain(connects).collect(), of_parts + of_connects)
    } else {
        (parts.collect(), of_parts)
    };
    let slowest = judged
        .into_iter()
        .max_by(|one, other| took_us(one).total_cmp(&took_us(other)))?;
    let share = took_us(slowest) / of_all;
    let how_much = match share {
        0.9.. => "nearly all of the measured time is".to_owned(),
        0.5.. => "most of the measured time is".to_owned(),
        _ => format!("no stage takes most of the time; the most ({:.0} %) is", share * 100.0),
    };
    let row = &slowest.row;
    let time = |us: f64| words::time((us * 1e3) as u64);
    let whose = if row.location.starts_with(&slowest.of) {
        row.location.clone()
    } else {
        format!("{} {}", slowest.of, row.location)
    };
    Some(format!(
        "{how_much} {} ({whose}): {}, {} in all, 99 of 100 within {}",
        row.stage,
        words::count(row.count as usize, "time"),
        time(took_us(slowest)),
        time(row.p99_us)
    ))
}

fn all_us<'a>(stages: impl Iterator<Item = &'a MeasuredStage>) -> f64 {
    stages.map(took_us).sum()
}

/// What all of its values come to, each taken for the middle of its bucket.
fn took_us(measured: &MeasuredStage) -> f64 {
    let buckets = measured.row.buckets.iter();
    buckets
        .map(|(from, to, count)| f64::midpoint(*from, *to) * *count as f64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::sentence;
    use crate::numbers::latency::MeasuredStage;
    use model::stages;
    use model::views::LatencyStage;

    /// So many values of so many microseconds.
    fn measured(number: &str, of: &str, count: u64, us: f64) -> MeasuredStage {
        let stage = stages::of(number).unwrap();
        MeasuredStage {
            stage,
            of_node: of == "n1",
            of: of.to_owned(),
            row: LatencyStage {
                stage: stage.says.to_owned(),
                location: stage.location.to_owned(),
                count,
                p50_us: us,
                p99_us: us,
                max_us: us,
                buckets: vec![(us, us, count)],
            },
        }
    }

    #[test]
    fn the_stage_that_takes_most_in_all_is_named_with_its_share_in_words() {
        let queue = |us| measured("kernellatency.queue", "web", 100, us);
        let read = measured("socketlatency.read", "db-0", 5, 200_000.0);
        // What the node does for others, and acknowledgements that wait, are no answer.
        let others = [
            measured("kernellatency.softirq", "n1", 1_000, 50_000.0),
            measured("kernellatency.round_trip", "web", 1_000, 40_000.0),
        ];
        let told = |stages: &[MeasuredStage]| sentence(&[stages, &others].concat()).unwrap();
        assert_eq!(
            told(&[queue(4.0), read.clone()]),
            "nearly all of the measured time is read by application (db-0 socket): 5 times, 1.0 s in all, 99 of 100 within 200 ms"
        );
        assert!(told(&[queue(4_000.0), read.clone()]).starts_with("most of the measured time is read by"));
        let third = measured("socketlatency.write", "web", 1, 900_000.0);
        let even = told(&[queue(9_000.0), read, third]);
        assert!(
            even.starts_with("no stage takes most of the time; the most (36 %) is read by"),
            "{even}"
        );
        assert_eq!(sentence(&others), None);
    }

    #[test]
    fn connects_take_the_time_only_where_what_is_measured_of_both_ends_does_not_explain_them() {
        let connect = measured("socketlatency.connect", "web", 3, 200_000.0);
        let queued = |us| measured("kernellatency.queue", "web", 3, us);
        let told = |us| sentence(&[connect.clone(), queued(us)]).unwrap();
        assert!(told(50.0).starts_with("nearly all of the measured time is connect (web path): 3 times"));
        assert!(
            told(200_000.0).contains("time is queue to device (web qdisc)"),
            "{}",
            told(200_000.0)
        );
    }
}
