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
}

/// All of them, in the order in which data goes through them; what the program itself may wait for comes last.
pub const STAGES: &[WaitStage] = &[
    WaitStage {
        number: "socketlatency.write",
        says: "written by application",
        location: "socket",
    },
    WaitStage {
        number: "kernellatency.send",
        says: "socket to queue",
        location: "stack",
    },
    WaitStage {
        number: "kernellatency.queue",
        says: "queue to device",
        location: "qdisc",
    },
    WaitStage {
        number: "kernellatency.softirq",
        says: "softirq raised to run",
        location: "CPUs of the node",
    },
    WaitStage {
        number: "kernellatency.forward",
        says: "device to queue, forwarded",
        location: "stack",
    },
    WaitStage {
        number: "kernellatency.receive",
        says: "device to socket",
        location: "stack",
    },
    WaitStage {
        number: "socketlatency.read",
        says: "read by application",
        location: "socket",
    },
    WaitStage {
        number: "biolatency.read",
        says: "disk read",
        location: "disk",
    },
    WaitStage {
        number: "biolatency.write",
        says: "disk write",
        location: "disk",
    },
    WaitStage {
        number: "biolatency.flush",
        says: "disk flush",
        location: "disk",
    },
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
