//! A console's port through other people's traits: `embedded-io`, `embedded-io-async`, `log`.
//!
//! Not under miri: safe code over calls that other tests make there.

#![cfg(all(feature = "embedded-io-async", not(miri)))]

mod support;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use embedded_io::{Error, ErrorKind, Read, ReadReady, Write, WriteReady};
use log::{Level, LevelFilter, Log, Record};
use support::console::{Make, Other, Transmit, bytes, signal};
use support::tasks::Task;
use virtio_guest::adapter::{LogSink, console_io, console_tasks};
use virtio_guest::device::console::{Console, StreamError};
use virtio_guest::hal::{Attempts, Lock};
use virtio_guest::ring::Broken;

#[test]
fn a_stream_carries_bytes_both_ways_and_waits_for_them() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        let other = bench.other.clone();
        let (_, receive, transmit) = bench.console.parts();
        let mut input = console_io::Reader::new(receive, || other.while_it_works(20));
        let mut output = console_io::Writer::new(transmit, || other.while_it_works(20));
        let all = bytes(300);
        assert_eq!((input.read_ready(), output.write_ready()), (Ok(false), Ok(true)));
        assert_eq!((input.read(&mut []), output.write(&[])), (Ok(0), Ok(0)));

        other.console.send(0, &all);
        let mut came = vec![0; 300];
        input.read_exact(&mut came).unwrap();
        output.write_all(&all).unwrap();
        output.flush().unwrap();

        assert_eq!((came, other.console.take_sent_bytes(0)), (all.clone(), all));
        other.console.send(0, b"more");
        other.serve();
        assert_eq!(input.read_ready(), Ok(true));
        bench.end();
    }
}

#[test]
fn a_stream_that_waits_in_vain_says_that_it_timed_out() {
    let mut bench = Make::default().start();
    bench.other.console.hold();
    let (_, receive, transmit) = bench.console.parts();
    let mut input = console_io::Reader::new(receive, || Attempts(3));
    let mut output = console_io::Writer::new(transmit, || Attempts(3));

    assert_eq!(input.read(&mut [0; 4]), Err(StreamError::TimedOut));
    assert_eq!(output.write_all(&[7; 65]), Err(StreamError::TimedOut));
    assert_eq!((output.write_ready(), output.flush()), (Ok(false), Err(StreamError::TimedOut)));

    assert_eq!(StreamError::TimedOut.kind(), ErrorKind::TimedOut);
    assert_eq!(StreamError::Broken(Broken::ResetPending).kind(), ErrorKind::NotConnected);
    bench.end();
}

#[test]
fn a_stream_for_tasks_carries_bytes_both_ways() {
    use embedded_io_async::{Read, ReadReady, Write, WriteReady};

    for make in Make::default().notified().each_ring() {
        let mut bench = make.start();
        let other = bench.other.clone();
        let (control, receive, transmit) = bench.console.parts();
        let signals = [0, 1].map(|queue| signal(control.interrupts(), queue));
        let mut input = console_tasks::Reader::new(receive, signals[0]);
        let mut output = console_tasks::Writer::new(transmit, signals[1]);
        assert_eq!((input.read_ready(), output.write_ready()), (Ok(false), Ok(true)));
        let mut came = vec![0; 200];
        let all = bytes(200);

        let mut read = Task::new(input.read_exact(&mut came));
        let mut write = Task::new(async {
            output.write_all(&all).await?;
            output.flush().await
        });
        other.console.send(0, &all);
        for _ in 0..100 {
            read.run();
            write.run();
            other.serve();
        }

        assert!(matches!(read.result.take(), Some(Ok(()))));
        assert_eq!(write.result.take(), Some(Ok(())));
        drop((read, write));
        assert_eq!((came, other.console.take_sent_bytes(0)), (all.clone(), all));
        bench.end();
    }
}

/// A mutex of the kernel's own.
struct Own(Mutex<Transmit>);

impl Lock for Own {
    type Inside = Transmit;

    fn with<R>(&self, act: impl FnOnce(&mut Transmit) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn log(sink: &impl Log, level: Level, target: &str, text: &str) {
    sink.log(&Record::builder().level(level).target(target).args(format_args!("{text}")).build());
}

#[test]
fn messages_of_a_level_go_through_a_port_a_line_each() {
    let mut make = Make::default();
    make.settings.buffer_bytes = 40;
    let bench = make.start();
    let other = bench.other.clone();
    let (control, receive, transmit) = bench.console.split();
    let sink = LogSink::new(Own(transmit.into()), LevelFilter::Info);

    log(&sink, Level::Info, "kernel::disk", "3 sectors");
    log(&sink, Level::Debug, "kernel::disk", "not as important");
    log(&sink, Level::Error, "kernel", "no disk");
    // What the driver says of itself would come back to the queue that it tells of.
    log(&sink, Level::Error, "virtio_guest::ring::service", "broken");
    log(&sink, Level::Error, "virtio_guesthouse", "closed");
    sink.flush();
    other.serve();

    let lines =
        "[INFO  kernel::disk] 3 sectors\r\n[ERROR kernel] no disk\r\n[ERROR virtio_guesthouse] closed\r\n";
    assert_eq!(other.console.take_sent_bytes(0), lines.as_bytes());
    assert_eq!(sink.lost_bytes(), 0);
    sink.queue()
        .with(|queue| assert_eq!(queue.statistics().chains, 3, "one for each, however it was put together"));
    let transmit = sink.into_queue().0.into_inner().unwrap();
    Console::join(control, receive, transmit).close(Attempts(10)).unwrap();
    other.device.assert_driver_was_correct();
}

/// Makes room when it is written.
struct MakesRoom<'o>(&'o Other);

impl fmt::Display for MakesRoom<'_> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.console.release_all();
        self.0.serve();
        Ok(())
    }
}

/// What is there of a message is its beginning, though there was room again before its end.
#[test]
fn a_message_has_no_holes() {
    let bench = Make::default().start();
    let other = bench.other.clone();
    other.console.hold();
    let (control, receive, transmit) = bench.console.split();
    let sink = LogSink::new(Own(transmit.into()), LevelFilter::Trace);
    let (text, room) = ("a message that is a little too long for what there is", MakesRoom(&other));

    sink.log(
        &Record::builder().level(Level::Warn).target("k").args(format_args!("{text}{text}{room}end")).build(),
    );

    other.serve();
    let whole = format!("[WARN  k] {text}{text}end\r\n");
    assert_eq!(other.console.take_sent_bytes(0), &whole.as_bytes()[..64]);
    assert_eq!(sink.lost_bytes(), whole.len() - 64);
    let transmit = sink.into_queue().0.into_inner().unwrap();
    drop(Console::join(control, receive, transmit));
    other.hal.assert_all_returned();
}

/// A message never waits.
#[test]
fn messages_that_there_is_no_room_for_are_lost_and_counted() {
    let bench = Make::default().start();
    let other = bench.other.clone();
    other.console.hold();
    let (control, receive, transmit) = bench.console.split();
    let sink = LogSink::new(Own(transmit.into()), LevelFilter::Trace);
    let text = "a message that is a little too long for what there is";

    log(&sink, Level::Warn, "k", text);
    log(&sink, Level::Warn, "k", "lost as a whole");

    other.serve();
    let line = format!("[WARN  k] {text}\r\n");
    let second = "[WARN  k] lost as a whole\r\n";
    assert_eq!(other.console.take_sent_bytes(0), &line.as_bytes()[..64]);
    assert_eq!(sink.lost_bytes(), line.len() - 64 + second.len());
    other.console.release_all();
    other.serve();
    log(&sink, Level::Warn, "k", "there is room again");
    other.serve();
    assert_eq!(other.console.take_sent_bytes(0), b"[WARN  k] there is room again\r\n");
    let transmit = sink.into_queue().0.into_inner().unwrap();
    Console::join(control, receive, transmit).close(Attempts(10)).unwrap();
    other.hal.assert_all_returned();
}
