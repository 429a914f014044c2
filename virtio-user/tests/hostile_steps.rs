//! A back-end that fails in each step of the protocol, in each way: a clear error each, and all memory comes back.

#[path = "support/script.rs"]
mod script;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use script::request::*;
use script::{DISK, Deed, Script, Scripted};
use support::small_memory;
use virtio_guest::device::block::{Block, Storage};
use virtio_guest::wire::device_type::DeviceType;
use virtio_user::protocol::{Cause, Fault};
use virtio_user::{ConnectError, Settings, VhostUser};

/// How long the front-end waits, and how long a back-end takes that is late.
const ANSWER_LIMIT: Duration = Duration::from_millis(400);
const LATE: Duration = Duration::from_secs(1);
/// No life takes as long.
const LIFE_LIMIT: Duration = Duration::from_secs(20);

/// Each message of a disk's life: its number, its name.
const STEPS: [(u32, &str); 18] = [
    (GET_FEATURES, "GET_FEATURES"),
    (GET_PROTOCOL_FEATURES, "GET_PROTOCOL_FEATURES"),
    (SET_PROTOCOL_FEATURES, "SET_PROTOCOL_FEATURES"),
    (SET_OWNER, "SET_OWNER"),
    (SET_BACKEND_REQ_FD, "SET_BACKEND_REQ_FD"),
    (GET_QUEUE_NUM, "GET_QUEUE_NUM"),
    (GET_CONFIG, "GET_CONFIG"),
    (SET_FEATURES, "SET_FEATURES"),
    (SET_MEM_TABLE, "SET_MEM_TABLE"),
    (SET_VRING_NUM, "SET_VRING_NUM"),
    (SET_VRING_BASE, "SET_VRING_BASE"),
    (SET_VRING_ADDR, "SET_VRING_ADDR"),
    (SET_VRING_CALL, "SET_VRING_CALL"),
    (SET_VRING_KICK, "SET_VRING_KICK"),
    (SET_VRING_ENABLE, "SET_VRING_ENABLE"),
    (GET_VRING_BASE, "GET_VRING_BASE"),
    (RESET_DEVICE, "RESET_DEVICE"),
    (SET_CONFIG, "SET_CONFIG"),
];

/// A disk's life at a back-end that does something else at one message: what went wrong, and what a person is told.
fn life(at: u32, deed: Deed) -> (Fault, String) {
    let back_end = Scripted::start(Script { at, deed, ..Script::honest(DISK) });
    let memory = small_memory();
    let before = memory.free_bytes();
    let is_late = matches!(deed, Deed::IsLate(_) | Deed::StopsInTheMiddle(_));
    let answer_limit = if is_late { ANSWER_LIMIT } else { LIFE_LIMIT };
    let settings = Settings { answer_limit, ..Settings::default() };
    let start = Instant::now();
    let fault = match VhostUser::connect(back_end.socket(), DeviceType::BLOCK, &memory, &settings) {
        Err(error) => {
            let text = error.to_string();
            match error {
                ConnectError::Protocol { fault, .. } => (fault, text),
                other => panic!("{other}"),
            }
        }
        Ok(mut transport) => {
            let link = transport.link();
            let mut storage = Storage::<16>::new();
            // It may take that the device is gone some steps later.
            let patience = || move || start.elapsed() < LIFE_LIMIT;
            if let Ok(mut disk) = Block::start(&mut transport, memory.hal(), &mut storage, patience()) {
                if at == SET_CONFIG {
                    let _ =
                        disk.control().set_cache_mode(virtio_guest::device::block::CacheMode::WriteThrough);
                }
                disk.close(patience()).expect("a back-end that hangs up, or stops, is reset");
            }
            let fault = link.fault().expect("something went wrong");
            (fault, fault.to_string())
        }
    };
    assert!(start.elapsed() < LIFE_LIMIT, "{fault:?} took {:?}", start.elapsed());
    assert_eq!(memory.free_bytes(), before, "all memory is back");
    fault
}

/// Lives in which each of these steps fails in this way, some at a time.
fn in_each_step(is_meant: impl Fn(u32) -> bool, deed: Deed, expect: impl Fn(u32, &'static str, Fault)) {
    let steps: Vec<_> = STEPS.into_iter().filter(|step| is_meant(step.0)).collect();
    for steps in steps.chunks(6) {
        let lives: Vec<_> = steps
            .iter()
            .map(|(number, _)| *number)
            .map(|number| thread::spawn(move || life(number, deed)))
            .collect();
        for ((number, name), life) in steps.iter().zip(lives) {
            let (fault, text) = life.join().unwrap_or_else(|_| panic!("{name}: {deed:?}"));
            assert!(text.contains(fault.step.name), "{text}");
            expect(*number, name, fault);
        }
    }
}

/// Whether the message has an answer: the one before answers are agreed on has none.
fn is_answered(number: u32) -> bool {
    number != SET_PROTOCOL_FEATURES
}

/// Whether the message asks for something to be done, and can be refused.
fn is_order(number: u32) -> bool {
    is_answered(number)
        && ![GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_CONFIG, GET_VRING_BASE].contains(&number)
}

/// Each step that is answered fails in this way, and the error says the step and this.
fn expect_in_each_answer(deed: Deed, cause: Cause) {
    in_each_step(is_answered, deed, |_, name, fault| {
        assert_eq!((fault.step.name, fault.cause), (name, cause));
    });
}

#[test]
fn a_back_end_that_hangs_up_in_any_step_is_told_with_the_step() {
    in_each_step(
        |_| true,
        Deed::HangsUp,
        |number, name, fault| {
            let name = if is_answered(number) { name } else { "SET_OWNER" };
            assert_eq!((fault.step.name, fault.cause), (name, Cause::HungUp));
        },
    );
}

#[test]
fn a_back_end_that_hangs_up_in_the_middle_of_any_answer_is_told_with_the_step() {
    expect_in_each_answer(Deed::HangsUpInTheMiddle, Cause::HungUp);
}

#[test]
fn a_back_end_that_is_late_in_any_step_is_told_with_the_step_and_the_time() {
    expect_in_each_answer(Deed::IsLate(LATE), Cause::NoAnswer(ANSWER_LIMIT));
}

#[test]
fn a_back_end_that_stops_in_the_middle_of_any_answer_is_told_with_the_step_and_the_time() {
    expect_in_each_answer(Deed::StopsInTheMiddle(LATE), Cause::NoAnswer(ANSWER_LIMIT));
}

#[test]
fn an_answer_that_is_too_short_or_too_long_is_told_with_the_step_and_its_size() {
    for bytes in [1, 7, 300, u32::MAX] {
        in_each_step(is_answered, Deed::SaysSize(bytes), |_, name, fault| {
            assert_eq!(fault.step.name, name);
            assert!(matches!(fault.cause, Cause::Size { bytes: said, .. } if said == bytes), "{fault}");
        });
    }
}

#[test]
fn an_answer_with_the_wrong_flags_is_told_with_the_step_and_the_flags() {
    for flags in [0, 1, 4, 2 | 4, 1 | 4 | 16] {
        expect_in_each_answer(Deed::SaysFlags(flags), Cause::Flags(flags));
    }
}

#[test]
fn the_answer_to_another_message_is_told_with_the_step_and_the_message() {
    for other in [0, 14, u32::MAX] {
        expect_in_each_answer(Deed::AnswersOther(other), Cause::OtherMessage(other));
    }
}

#[test]
fn file_descriptors_that_nobody_asked_for_are_told_with_the_step() {
    expect_in_each_answer(Deed::SendsFiles, Cause::FileDescriptors);
}

#[test]
fn what_a_back_end_refuses_is_told_with_the_step_and_its_word() {
    in_each_step(is_order, Deed::Refuses(7), |_, name, fault| {
        assert_eq!((fault.step.name, fault.cause), (name, Cause::Refused(7)));
    });
}
