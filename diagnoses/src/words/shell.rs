//! Commands that a tired person pastes: a name in one is a single word of a shell, or there is no command.

use core::fmt::{self, Display};
use model::letter::all_plain;

/// Longer names are nobody's.
const LONGEST: usize = 1024;

/// One line for a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// By what it is run: nothing, or a command that ends with a space.
    inside: String,
    words: Vec<String>,
    /// It is to be run on a node, and not wherever kubectl runs.
    pub(crate) on_node: bool,
}

/// A name as one word of a POSIX shell (IEEE Std 1003.1, 2.2); `None` for one that could be taken for anything else: that holds
/// letters which are not plain, a backquote (in which commands are shown), or begins like an option.
#[must_use]
pub fn word(name: &str) -> Option<String> {
    if name.starts_with('-') { None } else { argument(name) }
}

/// A text as one word of a shell; it may begin like an option, as the words of a rule do.
fn argument(text: &str) -> Option<String> {
    if text.len() > LONGEST || text.contains('`') || !all_plain(text) {
        return None;
    }
    let bare = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@%+=,".contains(letter);
    Some(if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    })
}

/// A command: words of ours, and a name for each `{}` among them; `None` where a name makes no word.
#[must_use]
pub fn command(ours: &'static str, names: &[&dyn Display]) -> Option<Command> {
    let mut names = names.iter();
    let words: Option<Vec<String>> = ours
        .split(' ')
        .map(|own| match own {
            "{}" => word(&names.next()?.to_string()),
            own => Some(own.to_owned()),
        })
        .collect();
    Some(Command {
        inside: String::new(),
        words: words?,
        on_node: !ours.starts_with("kubectl"),
    })
}

/// The command that shows what another one changes; `None` for one that changes nothing, or a rule, which is shown by its chain.
fn shown_by(words: &[&str]) -> Option<String> {
    let shows = match words {
        ["ip", "-6", rest @ ..] => {
            return shown_by(&[&["ip"], rest].concat()).map(|shows| shows.replacen("ip", "ip -6", 1));
        }
        ["ip", "link", "set", device, ..] => format!("ip link show {device}"),
        ["ip", "addr" | "address", "add" | "del", .., "dev", device] => format!("ip address show dev {device}"),
        ["ip", "neigh", "del", address, "dev", device]
        | ["ip", "neigh", "replace", address, _, _, "dev", device, ..] => {
            format!("ip neigh show {address} dev {device}")
        }
        ["ip", "route", "add" | "del", ..] => "ip route show table all".to_owned(),
        ["ip", "rule", "add" | "del", ..] => "ip rule show".to_owned(),
        ["bridge", "link", "set", "dev", device, ..] => format!("bridge -d link show dev {device}"),
        ["bridge", "fdb", "add" | "replace", _, "dev", device, ..] => format!("bridge fdb show dev {device}"),
        ["conntrack", "-D", which @ ..] => format!("conntrack -L {}", which.join(" ")),
        ["sysctl", "-w", setting] => {
            let (key, _) = setting.rsplit_once('=')?;
            // A quote that was opened is closed behind the name.
            format!("sysctl {key}{}", if key.starts_with('\'') { "'" } else { "" })
        }
        ["kill", "-CONT", pid] => format!("ps -o pid,stat,comm -p {pid}"),
        ["kubectl", "-n", namespace, "patch", kind, name, ..] => {
            format!("kubectl -n {namespace} get {kind} {name} -o yaml")
        }
        _ => return None,
    };
    Some(shows)
}

/// As it stands in a text: between backquotes.
impl Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text())
    }
}

/// A command for a text that cannot do without it: where a name makes no word, only our words before that name.
#[must_use]
pub fn said(ours: &'static str, names: &[&dyn Display]) -> String {
    command(ours, names).map_or_else(
        || ours.split(" {}").next().unwrap_or(ours).to_owned(),
        |command| command.to_string(),
    )
}

impl Command {
    /// As it is typed.
    pub fn text(&self) -> String {
        format!("{}{}", self.inside, self.words.join(" "))
    }

    /// What shows the thing that it changes; `None` for one that changes nothing.
    pub fn shown_by(&self) -> Option<String> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        Some(format!("{}{}", self.inside, shown_by(&words)?))
    }

    /// With these arguments behind it, each of its own.
    #[must_use]
    pub fn with(mut self, arguments: &[String]) -> Option<Self> {
        for text in arguments {
            self.words.push(argument(text)?);
        }
        Some(self)
    }

    /// Run by another one, which ends with a space.
    #[must_use]
    pub fn inside(mut self, prefix: &str) -> Self {
        self.inside.insert_str(0, prefix);
        self
    }
}

/// The arguments of a rule as iptables-save writes it; `None` where it does not end as it began. Within double quotes a
/// backslash stands before what is meant as it is (`xtables_save_string` of iptables).
#[must_use]
pub fn arguments(rule: &str) -> Option<Vec<String>> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quoted = false;
    let mut letters = rule.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                quoted = !quoted;
                current.get_or_insert_default();
            }
            '\\' if quoted => current.get_or_insert_default().push(letters.next()?),
            ' ' if !quoted => arguments.extend(current.take()),
            letter => current.get_or_insert_default().push(letter),
        }
    }
    arguments.extend(current);
    (!quoted).then_some(arguments)
}

/// A name in nft's own language, which has no quotes for it (`string` of nftables' `scanner.l`).
#[must_use]
pub fn is_nft_name(name: &str) -> bool {
    let first = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    first
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_./-".contains(letter))
}

/// A setting of an interface as `sysctl` takes it: with slashes where the name has dots of its own (sysctl(8)).
#[must_use]
pub fn of_interface(scope: &str, interface: &str, setting: &str) -> String {
    if interface.contains('.') {
        format!("{}/{interface}/{setting}", scope.replace('.', "/"))
    } else {
        format!("{scope}.{interface}.{setting}")
    }
}

#[cfg(test)]
mod tests {
    use super::{arguments, command, is_nft_name, word};

    #[test]
    fn a_name_is_one_word_or_none() {
        for name in [
            "eth0",
            "eth0;reboot",
            "$(id)",
            "a b",
            "it's",
            "\"",
            "~",
            "*",
            "\\",
            "мир",
            "{a,b}",
            "!x",
            "#",
        ] {
            let said = command("ip link show {}", &[&name]).unwrap().text();
            assert_eq!(shlex::split(&said).unwrap(), ["ip", "link", "show", name], "{said}");
        }
        for name in [
            "-rf",
            "a`id`",
            "a\nb",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "a\u{a0}b",
            "a\u{9b}",
        ] {
            assert_eq!(command("ip link show {}", &[&name]), None, "{name:?}");
        }
        assert_eq!(word("").as_deref(), Some("''"));
        assert_eq!(
            word("net.ipv4.conf.eth0.rp_filter=2").as_deref(),
            Some("net.ipv4.conf.eth0.rp_filter=2")
        );
    }

    #[test]
    fn a_rule_is_read_as_it_was_saved() {
        let words = |rule| arguments(rule).unwrap();
        assert_eq!(
            words(r#"-A FORWARD ! -i eth0 -m comment --comment "it's \"x\" \\ $(id)" -j DROP"#),
            [
                "-A",
                "FORWARD",
                "!",
                "-i",
                "eth0",
                "-m",
                "comment",
                "--comment",
                r#"it's "x" \ $(id)"#,
                "-j",
                "DROP"
            ]
        );
        assert_eq!(words(r#"-m comment --comment """#), ["-m", "comment", "--comment", ""]);
        assert_eq!(arguments(r#"-m comment --comment "open"#), None);
    }

    #[test]
    fn what_nft_would_read_as_more_than_a_name_is_none() {
        assert!(is_nft_name("KUBE-SERVICES") && is_nft_name("filter_INPUT") && is_nft_name("raw.1"));
        for name in ["a; flush ruleset", "", "1st", "a b", "a}", "*", "ü"] {
            assert!(!is_nft_name(name), "{name}");
        }
    }
}
