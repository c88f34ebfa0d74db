//! How long block devices take, against loop devices whose disk the test makes slow for a pod. Needs root.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "it looks at the hierarchies of cgroups by itself"
)]

mod bed;

use bed::NetnsBed;
use bed::inhabitant::{Inhabitant, TestGroup};
use bed::loop_device::LoopDevice;
use model::event::{Event, Seen};
use model::histogram::bounds;
use model::protocol::{Filter, Reply};
use model::series::Series;
use node_helper::capture::armed::arm;
use node_helper::readings::Rounds;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Version 1: the kernel charges by this hierarchy.
const BLKIO: &str = "/sys/fs/cgroup/blkio";
/// Beside it, for pressure.
const UNIFIED: &str = "/sys/fs/cgroup/unified";
/// How long a read takes under [`slow`].
const SLOW_NS: u64 = 200_000_000;

/// The bounds of each time, in order, by namespace, number and device; what was told by itself; and how many were lost on this machine.
struct Times(BTreeMap<(u32, String, String), Vec<(u64, u64)>>, Vec<Event>, u64);

impl Times {
    fn of(&self, netns: u32, number: &str, device: &str) -> &[(u64, u64)] {
        let key = (netns, format!("biolatency.{number}"), device.to_owned());
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// What is counted while something is done.
fn count(filter: &Filter, f: impl FnOnce()) -> Times {
    let (tell_event, events) = channel();
    let sink = Box::new(move |event| drop(tell_event.send(event)));
    let armed = arm(&["biolatency".to_owned()], filter, sink).unwrap();
    for status in armed.probes() {
        assert_eq!(status.unsupported, None);
    }
    let (tell, told) = channel();
    let say = Box::new(move |reply: &Reply| drop(tell.send(reply.clone())));
    let rounds = Rounds::arm(1, &[], armed.histograms().unwrap(), filter, say).unwrap();
    rounds.go();
    let mut all = until_round(&told);
    f();
    rounds.stop();
    all.extend(told.try_iter());
    // Whoever else uses a disk of this machine may lose some of them.
    let lost = armed.stop().lost.iter().map(|lost| lost.uncounted).sum();
    Times(times_of(all), events.iter().collect(), lost)
}

fn until_round(told: &Receiver<Reply>) -> Vec<Reply> {
    let mut all = Vec::new();
    loop {
        all.push(told.recv_timeout(Duration::from_secs(10)).unwrap());
        if matches!(all.last(), Some(Reply::Round(_))) {
            return all;
        }
    }
}

fn times_of(all: Vec<Reply>) -> BTreeMap<(u32, String, String), Vec<(u64, u64)>> {
    let mut series: BTreeMap<u32, Series> = BTreeMap::new();
    let mut buckets: BTreeMap<(u32, u32), BTreeMap<u16, u64>> = BTreeMap::new();
    for reply in all {
        match reply {
            Reply::Describe(described) => drop(series.insert(described.id, described)),
            Reply::Series(sample) => {
                for (id, counts) in sample.buckets {
                    buckets.entry((sample.netns, id)).or_default().extend(counts);
                }
            }
            _ => {}
        }
    }
    let named = buckets.into_iter().map(|((netns, id), counts)| {
        let each = counts
            .into_iter()
            .flat_map(|(bucket, count)| std::iter::repeat_n(bounds(usize::from(bucket)), count as usize));
        let key = (netns, series[&id].name.clone(), series[&id].labels["device"].clone());
        (key, each.collect())
    });
    named.collect()
}

/// A pod with a container: one namespace, one process, its cgroups in both hierarchies. They go when the process has ended.
struct Pod {
    process: Inhabitant,
    unified: TestGroup,
    container: TestGroup,
    _around: TestGroup,
}

impl Pod {
    fn start(bed: &NetnsBed, name: &str, script: &str) -> Self {
        let process = Inhabitant::start(bed, name, script);
        let uid = format!(
            "{:08x}-0000-4000-8000-{:012x}",
            std::process::id(),
            bed.namespace(name).inode
        );
        let pod = TestGroup::new(BLKIO, &format!("pod{uid}"));
        let container = pod.below(&"c".repeat(64));
        let unified = TestGroup::new(UNIFIED, &format!("pod{uid}"));
        let pid = process.pid(bed, name).to_string();
        container.set("cgroup.procs", &pid);
        unified.set("cgroup.procs", &pid);
        Self {
            process,
            unified,
            container,
            _around: pod,
        }
    }

    /// Lets it go on: how long each of its calls took, in order.
    fn calls_ns(&mut self) -> Vec<u64> {
        let mut each: Vec<u64> = self
            .process
            .answer()
            .split_whitespace()
            .map(|ns| ns.parse().unwrap())
            .collect();
        each.sort_unstable();
        each
    }

    /// Time in which it waited for a disk.
    fn stalled_ns(&self) -> u64 {
        let pressure = self.unified.get("io.pressure");
        let some = pressure.lines().next().unwrap();
        some.rsplit_once('=').unwrap().1.parse::<u64>().unwrap() * 1_000
    }
}

/// Reads so many blocks, one after the other and past the page cache.
fn reader(device: &LoopDevice, reads: usize) -> String {
    format!(
        "import os,sys,mmap,time\n\
        f=os.open('{}', os.O_RDONLY|os.O_DIRECT); m=mmap.mmap(-1,4096); took=[]\n\
        print('ready', flush=True); sys.stdin.readline()\n\
        for at in range({reads}):\n\
        \x20begin=time.monotonic_ns(); os.preadv(f,[m],at*4096); took.append(time.monotonic_ns()-begin)\n\
        print(*took, flush=True); sys.stdin.readline()",
        device.path
    )
}

/// What the pod reads from this device waits for its turn: five times a second. (A limit of version 1 is of that cgroup alone.)
fn slow(pod: &Pod, numbers: &str) {
    pod.container
        .set("blkio.throttle.read_iops_device", &format!("{numbers} 5"));
}

/// Each lies within what its call can have waited: it took no longer than the call. Seldom the end of one is not told where the machine
/// is busy (seen once in some thousands); never is one too many.
fn assert_within(times: &[(u64, u64)], calls_ns: &[u64], lost: u64) {
    let said = || format!("{times:?}, of calls of {calls_ns:?}, {lost} lost");
    assert!(
        times.len() <= calls_ns.len() && times.len() + 1 + lost as usize >= calls_ns.len(),
        "{}",
        said()
    );
    // Both in order: the n-th longest time is no longer than the n-th longest call.
    for ((from, _), call) in times.iter().rev().zip(calls_ns.iter().rev()) {
        assert!(from <= call, "{}", said());
    }
}

/// One test at a time: all of them look at the same disk. `None` where pods cannot be had.
fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if !Path::new(BLKIO).is_dir() || !Path::new(UNIFIED).is_dir() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: this machine has no hierarchy of cgroups of its own for block devices"
        );
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

#[test]
fn a_slow_disk_is_measured_where_its_pod_waits_and_a_limit_is_no_time_of_the_device_it_is_set_on() {
    const READS: usize = 8;
    let Some(_turn) = turn() else { return };
    let bed = NetnsBed::new(&["a", "b"], &[]);
    let (a, b) = (bed.namespace("a").inode, bed.namespace("b").inode);
    let device = LoopDevice::new(1 << 20);
    let (disk_numbers, disk) = device.backing();
    let mut pod = Pod::start(&bed, "a", &reader(&device, READS));
    let mut other = Pod::start(&bed, "b", &reader(&device, READS));
    slow(&pod, &disk_numbers);
    let (mut slow_ns, mut quick_ns) = (Vec::new(), Vec::new());
    let filter = Filter {
        slow_ns: SLOW_NS / 2,
        ..bed.filter()
    };
    let times = count(&filter, || {
        quick_ns = other.calls_ns();
        slow_ns = pod.calls_ns();
    });
    let device_name = device.name();
    let there = times.of(a, "read", &device_name);
    assert_within(there, &slow_ns, times.2);
    // The first few may pass at once.
    let waited = there.iter().filter(|(_, to)| *to > SLOW_NS / 2).count();
    assert!(waited >= READS / 2, "{there:?}, of calls of {slow_ns:?}");
    // Each of these is told, with who waited for it, and no other.
    let told: Vec<&Event> = times.1.iter().filter(|event| event.netns == a).collect();
    assert_eq!(told.len(), waited, "{told:?}");
    for event in told {
        let Seen::Slow {
            took_ns,
            stages,
            device,
        } = &event.seen
        else {
            panic!("{event:?}")
        };
        assert_eq!((event.pid, event.ifindex), (pod.process.pid(&bed, "a"), 0));
        assert_eq!(
            (stages[0].stage.as_str(), device.as_deref()),
            ("biolatency.read", Some(device_name.as_str()))
        );
        assert!(
            there.iter().any(|(from, to)| (from..to).contains(&took_ns)),
            "{took_ns} of {there:?}"
        );
    }
    // What the loop device reads for the pod is the pod's, and waits before there is a request: the disk itself is quick.
    let below = times.of(a, "read", &disk);
    assert!(
        below.len() <= READS && below.len() + 1 + times.2 as usize >= READS,
        "{below:?}"
    );
    assert!(below.iter().all(|(from, _)| *from < SLOW_NS / 2), "{below:?}");
    assert!(
        times.0.keys().all(|(netns, _, of)| *netns != 0 || *of != device.name()),
        "all that it did is some pod's"
    );
    // The other's are its own.
    assert_within(times.of(b, "read", &device.name()), &quick_ns, times.2);
    assert!(quick_ns[READS - 1] < SLOW_NS, "{quick_ns:?}");
}

#[test]
fn what_waits_for_a_limit_of_its_own_device_is_pressure_and_no_latency_of_a_device() {
    const READS: usize = 8;
    let Some(_turn) = turn() else { return };
    let bed = NetnsBed::new(&["a"], &[]);
    let a = bed.namespace("a").inode;
    let device = LoopDevice::new(1 << 20);
    let mut pod = Pod::start(&bed, "a", &reader(&device, READS));
    slow(&pod, &device.numbers());
    let stalled_ns = pod.stalled_ns();
    let mut calls_ns = Vec::new();
    let times = count(&bed.filter(), || calls_ns = pod.calls_ns());
    let there = times.of(a, "read", &device.name());
    assert_within(there, &calls_ns, times.2);
    assert!(there.iter().all(|(from, _)| *from < SLOW_NS / 2), "{there:?}");
    let waited: u64 = calls_ns.iter().sum();
    assert!(waited > SLOW_NS * READS as u64 / 2, "{calls_ns:?}");
    let stalled_ns = pod.stalled_ns() - stalled_ns;
    assert!(
        stalled_ns > waited / 2 && stalled_ns <= waited,
        "{stalled_ns} of {waited}"
    );
}

#[test]
fn writes_and_flushes_are_told_apart_and_an_idle_pod_has_none() {
    const WRITES: usize = 10;
    let Some(_turn) = turn() else { return };
    let bed = NetnsBed::new(&["a", "b"], &[]);
    let (a, b) = (bed.namespace("a").inode, bed.namespace("b").inode);
    let device = LoopDevice::new(1 << 20);
    let script = format!(
        "import os,sys,mmap,time\n\
        f=os.open('{}', os.O_RDWR|os.O_DIRECT); m=mmap.mmap(-1,4096); took=[]\n\
        print('ready', flush=True); sys.stdin.readline()\n\
        for at in range({WRITES}):\n\
        \x20begin=time.monotonic_ns(); os.pwritev(f,[m],at*4096); took.append(time.monotonic_ns()-begin)\n\
        os.fsync(f)\n\
        print(*took, flush=True); sys.stdin.readline()",
        device.path
    );
    let mut pod = Pod::start(&bed, "a", &script);
    let mut calls_ns = Vec::new();
    let times = count(&bed.filter(), || calls_ns = pod.calls_ns());
    assert_within(times.of(a, "write", &device.name()), &calls_ns, times.2);
    let flushes = times.of(a, "flush", &device.name()).len() as u64;
    assert!(flushes <= 1 && flushes + times.2 >= 1, "{flushes}");
    assert_eq!(times.of(a, "read", &device.name()), []);
    assert!(times.0.keys().all(|(netns, ..)| *netns != b), "{:?}", times.0.keys());
    // Who is not asked for is not counted, and neither is what the kernel does for it.
    let filter = Filter {
        netns: vec![b],
        ..Filter::default()
    };
    drop(pod);
    let mut again = Pod::start(&bed, "a", &reader(&device, WRITES));
    let times = count(&filter, || drop(again.calls_ns()));
    let of_pod = |(netns, _, of): &&(u32, String, String)| *netns == a || *of == device.name();
    assert_eq!(times.0.keys().find(of_pod), None);
}

#[test]
fn what_the_kernel_writes_later_is_nobodys_where_it_charges_nobody() {
    const BYTES: usize = 64 * 1024;
    /// Who calls for it writes a part itself: as much as the kernel's threads have not come to.
    const TIMES: usize = 10;
    let Some(_turn) = turn() else { return };
    let bed = NetnsBed::new(&["a"], &[]);
    let a = bed.namespace("a").inode;
    let device = LoopDevice::new(1 << 20);
    let script = format!(
        "import os,sys\n\
        f=os.open('{}', os.O_RDWR)\n\
        print('ready', flush=True)\n\
        while sys.stdin.readline():\n\
        \x20os.pwrite(f, bytes({BYTES}), 0)\n\
        \x20print('done', flush=True)",
        device.path
    );
    let mut pod = Pod::start(&bed, "a", &script);
    let times = count(&bed.filter(), || {
        for _ in 0..TIMES {
            pod.process.go_on();
            nix::unistd::sync();
        }
    });
    assert!(!times.of(0, "write", &device.name()).is_empty(), "{:?}", times.0);
    assert_eq!(times.of(a, "write", &device.name()), []);
}
