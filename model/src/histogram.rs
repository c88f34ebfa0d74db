//! Log-linear histograms: each power of two is cut into eight equal buckets, so that a bucket is at most 12.5 % wide.
//!
//! The kernel side counts into them (`no_std`), the helper says those that are not empty, and the client adds and reads them.

/// What the kernel side measures, by the number that stands for it there.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// From data being ready in a TCP socket to the read that takes the first of it.
    ReadTcp = 1,
    /// From a datagram being ready in a UDP socket to the read that takes it.
    ReadUdp = 2,
    /// From a TCP socket being given the first of what is written to the write's end.
    WriteTcp = 3,
    /// From a softirq that receives packets being raised on a CPU to its run; of the node.
    SoftirqReceive = 4,
    /// From a softirq that sends packets being raised on a CPU to its run; of the node.
    SoftirqTransmit = 5,
    /// From a TCP segment entering the stack from a device to its socket.
    ReceiveTcp = 6,
    /// From a datagram entering the stack from a device to its socket.
    ReceiveUdp = 7,
    /// From TCP sending a segment to the queue of a device.
    SendTcp = 8,
    /// From a packet entering the stack from a device to the queue of the device that it leaves through.
    Forward = 9,
    /// From the queue of a device to its driver.
    Queue = 10,
    /// From a request to read from a block device being made to its end.
    DiskRead = 11,
    /// From a request to write to a block device being made to its end.
    DiskWrite = 12,
    /// From a request to make written data permanent (a flush) being made to its end.
    DiskFlush = 13,
    /// From a TCP socket beginning to connect to its connection being made.
    Connect = 14,
    /// From a TCP socket beginning to connect to its connection being refused or given up.
    ConnectFailed = 15,
    /// From TCP sending a segment to its acknowledgement.
    RoundTrip = 16,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ReadTcp,
        Self::ReadUdp,
        Self::WriteTcp,
        Self::SoftirqReceive,
        Self::SoftirqTransmit,
        Self::ReceiveTcp,
        Self::ReceiveUdp,
        Self::SendTcp,
        Self::Forward,
        Self::Queue,
        Self::DiskRead,
        Self::DiskWrite,
        Self::DiskFlush,
        Self::Connect,
        Self::ConnectFailed,
        Self::RoundTrip,
    ];

    /// That of a number.
    #[must_use]
    pub fn decode(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| *measure as u16 == number)
    }

    /// Its name among [`crate::numbers`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadTcp | Self::ReadUdp => "socketlatency.read",
            Self::WriteTcp => "socketlatency.write",
            Self::SoftirqReceive | Self::SoftirqTransmit => "kernellatency.softirq",
            Self::ReceiveTcp | Self::ReceiveUdp => "kernellatency.receive",
            Self::SendTcp => "kernellatency.send",
            Self::Forward => "kernellatency.forward",
            Self::Queue => "kernellatency.queue",
            Self::DiskRead => "biolatency.read",
            Self::DiskWrite => "biolatency.write",
            Self::DiskFlush => "biolatency.flush",
            Self::Connect | Self::ConnectFailed => "socketlatency.connect",
            Self::RoundTrip => "kernellatency.round_trip",
        }
    }

    /// Its labels.
    #[must_use]
    pub const fn labels(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ReadTcp | Self::WriteTcp | Self::ReceiveTcp | Self::SendTcp => &[("protocol", "tcp")],
            Self::ReadUdp | Self::ReceiveUdp => &[("protocol", "udp")],
            Self::SoftirqReceive => &[("softirq", "NET_RX")],
            Self::SoftirqTransmit => &[("softirq", "NET_TX")],
            Self::ConnectFailed => &[("outcome", "failed")],
            Self::Connect
            | Self::RoundTrip
            | Self::Forward
            | Self::Queue
            | Self::DiskRead
            | Self::DiskWrite
            | Self::DiskFlush => &[],
        }
    }

    /// Block devices are told apart in it ([`BucketKey::of`]); each is one more label.
    #[must_use]
    pub const fn is_of_device(self) -> bool {
        matches!(self, Self::DiskRead | Self::DiskWrite | Self::DiskFlush)
    }
}

/// Where the kernel side counts one bucket: a map has one number for each that is not empty.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketKey {
    /// Namespace by inode; 0 for what is nobody's.
    pub netns: u32,
    /// Which of several: of a disk its number, as the kernel has it (major << 20 | minor). Else 0.
    pub of: u32,
    /// A [`Measure`].
    pub measure: u16,
    /// The bucket.
    pub bucket: u16,
}

/// Buckets of one power of two, as a power of two.
pub const SUB_BITS: u32 = 3;
/// Below this each value has a bucket of its own.
const LINEAR: u64 = 1 << SUB_BITS;
/// Buckets for values below 2^40: of nanoseconds that is eighteen minutes. What is larger falls into the last.
pub const BUCKETS: usize = ((40 - SUB_BITS as usize) + 1) << SUB_BITS;

/// The bucket of a value.
#[must_use]
#[inline]
pub const fn bucket(value: u64) -> usize {
    if value < LINEAR {
        return value as usize;
    }
    let power = value.ilog2();
    let shift = power - SUB_BITS;
    let within = (value >> shift) & (LINEAR - 1);
    let bucket = (((shift + 1) as usize) << SUB_BITS) + within as usize;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// The least value of a bucket, and the least value of the next.
#[must_use]
pub const fn bounds(bucket: usize) -> (u64, u64) {
    (least(bucket), least(bucket + 1))
}

const fn least(bucket: usize) -> u64 {
    if bucket < LINEAR as usize {
        return bucket as u64;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    (LINEAR + (bucket as u64 & (LINEAR - 1))) << shift
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Measure, bounds, bucket};

    #[test]
    fn every_measure_has_a_number_and_a_name_of_its_own() {
        for measure in Measure::ALL {
            assert_eq!(Measure::decode(measure as u16), Some(measure));
        }
        assert_eq!(Measure::decode(0), None);
        let names: std::collections::BTreeSet<_> =
            Measure::ALL.map(|measure| (measure.name(), measure.labels())).into();
        assert_eq!(names.len(), Measure::ALL.len());
    }

    #[test]
    fn every_value_lies_within_the_bounds_of_its_bucket_which_is_no_wider_than_an_eighth() {
        let powers = (0..40).map(|power| 1_u64 << power);
        let values =
            (0..5000).chain(powers.flat_map(|power| [power.saturating_sub(1), power, power + 1, power + power / 3]));
        for value in values.filter(|value| *value < 1 << 40) {
            let (from, to) = bounds(bucket(value));
            assert!((from..to).contains(&value), "{value}: {from}..{to}");
            assert!(to - from == 1 || (to - from) * 8 <= from, "{value}: {from}..{to}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket((1 << 40) - 1), BUCKETS - 1);
    }
}
