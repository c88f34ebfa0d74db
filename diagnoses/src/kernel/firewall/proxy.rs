//! Rules that hand a packet to a socket of the host it passes (`TPROXY`), and what must hold for them to work: a listener, and
//! a policy rule by which the mark they set leads to a local route (Documentation/networking/tproxy.rst).

use super::evaluate;
use super::packet::HookPacket;
use model::facts::{NetnsFacts, SetMark};
use model::report::RulePlace;

/// A rule that hands a packet to a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// As a report names it.
    pub place: RulePlace,
    /// In words.
    pub words: String,
    /// The port of the proxy; `None` where it is the packet's own.
    pub port: Option<u16>,
    /// The mark it sets.
    pub mark: Option<SetMark>,
}

/// The rules of a namespace that hand this arriving packet to a proxy, in the order in which it meets them.
#[must_use]
pub fn proxies(facts: &NetnsFacts, packet: &HookPacket<'_>) -> Vec<Proxy> {
    let Ok(netfilter) = facts.netfilter.get() else {
        return Vec::new();
    };
    evaluate(netfilter, "prerouting", packet)
        .into_iter()
        .filter_map(|stop| {
            let rule = stop.rule?;
            // nft's rules may go on after the statement, most often with `accept`.
            let words = &rule.text;
            let hands = words.split_whitespace().any(|word| word.eq_ignore_ascii_case("tproxy"));
            hands.then(|| Proxy {
                place: stop.place(),
                words: stop.words(),
                port: port(words),
                mark: rule.mark.or_else(|| mark(words)),
            })
        })
        .collect()
}

/// `--on-port 15001` of iptables, `tproxy to :15001` of nft.
fn port(text: &str) -> Option<u16> {
    let behind = |word: &'static str| text.split_whitespace().skip_while(move |other| *other != word).skip(1);
    let of_nft = || behind("tproxy").find_map(|word| Some(word.rsplit_once(':')?.1));
    let port = behind("--on-port").next().or_else(of_nft)?;
    port.parse().ok().filter(|port| *port != 0)
}

/// `--tproxy-mark 0x200/0xffffffff`.
fn mark(text: &str) -> Option<SetMark> {
    let mut words = text.split_whitespace().skip_while(|word| *word != "--tproxy-mark");
    let (value, mask) = {
        let argument = words.nth(1)?;
        argument.split_once('/').unwrap_or((argument, "0xffffffff"))
    };
    Some(SetMark {
        value: number(value)?,
        mask: number(mask)?,
    })
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{mark, port};
    use model::facts::SetMark;

    #[test]
    fn a_rule_tells_its_port_and_its_mark() {
        let iptables = "-A PREROUTING -i up0 -p tcp -m tcp --dport 80 -j TPROXY --on-port 15001 --on-ip 0.0.0.0 --tproxy-mark 0x200/0xffffffff";
        assert_eq!(port(iptables), Some(15001));
        assert_eq!(
            mark(iptables),
            Some(SetMark {
                value: 0x200,
                mask: u32::MAX
            })
        );
        assert_eq!(port("tcp dport 80 tproxy to :15001 meta mark set 0x1"), Some(15001));
        assert_eq!(port("meta l4proto tcp tproxy ip to 127.0.0.1:8080"), Some(8080));
        assert_eq!(
            (port("-j TPROXY --on-port 0"), mark("-j TPROXY --on-port 0")),
            (None, None)
        );
    }
}
