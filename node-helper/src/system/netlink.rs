//! One small blocking netlink client: a dump or one question, and the attributes of an answer.
//!
//! Message bodies stay bytes here. Each fact reads its own: by the types of `netlink-packet-route` where it has them, else
//! attribute by attribute, so that what a newer kernel adds is skipped.
#![expect(unsafe_code, reason = "a descriptor becomes a socket")]

use anyhow::{Context as _, bail};
use model::errno::Errno;
use netlink_packet_core::{Emitable, NetlinkBuffer, NlasIterator, Parseable};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

const HEADER_BYTES: usize = 16;
/// A dump whose table changed while it ran is asked for again, this often.
const RETRIES: u32 = 3;
/// The kernel answers at once; a longer silence is an error, never a hang.
const PATIENCE_S: i64 = 2;
/// Room for one datagram: the kernel sends at most 32 KiB a piece in a dump.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// A connection to one netlink family of the namespace the thread is in.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
    budget: Option<Budget>,
}

/// How much is listened to on one connection, in bytes and time.
pub struct Budget {
    most: usize,
    left: usize,
    patience: Duration,
    until: Instant,
}

impl Budget {
    /// From now on.
    pub fn new(bytes: usize, patience: Duration) -> Self {
        Self {
            most: bytes,
            left: bytes,
            patience,
            until: Instant::now() + patience,
        }
    }

    fn spend(&mut self, bytes: usize) -> anyhow::Result<()> {
        self.left = self
            .left
            .checked_sub(bytes)
            .with_context(|| format!("there is more than {} MB of it, too much to be read", self.most >> 20))?;
        if Instant::now() > self.until {
            bail!("it could not be read within {} s", self.patience.as_secs());
        }
        Ok(())
    }
}

/// What came of one question.
pub enum NetlinkAnswer {
    /// Messages: type and body.
    Messages(Vec<(u16, Vec<u8>)>),
    /// The kernel said no, with this error.
    Refused(Errno),
}

enum End {
    Done,
    Changed,
    Refused(i32),
}

impl Netlink {
    /// Opens a connection to a family (`NETLINK_ROUTE`...).
    pub fn open(family: i32) -> anyhow::Result<Self> {
        let socket = Socket::new(family as isize).with_context(|| format!("cannot open netlink family {family}"))?;
        Self::of(socket)
    }

    /// A connection by a netlink socket that somebody else opened, perhaps in another namespace.
    pub fn over(socket: OwnedFd) -> anyhow::Result<Self> {
        // SAFETY: the descriptor is given away here, and to the socket alone.
        Self::of(unsafe { Socket::from_raw_fd(socket.into_raw_fd()) })
    }

    /// A connection over which somebody else asked for a table ([`Self::asked`]): what remains is to hear it.
    pub fn asked_over(socket: OwnedFd) -> anyhow::Result<Self> {
        Ok(Self {
            sequence: 1,
            ..Self::over(socket)?
        })
    }

    /// Asks for a table, and leaves it to whoever gets the socket to hear it. Nothing else may have been asked.
    pub fn asked(mut self, kind: u16, body: &[u8]) -> anyhow::Result<OwnedFd> {
        self.send(kind, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, body)?;
        // SAFETY: the descriptor is given away here, and the socket is gone.
        Ok(unsafe { OwnedFd::from_raw_fd(self.socket.into_raw_fd()) })
    }

    fn of(socket: Socket) -> anyhow::Result<Self> {
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_S))
            .context("cannot bound the wait for netlink answers")?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM_BYTES),
            budget: None,
        })
    }

    /// The connection with a budget of what is read; more is an error.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self {
            budget: Some(budget),
            ..self
        }
    }

    /// Every entry of a table: `each` gets type and body of each message. A dump that the kernel marks as interrupted is
    /// repeated, so `each` returns entries to collect rather than acting on them.
    pub fn dump<T>(
        &mut self,
        kind: u16,
        body: &[u8],
        mut each: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> anyhow::Result<Vec<T>> {
        let mut entries = Vec::new();
        for _ in 0..RETRIES {
            entries.clear();
            if self.dump_once(kind, body, |kind, body| entries.extend(each(kind, body)))? {
                break;
            }
        }
        // What was read is true of some moment each; a table that never stands still has no better reading.
        Ok(entries)
    }

    /// One reading of a table, message by message. False when the kernel says that the table changed meanwhile.
    pub fn dump_once(&mut self, kind: u16, body: &[u8], each: impl FnMut(u16, &[u8])) -> anyhow::Result<bool> {
        self.send(kind, libc::NLM_F_REQUEST | libc::NLM_F_DUMP, body)?;
        self.hear(each)
            .with_context(|| format!("netlink dump {kind:#x} failed"))
    }

    /// The table that was asked for, message by message. False when the kernel says that it changed meanwhile.
    pub fn hear(&mut self, each: impl FnMut(u16, &[u8])) -> anyhow::Result<bool> {
        match self.receive(true, each)? {
            End::Done => Ok(true),
            End::Changed => Ok(false),
            End::Refused(number) => Err(std::io::Error::from_raw_os_error(number)).context("the kernel refused"),
        }
    }

    /// The same for messages that may not make sense.
    pub fn dump_all<T>(
        &mut self,
        kind: u16,
        body: &[u8],
        each: impl Fn(&[u8]) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<Vec<T>> {
        self.dump(kind, body, |_, body| each(body).transpose())?
            .into_iter()
            .collect()
    }

    /// One question; its answer, or the kernel's error.
    pub fn ask(&mut self, kind: u16, body: &[u8]) -> anyhow::Result<NetlinkAnswer> {
        // With an acknowledgement even a silent success ends the wait.
        self.send(kind, libc::NLM_F_REQUEST | libc::NLM_F_ACK, body)?;
        let mut messages = Vec::new();
        let end = self.receive(false, |kind, body| messages.push((kind, body.to_vec())))?;
        Ok(match end {
            End::Refused(number) => NetlinkAnswer::Refused(errno(number)),
            End::Done | End::Changed => NetlinkAnswer::Messages(messages),
        })
    }

    fn send(&mut self, kind: u16, flags: i32, body: &[u8]) -> anyhow::Result<()> {
        self.sequence += 1;
        let mut message = vec![0; HEADER_BYTES + body.len()];
        let mut header = NetlinkBuffer::new(&mut message);
        header.set_length((HEADER_BYTES + body.len()) as u32);
        header.set_message_type(kind);
        header.set_flags(flags as u16);
        header.set_sequence_number(self.sequence);
        message[HEADER_BYTES..].copy_from_slice(body);
        self.socket
            .send_to(&message, &SocketAddr::new(0, 0), 0)
            .with_context(|| format!("cannot send netlink request {kind:#x}"))?;
        Ok(())
    }

    fn receive(&mut self, dump: bool, mut each: impl FnMut(u16, &[u8])) -> anyhow::Result<End> {
        let mut changed = false;
        loop {
            self.buffer.clear();
            self.socket
                .recv(&mut self.buffer, 0)
                .context("the kernel did not answer a netlink request")?;
            if let Some(budget) = &mut self.budget {
                budget.spend(self.buffer.len())?;
            }
            if let Some(end) = take(&self.buffer, self.sequence, dump, &mut changed, &mut each)? {
                return Ok(end);
            }
        }
    }
}

/// Takes the messages of one datagram that answer this request; how the answer ends, where it ends here.
fn take(
    datagram: &[u8],
    sequence: u32,
    dump: bool,
    changed: &mut bool,
    each: &mut impl FnMut(u16, &[u8]),
) -> anyhow::Result<Option<End>> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkBuffer::new_checked(rest).context("a netlink answer is cut short")?;
        let length = message.length() as usize;
        let body = &rest[HEADER_BYTES..length];
        rest = rest.get(aligned(length)..).unwrap_or_default();
        if message.sequence_number() != sequence {
            continue;
        }
        *changed |= i32::from(message.flags()) & libc::NLM_F_DUMP_INTR != 0;
        let done = if *changed { End::Changed } else { End::Done };
        match i32::from(message.message_type()) {
            libc::NLMSG_DONE => {
                return Ok(Some(match number_i32(body).map(i32::wrapping_neg) {
                    Some(error) if error > 0 => End::Refused(error),
                    _ => done,
                }));
            }
            libc::NLMSG_ERROR => match number_i32(body) {
                Some(0) if !dump => return Ok(Some(done)),
                Some(0) => {}
                Some(negative) => return Ok(Some(End::Refused(negative.wrapping_neg()))),
                None => bail!("a netlink error carries no number"),
            },
            libc::NLMSG_NOOP | libc::NLMSG_OVERRUN => {}
            _ => each(message.message_type(), body),
        }
    }
    Ok(None)
}

/// The messages of a dump as the kernel sends them one after another, of request 0, to its end: what fuzzing has in the
/// kernel's place.
pub fn each_of(dump: &[u8], mut each: impl FnMut(u16, &[u8])) -> anyhow::Result<()> {
    take(dump, 0, true, &mut false, &mut each).map(drop)
}

/// A body as the message it is.
pub fn decode<T: Parseable<[u8]>>(what: &str, body: &[u8]) -> anyhow::Result<T> {
    T::parse(body)
        .map_err(anyhow::Error::from)
        .with_context(|| format!("cannot make sense of what the kernel tells about {what}"))
}

/// A message as a request's body.
pub fn encode(message: &impl Emitable) -> Vec<u8> {
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    body
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

/// The attributes that follow a fixed header: number without flags, and value.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|attribute| {
        let (kind, length) = (attribute.kind(), attribute.value_length());
        let whole: &[u8] = attribute.into_inner();
        (kind, whole.get(4..4 + length).unwrap_or_default())
    })
}

/// Appends an attribute to a request.
pub fn attribute(request: &mut Vec<u8>, kind: u16, value: &[u8]) {
    request.extend(((4 + value.len()) as u16).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value);
    request.resize(aligned(request.len()), 0);
}

/// The bytes at an offset, if they are there.
pub fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

/// A `u16` at an offset; 0 where the kernel's struct ends before it.
pub fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    at(bytes, offset).map_or(0, u16::from_ne_bytes)
}

/// A `u32` at an offset; 0 where the kernel's struct ends before it.
pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    at(bytes, offset).map_or(0, u32::from_ne_bytes)
}

/// A `u64` at an offset; 0 where the kernel's struct ends before it.
pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    at(bytes, offset).map_or(0, u64::from_ne_bytes)
}

fn number_i32(bytes: &[u8]) -> Option<i32> {
    at(bytes, 0).map(i32::from_ne_bytes)
}

/// A NUL-terminated string.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// An address of 4 or 16 bytes.
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => at::<4>(bytes, 0).map(|octets| Ipv4Addr::from(octets).into()),
        16 => at::<16>(bytes, 0).map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

/// The octets of an address.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// `AF_INET` or `AF_INET6` of an address.
pub const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// A hardware address as `aa:bb:..`.
pub fn hardware(bytes: &[u8]) -> String {
    let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    octets.join(":")
}

/// An error number with its name.
pub fn errno(number: i32) -> Errno {
    Errno {
        number,
        name: format!("{:?}", nix::errno::Errno::from_raw(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::{attribute, attributes, errno, hardware, text, u64_at};

    #[test]
    fn attributes_are_read_as_they_were_written_and_flags_do_not_change_their_number() {
        let mut request = Vec::new();
        attribute(&mut request, 3, b"eth0\0");
        attribute(&mut request, 0x12 | libc::NLA_F_NESTED as u16, &[1, 2, 3, 4]);
        let read: Vec<_> = attributes(&request).collect();
        assert_eq!(read, [(3, b"eth0\0".as_slice()), (18, &[1, 2, 3, 4])]);
        assert_eq!(text(read[0].1), "eth0");
    }

    #[test]
    fn a_cut_attribute_ends_the_list() {
        let mut request = Vec::new();
        attribute(&mut request, 1, &[9; 4]);
        request.extend([40, 0, 2, 0, 1]);
        assert_eq!(attributes(&request).count(), 1);
    }

    #[test]
    fn a_struct_of_an_older_kernel_reads_as_zero_where_it_ends() {
        assert_eq!(u64_at(&[1, 2, 3], 0), 0);
        assert_eq!(u64_at(&[1, 0, 0, 0, 0, 0, 0, 0], 0), 1);
    }

    #[test]
    fn numbers_become_names() {
        assert_eq!(errno(101).name, "ENETUNREACH");
        assert_eq!(hardware(&[2, 0, 0xab]), "02:00:ab");
    }
}
