//! Every barrier of the driver, each with a name and with its other half on the device's side.
//!
//! Spec: §2.7.13 (publishing), §2.7.14 (taking used buffers), §2.7.7.1 and §2.7.10.1 (suppression).
//!
//! Ring words are relaxed atomics, so these fences are all the order there is. They have multi-processor strength on every machine, since the
//! device is another processor.

use crate::sync::{Ordering, fence};

/// Descriptors and ring entries become visible before the available index that covers them.
///
/// Pairs with: the device loads the index, then (acquire) the entries and descriptors.
#[inline]
pub(crate) fn entries_before_available_index() {
    fence(Ordering::Release);
}

/// The available index becomes visible before the device's suppression word is read.
///
/// A store followed by a load: only a full fence orders them. Pairs with: the device writes its suppression word, then (full
/// fence) looks at the available index once more before it sleeps. Without it both may miss each other and a notification is lost.
#[inline]
pub(crate) fn available_index_before_suppression_check() {
    fence(Ordering::SeqCst);
}

/// The used index is read before the used elements and the buffers that it covers.
///
/// Pairs with: the device writes buffers and elements, then (release) the used index.
#[inline]
pub(crate) fn used_index_before_elements() {
    fence(Ordering::Acquire);
}

/// The driver's wish for notifications becomes visible before the used index is looked at once more.
///
/// A store followed by a load again. Pairs with: the device writes the used index, then (full fence) reads the wish.
#[inline]
pub(crate) fn rearm_before_used_index() {
    fence(Ordering::SeqCst);
}
