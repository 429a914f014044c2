//! A driver for a device type that the library does not know, and its test on a modelled device.
//!
//! The device adds numbers: a chain has them, and room for the sum. `cargo run -p virtio-test-hal --example calculator` shows both at work; the guide's page "Writing a driver for a new device type" goes
//! through it. Nothing but public pieces is used: `lifecycle` and `ring` of the library, `virtio-model`, and this crate.

mod device;
mod driver;

use virtio_guest::hal::Attempts;
use virtio_guest::transport::pci::PciTransport;
use virtio_test_hal::{Mapper, TestHal, claim};

use device::Device;
use driver::{Calculator, Storage};

fn main() {
    let hal = TestHal::default();
    let device = Device::new(8);
    let transport = PciTransport::open(claim(&device.function), &Mapper(device.function.clone()));
    let transport = transport.expect("it is a virtio function");
    let mut storage = Storage::new();
    let mut calculator = Calculator::start(transport, &hal, &mut storage, Attempts(10)).expect("it comes up");

    // The device works whenever the driver waits; a kernel's patience would sleep there.
    let patience = || {
        device.serve(&hal.space);
        true
    };
    let sum = calculator.sum(&[1, 2, 39], patience).expect("the device adds");

    println!("1 + 2 + 39 = {sum}, of at most {} numbers", calculator.terms_max());
    calculator.close(Attempts(10)).expect("it lets itself be reset");
    device.function.assert_driver_was_correct();
    hal.assert_all_returned();
}

#[cfg(test)]
mod tests {
    use virtio_guest::hal::Attempts;
    use virtio_guest::ring::Broken;
    use virtio_guest::transport::pci::PciTransport;
    use virtio_test_hal::{Mapper, TestHal, claim};

    use super::device::Device;
    use super::driver::{Calculator, StartError, Storage, SumError};

    type Driver<'s> = Calculator<'s, PciTransport<virtio_test_hal::ConfigSpace>, TestHal>;

    fn start<'s>(device: &Device, hal: &TestHal, storage: &'s mut Storage) -> Result<Driver<'s>, StartError> {
        let transport = PciTransport::open(claim(&device.function), &Mapper(device.function.clone()));
        Calculator::start(transport.expect("it is virtio"), hal, storage, Attempts(10))
    }

    #[test]
    fn numbers_are_added() {
        let (hal, device, mut storage) = (TestHal::default(), Device::new(4), Storage::new());
        let mut calculator = start(&device, &hal, &mut storage).expect("it comes up");
        let patience = || {
            device.serve(&hal.space);
            true
        };

        assert_eq!(calculator.terms_max(), 4);
        for round in 0..100 {
            assert_eq!(calculator.sum(&[round, u32::MAX, 1], patience), Ok(u64::from(round) + (1 << 32)));
        }
        assert_eq!(calculator.sum(&[1; 5], patience), Err(SumError::TooMany { at_most: 4 }));

        calculator.close(Attempts(10)).expect("it resets");
        device.function.assert_driver_was_correct();
        hal.assert_all_returned();
    }

    #[test]
    fn a_sum_that_came_too_late_is_not_taken_for_the_next_one() {
        let (hal, device, mut storage) = (TestHal::default(), Device::new(4), Storage::new());
        let mut calculator = start(&device, &hal, &mut storage).expect("it comes up");

        assert_eq!(calculator.sum(&[1, 1], Attempts(3)), Err(SumError::TimedOut));
        let patience = || {
            device.serve(&hal.space);
            true
        };
        assert_eq!(calculator.sum(&[20, 22], patience), Ok(42));
    }

    #[test]
    fn a_device_that_breaks_the_protocol_is_found_out() {
        let (hal, device, mut storage) = (TestHal::default(), Device::new(4), Storage::new());
        let mut calculator = start(&device, &hal, &mut storage).expect("it comes up");

        let lies = || {
            device.return_what_it_was_never_given(&hal.space);
            true
        };
        let error = calculator.sum(&[1], lies);

        assert!(matches!(error, Err(SumError::Broken(Broken::UnknownChain { .. }))), "{error:?}");
        assert_eq!(calculator.sum(&[1], Attempts(3)), error, "only a reset helps");
    }

    #[test]
    fn another_type_of_device_is_left_alone() {
        let (hal, mut storage) = (TestHal::default(), Storage::new());
        let device = Device::of_type(62, 4);

        let error = start(&device, &hal, &mut storage).expect_err("it is none");

        assert!(matches!(error, StartError::NotACalculator(_)), "{error}");
        assert_eq!(device.function.status(), 0);
    }
}
