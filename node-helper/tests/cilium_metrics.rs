//! Cilium's counters, read from a map of that name and shape that a program in a namespace uses. Needs root.

#![allow(clippy::disallowed_methods, reason = "this is not the helper")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(unsafe_code, reason = "an instruction of a program is a struct of the kernel's")]

mod talk;

use aya_obj::generated::bpf_insn;
use model::facts::{CiliumCount, CiliumMetrics, Phase};
use model::protocol::{Ask, Reply, Request};
use node_helper::identity::namespaces::Namespaces;
use node_helper::system::bpf::{self, MapShape, ProgramKind};
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::process::Command;
use talk::RunningHelper;

/// A namespace with an interface; it goes away however a test ends.
struct Namespace(String);

impl Namespace {
    fn new(test: &str) -> Self {
        let namespace = Self(format!("metrics-{test}-{}", std::process::id()));
        namespace.sh("ip netns add $N && ip -n $N link add eth0 type veth peer name eth1 && ip -n $N link set eth0 up");
        namespace
    }

    fn sh(&self, command: &str) {
        let status = Command::new("sh").args(["-ec", command]).env("N", &self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "{command}");
    }

    /// What the helper reads, which has given up its rights by then.
    fn read(&self, helper: &mut RunningHelper, phase: Phase, facts: &[&str]) -> CiliumMetrics {
        let name = format!("netns/{}", self.0);
        let namespaces = Namespaces::scan();
        let ask = Ask {
            netns: vec![namespaces.by_name(&name).unwrap().inode],
            phase: Some(phase),
            facts: facts.iter().map(|fact| (*fact).to_owned()).collect(),
            ..Ask::default()
        };
        helper.say(Request::Read(ask));
        loop {
            if let Reply::Facts { facts, .. } = helper.hear() {
                return facts.cilium_metrics.get().unwrap().clone();
            }
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn metrics_map(name: &str) -> OwnedFd {
    let shape = MapShape {
        kind: 5,
        key: 8,
        value: 16,
        entries: 1024,
        flags: 0,
    };
    bpf::create_map(name, shape).unwrap()
}

/// Sets what each of the first CPUs counted.
fn set(map: &OwnedFd, key: [u8; 8], cpus: &[[u64; 2]]) {
    // The kernel reads a value for each CPU that there may be.
    let mut values = vec![0; 16 * 8192];
    let bytes = cpus.iter().flatten().flat_map(|number| number.to_ne_bytes());
    for (to, from) in values.iter_mut().zip(bytes) {
        *to = from;
    }
    bpf::update_map(map.as_fd(), &key, &values).unwrap();
}

/// A program that lets everything pass and refers to the map, attached to the namespace's interface.
fn attach(namespace: &Namespace, map: &OwnedFd) -> OwnedFd {
    const XDP: ProgramKind = ProgramKind {
        program: 6,
        attach: 0,
        target: 0,
    };
    let instruction = |code: u8, dst: u8, src: u8, imm: i32| -> bpf_insn {
        // SAFETY: a plain struct of numbers, for which zeroes are valid.
        let mut instruction: bpf_insn = unsafe { std::mem::zeroed() };
        instruction.code = code;
        instruction.set_dst_reg(dst);
        instruction.set_src_reg(src);
        instruction.imm = imm;
        instruction
    };
    let instructions = [
        instruction(0x18, 1, 1, map.as_raw_fd()),
        instruction(0, 0, 0, 0),
        instruction(0xb7, 0, 0, 2),
        instruction(0x95, 0, 0, 0),
    ];
    let program = bpf::load_program("cil_from_container", XDP, &instructions, c"GPL").unwrap();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).unwrap();
    let id = info.lines().find_map(|line| line.strip_prefix("prog_id:")).unwrap();
    let attach = format!(
        "ip netns exec $N bpftool net attach xdpgeneric id {} dev eth0",
        id.trim()
    );
    namespace.sh(&attach);
    program
}

#[test]
fn what_the_programs_of_a_namespace_count_is_read_by_reason_and_direction_before_and_after() {
    let namespace = Namespace::new("counts");
    let map = metrics_map("cilium_metrics");
    let denied = [133, 1, 0x6a, 9, 2, 0, 0, 0];
    set(&map, denied, &[[7, 420]]);
    set(&map, [133, 1, 0x11, 0, 5, 0, 0, 0], &[[1, 60]]);
    set(&map, [0, 2, 0, 0, 0, 0, 0, 0], &[[500, 50_000]]);
    let _program = attach(&namespace, &map);
    let count = |reason, direction, packets, bytes| CiliumCount {
        reason,
        direction,
        packets,
        bytes,
    };
    let helper = &mut RunningHelper::greeted();
    let before = namespace.read(helper, Phase::Before, &[]);
    assert_eq!(before.counts, [count(0, 2, 500, 50_000), count(133, 1, 8, 480)]);
    assert!(before.map.is_some() && before.programs.len() == 1, "{before:?}");
    set(&map, denied, &[[24, 1_440]]);
    let after = namespace.read(helper, Phase::After, &["cilium_metrics"]);
    assert_eq!(after.counts[1], count(133, 1, 25, 1_500));
    assert_eq!(after.map, before.map);
}

#[test]
fn a_map_of_another_name_or_without_a_program_here_is_not_taken() {
    let namespace = Namespace::new("other");
    let _elsewhere = metrics_map("cilium_metrics");
    let helper = &mut RunningHelper::greeted();
    assert_eq!(namespace.read(helper, Phase::Before, &[]), CiliumMetrics::default());
    let other = metrics_map("my_metrics");
    let _program = attach(&namespace, &other);
    let read = namespace.read(helper, Phase::Before, &[]);
    assert_eq!((read.programs.len(), read.map), (1, None));
    assert!(read.counts.is_empty());
}
