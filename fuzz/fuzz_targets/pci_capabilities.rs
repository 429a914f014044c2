//! PCI functions and buses that the fuzzer makes: configuration space, BARs, and the registers behind them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::pci_capabilities;

fuzz_target!(|bytes: &[u8]| pci_capabilities(bytes));
