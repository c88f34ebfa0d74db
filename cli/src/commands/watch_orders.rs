//! What the user orders while `top -w` goes on, by keys on a terminal or by lines elsewhere. What is shown, and by which probes, is
//! decided here; nothing is asked and nothing printed.

use super::numbers_look::{Steering, known_probe};
use crate::typed::Typed;
use anyhow::Result;
use model::protocol::Hello;

/// How a look is shown, and what is being typed.
#[derive(Debug, Default)]
pub struct WatchOrders {
    /// The column that rows are sorted by; by what hurts where none is chosen.
    pub sorted_by: Option<usize>,
    /// The next key chooses a probe.
    chooses_probe: bool,
}

/// What a list of probes is chosen from by one key each.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";

impl WatchOrders {
    /// What comes of something typed: `columns` are shown, `probes` are read. An error says what was not understood.
    pub fn take(
        &mut self,
        typed: &Typed,
        hello: &Hello,
        probes: &[String],
        columns: usize,
    ) -> Result<Option<Steering>> {
        match typed {
            Typed::Line(line) => self.line(line, hello, probes, columns),
            Typed::Key(key) if self.chooses_probe => {
                self.chooses_probe = false;
                let chosen = LETTERS.find(*key).and_then(|at| hello.probes.get(at));
                match chosen {
                    Some(probe) if probes.contains(&probe.name) => without(&probe.name, probes),
                    Some(probe) => with(&probe.name, hello, probes),
                    None => Ok(Some(Steering::Shown)),
                }
            }
            Typed::Key('q') => Ok(Some(Steering::End)),
            Typed::Key('s') => Ok(Some(self.sort_by_next(columns))),
            Typed::Key('p') => {
                self.chooses_probe = true;
                Ok(Some(Steering::Shown))
            }
            Typed::Key(_) => Ok(None),
        }
    }

    fn line(&mut self, line: &str, hello: &Hello, probes: &[String], columns: usize) -> Result<Option<Steering>> {
        match (line, line.split_at_checked(1)) {
            ("q", _) => Ok(Some(Steering::End)),
            ("s", _) => Ok(Some(self.sort_by_next(columns))),
            (_, Some(("+", name))) => with(name, hello, probes),
            (_, Some(("-", name))) => without(name, probes),
            _ => Err(anyhow::anyhow!(
                "`{line}` was not understood; +PROBE and -PROBE switch probes, s sorts by the next column, q ends"
            )),
        }
    }

    fn sort_by_next(&mut self, columns: usize) -> Steering {
        self.sorted_by = match self.sorted_by {
            None if columns > 0 => Some(0),
            Some(at) if at + 1 < columns => Some(at + 1),
            _ => None,
        };
        Steering::Shown
    }

    /// The keys that there are, in a line; the probes, each with its key, while one is chosen.
    pub fn keys(&self, hello: &Hello, probes: &[String]) -> String {
        if !self.chooses_probe {
            return "p probes · s sort · q end".to_owned();
        }
        let one = |(key, probe): (char, &model::protocol::ProbeStatus)| {
            let mark = if probes.contains(&probe.name) { "*" } else { "" };
            format!("{key} {}{mark}", probe.name)
        };
        let all: Vec<String> = LETTERS.chars().zip(&hello.probes).map(one).collect();
        format!("switch a probe (* is read): {}", all.join(" · "))
    }
}

fn with(name: &str, hello: &Hello, probes: &[String]) -> Result<Option<Steering>> {
    known_probe(name, hello.probes.iter().map(|probe| probe.name.as_str()))?;
    if FOLLOWS_PACKETS.contains(&name) {
        return Err(anyhow::anyhow!(
            "probe {name} follows single packets and tells no numbers; see it with `capture --probe {name}`"
        ));
    }
    if probes.iter().any(|other| other == name) {
        return Ok(None);
    }
    let next = probes.iter().cloned().chain([name.to_owned()]);
    Ok(Some(Steering::Probes(next.collect())))
}

/// Probes that follow single packets, and so need to know which.
const FOLLOWS_PACKETS: [&str; 2] = ["path", "transmit"];

fn without(name: &str, probes: &[String]) -> Result<Option<Steering>> {
    let next: Vec<String> = probes.iter().filter(|other| *other != name).cloned().collect();
    match next.len() {
        0 => Err(anyhow::anyhow!(
            "{name} is the last probe; add another one first (+PROBE)"
        )),
        same if same == probes.len() => Err(anyhow::anyhow!(
            "probe {name} is not read; those are: {}",
            probes.join(", ")
        )),
        _ => Ok(Some(Steering::Probes(next))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Steering, WatchOrders};
    use crate::typed::Typed;
    use model::protocol::{Hello, ProbeStatus};

    fn hello() -> Hello {
        let named = |name: &str| ProbeStatus {
            name: name.to_owned(),
            ..ProbeStatus::default()
        };
        Hello {
            probes: ["tcp", "netdev", "path"].map(named).into(),
            ..Hello::default()
        }
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    /// What these come to, one after the other, while `tcp` is read.
    fn typed(all: &[Typed]) -> (WatchOrders, Vec<Result<Option<Steering>, String>>) {
        let mut orders = WatchOrders::default();
        let steering = all.iter().map(|typed| {
            let steering = orders.take(typed, &hello(), &names(&["tcp"]), 2);
            steering.map_err(|error| error.to_string())
        });
        let steering = steering.collect();
        (orders, steering)
    }

    #[test]
    fn keys_switch_probes_sort_and_end() {
        let keys = |text: &str| typed(&text.chars().map(Typed::Key).collect::<Vec<_>>());
        let (_, last) = keys("pbq");
        let with_netdev = Some(Steering::Probes(names(&["tcp", "netdev"])));
        assert_eq!(
            last,
            [Ok(Some(Steering::Shown)), Ok(with_netdev), Ok(Some(Steering::End))]
        );
        assert_eq!(keys("s").0.sorted_by, Some(0));
        assert_eq!(keys("ss").0.sorted_by, Some(1));
        assert_eq!(keys("sss").0.sorted_by, None, "by what hurts again");
        let (orders, _) = keys("p");
        assert_eq!(
            orders.keys(&hello(), &names(&["tcp"])),
            "switch a probe (* is read): a tcp* · b netdev · c path"
        );
    }

    #[test]
    fn lines_switch_probes_and_what_cannot_be_is_said() {
        let line = |text: &str| typed(&[Typed::Line(text.to_owned())]).1.remove(0);
        assert_eq!(line("+netdev"), Ok(Some(Steering::Probes(names(&["tcp", "netdev"])))));
        assert_eq!(line("q"), Ok(Some(Steering::End)));
        for (wrong, says) in [
            ("+ntdev", "there is no probe `ntdev`; did you mean `netdev`?"),
            ("+path", "probe path follows single packets"),
            ("-netdev", "probe netdev is not read"),
            ("-tcp", "tcp is the last probe"),
            ("faster", "`faster` was not understood"),
        ] {
            let error = line(wrong).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
