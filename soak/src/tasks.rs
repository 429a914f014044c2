//! Tasks that share a queue: futures that are woken by interrupts, and dropped at any time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use virtio_guest::device::block::{Failed, RequestError};

use crate::bench::Tasks;
use crate::errand::{Errand, Work};
use crate::life::Life;
use crate::page::Page;
use crate::shadow::{SECTOR_BYTES, fill};

/// What becomes of an operation: its page comes back, if it has one.
type Outcome = Result<Option<Page>, Failed<Page>>;

/// Whether a task was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task: one operation.
struct Task<'q> {
    future: Pin<Box<dyn Future<Output = Outcome> + 'q>>,
    flag: Arc<Flag>,
    /// What it does, if it has no page that says so.
    plain: Option<Errand>,
}

/// All of them.
#[derive(Default)]
pub struct TaskList<'q> {
    /// How many there are to be.
    pub depth: usize,
    list: Vec<Task<'q>>,
}

/// Carries an operation out.
async fn carry_out(disk: &Tasks<'_>, errand: Errand, page: Option<Page>) -> Outcome {
    let done = match (errand.work, page) {
        (Work::Read, Some(page)) => return disk.read(errand.sector(), page).await.map(Some),
        (Work::Write(_), Some(page)) => return disk.write(errand.sector(), page).await.map(Some),
        (Work::Discard, _) => disk.discard(errand.sector_range()).await,
        (Work::WriteZeroes(unmap), _) => disk.write_zeroes(errand.sector_range(), unmap).await,
        (Work::SecureErase, _) => disk.secure_erase(errand.sector_range()).await,
        (Work::Flush | Work::Read | Work::Write(_), _) => disk.flush().await,
    };
    done.map(|()| None).map_err(|error| Failed { error, payload: None })
}

impl Task<'_> {
    fn poll(&mut self) -> Poll<Outcome> {
        self.flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.flag));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl Life<'_, '_> {
    /// A few tasks come, up to as many as there are to be.
    pub(crate) fn add_tasks(&mut self) {
        for _ in 0..self.random.usize(1..=8) {
            if self.tasks.list.len() >= self.tasks.depth {
                break;
            }
            let Some(errand) = self.set_out_with_a_page() else { continue };
            let has_page = errand.has_buffer();
            let bytes = usize::try_from(errand.sectors).expect("few") * SECTOR_BYTES;
            let mut page = has_page.then(|| self.pages.take(errand, bytes));
            if let Some(page) = &mut page {
                fill(&errand, page.bytes());
            }
            let future = Box::pin(carry_out(self.shared, errand, page));
            let flag = Arc::new(Flag(AtomicBool::new(true)));
            self.tasks.list.push(Task { future, flag, plain: (!has_page).then_some(errand) });
        }
    }

    /// Polls those that were woken; now and then one that was not.
    pub(crate) fn run_tasks(&mut self) {
        let spurious = self.random.usize(0..64);
        let mut index = 0;
        while let Some(task) = self.tasks.list.get_mut(index) {
            if !task.flag.0.load(Ordering::Relaxed) && index != spurious {
                index += 1;
                continue;
            }
            match task.poll() {
                Poll::Pending => index += 1,
                Poll::Ready(outcome) => {
                    let plain = self.tasks.list.swap_remove(index).plain;
                    self.end_of_task(plain, outcome);
                }
            }
        }
    }

    fn end_of_task(&mut self, plain: Option<Errand>, outcome: Outcome) {
        self.tally.tasks += 1;
        let (mut page, error) = match outcome {
            Ok(page) => (page, None),
            Err(Failed { error, payload }) => (payload, Some(error)),
        };
        let errand = page.as_mut().map(Page::end_errand).or(plain).expect("a page comes back");
        let bytes = page.as_mut().map_or(&mut [][..], |page| page.bytes());
        match error {
            None => self.succeeded(&errand, bytes),
            // More wait than there are places for. Of a range some pieces may have been done; nothing else was even tried.
            Some(RequestError::Full) if errand.has_buffer() => self.shadow.not_done(&errand),
            Some(RequestError::Full) => self.lost(&errand),
            Some(error) => self.failed(&errand, error),
        }
    }

    /// A task is given up. Its page says when its operation is over.
    pub(crate) fn drop_a_task(&mut self) {
        if self.tasks.list.is_empty() {
            return;
        }
        let index = self.random.usize(0..self.tasks.list.len());
        let task = self.tasks.list.swap_remove(index);
        self.stranded.extend(task.plain);
        self.tally.tasks += 1;
    }

    /// The disk works and interrupts until all tasks are over: as long as there are any, that wakes one.
    pub(crate) fn run_tasks_to_their_end(&mut self) {
        self.run_woken();
        while !self.tasks.list.is_empty() {
            self.bench.work(&mut self.random, usize::MAX);
            self.bench.interrupt(&self.handlers);
            let is_woken = |task: &Task<'_>| task.flag.0.load(Ordering::Relaxed);
            assert!(self.tasks.list.iter().any(is_woken), "{} tasks sleep for ever", self.tasks.list.len());
            self.run_woken();
        }
    }

    fn run_woken(&mut self) {
        let mut rounds = 0;
        while self.tasks.list.iter().any(|task| task.flag.0.load(Ordering::Relaxed)) {
            rounds += 1;
            assert!(rounds < 10_000, "the tasks keep each other awake");
            self.run_tasks();
        }
    }
}
