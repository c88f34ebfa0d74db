//! Candidates for the next word of a command line: those that the command line itself defines, and where the others come from.

use super::command_line::{TYPED, command as command_line};
use super::diagnose::BETWEEN;
use crate::kubernetes::cluster::{Access, KubeconfigEntry};
use clap::{Arg, Args as _, Command, FromArgMatches as _};
use diagnoses::rules::RULES;

/// Cobra's directive that no file names are wanted: what kubectl expects on the last line.
const NO_FILES: &str = ":4";

/// Arguments whose values only this machine or the cluster knows, by the name of their field.
const ENDPOINTS: [&str; 3] = ["source", "destination", "targets"];
const PROBES: &str = "probes";
const RULE_OR_PROBE: &str = "name";

/// Where candidates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateSource {
    /// These words.
    Words(Vec<String>),
    /// Endpoints of this machine or of the cluster.
    Endpoints,
    /// Names of probes.
    Probes,
    /// Names of an entry of the kubeconfig.
    Kubeconfig(KubeconfigEntry),
    /// Names of the cluster's namespaces.
    Namespaces,
    /// Names of the cluster's nodes.
    Nodes,
}

/// Where the candidates for `last` come from, after the words before it.
#[must_use]
pub fn wanted(before: &[String], last: &str) -> Vec<CandidateSource> {
    let root = command_line(TYPED);
    let mut command = &root;
    let mut positionals = 0;
    let mut value_of: Option<&Arg> = None;
    for word in before {
        if value_of.take().is_some() {
            continue;
        }
        if let Some(option) = option(command, word).or_else(|| option(&root, word)) {
            value_of = Some(option).filter(|option| option.get_action().takes_values() && !word.contains('='));
        } else if let Some(sub) = command.find_subcommand(word) {
            command = sub;
            positionals = 0;
        } else if !word.starts_with('-') {
            // The kind of question may be left out.
            command = command.find_subcommand(BETWEEN).unwrap_or(command);
            positionals += 1;
        }
    }
    if let Some(option) = value_of {
        return values(command, option);
    }
    if last.starts_with('-') {
        let long = |arg: &Arg| arg.get_long().map(|long| format!("--{long}"));
        let global = root.get_arguments().filter(|arg| arg.is_global_set());
        let all = command.get_arguments().chain(global).filter(|arg| !arg.is_hide_set());
        let mut options: Vec<String> = all.filter_map(long).collect();
        options.sort();
        options.dedup();
        return vec![CandidateSource::Words(options)];
    }
    let subcommands: Vec<String> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| sub.get_name().to_owned())
        .collect();
    if !subcommands.is_empty() {
        let mut wanted = vec![CandidateSource::Words(subcommands)];
        wanted.extend(command.find_subcommand(BETWEEN).map(|_| CandidateSource::Endpoints));
        return wanted;
    }
    let many = command
        .get_positionals()
        .last()
        .filter(|arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1));
    command
        .get_positionals()
        .nth(positionals)
        .or(many)
        .map(|arg| values(command, arg))
        .unwrap_or_default()
}

fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    command.get_arguments().find(|arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => name.len() == 2 && name.starts_with('-') && arg.get_short() == name.chars().nth(1),
    })
}

fn values(command: &Command, arg: &Arg) -> Vec<CandidateSource> {
    let possible: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    match arg.get_id().as_str() {
        _ if !possible.is_empty() => vec![CandidateSource::Words(possible)],
        id if ENDPOINTS.contains(&id) => vec![CandidateSource::Endpoints],
        PROBES => vec![CandidateSource::Probes],
        "context" => vec![CandidateSource::Kubeconfig(KubeconfigEntry::Context)],
        "cluster" => vec![CandidateSource::Kubeconfig(KubeconfigEntry::Cluster)],
        "user" => vec![CandidateSource::Kubeconfig(KubeconfigEntry::User)],
        "namespace" | "helper_namespace" => vec![CandidateSource::Namespaces],
        "node" => vec![CandidateSource::Nodes],
        RULE_OR_PROBE if command.get_name() == "explain" => {
            vec![
                CandidateSource::Words(RULES.iter().map(|rule| rule.id.to_owned()).collect()),
                CandidateSource::Probes,
            ]
        }
        _ => Vec::new(),
    }
}

/// Which cluster the words so far name.
#[must_use]
pub fn access(before: &[String]) -> Access {
    let alone = Access::augment_args(Command::new(TYPED).no_binary_name(true));
    let mut named: Vec<&String> = Vec::new();
    let mut words = before.iter();
    while let Some(word) = words.next() {
        if option(&alone, word).is_some() {
            named.push(word);
            named.extend((!word.contains('=')).then(|| words.next()).flatten());
        }
    }
    let matches = alone.try_get_matches_from(named);
    matches
        .and_then(|matches| Access::from_arg_matches(&matches))
        .unwrap_or_default()
}

/// The candidates that go on from `last`, one a line, and the directive. A shell takes them as they are: names that it would
/// read as more than a word are not offered.
#[must_use]
pub fn answer(last: &str, candidates: Vec<String>) -> Vec<String> {
    // In a list with commas only the last part is completed.
    let (done, part) = last.rsplit_once(',').map_or(("", last), |(done, part)| (done, part));
    let comma = if done.is_empty() { "" } else { "," };
    let mut fitting: Vec<String> = candidates
        .into_iter()
        .filter(|candidate| candidate.starts_with(part) && is_word(candidate))
        .map(|candidate| format!("{done}{comma}{candidate}"))
        .collect();
    fitting.sort();
    fitting.dedup();
    fitting.push(NO_FILES.to_owned());
    fitting
}

/// Needs no quotes in any shell.
fn is_word(candidate: &str) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:@%+=,".contains(letter);
    candidate.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::{CandidateSource, access, answer, wanted};

    fn words(line: &str) -> (Vec<String>, String) {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let last = words.pop().unwrap();
        (words, last)
    }

    fn listed(line: &str) -> Vec<String> {
        let (before, last) = words(line);
        let Some(CandidateSource::Words(listed)) = wanted(&before, &last).into_iter().next() else {
            panic!("{line}")
        };
        listed
    }

    #[test]
    fn commands_options_and_their_values_are_completed() {
        assert!(listed("").contains(&"diagnose".to_owned()));
        assert!(!listed("").contains(&"__complete".to_owned()));
        assert!(listed("diagnose ").contains(&"pod-to-service".to_owned()));
        assert!(!listed("diagnose ").contains(&"between".to_owned()));
        assert!(listed("diagnose pod-to-pod netns/a --pro").contains(&"--protocol".to_owned()));
        assert_eq!(listed("diagnose pod-to-pod --protocol "), ["tcp", "udp", "icmp"]);
        assert!(listed("explain net").contains(&"netfilter-drop".to_owned()));
        assert!(listed("diagnose pod-to-pod --lo").contains(&"--color".to_owned()));
    }

    #[test]
    fn endpoints_and_probes_are_this_machines() {
        for line in [
            "diagnose pod-to-pod ",
            "diagnose pod-to-pod --local netns/a ",
            "capture --local netns/a ",
            "diagnose -n shop pod-to-pod --context prod ",
            "diagnose web-1 ",
        ] {
            let (before, last) = words(line);
            assert_eq!(wanted(&before, &last), [CandidateSource::Endpoints], "{line}");
        }
        let (before, last) = words("capture --probe ");
        assert_eq!(wanted(&before, &last), [CandidateSource::Probes]);
        let (before, last) = words("diagnose ");
        assert!(
            wanted(&before, &last).contains(&CandidateSource::Endpoints),
            "the kind of question may be left out"
        );
    }

    #[test]
    fn the_cluster_is_the_one_that_the_words_name() {
        let (before, last) = words("diagnose pod-to-pod --context=prod -n shop --as-group g web-1 --namespace ");
        assert_eq!(wanted(&before, &last), [CandidateSource::Namespaces]);
        let (before, _) = words("diagnose pod-to-pod --context=prod -n shop web-1 ");
        assert_eq!(access(&before).given(), Some("--context"));
        assert_eq!(access(&[]).given(), None);
    }

    #[test]
    fn the_answer_is_what_kubectl_reads() {
        let candidates = || ["drop", "dns", "icmp"].map(str::to_owned).to_vec();
        assert_eq!(answer("d", candidates()), ["dns", "drop", ":4"]);
        assert_eq!(answer("icmp,dr", candidates()), ["icmp,drop", ":4"]);
    }

    #[test]
    fn names_that_are_more_than_a_word_are_not_offered() {
        let hostile = [
            "web\u{1b}[2J",
            "web\nrm",
            "web$(id)",
            "web b",
            "web`id`",
            "web;id",
            "web-1.x",
        ];
        let candidates = hostile.into_iter().map(str::to_owned).collect();
        assert_eq!(answer("w", candidates), ["web-1.x", ":4"]);
    }
}
