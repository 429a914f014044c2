//! What went into each port, and has to come out at the other end: in order, and nothing else.
//!
//! Spec: §5.3.6 Device Operation. Bytes to a port that is not there are nobody's, and after that nothing is said of those that go out.

use std::collections::VecDeque;

use super::device::PORTS;

/// One port's.
#[derive(Default)]
struct Stream {
    /// On their way to the driver.
    arriving: VecDeque<u8>,
    /// On their way from the driver,
    leaving: VecDeque<u8>,
    /// unless some of them may have been nobody's.
    is_lossy: bool,
}

/// See the module's head.
#[derive(Default)]
pub(super) struct Streams([Stream; PORTS]);

impl Streams {
    /// Bytes arrive at a port.
    pub(super) fn arrives(&mut self, port: usize, bytes: &[u8]) {
        self.0[port].arriving.extend(bytes);
    }

    /// The port goes, and with it the last bytes that have not arrived.
    pub(super) fn cut(&mut self, port: usize, bytes: usize) {
        let stream = &mut self.0[port];
        let left = stream.arriving.len().saturating_sub(bytes);
        stream.arriving.truncate(left);
        stream.is_lossy = true;
    }

    /// The driver read bytes.
    pub(super) fn read(&mut self, port: usize, bytes: &[u8], is_honest: bool) {
        let arriving = &mut self.0[port].arriving;
        if is_honest {
            assert!(bytes.len() <= arriving.len(), "more bytes than arrived at port {port}");
            let arrived: Vec<_> = arriving.drain(..bytes.len()).collect();
            assert_eq!(bytes, arrived, "other bytes than arrived at port {port}");
        }
    }

    /// The driver wrote bytes.
    pub(super) fn wrote(&mut self, port: usize, bytes: &[u8], is_there: bool) {
        let stream = &mut self.0[port];
        stream.leaving.extend(bytes);
        stream.is_lossy |= !is_there;
    }

    /// Bytes came to the device.
    pub(super) fn sent(&mut self, port: usize, bytes: &[u8], is_honest: bool) {
        let stream = &mut self.0[port];
        if is_honest && !stream.is_lossy {
            assert!(bytes.len() <= stream.leaving.len(), "more bytes than were written to port {port}");
            let wrote: Vec<_> = stream.leaving.drain(..bytes.len()).collect();
            assert_eq!(bytes, wrote, "other bytes than were written to port {port}");
        }
    }
}
