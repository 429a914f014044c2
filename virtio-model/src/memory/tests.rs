//! Promises of the address space.

use super::{Access, AddressSpace, FaultCause};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// Eight-aligned memory that a test maps.
fn words(count: usize) -> (Vec<u64>, NonNull<u8>) {
    let mut words = vec![0; count];
    let pointer = NonNull::new(words.as_mut_ptr().cast()).unwrap();
    (words, pointer)
}

#[test]
fn bytes_written_at_any_alignment_read_back() {
    for start in 0..9 {
        let (_backing, pointer) = words(16);
        let memory = AddressSpace::new();
        // SAFETY: the backing memory outlives the address space's use and is used by nobody else.
        unsafe { memory.map(0x1000, pointer, 128, true, true) };
        let bytes: Vec<u8> = (1..=50).collect();

        memory.write(0x1000 + start, &bytes).unwrap();

        let mut read = [0; 50];
        memory.read(0x1000 + start, &mut read).unwrap();
        assert_eq!(read, *bytes);
    }
}

#[test]
fn words_are_little_endian() {
    let (_backing, pointer) = words(2);
    let memory = AddressSpace::new();
    // SAFETY: the backing memory outlives the address space's use and is used by nobody else.
    unsafe { memory.map(0, pointer, 16, true, true) };

    memory.store_u32(4, 0x0403_0201, Ordering::Relaxed).unwrap();

    let mut bytes = [0; 4];
    memory.read(4, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3, 4]);
    assert_eq!(memory.load_u16(6, Ordering::Relaxed), Ok(0x0403));
    assert_eq!(memory.load_u64(0, Ordering::Relaxed), Ok(0x0403_0201_0000_0000));
}

#[test]
fn nothing_is_reserved_for_bytes_that_are_not_mapped() {
    let (_backing, pointer) = words(2);
    let memory = AddressSpace::new();
    // SAFETY: the backing memory outlives the address space's use and is used by nobody else.
    unsafe { memory.map(0x1000, pointer, 16, true, false) };
    let mut bytes = Vec::new();

    let fault = memory.read_onto(0x1000, 1 << 40, &mut bytes).unwrap_err();

    assert_eq!((fault.cause, bytes.capacity()), (FaultCause::CrossesEnd, 0));
    memory.read_onto(0x1004, 3, &mut bytes).unwrap();
    memory.read_onto(0x100e, 2, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 5]);
}

#[test]
fn a_refused_access_is_an_error_and_is_remembered() {
    let (_backing, pointer) = words(2);
    let memory = AddressSpace::new();
    // SAFETY: the backing memory outlives the address space's use and is used by nobody else.
    unsafe { memory.map(0x1000, pointer, 16, true, false) };

    let refused = [
        memory.read(0xfff, &mut [0]).unwrap_err(),
        memory.read(0x1010, &mut [0]).unwrap_err(),
        memory.read(0x100f, &mut [0; 2]).unwrap_err(),
        memory.write(0x1000, &[0]).unwrap_err(),
        memory.load_u32(0x1002, Ordering::Relaxed).unwrap_err(),
    ];

    let causes: Vec<FaultCause> = refused.iter().map(|fault| fault.cause).collect();
    assert_eq!(
        causes,
        [
            FaultCause::Unmapped,
            FaultCause::Unmapped,
            FaultCause::CrossesEnd,
            FaultCause::WrongDirection,
            FaultCause::Misaligned
        ]
    );
    assert_eq!(memory.faults(), refused);
    assert_eq!(refused[3].access, Access::Write);
}

#[test]
fn unmapped_memory_is_out_of_reach() {
    let (_backing, pointer) = words(2);
    let memory = AddressSpace::new();
    // SAFETY: the backing memory outlives the address space's use and is used by nobody else.
    unsafe { memory.map(0x1000, pointer, 16, true, true) };
    assert!(memory.is_mapped(0x100f) && !memory.is_mapped(0x1010));

    assert!(memory.unmap(0x1000) && !memory.unmap(0x1000));

    assert_eq!(memory.mapped_count(), 0);
    assert!(memory.read(0x1000, &mut [0]).is_err());
}

#[test]
#[should_panic(expected = "overlap")]
fn a_mapping_may_not_overlap_another() {
    let (_backing, pointer) = words(4);
    let memory = AddressSpace::new();
    // SAFETY: the backing memory outlives the address space's use and is used by nobody else.
    unsafe { memory.map(0x1000, pointer, 16, true, true) };
    // SAFETY: as above; refused in any case.
    unsafe { memory.map(0x1008, pointer, 16, true, true) };
}
