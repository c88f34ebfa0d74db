//! Stages: what happens to data between two programs, which number measures how long that takes, and where it happens.

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStage {
    /// The number that measures it, one of [`crate::numbers`].
    pub number: &'static str,
    /// What happens meanwhile.
    pub says: &'static str,
    /// Where.
    pub location: &'static str,
    /// It spans both ends and what lies between them, of which other stages measure parts.
    pub spans_both_ends: bool,
}

/// Where a stage that spans both ends is.
const PATH: &str = "path";

const fn at(location: &'static str, number: &'static str, says: &'static str) -> WaitStage {
    WaitStage {
        number,
        says,
        location,
        spans_both_ends: false,
    }
}

const fn of_both_ends(number: &'static str, says: &'static str) -> WaitStage {
    WaitStage {
        spans_both_ends: true,
        ..at(PATH, number, says)
    }
}

/// All of them, in the order in which data goes through them; what the program itself may wait for comes last.
pub const STAGES: &[WaitStage] = &[
    of_both_ends("socketlatency.connect", "connect"),
    of_both_ends("kernellatency.round_trip", "round trip"),
    at("socket", "socketlatency.write", "written by application"),
    at("stack", "kernellatency.send", "socket to queue"),
    at("qdisc", "kernellatency.queue", "queue to device"),
    at("CPUs of the node", "kernellatency.softirq", "softirq raised to run"),
    at("stack", "kernellatency.forward", "device to queue, forwarded"),
    at("stack", "kernellatency.receive", "device to socket"),
    at("socket", "socketlatency.read", "read by application"),
    at("disk", "biolatency.read", "disk read"),
    at("disk", "biolatency.write", "disk write"),
    at("disk", "biolatency.flush", "disk flush"),
];

/// The stage that this number measures.
#[must_use]
pub fn of(number: &str) -> Option<&'static WaitStage> {
    STAGES.iter().find(|stage| stage.number == number)
}

#[cfg(test)]
mod tests {
    use super::STAGES;
    use crate::histogram::Measure;
    use crate::numbers;

    #[test]
    fn every_stage_is_a_number_there_is_and_every_time_that_is_measured_is_of_a_stage() {
        assert!(STAGES.iter().all(|stage| numbers::of(stage.number).is_some()));
        for measure in Measure::ALL {
            assert!(super::of(measure.name()).is_some(), "{measure:?}");
        }
    }
}
