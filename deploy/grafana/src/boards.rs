//! The dashboards: which numbers stand where. What they are called, their units and their meaning are in the table of numbers.

use super::document::{Board, BoardRow, BoardScope};
use super::panel::PanelShows::{Events, Export, Growth, Level, Lines, Most, Rate, Times};
use super::panel::{PanelPlan, hurting, panel};
use model::kernel_counters::CounterGroup::{Checksums, Fragments, Icmp, Loss, Queues, Resets, Routing};

const PLACE: &str = "node, namespace, pod, place";

/// The interfaces that lead out of a node: what passes them passes its bridges, veths, bonds and tunnels, too.
const DEVICES: &str = r#"kind="", interface!="lo", namespace="", pod="", place="""#;
const OF_DEVICES: &str = "Of the devices that lead out of a node, where it is read itself (`--all-nodes`, `--local`).";

const FAULTS: BoardRow = BoardRow {
    title: "What the kernel counts when something is wrong",
    beside: 2,
    panels: &[
        hurting("Segments lost and sent again", Loss),
        hurting("Queues and buffers that were full", Queues),
        hurting("Connections that failed or were reset", Resets),
        hurting("Packets without a way", Routing),
        hurting("Broken packets", Checksums),
        hurting("ICMP", Icmp),
        hurting("Fragments", Fragments),
    ],
};

const INTERFACES: BoardRow = BoardRow {
    title: "Interfaces",
    beside: 3,
    panels: &[
        panel("Bytes", Rate, &["netdev.rx_bytes", "netdev.tx_bytes"], "interface"),
        panel(
            "Packets",
            Rate,
            &[
                "netdev.rx_packets",
                "netdev.tx_packets",
                "netdev.multicast",
                "netdev.rx_compressed",
                "netdev.tx_compressed",
            ],
            "interface",
        ),
        panel(
            "Lost at an interface",
            Growth,
            &[
                "netdev.rx_errors",
                "netdev.tx_errors",
                "netdev.rx_dropped",
                "netdev.tx_dropped",
                "netdev.rx_missed",
                "netdev.rx_fifo",
                "netdev.tx_fifo",
                "netdev.rx_nohandler",
                "netdev.carrier_changes",
            ],
            "interface",
        ),
        panel(
            "Why packets break at an interface",
            Growth,
            &[
                "netdev.rx_over",
                "netdev.rx_crc",
                "netdev.rx_frame",
                "netdev.rx_length",
                "netdev.tx_aborted",
                "netdev.tx_carrier",
                "netdev.tx_heartbeat",
                "netdev.tx_window",
                "netdev.collisions",
            ],
            "interface",
        ),
        panel(
            "Bytes through queueing disciplines",
            Rate,
            &["qdisc.bytes"],
            "interface, kind, handle",
        ),
        panel(
            "Packets through queueing disciplines",
            Rate,
            &["qdisc.packets"],
            "interface, kind, handle",
        ),
        panel(
            "Held back or dropped by queueing disciplines",
            Growth,
            &["qdisc.drops", "qdisc.overlimits", "qdisc.requeues"],
            "interface, kind, handle",
        ),
        panel(
            "Bytes that wait to be sent",
            Level,
            &["qdisc.backlog_bytes"],
            "interface, kind, handle",
        ),
        panel(
            "Packets that wait to be sent",
            Level,
            &["qdisc.backlog_packets"],
            "interface, kind, handle",
        ),
        panel(
            "Rates that packets are held to",
            Level,
            &["qdisc.rate"],
            "interface, kind, handle",
        ),
    ],
};

const DISKS: &[PanelPlan] = &[
    panel(
        "Bytes to and from disks",
        Rate,
        &["io.read_bytes", "io.written_bytes"],
        "device",
    ),
    panel("Requests to disks", Rate, &["io.reads", "io.writes"], "device"),
    panel("Time stalled for a disk", Rate, &["io.stalled"], ""),
    panel("Time of a read from a disk", Times, &["biolatency.read"], "device").saying(BIOLATENCY),
    panel("Time of a write to a disk", Times, &["biolatency.write"], "device").saying(BIOLATENCY),
    panel("Time until a disk has all", Times, &["biolatency.flush"], "device").saying(BIOLATENCY),
];

const SOCKETLATENCY: &str = "Only with `--probe socketlatency`.";
const KERNELLATENCY: &str = "Only with `--probe kernellatency`.";
const BIOLATENCY: &str = "Only with `--probe biolatency`.";

/// Every dashboard.
pub const BOARDS: &[Board] = &[
    Board {
        name: "overview",
        title: "kubectl-skoop: overview",
        about: "Who suffers, from what, and how much traffic there is, over all nodes.",
        scope: BoardScope::All,
        rows: &[
            BoardRow {
                title: "Who suffers most",
                beside: 3,
                panels: &[
                    panel("Segments sent again", Most, &["Tcp.RetransSegs"], PLACE),
                    panel("Connections that failed", Most, &["Tcp.AttemptFails"], PLACE),
                    panel("Resets sent", Most, &["Tcp.OutRsts"], PLACE),
                    panel("Full accept queues", Most, &["TcpExt.ListenOverflows"], PLACE),
                    panel("Datagrams that found no room", Most, &["Udp.RcvbufErrors"], PLACE),
                    panel("Time throttled by the CPU limit", Most, &["cpu.throttled_time"], PLACE),
                ],
            },
            FAULTS,
            BoardRow {
                title: "Traffic",
                beside: 3,
                panels: &[
                    panel("Bytes of nodes' devices", Rate, &["netdev.rx_bytes", "netdev.tx_bytes"], "node")
                        .of_only(DEVICES)
                        .saying(OF_DEVICES),
                    panel("Connections made", Rate, &["Tcp.ActiveOpens", "Tcp.PassiveOpens"], "node"),
                    panel("Datagrams", Rate, &["Udp.InDatagrams", "Udp.OutDatagrams"], "node"),
                ],
            },
        ],
    },
    Board {
        name: "pod",
        title: "kubectl-skoop: pod",
        about: "Everything that is read of pods, and of other network namespaces.",
        scope: BoardScope::Pods,
        rows: &[
            BoardRow {
                title: "Connections",
                beside: 3,
                panels: &[
                    panel("TCP sockets", Level, &["tcpsummary.sockets"], "state"),
                    panel("Round trips of TCP", Level, &["tcpsummary.rtt_p50", "tcpsummary.rtt_p99"], ""),
                    panel("Bytes that wait", Level, &["tcpsummary.unread", "tcpsummary.unacknowledged"], ""),
                    panel("Connections that wait to be accepted", Level, &["tcpsummary.waiting", "tcpsummary.backlog"], "listener"),
                    panel(
                        "Sockets",
                        Level,
                        &["sock.used", "sock.tcp", "sock.tcp_time_wait", "sock.udp", "sock.raw", "sock.fragments"],
                        "",
                    ),
                    panel("Memory of fragments", Level, &["sock.fragment_memory"], ""),
                ],
            },
            FAULTS,
            INTERFACES,
            BoardRow {
                title: "Times in the kernel",
                beside: 3,
                panels: &[
                    panel("Time until a program reads", Times, &["socketlatency.read"], "protocol").saying(SOCKETLATENCY),
                    panel("Time of a write", Times, &["socketlatency.write"], "protocol").saying(SOCKETLATENCY),
                    panel("Time of a connect", Times, &["socketlatency.connect"], "outcome").saying(SOCKETLATENCY),
                    panel("Round trip of TCP", Times, &["kernellatency.round_trip"], "").saying(KERNELLATENCY),
                    panel("Time to send", Times, &["kernellatency.send"], "protocol").saying(KERNELLATENCY),
                    panel("Time in the queue of a device", Times, &["kernellatency.queue"], "").saying(KERNELLATENCY),
                    panel("Time to receive", Times, &["kernellatency.receive"], "protocol").saying(KERNELLATENCY),
                    panel("Time to forward", Times, &["kernellatency.forward"], "").saying(KERNELLATENCY),
                ],
            },
            BoardRow {
                title: "Programs and CPU",
                beside: 3,
                panels: &[
                    panel("Open files", Level, &["fd.open", "fd.sockets", "fd.limit"], "process"),
                    panel("Time on a CPU and without one", Rate, &["cpu.used", "cpu.throttled_time", "cpu.stalled", "cpu.waited"], ""),
                    panel("Periods of the CPU limit", Growth, &["cpu.periods", "cpu.throttled"], ""),
                    panel("CPU limit, percent of one CPU", Level, &["cpu.limit_percent"], ""),
                ],
            },
            BoardRow {
                title: "Disks",
                beside: 3,
                panels: DISKS,
            },
        ],
    },
    Board {
        name: "node",
        title: "kubectl-skoop: node",
        about: "What is of a node itself: how its CPUs take packets, connection tracking, memory of sockets, interfaces.",
        scope: BoardScope::Nodes,
        rows: &[
            BoardRow {
                title: "CPUs that take packets",
                beside: 3,
                panels: &[
                    panel("Packets taken", Rate, &["softnet.processed", "softnet.steered"], "cpu"),
                    panel(
                        "Packets dropped or left waiting",
                        Growth,
                        &["softnet.dropped", "softnet.squeezed", "softnet.flow_limited"],
                        "cpu",
                    ),
                    panel("Packets in backlogs", Level, &["softnet.backlog"], "cpu"),
                    panel("Time until a softirq of the network runs", Times, &["kernellatency.softirq"], "softirq").saying(KERNELLATENCY),
                ],
            },
            BoardRow {
                title: "Connection tracking",
                beside: 3,
                panels: &[
                    panel("Connections tracked", Level, &["conntrack.entries", "conntrack.limit"], ""),
                    panel("Lookups", Rate, &["conntrack.found", "conntrack.insert", "conntrack.search_restart"], ""),
                    panel(
                        "What could not be tracked",
                        Growth,
                        &[
                            "conntrack.invalid",
                            "conntrack.insert_failed",
                            "conntrack.drop",
                            "conntrack.early_drop",
                            "conntrack.icmp_error",
                            "conntrack.clash_resolve",
                            "conntrack.chaintoolong",
                        ],
                        "",
                    ),
                ],
            },
            BoardRow {
                title: "Memory of sockets",
                beside: 3,
                panels: &[
                    panel("TCP buffers", Level, &["sockmem.tcp", "sockmem.tcp_limit"], ""),
                    panel("UDP buffers", Level, &["sockmem.udp", "sockmem.udp_limit"], ""),
                    panel("Sockets that nobody holds", Level, &["sockmem.orphaned"], ""),
                ],
            },
            FAULTS,
            INTERFACES,
            BoardRow {
                title: "Disks",
                beside: 3,
                panels: DISKS,
            },
        ],
    },
    Board {
        name: "events",
        title: "kubectl-skoop: events",
        about: "What the kernel was seen to do: how often, why, and each time by itself.",
        scope: BoardScope::All,
        rows: &[
            BoardRow {
                title: "How often",
                beside: 2,
                panels: &[
                    panel("Resets", Events, &["tcpreset"], "node, what, reason").saying("Connections that are broken off, and why."),
                    panel("Dropped packets", Events, &["drop"], "node, what, reason").saying("By the kernel's own reason."),
                    panel("Lookups of names", Events, &["dns"], "node, what, reason")
                        .saying("Queries, answers by their code, and queries that nobody answered."),
                    panel("Segments sent again", Events, &["tcpretrans"], "node, what, reason").saying("By the state of their connection."),
                    panel("ICMP", Events, &["icmp"], "node, what, reason").saying("Errors that hosts and routers send."),
                    panel("Neighbours", Events, &["neigh"], "node, what, reason").saying("Addresses of the link that nobody answers for."),
                    panel("Full buffers of datagrams", Events, &["udpbuf"], "node, what, reason")
                        .saying("Datagrams that a socket had no room for."),
                ],
            },
            BoardRow {
                title: "Each by itself",
                beside: 1,
                panels: &[
                    panel("Resets and drops", Lines, &[r#"{node=~"$node"} | probe=~"tcpreset|drop""#], "")
                        .saying("As `capture -o json` prints them; the pod, the probe, what and why are structured metadata."),
                    panel("Names that were not found", Lines, &[r#"{node=~"$node"} | probe="dns" | reason!="" | reason!="NOERROR""#], "")
                        .saying("Answers with another code than NOERROR."),
                    panel("All events", Lines, &[r#"{node=~"$node"} | json"#], "").saying("With every field."),
                ],
            },
            BoardRow {
                title: "The export itself",
                beside: 2,
                panels: &[
                    panel("Readings and events that went out", Export, &["skoop_export_written"], "")
                        .saying("Readings and events that each sink has taken."),
                    panel("What did not go out", Export, &["skoop_export_dropped", "skoop_export_failures"], "")
                        .saying("Readings and events that a sink did not take, and how often it failed to: what is shown here is not whole then."),
                ],
            },
        ],
    },
];
