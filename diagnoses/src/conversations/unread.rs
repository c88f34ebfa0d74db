//! Bytes that a target's program leaves unread, from one look at its socket to the next.

/// What was unread at one look after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    bytes: u32,
    /// Looks one after the other at which nothing had been read since the one before.
    looks: u32,
}

impl Unread {
    /// Takes in how many bytes are unread now.
    pub fn look(&mut self, bytes: u32) {
        let is_read = bytes == 0 || bytes < self.bytes;
        self.looks = if is_read { u32::from(bytes > 0) } else { self.looks + 1 };
        self.bytes = bytes;
    }

    /// Nothing was read from one look to the next.
    #[must_use]
    pub const fn stays(self) -> bool {
        self.looks >= 2
    }
}

#[cfg(test)]
mod tests {
    use super::Unread;

    #[test]
    fn what_is_unread_at_two_looks_stays_unread() {
        let stays = |looks: &[u32]| {
            let mut unread = Unread::default();
            for bytes in looks {
                unread.look(*bytes);
            }
            unread.stays()
        };
        assert!(stays(&[500, 500]) && stays(&[500, 700]) && stays(&[0, 500, 500]));
        for read in [&[500][..], &[0, 0], &[500, 400], &[500, 0, 500], &[500, 500, 0]] {
            assert!(!stays(read), "{read:?}");
        }
    }
}
