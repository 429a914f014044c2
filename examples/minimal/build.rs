//! Links the program as a kernel: at fixed addresses, laid out by the platform's script.

fn main() {
    let directory = env!("CARGO_MANIFEST_DIR");
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").expect("set by cargo");
    let script = format!("../platform/link/{architecture}.ld");
    println!("cargo:rustc-link-arg-bins=-T{directory}/{script}");
    println!("cargo:rustc-link-arg-bins=--no-pie");
    println!("cargo:rerun-if-changed={script}");
}
