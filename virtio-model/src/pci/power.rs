//! A function that loses power, and forgets its configuration.
//!
//! PCI Bus Power Management Interface Specification 1.2, §5.4 (a function that comes back from D3 may have to be set up from the start). When a guest sleeps, or its platform takes the power of
//! a slot, addresses, switches, messages and all that a driver said are gone; what the function is stays.

use super::PciDevice;
use super::state::State;
use super::status::Reset;

impl State {
    fn lose_power(&mut self) {
        self.config_space.forget();
        if let Some(msi_x) = &mut self.msi_x {
            msi_x.forget();
        }
        self.forget_driver();
        self.reset = Reset::NeverAsked;
    }
}

impl PciDevice {
    /// The function loses power, and has it again: its BARs have no addresses, it decodes none, accesses no memory, and has no messages. Its device is as after a reset, which nobody asked for.
    pub fn lose_power(&self) {
        self.lock().lose_power();
    }
}
