//! Every case of every rule's own tests is judged once more with names that strangers have chosen: whatever commands come of it,
//! a shell reads each name as one word, or there is no command.

use crate::Judgement;
use model::evidence::Evidence;
use serde_json::Value;
use std::collections::BTreeSet;

/// What makes a name hostile, and whether a word of a shell can be made of it.
const HOSTILE: [(&str, bool); 4] = [
    (";reboot $(id) 'it\"\\|&>~*#{a,b}", true),
    ("`reboot`", false),
    ("\nreboot\u{1b}]0;x\u{7}", false),
    ("\u{202e}", false),
];
/// What our commands begin with, inside a namespace or not.
const TOOLS: [&str; 24] = [
    "ip",
    "nsenter",
    "nft",
    "iptables-nft",
    "iptables-legacy",
    "ip6tables-nft",
    "ip6tables-legacy",
    "iptables-save",
    "bridge",
    "sysctl",
    "tc",
    "bpftool",
    "conntrack",
    "kubectl",
    "kubectl-skoop",
    "modprobe",
    "systemctl",
    "ls",
    "cat",
    "kill",
    "ethtool",
    "ping",
    "netns",
    "ps",
];
/// Words of ours that change something.
const CHANGES: [&str; 10] = [
    "set", "add", "del", "delete", "replace", "patch", "restart", "-w", "-D", "-CONT",
];
/// Words of the protocol, the kernel and Kubernetes that a name may happen to be, too.
const OURS: [&str; 13] = [
    "", "dns", "tcp", "udp", "icmp", "ip", "inet", "veth", "bridge", "vxlan", "Pod", "Service", "default",
];

/// Judges it with hostile names.
pub fn check(evidence: &Evidence, judge: impl Fn(&Evidence) -> Judgement) {
    let plain = serde_json::to_value(evidence).unwrap();
    let mut names = BTreeSet::new();
    collect(&plain, "", &mut names);
    names.retain(|name| !OURS.contains(&name.as_str()));
    for (mark, sayable) in HOSTILE {
        let all = |name: &str| names.contains(name).then(|| rename(name, |own| format!("{own}{mark}")));
        let judgement = judge(&serde_json::from_value(renamed(&plain, &all)).unwrap());
        for lack in &judgement.missing {
            for command in commands(&lack.remedy) {
                assert!(sayable || !command.contains(mark), "{}: {command:?}", lack.what);
                assert_eq!(unquoted(command), None, "{}: {command:?}", lack.what);
            }
        }
        for verdict in judgement.verdicts {
            let mut shown = false;
            for command in commands(&verdict.remedy) {
                let changes = command.split(' ').any(|word| CHANGES.contains(&word));
                assert!(
                    !changes || shown,
                    "{}: nothing shows what {command:?} changes",
                    verdict.rule
                );
                shown = !changes;
                assert!(sayable || !command.contains(mark), "{}: {command:?}", verdict.rule);
                let words = shlex::split(command).unwrap_or_else(|| panic!("{}: {command:?}", verdict.rule));
                assert!(TOOLS.contains(&words[0].as_str()), "{}: {command:?}", verdict.rule);
                assert_eq!(unquoted(command), None, "{}: {command:?}", verdict.rule);
            }
        }
    }
    let options = |name: &str| names.contains(name).then(|| rename(name, |own| format!("-rf{own}")));
    for verdict in judge(&serde_json::from_value(renamed(&plain, &options)).unwrap()).verdicts {
        for command in commands(&verdict.remedy) {
            let words = shlex::split(command).unwrap();
            assert!(
                !words.iter().any(|word| word.starts_with("-rf")),
                "{}: {command:?}",
                verdict.rule
            );
        }
    }
}

/// A name that says what it is keeps that.
fn rename(name: &str, new: impl Fn(&str) -> String) -> String {
    match name.strip_prefix("netns/") {
        Some(own) => format!("netns/{}", new(own)),
        None => new(name),
    }
}

/// What somebody chose: names of interfaces, namespaces, chains, tables, sets, objects, processes, nodes.
fn collect(value: &Value, key: &str, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text)
            if matches!(
                key,
                "name" | "asked" | "node" | "table" | "namespace" | "comment" | "managed_by"
            ) =>
        {
            names.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, names)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "errno" | "probes" => {}
                    "sets" => names.extend(value.as_object().into_iter().flat_map(serde_json::Map::keys).cloned()),
                    _ => collect(value, key, names),
                }
            }
        }
        _ => {}
    }
}

/// The same with every name exchanged, wherever it stands.
fn renamed(value: &Value, new: &impl Fn(&str) -> Option<String>) -> Value {
    let sysctl = |key: &str| {
        let parts: Vec<&str> = key.split('.').collect();
        match parts.as_slice() {
            ["net", family, "conf", interface, setting] => {
                Some(format!("net.{family}.conf.{}.{setting}", new(interface)?))
            }
            _ => None,
        }
    };
    match value {
        Value::String(text) if text.starts_with("-A ") => {
            // A rule as iptables-save writes it.
            let saved = |argument: String| {
                let argument = new(&argument).unwrap_or(argument);
                format!(
                    "\"{}\"",
                    argument.replace('\\', r"\\").replace('"', "\\\"").replace('\'', r"\'")
                )
            };
            let arguments = crate::words::shell::arguments(text).unwrap();
            let words: Vec<String> = arguments.into_iter().map(saved).collect();
            Value::String(words.join(" ").replacen("\"-A\"", "-A", 1))
        }
        Value::String(text) => Value::String(new(text).unwrap_or_else(|| text.clone())),
        Value::Array(items) => items.iter().map(|item| renamed(item, new)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value.as_object().filter(|_| key == "sets") {
                Some(sets) => {
                    let sets = sets.iter();
                    let sets = sets.map(|(name, all)| (new(name).unwrap_or_else(|| name.clone()), renamed(all, new)));
                    (key.clone(), sets.collect())
                }
                None => (sysctl(key).unwrap_or_else(|| key.clone()), renamed(value, new)),
            })
            .collect(),
        other => other.clone(),
    }
}

/// What stands between backquotes.
fn commands(remedy: &str) -> Vec<&str> {
    let parts: Vec<&str> = remedy.split('`').collect();
    assert!(parts.len() % 2 == 1, "{remedy}");
    parts.into_iter().skip(1).step_by(2).collect()
}

/// A letter that means something to a shell and is not in quotes.
fn unquoted(command: &str) -> Option<char> {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@%+=, ".contains(letter);
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => letters.by_ref().find(|letter| *letter == '\'').map(|_| ())?,
            '\\' if letters.next() == Some('\'') => {}
            letter if bare(letter) => {}
            letter => return Some(letter),
        }
    }
    None
}
