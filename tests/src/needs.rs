//! What a scenario needs of the machine: a tool on PATH, or a kernel module (`module:ip_vs`), loaded, built in or loadable.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;

use crate::skoop;

/// The reason why this need is not met, if it is not.
pub fn missing(need: &str) -> Option<String> {
    match need.split_once(':') {
        Some(("module", module)) => (!has_module(module)).then(|| format!("needs the kernel module {module}")),
        Some((kind, _)) => Some(format!("needs `{need}`, and nobody here knows what a {kind} is")),
        None => (!on_path(need)).then(|| format!("needs {need}, which is not on PATH")),
    }
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let directories = path.split(':').chain(["/usr/sbin", "/sbin"]).map(PathBuf::from);
    directories
        .chain(skoop::helper_directory())
        .any(|directory| directory.join(tool).is_file())
}

fn has_module(module: &str) -> bool {
    let module = module.replace('-', "_");
    let quiet = |program: &str, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    Path::new("/sys/module").join(&module).exists() || built_in(&module) || quiet("modprobe", &["-q", &module])
}

/// Whether the running kernel's configuration, where it shows one, has this module built in.
fn built_in(module: &str) -> bool {
    let Ok(output) = Command::new("zcat")
        .arg("/proc/config.gz")
        .stderr(Stdio::null())
        .output()
    else {
        return false;
    };
    option(module).is_some_and(|option| {
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .any(|line| option.is_match(line))
    })
}

/// `sch_netem` is switched on by `CONFIG_NET_SCH_NETEM`, `xt_limit` by `CONFIG_NETFILTER_XT_MATCH_LIMIT`: the words of a
/// module's name in order, with others before and between them.
fn option(module: &str) -> Option<Regex> {
    let words = module
        .to_ascii_uppercase()
        .split('_')
        .map(regex::escape)
        .collect::<Vec<_>>()
        .join("_(.*_)?");
    Regex::new(&format!("^CONFIG_(.*_)?{words}=y$")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_behind_module_names() {
        for (module, line) in [
            ("sch_netem", "CONFIG_NET_SCH_NETEM=y"),
            ("xt_limit", "CONFIG_NETFILTER_XT_MATCH_LIMIT=y"),
            ("ip_vs", "CONFIG_IP_VS=y"),
        ] {
            assert!(option(module).unwrap().is_match(line), "{module}");
        }
        assert!(!option("ip_vs").unwrap().is_match("# CONFIG_IP_VS is not set"));
    }

    #[test]
    fn a_missing_tool_is_named() {
        assert_eq!(missing("sh"), None);
        assert!(missing("no-such-tool").unwrap().contains("no-such-tool"));
    }
}
