//! Links a program that is never run: unreachable code is dropped, and what is left may refer to nothing that is not there.

fn main() {
    println!("cargo:rustc-link-arg-bins=--gc-sections");
    println!("cargo:rustc-link-arg-bins=--no-undefined");
}
