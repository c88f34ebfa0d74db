//! A process of our own that holds what its master gives up: it takes requests of one fixed size, with descriptors beside
//! them, from a socket that nobody else has, and answers each. It reads nothing else, and ends when its master does.
#![expect(unsafe_code, reason = "fork(2), and descriptors that came in a message")]

use super::privileges::ProcessRole;
use crate::system::door;
use anyhow::{Context as _, anyhow, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};
use nix::unistd::{ForkResult, fork};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is asked: numbers, whose meaning the servant's own module tells.
pub type ServantRequest = [u32; WORDS];
const WORDS: usize = 8;
const REQUEST_BYTES: usize = WORDS * size_of::<u32>();

/// The longest text of an answer; what is beyond is cut.
pub const TEXT_MAX: usize = 64 * 1024;
/// The most descriptors in one message.
pub const DESCRIPTORS_MAX: usize = 64;

/// First byte of an answer.
const DONE: u8 = 0;
const REFUSED: u8 = 1;

/// What a servant did.
#[derive(Debug, Default)]
pub struct ServantAnswer {
    /// Text or bytes, as its module tells.
    pub text: Vec<u8>,
    /// Descriptors, in the order its module tells.
    pub fds: Vec<OwnedFd>,
}

/// What a servant is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Errand {
    /// In words that follow `to`.
    pub what: &'static str,
    /// A servant that takes longer for it hangs.
    pub within: Duration,
}

/// The master's side.
#[derive(Debug)]
pub struct Servant {
    name: &'static str,
    line: Mutex<Line>,
}

/// How a servant can be reached.
#[derive(Debug)]
enum Line {
    Open(OwnedFd),
    /// No more, for this reason: it did not answer once. What it may still say to that would be taken for the answer to another
    /// request, and at the end of its socket it ends.
    Closed(String),
}

impl Servant {
    /// Starts one. It is forked, so the process should have one thread yet; `serve` runs in the new process, with only its
    /// end of the socket, and `/dev/null` for stdin and stdout.
    pub fn start(role: &'static ProcessRole, serve: fn(&Master)) -> anyhow::Result<Self> {
        let cannot = || format!("cannot start the process `{}`", role.name);
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).with_context(cannot)?;
        // SAFETY: the child goes on in this function alone and leaves by `_exit`.
        match unsafe { fork() }.with_context(cannot)? {
            ForkResult::Parent { .. } => Ok(Self {
                name: role.name,
                line: Mutex::new(Line::Open(ours)),
            }),
            ForkResult::Child => {
                let _leaves = Leaves;
                drop(ours);
                if let Ok(socket) = prepare(theirs) {
                    let master = Master { socket };
                    match role.assume() {
                        Ok(()) => serve(&master),
                        Err(error) => master.refuse_all(&error),
                    }
                }
                leave()
            }
        }
    }

    /// Asks, and waits for the answer, for as long as the errand may take.
    pub fn ask(
        &self,
        errand: Errand,
        request: ServantRequest,
        fds: &[BorrowedFd<'_>],
    ) -> anyhow::Result<ServantAnswer> {
        self.ask_for(1, errand, request, fds)?.remove(0)
    }

    /// Asks what has so many answers; each is done or refused on its own.
    pub fn ask_for(
        &self,
        answers: usize,
        errand: Errand,
        request: ServantRequest,
        fds: &[BorrowedFd<'_>],
    ) -> anyhow::Result<Vec<anyhow::Result<ServantAnswer>>> {
        let mut bytes = [0; REQUEST_BYTES];
        for (to, word) in bytes.chunks_exact_mut(size_of::<u32>()).zip(request) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        // Requests come from several threads; each waits for its own answer.
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = match &*line {
            Line::Open(socket) => socket,
            Line::Closed(why) => bail!("{why}"),
        };
        let gone = || format!("the helper's process `{}` has ended; run it again", self.name);
        send(socket, &bytes, fds).with_context(gone)?;
        let until = Instant::now() + errand.within;
        let mut heard = Vec::new();
        for _ in 0..answers {
            if !is_heard(socket, until).context("cannot wait for an answer")? {
                let why = format!(
                    "the helper's process `{}` did not {} within {} s; run it again",
                    self.name,
                    errand.what,
                    errand.within.as_secs()
                );
                *line = Line::Closed(why.clone());
                bail!(why);
            }
            let mut buffer = vec![0; TEXT_MAX + 1];
            let (length, fds) = receive(socket, &mut buffer).with_context(gone)?;
            buffer.truncate(length);
            heard.push(match buffer.split_first() {
                Some((&DONE, text)) => Ok(ServantAnswer {
                    text: text.to_vec(),
                    fds,
                }),
                Some((_, why)) => Err(anyhow!("{}", String::from_utf8_lossy(why))),
                None => bail!(gone()),
            });
        }
        Ok(heard)
    }
}

/// The servant's side.
#[derive(Debug)]
pub struct Master {
    socket: OwnedFd,
}

impl Master {
    /// The next request; `None` when the master is gone, or says what no master of ours says.
    pub fn next(&self) -> Option<(ServantRequest, Vec<OwnedFd>)> {
        // One byte more than a request has: a longer message shows.
        let mut bytes = [0; REQUEST_BYTES + 1];
        let (length, fds) = receive(&self.socket, &mut bytes).ok()?;
        if length != REQUEST_BYTES {
            return None;
        }
        let mut request = [0; WORDS];
        for (to, from) in request.iter_mut().zip(bytes.chunks_exact(size_of::<u32>())) {
            *to = u32::from_ne_bytes(from.try_into().ok()?);
        }
        Some((request, fds))
    }

    /// Does nothing that is asked, and says why each time: a process that could not give up its privileges must not use them.
    fn refuse_all(&self, why: &anyhow::Error) {
        while self.next().is_some() {
            self.answer(Err(anyhow!("{why:#}")));
        }
    }

    /// Says what came of it. A master that does not listen is gone; the next request tells.
    pub fn answer(&self, outcome: anyhow::Result<ServantAnswer>) {
        let (first, text, fds) = match outcome {
            Ok(ServantAnswer { text, fds }) => (DONE, text, fds),
            Err(error) => (REFUSED, format!("{error:#}").into_bytes(), Vec::new()),
        };
        let mut bytes = vec![first];
        bytes.extend(text.into_iter().take(TEXT_MAX));
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(std::os::fd::AsFd::as_fd).collect();
        let _ = send(&self.socket, &bytes, &fds);
    }
}

/// Leaves a forked process however its part ends, by a panic too: it must not go on as its parent.
pub struct Leaves;

impl Drop for Leaves {
    fn drop(&mut self) {
        leave();
    }
}

/// Leaves a forked process without a word: what its parent has not yet written, it must not write again.
pub fn leave() -> ! {
    // SAFETY: it only ends this process.
    unsafe { libc::_exit(0) }
}

/// Cuts a new process off from all that its parent has open.
fn prepare(socket: OwnedFd) -> anyhow::Result<OwnedFd> {
    // What is meant for the session ends the session, and thereby us.
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT])
        .thread_block()
        .context("cannot block signals")?;
    let null = door::null().context("cannot open /dev/null")?;
    // Closed with all the rest.
    let null = null.into_raw_fd();
    let socket = only(&[null, null], &[socket.into_raw_fd()])?;
    socket.into_iter().next().context("the socket is gone")
}

/// Makes the descriptors of `standard` stdin, stdout, and so on, keeps those of `kept`, in order behind stderr, and closes all
/// others that this process has.
pub fn only(standard: &[RawFd], kept: &[RawFd]) -> anyhow::Result<Vec<OwnedFd>> {
    const FIRST: RawFd = 3;
    /// Above all that is to be kept, so that nothing is overwritten before it is moved.
    const ABOVE: RawFd = FIRST + DESCRIPTORS_MAX as RawFd;
    let high = |fd: RawFd| {
        // SAFETY: it makes a new descriptor of an open one.
        let fd = unsafe { libc::fcntl(fd, libc::F_DUPFD, ABOVE) };
        Errno::result(fd).context("cannot copy a descriptor")
    };
    let standard: Vec<RawFd> = standard.iter().map(|fd| high(*fd)).collect::<anyhow::Result<_>>()?;
    let kept: Vec<RawFd> = kept.iter().map(|fd| high(*fd)).collect::<anyhow::Result<_>>()?;
    let moved = standard.iter().zip(0..).chain(kept.iter().zip(FIRST..));
    for (from, to) in moved {
        // SAFETY: what was open under that number is closed, and not used here any more.
        Errno::result(unsafe { libc::dup2(*from, to) }).context("cannot move a descriptor")?;
    }
    let rest = FIRST + kept.len() as RawFd;
    // SAFETY: nobody uses the descriptors that are closed: this process was just forked.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, rest, u32::MAX, 0) })
        .context("cannot close what was open before")?;
    // SAFETY: each was made above, and is nobody else's.
    Ok((FIRST..rest).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

fn send(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> nix::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(std::os::fd::AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        let sent = sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Whether there is a message, or the end of the other side, before this moment.
fn is_heard(socket: &OwnedFd, until: Instant) -> nix::Result<bool> {
    loop {
        // Up to the next whole millisecond: what is left of one must not be waited for in vain again and again.
        let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => {}
            other => return other.map(|ready| ready > 0),
        }
    }
}

/// One message; an error at the end of the other side.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; DESCRIPTORS_MAX]);
    loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let message = match recvmsg::<()>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        ) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        let mut fds = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                // SAFETY: the kernel made them for us with this message.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        return if message.bytes == 0 {
            Err(Errno::EPIPE)
        } else {
            Ok((message.bytes, fds))
        };
    }
}
