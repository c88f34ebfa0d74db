//! bpf(2), and `perf_event_open(2)` for kprobes: making maps, loading and attaching programs, asking about those that are there.
#![expect(unsafe_code, reason = "no crate gives these calls as they are needed here")]

use aya_obj::generated::{bpf_insn, bpf_map_info, bpf_prog_info};
use std::ffi::{CStr, CString, c_long};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

const MAP_CREATE: i32 = 0;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const PROG_GET_FD_BY_ID: i32 = 13;
const MAP_GET_FD_BY_ID: i32 = 14;
const PROG_QUERY: i32 = 16;
const RAW_TRACEPOINT_OPEN: i32 = 17;
const MAP_FREEZE: i32 = 22;
const ENABLE_STATS: i32 = 32;

fn bpf<T>(command: i32, attributes: &mut T) -> io::Result<c_long> {
    // SAFETY: `T` is one of the plain structs below, whose layout is that of the command's part of `union bpf_attr`; the
    // kernel reads and writes no more than the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            ptr::from_mut(attributes),
            size_of::<T>() as libc::c_uint,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn owned(fd: c_long) -> OwnedFd {
    // SAFETY: the kernel just gave us this descriptor.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// The first 15 characters of a name that the kernel accepts for maps and programs.
fn short(name: &str) -> [u8; 16] {
    let mut short = [0; 16];
    let accepted = name
        .bytes()
        .filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    for (to, from) in short[..15].iter_mut().zip(accepted) {
        *to = from;
    }
    short
}

/// The shape of a map.
#[derive(Clone, Copy, Debug)]
pub struct MapShape {
    /// `BPF_MAP_TYPE_`.
    pub kind: u32,
    /// Bytes of a key.
    pub key: u32,
    /// Bytes of a value.
    pub value: u32,
    /// Entries; bytes for a ring.
    pub entries: u32,
    /// `BPF_F_`.
    pub flags: u32,
}

/// Creates a map.
pub fn create_map(name: &str, shape: MapShape) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        key: u32,
        value: u32,
        entries: u32,
        flags: u32,
        inner: u32,
        numa: u32,
        name: [u8; 16],
    }
    bpf(
        MAP_CREATE,
        &mut Attributes {
            kind: shape.kind,
            key: shape.key,
            value: shape.value,
            entries: shape.entries,
            flags: shape.flags,
            inner: 0,
            numa: 0,
            name: short(name),
        },
    )
    .map(owned)
}

/// Sets an entry.
pub fn update_map(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map: u32,
        padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    bpf(
        MAP_UPDATE_ELEM,
        &mut Attributes {
            map: map.as_raw_fd() as u32,
            padding: 0,
            key: key.as_ptr() as u64,
            value: value.as_ptr() as u64,
            flags: 0,
        },
    )
    .map(drop)
}

/// Makes a map's content a constant to the verifier.
pub fn freeze_map(map: BorrowedFd<'_>) -> io::Result<()> {
    bpf(MAP_FREEZE, &mut (map.as_raw_fd() as u32)).map(drop)
}

/// How a program is loaded.
#[derive(Clone, Copy, Debug)]
pub struct ProgramKind {
    /// `BPF_PROG_TYPE_`.
    pub program: u32,
    /// `BPF_TRACE_`, for tracing programs.
    pub attach: u32,
    /// What it attaches to in the kernel's BTF, for tracing programs.
    pub target: u32,
}

/// `BPF_PROG_TYPE_RAW_TRACEPOINT`.
pub const RAW_TRACEPOINT: ProgramKind = ProgramKind {
    program: 17,
    attach: 0,
    target: 0,
};
/// `BPF_PROG_TYPE_KPROBE`.
pub const KPROBE: ProgramKind = ProgramKind {
    program: 2,
    attach: 0,
    target: 0,
};

/// `BPF_PROG_TYPE_TRACING` at a tracepoint (`BPF_TRACE_RAW_TP`).
pub const fn traced_tracepoint(target: u32) -> ProgramKind {
    ProgramKind {
        program: 26,
        attach: 23,
        target,
    }
}

/// `BPF_PROG_TYPE_TRACING` at a function's entry (`BPF_TRACE_FENTRY`).
pub const fn function_entry(target: u32) -> ProgramKind {
    ProgramKind {
        program: 26,
        attach: 24,
        target,
    }
}

#[repr(C)]
struct Load {
    program: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach: u32,
    btf: u32,
    func_info_size: u32,
    func_info: u64,
    func_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    target: u32,
    target_program: u32,
    padding: u32,
}

/// Loads a program. When the verifier refuses it, the error ends with the verifier's last words.
pub fn load_program(name: &str, kind: ProgramKind, instructions: &[bpf_insn], license: &CStr) -> io::Result<OwnedFd> {
    let mut load = Load {
        program: kind.program,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel: 0,
        flags: 0,
        name: short(name),
        ifindex: 0,
        attach: kind.attach,
        btf: 0,
        func_info_size: 0,
        func_info: 0,
        func_info_count: 0,
        line_info_size: 0,
        line_info: 0,
        line_info_count: 0,
        target: kind.target,
        target_program: 0,
        padding: 0,
    };
    let refused = match bpf(PROG_LOAD, &mut load) {
        Ok(fd) => return Ok(owned(fd)),
        Err(error) => error,
    };
    if refused.raw_os_error() == Some(libc::EPERM) {
        return Err(refused);
    }
    let mut log = vec![0u8; 1 << 20];
    load.log_level = 1;
    load.log_size = log.len() as u32;
    load.log = log.as_mut_ptr() as u64;
    if let Ok(fd) = bpf(PROG_LOAD, &mut load) {
        return Ok(owned(fd));
    }
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&log[..end]);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("processed ")).collect();
    let last = lines[lines.len().saturating_sub(verifier_lines().unwrap_or(3))..].join("\n  ");
    Err(io::Error::new(refused.kind(), format!("{refused}\n  {last}")))
}

/// How many of the verifier's lines an error carries, if not the last three: `SKOOP_VERIFIER_LINES`, for those who write
/// probes. With it a program that is refused is an error, although another hook would do.
pub fn verifier_lines() -> Option<usize> {
    std::env::var("SKOOP_VERIFIER_LINES").ok()?.parse().ok()
}

/// Attaches a program: to the raw tracepoint of that name, or, without a name, to what it was loaded for.
pub fn open_tracepoint(name: Option<&str>, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        name: u64,
        program: u32,
        padding: u32,
    }
    let name = name.map(CString::new).transpose()?;
    bpf(
        RAW_TRACEPOINT_OPEN,
        &mut Attributes {
            name: name.as_ref().map_or(0, |name| name.as_ptr() as u64),
            program: program.as_raw_fd() as u32,
            padding: 0,
        },
    )
    .map(owned)
}

/// Attaches a program to a kernel function's entry by a kprobe that lives as long as the descriptor.
pub fn open_kprobe(function: &str, kprobe_type: u32, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const PERF_ATTR_SIZE_VER1: u32 = 72;
    const FLAG_CLOEXEC: libc::c_ulong = 8;
    const IOC_ENABLE: libc::c_ulong = 0x2400;
    const IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
    #[repr(C)]
    struct Attributes {
        kind: u32,
        size: u32,
        config: u64,
        sample_period: u64,
        sample_type: u64,
        read_format: u64,
        flags: u64,
        wakeup_events: u32,
        bp_type: u32,
        function: u64,
        offset: u64,
    }
    let function = CString::new(function)?;
    let mut attributes = Attributes {
        kind: kprobe_type,
        size: PERF_ATTR_SIZE_VER1,
        config: 0,
        sample_period: 1,
        sample_type: 0,
        read_format: 0,
        flags: 0,
        wakeup_events: 1,
        bp_type: 0,
        function: function.as_ptr() as u64,
        offset: 0,
    };
    // SAFETY: the attributes are a valid `struct perf_event_attr` of the size it names; any process, CPU 0.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            ptr::from_mut(&mut attributes),
            -1,
            0,
            -1,
            FLAG_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let event = owned(fd);
    for (request, argument) in [(IOC_SET_BPF, program.as_raw_fd()), (IOC_ENABLE, 0)] {
        // SAFETY: both requests take an int.
        if unsafe { libc::ioctl(event.as_raw_fd(), request, argument) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(event)
}

/// Makes the kernel measure the run time of programs, while the descriptor lives.
pub fn enable_stats() -> io::Result<OwnedFd> {
    bpf(ENABLE_STATS, &mut 0u32).map(owned)
}

/// What a program cost so far: times it ran, nanoseconds, and times it was left out because it was already running.
pub fn program_cost(program: BorrowedFd<'_>) -> io::Result<(u64, u64, u64)> {
    let info = program_info(program)?;
    Ok((info.run_cnt, info.run_time_ns, info.recursion_misses))
}

fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: a plain struct of numbers, for which zeroes are valid.
    let mut info: bpf_prog_info = unsafe { zeroed() };
    fill_info(program, &mut info)?;
    Ok(info)
}

/// The kernel's own struct of a program or map, with what it asks for.
fn fill_info<T>(of: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        fd: u32,
        length: u32,
        info: u64,
    }
    bpf(
        OBJ_GET_INFO_BY_FD,
        &mut Attributes {
            fd: of.as_raw_fd() as u32,
            length: size_of::<T>() as u32,
            info: ptr::from_mut(info) as u64,
        },
    )
    .map(drop)
}

/// What the kernel says of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// Its id.
    pub id: u32,
    /// The first 15 letters of its name.
    pub name: String,
    /// `BPF_MAP_TYPE_`.
    pub kind: u32,
    /// Bytes of a key.
    pub key: u32,
    /// Bytes of a value, on one CPU.
    pub value: u32,
}

/// The first map of those that a program uses which fits, for reading alone.
pub fn map_of_program(program: u32, fits: impl Fn(&MapInfo) -> bool) -> io::Result<Option<OwnedFd>> {
    const READ_ONLY: u32 = 1 << 3;
    // As many as a program may use (MAX_USED_MAPS).
    let mut ids = [0u32; 64];
    let program = match bpf(PROG_GET_FD_BY_ID, &mut [program, 0, 0]).map(owned) {
        // A program that is gone by now leads nowhere.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        program => program?,
    };
    // SAFETY: a plain struct of numbers, for which zeroes are valid.
    let mut info: bpf_prog_info = unsafe { zeroed() };
    info.nr_map_ids = ids.len() as u32;
    info.map_ids = ptr::from_mut(&mut ids) as u64;
    fill_info(program.as_fd(), &mut info)?;
    for id in ids.iter().take(info.nr_map_ids as usize) {
        // It may be gone by now, with its program.
        let Ok(map) = bpf(MAP_GET_FD_BY_ID, &mut [*id, 0, READ_ONLY]).map(owned) else {
            continue;
        };
        if map_info(map.as_fd()).is_ok_and(|info| fits(&info)) {
            return Ok(Some(map));
        }
    }
    Ok(None)
}

/// What the kernel says of a map.
pub fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    // SAFETY: a plain struct of numbers, for which zeroes are valid.
    let mut info: bpf_map_info = unsafe { zeroed() };
    fill_info(map, &mut info)?;
    Ok(MapInfo {
        id: info.id,
        name: c_name(&info.name),
        kind: info.type_,
        key: info.key_size,
        value: info.value_size,
    })
}

fn c_name(name: &[std::ffi::c_char]) -> String {
    let name: Vec<u8> = name.iter().map(|c| *c as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&name).into_owned()
}

/// The name of a program, by its id; empty for one without a name.
pub fn program_name(id: u32) -> io::Result<String> {
    let program = bpf(PROG_GET_FD_BY_ID, &mut [id, 0, 0]).map(owned)?;
    Ok(c_name(&program_info(program.as_fd())?.name))
}

/// Ids of the programs attached to a target: an interface's index in the thread's namespace, or the descriptor of a
/// cgroup. `effective` also counts what is inherited from above.
pub fn attached_programs(target: u32, attach_type: u32, effective: bool) -> io::Result<Vec<u32>> {
    #[repr(C)]
    struct Attributes {
        target: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        padding: u32,
    }
    // More than the kernel lets attach at one place (BPF_CGROUP_MAX_PROGS, BPF_MPROG_MAX).
    let mut ids = [0u32; 64];
    let mut attributes = Attributes {
        target,
        attach_type,
        query_flags: u32::from(effective),
        attach_flags: 0,
        ids: ptr::from_mut(&mut ids) as u64,
        count: ids.len() as u32,
        padding: 0,
    };
    bpf(PROG_QUERY, &mut attributes)?;
    Ok(ids[..ids.len().min(attributes.count as usize)].to_vec())
}
