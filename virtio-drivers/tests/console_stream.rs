//! Bytes through a console of one port, both ways, on every kind of ring.
//!
//! Spec: §5.3.6 Device Operation. Not under miri, where it takes long: safe code over the queue's memory, which `console_ends.rs` copies as well.

#![cfg(not(miri))]

mod support;

use core::fmt::Write;

use support::console::{Make, bytes};
use virtio_guest::device::console::{Settings, StreamError};
use virtio_guest::hal::Attempts;
use virtio_guest::ring::Broken;
use virtio_model::block::Order;
use virtio_model::block::WrittenLen;
use virtio_model::console::RawInput;

/// Spec: §5.3.6 Device Operation.
#[test]
fn what_is_written_arrives_whole_and_in_order() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        let all = bytes(5000);

        let patience = bench.other.while_it_works(1000);
        bench.console.write_all_blocking(&all, patience).unwrap();
        let patience = bench.other.while_it_works(1000);
        bench.console.transmit_queue().drain_blocking(patience).unwrap();

        assert_eq!(bench.other.console.take_sent_bytes(0), all);
        bench.end();
    }
}

/// Spec: §5.3.6 Device Operation.
#[test]
fn what_comes_is_read_whole_and_in_order() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        let all = bytes(5000);

        bench.other.console.send(0, &all);

        assert_eq!(bench.received(all.len()), all);
        bench.end();
    }
}

/// A descriptor for each character would be a notification for each.
#[test]
fn characters_are_gathered_until_a_buffer_is_full_or_flushed() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        for byte in bytes(40) {
            assert_eq!(bench.console.write(&[byte]), Ok(1));
        }
        assert_eq!(bench.console.transmit_queue().unflushed(), 8);
        assert_eq!(bench.console.transmit_queue().statistics().chains, 2);

        bench.console.flush().unwrap();
        bench.console.flush().unwrap();

        bench.other.serve();
        let lens: Vec<_> = bench.other.console.take_sent(0).iter().map(|sent| sent.bytes.len()).collect();
        assert_eq!(lens, [16, 16, 8]);
        assert!(bench.other.device.notifications(1) <= 3);
        bench.end();
    }
}

/// Nothing is dropped and nobody waits: what does not fit is told.
#[test]
fn nothing_is_written_while_the_device_has_all_buffers() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        bench.other.console.hold();
        let all = bytes(100);

        assert_eq!(bench.console.write(&all), Ok(64), "four buffers of 16");
        bench.other.serve();
        assert_eq!((bench.console.write(&all[64..]), bench.console.flush()), (Ok(0), Ok(())));
        assert_eq!(bench.console.transmit_queue().in_flight(), 4);
        bench.other.console.release(1);
        bench.other.serve();
        assert_eq!(bench.console.write(&all[64..]), Ok(16), "one came back");

        bench.other.console.release_all();
        bench.other.serve();
        assert_eq!(bench.console.write(&all[80..]), Ok(20));
        bench.console.flush().unwrap();
        bench.other.serve();
        assert_eq!(bench.other.console.take_sent_bytes(0), all);
        bench.end();
    }
}

#[test]
fn a_wait_for_room_ends_in_time_and_loses_nothing() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        bench.other.console.hold();
        let all = bytes(100);

        let result = bench.console.write_all_blocking(&all, bench.other.while_it_works(5));
        assert_eq!(result, Err(StreamError::TimedOut));
        let drained = bench.console.transmit_queue().drain_blocking(bench.other.while_it_works(5));
        assert_eq!(drained, Err(StreamError::TimedOut));

        bench.other.console.release_all();
        bench.console.transmit_queue().drain_blocking(bench.other.while_it_works(5)).unwrap();
        assert_eq!(bench.other.console.take_sent_bytes(0), all[..64]);
        bench.end();
    }
}

/// Buffers may come back in any order; each is one that the device does not have any more.
#[test]
fn buffers_that_come_back_in_another_order_are_used_again() {
    let orders = [Order::Fifo, Order::Reverse];
    for (order, packed) in orders.into_iter().flat_map(|order| [(order, 0), (order, 1 << 34)]) {
        let mut bench = Make { ring: packed, ..Make::default() }.start();
        bench.other.console.complete_in(order);
        let all = bytes(2000);

        bench.console.write_all_blocking(&all, bench.other.while_it_works(1000)).unwrap();
        bench.console.transmit_queue().drain_blocking(bench.other.while_it_works(1000)).unwrap();

        assert_eq!(bench.other.console.take_sent_bytes(0), all);
        bench.end();
    }
}

#[test]
fn a_read_waits_within_its_patience_for_the_first_byte() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        let mut into = [0; 8];

        let nothing = bench.console.read_blocking(&mut into, bench.other.while_it_works(3));
        assert_eq!(nothing, Err(StreamError::TimedOut));
        assert_eq!(bench.console.read_blocking(&mut [], Attempts(1)), Ok(0));

        bench.other.console.send(0, b"abc");
        let came = bench.console.read_blocking(&mut into, bench.other.while_it_works(3));
        assert_eq!((came, &into[..3]), (Ok(3), &b"abc"[..]));
        bench.end();
    }
}

/// A device fills what it was given, and has to wait until something is read.
#[test]
fn what_is_not_read_stays_with_the_device() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        bench.other.console.send(0, bytes(80));
        bench.other.serve();
        assert_eq!(bench.other.console.arriving(0), 16, "four buffers of 16 are full");

        let mut into = [0; 15];
        assert_eq!(bench.console.read(&mut into), Ok(15));
        bench.other.serve();
        assert_eq!(bench.other.console.arriving(0), 16, "no buffer was read to its end");
        assert_eq!(bench.console.read(&mut into[..1]), Ok(1));
        bench.other.serve();
        assert_eq!(bench.other.console.arriving(0), 0);

        assert_eq!(bench.received(64), bytes(80)[16..]);
        bench.end();
    }
}

/// Empty buffers go back to the device; those after them are read.
#[test]
fn a_buffer_of_no_bytes_is_passed_over() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        for _ in 0..6 {
            bench.other.console.send(0, b"");
            bench.other.console.send(0, b"");
            bench.other.console.send(0, b"x");
        }

        assert_eq!(bench.received(6), b"xxxxxx");

        assert_eq!(bench.console.receive_queue().empty_buffers(), 12);
        bench.end();
    }
}

/// A device that says that it wrote more than it could is believed nothing any more; what came before is read.
///
/// Spec: §2.7.8 The Virtqueue Used Ring.
#[test]
fn a_length_beyond_the_buffer_ends_the_queue() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        bench.other.console.send(0, b"sound");
        bench
            .other
            .console
            .send_raw(0, RawInput { bytes: b"false".into(), written: WrittenLen::Exactly(17) });
        bench.other.serve();
        let mut into = [0; 32];

        assert_eq!((bench.console.read(&mut into), &into[..5]), (Ok(5), &b"sound"[..]));
        let broken = bench.console.read(&mut into).unwrap_err();

        assert!(matches!(broken, Broken::WrittenTooMuch { written_len: 17, writable_bytes: 16, .. }));
        assert_eq!(bench.console.read_blocking(&mut into, Attempts(1)), Err(StreamError::Broken(broken)));
        assert_eq!(bench.console.write(b"the other queue"), Ok(15), "is not affected");
        bench.end();
    }
}

/// Nobody writes to a transmitted buffer, whatever the device says.
///
/// Spec: §5.3.6.3 Legacy Interface: Device Operation.
#[test]
fn used_lengths_of_transmitted_buffers_mean_nothing() {
    for legacy in [false, true] {
        let mut bench = Make { legacy, ..Make::default() }.start();
        bench.other.console.misbehave(|lies| lies.sent_written = WrittenLen::Exactly(4096));

        bench.console.write_all_blocking(&bytes(100), bench.other.while_it_works(20)).unwrap();
        bench.console.transmit_queue().drain_blocking(bench.other.while_it_works(20)).unwrap();

        assert_eq!(bench.other.console.take_sent_bytes(0), bytes(100));
        bench.end();
    }
}

#[test]
fn a_legacy_console_works() {
    let mut bench = Make { legacy: true, ..Make::default() }.start();
    bench.other.console.send(0, bytes(50));

    assert_eq!(bench.received(50), bytes(50));
    bench.console.write_all_blocking(b"hello", Attempts(1)).unwrap();
    bench.console.transmit_queue().drain_blocking(bench.other.while_it_works(3)).unwrap();

    assert_eq!(bench.other.console.take_sent_bytes(0), b"hello");
    bench.end();
}

/// Spec: §2.7, §2.8 (queue sizes).
#[test]
fn a_queue_may_be_smaller_than_the_driver_would_like() {
    for size in [1, 2, 4] {
        for make in (Make { queue_size: size, ..Make::default() }).each_ring() {
            let mut bench = make.start();
            bench.other.console.send(0, bytes(100));
            assert_eq!(bench.received(100), bytes(100));
            bench.console.write_all_blocking(&bytes(100), bench.other.while_it_works(50)).unwrap();
            bench.console.transmit_queue().drain_blocking(bench.other.while_it_works(50)).unwrap();
            assert_eq!(bench.other.console.take_sent_bytes(0), bytes(100));
            bench.end();
        }
    }
    // Of no power of two, which only packed rings can be.
    let mut bench = Make { queue_size: 7, ring: 1 << 34, ..Make::default() }.start();
    assert_eq!(bench.console.receive_queue().size(), 7);
    bench.other.console.send(0, bytes(100));
    assert_eq!(bench.received(100), bytes(100));
    bench.end();
}

/// Settings that make no sense are brought to the nearest that do.
#[test]
fn there_is_always_a_buffer_with_a_byte() {
    for count in [0, u16::MAX] {
        let settings = Settings {
            receive_buffers: count,
            transmit_buffers: count,
            buffer_bytes: 0,
            ..Make::default().settings
        };
        let mut bench = Make { settings, queue_size: 256, ..Make::default() }.start();
        bench.other.console.send(0, b"ok");
        assert_eq!(bench.received(2), b"ok");
        bench.console.write_all_blocking(&bytes(300), bench.other.while_it_works(400)).unwrap();
        bench.end();
    }
}

#[test]
fn formatted_text_goes_when_its_writer_is_dropped() {
    let mut bench = Make::default().start();
    let patience = bench.other.while_it_works(20);

    write!(bench.console.transmit_queue().writer(patience), "{:>20}|{}", "right", 7).unwrap();

    bench.other.serve();
    assert_eq!(bench.other.console.take_sent_bytes(0), b"               right|7");
    bench.other.console.hold();
    let failed = write!(bench.console.transmit_queue().writer(Attempts(3)), "{:>200}", "no room");
    assert!(failed.is_err());
    bench.end();
}

/// Spec: §2.7.7, §2.8.10 — without notifications nobody is there to be interrupted, and waits look on their own.
#[test]
fn a_console_without_notifications_is_not_interrupted_by_those_who_wait() {
    for make in Make::default().each_ring() {
        let mut bench = make.start();
        let other = bench.other.clone();
        let mut into = [0; 4];
        let nothing = bench.console.read_blocking(&mut into, other.while_it_works(3));
        assert_eq!(nothing, Err(StreamError::TimedOut));
        other.console.hold();
        let full = bench.console.write_all_blocking(&bytes(100), other.while_it_works(3));
        assert_eq!(full, Err(StreamError::TimedOut));
        let held = bench.console.transmit_queue().drain_blocking(other.while_it_works(3));
        assert_eq!(held, Err(StreamError::TimedOut));

        other.console.release_all();
        other.console.send(0, b"there");
        other.serve();

        assert!(!bench.console.control().acknowledge_interrupt().used_buffer);
        assert_eq!(bench.console.read(&mut into), Ok(4));
        bench.end();
    }
}
