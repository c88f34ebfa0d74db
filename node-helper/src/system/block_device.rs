//! Block devices: from the kernel's numbers to the names that `lsblk` has.

use super::door;
use std::path::Path;

/// The name of a device by the kernel's number of it.
pub fn name(number: u32) -> String {
    /// `MINORBITS` of `linux/kdev_t.h`.
    const MINOR_BITS: u32 = 20;
    name_of(&format!(
        "{}:{}",
        number >> MINOR_BITS,
        number & ((1 << MINOR_BITS) - 1)
    ))
}

/// The name of a device by its numbers (`8:0`); the numbers where it is gone.
pub fn name_of(numbers: &str) -> String {
    let link = door::link(Path::new("/sys/dev/block").join(numbers));
    let name = link
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| numbers.to_owned())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_device_that_is_not_there_keeps_its_numbers() {
        assert_eq!(name(4095 << 20 | 7), "4095:7");
    }
}
