// SPDX-License-Identifier: MIT

//! Finds the library by pkg-config: PKG_CONFIG_PATH says where, if it is not with the system's.
//! With the feature `vendored` it is built from the C sources that stage.sh puts beside this file.

fn main() {
    if cfg!(feature = "vendored") {
        vendored();
    } else {
        installed();
    }
}

fn installed() {
    // A 0.x release may break with each minor number.
    let [major, minor] = ["MAJOR", "MINOR"].map(|part| {
        let number = std::env::var(format!("CARGO_PKG_VERSION_{part}")).expect("set by cargo");
        number.parse::<u32>().expect("a number")
    });
    let found = pkg_config::Config::new()
        .range_version(&*format!("{major}.{minor}")..&*format!("{major}.{}", minor + 1))
        .statik(cfg!(feature = "static"))
        .probe("focalghm");
    if let Err(error) = found {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

#[cfg(not(feature = "vendored"))]
fn vendored() {}

/// CMakeLists.txt alone knows which files have which flags.
#[cfg(feature = "vendored")]
fn vendored() {
    let source = std::path::Path::new("libfocalghm");
    println!("cargo:rerun-if-changed={}", source.display());
    if !source.join("CMakeLists.txt").exists() {
        eprintln!("there are no C sources in {}: run stage.sh", source.display());
        std::process::exit(1);
    }
    let built = cmake::Config::new(source)
        .profile("Release")
        .define("BUILD_SHARED_LIBS", "OFF")
        .define("BUILD_TESTING", "OFF")
        .define("FOCALGHM_BUILD_BENCH", "OFF")
        .define("CMAKE_INSTALL_LIBDIR", "lib")
        .build();
    println!("cargo:rustc-link-search=native={}", built.join("lib").display());
    println!("cargo:rustc-link-lib=static=focalghm");
    println!("cargo:rustc-link-lib=m"); // processors of 32 bits without fused multiply-add
    println!("cargo:include={}", built.join("include").display());
}
