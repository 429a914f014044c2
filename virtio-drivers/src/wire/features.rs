//! Feature bits: 128 of them, and how they depend on each other.
//!
//! Spec: §2.2 Feature Bits, §6 Reserved Feature Bits. Each device type's own bits are in that device's file.
//!
//! A set is a type per owner, so a device's bit cannot be mistaken for a ring's, nor a bit number for a mask:
//! [`CommonFeatures`] here, and one [`DeviceFeatures`] type per device. A driver for a device that this crate does not know
//! declares its bits with `bitflags!` and implements the trait.

use bitflags::Flags;

bitflags::bitflags! {
    /// Device-independent feature bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CommonFeatures: u128 {
        /// Legacy devices: chains may be cut into descriptors anywhere. Whoever is offered it accepts it (§6.3).
        #[doc(alias = "VIRTIO_F_ANY_LAYOUT")]
        const ANY_LAYOUT = 1 << 27;
        /// Descriptors may refer to tables of descriptors.
        #[doc(alias = "VIRTIO_F_INDIRECT_DESC")]
        const INDIRECT_DESC = 1 << 28;
        /// Notifications are asked for by index instead of by a flag.
        #[doc(alias = "VIRTIO_F_EVENT_IDX")]
        const EVENT_IDX = 1 << 29;
        /// The device follows version 1 of the specification or later.
        #[doc(alias = "VIRTIO_F_VERSION_1")]
        const VERSION_1 = 1 << 32;
        /// The device's memory accesses may be restricted or translated by the platform.
        #[doc(alias = "VIRTIO_F_ACCESS_PLATFORM")]
        #[doc(alias = "VIRTIO_F_IOMMU_PLATFORM")]
        const ACCESS_PLATFORM = 1 << 33;
        /// Packed virtqueue layout.
        #[doc(alias = "VIRTIO_F_RING_PACKED")]
        const RING_PACKED = 1 << 34;
        /// Buffers are used in the order in which they were made available.
        #[doc(alias = "VIRTIO_F_IN_ORDER")]
        const IN_ORDER = 1 << 35;
        /// Memory accesses need barriers of the strength that real hardware needs.
        #[doc(alias = "VIRTIO_F_ORDER_PLATFORM")]
        const ORDER_PLATFORM = 1 << 36;
        /// The device supports single root I/O virtualization (PCI only).
        #[doc(alias = "VIRTIO_F_SR_IOV")]
        const SR_IOV = 1 << 37;
        /// Notifications carry the ring's position.
        #[doc(alias = "VIRTIO_F_NOTIFICATION_DATA")]
        const NOTIFICATION_DATA = 1 << 38;
        /// Notifications carry an identifier that the device chose.
        #[doc(alias = "VIRTIO_F_NOTIF_CONFIG_DATA")]
        const NOTIF_CONFIG_DATA = 1 << 39;
        /// A queue can be reset by itself.
        #[doc(alias = "VIRTIO_F_RING_RESET")]
        const RING_RESET = 1 << 40;
        /// The device has administration virtqueues (modern PCI only).
        #[doc(alias = "VIRTIO_F_ADMIN_VQ")]
        const ADMIN_VQ = 1 << 41;
        /// The device can be suspended.
        #[doc(alias = "VIRTIO_F_SUSPEND")]
        const SUSPEND = 1 << 43;
    }
}

/// Bits that belong to the device type: 0-23, 41, 42 and 50-127.
///
/// Bits 41 and 42 are left out: 41 has since become `ADMIN_VQ`, and only legacy network devices ever used them.
pub const DEVICE_TYPE_BITS: u128 = 0x00ff_ffff | (u128::MAX << 50);

/// One device type's own feature bits.
///
/// ```
/// use virtio_guest::wire::features::{Dependency, DeviceFeatures};
///
/// bitflags::bitflags! {
///     /// A watchdog, say, which this crate does not know.
///     #[derive(Clone, Copy, Debug, PartialEq, Eq)]
///     pub struct WatchdogFeatures: u128 {
///         const PRE_TIMEOUT = 1 << 0;
///         const PRE_TIMEOUT_NMI = 1 << 1;
///     }
/// }
///
/// impl DeviceFeatures for WatchdogFeatures {
///     const DEPENDENCIES: &'static [Dependency<Self>] =
///         &[Dependency::all(Self::PRE_TIMEOUT_NMI, Self::PRE_TIMEOUT)];
/// }
/// ```
pub trait DeviceFeatures: Flags<Bits = u128> + Copy + core::fmt::Debug + 'static {
    /// What bits need other bits; a bit whose need is not met is not accepted, whatever the device offers.
    const DEPENDENCIES: &'static [Dependency<Self>] = &[];
}

/// "This feature needs those": one line of a device's table of feature requirements.
///
/// Spec: §2.2.1 Driver Requirements: Feature Bits.
#[derive(Clone, Copy, Debug)]
pub struct Dependency<F> {
    feature: F,
    needs: Needs<F>,
}

#[derive(Clone, Copy, Debug)]
enum Needs<F> {
    All(F),
    AnyOf(F),
}

impl<F> Dependency<F> {
    /// `feature` needs every one of `needed`.
    pub const fn all(feature: F, needed: F) -> Self {
        Self { feature, needs: Needs::All(needed) }
    }

    /// `feature` needs at least one of `needed`.
    pub const fn any_of(feature: F, needed: F) -> Self {
        Self { feature, needs: Needs::AnyOf(needed) }
    }
}

/// The largest subset of `features` in which every feature has what it depends on.
///
/// Work: at most one round per feature bit.
pub fn close_dependencies<F: DeviceFeatures>(mut features: F) -> F {
    loop {
        let mut unmet = F::empty();
        for Dependency { feature, needs } in F::DEPENDENCIES {
            let met = match needs {
                Needs::All(needed) => features.contains(*needed),
                Needs::AnyOf(needed) => features.intersects(*needed),
            };
            if !met {
                unmet.insert(*feature);
            }
        }
        if !features.intersects(unmet) {
            return features;
        }
        features.remove(unmet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    bitflags::bitflags! {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        struct Sample: u128 {
            const BASE = 1;
            const ON_BASE = 2;
            const ON_ON_BASE = 4;
            const EITHER = 8;
            const HIGH = 1 << 68;
        }
    }

    impl DeviceFeatures for Sample {
        const DEPENDENCIES: &'static [Dependency<Self>] = &[
            Dependency::all(Self::ON_ON_BASE, Self::ON_BASE),
            Dependency::all(Self::ON_BASE, Self::BASE),
            Dependency::any_of(Self::EITHER, Self::BASE.union(Self::HIGH)),
        ];
    }

    /// Spec: §2.2.1 — a feature is accepted only with what it requires.
    #[test]
    fn a_feature_without_what_it_needs_is_left_out_and_so_is_what_needs_it() {
        assert_eq!(close_dependencies(Sample::ON_BASE | Sample::ON_ON_BASE), Sample::empty());
    }

    #[test]
    fn a_closed_set_stays_as_it_is() {
        let closed = Sample::BASE | Sample::ON_BASE | Sample::ON_ON_BASE | Sample::EITHER;

        assert_eq!(close_dependencies(closed), closed);
    }

    #[test]
    fn one_of_several_alternatives_is_enough() {
        let by_high_bit = Sample::EITHER | Sample::HIGH;

        assert_eq!(close_dependencies(by_high_bit), by_high_bit);
        assert_eq!(close_dependencies(Sample::EITHER), Sample::empty());
    }
}
