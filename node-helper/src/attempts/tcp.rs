//! A TCP connection: connect, hold or exchange, close with FIN; each stall, refusal and reset as the kernel tells it.

use super::socket::{self, Reserved};
use super::task::{Course, Say, Task, Wait};
use model::attempt::{Exchange, Outcome};
use model::flow::{Flow, TCP};
use nix::poll::PollFlags;
use socket2::Socket;
use std::io::{self, Read as _};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

/// How often progress is looked at where nothing wakes us: the peer's acknowledgements.
const LOOK_NS: u64 = 5_000_000;

/// After a first byte, an answer of unknown length is at its end when nothing came for so long.
const QUIET_NS: u64 = 200_000_000;

/// Bytes written at once for `Exchange::Bytes`.
const PIECE: [u8; 16 * 1024] = [0; 16 * 1024];

/// The start of an HTTP answer that is kept to find its end.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// The end of a chunked HTTP answer without trailers.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// A connection under way.
pub struct Tcp {
    to: SocketAddr,
    hold_ns: u64,
    timeout_ns: u64,
    answer: Answer,
    /// What is still to be written: text, then so many zero bytes.
    text: Vec<u8>,
    zeros: u64,
    written: usize,
    reserved: io::Result<Reserved>,
    course: Course,
    stage: Stage,
    /// When something last moved: a byte handed over, acknowledged or read.
    moved_ns: u64,
    acknowledged: u64,
    /// The start of an HTTP answer, and its last bytes.
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// Where the end of the answer is.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// None is waited for.
    None,
    /// When the peer closes, or is quiet after its first byte.
    Quiet,
    /// As HTTP says.
    Http,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Connecting,
    Writing,
    /// Written, waiting for the peer to acknowledge the last byte.
    Flushing,
    Reading,
    Holding {
        until_ns: u64,
    },
    /// Reported. Data that still comes is read, so that the close stays a FIN.
    Closing,
    /// Reported. The socket stays as it is until the window closes: to close it would send a packet of its own.
    Left,
    Closed,
}

impl Tcp {
    /// Reserves its source port.
    pub fn new(mut course: Course, to: SocketAddr, hold_ms: u64, exchange: Exchange, timeout_ns: u64) -> Self {
        let reserved = socket::reserve(socket2::Type::STREAM, to);
        if let Ok(Reserved { source, .. }) = &reserved {
            course.attempt.flow = Flow::new(TCP, *source, to);
        }
        let (text, zeros, answer) = match exchange {
            Exchange::None => (Vec::new(), 0, Answer::None),
            Exchange::Text(text) => (text, 0, Answer::Quiet),
            Exchange::Http { path, host } => (http_request(&path, &host).into_bytes(), 0, Answer::Http),
            Exchange::Bytes(bytes) => (Vec::new(), bytes, Answer::None),
        };
        Self {
            to,
            hold_ns: Duration::from_millis(hold_ms).as_nanos() as u64,
            timeout_ns,
            answer,
            text,
            zeros,
            written: 0,
            reserved,
            course,
            stage: Stage::Connecting,
            moved_ns: 0,
            acknowledged: 0,
            head: Vec::new(),
            tail: Vec::new(),
        }
    }

    fn connect(&mut self) -> Result<(), Outcome> {
        let Reserved { socket, .. } = self
            .reserved
            .as_ref()
            .map_err(|error| socket::refused("socket", error))?;
        let started = socket::connect(socket, self.to);
        // Known now, also when the port was not before.
        if let Ok(source) = socket::local(socket)
            && source.port() != 0
            && !source.ip().is_unspecified()
        {
            self.course.attempt.flow = Flow::new(TCP, source, self.to);
        }
        started.map_err(|error| socket::refused("connect", &error))
    }

    /// One step; `Ok(true)` when another may follow at once.
    fn step(&mut self, now_ns: u64) -> Result<bool, Outcome> {
        match self.stage {
            Stage::Connecting => self.finish_connecting(now_ns),
            Stage::Writing => {
                self.read(now_ns)?;
                self.write(now_ns)
            }
            Stage::Flushing => {
                self.read(now_ns)?;
                self.look_at_acknowledgements(now_ns);
                if self.acknowledged >= self.course.attempt.sent_bytes {
                    self.stage = Stage::Holding {
                        until_ns: now_ns + self.hold_ns,
                    };
                    return Ok(true);
                }
                self.stalled("send", now_ns)
            }
            Stage::Reading => {
                self.read(now_ns)?;
                let attempt = &self.course.attempt;
                let quiet = attempt.received_bytes > 0 && now_ns >= self.moved_ns + QUIET_NS;
                let complete = match self.answer {
                    Answer::Http => http_is_complete(&self.head, &self.tail, attempt.received_bytes),
                    Answer::Quiet => quiet,
                    Answer::None => true,
                };
                if complete || attempt.closed_by_peer {
                    return Err(Outcome::Ok);
                }
                self.stalled("read", now_ns)
            }
            Stage::Holding { until_ns } => {
                self.read(now_ns)?;
                if now_ns >= until_ns || self.course.attempt.closed_by_peer {
                    return Err(Outcome::Ok);
                }
                Ok(false)
            }
            Stage::Closing => {
                // What happens now is no longer this attempt's.
                if self.read(now_ns).is_err() || self.course.attempt.closed_by_peer {
                    self.stage = Stage::Closed;
                }
                Ok(false)
            }
            Stage::Left | Stage::Closed => Ok(false),
        }
    }

    fn finish_connecting(&mut self, now_ns: u64) -> Result<bool, Outcome> {
        let Some(socket) = self.socket() else { return Ok(false) };
        match socket.take_error() {
            Ok(Some(error)) | Err(error) => return Err(socket::refused("connect", &error)),
            Ok(None) => {}
        }
        let connected = socket.peer_addr().is_ok();
        // Also errors that did not end it: unread, they would keep us awake.
        if let Ok(Reserved { socket, .. }) = &self.reserved {
            socket::drain_icmp(socket, &mut self.course.attempt.icmp);
        }
        if !connected {
            return self.stalled("connect", now_ns);
        }
        let to = self.to;
        let source = self.socket().and_then(|socket| {
            let _ = socket::keep_icmp(socket, to, false);
            socket::local(socket).ok()
        });
        let since = self.course.elapsed_ns();
        let attempt = &mut self.course.attempt;
        attempt.connected_ns = Some(since);
        if let Some(source) = source {
            attempt.flow = Flow::new(TCP, source, to);
        }
        self.moved_ns = now_ns;
        self.stage = Stage::Writing;
        Ok(true)
    }

    fn write(&mut self, now_ns: u64) -> Result<bool, Outcome> {
        loop {
            let piece = if self.written < self.text.len() {
                &self.text[self.written..]
            } else {
                let left = (self.text.len() as u64 + self.zeros).saturating_sub(self.written as u64);
                &PIECE[..left.min(PIECE.len() as u64) as usize]
            };
            if piece.is_empty() {
                break;
            }
            let Some(socket) = self.socket() else { return Ok(false) };
            match socket.send_with_flags(piece, libc::MSG_NOSIGNAL) {
                Ok(bytes) => {
                    self.written += bytes;
                    self.course.attempt.sent_bytes = self.written as u64;
                    self.moved_ns = now_ns;
                }
                Err(error) if socket::not_yet(&error) => {
                    self.look_at_acknowledgements(now_ns);
                    return self.stalled("send", now_ns);
                }
                Err(error) => return Err(socket::refused("send", &error)),
            }
        }
        self.stage = match self.answer {
            Answer::None => Stage::Flushing,
            Answer::Quiet | Answer::Http => Stage::Reading,
        };
        Ok(true)
    }

    /// Reads all that has come.
    fn read(&mut self, now_ns: u64) -> Result<(), Outcome> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let Some(socket) = self.socket() else { return Ok(()) };
            match (&mut &*socket).read(&mut buffer) {
                Ok(0) => {
                    self.course.attempt.closed_by_peer = true;
                    return Ok(());
                }
                Ok(bytes) => {
                    self.moved_ns = now_ns;
                    let since = self.course.elapsed_ns();
                    let attempt = &mut self.course.attempt;
                    attempt.first_answer_ns.get_or_insert(since);
                    attempt.received_bytes += bytes as u64;
                    if self.answer == Answer::Http {
                        self.keep(&buffer[..bytes]);
                    }
                }
                Err(error) if socket::not_yet(&error) => return Ok(()),
                Err(error) => {
                    let during = if matches!(self.stage, Stage::Writing | Stage::Flushing) {
                        "send"
                    } else {
                        "read"
                    };
                    return Err(socket::refused(during, &error));
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = HEAD_MAX_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.tail
            .extend_from_slice(&bytes[bytes.len().saturating_sub(LAST_CHUNK.len())..]);
        self.tail.drain(..self.tail.len().saturating_sub(LAST_CHUNK.len()));
    }

    fn look_at_acknowledgements(&mut self, now_ns: u64) {
        let account = self.socket().and_then(socket::tcp_account);
        if let Some((_, socket::Acknowledged(bytes))) = account
            && bytes > self.acknowledged
        {
            self.acknowledged = bytes;
            self.moved_ns = now_ns;
        }
    }

    /// Time ran out if nothing moved for as long as the attempt may take.
    fn stalled(&self, during: &str, now_ns: u64) -> Result<bool, Outcome> {
        if now_ns >= self.moved_ns + self.timeout_ns {
            Err(Outcome::TimedOut { during: during.into() })
        } else {
            Ok(false)
        }
    }

    fn finish(&mut self, outcome: Outcome, say: Say) {
        if let Ok(Reserved { socket, .. }) = &self.reserved {
            let attempt = &mut self.course.attempt;
            socket::drain_icmp(socket, &mut attempt.icmp);
            if let Some((account, socket::Acknowledged(bytes))) = socket::tcp_account(socket) {
                attempt.acknowledged_bytes = attempt.connected_ns.map(|_| bytes.min(attempt.sent_bytes));
                attempt.tcp = Some(account);
            }
            self.stage = match outcome {
                Outcome::Ok => {
                    let _ = socket.shutdown(Shutdown::Write);
                    Stage::Closing
                }
                Outcome::TimedOut { .. } | Outcome::Cancelled => Stage::Left,
                Outcome::Error { .. } | Outcome::NotTried { .. } => Stage::Closed,
            };
        }
        if self.answer == Answer::Http {
            self.course.attempt.http_status = http_status(&self.head);
        }
        self.course.finish(outcome, say);
    }

    fn socket(&self) -> Option<&Socket> {
        self.reserved.as_ref().ok().map(|reserved| &reserved.socket)
    }
}

impl Task for Tcp {
    fn flows(&self) -> Vec<Flow> {
        self.reserved.iter().map(|_| self.course.attempt.flow).collect()
    }

    fn start(&mut self, now_ns: u64, say: Say) {
        self.course.start(now_ns);
        self.moved_ns = now_ns;
        if let Err(outcome) = self.connect() {
            self.finish(outcome, say);
        }
    }

    fn advance(&mut self, now_ns: u64, say: Say) {
        if !self.course.runs() && !self.course.is_over() {
            return;
        }
        loop {
            match self.step(now_ns) {
                Ok(true) => {}
                Ok(false) => return,
                Err(outcome) => return self.finish(outcome, say),
            }
        }
    }

    fn waits_for(&self) -> Wait<'_> {
        let Some(socket) = self.socket() else {
            return Wait::default();
        };
        if !self.course.runs() && !self.course.is_over() {
            return Wait::default();
        }
        let gives_up = self.moved_ns + self.timeout_ns;
        let (flags, until) = match self.stage {
            Stage::Connecting => (PollFlags::POLLOUT, Some(gives_up)),
            Stage::Writing => (
                PollFlags::POLLOUT | PollFlags::POLLIN,
                Some(gives_up.min(crate::system::clock::monotonic_ns() + 10 * LOOK_NS)),
            ),
            Stage::Flushing => (PollFlags::POLLIN, Some(crate::system::clock::monotonic_ns() + LOOK_NS)),
            Stage::Reading if self.answer == Answer::Quiet && self.course.attempt.received_bytes > 0 => {
                (PollFlags::POLLIN, Some(gives_up.min(self.moved_ns + QUIET_NS)))
            }
            Stage::Reading => (PollFlags::POLLIN, Some(gives_up)),
            Stage::Holding { until_ns } => (PollFlags::POLLIN, Some(until_ns)),
            Stage::Closing => (PollFlags::POLLIN, None),
            Stage::Left | Stage::Closed => return Wait::default(),
        };
        // A peer that has closed keeps POLLIN raised for ever; then only time, or room to write, is waited for.
        let flags = if self.course.attempt.closed_by_peer {
            flags & !PollFlags::POLLIN
        } else {
            flags
        };
        Wait::socket(socket.as_fd(), flags, until)
    }

    fn cancel(&mut self, now_ns: u64, say: Say) {
        if self.course.runs() {
            self.finish(Outcome::Cancelled, say);
        } else {
            self.course.cancel(now_ns, Outcome::Cancelled, say);
        }
    }
}

impl Drop for Tcp {
    /// A peer that took nothing would leave the kernel sending for minutes.
    fn drop(&mut self) {
        if let (Stage::Left, Some(socket)) = (self.stage, self.socket()) {
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

fn http_request(path: &str, host: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!(
        "GET {slash}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kubectl-skoop\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

fn http_status(head: &[u8]) -> Option<String> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).trim().to_owned();
    line.starts_with("HTTP/").then_some(line)
}

/// Whether an answer of so many bytes is whole although the peer keeps the connection open.
fn http_is_complete(head: &[u8], tail: &[u8], received_bytes: u64) -> bool {
    const END: &[u8] = b"\r\n\r\n";
    let Some(head_bytes) = head.windows(END.len()).position(|part| part == END) else {
        return false;
    };
    let fields = String::from_utf8_lossy(&head[..head_bytes]).to_ascii_lowercase();
    let field = |name: &str| {
        fields
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    if field("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked")) {
        return tail.ends_with(LAST_CHUNK);
    }
    field("content-length")
        .and_then(|length| length.parse::<u64>().ok())
        .is_some_and(|length| received_bytes >= (head_bytes + END.len()) as u64 + length)
}

#[cfg(test)]
mod tests {
    use super::{http_is_complete, http_request, http_status};

    #[test]
    fn an_http_answer_ends_where_it_says() {
        let cases: [(&[u8], bool); 6] = [
            (b"HTTP/1.1 200 OK\r\nContent-Le", false),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true),
            (b"HTTP/1.1 200 OK\r\n\r\nuntil it closes", false),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                false,
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                true,
            ),
        ];
        for (answer, whole) in cases {
            assert_eq!(
                http_is_complete(answer, answer, answer.len() as u64),
                whole,
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
    }

    #[test]
    fn the_status_is_the_first_line_of_http_and_of_nothing_else() {
        assert_eq!(
            http_status(b"HTTP/1.0 503 Busy\r\nX: y\r\n"),
            Some("HTTP/1.0 503 Busy".into())
        );
        assert_eq!(http_status(b"220 mail ready\r\n"), None);
    }

    #[test]
    fn a_path_without_its_slash_gets_one() {
        assert!(http_request("healthz", "web").starts_with("GET /healthz HTTP/1.1\r\nHost: web\r\n"));
    }
}
