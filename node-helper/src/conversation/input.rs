//! What reaches the session: lines of the client, signals, and flows that a worker wants watched.

use model::attempt::WatchedFlow;
use model::protocol::LINE_MAX_BYTES;
use nix::sys::signal::Signal;
use std::io::{BufRead, Read as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Something the session reacts to.
#[derive(Debug, PartialEq)]
pub enum Input {
    /// A line of the client, without its end.
    Line(Vec<u8>),
    /// A line beyond [`LINE_MAX_BYTES`]: nothing after it can be trusted.
    TooLong,
    /// The client's end of stdin is closed.
    End,
    /// SIGTERM or SIGINT.
    Signal(Signal),
    /// A running attempt of this plan is about to use a tuple that was not planned.
    Watch {
        /// The plan's id.
        id: u32,
        /// The tuple.
        flow: WatchedFlow,
    },
}

/// Few lines wait: a client that talks faster than it is answered must wait itself.
pub fn channel() -> (SyncSender<Input>, Receiver<Input>) {
    sync_channel(16)
}

/// Passes lines on until the input ends or a line is too long, and says which.
pub fn read_lines(mut input: impl BufRead, tell: &SyncSender<Input>) {
    loop {
        let mut line = Vec::new();
        let most = LINE_MAX_BYTES as u64 + 1;
        let read = input.by_ref().take(most).read_until(b'\n', &mut line);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let next = match read {
            Err(_) | Ok(0) => Input::End,
            Ok(_) if line.len() > LINE_MAX_BYTES => Input::TooLong,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => Input::Line(line),
        };
        let last = !matches!(next, Input::Line(_));
        if tell.send(next).is_err() || last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, channel, read_lines};
    use model::protocol::LINE_MAX_BYTES;
    use std::io::{BufReader, Cursor, Read as _, repeat};

    fn inputs(text: impl std::io::Read) -> Vec<Input> {
        let (tell, inbox) = channel();
        read_lines(BufReader::new(text), &tell);
        drop(tell);
        inbox.iter().collect()
    }

    #[test]
    fn lines_then_the_end() {
        let got = inputs(Cursor::new("one\n\ntwo\nhalf"));
        let line = |text: &str| Input::Line(text.into());
        assert_eq!(got, [line("one"), line("two"), line("half"), Input::End]);
    }

    #[test]
    fn a_line_without_end_is_not_swallowed() {
        let endless = repeat(b'x').take(LINE_MAX_BYTES as u64 * 2);
        assert_eq!(inputs(endless), [Input::TooLong]);
    }
}
