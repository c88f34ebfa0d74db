//! Queueing disciplines with their statistics and rate limits.

use crate::system::netlink::{Netlink, attributes, text, u32_at, u64_at};
use model::facts::Qdisc;

/// `struct tcmsg`: family, ifindex at 4, handle at 8, parent at 12, info at 16.
const TCMSG_BYTES: usize = 20;

// linux/gen_stats.h, linux/pkt_sched.h
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_CEIL64: u16 = 7;
const ROOT: u32 = 0xffff_ffff;
const INGRESS: u32 = 0xffff_fff1;

/// All of them, each with the index of its interface.
pub(crate) fn read(route: &mut Netlink) -> anyhow::Result<Vec<(u32, Qdisc)>> {
    let mut qdiscs = route.dump(libc::RTM_GETQDISC, &[0; TCMSG_BYTES], |_, body| parse(body))?;
    for (ifindex, qdisc) in qdiscs.iter_mut().filter(|(_, qdisc)| qdisc.kind == "htb") {
        let mut request = [0; TCMSG_BYTES];
        request[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        let classes = route.dump(libc::RTM_GETTCLASS, &request, |_, body| parse_htb_class(body))?;
        qdisc.rate_bits = narrowest(&classes);
    }
    Ok(qdiscs)
}

/// A class of htb: the most it may send, and how many packets it did.
struct HtbClass {
    ceil_bits: u64,
    packets: u64,
}

/// The narrowest class that traffic took, else the narrowest of all.
fn narrowest(classes: &[HtbClass]) -> Option<u64> {
    let used = classes
        .iter()
        .filter(|class| class.packets > 0)
        .map(|class| class.ceil_bits)
        .min();
    used.or_else(|| classes.iter().map(|class| class.ceil_bits).min())
}

/// `struct tc_htb_opt` begins with two `struct tc_ratespec`, the class's own rate and its ceiling.
fn parse_htb_class(message: &[u8]) -> Option<HtbClass> {
    let (mut kind, mut ceil, mut counted) = (String::new(), None, Qdisc::default());
    for (number, value) in attributes(message.get(TCMSG_BYTES..)?) {
        match number {
            libc::TCA_KIND => kind = text(value),
            libc::TCA_STATS2 => read_stats(&mut counted, value),
            libc::TCA_OPTIONS => ceil = rate_bits(value, TCA_HTB_PARMS, 20, TCA_HTB_CEIL64),
            _ => {}
        }
    }
    let ceil_bits = ceil.filter(|_| kind == "htb")?;
    Some(HtbClass {
        ceil_bits,
        packets: counted.packets,
    })
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
        // `struct tc_tbf_qopt` begins with a `struct tc_ratespec`, whose last field is the rate.
        qdisc.rate_bits = options.and_then(|options| rate_bits(options, TCA_TBF_PARMS, 8, TCA_TBF_RATE64));
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
                (qdisc.drops, qdisc.requeues, qdisc.overlimits) = (field(2), field(3), field(4));
            }
            _ => {}
        }
    }
}

/// A rate in bytes per second stands at an offset of the parameters; one beyond 32 bits has an attribute of its own.
fn rate_bits(options: &[u8], parameters: u16, offset: usize, wide: u16) -> Option<u64> {
    let find = |wanted: u16| {
        attributes(options)
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    };
    let bytes = match find(wide) {
        Some(value) => u64_at(value, 0),
        None => u64::from(u32_at(find(parameters)?, offset)),
    };
    Some(bytes * 8)
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
    use super::{HtbClass, narrowest, parent, rate_bits};
    use crate::system::netlink::attribute;

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
        assert_eq!(rate_bits(&options, 1, 8, 4), Some(1_000_000));
        attribute(&mut options, 4, &5_000_000_000_u64.to_ne_bytes());
        assert_eq!(rate_bits(&options, 1, 8, 4), Some(40_000_000_000));
    }

    #[test]
    fn the_class_that_traffic_took_counts() {
        let class = |ceil_bits, packets| HtbClass { ceil_bits, packets };
        assert_eq!(
            narrowest(&[class(1_000, 0), class(5_000, 7), class(9_000, 1)]),
            Some(5_000)
        );
        assert_eq!(narrowest(&[class(2_000, 0), class(1_000, 0)]), Some(1_000));
        assert_eq!(narrowest(&[]), None);
    }
}
