//! What can be asked of a connection while a driver has the transport.

use std::sync::Arc;
use std::time::Instant;

use super::state::Shared;
use crate::protocol::Fault;

/// Whether the back-end is there, and if not, why. Clones are about the same device, also after it was connected to anew.
#[derive(Clone, Debug)]
pub struct Link(Arc<Shared>);

impl Link {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// What went wrong first since the connection was made; `None` as long as all is well. Something that was refused is here, too, though the back-end is there.
    pub fn fault(&self) -> Option<Fault> {
        self.0.lock().fault()
    }

    /// No wait for the back-end's answers goes beyond this time from now on, if there is one.
    pub(crate) fn end_by(&self, end: Option<Instant>) {
        self.0.lock().end_by(end);
    }

    /// Whether the back-end is there, and understood. A hang-up is noticed here, too.
    ///
    /// Work: one system call; waits while another thread speaks to the back-end.
    pub fn is_up(&self) -> bool {
        let mut state = self.0.lock();
        state.look();
        state.is_up()
    }
}
