//! Pages that a kernel can do without for a while: the [`BalloonPage`] trait.
//!
//! Spec: §5.5.6 Device Operation (of the memory balloon).

/// A page that can be given to a memory balloon, and comes back from it.
///
/// Kernels implement it for their page type, of whatever size: 4 KiB, 16 KiB, 2 MiB. A device counts in frames of 4096 bytes.
///
/// # Safety
///
/// - Whoever owns the value owns the page: nobody else reads or writes it, or expects anything to be in it. While a balloon has the page its host takes the memory away, and what is in it afterwards may be anything.
/// - Forgetting the value keeps the page out of use for ever (`'static`): a page whose device never lets go is leaked.
/// - [`first_frame`](BalloonPage::first_frame) and [`frames`](BalloonPage::frames) give the same answers each time, and name this page and nothing else: frames by their number in the machine's memory, not by addresses
///   that an IOMMU translates.
pub unsafe trait BalloonPage: 'static {
    /// Where the page is: its guest-physical address, divided by 4096.
    fn first_frame(&self) -> u64;

    /// How large it is: its bytes, divided by 4096. At least one.
    fn frames(&self) -> u16;
}
