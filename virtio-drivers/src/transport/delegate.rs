//! Transports made of transports: references, boxes, and one of several kinds.
//!
//! All of them pass every call on. What they are made of made the trait's promise.

use super::{
    Interface, InterruptCause, InterruptLine, QueueError, QueueSetup, SharedMemory, Transport, VectorRefused,
};
use crate::hal::AccessWidth;
use crate::raw::{AreaPlacement, Doorbell};
use crate::wire::device_type::DeviceType;
use crate::wire::features::CommonFeatures;
use crate::wire::status::Status;

/// All methods of a transport, each as a call of the macro `$to`: `$to!(self, method(arguments))`.
macro_rules! delegate {
    ($to:ident) => {
        fn device_type(&self) -> DeviceType {
            $to!(self, device_type())
        }
        fn device_features(&mut self) -> u128 {
            $to!(self, device_features())
        }
        fn set_driver_features(&mut self, features: u128) {
            $to!(self, set_driver_features(features));
        }
        fn status(&self) -> Status {
            $to!(self, status())
        }
        fn set_status(&mut self, status: Status) {
            $to!(self, set_status(status));
        }
        fn interface(&self) -> Interface {
            $to!(self, interface())
        }
        fn config_generation(&self) -> Option<u32> {
            $to!(self, config_generation())
        }
        fn config_bytes(&self) -> usize {
            $to!(self, config_bytes())
        }
        fn read_config(&self, offset: usize, width: AccessWidth) -> u32 {
            $to!(self, read_config(offset, width))
        }
        fn write_config(&mut self, offset: usize, width: AccessWidth, value: u32) {
            $to!(self, write_config(offset, width, value));
        }
        fn queue_size_max(&mut self, index: u16) -> u16 {
            $to!(self, queue_size_max(index))
        }
        fn set_up_queue(&mut self, index: u16, setup: &QueueSetup) -> Result<Doorbell, QueueError> {
            $to!(self, set_up_queue(index, setup))
        }
        fn supported_features(&self) -> CommonFeatures {
            $to!(self, supported_features())
        }
        fn area_placement(&self) -> AreaPlacement {
            $to!(self, area_placement())
        }
        fn start_queue_reset(&mut self, index: u16) {
            $to!(self, start_queue_reset(index));
        }
        fn queue_reset_is_done(&mut self, index: u16) -> bool {
            $to!(self, queue_reset_is_done(index))
        }
        fn acknowledge_interrupt(&self) -> InterruptCause {
            $to!(self, acknowledge_interrupt())
        }
        fn shared_memory(&mut self, id: u8) -> Option<SharedMemory> {
            $to!(self, shared_memory(id))
        }
        fn queue_size_is_fixed(&self) -> bool {
            $to!(self, queue_size_is_fixed())
        }
        fn vectors(&self) -> u16 {
            $to!(self, vectors())
        }
        fn set_config_vector(&mut self, vector: u16) -> Result<(), VectorRefused> {
            $to!(self, set_config_vector(vector))
        }
        fn set_queue_vector(&mut self, index: u16, vector: u16) -> Result<(), VectorRefused> {
            $to!(self, set_queue_vector(index, vector))
        }
        fn disable_vectors(&mut self) {
            $to!(self, disable_vectors());
        }
        fn use_interrupt_line(&mut self) -> Option<InterruptLine> {
            $to!(self, use_interrupt_line())
        }
    };
}
pub(super) use delegate;

macro_rules! behind_pointer {
    ($self:ident, $method:ident($($argument:ident),*)) => {
        (**$self).$method($($argument),*)
    };
}

#[expect(unsafe_code, reason = "passes on to an implementor that made the promise")]
// SAFETY: every call goes to the one transport behind the reference.
unsafe impl<T: Transport + ?Sized> Transport for &mut T {
    delegate!(behind_pointer);
}

#[cfg(feature = "alloc")]
#[expect(unsafe_code, reason = "passes on to an implementor that made the promise")]
// SAFETY: every call goes to the one transport in the box.
unsafe impl<T: Transport + ?Sized> Transport for alloc::boxed::Box<T> {
    delegate!(behind_pointer);
}
