//! How far it is: a bar where somebody looks, one line at the end in any case.

use std::io::{IsTerminal, stderr};
use std::time::Instant;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// How far a transfer is.
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    /// At its beginning.
    pub fn new(bytes: u64) -> Self {
        let bar = if stderr().is_terminal() { ProgressBar::new(bytes) } else { ProgressBar::hidden() };
        let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, start: Instant::now() }
    }

    /// So many bytes more.
    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// At its end: says how much was done, and how fast.
    pub fn finish(&self, what: &str, bytes: u64, restarts: u64) {
        self.bar.finish_and_clear();
        let seconds = self.start.elapsed().as_secs_f64();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "shown"
        )]
        let speed = HumanBytes((bytes as f64 / seconds.max(1e-9)) as u64);
        eprintln!("{what} {} in {seconds:.2} s, {speed}/s{}", HumanBytes(bytes), again(restarts));
    }
}

/// What is said of back-ends that went.
pub fn again(restarts: u64) -> String {
    if restarts == 0 { String::new() } else { format!("; the back-end went and came back {restarts} times") }
}
