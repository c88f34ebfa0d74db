//! Queueing disciplines with their statistics and rate limits.

use crate::netlink::{Netlink, attributes, text, u32_at, u64_at};
use model::facts::Qdisc;

/// `struct tcmsg`: family, ifindex at 4, handle at 8, parent at 12, info at 16.
const TCMSG_BYTES: usize = 20;

// linux/gen_stats.h, linux/pkt_sched.h
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const ROOT: u32 = 0xffff_ffff;
const INGRESS: u32 = 0xffff_fff1;

/// All of them, each with the index of its interface.
pub(super) fn read(route: &mut Netlink) -> anyhow::Result<Vec<(u32, Qdisc)>> {
    route.dump(libc::RTM_GETQDISC, &[0; TCMSG_BYTES], |_, body| parse(body))
}

fn parse(message: &[u8]) -> Option<(u32, Qdisc)> {
    let body = message.get(TCMSG_BYTES..)?;
    let mut qdisc = Qdisc {
        handle: format!("{:x}:", u32_at(message, 8) >> 16),
        parent: parent(u32_at(message, 12)),
        ..Qdisc::default()
    };
    let mut options = None;
    for (kind, value) in attributes(body) {
        match kind {
            libc::TCA_KIND => qdisc.kind = text(value),
            libc::TCA_OPTIONS => options = Some(value),
            libc::TCA_STATS2 => read_stats(&mut qdisc, value),
            _ => {}
        }
    }
    if qdisc.kind == "tbf" {
        qdisc.rate_bits = options.and_then(tbf_rate_bits);
    }
    Some((u32_at(message, 4), qdisc))
}

fn read_stats(qdisc: &mut Qdisc, stats: &[u8]) {
    for (kind, value) in attributes(stats) {
        match kind {
            TCA_STATS_BASIC => (qdisc.bytes, qdisc.packets) = (u64_at(value, 0), u64::from(u32_at(value, 8))),
            TCA_STATS_QUEUE => {
                let field = |number: usize| u64::from(u32_at(value, number * 4));
                (qdisc.qlen, qdisc.backlog_bytes) = (field(0), field(1));
                (qdisc.drops, qdisc.overlimits) = (field(2), field(4));
            }
            _ => {}
        }
    }
}

/// `struct tc_tbf_qopt` begins with a `struct tc_ratespec`, whose last field (at 8) is bytes per second; rates beyond 32
/// bits stand beside it.
fn tbf_rate_bits(options: &[u8]) -> Option<u64> {
    let mut rate = None;
    for (kind, value) in attributes(options) {
        match kind {
            TCA_TBF_RATE64 => rate = Some(u64_at(value, 0)),
            TCA_TBF_PARMS => rate = rate.or(Some(u64::from(u32_at(value, 8)))),
            _ => {}
        }
    }
    rate.map(|bytes| bytes * 8)
}

fn parent(number: u32) -> String {
    match number {
        ROOT => "root".to_owned(),
        INGRESS => "ingress".to_owned(),
        _ => format!("{:x}:{:x}", number >> 16, number & 0xffff),
    }
}

#[cfg(test)]
mod tests {
    use super::{parent, tbf_rate_bits};
    use crate::netlink::attribute;

    #[test]
    fn parents_are_named_as_tc_names_them() {
        assert_eq!(parent(0xffff_ffff), "root");
        assert_eq!(parent(0xffff_fff1), "ingress");
        assert_eq!(parent(0x0001_0001), "1:1");
    }

    #[test]
    fn a_rate_is_told_in_bits_and_the_wide_one_wins() {
        let mut options = Vec::new();
        let mut parameters = [0_u8; 36];
        parameters[8..12].copy_from_slice(&125_000_u32.to_ne_bytes());
        attribute(&mut options, 1, &parameters);
        assert_eq!(tbf_rate_bits(&options), Some(1_000_000));
        attribute(&mut options, 4, &5_000_000_000_u64.to_ne_bytes());
        assert_eq!(tbf_rate_bits(&options), Some(40_000_000_000));
    }
}
