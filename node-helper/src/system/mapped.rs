//! Memory that is shared with the kernel: a map's content, or a file of /sys.
#![expect(unsafe_code, reason = "mmap(2), and memory that the kernel writes too")]

use std::fs::File;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::{io, ptr, slice};

/// Memory shared with the kernel, unmapped at the end.
#[derive(Debug)]
pub struct Mapped {
    start: *mut u8,
    length: usize,
}

// SAFETY: the pointer is ours alone; bytes are only read and written one at a time.
unsafe impl Send for Mapped {}
// SAFETY: as above; `set_bits` writes one byte atomically.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps a file for reading.
    pub fn read_only(file: &File, length: usize) -> io::Result<Self> {
        Self::new(file.as_raw_fd(), length, libc::PROT_READ, libc::MAP_PRIVATE)
    }

    /// Maps a `BPF_F_MMAPABLE` array.
    pub fn shared(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Self::new(
            map.as_raw_fd(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
        )
    }

    fn new(fd: RawFd, length: usize, protection: i32, flags: i32) -> io::Result<Self> {
        // SAFETY: a fresh mapping, checked below.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            start: start.cast(),
            length,
        })
    }

    /// Its bytes; only for memory nobody writes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for this length until we are dropped.
        unsafe { slice::from_raw_parts(self.start, self.length) }
    }

    /// The word at the start, which the kernel changes too.
    pub fn word(&self) -> &AtomicI64 {
        // SAFETY: mappings start at a page and are longer than a word.
        unsafe { AtomicI64::from_ptr(self.start.cast()) }
    }

    /// Sets bits of one byte.
    pub fn set_bits(&self, at: usize, bits: u8) {
        if at < self.length {
            // SAFETY: inside the mapping, which is writable; a byte has no alignment.
            let byte = unsafe { AtomicU8::from_ptr(self.start.add(at)) };
            byte.fetch_or(bits, Ordering::Relaxed);
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}
