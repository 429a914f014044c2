//! Links the program as a kernel, laid out by the platform's script.

fn main() {
    let directory = env!("CARGO_MANIFEST_DIR");
    println!("cargo:rustc-link-arg-bins=-T{directory}/../../../examples/platform/link.ld");
    println!("cargo:rustc-link-arg-bins=--no-pie");
    println!("cargo:rerun-if-changed=../../../examples/platform/link.ld");
}
