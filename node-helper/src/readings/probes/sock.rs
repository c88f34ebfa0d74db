//! `sock`: how many sockets there are; and `sockmem`: what they take of the node's memory, which no pod has for itself.

use crate::readings::ReadingProbe;
use crate::servants::usher::KernelFile;

/// Sockets of a namespace.
pub const SOCK: ReadingProbe = ReadingProbe {
    name: "sock",
    about: "sockets by protocol, connections in TIME_WAIT, datagrams that wait for fragments",
    cost: "some 20 us a namespace and round",
    sources: &["/proc/net/sockstat", "/proc/net/sockstat6"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        let counts = place.socket_counts()?;
        let of = |names: &[&str]| names.iter().filter_map(|name| counts.get(*name)).sum();
        sink.set("sock.used", &[], of(&["sockets used"]));
        sink.set("sock.tcp", &[], of(&["tcp inuse", "tcp6 inuse"]));
        sink.set("sock.tcp_time_wait", &[], of(&["tcp TIME_WAIT"]));
        sink.set("sock.udp", &[], of(&["udp inuse", "udp6 inuse"]));
        sink.set("sock.raw", &[], of(&["raw inuse", "raw6 inuse"]));
        sink.set("sock.fragments", &[], of(&["frag inuse", "frag6 inuse"]));
        sink.set("sock.fragment_memory", &[], of(&["frag memory", "frag6 memory"]));
        Ok(())
    },
};

/// Memory of the node's sockets, and those nobody holds.
pub const SOCKMEM: ReadingProbe = ReadingProbe {
    name: "sockmem",
    about: "memory of all TCP and UDP buffers of the node beside its limit, sockets that no program holds",
    cost: "some 20 us a round",
    sources: &[
        "/proc/net/sockstat",
        "/proc/sys/net/ipv4/tcp_mem",
        "/proc/sys/net/ipv4/udp_mem",
    ],
    lacking: None,
    of_node: true,
    read: |place, sink| {
        let counts = place.socket_counts()?;
        let page = procfs::page_size();
        let of = |name: &str| counts.get(name).copied().unwrap_or_default();
        sink.set("sockmem.orphaned", &[], of("tcp orphan"));
        sink.set("sockmem.tcp", &[], of("tcp mem") * page);
        sink.set("sockmem.udp", &[], of("udp mem") * page);
        // Only the kernel's first network namespace tells the limits; a node may live in another one.
        for (file, name) in [
            (KernelFile::TcpMem, "sockmem.tcp_limit"),
            (KernelFile::UdpMem, "sockmem.udp_limit"),
        ] {
            let text = place.text(file)?.unwrap_or_default();
            let third = text
                .split_whitespace()
                .nth(2)
                .and_then(|pages| pages.parse::<u64>().ok());
            sink.set(name, &[], third.unwrap_or_default().saturating_mul(page));
        }
        Ok(())
    },
};
