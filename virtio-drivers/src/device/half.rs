//! What every driver's control half can be asked.
//!
//! Spec: §3.1.1 step 8. The calls of [`ControlHalf`](crate::lifecycle::ControlHalf) that a driver's own control type passes on, written once for all drivers.

/// Public calls that go on to the field `$half`, a `ControlHalf<'s, T, $features>`. To be used inside of an `impl<'s, T: Transport, …>` block.
macro_rules! control_half_calls {
    ($half:ident, $features:ty) => {
        /// What was agreed of the device's own features.
        pub fn features(&self) -> $features {
            self.$half.features().device
        }

        /// How the device's interrupt vectors were dealt out.
        pub fn vectors(&self) -> $crate::lifecycle::VectorRouting {
            self.$half.vectors()
        }

        /// How the device is.
        ///
        /// Work: one register read.
        pub fn condition(&self) -> $crate::lifecycle::Condition {
            self.$half.condition()
        }

        /// Connects the device's interrupts with these signals: the vectors that were dealt out, else its line, which it is allowed to use from now on. Gives the objects for handlers. Nothing changes if
        /// they are connected with these signals already; with others, who waited for the old ones is not woken any more.
        ///
        /// What happens before handlers have their objects wakes nobody, and is told to nobody: look once at the [`condition`](Self::condition), and at what the configuration says, afterwards.
        ///
        /// # Errors
        /// - [`SignalsInUse`](crate::lifecycle::SignalsInUse): another device uses these signals. Connections made before are kept.
        pub fn connect_interrupts(
            &mut self,
            signals: impl Into<$crate::lifecycle::SignalsRef<'s>>,
        ) -> Result<&$crate::lifecycle::Interrupts<'s>, $crate::lifecycle::SignalsInUse> {
            self.$half.connect_interrupts(signals)
        }

        /// The device's interrupts, once they are connected.
        pub const fn interrupts(&self) -> Option<&$crate::lifecycle::Interrupts<'s>> {
            self.$half.interrupts()
        }

        /// Waits until an interrupt says that the configuration changed, then tells how the device is. For ever, if no interrupts are connected.
        ///
        /// *Cancellation*: nothing is lost; the next call tells of the same change.
        /// *Wakes*: by the interrupt for the configuration. One call at a time.
        pub async fn configuration_change(&mut self) -> $crate::lifecycle::Condition {
            self.$half.configuration_change().await
        }

        /// How the device is, if an interrupt said that the configuration changed since this was last asked: for those who have no tasks.
        pub fn take_configuration_change(&mut self) -> Option<$crate::lifecycle::Condition> {
            self.$half.take_configuration_change()
        }

        /// Allows the device to use its interrupt line, and gives what a handler of that line needs. `None` if vectors are used, or there is no line.
        ///
        /// Who knows beforehand that there will be no vectors asks the transport, before the device is started.
        pub fn use_interrupt_line(&mut self) -> Option<$crate::transport::InterruptLine> {
            self.$half.use_interrupt_line()
        }

        /// Asks why the device's line is raised, and quiets it: for kernels whose devices share one, and have neither [`Interrupts`](crate::lifecycle::Interrupts) nor an
        /// [`InterruptLine`](crate::transport::InterruptLine) for it. No cause if it is another device's doing, or vectors are used.
        pub fn acknowledge_interrupt(&self) -> $crate::transport::InterruptCause {
            self.$half.acknowledge_interrupt()
        }
    };
}

pub(crate) use control_half_calls;
