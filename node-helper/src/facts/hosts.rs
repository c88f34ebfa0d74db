//! The hosts file, and whether it is asked before DNS: what a pod's programs do before they ask any name server (hosts(5),
//! nsswitch.conf(5)).

use crate::system::door;
use model::facts::{HostsEntry, HostsFile};
use std::net::IpAddr;

/// That of a tree of files, where programs there ask it: `etc` is its `/etc`.
pub fn of_etc(etc: &str) -> Option<HostsFile> {
    let path = format!("{etc}/hosts");
    let text = door::text(&path, door::FEW_LINES).ok()?;
    let switch = door::text(format!("{etc}/nsswitch.conf"), door::FEW_LINES).unwrap_or_default();
    Some(HostsFile {
        path,
        before_dns: before_dns(&switch)?,
        entries: parse(&text),
    })
}

/// What the text of a hosts file says: an address and its names in a line. All of it, as far as the file is read: programs find a name
/// in its last line, too.
pub fn parse(text: &str) -> Vec<HostsEntry> {
    let entry = |line: &str| {
        let (said, _) = line.split_once('#').unwrap_or((line, ""));
        let mut words = said.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        let names: Vec<String> = words.map(str::to_owned).collect();
        (!names.is_empty()).then_some(HostsEntry { address, names })
    };
    text.lines().filter_map(entry).collect()
}

/// Whether the file comes before DNS; `None` where it is not asked. Without such a line it comes first.
fn before_dns(switch: &str) -> Option<bool> {
    let line = switch.lines().find_map(|line| line.trim_start().strip_prefix("hosts:"));
    let Some(line) = line else { return Some(true) };
    let (line, _) = line.split_once('#').unwrap_or((line, ""));
    let place = |service: &str| line.split_whitespace().position(|word| word == service);
    let files = place("files")?;
    Some(place("dns").is_none_or(|dns| files < dns))
}

#[cfg(test)]
mod tests {
    use super::{before_dns, parse};

    #[test]
    fn what_kubelet_writes() {
        let entries = parse(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\nfe00::0\tip6-mcastprefix\n10.244.1.3\ta\n\n\
             # Entries added by HostAliases.\n203.0.113.10\tmail.partner.example\tmail # two names\nnonsense x\n1.2.3.4\n",
        );
        let said: Vec<(String, Vec<String>)> = entries
            .into_iter()
            .map(|entry| (entry.address.to_string(), entry.names))
            .collect();
        assert_eq!(said.len(), 4);
        assert_eq!(
            said[3],
            (
                "203.0.113.10".to_owned(),
                vec!["mail.partner.example".to_owned(), "mail".to_owned()]
            )
        );
    }

    #[test]
    fn a_name_in_the_last_of_many_lines_is_found_as_programs_find_it() {
        let blocked: Vec<String> = (0..2_000).map(|at| format!("0.0.0.0 blocked-{at}.example\n")).collect();
        let text = blocked.concat();
        let entries = parse(&(text + "10.0.0.7 api.partner.example\n"));
        assert_eq!(
            entries.last().map(|entry| entry.names.as_slice()),
            Some(&["api.partner.example".to_owned()][..])
        );
    }

    #[test]
    fn the_order_is_that_of_nsswitch() {
        for (switch, wanted) in [
            ("", Some(true)),
            ("passwd: files\nhosts: files dns\n", Some(true)),
            ("hosts:          files mymachines dns [!UNAVAIL=return]\n", Some(true)),
            ("hosts: dns files # odd\n", Some(false)),
            ("hosts: dns\n", None),
            ("#hosts: dns\n", Some(true)),
        ] {
            assert_eq!(before_dns(switch), wanted, "{switch}");
        }
    }
}
