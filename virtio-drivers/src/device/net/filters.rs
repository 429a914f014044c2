//! What is received: modes, addresses, VLANs.
//!
//! Spec: §5.1.9.5.1 Packet Receive Filtering, §5.1.9.5.2 Setting MAC Address Filtering, §5.1.9.5.3 VLAN Filtering. Devices do their best; what is not wanted may still come.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use virtio_guest::device::net::{Control, ControlError};
//!
//! /// Listens to IPv6's all-nodes group and to VLAN 7, or to everything where a device does not choose.
//! fn listen<T: Transport, H: Hal>(card: &mut Control<'_, T, H>) -> Result<(), ControlError> {
//!     let patience = Attempts(100_000);
//!     match card.set_mac_table(&[], &[[0x33, 0x33, 0, 0, 0, 1]], patience) {
//!         Ok(()) => card.set_promiscuous(false, patience)?, // as QEMU's begin
//!         Err(ControlError::Unsupported) => (),
//!         Err(error) => return Err(error),
//!     }
//!     card.add_vlan(7, patience).or_else(|error| if error == ControlError::Unsupported { Ok(()) } else { Err(error) })
//! }
//! ```

use super::commands::ControlError;
use super::control::Control;
use super::description::MacAddress;
use crate::hal::{Hal, Patience};
use crate::transport::Transport;
use crate::wire::features::CommonFeatures;
use crate::wire::net::NetFeatures;
use crate::wire::net::control::{class, mac, rx, vlan};

/// The highest VLAN number.
const VLAN_MAX: u16 = 0xfff;

impl<T: Transport, H: Hal> Control<'_, T, H> {
    /// Has the device receive everything, or only what is for it again.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`CTRL_RX`](NetFeatures::CTRL_RX).
    pub fn set_promiscuous(&mut self, on: bool, patience: impl Patience) -> Result<(), ControlError> {
        self.set_mode(NetFeatures::CTRL_RX, rx::PROMISC, on, patience)
    }

    /// Has the device receive all that is for groups.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`CTRL_RX`](NetFeatures::CTRL_RX).
    pub fn set_all_multicast(&mut self, on: bool, patience: impl Patience) -> Result<(), ControlError> {
        self.set_mode(NetFeatures::CTRL_RX, rx::ALLMULTI, on, patience)
    }

    /// Has the device receive all that is for one station, whichever that is.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`CTRL_RX_EXTRA`](NetFeatures::CTRL_RX_EXTRA), as those that follow.
    pub fn set_all_unicast(&mut self, on: bool, patience: impl Patience) -> Result<(), ControlError> {
        self.set_mode(NetFeatures::CTRL_RX_EXTRA, rx::ALLUNI, on, patience)
    }

    /// Has the device drop all that is for groups, though not what is for all.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn set_no_multicast(&mut self, on: bool, patience: impl Patience) -> Result<(), ControlError> {
        self.set_mode(NetFeatures::CTRL_RX_EXTRA, rx::NOMULTI, on, patience)
    }

    /// Has the device drop all that is for one station.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn set_no_unicast(&mut self, on: bool, patience: impl Patience) -> Result<(), ControlError> {
        self.set_mode(NetFeatures::CTRL_RX_EXTRA, rx::NOUNI, on, patience)
    }

    /// Has the device drop all that is for all.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn set_no_broadcast(&mut self, on: bool, patience: impl Patience) -> Result<(), ControlError> {
        self.set_mode(NetFeatures::CTRL_RX_EXTRA, rx::NOBCAST, on, patience)
    }

    /// Sets which addresses are received besides the device's own: stations, and groups. Both may be empty, as they are at first.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`CTRL_RX`](NetFeatures::CTRL_RX). [`InvalidArgument`](ControlError::InvalidArgument): a group is among the stations, or the reverse.
    pub fn set_mac_table(
        &mut self,
        unicast: &[MacAddress],
        multicast: &[MacAddress],
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        self.need(NetFeatures::CTRL_RX)?;
        if unicast.iter().any(is_group) || !multicast.iter().all(is_group) {
            return Err(ControlError::InvalidArgument);
        }
        let mut command = self.command(NetFeatures::CTRL_RX, class::MAC, mac::TABLE_SET, &mut patience)?;
        for table in [unicast, multicast] {
            let entries = u32::try_from(table.len()).map_err(|_| ControlError::TooLong)?;
            command.put(&entries.to_le_bytes())?;
            command.put(table.as_flattened())?;
            // Legacy devices want to have each table in a descriptor of its own.
            command.cut();
        }
        command.run(&mut patience)
    }

    /// Gives the device another address, which it receives from now on. A legacy device takes it without a command, too; one that has no address takes it silently, for it does not look at addresses.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`CTRL_MAC_ADDR`](NetFeatures::CTRL_MAC_ADDR) and, as all commands about addresses, [`CTRL_RX`](NetFeatures::CTRL_RX); unless the device is a legacy one or has no address
    /// ([`MAC`](NetFeatures::MAC)).
    /// [`InvalidArgument`](ControlError::InvalidArgument): the address is a group's, or none.
    pub fn set_mac(&mut self, address: MacAddress, mut patience: impl Patience) -> Result<(), ControlError> {
        if is_group(&address) || address == MacAddress::default() {
            return Err(ControlError::InvalidArgument);
        }
        let is_legacy = !self.half.features().common.contains(CommonFeatures::VERSION_1);
        let needed = NetFeatures::CTRL_MAC_ADDR | NetFeatures::CTRL_RX;
        if self.need(needed).is_ok() {
            let mut command = self.command(needed, class::MAC, mac::ADDR_SET, &mut patience)?;
            command.put(&address)?;
            command.run(&mut patience)?;
        } else if is_legacy {
            self.write_address(address)?;
        } else if self.features().contains(NetFeatures::MAC) {
            return Err(ControlError::Unsupported);
        }
        self.description.mac = address;
        Ok(())
    }

    /// Has the device receive packets of a VLAN. At first it receives those of none, if this can be asked for, and those of all otherwise.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`CTRL_VLAN`](NetFeatures::CTRL_VLAN). [`InvalidArgument`](ControlError::InvalidArgument): VLANs have 12 bits.
    pub fn add_vlan(&mut self, vlan: u16, patience: impl Patience) -> Result<(), ControlError> {
        self.set_vlan(vlan::ADD, vlan, patience)
    }

    /// Has the device drop packets of a VLAN again.
    ///
    /// # Errors
    /// As for [`add_vlan`](Control::add_vlan).
    pub fn remove_vlan(&mut self, vlan: u16, patience: impl Patience) -> Result<(), ControlError> {
        self.set_vlan(vlan::DEL, vlan, patience)
    }

    fn set_mode(
        &mut self,
        needed: NetFeatures,
        mode: u8,
        on: bool,
        mut patience: impl Patience,
    ) -> Result<(), ControlError> {
        let mut command = self.command(needed, class::RX, mode, &mut patience)?;
        command.put(&[u8::from(on)])?;
        command.run(&mut patience)
    }

    fn set_vlan(&mut self, what: u8, vlan: u16, mut patience: impl Patience) -> Result<(), ControlError> {
        self.need(NetFeatures::CTRL_VLAN)?;
        if vlan > VLAN_MAX {
            return Err(ControlError::InvalidArgument);
        }
        let mut command = self.command(NetFeatures::CTRL_VLAN, class::VLAN, what, &mut patience)?;
        command.put(&vlan.to_le_bytes())?;
        command.run(&mut patience)
    }
}

/// Whether an address is that of a group of stations, or of all.
const fn is_group(address: &MacAddress) -> bool {
    let [first, ..] = *address;
    first & 1 == 1
}
