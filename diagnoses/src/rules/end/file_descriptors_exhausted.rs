//! The program has no file descriptor left, so it cannot accept connections.
//!
//! Why it happens: it leaks connections or files, or its limit (`ulimit -n`, `LimitNOFILE=`) is too small for its load. Or the
//! whole node has reached `fs.file-max`.
//!
//! How it knows: the process that holds the watched listener has as many descriptors open as it may, and connections wait in its
//! accept queue.
//!
//! Remedy: raise the limit, and find what the program keeps open (`ls /proc/PID/fd`).
//!
//! Silent on: processes that have descriptors left, and processes at their limit for which no connection waits.

use crate::case::Case;
use crate::case::far_end::{far_end, holders, latest, listener, process_words};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use crate::words::count;
use crate::words::shell::command;

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Fact("sockets")];

pub fn check(case: &Case<'_>) -> Checked {
    for tried in case.asked() {
        let Some(end) = far_end(case, tried.attempt.id) else {
            continue;
        };
        let waiting = listener(case, end).ok().flatten();
        let Some(socket) = waiting.filter(|socket| socket.rx_queue > 0 && socket.state == "LISTEN") else {
            continue;
        };
        let full = holders(case, end.netns, socket)
            .into_iter()
            .map(latest)
            .find_map(|process| {
                let open = *process.fds.ok()?;
                (process.fd_limit > 0 && open >= process.fd_limit).then_some((process, open))
            });
        let Some((process, open)) = full else { continue };
        let netns = case.name(end.netns);
        let who = process_words(process);
        return Ok(vec![
            fatal(
                "file-descriptors-exhausted",
                format!("{who} in {netns} has no file descriptor left and cannot accept"),
            )
            .at(case.node(end.netns), &netns)
            .remedy(
                Remedy::from("raise its limit (ulimit -n, LimitNOFILE=) and see what it keeps open")
                    .run(": ", command("ls -l {}", &[&format!("/proc/{}/fd", process.pid)])),
            )
            .because(format!(
                "{who} has {open} descriptors open, its limit is {}",
                process.fd_limit
            ))
            .and(format!(
                "{} waiting to be accepted",
                count(socket.rx_queue as usize, "connection")
            )),
        ]);
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::ProcessFacts;
    use model::missing::Known;

    fn at_limit(waiting: u32, open: u64) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        scene.facts(scenes::C, |facts| {
            if let Known::Known(sockets) = &mut facts.sockets {
                sockets[0].pids = vec![42];
                sockets[0].rx_queue = waiting;
            }
        });
        let process = ProcessFacts {
            pid: 42,
            name: "server".to_owned(),
            fds: Known::Known(open),
            fd_limit: 64,
            ..ProcessFacts::default()
        };
        scene.evidence.processes.push((process, None));
        scene
    }

    #[test]
    fn a_process_at_its_limit_with_connections_waiting_is_named() {
        assert_eq!(
            scenes::causes(&judge(&at_limit(3, 64).evidence)),
            ["file-descriptors-exhausted"]
        );
    }

    #[test]
    fn one_with_descriptors_to_spare_or_nothing_waiting_is_not() {
        assert_eq!(scenes::causes(&judge(&at_limit(0, 64).evidence)), Vec::<String>::new());
        assert_eq!(scenes::causes(&judge(&at_limit(1, 63).evidence)), Vec::<String>::new());
    }
}
