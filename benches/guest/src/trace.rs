//! What QEMU's trace says of the lines of a kernel: register accesses, doorbells, interrupts.
//!
//! Accesses count where the kernel's marks say so. Interrupts come when they come, so all count that a line's queues cause; the queue of a card that only sends for others
//! is known by its doorbell, which is rung where nothing is counted.

use std::collections::HashSet;

use crate::marks::{Half, Mark};

/// The events that are needed.
pub const EVENTS: [&str; 3] = ["memory_region_ops_*", "virtio_notify", "virtio_queue_notify"];

/// What was counted of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// Bursts.
    pub bursts: u64,
    /// Writes to a device's notification registers.
    pub doorbells: u64,
    /// Reads of other registers.
    pub reads: u64,
    /// Writes to other registers.
    pub writes: u64,
    /// Interrupts.
    pub interrupts: u64,
}

/// What is known while a line is read.
#[derive(Default)]
struct Line<'t> {
    traced: Traced,
    notified: Vec<&'t str>,
    of_others: HashSet<&'t str>,
}

impl Line<'_> {
    fn end(self) -> Traced {
        let Self { traced, notified, of_others } = self;
        let interrupts = notified.iter().filter(|queue| !of_others.contains(*queue)).count();
        Traced { interrupts: interrupts as u64, ..traced }
    }
}

/// Reads a trace: what was counted of each line, in the order in which they ran.
pub fn read(trace: &str) -> Vec<Traced> {
    let mut lines = Vec::new();
    let mut line: Option<Line<'_>> = None;
    let mut half: Option<Half> = None;
    for text in trace.lines() {
        if let Some(mark) = Mark::read(text) {
            if mark == Mark::Line {
                line = Some(Line::default());
            } else if mark == Mark::Between {
                lines.extend(line.take().map(Line::end));
            }
            half = mark.half();
            if let Some(line) = &mut line {
                line.traced.bursts += u64::from(mark == Mark::Complete);
            }
            continue;
        }
        let Some(line) = &mut line else { continue };
        let (event, rest) = text.split_once(' ').unwrap_or((text, ""));
        let queue = || rest.rsplit_once(" vq ").map(|(_, queue)| queue);
        let is_device = rest.contains("name 'virtio-");
        match event {
            "virtio_notify" => line.notified.extend(queue()),
            "virtio_queue_notify" if half.is_none() => line.of_others.extend(queue()),
            "memory_region_ops_read" if half.is_some() && is_device => line.traced.reads += 1,
            "memory_region_ops_write" if half.is_some() && rest.contains("name 'virtio-pci-notify") => {
                line.traced.doorbells += 1;
            }
            "memory_region_ops_write" if half.is_some() && is_device => line.traced.writes += 1,
            _ => {}
        }
    }
    lines
}
