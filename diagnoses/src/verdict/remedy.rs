//! What the reader can do: words, and commands among them. Only a [`Command`] stands between backquotes, so that no name can
//! pretend to be one.

use crate::words::shell::Command;

/// A remedy under construction.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Remedy {
    text: String,
    on_node: bool,
}

impl Remedy {
    /// With these words behind it.
    pub fn say(mut self, words: impl AsRef<str>) -> Self {
        self.text += &words.as_ref().replace('`', "'");
        self
    }

    /// With a command behind it and these words before that; with neither, where no command can be given. Nobody changes what he
    /// has not looked at: what shows it comes before what changes it.
    pub fn run(mut self, before: &'static str, command: Option<Command>) -> Self {
        if let Some(command) = command {
            self.text += before;
            if let Some(shows) = &command.shown_by() {
                self.text.extend(["`", shows, "` shows it, then "]);
            }
            self.text.extend(["`", &command.text(), "`"]);
            self.on_node |= command.on_node;
        }
        self
    }

    /// With a command behind it, and words before and behind that; with none of them, where no command can be given.
    pub fn tell(self, before: &'static str, command: Option<Command>, behind: &'static str) -> Self {
        let behind = if command.is_some() { behind } else { "" };
        self.run(before, command).say(behind)
    }

    /// The node on which its commands are to be run is said first, unless it is said already.
    pub fn on_node(&mut self, node: &str) {
        let apart = |letter: char| letter.is_whitespace() || "`,:;()".contains(letter);
        if self.on_node && !self.text.split(apart).any(|word| word == node) {
            self.text = format!("on node {}: {}", node.replace('`', "'"), self.text);
        }
    }

    /// As the report prints it.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// Words without a command.
impl<T: AsRef<str>> From<T> for Remedy {
    fn from(words: T) -> Self {
        Self::default().say(words)
    }
}

#[cfg(test)]
mod tests {
    use super::Remedy;
    use crate::words::shell::command;

    #[test]
    fn only_a_command_stands_in_backquotes() {
        let remedy = Remedy::from("see `id`")
            .run(": ", command("ip link show {}", &[&"a b"]))
            .say(", or `reboot`");
        assert_eq!(remedy.into_text(), "see 'id': `ip link show 'a b'`, or 'reboot'");
        let nothing = Remedy::from("see it").run(": ", command("ip link show {}", &[&"a\nb"]));
        assert_eq!(nothing.into_text(), "see it");
    }

    #[test]
    fn what_shows_a_thing_comes_before_what_changes_it() {
        let said =
            |ours, names: &[&dyn core::fmt::Display]| Remedy::default().run("", command(ours, names)).into_text();
        assert_eq!(
            said("ip link set {} up", &[&"a b"]),
            "`ip link show 'a b'` shows it, then `ip link set 'a b' up`"
        );
        assert_eq!(
            said("sysctl -w {}", &[&"net/ipv4/conf/a 'b/rp_filter=2"]),
            r"`sysctl 'net/ipv4/conf/a '\''b/rp_filter'` shows it, then `sysctl -w 'net/ipv4/conf/a '\''b/rp_filter=2'`"
        );
        assert_eq!(
            said("ip -6 route add {} via {}", &[&"fd00::/64", &"fe80::1"]),
            "`ip -6 route show table all` shows it, then `ip -6 route add fd00::/64 via fe80::1`"
        );
        let inside =
            command("ip neigh del {} dev {}", &[&"10.0.0.2", &"eth0"]).map(|own| own.inside("nsenter -t 7 -n "));
        assert_eq!(
            Remedy::default().run("", inside).into_text(),
            "`nsenter -t 7 -n ip neigh show 10.0.0.2 dev eth0` shows it, then `nsenter -t 7 -n ip neigh del 10.0.0.2 dev eth0`"
        );
    }

    #[test]
    fn the_node_is_named_where_a_command_is_of_it() {
        let said = |remedy: Remedy| {
            let mut remedy = remedy;
            remedy.on_node("n1");
            remedy.into_text()
        };
        assert_eq!(
            said(Remedy::default().run("", command("ip link", &[]))),
            "on node n1: `ip link`"
        );
        assert_eq!(
            said(Remedy::from("on n1: ").run("", command("ip link", &[]))),
            "on n1: `ip link`"
        );
        assert_eq!(
            said(Remedy::default().run("", command("kubectl get nodes", &[]))),
            "`kubectl get nodes`"
        );
    }
}
