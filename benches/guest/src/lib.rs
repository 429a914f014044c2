//! What the drivers cost a guest.

pub mod machine;
pub mod output;
