#!/bin/sh
# Installs what building, testing and trying kubectl-skoop needs, on Debian 12; says what it does before it does it.
#
#   setup.sh [build|arm64|test|kernels|bench|lint|fuzz|cluster|cilium|observability|dashboards|browser]...
#                                                                     (nothing named: build and test)
#
# Quick when all is there. Root (sudo) is asked for only when a system package is missing.
set -eu
cd "$(dirname "$0")"

# What the kernel side's compiler is made of: a Rust whose sources are packaged with it, and bpf-linker upon its LLVM.
llvm=22
bpf_linker=0.13.0
cargo_fuzz=0.13.1

build="build-essential ca-certificates rustc-web cargo-web rust-web-src llvm-$llvm-dev libzstd-dev zlib1g-dev"
test="bpftool iproute2 iptables nftables conntrack ethtool iputils-ping procps python3 kmod"
arm64="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm"
kernels="qemu-system-x86 busybox-static cpio xz-utils $test"
bench="bpftrace iperf3 $test"
cluster="containerd runc containernetworking-plugins busybox-static util-linux ipset $test"
# Cilium's agent compiles its eBPF programs on each node.
cilium="clang-22"

say() { echo "setup: $*"; }
die() {
    say "$*" >&2
    exit 1
}

packages= go= fuzz=
[ $# -gt 0 ] || set -- build test
for part; do
    case $part in
    build) packages="$packages $build" ;;
    test) packages="$packages $build $test" ;;
    arm64) packages="$packages $build $arm64" ;;
    kernels) packages="$packages $build $kernels" ;;
    bench) packages="$packages $build $bench" ;;
    fuzz) packages="$packages $build" fuzz=wanted ;;
    browser) packages="$packages chromium" ;;
    cluster) packages="$packages $cluster" go=wanted ;;
    cilium) packages="$packages $cluster $cilium" go=wanted ;;
    observability) packages="$packages $test" go=wanted ;;
    dashboards) command -v npm >/dev/null || packages="$packages nodejs npm" ;;
    lint)
        packages="$packages $build rust-web-clippy"
        # The toolchain on PATH usually brings its own.
        .ci/cargo fmt --version >/dev/null 2>&1 || packages="$packages rustfmt-web"
        ;;
    *) die "no such part: $part (build, arm64, test, kernels, bench, lint, fuzz, cluster, cilium, observability, dashboards, browser)" ;;
    esac
done

# Sets `as_root` to what makes a command root's.
need_root() {
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    [ -z "$as_root" ] || command -v sudo >/dev/null || die "root is needed, and there is no sudo: as root, run \`$*\`"
}

install_packages() {
    [ -n "$packages" ] || return 0
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        die "this is no Debian: install the equivalents of these yourself:$packages"
    # One line a package: its state, its name.
    present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p')
    missing=$(for package in $packages; do
        printf '%s\n' "$present" | grep -qx -- "$package" || echo "$package"
    done | sort -u | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    say "installing system packages: $missing"
    need_root "apt-get install" $missing
    log=$(mktemp)
    patient='-o Acquire::Retries=5' # a mirror may be busy for a moment
    # Only these: what they recommend (a desktop for QEMU) is not needed.
    {
        $as_root apt-get $patient update -q &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get $patient install -q -y --no-install-recommends $missing
    } >"$log" 2>&1 || {
        cat "$log" >&2
        die "apt-get could not install them. rustc-web and llvm-$llvm-dev are in bookworm-security (Debian 12)."
    }
    rm -f "$log"
}

install_bpf_linker() {
    # Only what builds needs it, and what it is built upon is there only then.
    case "$packages" in *llvm-$llvm-dev*) ;; *) return 0 ;; esac
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin command -v bpf-linker >/dev/null && return 0
    say "building bpf-linker $bpf_linker upon LLVM $llvm with $(.ci/cargo --which) (two minutes), into ${CARGO_HOME:-$HOME/.cargo}/bin"
    LLVM_PREFIX=/usr/lib/llvm-$llvm .ci/cargo install bpf-linker --version $bpf_linker --locked --quiet \
        --no-default-features --features llvm-$llvm
}

install_cargo_fuzz() {
    [ -n "$fuzz" ] || return 0
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin command -v cargo-fuzz >/dev/null && return 0
    say "building cargo-fuzz $cargo_fuzz (a minute), into ${CARGO_HOME:-$HOME/.cargo}/bin"
    .ci/cargo install cargo-fuzz --version $cargo_fuzz --locked --quiet
}

install_packages
.ci/cargo --which >/dev/null
install_bpf_linker
install_cargo_fuzz
[ -z "$go" ] || tests/cluster/go --which >/dev/null
