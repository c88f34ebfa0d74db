//! Which capabilities the helper was given, by their kernel names.

use crate::system::door;
use std::sync::OnceLock;

/// In the order of their numbers (`include/uapi/linux/capability.h`).
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What this process had when this was first asked, before it gave any away.
pub fn given() -> &'static [String] {
    static GIVEN: OnceLock<Vec<String>> = OnceLock::new();
    GIVEN.get_or_init(|| {
        door::text("/proc/self/status", door::FEW_LINES)
            .map(|status| parse(&status))
            .unwrap_or_default()
    })
}

fn parse(status: &str) -> Vec<String> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    (0..64)
        .filter(|bit| mask & (1 << bit) != 0)
        .map(|bit: usize| NAMES.get(bit).map_or_else(|| format!("CAP_{bit}"), |&name| name.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn bits_become_names() {
        assert_eq!(
            parse("Name:\tx\nCapEff:\t000000c000001000\n"),
            ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]
        );
        assert_eq!(parse("CapEff:\t0000000000000000\n"), Vec::<String>::new());
    }
}
