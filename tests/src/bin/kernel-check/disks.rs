//! Checks of block devices: how long they take for a pod, and what its cgroup reads and writes, in the version of cgroups there is.

use crate::bed::{Bed, BedNetns};
use crate::helper::Helper;
use anyhow::{Context, Result, ensure};
use model::event::{Event, Seen};
use model::protocol::Filter;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// A plain emulated machine needs its time.
const WINDOW: Duration = Duration::from_secs(10);
/// The disk of an emulated machine, which does twenty requests a second and no more; nothing of value is on it.
const SLOW: &str = "/dev/nvme0n1";
/// Its serial number, as the emulator is told. No other disk is written to.
const SERIAL: &str = "kernel-check";
const BLOCK: u64 = 4096;
const V2: &str = "/sys/fs/cgroup";
const V1: &str = "/sys/fs/cgroup/blkio";

/// What is read and written.
struct Disk {
    path: PathBuf,
    /// Of the device, as `lsblk` has it, and as cgroups have it.
    name: String,
    numbers: String,
    /// A file goes with it.
    is_file: bool,
}

impl Disk {
    /// The slow one, else a file on whatever disk there is.
    fn get() -> Result<Self> {
        let slow = PathBuf::from(SLOW);
        let serial = fs::read_to_string("/sys/block/nvme0n1/device/serial").unwrap_or_default();
        if serial.trim() == SERIAL {
            let device = fs::metadata(&slow)
                .with_context(|| format!("cannot read {SLOW}"))?
                .rdev();
            return Self::of(slow, device, false);
        }
        let path = PathBuf::from(format!("/var/tmp/kernel-check-{}", std::process::id()));
        let write = || {
            fs::write(&path, vec![7; 64 * 1024])?;
            fs::File::open(&path)?.sync_all()?;
            Ok::<_, std::io::Error>(fs::metadata(&path)?.dev())
        };
        let device = write().with_context(|| format!("cannot write {}", path.display()))?;
        Self::of(path, device, true)
    }

    fn of(path: PathBuf, device: u64, is_file: bool) -> Result<Self> {
        let numbers = format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
        let link = Path::new("/sys/dev/block").join(&numbers);
        let target = fs::read_link(&link).with_context(|| format!("cannot read {}", link.display()))?;
        let name = target.file_name().context("a block device has no name")?;
        Ok(Self {
            path,
            name: name.to_string_lossy().into_owned(),
            numbers,
            is_file,
        })
    }

    /// A command that reads so many blocks past the page cache.
    fn reading(&self, blocks: u64) -> String {
        let path = self.path.display();
        format!("dd if={path} of=/dev/null bs={BLOCK} count={blocks} iflag=direct 2>/dev/null")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_file {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_v2() -> bool {
    Path::new(V2).join("cgroup.controllers").exists()
}

/// A cgroup as a pod has it, in the hierarchy of block devices.
struct PodGroup(PathBuf);

impl PodGroup {
    fn new() -> Result<Self> {
        if is_v2() {
            let file = Path::new(V2).join("cgroup.subtree_control");
            fs::write(&file, "+io +memory").with_context(|| format!("cannot write {}", file.display()))?;
        }
        let root = if is_v2() { V2 } else { V1 };
        let path = Path::new(root).join(format!("pod{:08x}-0000-4000-8000-000000000000", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    fn set(&self, file: &str, text: &str) -> Result<()> {
        let path = self.0.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads of this disk wait for their turn: twenty a second.
    fn slow(&self, disk: &Disk) -> Result<()> {
        if is_v2() {
            self.set("io.max", &format!("{} riops=20", disk.numbers))
        } else {
            self.set("blkio.throttle.read_iops_device", &format!("{} 20", disk.numbers))
        }
    }
}

impl Drop for PodGroup {
    fn drop(&mut self) {
        // Whoever lived there is about to be gone.
        let until = Instant::now() + Duration::from_secs(2);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < until {
            std::thread::yield_now();
        }
    }
}

/// A process of a pod: it does its part when it is told to, and stays.
struct Resident {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Resident {
    fn start(netns: &BedNetns, group: &PodGroup, prepare: &str, part: &str) -> Result<Self> {
        let script = format!("{prepare} echo ready; read go; {part}; echo done; read end");
        let mut child = netns
            .command(&["sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start sh")?;
        let stdin = child.stdin.take().context("sh has no stdin")?;
        let stdout = child.stdout.take().context("sh has no stdout")?;
        let mut resident = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        };
        resident.hear()?;
        group.set("cgroup.procs", &resident.child.id().to_string())?;
        Ok(resident)
    }

    fn hear(&mut self) -> Result<()> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).context("cannot hear sh")?;
        ensure!(!line.is_empty(), "sh has ended");
        Ok(())
    }

    fn go_on(&mut self) -> Result<()> {
        self.stdin.write_all(b"\n").context("cannot tell sh to go on")?;
        self.hear()
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What every request of a namespace to a disk took, of those that took so long.
fn every(netns: &BedNetns) -> Filter {
    Filter {
        netns: vec![netns.id],
        slow_ns: 1_000,
        ..Filter::default()
    }
}

/// Requests of this kind to this disk, each with how long it took.
fn requests<'a>(events: &'a [Event], netns: &BedNetns, disk: &Disk, stage: &str) -> Vec<(&'a Event, Duration)> {
    let of_disk = |event: &&Event| event.netns == netns.id && event.probe == "biolatency";
    let requests = events.iter().filter(of_disk).filter_map(|event| match &event.seen {
        Seen::Slow {
            took_ns,
            stages,
            device,
        } if device.as_deref() == Some(&disk.name) && stages.iter().any(|part| part.stage == stage) => {
            Some((event, Duration::from_nanos(*took_ns)))
        }
        _ => None,
    });
    requests.collect()
}

/// Reads so many blocks past the page cache; how long that took.
fn read(disk: &Disk, blocks: u64) -> Result<Duration> {
    let cannot = || format!("cannot read {}", disk.path.display());
    let file = fs::File::options()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_DIRECT.bits())
        .open(&disk.path)
        .with_context(cannot)?;
    // Where a block begins in it, the kernel reads to.
    let mut room = vec![0_u8; 2 * BLOCK as usize];
    let start = room.as_ptr().align_offset(BLOCK as usize);
    let block = room
        .get_mut(start..start + BLOCK as usize)
        .context("no room for a block")?;
    let began = Instant::now();
    for at in 0..blocks {
        file.read_exact_at(block, at * BLOCK).with_context(cannot)?;
    }
    Ok(began.elapsed())
}

/// A program reads past the page cache: each read is its own, and as long as the disk takes.
pub fn reads(helper: &mut Helper, bed: &Bed) -> Result<String> {
    const READS: u64 = 6;
    let disk = Disk::get()?;
    let mut took = Duration::ZERO;
    let events = helper.watch(
        "biolatency",
        every(&bed.a),
        WINDOW,
        || {
            took = bed.a.inside(|| read(&disk, READS))?;
            Ok(())
        },
        |events| requests(events, &bed.a, &disk, "biolatency.read").len() as u64 >= READS,
    )?;
    let reads = requests(&events, &bed.a, &disk, "biolatency.read");
    ensure!(
        reads.len() as u64 == READS,
        "{} reads were told, not {READS}",
        reads.len()
    );
    let all: Duration = reads.iter().map(|(_, each)| *each).sum();
    ensure!(all <= took, "reads are told to take {all:?} in {took:?}");
    let is_slow = disk.path == Path::new(SLOW);
    ensure!(
        !is_slow || all * 2 >= took,
        "the disk takes the time, {took:?}, and reads are told to take {all:?}"
    );
    Ok(format!("{READS} reads of a, in what its disk takes"))
}

/// What a pod's cgroup reads is counted, and it waits where it has a limit.
pub fn io_of_a_pod(helper: &mut Helper, bed: &Bed) -> Result<String> {
    const READS: u64 = 8;
    let disk = Disk::get()?;
    let group = PodGroup::new()?;
    group.slow(&disk)?;
    // Once before it is the pod's: the program itself, too, comes from a disk, the first time.
    let reading = disk.reading(READS);
    let mut resident = Resident::start(&bed.a, &group, &format!("{reading};"), &reading)?;
    let filter = Filter {
        netns: vec![bed.a.id],
        ..Filter::default()
    };
    let grown = helper.numbers("io", filter, || resident.go_on())?;
    let of = |number: &str| {
        let of_disk = |series: &&model::series::Series| {
            series.name == number && series.labels.get("device").is_none_or(|device| *device == disk.name)
        };
        let told = grown.iter().filter(|(series, _)| of_disk(&series));
        told.map(|(_, growth)| growth).sum::<u64>()
    };
    let (bytes, reads, stalled_us) = (of("io.read_bytes"), of("io.reads"), of("io.stalled"));
    // From a disk of the machine's own, what was in memory may have to be read again.
    let others = if disk.is_file { 16 } else { 0 };
    let (least, most) = (READS, READS + others);
    ensure!(
        (least * BLOCK..=most * BLOCK).contains(&bytes),
        "{bytes} bytes were told, not {}",
        least * BLOCK
    );
    ensure!(
        (least..=most).contains(&reads),
        "{reads} requests were told, not {least}"
    );
    // Twenty a second: no fewer than seven waits of 50 ms, but the kernel may let some pass at once.
    let is_told = !is_v2() || stalled_us > 100_000;
    ensure!(is_told, "it is told to have waited {stalled_us} us");
    let version = if is_v2() { "v2, with its wait" } else { "v1" };
    Ok(format!("{READS} reads of a, by cgroup {version}"))
}

/// What a pod has written and the kernel's threads bring to the disk later is the pod's, where the kernel charges it for that.
pub fn writeback_of_a_pod(helper: &mut Helper, bed: &Bed) -> Result<String> {
    let disk = Disk::get()?;
    if !is_v2() || disk.is_file {
        return Ok("not looked: the kernel charges nobody for it with cgroup v1".to_owned());
    }
    let group = PodGroup::new()?;
    let prepare = format!("exec 3<>{};", disk.path.display());
    // Where nobody has read before: what was read at the start of the machine is charged to nobody.
    let write = format!("dd if=/dev/zero bs={BLOCK} count=4 seek=512 >&3 2>/dev/null");
    let mut resident = Resident::start(&bed.a, &group, &prepare, &write)?;
    let by_kernel = |events: &[Event]| {
        let writes = requests(events, &bed.a, &disk, "biolatency.write");
        let by_thread = |(event, _): &(&Event, Duration)| {
            event
                .process
                .as_deref()
                .is_some_and(|process| process.starts_with("kworker"))
        };
        writes.iter().any(by_thread)
    };
    let events = helper.watch(
        "biolatency",
        every(&bed.a),
        WINDOW,
        || {
            // This machine is ours: its threads write what is a hundredth of a second old.
            for knob in ["dirty_expire_centisecs", "dirty_writeback_centisecs"] {
                let path = format!("/proc/sys/vm/{knob}");
                fs::write(&path, "1").with_context(|| format!("cannot write {path}"))?;
            }
            resident.go_on()
        },
        by_kernel,
    )?;
    ensure!(
        by_kernel(&events),
        "no write of the kernel's was told as a's: {events:?}"
    );
    Ok("written by the kernel, told as a's".to_owned())
}
