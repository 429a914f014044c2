//! What can be asked of a connection while a driver has the transport.

use crate::protocol::Fault;

/// Whether the back-end is there, and if not, why. Clones are about the same device, also after it was connected to anew.
#[derive(Clone, Debug)]
pub struct Link {}

impl Link {
    /// What went wrong, since the last connection was made; `None` as long as all is well.
    pub fn fault(&self) -> Option<Fault> {
        None
    }

    /// Whether the back-end is there. Looks at the socket: a hang-up is noticed here, too.
    ///
    /// Work: one system call.
    pub fn is_up(&self) -> bool {
        false
    }
}
