//! `virtio-user net`, at ports of testpmd and of Open vSwitch.

#[path = "support/program.rs"]
#[allow(dead_code, reason = "each test program uses some of it")]
mod program;

use program::{Program, run};
use qemu_tests::backend::{Forwarding, OpenVSwitch, Testpmd, TestpmdSettings};

fn testpmd(forwarding: Forwarding) -> Testpmd {
    Testpmd::start(TestpmdSettings { forwarding, ..TestpmdSettings::default() })
}

fn start(words: &str) -> Program {
    Program::start(words.split_ascii_whitespace())
}

#[test]
fn what_is_transmitted_is_what_testpmd_counts() {
    let mut testpmd = testpmd(Forwarding::ReceiveOnly);
    let port = testpmd.socket(0).display().to_string();
    let mut before = 0;
    for how in ["--split", "--packed", "--bytes 1514", "--interrupts"] {
        let said = run(&format!("net transmit {port} --count 5000 {how}")).done();

        assert!(said.output.contains("transmitted 5000 frames"), "{said:?}");
        before += 5000;
        assert_eq!(testpmd.counters(0).from_guest, before, "{how}");
    }
    run(&format!("blk read {port}")).failed("a device of type 2 was asked for", "use `virtio-user net`");
    assert_eq!(run(&format!("net transmit {port} --to nobody")).status, Some(2));
    testpmd.stop();
}

/// It says that it has 128 pairs of queues, and takes what it is told of all of them.
#[test]
fn pairs_that_testpmd_does_not_serve_are_told_soon() {
    let testpmd = testpmd(Forwarding::ReceiveOnly);
    let port = testpmd.socket(0).display().to_string();
    // With so many all frames end in rings that nobody looks at; with so few the others go on, and it is told in the end.
    for (how, unserved) in [("--queues 8", "7 of 8"), ("--queues 2 --count 5000", "1 of 2")] {
        run(&format!("net transmit {port} {how}"))
            .failed(&format!("took no frame from {unserved} pairs of queues"), "ask for fewer with --queues");
    }
    run(&format!("net transmit {port} --count 100")).done();
    testpmd.stop();
}

#[test]
fn what_testpmd_transmits_is_counted() {
    let testpmd = testpmd(Forwarding::TransmitOnly);
    let port = testpmd.socket(0).display().to_string();
    for how in ["", "--packed", "--interrupts"] {
        let said = run(&format!("net receive {port} --seconds 0.3 {how}")).done();

        let frames =
            said.output.split_ascii_whitespace().nth(1).and_then(|frames| frames.parse::<u64>().ok());
        assert!(frames.is_some_and(|frames| frames > 1000), "{said:?}");
    }
    run(&format!("net receive {port} --seconds 0.3 --count 10"))
        .failed("0 of 10 frames came in time", "give it more time");
}

/// Two pairs of ports: two processes at the ends, and one that is a wire in the middle.
#[test]
fn numbered_frames_go_from_one_process_to_another_through_a_third() {
    let testpmd = testpmd(Forwarding::ThroughTwice);
    let port = |port: usize| testpmd.socket(port).display().to_string();
    let forward = start(&format!("net forward {} {} --seconds 25 --interrupts", port(1), port(2)));
    let receive = start(&format!("net receive {} --count 1000 --seconds 20", port(3)));
    let transmit = start(&format!("net transmit {} --bytes 200 --seconds 25", port(0)));

    let said = receive.end().done();

    assert!(said.output.contains(" 0 late, 0 wrong"), "{said:?}");
    drop((forward, transmit));
}

#[test]
fn a_station_behind_the_switch_answers_and_so_does_a_second_process() {
    let switch = OpenVSwitch::start(2);
    switch.give_address("10.0.0.1/24");
    let port = |port: usize| switch.socket(port).display().to_string();
    let wait = "--listen --wait-for-back-end 20 --interrupts";
    let _answers = start(&format!("net ping {} --from 10.0.0.3 {wait} --seconds 25", port(1)));
    for to in ["10.0.0.1", "10.0.0.3"] {
        let ping = format!(
            "net ping {} {to} --from 10.0.0.2 --count 3 --interval 0.05 --seconds 10 {wait}",
            port(0)
        );
        let said = run(&ping).done();

        assert!(said.output.contains("3 of 3 questions were answered"), "{said:?}");
    }
    run(&format!("net ping {} 10.0.0.9 --from 10.0.0.2 --seconds 0.5 {wait}", port(0)))
        .failed("nobody at this port says to be 10.0.0.9", "see whether");
    switch.stop();
}
