//! A card for `embassy-net`: whom it wakes, and when.
//!
//! Crate `embassy-net-driver`, and the stack that is written for it. Not under miri: adapters are safe code over calls that other tests make there, and network stacks take their time.

#![cfg(all(feature = "embassy-net-driver", not(miri)))]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use embassy_net::driver::{Driver, LinkState, RxToken, TxToken};
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Ipv4Address, Ipv4Cidr, StackResources, StaticConfigV4};
use support::{CardConfig, DESCRIPTORS, Either, PacketBench, TestHal};
use virtio_guest::adapter::embassy_net_driver::{Link, NetDriver};
use virtio_guest::device::net::Control;
use virtio_guest::lifecycle::{Condition, Interrupt, Signals};
use virtio_guest::wire::net::NetFeatures;
use virtio_model::Nic;
use virtio_model::net::Packet;
use virtio_model::pci::PciDevice;

/// Who waits, and whether somebody woke it.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    /// Whether it was woken since this was last asked.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// A card whose interrupts are handled, under a driver for `embassy-net`.
struct Bench {
    nic: Nic,
    device: PciDevice,
    hal: TestHal,
    control: Control<'static, Either, TestHal>,
    driver: NetDriver<'static, 'static, TestHal>,
    link: &'static Link,
    vectors: Vec<Interrupt<'static>>,
    woken: Arc<Woken>,
}

impl Bench {
    fn new(change: impl FnOnce(&mut CardConfig)) -> Self {
        let bench = PacketBench::new(|config| {
            config.interrupts = true;
            change(config);
        });
        let PacketBench { nic, device, hal, mut control, packets } = bench;
        let signals: &'static Signals<2> = Box::leak(Box::default());
        let link: &'static Link = Box::leak(Box::default());
        let interrupts = control.connect_interrupts(signals).expect("nobody else uses them");
        let driver = NetDriver::new(packets, interrupts, link).expect("there is a signal for each queue");
        let vectors = (0..3).map(|vector| interrupts.vector(vector).expect("it is used")).collect();
        Self { nic, device, hal, control, driver, link, vectors, woken: Arc::default() }
    }

    /// Has the card work, and its interrupts be handled.
    fn serve(&self) {
        self.nic.serve(&self.device, &self.hal.space);
        for (_, vector) in self.device.take_messages() {
            self.vectors[vector as usize & 0xff].handle();
        }
    }

    fn waker(&self) -> Waker {
        Arc::clone(&self.woken).into()
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let waker = self.waker();
        let (packet, _) = self.driver.receive(&mut Context::from_waker(&waker))?;
        Some(packet.consume(|bytes| bytes.to_vec()))
    }

    fn send(&mut self) -> bool {
        let waker = self.waker();
        let token = self.driver.transmit(&mut Context::from_waker(&waker));
        token.map(|token| token.consume(60, |into| into.fill(5))).is_some()
    }
}

#[test]
fn a_stack_is_woken_by_a_packet_that_arrives() {
    let mut bench = Bench::new(|_| {});
    assert_eq!(bench.receive(), None);
    bench.serve();
    assert!(!bench.woken.take(), "nothing has come");

    bench.nic.inject(Packet::new([9; 60]));
    bench.serve();

    assert!(bench.woken.take());
    assert_eq!(bench.receive(), Some(vec![9; 60]));
    assert_eq!(bench.receive(), None);
    bench.nic.inject(Packet::new([8; 60]));
    bench.serve();
    assert!(bench.woken.take(), "and by the next");
}

#[test]
fn a_packet_that_came_before_anybody_waited_is_received_at_once() {
    let mut bench = Bench::new(|_| {});
    bench.nic.inject(Packet::new([9; 60]));
    bench.serve();

    assert_eq!(bench.receive(), Some(vec![9; 60]));
}

#[test]
fn a_stack_is_woken_when_there_is_room_again() {
    let mut bench = Bench::new(|_| {});
    bench.nic.hold();
    for _ in 0..DESCRIPTORS {
        assert!(bench.send());
    }
    assert!(!bench.send());
    bench.serve();
    assert!(!bench.woken.take(), "there is no room");

    bench.nic.release(1);
    bench.serve();

    assert!(bench.woken.take());
    assert!(bench.send() && !bench.send());
}

#[test]
fn a_packet_waits_until_there_is_room_for_an_answer() {
    let mut bench = Bench::new(|_| {});
    bench.nic.hold();
    for _ in 0..DESCRIPTORS {
        assert!(bench.send());
    }
    bench.nic.inject(Packet::new([9; 60]));
    bench.serve();
    assert_eq!(bench.receive(), None);
    bench.woken.take();

    bench.nic.release(1);
    bench.serve();

    assert!(bench.woken.take());
    assert_eq!(bench.receive(), Some(vec![9; 60]));
}

#[test]
fn a_stack_is_told_of_the_link_and_of_its_changes() {
    let mut bench = Bench::new(|_| {});
    let waker = bench.waker();
    let Bench { nic, device, control, driver, link, vectors, woken, .. } = &mut bench;
    let mut context = Context::from_waker(&waker);
    assert!(driver.link_state(&mut context) == LinkState::Down, "nobody has looked");
    let mut follow = pin!(link.follow(control));
    let other = Waker::from(Arc::new(Woken::default()));
    let mut look = |vectors: &[Interrupt<'static>]| {
        for (_, vector) in device.take_messages() {
            vectors[vector as usize & 0xff].handle();
        }
        follow.as_mut().poll(&mut Context::from_waker(&other))
    };

    for is_up in [true, false, true] {
        nic.set_link(device, is_up);
        assert_eq!(look(vectors), Poll::Pending);
        assert!(woken.take());
        assert!((driver.link_state(&mut context) == LinkState::Up) == is_up);
    }
    device.set_needs_reset();
    assert_eq!(look(vectors), Poll::Ready(Condition::NeedsReset));
    assert!(driver.link_state(&mut context) == LinkState::Down);
}

#[test]
fn a_stack_is_told_what_the_card_is() {
    let bench = Bench::new(|config| {
        (config.number, config.mtu) = (9, Some(1280));
        config.features = NetFeatures::CSUM;
    });

    let capabilities = bench.driver.capabilities();

    assert_eq!(
        bench.driver.hardware_address(),
        embassy_net::driver::HardwareAddress::Ethernet([2, 0, 0, 0, 0, 9])
    );
    assert_eq!((capabilities.max_transmission_unit, capabilities.max_burst_size), (1294, Some(DESCRIPTORS)));
    let told = capabilities.checksum;
    let told = format!("{:?} {:?} {:?} {:?}", told.tcp, told.udp, told.ipv4, told.icmpv4);
    assert_eq!(told, "Rx Rx Both Both");
}

/// Two machines with `embassy-net`, and the cable between them.
#[test]
fn two_stacks_talk_through_two_cards() {
    let [first, second] = [1, 2].map(|number| {
        let Bench { nic, device, hal, control, driver, link, vectors, .. } = Bench::new(|config| {
            config.number = number;
            config.features = NetFeatures::CSUM | NetFeatures::GUEST_CSUM;
        });
        link.set(true);
        let address = Ipv4Cidr::new(Ipv4Address::new(10, 0, 0, number), 24);
        let config = StaticConfigV4 { address, gateway: None, dns_servers: [].into_iter().collect() };
        let resources: &'static mut StackResources<3> = Box::leak(Box::new(StackResources::new()));
        let config = embassy_net::Config::ipv4_static(config);
        let (stack, runner) = embassy_net::new(driver, config, resources, number.into());
        (nic, device, hal, vectors, stack, runner, control)
    });
    let cable = |from: &Nic, to: &Nic| {
        for frame in from.take_transmitted() {
            assert_eq!(frame.complaint, None);
            to.inject(Packet::new(frame.completed()));
        }
    };
    let serve = |nic: &Nic, device: &PciDevice, hal: &TestHal, vectors: &[Interrupt<'static>]| {
        nic.serve(device, &hal.space);
        for (_, vector) in device.take_messages() {
            vectors[vector as usize & 0xff].handle();
        }
    };
    let (nic_1, device_1, hal_1, vectors_1, stack_1, mut runner_1, _control_1) = first;
    let (nic_2, device_2, hal_2, vectors_2, stack_2, mut runner_2, _control_2) = second;
    let socket = |stack| {
        let buffer = || -> &'static mut [u8] { Box::leak(vec![0; 2000].into()) };
        let meta = || -> &'static mut [PacketMetadata] { Box::leak(vec![PacketMetadata::EMPTY; 4].into()) };
        let mut socket = UdpSocket::new(stack, meta(), buffer(), meta(), buffer());
        socket.bind(7000).expect("the port is free");
        socket
    };
    let mut talk = pin!(async {
        let (asking, answering) = (socket(stack_1), socket(stack_2));
        let mut bytes = [0; 1472];
        asking.send_to(&[42; 1400], (Ipv4Address::new(10, 0, 0, 2), 7000)).await.expect("there is a way");
        let (len, from) = answering.recv_from(&mut bytes).await.expect("it fits");
        answering.send_to(&bytes[..len], from).await.expect("there is a way back");
        let (len, _) = asking.recv_from(&mut bytes).await.expect("it fits");
        bytes[..len].to_vec()
    });
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let context = &mut Context::from_waker(&waker);
    let (mut run_1, mut run_2) = (pin!(runner_1.run()), pin!(runner_2.run()));

    let answer = (0..50_000).find_map(|_| {
        if woken.take() {
            let _ = run_1.as_mut().poll(context);
            let _ = run_2.as_mut().poll(context);
            if let Poll::Ready(answer) = talk.as_mut().poll(context) {
                return Some(answer);
            }
        } else {
            // Interrupts wake, and so do the stacks' timers.
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        serve(&nic_1, &device_1, &hal_1, &vectors_1);
        serve(&nic_2, &device_2, &hal_2, &vectors_2);
        cable(&nic_1, &nic_2);
        cable(&nic_2, &nic_1);
        None
    });

    assert_eq!(answer, Some(vec![42; 1400]));
    device_1.assert_driver_was_correct();
    device_2.assert_driver_was_correct();
}
