//! resolv.conf as glibc reads it (resolv.conf(5), glibc's `res_init.c`).

use anyhow::Context as _;
use model::facts::ResolvConf;
use model::missing::{Known, Missing};
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

const NAMESERVERS_MAX: usize = 3;
const NDOTS_MAX: u32 = 15;
const TIMEOUT_MAX_S: u32 = 30;
const ATTEMPTS_MAX: u32 = 5;

/// The one that programs in a named namespace see: `/etc/netns/NAME/resolv.conf`, as `ip netns exec` binds it, else the
/// machine's.
pub fn of_named(name: &str) -> Known<ResolvConf> {
    let own = format!("/etc/netns/{name}/resolv.conf");
    if Path::new(&own).exists() {
        of_file(&own)
    } else {
        of_file("/etc/resolv.conf")
    }
}

/// The one a process sees.
pub fn of_process(pid: u32) -> Known<ResolvConf> {
    of_file(&format!("/proc/{pid}/root/etc/resolv.conf"))
}

/// The one in a file. No file is no error to glibc: it then asks the local host.
pub fn of_file(path: &str) -> Known<ResolvConf> {
    let text = match fs::read_to_string(path) {
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
    for line in text.lines() {
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
            conf.garbage.push(line.to_owned());
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
        assert_eq!(
            conf.garbage,
            [" nameserver 10.0.0.9", "nameserver dns", "nameserver 10.0.0.4"]
        );
    }
}
