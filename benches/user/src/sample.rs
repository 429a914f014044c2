//! One sample: a subject of its own, warmed up, and a window of time in which it counts.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::back_end::{BackEnd, dpdk_memory, huge_pages_are_there};
use crate::child::Child;
use crate::distance::Distance;
use crate::line::{Line, NetLine, Whose};
use crate::noise::Reading;
use crate::processors::{Processors, pinned};

/// How long a subject may take to get ready, and to answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Frames that may be on their way when a window ends.
const ON_THEIR_WAY: u64 = 512;

/// What a subject says of a window.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Window {
    /// How long it was.
    pub nanoseconds: u64,
    /// Frames or requests.
    pub operations: u64,
    /// Bursts that had one.
    pub bursts: u64,
    /// Operations whose cycles were counted: those of whole bursts.
    pub counted: u64,
    /// Their cycles.
    pub cycles: u64,
    /// Notifications of the back-end.
    pub kicks: u64,
    /// Heap allocations.
    pub allocations: u64,
}

/// A sample.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// What the subject said.
    pub window: Window,
    /// The part of a processor that other programs used.
    pub others: f64,
    /// How long a cache line took from one processor to the other and back, before or after: the longer one, in nanoseconds.
    pub round_trip_nanoseconds: f64,
}

#[allow(clippy::cast_precision_loss, reason = "counts of a second")]
impl Sample {
    /// Operations per second.
    pub fn rate(&self) -> f64 {
        self.window.operations as f64 * 1e9 / self.window.nanoseconds as f64
    }

    /// Cycles of an operation in a whole burst; `None` if there was no such burst.
    pub fn cycles(&self) -> Option<f64> {
        (self.window.counted > 0).then(|| self.window.cycles as f64 / self.window.counted as f64)
    }

    /// A count per operation.
    pub fn per_operation(&self, count: u64) -> f64 {
        count as f64 / self.window.operations as f64
    }
}

/// How samples are taken.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// Where.
    pub processors: Processors,
    /// How long a subject runs before it counts.
    pub warm_up: Duration,
    /// How long it counts.
    pub window: Duration,
    /// The program that drives DPDK's card.
    pub dpdk_card: PathBuf,
}

/// What a subject is to do, as its last arguments say it.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// Runs for so long, says that it is ready, and counts between two lines that are typed.
    Windows(Duration),
    /// Does so many bursts, with a pause before each so that the back-end is done, and says how many operations that were.
    Bursts(u64),
}

impl Task {
    /// As two words.
    pub fn words(self) -> [String; 2] {
        match self {
            Self::Windows(warm_up) => ["windows".into(), warm_up.as_millis().to_string()],
            Self::Bursts(bursts) => ["bursts".into(), bursts.to_string()],
        }
    }
}

impl Sampling {
    /// The program and arguments that do a line with somebody's driver.
    ///
    /// # Errors
    /// This program does not know where it is.
    pub fn subject(
        &self,
        line: Line,
        whose: Whose,
        back_end: &BackEnd,
        task: Task,
    ) -> Result<(String, Vec<String>), String> {
        if let (Line::Net(net), Whose::Dpdk | Whose::DpdkVectorized) = (line, whose) {
            let mut arguments = self.dpdk_arguments(net, whose == Whose::DpdkVectorized, back_end, task);
            arguments.extend(["--".into(), if net.transmit { "transmit" } else { "receive" }.into()]);
            arguments.extend(task.words());
            return Ok((self.dpdk_card.display().to_string(), arguments));
        }
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let place = if whose == Whose::Linux { back_end.file() } else { back_end.socket() };
        let mut arguments = vec!["subject".into(), whose.name().into(), line.to_string()];
        arguments.push(place.display().to_string());
        arguments.extend(task.words());
        Ok((program.display().to_string(), arguments))
    }

    fn dpdk_arguments(&self, line: NetLine, vectorized: bool, back_end: &BackEnd, task: Task) -> Vec<String> {
        let processor = self.processors.subject;
        let mut whole = vec![format!("--lcores=0@{processor}")];
        // Under valgrind there are not as many addresses as it reserves for huge pages.
        let huge_pages = matches!(task, Task::Windows(_)) && huge_pages_are_there();
        whole.extend(dpdk_memory(huge_pages));
        let device = format!(
            "--vdev=net_virtio_user0,path={},queues=1,queue_size=256,mrg_rxbuf={},in_order={},packed_vq={},vectorized={}",
            back_end.socket().display(),
            u8::from(line.mergeable),
            u8::from(line.mode.is_in_order()),
            u8::from(line.mode.is_packed()),
            u8::from(vectorized)
        );
        whole.push(device);
        if vectorized {
            whole.push("--force-max-simd-bitwidth=512".into());
        }
        whole
    }

    /// Takes one sample.
    ///
    /// # Errors
    /// Back-end or subject fail, or contradict each other.
    pub fn take(
        &self,
        line: Line,
        whose: Whose,
        back_end: &mut BackEnd,
        distance: &mut Distance,
    ) -> Result<Sample, String> {
        let near = back_end.paused(|| distance.wait());
        let (program, arguments) = self.subject(line, whose, back_end, Task::Windows(self.warm_up))?;
        let mut command = pinned(self.processors.subject, &program);
        command.args(arguments);
        let mut subject = Child::start(command)?;
        subject.wait_for("readiness", LIMIT, |said| (said == "ready").then_some(()))?;

        let frames = back_end.frames()?;
        let known = [back_end.id(), subject.id()];
        let before = Reading::take(&known);
        subject.type_line("")?;
        thread::sleep(self.window);
        subject.type_line("")?;
        let after = Reading::take(&known);
        let window: Window = subject.wait_for("figures", LIMIT, |said| serde_json::from_str(said).ok())?;
        let served = back_end.frames()?.zip(frames).map(|(after, before)| after.saturating_sub(before));
        subject.end()?;

        if let Some(served) = served.filter(|served| served + ON_THEIR_WAY < window.operations) {
            let counted = window.operations;
            return Err(format!("{line}: {counted} frames counted, but the back-end had only {served}"));
        }
        if window.operations == 0 {
            return Err(format!("{line}, {}: nothing was done in the window", whose.name()));
        }
        let round_trip_nanoseconds = near.max(back_end.paused(|| distance.look()));
        Ok(Sample { window, others: after.others_since(&before), round_trip_nanoseconds })
    }
}
