//! What the drivers cost a guest.

pub mod machine;
pub mod marks;
pub mod output;
pub mod profile;
