//! How long to look: durations as people write them, within bounds.

use std::time::Duration;

/// The shortest window that can show something.
pub const SHORTEST: Duration = Duration::from_millis(100);

/// The longest window.
pub const LONGEST: Duration = Duration::from_hours(24);

/// Parses `30s`, `10m`, `1m30s`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no length of time; write it as 30s, 500ms or 10m"))?;
    if length < SHORTEST {
        Err(format!("`{text}` is too short to see anything; use 100ms or more"))
    } else if length > LONGEST {
        Err(format!(
            "`{text}` is longer than 24h, the most this command looks in one run"
        ))
    } else {
        Ok(length)
    }
}

/// Parses a limit: any length of a millisecond or more.
pub fn limit(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(limit) if limit.as_millis() > 0 && limit <= LONGEST => Ok(limit),
        Ok(_) => Err(format!("`{text}` is no limit to go by; use 1ms to 24h")),
        Err(_) => Err(format!("`{text}` is no length of time; write it as 50ms or 2s")),
    }
}

/// The longest wait that can be asked about: helpers count microseconds in 32 bits.
const SLOWEST: Duration = Duration::from_hours(1);

/// Parses a wait: any length from a microsecond to an hour.
pub fn wait(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(wait) if wait.as_micros() > 0 && wait <= SLOWEST => Ok(wait),
        Ok(_) => Err(format!("`{text}` is no wait that can be measured; use 1us to 1h")),
        Err(_) => Err(format!("`{text}` is no length of time; write it as 50ms or 500us")),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, wait};
    use std::time::Duration;

    #[test]
    fn lengths_are_as_people_write_them() {
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert!(parse("30").unwrap_err().contains("30s"));
    }

    #[test]
    fn a_wait_is_one_that_the_kernel_can_tell() {
        assert_eq!(wait("500us"), Ok(Duration::from_micros(500)));
        assert!(wait("0ms").unwrap_err().contains("1us"));
        assert!(wait("2h").unwrap_err().contains("1h"));
        assert!(wait("50").unwrap_err().contains("50ms"));
    }

    #[test]
    fn a_window_of_zero_or_a_year_is_refused_with_the_bound() {
        assert!(parse("0s").unwrap_err().contains("100ms"));
        assert!(parse("1y").unwrap_err().contains("24h"));
    }
}
