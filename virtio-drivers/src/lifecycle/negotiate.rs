//! Feature negotiation: offered ∩ wanted, dependencies met, read back.
//!
//! Spec: §2.2 Feature Bits, §3.1.1 steps 4 to 6, §6.1 Driver Requirements: Reserved Feature Bits.
//!
//! Nothing is accepted for being offered. Of the device-independent bits only those that this crate handles can be accepted at all; of the
//! device's own bits only those that its driver names.

use super::ladder::Negotiating;
use super::queues::Installing;
use crate::raw::AreaPlacement;
use crate::raw::order::PLATFORM_STRENGTH_AVAILABLE;
use crate::transport::{Interface, Transport};
use crate::wire::features::{CommonFeatures, DEVICE_TYPE_BITS, DeviceFeatures, close_dependencies};
use crate::wire::status::Status;

/// The device-independent features that this crate handles.
const HANDLED: CommonFeatures = CommonFeatures::VERSION_1
    .union(CommonFeatures::ANY_LAYOUT)
    .union(CommonFeatures::ACCESS_PLATFORM)
    .union(CommonFeatures::INDIRECT_DESC)
    .union(CommonFeatures::EVENT_IDX)
    .union(CommonFeatures::RING_PACKED)
    .union(CommonFeatures::IN_ORDER)
    .union(if PLATFORM_STRENGTH_AVAILABLE { CommonFeatures::ORDER_PLATFORM } else { CommonFeatures::empty() })
    .union(CommonFeatures::SR_IOV)
    .union(CommonFeatures::NOTIFICATION_DATA)
    .union(CommonFeatures::NOTIF_CONFIG_DATA)
    .union(CommonFeatures::RING_RESET)
    .union(CommonFeatures::SUSPEND);

/// The features that a legacy device can have.
const LEGACY_FEATURES: u128 = 0xffff_ffff;

/// The features that a device offers, known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedFeatures(u128);

impl OfferedFeatures {
    pub(super) const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// All 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

/// The features that both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiatedFeatures<D> {
    /// The device-independent ones.
    pub common: CommonFeatures,
    /// The device type's own.
    pub device: D,
}

/// What a driver wants of a device: names, never numbers.
///
/// ```
/// use virtio_guest::lifecycle::Wants;
/// use virtio_guest::wire::block::BlockFeatures;
///
/// let wants = Wants::features(BlockFeatures::FLUSH | BlockFeatures::RO);
/// # let _ = wants;
/// ```
/// ```compile_fail,E0277
/// # use virtio_guest::lifecycle::Wants;
/// let flush_by_its_number = Wants::features(9u128);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants<D> {
    wanted: D,
    required: D,
    common: CommonFeatures,
}

impl<D: DeviceFeatures> Wants<D> {
    /// No feature of the device's own; of the device-independent ones all that this crate handles.
    pub fn none() -> Self {
        Self::features(D::empty())
    }

    /// These features of the device's own, each if it is offered.
    pub fn features(wanted: D) -> Self {
        Self { wanted, required: D::empty(), common: HANDLED }
    }

    /// These too, and if one of them is not offered, or what it depends on is not, the bring-up fails.
    #[must_use]
    pub fn require(mut self, required: D) -> Self {
        self.wanted.insert(required);
        self.required.insert(required);
        self
    }

    /// Not these device-independent features, even if they are offered. `VERSION_1` cannot be done without.
    #[must_use]
    pub fn without(mut self, common: CommonFeatures) -> Self {
        self.common.remove(common.difference(CommonFeatures::VERSION_1));
        self
    }

    /// These too, each if it is offered: what a driver has to know about its device, whoever chose the rest.
    #[must_use]
    pub fn with(mut self, wanted: D) -> Self {
        self.wanted.insert(wanted);
        self
    }

    /// None but these of the device's own features: what a driver handles. A required one that is not among them makes the bring-up fail.
    #[must_use]
    pub fn within(mut self, handled: D) -> Self {
        self.wanted = self.wanted.intersection(handled);
        self
    }

    /// What both sides can agree on.
    fn agree(
        &self,
        OfferedFeatures(offered): OfferedFeatures,
        supported: CommonFeatures,
        interface: Interface,
    ) -> Result<NegotiatedFeatures<D>, NegotiateError> {
        if !self.wanted.contains(self.required) {
            return Err(NegotiateError::NotHandled { bits: self.required.difference(self.wanted).bits() });
        }
        let common =
            CommonFeatures::from_bits_truncate(offered).intersection(self.common).intersection(supported);
        if interface == Interface::Modern && !common.contains(CommonFeatures::VERSION_1) {
            return Err(NegotiateError::Legacy);
        }
        let offered_device = D::from_bits_retain(offered & DEVICE_TYPE_BITS);
        let device = close_dependencies(self.wanted.intersection(offered_device));
        if !device.contains(self.required) {
            return Err(NegotiateError::Missing { bits: self.required.difference(device).bits() });
        }
        Ok(NegotiatedFeatures { common, device })
    }
}

/// No agreement on features; the device was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiateError {
    /// The device does not offer `VERSION_1`, though its transport is that of a modern one: it follows no version of the specification.
    #[error("the device does not offer VERSION_1")]
    Legacy,
    /// Required features are not offered, or lack what they depend on.
    #[error("the device does not offer required features {bits:#x}")]
    Missing {
        /// Which ones.
        bits: u128,
    },
    /// Required features are none that the driver handles.
    #[error("the driver does not handle the required features {bits:#x}")]
    NotHandled {
        /// Which ones.
        bits: u128,
    },
    /// The device does not take the agreed features: it cleared FEATURES_OK, or asks for a reset, or is gone.
    #[error("the device refuses the features {bits:#x}")]
    Refused {
        /// What was written.
        bits: u128,
    },
}

impl<T: Transport> Negotiating<T> {
    /// Agrees on features, tells the device, and asks it whether it takes them. A legacy device is not asked: it has no FEATURES_OK.
    ///
    /// # Errors
    /// See [`NegotiateError`]. The device was given up and reset.
    ///
    /// Spec: §3.1.1, steps 4 to 6; §3.1.2 Legacy Interface: Device Initialization.
    pub fn negotiate<D: DeviceFeatures>(self, wants: Wants<D>) -> Result<Installing<T, D>, NegotiateError> {
        let (mut rung, mut offered) = self.into_rung();
        let interface = rung.transport.interface();
        if interface == Interface::Legacy {
            offered = OfferedFeatures::new(offered.bits() & LEGACY_FEATURES);
        }
        let mut supported = rung.transport.supported_features();
        if interface == Interface::Modern {
            // It goes without saying there, and its number is reserved (§6.3).
            supported.remove(CommonFeatures::ANY_LAYOUT);
        }
        if rung.transport.area_placement() != AreaPlacement::Separate {
            // The rule by which such a device finds a queue's areas is the split layout's; packed rings have none.
            supported.remove(CommonFeatures::RING_PACKED);
        }
        let features = wants.agree(offered, supported, interface)?;
        let bits = features.common.bits() | features.device.bits();
        rung.transport.set_driver_features(bits);
        if interface == Interface::Modern {
            rung.add_status(Status::FEATURES_OK);
        }
        let status = rung.transport.status();
        if interface == Interface::Modern && !status.contains(Status::FEATURES_OK) {
            rung.forget(Status::FEATURES_OK);
            return Err(NegotiateError::Refused { bits });
        }
        // All ones from a device that is gone say this, too.
        if status.contains(Status::DEVICE_NEEDS_RESET) {
            return Err(NegotiateError::Refused { bits });
        }
        Ok(Installing::new(rung, features))
    }
}
