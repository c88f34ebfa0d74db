//! What is typed while something goes on: single keys on a terminal, lines elsewhere.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A key.
    Key(char),
    /// A line, without its end.
    Line(String),
}

/// What is typed from now on. When it is dropped, the terminal is as it was.
#[derive(Debug)]
pub struct TypedInput {
    typed: Receiver<Typed>,
    /// Keys come one by one, and not by line.
    pub by_key: bool,
}

/// More than this nobody types ahead.
const WAITING: usize = 16;
/// The longest line.
const LINE_MAX: u64 = 1_024;

impl TypedInput {
    /// Starts to listen to standard input. The thread that reads ends with the program.
    pub fn listen() -> Self {
        let (sender, typed) = sync_channel(WAITING);
        let by_key = std::io::stdin().is_terminal() && single_keys::begin();
        thread::spawn(move || if by_key { keys(&sender) } else { lines(&sender) });
        Self { typed, by_key }
    }

    /// What was typed next, if anything was.
    pub fn next(&self) -> Option<Typed> {
        self.typed.try_recv().ok()
    }
}

impl Drop for TypedInput {
    fn drop(&mut self) {
        restore();
    }
}

/// Leaves the terminal as it was before.
pub fn restore() {
    single_keys::end();
}

fn keys(sender: &SyncSender<Typed>) {
    for byte in std::io::stdin().lock().bytes() {
        let Ok(byte) = byte else { return };
        if byte.is_ascii_graphic() && sender.send(Typed::Key(byte.into())).is_err() {
            return;
        }
    }
}

fn lines(sender: &SyncSender<Typed>) {
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            _ => return,
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if !text.is_empty() && sender.send(Typed::Line(text)).is_err() {
            return;
        }
    }
}

/// The terminal gives each key at once and shows none. Ctrl-C, and what is printed, stay as they are.
#[cfg(unix)]
mod single_keys {
    use rustix::process::getpgrp;
    use rustix::stdio::stdin;
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
    use std::sync::{Mutex, PoisonError};

    /// The terminal's settings as they were before.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// Whether it does so now: not for a program in the background, which would be stopped for reading.
    pub fn begin() -> bool {
        let is_in_front = tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp());
        let Some(before) = tcgetattr(stdin()).ok().filter(|_| is_in_front) else {
            return false;
        };
        let mut keys = before.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(stdin(), OptionalActions::Now, &keys).is_ok()
    }

    pub fn end() {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(before) = before {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        }
    }
}

/// Lines are all that there is.
#[cfg(not(unix))]
mod single_keys {
    pub const fn begin() -> bool {
        false
    }

    pub const fn end() {}
}
