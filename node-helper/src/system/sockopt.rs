//! getsockopt(2) with a buffer of any size, by which the kernel hands out what iptables-legacy and ipset put into it.
#![expect(unsafe_code, reason = "no safe face takes options of this kind")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Reads an option: what is asked stands in the buffer, and the answer comes back in it. Returns the answer's bytes.
///
/// # Errors
/// What the kernel says; `ENOPROTOOPT` where nothing in it knows the option.
pub fn get(socket: impl AsFd, level: i32, option: i32, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(buffer.len()).map_err(io::Error::other)?;
    // SAFETY: the buffer is ours and `length` is its size; the kernel writes no more than that and says how much.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((length as usize).min(buffer.len()))
}
