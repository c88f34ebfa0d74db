//! What is said where no other rule names a cause: that packets were dropped, reset or never answered, with all that was seen.
//!
//! They hold back wherever any other rule might speak. Nothing here guesses.

pub mod unexplained_drop;
pub mod unexplained_reset;
pub mod unexplained_timeout;
