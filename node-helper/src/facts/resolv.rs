//! resolv.conf as glibc reads it (resolv.conf(5), glibc's `res_init.c`): what a pod's programs do is what counts.
//!
//! A library for resolvers reads the same file for a resolver of its own: `hickory_resolver` takes an indented line, a
//! fourth server and `ndots:99` as they are, takes a file without a server for an error, and keeps neither the options that
//! make glibc ask otherwise (`rotate`, `single-request`, `use-vc`) nor the lines it did not understand. It is the second
//! opinion in the tests below, where it agrees and where it does not.

use super::hosts;
use crate::system::door;
use anyhow::Context as _;
use model::facts::ResolvConf;
use model::missing::{Known, Missing};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};

const NAMESERVERS_MAX: usize = 3;
const NDOTS_MAX: u32 = 15;
const TIMEOUT_MAX_S: u32 = 30;
const ATTEMPTS_MAX: u32 = 5;

/// The one that programs in a named namespace see: `/etc/netns/NAME/resolv.conf`, as `ip netns exec` binds it, else the
/// machine's.
pub fn of_named(name: &str) -> Known<ResolvConf> {
    let own = |file: &str| door::metadata(format!("/etc/netns/{name}/{file}")).is_ok();
    let etc = |own: bool| {
        if own {
            format!("/etc/netns/{name}")
        } else {
            "/etc".to_owned()
        }
    };
    let conf = of_file(&format!("{}/resolv.conf", etc(own("resolv.conf"))));
    with_hosts(conf, &etc(own("hosts")))
}

/// The one a process sees.
pub fn of_process(pid: u32) -> Known<ResolvConf> {
    let etc = format!("/proc/{pid}/root/etc");
    with_hosts(of_file(&format!("{etc}/resolv.conf")), &etc)
}

/// The machine's own.
pub fn of_machine() -> Known<ResolvConf> {
    with_hosts(of_file("/etc/resolv.conf"), "/etc")
}

fn with_hosts(mut conf: Known<ResolvConf>, etc: &str) -> Known<ResolvConf> {
    if let Known::Known(conf) = &mut conf {
        conf.hosts = hosts::of_etc(etc);
    }
    conf
}

/// The one in a file. No file is no error to glibc: it then asks the local host.
pub fn of_file(path: &str) -> Known<ResolvConf> {
    let text = match door::text(path, door::FEW_LINES) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        other => other.with_context(|| format!("cannot read {path}")),
    };
    text.map(|text| parse(path, &text))
        .map_err(|error| {
            Missing::new("resolv.conf", format!("{error:#}")).remedy("run the helper as root, or with CAP_SYS_PTRACE")
        })
        .into()
}

/// What the text of a resolv.conf says.
pub fn parse(path: &str, text: &str) -> ResolvConf {
    let mut conf = ResolvConf {
        path: path.to_owned(),
        ndots: 1,
        timeout_s: 5,
        attempts: 2,
        ..ResolvConf::default()
    };
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        // A keyword stands in the first column and ends with white space.
        let (keyword, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let rest = rest.trim();
        let understood = match keyword {
            "nameserver" => add_nameserver(&mut conf, rest),
            "domain" => set_search(&mut conf, rest.split_whitespace().take(1)),
            "search" => set_search(&mut conf, rest.split_whitespace()),
            "options" => {
                rest.split_whitespace().for_each(|option| set_option(&mut conf, option));
                true
            }
            "sortlist" => true,
            _ => false,
        };
        if !understood {
            // By its number: whose file it is, nobody knows, and what is not understood may be anybody's secret.
            conf.garbage.push(format!("line {number}"));
        }
    }
    if conf.nameservers.is_empty() {
        conf.nameservers.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    conf
}

fn add_nameserver(conf: &mut ResolvConf, rest: &str) -> bool {
    let word = rest.split([' ', '\t', ';', '#']).next().unwrap_or_default();
    match word.parse() {
        Ok(address) if conf.nameservers.len() < NAMESERVERS_MAX => {
            conf.nameservers.push(address);
            true
        }
        _ => false,
    }
}

/// The last `domain` or `search` line wins; an empty one is ignored.
fn set_search<'a>(conf: &mut ResolvConf, names: impl Iterator<Item = &'a str>) -> bool {
    let names: Vec<String> = names.map(str::to_owned).collect();
    let any = !names.is_empty();
    if any {
        conf.search = names;
    }
    any
}

fn set_option(conf: &mut ResolvConf, option: &str) {
    // As atoi(3) does: digits up to the first other character, nothing is 0.
    let number = |text: &str| -> u32 {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().unwrap_or(if end == 0 { 0 } else { u32::MAX })
    };
    match option.split_once(':') {
        Some(("ndots", value)) => conf.ndots = number(value).min(NDOTS_MAX),
        Some(("timeout", value)) => conf.timeout_s = number(value).min(TIMEOUT_MAX_S),
        Some(("attempts", value)) => conf.attempts = number(value).min(ATTEMPTS_MAX),
        _ => conf.options.push(option.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_pods_resolv_conf() {
        let conf = parse(
            "/etc/resolv.conf",
            "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
        );
        assert_eq!(
            conf.search,
            ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        );
        assert_eq!(conf.nameservers, ["10.96.0.10".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!((conf.ndots, conf.timeout_s, conf.attempts), (5, 5, 2));
        assert!(conf.garbage.is_empty());
    }

    #[test]
    fn an_empty_one_asks_the_local_host_once_a_name_has_a_dot() {
        let conf = parse("x", "# nothing\n; here\n\n");
        assert_eq!(conf.nameservers, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(conf.ndots, 1);
        assert!(conf.search.is_empty());
    }

    #[test]
    fn the_last_of_search_and_domain_wins() {
        assert_eq!(parse("x", "search a b\ndomain c d\n").search, ["c"]);
        assert_eq!(parse("x", "domain c\nsearch a\tb\nsearch\n").search, ["a", "b"]);
    }

    #[test]
    fn limits_are_glibcs() {
        let conf = parse(
            "x",
            "options ndots:99 timeout:0 attempts:9 rotate\noptions single-request-reopen\n",
        );
        assert_eq!((conf.ndots, conf.timeout_s, conf.attempts), (15, 0, 5));
        assert_eq!(conf.options, ["rotate", "single-request-reopen"]);
    }

    #[test]
    fn a_fourth_server_and_what_is_no_address_are_not_used() {
        let conf = parse(
            "x",
            "nameserver 10.0.0.1 # first\nnameserver fd00::53;second\n nameserver 10.0.0.9\nnameserver dns\n\
             nameserver 10.0.0.3\nnameserver 10.0.0.4\n",
        );
        let servers: Vec<String> = conf.nameservers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1", "fd00::53", "10.0.0.3"]);
        assert_eq!(conf.garbage, ["line 3", "line 4", "line 6"]);
    }

    /// Servers, search list, ndots, timeout in seconds and attempts.
    type Settings = (Vec<String>, Vec<String>, usize, u64, usize);

    /// As hickory reads them.
    fn second_opinion(text: &str) -> Option<Settings> {
        let (config, options) = hickory_resolver::system_conf::parse_resolv_conf(text).ok()?;
        let servers = config.name_servers().iter().map(|server| server.ip.to_string());
        let search = config.search().iter().map(ToString::to_string);
        Some((
            servers.collect(),
            search.collect(),
            options.ndots,
            options.timeout.as_secs(),
            options.attempts,
        ))
    }

    fn ours(text: &str) -> Settings {
        let conf = parse("x", text);
        (
            conf.nameservers.iter().map(ToString::to_string).collect(),
            conf.search,
            conf.ndots as usize,
            conf.timeout_s.into(),
            conf.attempts as usize,
        )
    }

    #[test]
    fn hickory_reads_ordinary_files_the_same() {
        for text in [
            "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
            "# resolvconf\n; made by hand\n\nnameserver 192.0.2.1\nnameserver fd00::53\ndomain example.net\n",
            "search a b\ndomain c\nnameserver 10.0.0.1 # first\noptions timeout:1 attempts:3 rotate\n",
        ] {
            assert_eq!(Some(ours(text)), second_opinion(text), "{text}");
        }
    }

    #[test]
    fn glibc_is_followed_where_hickory_reads_otherwise() {
        for (text, why) in [
            (
                "nameserver 10.0.0.1\n nameserver 10.0.0.9\n",
                "glibc wants keywords in the first column",
            ),
            (
                "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n",
                "glibc asks three servers",
            ),
            (
                "nameserver 10.0.0.1\noptions ndots:99\n",
                "glibc has an upper bound of 15",
            ),
            ("search a\n", "without a server glibc asks the local host"),
            (
                "nameserver 10.0.0.1\nsearch a,b\n",
                "to glibc a comma is part of a name",
            ),
        ] {
            assert_ne!(Some(ours(text)), second_opinion(text), "{why}");
        }
    }
}
